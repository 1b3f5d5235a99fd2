//! What is normal: the scores of held-out normal windows, and how its channels behave.

pub(crate) mod channel;
pub(crate) mod score;
pub(crate) mod tail;

use crate::{
    calibration::{
        channel::{CHANNEL_CONSTANTS, ChannelCalibration},
        tail::Tail,
    },
    format::{error::LoadError, record::all_values},
    inference::score_kind::ScoreKind,
    model::Model,
};

/// `f32`s of the calibration before the channels' and the quantiles.
pub(crate) const CALIBRATION_CONSTANTS: usize = 29;

/// Fewest windows of a memory: an average then moves by less than what it averages.
const LEAST_MEMORY: f32 = 2.0;

/// Most samples of the latent vector that a score may be computed from, so that a window takes a bounded time.
pub const MOST_SAMPLES: u32 = 100_000;

/// Votes' share of the false alarms, where there is a sequential test; else they have all. The time to find a large fault hardly depends on it.
pub const VOTES_SHARE: f32 = 0.25;

/// What a model considers normal, from held-out normal windows.
///
/// ```
/// use vae_core::{Model, include_model};
///
/// const MODEL: Model<'static> = include_model!("../tests/tiny.vae");
/// let calibration = MODEL.calibration()?;
/// let usual = calibration.p_value(calibration.threshold() + 1.0);
/// assert!(calibration.p_value(calibration.threshold() - 1.0) <= usual);
/// # Ok::<(), vae_core::LoadError>(())
/// ```
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

/// By which rule scores are compensated for slow drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DriftRule {
    /// Windows; 0 where nothing is compensated.
    pub(crate) memory: f32,
    /// Nats for a window of the least score.
    pub(crate) step: f32,
    /// Greatest ordinary shift of the scores, in nats, and greatest ordinary widening of their spread.
    pub(crate) shift_limit: f32,
    pub(crate) widening_limit: f32,
}

impl<'m> Model<'m> {
    /// What the model considers normal, computed from held-out normal windows.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn calibration(&self) -> Result<Calibration<'m>, LoadError> {
        Calibration::new(all_values(self.calibration_record()?.array)?, self.channels())
    }
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
        let (channels, quantiles) = rest.split_at_checked(found).ok_or(LoadError::Shape { expected, found })?;
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
