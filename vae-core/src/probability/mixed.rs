//! The likelihood of features that have families of their own: numbers, zeros and ones, and categories.

use rand_core::Rng;

use crate::{
    arithmetic::{activation::softplus, number::clamp, random::uniform, vector::Samples},
    format::{
        kind::{FeatureFamily, MOST_LOG_OTHER},
        size::CHUNK,
    },
    network::{
        error::InferError,
        layer::Outputs,
        standardise::{Standardiser, limited},
    },
};

/// Constants of independent columns, each with its family, in the file's flash.
#[derive(Clone, Copy)]
pub(crate) struct Mixed<'m> {
    /// To units of the standard deviation; zeros and ones stay as they are.
    pub(crate) standardiser: Standardiser<'m>,
    /// Of a Gaussian feature `−½ ln(2πσ²) − ln(scale)`; 0 of others.
    pub(crate) log_normaliser: &'m [f32],
    /// Each feature's [`FeatureFamily::code`].
    pub(crate) families: &'m [f32],
}

/// The categories of one column, as far as the decoder has put out their logits: what a chunk ends within goes on with the next.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    /// The greatest logit so far.
    largest: f32,
    /// `Σ exp(l − largest)`
    sum: f32,
    /// `Σ x (l − largest)`
    weighted: f32,
    /// `Σ x`: 1 once the category has come that was seen.
    weight: f32,
    log_other: f32,
    /// The feature that the nats are owed to, and its x: the one of the greatest.
    owner: Option<(usize, f32)>,
    /// Whether one was not observed.
    is_gapped: bool,
}

impl Default for Group {
    /// Of a column without a first category, which no sound file has, the nats are numbers, too.
    fn default() -> Self {
        let (log_other, owner) = (MOST_LOG_OTHER, None);
        Self { largest: 0.0, sum: 0.0, weighted: 0.0, weight: 0.0, log_other, owner, is_gapped: false }
    }
}

impl Group {
    /// Takes the logit of the column's first category.
    fn begin(log_other: f32, logit: f32) -> Self {
        Self { largest: logit, sum: 1.0, log_other, ..Self::default() }
    }

    /// Takes the logit of another category.
    fn extend(&mut self, logit: f32) {
        if logit > self.largest {
            let step = self.largest - logit;
            self.sum = self.sum * libm::expf(step) + 1.0;
            self.weighted += self.weight * step;
            self.largest = logit;
        } else {
            self.sum += libm::expf(logit - self.largest);
        }
    }

    /// Takes what was seen of the category whose logit was taken last; gives a feature that costs nothing to `each`.
    fn see(&mut self, feature: usize, x: f32, logit: f32, each: &mut dyn FnMut(usize, f32)) {
        if x.is_nan() {
            self.is_gapped = true;
            return;
        }
        self.weight += x;
        self.weighted += x * (logit - self.largest);
        let other = match self.owner {
            Some((_, most)) if x <= most => Some(feature),
            before => {
                self.owner = Some((feature, x));
                before.map(|(feature, _)| feature)
            }
        };
        if let Some(feature) = other {
            each(feature, 0.0);
        }
    }

    /// `Σ x ln p + (1 − Σ x) ln p(other)`, in nats, where `p = (1 − p(other)) softmax(l)`; 0 of what was not observed.
    fn nats(&self) -> f32 {
        let known = self.weighted - self.weight * libm::logf(self.sum)
            + self.weight * libm::log1pf(-libm::expf(self.log_other));
        let rest = 1.0 - self.weight;
        if rest > 0.0 && !self.is_gapped { known + rest * self.log_other } else { known }
    }
}

/// What is there of a category or a one, within `[0, 1]` even where a hostile file has it standardised.
fn share(x: f32) -> f32 {
    clamp(x, (0.0, 1.0))
}

impl<'m> Mixed<'m> {
    /// Refuses what is beyond `[0, 1]` of features that are no numbers.
    pub(crate) fn check(&self, x: Samples<'_>) -> Result<(), InferError> {
        for (feature, family) in self.families.iter().enumerate().take(x.len()) {
            let value = x.get(feature);
            if *family != FeatureFamily::Gaussian.code() && !value.is_nan() && !(0.0..=1.0).contains(&value) {
                return Err(InferError::OutsideUnitInterval { feature, value });
            }
        }
        Ok(())
    }

    /// Gives each observed feature and the nats that it costs, beside its normaliser, to `each`, from the decoder's outputs from `start` on. Those
    /// of a column of categories are owed to the one that was seen, to the first where none was, and are given with its last one; `group` holds
    /// what a chunk ends within. None where the standardiser does not fit `x`.
    ///
    /// # Accuracy
    /// A column's nats are within 3e-7 of their magnitude, and 1e-6, of those in f64, whatever the logits are.
    ///
    /// # Source
    /// Gaussian and Bernoulli: seed derivations, "Likelihood choices". Categorical: seed texts, definition 1.0.5,
    /// `p(y) = Categorical(y; softmax(l))`; the streamed sum of exponentials: Milakov & Gimelshein (2018), *Online normalizer calculation for
    /// softmax*, algorithm 3.
    pub(crate) fn costs(
        &self,
        x: Samples<'_>,
        start: usize,
        outputs: Outputs<'_>,
        chunk: &mut [f32; CHUNK],
        group: &mut Group,
        each: &mut dyn FnMut(usize, f32),
    ) -> Option<()> {
        let x = self.standardiser.apply(x, start, chunk)?;
        let mut families = self.families.iter().skip(start).peekable();
        for ((feature, x), &output) in (start..).zip(x.iter()).zip(outputs.numbers()) {
            match FeatureFamily::of_code(*families.next()?)? {
                FeatureFamily::Gaussian if x.is_nan() => {}
                FeatureFamily::Bernoulli if x.is_nan() => {}
                FeatureFamily::Gaussian => {
                    let difference = limited(*x) - output;
                    each(feature, 0.5 * difference * difference);
                }
                FeatureFamily::Bernoulli => each(feature, softplus(output) - share(*x) * output),
                family => {
                    let output = limited(output);
                    match family {
                        FeatureFamily::FirstCategory { log_other } => *group = Group::begin(log_other, output),
                        _ => group.extend(output),
                    }
                    group.see(feature, share(*x), output, each);
                    let goes_on = families.peek().is_some_and(|next| **next == FeatureFamily::NextCategory.code());
                    if let (false, Some((owner, _))) = (goes_on, group.owner) {
                        each(owner, -group.nats());
                    }
                }
            }
        }
        Some(())
    }

    /// The family of a feature.
    pub(crate) fn family(&self, feature: usize) -> Option<FeatureFamily> {
        FeatureFamily::of_code(*self.families.get(feature)?)
    }

    /// Turns each column's logits in `x` into the probabilities of its categories, given that it is one of them.
    pub(crate) fn finish(&self, x: &mut [f32]) {
        self.for_each_group(x, |logits| {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
            let mut sum = 0.0;
            for value in logits.iter_mut() {
                *value = libm::expf(*value - largest);
                sum += *value;
            }
            logits.iter_mut().for_each(|value| *value /= sum);
        });
    }

    /// Draws one category of each column, by a uniform number each, from the probabilities in `x`.
    pub(crate) fn draw<R: Rng + ?Sized>(&self, x: &mut [f32], rng: &mut R) {
        self.for_each_group(x, |chances| {
            let mut left = uniform(rng);
            // By rounding, the chances may come to less than 1.
            let mut drawn = chances.len().saturating_sub(1);
            for (index, chance) in chances.iter().enumerate() {
                left -= chance;
                if left < 0.0 {
                    drawn = index;
                    break;
                }
            }
            chances.iter_mut().enumerate().for_each(|(index, slot)| *slot = if index == drawn { 1.0 } else { 0.0 });
        });
    }

    /// Gives the values of each column of categories.
    fn for_each_group(&self, x: &mut [f32], mut each: impl FnMut(&mut [f32])) {
        let next = FeatureFamily::NextCategory.code();
        let mut start = 0;
        for families in self.families.chunk_by(|_, family| *family == next) {
            let values = x.get_mut(start..start + families.len()).unwrap_or_default();
            if families.first().is_some_and(|first| *first < 0.0) {
                each(values);
            }
            start += families.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::random::tests::SplitMix;

    const OTHER: f32 = -7.5;

    /// A column of categories alone, of which the decoder puts out `logits` in chunks of `chunk`: the costs that are given, by feature.
    fn costs<const K: usize>(x: [f32; K], logits: [f32; K], chunk: usize) -> [Option<f32>; K] {
        let mut families = [FeatureFamily::NextCategory.code(); K];
        families[0] = OTHER;
        let standardiser = Standardiser { mean: &[0.0; K], inverse_scale: &[1.0; K] };
        let mixed = Mixed { standardiser, log_normaliser: &[0.0; K], families: &families };
        let (mut group, mut found) = (Group::default(), [None; K]);
        for start in (0..K).step_by(chunk) {
            let mut outputs = logits;
            let outputs = Outputs::F32(&mut outputs[start..K.min(start + chunk)]);
            let mut each = |feature: usize, nats: f32| {
                assert!(found[feature].replace(nats).is_none(), "feature {feature} twice");
            };
            mixed.costs(Samples::F32(&x), start, outputs, &mut [0.0; CHUNK], &mut group, &mut each).unwrap();
        }
        found
    }

    fn one_hot<const K: usize>(seen: usize) -> [f32; K] {
        core::array::from_fn(|index| f32::from(u8::from(index == seen)))
    }

    /// `−ln p` of a category, in f64.
    fn exact(logits: &[f32], seen: usize) -> f64 {
        let largest = logits.iter().fold(f64::NEG_INFINITY, |a, b| a.max(f64::from(*b)));
        let sum: f64 = logits.iter().map(|logit| libm::exp(f64::from(*logit) - largest)).sum();
        largest + libm::log(sum) - f64::from(logits[seen]) - libm::log1p(-libm::exp(f64::from(OTHER)))
    }

    #[test]
    fn a_categorys_nats_are_the_logarithm_of_its_softmax_whatever_the_logits_are_and_wherever_a_chunk_ends() {
        // More than a chunk of the network's.
        const K: usize = 53;
        for scale in [0.0f32, 0.3, 4.0, 60.0, 1e4, 1e9] {
            let logits: [f32; K] = core::array::from_fn(|k| scale * ((k * 29 % K) as f32 / 26.0 - 1.0));
            for (seen, chunk) in [(0, K.min(CHUNK)), (52, CHUNK), (47, CHUNK), (48, CHUNK), (17, 4), (30, 1)] {
                let found = costs(one_hot(seen), logits, chunk);
                let exact = exact(&logits, seen);
                let nats = f64::from(found[seen].unwrap());
                assert!((nats - exact).abs() <= 3e-7 * exact + 1e-6, "{scale}, {seen}, {chunk}: {nats} for {exact}");
                let others = found.iter().enumerate().filter(|(feature, _)| *feature != seen);
                assert!(others.clone().all(|(_, nats)| *nats == Some(0.0)), "{found:?}");
            }
        }
    }

    #[test]
    fn masses_of_the_categories_and_of_none_of_them_sum_to_one() {
        let logits = [-3.0f32, 0.4, 7.0, 6.5];
        let mass = |x| libm::exp(-costs(x, logits, 3).into_iter().flatten().map(f64::from).sum::<f64>());
        let total: f64 = (0..4).map(|seen| mass(one_hot(seen))).sum::<f64>() + mass([0.0; 4]);
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        assert!((mass([0.0; 4]) - libm::exp(f64::from(OTHER))).abs() < 1e-9);
        // One category, which is certain but for what was never seen.
        assert!((libm::exp(-f64::from(costs([1.0], [123.0], 1)[0].unwrap())) + libm::exp(-7.5) - 1.0).abs() < 1e-7);
        assert_eq!(costs([0.0], [123.0], 1), [Some(-OTHER)]);
    }

    #[test]
    fn what_was_not_observed_costs_nothing_and_what_none_is_costs_the_first() {
        let (nan, logits) = (f32::NAN, [1.0f32, 2.0, 0.5]);
        assert_eq!(costs([nan; 3], logits, 2), [None; 3]);
        assert_eq!(costs([0.0; 3], logits, 2), [Some(-OTHER), Some(0.0), Some(0.0)]);
        assert_eq!(costs([nan, 0.0, 0.0], logits, 2), [None, Some(0.0), Some(0.0)]);
        let [none, one, two] = costs([nan, 0.0, 1.0], logits, 2);
        assert!(none.is_none() && one == Some(0.0) && (f64::from(two.unwrap()) - exact(&logits, 2)).abs() < 1e-6);
        // Shares of an interval: each category's nats by its share, owed to the longest.
        let [a, b, c] = costs([0.25, 0.75, 0.0], logits, 2);
        let expected = 0.25 * exact(&logits, 0) + 0.75 * exact(&logits, 1);
        assert!((f64::from(b.unwrap()) - expected).abs() < 1e-6 && a == Some(0.0) && c == Some(0.0));
    }

    #[test]
    fn what_no_sound_model_makes_of_a_window_costs_a_number_all_the_same() {
        for logits in [[f32::MAX, f32::MIN, 0.0], [f32::MIN, f32::MAX, f32::MIN]] {
            let found = costs([3e38, -3e38, 1.0], logits, 2);
            assert!(found.iter().all(|nats| nats.is_some_and(|nats| !nats.is_nan())), "{found:?}");
        }
        // As zeros and ones are that a file has standardised beyond all measure.
        assert!(costs([f32::INFINITY], [1.0], 1)[0].is_some_and(|nats| !nats.is_nan()));
        // A column that begins nowhere.
        let standardiser = Standardiser { mean: &[0.0; 3], inverse_scale: &[1.0; 3] };
        let families = [FeatureFamily::NextCategory.code(); 3];
        let mixed = Mixed { standardiser, log_normaliser: &[0.0; 3], families: &families };
        for x in [[0.0; 3], one_hot(1)] {
            let (mut outputs, mut group, mut given) = ([0.5, -2.0, 1.0], Group::default(), 0);
            let mut each = |feature, nats: f32| {
                assert!(nats.is_finite(), "{feature}: {nats}");
                given += 1;
            };
            let outputs = Outputs::F32(&mut outputs);
            mixed.costs(Samples::F32(&x), 0, outputs, &mut [0.0; CHUNK], &mut group, &mut each).unwrap();
            assert_eq!(given, 3);
        }
    }

    #[test]
    fn probabilities_sum_to_one_and_are_drawn_as_often_as_they_say() {
        let families = [0.0, OTHER, 2.0, 2.0, 1.0, OTHER];
        let standardiser = Standardiser { mean: &[0.0; 6], inverse_scale: &[1.0; 6] };
        let mixed = Mixed { standardiser, log_normaliser: &[0.0; 6], families: &families };
        let mut chances = [5.0f32, 1000.0, 1001.0, 998.0, 0.25, -3.0];
        mixed.finish(&mut chances);
        let total = 1.0 + core::f32::consts::E + libm::expf(-2.0);
        for (found, expected) in
            chances.iter().zip([5.0, 1.0 / total, core::f32::consts::E / total, libm::expf(-2.0) / total, 0.25, 1.0])
        {
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
        }
        let (mut rng, mut counts) = (SplitMix(7), [0.0f32; 3]);
        const DRAWS: f32 = 20_000.0;
        for _ in 0..DRAWS as usize {
            let mut x = chances;
            mixed.draw(&mut x, &mut rng);
            assert_eq!((x[0], x[4], x[5], x[1] + x[2] + x[3]), (5.0, 0.25, 1.0, 1.0));
            counts.iter_mut().zip(&x[1..4]).for_each(|(count, x)| *count += x);
        }
        for (count, chance) in counts.iter().zip(&chances[1..4]) {
            // Five standard deviations of a share.
            let allowed = 5.0 * libm::sqrtf(chance * (1.0 - chance) / DRAWS);
            assert!((count / DRAWS - chance).abs() < allowed, "{} for {chance}", count / DRAWS);
        }
    }
}
