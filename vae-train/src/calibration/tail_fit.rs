//! How often normal windows have a high score: the tail of the scores, extrapolated beyond the recording.

use anyhow::{Context, Result, bail, ensure};

use crate::statistics::tail::FittedTail;

/// Highest rate at which a tail may begin, per window.
pub(crate) const BODY: f64 = 0.02;

/// Fewest scores above the threshold that a tail is fitted to.
pub(crate) const LEAST: f64 = 10.0;

/// Ratio of the counts at neighbouring levels: a hundred levels do for 10⁷ windows, and the fit to all scores is as good.
const STEP: f64 = 1.1;

/// Standard deviation of the shape before the data have spoken; its mean is that of the exponential tail.
///
/// At a threshold of 2 % a Weibull shape within it is within ±0.13 about the Pareto's, as the prior of Martins & Stedinger (2000) says.
const PRIOR: f64 = 0.5;

/// Nats of likelihood by which a power law must be the better tail to be taken.
const CLEARLY: f64 = 2.0;

/// How often single windows have a high score, and how well that is known.
#[derive(Clone, Copy, Debug)]
pub struct TailFit {
    /// The Weibull tail of greatest likelihood, whose base is 1, or the power law that is clearly more likely.
    pub tail: FittedTail,
    /// Windows above the tail's threshold.
    pub count: f64,
    /// Of `ln scale` and the shape.
    covariance: [[f64; 2]; 2],
    /// The tail of the other kind, and by how many nats it is less likely.
    other: Option<(FittedTail, f64)>,
}

impl TailFit {
    /// Fits to ascending scores of normal windows, by maximum product of spacings with a weak prior on the shape.
    ///
    /// # Errors
    /// If the scores are too few or too much alike to have a tail.
    ///
    /// # Source
    /// R. C. H. Cheng & N. A. K. Amin (1983), *Estimating parameters in continuous univariate distributions with a shifted
    /// origin*: unlike the likelihood, spacings are bounded where the tail has an end.
    pub fn of<S: Copy + Into<f64>>(sorted: &[S]) -> Result<Self> {
        let windows = sorted.len() as f64;
        let most = most(windows) as usize;
        ensure!(
            most as f64 >= LEAST,
            "{windows} windows of normal data are too few to tell how often rare scores come: at least {:.0} are needed",
            LEAST / BODY
        );
        let levels = levels(sorted, most);
        let above = |level: &f64| (sorted.len() - sorted.partition_point(|score| (*score).into() < *level)) as f64;
        let curve = Curve { windows, counts: levels.iter().map(above).collect(), levels };
        let weibull = curve.fit(1.0)?;
        let count = weibull.tail.rate * windows;
        let of = |best: Fit, other: Option<Fit>| Self {
            tail: best.tail,
            count,
            covariance: best.covariance,
            other: other.map(|other| (other.tail, best.likelihood - other.likelihood)),
        };
        Ok(match curve.fit(0.0).ok().filter(|pareto| pareto.tail.shape > 0.0) {
            Some(pareto) if pareto.likelihood > weibull.likelihood + CLEARLY => of(pareto, Some(weibull)),
            pareto => of(weibull, pareto),
        })
    }

    /// What another recording, of so many windows, would tell if this tail is the truth.
    pub(crate) fn with_windows(&self, windows: f64) -> Result<Self> {
        let (mut levels, mut counts, mut count) = (Vec::new(), Vec::new(), most(windows));
        let tail = self.tail.at_rate(count / windows);
        while count >= 1.0 {
            levels.push(tail.level(count / windows));
            counts.push(count);
            count /= STEP;
        }
        let curve = Curve { windows, levels, counts };
        let count = most(windows);
        let other = self.other.map(|(other, nats)| (other, nats.abs() * count / self.count));
        Ok(Self { tail, count, covariance: inverse(curve.likelihood(&tail).information)?, other })
    }

    /// Variance of the logarithm of [`FittedTail::rate_above`] at the level for `rate`, for independent windows, if the tail is of this kind.
    pub(crate) fn variance(&self, rate: f64) -> f64 {
        let tail = &self.tail;
        let z = (tail.level(rate) - tail.start) / tail.scale;
        let logarithm = if tail.is_pareto() { -1.0 } else { libm::log(rate / tail.base) };
        let [by_scale, by_shape] = tail.slopes(z).map(|slope| logarithm * slope);
        let [[v, c], [_, w]] = self.covariance;
        // The count above the threshold is Poisson; with it the rate moves while what the scores above the threshold determine stays: a
        // Pareto's scale, a Weibull's `scale / ln rate`.
        let by_rate = if tail.is_pareto() { 1.0 } else { tail.growth(z) * (1.0 + tail.slopes(z)[0]) };
        v * by_scale * by_scale
            + 2.0 * c * by_scale * by_shape
            + w * by_shape * by_shape
            + by_rate * by_rate / self.count
    }

    /// Mean square of the error of that logarithm that comes of the tail's kind: of the other tail's logarithm, as likely as it is.
    ///
    /// # Source
    /// S. T. Buckland, K. P. Burnham & N. H. Augustin (1997), *Model selection: an integral part of inference*, Biometrics 53: the
    /// variance between models, weighted by their likelihoods.
    pub(crate) fn doubt(&self, rate: f64) -> f64 {
        self.other.map_or(0.0, |(other, nats)| {
            let distance = libm::log(other.rate_above(self.tail.level(rate)) / rate);
            distance * distance / (1.0 + libm::exp(nats))
        })
    }
}

/// Most windows that a tail is fitted to.
///
/// All of the upper 2 % up to 10⁵ windows; above, fewer in proportion, so that bias falls along with the variance.
pub(crate) fn most(windows: f64) -> f64 {
    (BODY * windows).min(libm::cbrt(windows).powi(2))
}

/// Distinct ascending values among the highest `most` of ascending values, at ranks that fall by a factor of 1.1.
pub(crate) fn levels<S: Copy + Into<f64>>(sorted: &[S], most: usize) -> Vec<f64> {
    let (mut levels, mut rank) = (Vec::new(), most.min(sorted.len()));
    while rank > 0 {
        levels.push(sorted[sorted.len() - rank].into());
        rank = (rank - 1).min((rank as f64 / STEP) as usize);
    }
    levels.dedup();
    levels
}

/// How many windows have a score of each of some ascending levels or more.
struct Curve {
    windows: f64,
    levels: Vec<f64>,
    counts: Vec<f64>,
}

impl Curve {
    /// The tail of this base (1 or 0) and of greatest likelihood above the lowest level.
    fn fit(&self, base: f64) -> Result<Fit> {
        let (&threshold, &count) = self.levels.first().zip(self.counts.first()).context("no scores")?;
        let steps = self.levels.windows(2).zip(&self.counts[1..]);
        let mean_excess = steps.map(|(pair, count)| (pair[1] - pair[0]) * count).sum::<f64>() / count;
        let rate = count / self.windows;
        ensure!(
            rate < 1.0 && mean_excess > 0.0,
            "the least normal windows all cost {threshold} nats: give data whose scores vary"
        );
        // An exponential tail to begin with; from there Fisher scoring, in shorter steps where the likelihood falls.
        let logarithm = if base == 0.0 { 1.0 } else { -libm::log(rate) };
        let mut tail = FittedTail { start: threshold, scale: logarithm * mean_excess, shape: base, rate, base };
        let mut point = self.likelihood(&tail);
        for _ in 0..200 {
            let covariance = inverse(point.information)?;
            let step = covariance.map(|row| row[0] * point.gradient[0] + row[1] * point.gradient[1]);
            let mut length = 1.0;
            let better = loop {
                let scale = tail.scale * libm::exp(length * step[0]);
                let next = FittedTail { scale, shape: tail.shape + length * step[1], ..tail };
                let there = self.likelihood(&next);
                if there.value >= point.value {
                    break Some((next, there));
                }
                length /= 2.0;
                // Rounding, not the likelihood, decides over steps as short.
                if length < 1e-6 {
                    break None;
                }
            };
            match better {
                Some(better) if step[0].abs() + step[1].abs() > 1e-7 => (tail, point) = better,
                _ => return Ok(Fit { tail, covariance, likelihood: point.value }),
            }
        }
        bail!("no curve could be fitted to the scores of the least normal windows: give more normal data")
    }

    /// Logarithm of the product of spacings and of the prior, its gradient, and the expected information.
    fn likelihood(&self, tail: &FittedTail) -> Expansion {
        // Chance to be above a level given that the threshold is exceeded, and its derivatives.
        let survival = |level: f64| {
            let z = (level - tail.start) / tail.scale;
            let growth = tail.growth(z);
            let y = if tail.is_pareto() { growth.recip() } else { -libm::log(tail.rate / tail.base) };
            let above = if tail.is_pareto() { y } else { libm::exp(-y * (growth - 1.0)) };
            (above, tail.slopes(z).map(|slope| -above * y * growth * slope))
        };
        // The base is the shape of an exponential tail.
        let distance = (tail.shape - tail.base) / PRIOR;
        let mut likelihood = Expansion {
            value: -distance * distance / 2.0,
            gradient: [0.0, -distance / PRIOR],
            information: [[0.0, 0.0], [0.0, 1.0 / (PRIOR * PRIOR)]],
        };
        let total = self.counts.first().copied().unwrap_or(0.0);
        let (mut above, mut slopes) = (1.0, [0.0; 2]);
        for (index, count) in self.counts.iter().enumerate() {
            let (next, next_slopes) = self.levels.get(index + 1).map_or((0.0, [0.0; 2]), |level| survival(*level));
            let within = count - self.counts.get(index + 1).copied().unwrap_or(0.0);
            let chance: f64 = above - next;
            if chance.is_nan() || chance <= 0.0 {
                return Expansion { value: f64::NEG_INFINITY, ..likelihood };
            }
            likelihood.value += within * libm::log(chance);
            let relative = [(slopes[0] - next_slopes[0]) / chance, (slopes[1] - next_slopes[1]) / chance];
            for row in 0..2 {
                likelihood.gradient[row] += within * relative[row];
                for column in 0..2 {
                    likelihood.information[row][column] += total * chance * relative[row] * relative[column];
                }
            }
            (above, slopes) = (next, next_slopes);
        }
        likelihood
    }
}

/// A tail of greatest likelihood, in nats, and the covariance of its `ln scale` and shape.
struct Fit {
    tail: FittedTail,
    covariance: [[f64; 2]; 2],
    likelihood: f64,
}

/// The log-likelihood of a tail, and its derivatives by `ln scale` and shape.
struct Expansion {
    value: f64,
    gradient: [f64; 2],
    information: [[f64; 2]; 2],
}

fn inverse([[a, b], [c, d]]: [[f64; 2]; 2]) -> Result<[[f64; 2]; 2]> {
    let determinant = a * d - b * c;
    ensure!(
        determinant > 0.0 && determinant.is_finite(),
        "the scores of the least normal windows do not tell how often rarer ones \
         come: give more normal data"
    );
    Ok([[d / determinant, -b / determinant], [-c / determinant, a / determinant]])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores of a Weibull distribution, `P(x) = exp(−(x / 3)^k)`, at evenly spaced chances, ascending.
    fn weibull(windows: usize, k: f64) -> Vec<f64> {
        let chance = |index: usize| (index as f64 + 0.5) / windows as f64;
        (0..windows).rev().map(|index| 3.0 * (-chance(index).ln()).powf(k.recip())).collect()
    }

    #[test]
    fn the_fit_finds_the_tail_of_ideal_scores() {
        for k in [0.5, 1.0, 2.0] {
            let fit = TailFit::of(&weibull(1_000_000, k)).unwrap();
            assert_eq!(fit.count, 10_000.0);
            // Spacings, and the prior at the outer shapes, cost less than half the standard error of a sample as large.
            assert!((fit.tail.shape - 1.0 / k).abs() < 0.5 * fit.covariance[1][1].sqrt(), "{k}: {:?}", fit.tail);
            let level = 3.0 * (1e-7f64).ln().abs().powf(1.0 / k);
            assert!((fit.tail.rate_above(level) / 1e-7).ln().abs() < 0.2, "{k}: {}", fit.tail.rate_above(level));
        }
    }

    #[test]
    fn the_fit_agrees_with_scipy() {
        // scipy 1.17.1: minimize(method="Nelder-Mead") of −Σ dⱼ ln(Sⱼ − Sⱼ₊₁) + (shape − 1)² / (2 · 0.5²), from these scores'
        // 40, 36, 32, … highest with dⱼ the differences of these ranks, S of numpy.
        let mut scores: Vec<f64> = (1..=2000)
            .map(|i| {
                let (i, n) = (f64::from(i), 2000.0);
                i.sqrt() * ((i * 7919.0) % n + 0.5) / n + (-((i - 0.5) / n).ln()).powf(1.5)
            })
            .collect();
        scores.sort_by(f64::total_cmp);
        let tail = TailFit::of(&scores).unwrap().tail;
        let found = [tail.start, tail.rate, tail.scale, tail.shape];
        for (found, expected) in found.into_iter().zip([38.443_414_720_8, 0.02, 8.618_032_528, 0.667_193_367]) {
            assert!((found / expected - 1.0).abs() < 1e-6, "{found} for {expected}");
        }
    }

    #[test]
    fn the_variance_is_that_of_repeated_fits() {
        // Shape 1, where the prior's mean is right: an exponential's scores through ordinary generated uniforms.
        use rand::{RngExt, SeedableRng};
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        let (mut errors, mut variances) = (Vec::new(), 0.0);
        for _ in 0..200 {
            let mut scores: Vec<f64> = (0..20_000).map(|_| -rng.random::<f64>().ln()).collect();
            scores.sort_by(f64::total_cmp);
            let fit = TailFit::of(&scores).unwrap();
            errors.push(1e-6f64.ln() + fit.tail.level(1e-6));
            variances += fit.variance(1e-6) / 200.0;
        }
        // A variance of 200 has a relative standard error of 0.1; the shape is not normal, nor its prior a source of error.
        let variance = errors.iter().map(|error| error * error).sum::<f64>() / 200.0;
        assert!((0.6..1.2).contains(&(variance / variances)), "{variance} for {variances}");
    }

    /// Scores of which `x^−3` are above x, ascending.
    fn power_law(windows: usize) -> Vec<f64> {
        (1..=windows).rev().map(|rank| ((rank as f64 - 0.5) / windows as f64).powf(-1.0 / 3.0)).collect()
    }

    #[test]
    fn a_power_law_is_told_from_what_falls_faster() {
        let fit = TailFit::of(&power_law(20_000)).unwrap();
        assert_eq!(fit.tail.base, 0.0);
        // The prior costs 0.07² / 0.5² of the shape.
        assert!((fit.tail.shape - 1.0 / 3.0).abs() < 0.02, "{:?}", fit.tail);
        assert!((fit.tail.rate_above(1000.0) / 1e-9).ln().abs() < 0.7, "{}", fit.tail.rate_above(1000.0));
        // The Weibull tail would have it much rarer, and is out of the question.
        let (other, nats) = fit.other.unwrap();
        assert!(other.base == 1.0 && nats > CLEARLY && other.rate_above(1000.0) < 1e-10, "{nats} {other:?}");
        assert!(fit.doubt(1e-9) < fit.variance(1e-9));
        // What is exponential or falls faster is no power law.
        for k in [1.0, 2.0] {
            assert_eq!(TailFit::of(&weibull(20_000, k)).unwrap().tail.base, 1.0, "{k}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_in_doubt() {
        // scipy 1.17.1, as in `the_fit_agrees_with_scipy`, with S = (1 + shape (x − start) / scale)^(−1 / shape) and a prior mean of 0.
        let mut scores: Vec<f64> = (1..=2000)
            .map(|i| {
                let (i, n) = (f64::from(i), 2000.0);
                ((i - 0.5) / n).powf(-1.0 / 3.0) * (1.0 + 0.1 * ((i * 7919.0) % n + 0.5) / n)
            })
            .collect();
        scores.sort_by(f64::total_cmp);
        let fit = TailFit::of(&scores).unwrap();
        let (pareto, nats) = fit.other.unwrap();
        let found = [fit.tail.scale, fit.tail.shape, pareto.start, pareto.scale, pareto.shape, nats];
        let expected = [7.150_287_83, 1.527_661_65, 3.840_184_70, 1.429_023_37, 0.348_782_44, -1.803_221_35];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-5, "{found} for {expected}");
        }
        // The other tail's logarithm, with a weight of 1 / (1 + e^−1.8).
        let distance = (pareto.rate_above(fit.tail.level(1e-6)) / 1e-6).ln();
        assert!((fit.doubt(1e-6) / (distance * distance / (1.0 + nats.exp())) - 1.0).abs() < 1e-12);
        assert!(distance > 1.0, "{distance}");
    }

    #[test]
    fn ties_are_fitted_and_constants_are_refused() {
        let rounded: Vec<f64> = weibull(100_000, 1.0).into_iter().map(|score| (2.0 * score).round() / 2.0).collect();
        let tail = TailFit::of(&rounded).unwrap().tail;
        // Rounded to ½, of an e-folding of 3.
        assert!((tail.level(1e-6) / (3.0 * 1e6f64.ln()) - 1.0).abs() < 0.1, "{}", tail.level(1e-6));
        assert!(TailFit::of(&[1.0; 5000]).unwrap_err().to_string().contains("all cost 1 nats"));
        assert!(TailFit::of(&weibull(499, 1.0)).unwrap_err().to_string().contains("at least 500"));
        assert!(TailFit::of(&weibull(500, 1.0)).is_ok());
        assert!(TailFit::of::<f64>(&[]).is_err());
    }
}
