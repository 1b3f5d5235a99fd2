//! What is normal: the scores of held-out normal windows, and how its channels behave.

use crate::{LoadError, VOTES_SHARE, alarm::DriftRule};

/// `f32`s of the calibration before the channels' and the quantiles.
pub(crate) const CALIBRATION_CONSTANTS: usize = 29;
/// `f32`s of the calibration for each channel.
pub(crate) const CHANNEL_CONSTANTS: usize = 13;
/// Fewest windows of a memory: an average then moves by less than what it averages.
const LEAST_MEMORY: f32 = 2.0;
/// Most samples of the latent vector that a score may be computed from, so that a window takes a bounded time.
pub const MOST_SAMPLES: u32 = 100_000;

/// How rare high values of a statistic are, far beyond those that were seen: a generalised Weibull tail,
/// `ln (rate_above(x) / base) = ln (rate / base) · (1 + shape · (x − start) / scale)^(1 / shape)`.
///
/// It is the generalised Pareto tail with the logarithm of the rate in the place of the rate, whose extrapolation over many orders of
/// magnitude is less biased. Where the tail is a power law, it is a Pareto tail itself, which has a base of 0:
/// `rate_above(x) = rate · (1 + shape · (x − start) / scale)^(−1 / shape)`.
///
/// # Source
/// C. de Valk (2016), *Approximation and estimation of very small probabilities of multivariate extreme events*, Extremes 19.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Tail {
    /// Where the tail begins, in nats.
    pub start: f32,
    /// Events per window above it; 0 where there is no tail.
    pub rate: f32,
    /// In nats, positive.
    pub scale: f32,
    /// 1 for an exponential tail, ½ for a Gaussian's; below 0 there is a highest value. Of a Pareto tail: 0 and 1 / ν for `x^−ν`.
    pub shape: f32,
    /// The rate that logarithms are relative to; 1 for single windows, 0 for a Pareto tail.
    pub base: f32,
}

impl Tail {
    /// Events per window above `x` nats.
    #[must_use]
    pub fn rate_above(&self, x: f32) -> f32 {
        let excess = (x - self.start) / self.scale;
        let product = self.shape * excess;
        if product <= -1.0 {
            return match (self.shape < 0.0, self.is_pareto()) {
                (true, _) => 0.0,
                (false, true) => f32::INFINITY,
                (false, false) => self.base,
            };
        }
        let log_growth = if self.shape == 0.0 { excess } else { libm::log1pf(product) / self.shape };
        if self.is_pareto() {
            self.rate * libm::expf(-log_growth)
        } else {
            self.base * libm::expf(libm::logf(self.rate / self.base) * libm::expf(log_growth))
        }
    }

    /// Whether it is a generalised Pareto tail, and not a Weibull one.
    fn is_pareto(&self) -> bool {
        self.base == 0.0
    }

    /// Whether there is a tail that falls from its start on, or none.
    fn is_sound(&self) -> bool {
        self.rate == 0.0 || (self.rate > 0.0 && (self.rate < self.base || self.is_pareto()) && self.scale > 0.0)
    }

    /// The nats above which there are `rate` events per window; the start for a rate that is not below the base.
    #[must_use]
    pub fn level(&self, rate: f32) -> f32 {
        let log_growth = libm::logf(if self.is_pareto() {
            self.rate / rate
        } else {
            libm::logf(rate / self.base) / libm::logf(self.rate / self.base)
        });
        if log_growth.is_nan() || log_growth == f32::NEG_INFINITY {
            self.start
        } else if self.shape == 0.0 {
            self.start + self.scale * log_growth
        } else {
            self.start + self.scale * libm::expm1f(self.shape * log_growth) / self.shape
        }
    }
}

/// What a model considers normal, from held-out normal windows.
#[derive(Clone, Copy, Debug)]
pub struct Calibration<'m> {
    threshold: f32,
    scores: f32,
    sample_rate: f32,
    votes: (f32, f32),
    tail: Tail,
    alarms: Tail,
    centre: f32,
    spread: f32,
    samples: f32,
    dependence: f32,
    changes: Tail,
    drift: DriftRule,
    channels: &'m [[f32; CHANNEL_CONSTANTS]],
    /// [`ChannelCalibration::nats`], where nothing else is known of the channels.
    nats: &'m [f32],
    quantiles: &'m [f32],
}

/// How a channel behaves in normal data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelCalibration {
    /// Least and largest value that the sensor can give, in the channel's unit.
    pub range: (f32, f32),
    /// Most successive samples of the same value.
    pub longest_run: f32,
    /// Most successive samples that were not observed.
    pub longest_gap: f32,
    /// Nats that its features cost in an ordinary window: half their squared distance from the reconstruction, in variances.
    pub nats: f32,
    /// Mean, in the channel's unit.
    pub mean: f32,
    /// Mean square of the distance from `mean`.
    pub power: f32,
    /// Of a hop's mean, less `mean`, in the channel's unit.
    pub level: Location,
    /// Of a hop's mean square of the distance from `mean`, in units of `power`.
    pub strength: Location,
}

/// Where a statistic of a hop ordinarily lies, by a robust average that takes a memory to follow a change.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Location {
    /// The average over the recording.
    pub centre: f32,
    /// Standard deviation of a single hop's.
    pub spread: f32,
    /// How far from `centre` the average may be.
    pub limit: f32,
}

impl Location {
    /// Of a statistic of which nothing is known: nothing of it is out of the ordinary.
    pub const UNKNOWN: Self = Self { centre: 0.0, spread: 0.0, limit: f32::MAX };
}

impl ChannelCalibration {
    /// A channel of which nothing is known: no value, run or mean of it is out of the ordinary.
    pub const UNKNOWN: Self = Self {
        range: (f32::MIN, f32::MAX),
        longest_run: f32::MAX,
        longest_gap: f32::MAX,
        nats: 0.0,
        mean: 0.0,
        power: 1.0,
        level: Location::UNKNOWN,
        strength: Location { centre: 1.0, ..Location::UNKNOWN },
    };

    pub(crate) fn new(constants: &[f32; CHANNEL_CONSTANTS]) -> Self {
        let [low, high, longest_run, longest_gap, nats, mean, power, locations @ ..] = *constants;
        let [level, strength] = {
            let [a, b, c, d, e, f] = locations;
            [[a, b, c], [d, e, f]].map(|[centre, spread, limit]| Location { centre, spread, limit })
        };
        Self { range: (low, high), longest_run, longest_gap, nats, mean, power, level, strength }
    }
}

/// What the detector's score of a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ScoreKind {
    /// [`Model::elbo_at_mean`](crate::Model::elbo_at_mean).
    AtMean,
    /// [`Model::elbo`](crate::Model::elbo) with so many samples.
    Samples(u32),
    /// [`Model::log_likelihood`](crate::Model::log_likelihood) with at most so many samples, fewer once the decision is clear.
    Importance(u32),
}

impl<'m> Calibration<'m> {
    /// Reads the array of a model file's calibration (`FORMAT.md`), for a model of so many channels.
    ///
    /// # Errors
    /// [`LoadError::Shape`] or [`LoadError::Value`] for an array that is none.
    pub fn new(values: &'m [f32], channels: usize) -> Result<Self, LoadError> {
        let (expected, found) = (CALIBRATION_CONSTANTS, values.len());
        let (constants, rest) =
            values.split_first_chunk::<CALIBRATION_CONSTANTS>().ok_or(LoadError::Shape { expected, found })?;
        let quantiles = constants[CALIBRATION_CONSTANTS - 1] as usize;
        let (expected, found) = (quantiles, rest.len());
        let found = found.checked_sub(quantiles).ok_or(LoadError::Shape { expected, found })?;
        let expected = CHANNEL_CONSTANTS * channels;
        if ![0, channels, expected].contains(&found) {
            return Err(LoadError::Shape { expected, found });
        }
        let (channels, quantiles) = rest.split_at_checked(found).unwrap_or_default();
        let (channels, nats) = if found == expected { (channels, &[][..]) } else { (&[][..], channels) };
        let [threshold, scores, sample_rate, needed, of, constants @ ..] = *constants;
        let [start, rate, scale, shape, base, constants @ ..] = constants;
        let tail = Tail { start, rate, scale, shape, base };
        let [start, rate, scale, shape, base, constants @ ..] = constants;
        let alarms = Tail { start, rate, scale, shape, base };
        let [centre, spread, samples, dependence, start, rate, scale, shape, base, constants @ ..] = constants;
        let changes = Tail { start, rate, scale, shape, base };
        let [memory, step, shift_limit, widening_limit, _] = constants;
        let calibration = Self {
            threshold,
            scores,
            sample_rate,
            votes: (needed, of),
            tail,
            alarms,
            centre,
            spread,
            samples,
            dependence,
            changes,
            drift: DriftRule { memory, step, shift_limit, widening_limit },
            channels: channels.as_chunks().0,
            nats,
            quantiles,
        };
        let is_finite = values.iter().all(|value| value.is_finite());
        if is_finite && calibration.is_sound() { Ok(calibration) } else { Err(LoadError::Value) }
    }

    /// Whether p-values are probabilities that rise with the score, averages stay within what they average, an alarm can be cleared, and
    /// a score takes a bounded number of samples.
    fn is_sound(&self) -> bool {
        let Self { tail, alarms, changes, drift, channels, quantiles, .. } = self;
        let mut channels = channels.iter().map(ChannelCalibration::new);
        // `is_sorted` could panic, as the compiler sees it.
        let ascend = quantiles.iter().zip(quantiles.iter().skip(1)).all(|(low, high)| low <= high);
        self.scores >= 0.0
            && ascend
            && tail.is_sound()
            && tail.rate <= 1.0
            && alarms.is_sound()
            && changes.is_sound()
            && (self.dependence == 0.0 || self.dependence >= 1.0)
            && (drift.memory == 0.0 || drift.memory >= LEAST_MEMORY)
            && drift.step >= 0.0
            && self.samples.abs() <= MOST_SAMPLES as f32
            && channels.all(|channel| channel.power > 0.0 && channel.strength.centre > 0.0)
    }

    /// ELBO below which a window is anomalous, in nats.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    /// Number of normal windows that the calibration was computed from.
    #[must_use]
    pub fn scores(&self) -> u32 {
        self.scores as u32
    }

    /// Samples a second, in Hz; none for a model whose trainer was not told.
    #[must_use]
    pub fn sample_rate(&self) -> Option<f32> {
        (self.sample_rate > 0.0).then_some(self.sample_rate)
    }

    /// The votes `(m, n)` that the alarms were calibrated with: m of the last n windows below the threshold raise one.
    #[must_use]
    pub fn votes(&self) -> (u32, u32) {
        (self.votes.0 as u32, self.votes.1 as u32)
    }

    /// What the calibration's scores, and the detector's, are.
    #[must_use]
    pub fn score_kind(&self) -> ScoreKind {
        match self.samples as i32 {
            0 => ScoreKind::AtMean,
            samples @ 1.. => ScoreKind::Samples(samples.unsigned_abs()),
            samples => ScoreKind::Importance(samples.unsigned_abs()),
        }
    }

    /// The windows in which averages follow a slow drift; 0 where the recording was too short for any.
    #[must_use]
    pub fn drift_memory(&self) -> f32 {
        self.drift.memory
    }

    pub(crate) fn drift_rule(&self) -> DriftRule {
        self.drift
    }

    /// How many successive windows tell as much of the scores' level as one independent one: the long-run variance of their ranks over
    /// their variance, at least 1; 0 where the order of the windows was not known.
    #[must_use]
    pub fn dependence(&self) -> f32 {
        self.dependence
    }

    /// How rare high cumulative sums of the scores' ranks are, in alarms per window; a rate of 0 where there is no sequential test.
    #[must_use]
    pub fn change_tail(&self) -> Tail {
        self.changes
    }

    /// The false alarms per window that there are at [`Self::threshold`]; none where the recording did not tell.
    #[must_use]
    pub fn alarms_per_window(&self) -> Option<f32> {
        let by_votes = self.alarms.rate_above(-self.threshold);
        (self.alarms.rate > 0.0 && by_votes > 0.0).then_some(by_votes / self.votes_share())
    }

    /// The share of the false alarms that votes may raise.
    #[must_use]
    pub fn votes_share(&self) -> f32 {
        if self.changes.rate > 0.0 { VOTES_SHARE } else { 1.0 }
    }

    /// Median of the normal windows' −score, in nats.
    pub(crate) fn median(&self) -> f32 {
        self.quantiles.get(self.quantiles.len() / 2).map_or(self.centre, |quantile| -quantile)
    }

    /// How rare low scores are: the tail of −score, in windows per window.
    #[must_use]
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// How rare alarms are, with [`Self::votes`]: the tail of the highest voted −score of each, in alarms per window.
    #[must_use]
    pub fn alarm_tail(&self) -> Tail {
        self.alarms
    }

    /// Mean and standard deviation of the normal windows' −ELBO, in nats.
    #[must_use]
    pub fn location_and_scale(&self) -> (f32, f32) {
        (self.centre, self.spread)
    }

    /// How a channel behaves, of which the file may know the nats alone; none where it does not say, or for a channel that the model does not have.
    #[must_use]
    pub fn channel(&self, index: usize) -> Option<ChannelCalibration> {
        let nats =
            || self.nats.get(index).map(|nats| ChannelCalibration { nats: *nats, ..ChannelCalibration::UNKNOWN });
        self.channels.get(index).map(ChannelCalibration::new).or_else(nats)
    }

    /// What is known of all channels, or of none.
    pub(crate) fn known_channels(&self) -> &'m [[f32; CHANNEL_CONSTANTS]] {
        self.channels
    }

    /// The nats of all channels, or of none.
    pub(crate) fn nats(&self) -> &'m [f32] {
        self.nats
    }

    /// Whether an ELBO (in nats) is below the threshold.
    #[must_use]
    pub fn is_anomalous(&self, elbo: f32) -> bool {
        elbo < self.threshold
    }

    /// The chance that a normal window has an ELBO as low as `elbo` (in nats) or lower.
    ///
    /// Interpolated between the stored quantiles, and in the tail below them by its generalised Weibull tail. 1 for a
    /// model that is not calibrated.
    #[must_use]
    pub fn p_value(&self, elbo: f32) -> f32 {
        if -elbo > self.tail.start && self.tail.rate > 0.0 {
            return self.tail.rate_above(-elbo).min(self.tail.rate);
        }
        let above = self.quantiles.partition_point(|quantile| *quantile <= elbo);
        let steps = self.quantiles.len().saturating_sub(1) as f32;
        let fraction = match above.checked_sub(1).map(|below| (self.quantiles.get(below), self.quantiles.get(above))) {
            None if self.quantiles.is_empty() => 1.0,
            // Below all quantiles.
            None => 0.0,
            // Halves, whose differences are within the range of `f32`; the least numbers have none, and that is no way between them.
            Some((Some(low), Some(high))) => {
                let way = (0.5 * elbo - 0.5 * low) / (0.5 * high - 0.5 * low);
                ((above - 1) as f32 + way.max(0.0)) / steps
            }
            Some(_) => 1.0,
        };
        // Not below what the tail begins with: the two meet there.
        fraction.max(self.tail.rate).max(1.0 / (self.scores + 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAIL: Tail = Tail { start: 4.0, rate: 0.02, scale: 5.0, shape: 0.7, base: 1.0 };

    /// Where the file has the drift's memory.
    const MEMORY: usize = 18;

    fn calibration<'m>(values: &'m mut [f32; CALIBRATION_CONSTANTS + 5], tail: Tail) -> Calibration<'m> {
        values[..5].copy_from_slice(&[-8.0, 99.0, 0.0, 1.0, 1.0]);
        values[5..10].copy_from_slice(&[tail.start, tail.rate, tail.scale, tail.shape, tail.base]);
        values[MEMORY] = 16.0;
        values[CALIBRATION_CONSTANTS - 1] = 5.0;
        values[CALIBRATION_CONSTANTS..].copy_from_slice(&[-10.0, -4.0, -2.0, -2.0, 0.0]);
        Calibration::new(values, 0).unwrap()
    }

    #[test]
    fn p_values_invert_the_quantiles() {
        let mut values = [0.0; CALIBRATION_CONSTANTS + 5];
        let calibration = calibration(&mut values, Tail::default());
        for (elbo, p) in
            [(-50.0, 0.01), (-10.0, 0.01), (-7.0, 0.125), (-4.0, 0.25), (-2.0, 0.75), (-1.0, 0.875), (3.0, 1.0)]
        {
            assert!((calibration.p_value(elbo) - p).abs() < 1e-6, "{elbo}: {}", calibration.p_value(elbo));
        }
        assert!(calibration.is_anomalous(-8.5) && !calibration.is_anomalous(-8.0));
        values[CALIBRATION_CONSTANTS..].copy_from_slice(&[-10.0, -4.0, 0.0, 1e-45, 2.0]);
        let calibration = Calibration::new(&values, 0).unwrap();
        assert_eq!([-1e-45, 0.0, 1e-45].map(|elbo| calibration.p_value(elbo)), [0.5, 0.5, 0.75]);
        let mut uncalibrated = [0.0; CALIBRATION_CONSTANTS];
        uncalibrated[MEMORY] = 1.0;
        assert_eq!(Calibration::new(&uncalibrated, 0).unwrap().p_value(-1e9), 1.0);
        assert!(Calibration::new(&uncalibrated[1..], 0).is_err());
    }

    #[test]
    fn in_the_tail_p_values_are_its_rate() {
        let mut values = [0.0; CALIBRATION_CONSTANTS + 5];
        let calibration = calibration(&mut values, TAIL);
        assert_eq!(calibration.p_value(-20.0), TAIL.rate_above(20.0));
        assert!(calibration.p_value(-3.9) >= 0.02 && calibration.p_value(-4.1) < 0.02);
    }

    #[test]
    fn tails_of_known_distributions() {
        // Exponential: shape 1, and a scale of −ln rate nats. Of exp(−x), 0.02 are above 3.912, 1e-7 above 16.118.
        let exponential = Tail { start: 3.912_023, rate: 0.02, scale: 3.912_023, shape: 1.0, base: 1.0 };
        // Weibull, exp(−√x): shape 2; 0.02 are above 15.304, 1e-7 above 259.79.
        let weibull = Tail { start: 15.303_92, rate: 0.02, scale: 2.0 * 15.303_92, shape: 2.0, base: 1.0 };
        // exp(−eˣ) / shape 0: 0.02 above ln 3.912.
        let gumbel = Tail { start: 1.364_054, rate: 0.02, scale: 1.0, shape: 0.0, base: 1.0 };
        for (tail, x) in [(exponential, 16.118_095), (weibull, 259.793), (gumbel, 2.779_946)] {
            assert!((tail.rate_above(x) / 1e-7 - 1.0).abs() < 1e-4, "{tail:?}: {}", tail.rate_above(x));
            assert!((tail.level(1e-7) / x - 1.0).abs() < 1e-5, "{tail:?}: {}", tail.level(1e-7));
        }
        for shape in [-0.3, 0.0, 0.5, 1.5] {
            let tail = Tail { shape, base: 6.0, ..TAIL };
            for rate in [0.05, 0.01, 1e-4, 1e-8] {
                let x = tail.level(rate);
                assert!((tail.rate_above(x) / rate - 1.0).abs() < 1e-3, "{shape} {rate}: {}", tail.rate_above(x));
            }
            assert_eq!((tail.level(6.0), tail.level(7.0)), (4.0, 4.0));
        }
        assert_eq!(Tail { shape: -0.5, ..TAIL }.rate_above(14.1), 0.0);
        // What is so rare that its share of the base is no number lies beyond all levels, and not at the start.
        let vast = Tail { base: 5e30, ..TAIL };
        assert_eq!((vast.level(1e-20), TAIL.level(0.0)), (f32::INFINITY, f32::INFINITY));
    }

    #[test]
    fn a_base_of_zero_is_a_pareto_tail() {
        let pareto = |shape| Tail { start: 4.0, rate: 0.02, scale: 0.5, shape, base: 0.0 };
        // scipy 1.17.1: 0.02 · genpareto.sf(x − 4, 0.25, scale=0.5), and isf at 1e-7 / 0.02.
        for (excess, rate) in [(0.7, 6.021_364_6e-3), (3.0, 5.12e-4), (50.0, 4.376_597_5e-8)] {
            let found = pareto(0.25).rate_above(4.0 + excess);
            assert!((found / rate - 1.0).abs() < 1e-5, "{excess}: {found}");
        }
        assert!((pareto(0.25).level(1e-7) / 44.294_85 - 1.0).abs() < 1e-5);
        // An exponential, and a bounded one that ends at 4 + 0.5 / 0.25.
        assert!((pareto(0.0).rate_above(5.0) / (0.02 * (-2f32).exp()) - 1.0).abs() < 1e-5);
        assert_eq!((pareto(-0.25).rate_above(6.1), pareto(0.25).rate_above(1.9)), (0.0, f32::INFINITY));
        assert_eq!((pareto(0.25).level(0.0), pareto(0.25).level(f32::INFINITY)), (f32::INFINITY, 4.0));
        let mut values = [0.0; CALIBRATION_CONSTANTS + 5];
        let calibration = calibration(&mut values, pareto(0.25));
        assert_eq!(calibration.p_value(-7.0), pareto(0.25).rate_above(7.0));
        for tail in [Tail { base: -1.0, ..TAIL }, Tail { base: 0.01, ..TAIL }, Tail { scale: 0.0, ..pareto(0.25) }] {
            assert!(!tail.is_sound(), "{tail:?}");
        }
    }
}
