//! "At most one false alarm per week": the level for it, and how well it is known.

use anyhow::{Result, ensure};
use vae_core::{Alarm, AlarmRule, Calibration, VOTES_SHARE, Votes};

use crate::{
    calibration::{
        changes::{Changes, held},
        tail_fit::TailFit,
        votes_tail::{TOGETHER, VotesTail},
    },
    statistics::{
        rhythm::{Slowness, dispersion},
        tail::FittedTail,
    },
};

/// Standard deviations from the middle of a normal distribution to the ends of its central 90 %.
const NINETY_PERCENT: f64 = 1.645;

/// Standard error of the logarithm of a rate that no recording takes away: how far the tail and the dependence of known
/// distributions are from the fitted ones.
const MODEL: f64 = 0.1;

/// Most alarms per window: each takes a window that raises it and one that clears it.
const MOST: f64 = 0.5;

/// Alarms from which is learned how they come together.
const RAISED: f64 = 60.0;

/// How often normal windows raise alarms at a level.
#[derive(Clone, Copy, Debug)]
pub struct FalseAlarms {
    /// Windows of normal data.
    pub(crate) windows: f64,
    pub(crate) single: TailFit,
    /// Variance of the windows above the tail's threshold for each one of a Poisson's.
    pub(crate) dispersion: f64,
    pub(crate) votes: VotesTail,
    /// Of the ranks, and of high scores.
    pub(crate) slowness: f64,
    /// Share of the alarms that are left as the device raises them.
    pub(crate) apart: f64,
}

impl FalseAlarms {
    /// Learns from the scores of held-out normal windows in the order of time, higher more anomalous; `starts` are those with which another
    /// recording begins.
    ///
    /// # Errors
    /// If a score is not finite, or they are too few or too much alike to tell; the error says how many are needed.
    pub fn of<S: Copy + Into<f64>>(scores: &[S], starts: &[usize], votes: Votes) -> Result<Self> {
        ensure!(scores.iter().all(|score| (*score).into().is_finite()), "a score is not finite");
        let mut sorted = scores.to_vec();
        sorted.sort_unstable_by(|a, b| (*a).into().total_cmp(&(*b).into()));
        let single = TailFit::of(&sorted)?;
        let dispersion =
            dispersion(scores, |part| part.iter().filter(|score| (**score).into() >= single.tail.start).count());
        let votes = VotesTail::of(scores, starts, &sorted, votes)?;
        let high = (1.0 - TOGETHER) * scores.len() as f64;
        let (mut ranks, mut highs) = (Slowness::of(scores.len()), Slowness::of(scores.len()));
        for score in scores {
            let rank = sorted.partition_point(|other| (*other).into() < (*score).into()) as f64;
            ranks.push(rank);
            highs.push(f64::from(u8::from(rank >= high)));
        }
        let slowness = ranks.found().max(highs.found());
        Ok(Self { windows: scores.len() as f64, single, dispersion, votes, slowness, apart: 1.0 })
    }

    /// Learns how many alarms are left of those that votes and the cumulative sum would each raise, where they come together: by the device's
    /// own alarm over the recordings' −scores, anew with each of `starts`, at a level for 60 of them. The calibration has both tails.
    #[must_use]
    pub fn as_raised(self, nats: &[f32], starts: &[usize], calibration: &Calibration<'_>, votes: Votes) -> Self {
        let rate = RAISED / self.windows;
        let by_votes = f64::from(calibration.votes_share()) * rate;
        let rule = AlarmRule::new(calibration, self.alarms().level(by_votes) as f32, rate as f32);
        let (mut alarm, mut was, mut count) = (Alarm::new(votes), false, 0.0);
        let mut starts = starts.iter().copied().peekable();
        for (window, nats) in nats.iter().enumerate() {
            if starts.next_if_eq(&window).is_some() {
                alarm.reset();
                was = false;
            }
            let is = alarm.push(*nats, &rule, calibration);
            count += if is && !was { 1.0 } else { 0.0 };
            was = is;
        }
        let by_chance = libm::exp(-rate * held(calibration.dependence().into()));
        Self { apart: (count / RAISED / by_chance).min(1.0), ..self }
    }

    /// The tail of single windows: chances as low as these are p-values.
    #[must_use]
    pub fn windows(&self) -> FittedTail {
        self.single.tail
    }

    /// The tail of alarms by votes: how many are raised per window at a level, and the level for so many.
    ///
    /// Each is counted that [`Votes`] alone would raise and clear: the device, which holds an alarm for longer, raises no more.
    #[must_use]
    pub fn alarms(&self) -> FittedTail {
        let VotesTail { base, power, .. } = self.votes;
        self.single.tail.to_power(base, power)
    }

    /// Where, with a confidence of 90 %, the real rate of alarms is where votes and the cumulative sum each have the level for their share
    /// of `rate`; all per window.
    ///
    /// The upper end is that of a sum of two that are known apart. At the lower one both are at theirs, and raise their alarms together as
    /// often as they did in the recording: what was done for caution's sake was done to both.
    ///
    /// # Source
    /// G. Y. Zou & A. Donner (2008), *Construction of confidence limits about effect measures*, Statistics in Medicine 27: an interval of a
    /// sum from those of its parts.
    #[must_use]
    pub fn interval(&self, rate: f64, changes: Option<&Changes>) -> (f64, f64) {
        let (by_votes, by_changes) = shares(rate, changes);
        let factor = |variance: f64| libm::exp(NINETY_PERCENT * (variance + MODEL * MODEL).sqrt());
        let of_votes = factor(self.variance(by_votes));
        let [down, up] = changes.map_or([1.0; 2], |changes| changes.variances(by_changes).map(factor));
        let least = self.apart * (by_votes / of_votes + by_changes / down);
        let more = libm::hypot(by_votes * (of_votes - 1.0), by_changes * (up - 1.0));
        (least, (rate + more).min(MOST.max(rate)))
    }

    /// Variance of the logarithm of the rate of alarms by votes at the level for `rate`.
    fn variance(&self, rate: f64) -> f64 {
        let VotesTail { base, power, count, .. } = self.votes;
        let chance = libm::pow(rate / base, power.recip());
        let distance = libm::log(self.votes.rate / rate);
        // Windows, or alarms, that come together tell less.
        let of_windows = power * power * (self.dispersion * self.single.variance(chance) + self.single.doubt(chance));
        let of_dependence = self.votes.dispersion * (1.0 + distance * distance) / count;
        of_windows + of_dependence
    }
}

/// The share of the false alarms that votes raise: all of them where there is no sequential test.
pub(crate) fn votes_share(changes: Option<&Changes>) -> f64 {
    if changes.is_some() { f64::from(VOTES_SHARE) } else { 1.0 }
}

/// The false alarms of votes and of the cumulative sum.
fn shares(rate: f64, changes: Option<&Changes>) -> (f64, f64) {
    let share = votes_share(changes);
    (share * rate, (1.0 - share) * rate)
}

#[cfg(test)]
pub(crate) mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::Alarms;

    use super::*;
    use crate::calibration::votes_tail::tests::{SINGLE, VOTES, exact_rate, raises};

    /// Half a chi-square of 8 degrees of freedom: what −ELBO is for four independent Gaussian features, but for a constant.
    fn score(rng: &mut ChaCha8Rng) -> f64 {
        -(0..4).map(|_| libm::log(rng.random::<f64>())).sum::<f64>()
    }

    /// `P(score ≥ x)`: the chance of at most 3 events of a Poisson process of x.
    fn above(x: f64) -> f64 {
        libm::exp(-x) * (1.0 + x + x * x / 2.0 + x * x * x / 6.0)
    }

    pub(crate) fn independent(seed: u64, windows: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..windows).map(|_| score(&mut rng)).collect()
    }

    #[test]
    fn realised_rates_are_the_requested_ones() {
        // At one window per second, from 11 days. Standard errors of the logarithm are up to 0.3 by the intervals.
        let scores = independent(1, 1_000_000);
        for (votes, rates) in VOTES.into_iter().zip([
            [Alarms::per_hour(1.0), Alarms::per_day(1.0), Alarms::per_day(1.0)],
            [Alarms::per_day(1.0), Alarms::per_week(1.0), Alarms::per_year(1.0)],
            [Alarms::per_day(1.0), Alarms::per_week(1.0), Alarms::per_year(1.0)],
        ]) {
            let found = FalseAlarms::of(&scores, &[], votes).unwrap();
            for rate in rates {
                let rate = f64::from(rate.per_second());
                let realised = exact_rate(above(found.alarms().level(rate)), votes);
                assert!(libm::log(realised / rate).abs() < libm::log(2.0), "{votes:?} {rate}: {}", realised / rate);
                assert!(found.support(rate, 1.0, None).is_ok());
            }
        }
    }

    /// Prints what is realised of each rate, and the interval for it; half a minute:
    /// `cargo test --release -p vae-train -- --ignored --nocapture rates_from_an_hour_to_a_year`.
    #[test]
    #[ignore = "sorts 10 million scores fifteen times"]
    fn rates_from_an_hour_to_a_year_are_realised() {
        const RECORDINGS: u64 = 5;
        let rates = [
            ("hour", Alarms::per_hour(1.0)),
            ("day", Alarms::per_day(1.0)),
            ("week", Alarms::per_week(1.0)),
            ("month", Alarms::per_month(1.0)),
            ("year", Alarms::per_year(1.0)),
        ];
        // Logarithms of what is realised, for each vote and rate.
        let mut realised = vec![[(); 5].map(|()| Vec::new()); VOTES.len()];
        for seed in 0..RECORDINGS {
            // At one window per second, 116 days.
            let scores = independent(11 + seed, 10_000_000);
            for (votes, realised) in VOTES.into_iter().zip(&mut realised) {
                let found = FalseAlarms::of(&scores, &[], votes).unwrap();
                for ((name, rate), realised) in rates.iter().zip(realised) {
                    let rate = f64::from(rate.per_second());
                    let ratio = exact_rate(above(found.alarms().level(rate)), votes) / rate;
                    let (low, high) = found.interval(rate, None);
                    eprintln!("{:?} 1/{name}: {ratio:.3}, {:.2} to {:.2}", votes.rule(), low / rate, high / rate);
                    assert!(found.support(rate, 1.0, None).is_ok());
                    // The largest standard error of the logarithm, by the intervals, is 0.1 with votes. Of single windows once a
                    // year, 32 times beyond the recording on the scale of rates, it is 0.27: these recordings are no exceptions.
                    assert!(libm::log(ratio).abs() < libm::log(1.5), "{votes:?} 1/{name}: {ratio}");
                    realised.push(libm::log(ratio));
                }
            }
        }
        // A bias would stay on average: standard errors of 0.12 for single windows once a year, and of 0.05.
        for (votes, realised) in VOTES.into_iter().zip(&realised) {
            for ((name, _), realised) in rates.iter().zip(realised) {
                let mean = libm::exp(realised.iter().sum::<f64>() / RECORDINGS as f64);
                eprintln!("{:?} 1/{name}: {mean:.3} on average", votes.rule());
                assert!(libm::log(mean).abs() < libm::log(1.25), "{votes:?} 1/{name}: {mean} on average");
            }
        }
    }

    #[test]
    fn overlapping_windows_raise_as_many_as_requested() {
        // Moving sums of four: three quarters of a window are in the next. The truth is a recording five times as long.
        let overlapping = |seed, windows| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let parts: Vec<f64> = (0..windows + 3).map(|_| -libm::log(rng.random::<f64>())).collect();
            parts.windows(4).map(|parts| parts.iter().sum()).collect::<Vec<f64>>()
        };
        let (scores, fresh) = (overlapping(1, 200_000), overlapping(2, 1_000_000));
        for votes in VOTES {
            let found = FalseAlarms::of(&scores, &[], votes).unwrap();
            // 100 alarms expected, 20 in the recording: standard errors of 0.1 and of about 0.15.
            let realised = raises(&fresh, votes, found.alarms().level(1e-4)) as f64 / 1e6;
            assert!(libm::log(realised / 1e-4).abs() < libm::log(1.5), "{votes:?}: {realised}");
        }
    }

    #[test]
    fn nine_of_ten_intervals_hold_the_realised_rate() {
        let rate = 1.0 / 86400.0;
        for votes in VOTES {
            let held = (0..100).filter(|seed| {
                let found = FalseAlarms::of(&independent(100 + seed, 20_000), &[], votes).unwrap();
                let (low, high) = found.interval(rate, None);
                (low..=high).contains(&exact_rate(above(found.alarms().level(rate)), votes))
            });
            // 90 ± 3 of 100; the tail's bias and the limit on the power may cost or bring some more.
            let held = held.count();
            assert!(held >= 80, "{votes:?}: {held}");
        }
    }

    /// The core's calibration of scores, with their tails and no sequential test.
    fn core_constants(scores: &[f64], found: &FalseAlarms) -> Vec<f32> {
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let tail = |tail: FittedTail| [tail.start, tail.rate, tail.scale, tail.shape, tail.base];
        let mut constants = vec![0.0, scores.len() as f64, 1.0, 1.0, 1.0];
        constants.extend(tail(found.windows()).into_iter().chain(tail(found.alarms())));
        constants.extend([0.0, 1.0, 0.0, 1.0]);
        constants.extend([0.0; 9].into_iter().chain([129.0]));
        constants.extend((0..129).rev().map(|quantile| -sorted[quantile * (sorted.len() - 1) / 128]));
        constants.into_iter().map(|value| value as f32).collect()
    }

    #[test]
    fn alarms_that_the_device_holds_are_one() {
        let apart = |scores: &[f64]| {
            let found = FalseAlarms::of(scores, &[], SINGLE).unwrap();
            let constants = core_constants(scores, &found);
            let nats: Vec<f32> = scores.iter().map(|score| *score as f32).collect();
            found.as_raised(&nats, &[], &Calibration::new(&constants, 0).unwrap(), SINGLE)
        };
        let single = independent(10, 100_000);
        // Each high score again 20 windows later: two alarms by votes alone, and one that is held.
        let twice: Vec<f64> =
            (0..100_000).map(|at| single[at].max(if at < 20 { 0.0 } else { single[at - 20] })).collect();
        let (single, twice) = (apart(&single), apart(&twice));
        assert!(single.apart > 0.8, "{}", single.apart);
        assert!((0.35..0.7).contains(&twice.apart), "{}", twice.apart);
        // Where they are one, that many fewer may be raised.
        let lower = |found: FalseAlarms| {
            found.interval(1e-4, None).0 / FalseAlarms { apart: 1.0, ..found }.interval(1e-4, None).0
        };
        assert!((lower(twice) - twice.apart).abs() < 1e-12);
    }

    #[test]
    fn both_tests_intervals_make_one() {
        let found = FalseAlarms::of(&independent(11, 50_000), &[], VOTES[1]).unwrap();
        let tail = vae_core::Tail { start: 10.0, rate: 1e-3, scale: 14.0, shape: 1.0, base: 1.0 };
        // Alarms of the cumulative sum that are known to a tenth, as all models are: the interval is about that of their three quarters.
        let known = Changes { tail, count: 1e12, dispersion: 1.0, doubt: 0.0, windows: 1e12 };
        let (least, most) = found.interval(1e-3 / 0.75, Some(&known));
        let (alone_least, alone_most) = found.interval(1e-3 / 3.0, None);
        let tenth = libm::exp(1.645f64 * 0.1);
        assert!((least - (alone_least + 1e-3 / tenth)).abs() < 1e-12);
        let (by_votes, by_changes) = (alone_most - 1e-3 / 3.0, 1e-3 * (tenth - 1.0));
        assert!((most - 1e-3 / 0.75 - (by_votes.powi(2) + by_changes.powi(2)).sqrt()).abs() < 1e-9);
        // As is all that they have in common, without which nothing is wider.
        let unknown = Changes { dispersion: 1e12, ..known };
        assert!(found.interval(1e-3, Some(&unknown)).1 > 2.0 * found.interval(1e-3, Some(&known)).1);
    }

    #[test]
    fn too_little_is_refused_with_what_is_needed() {
        let error = FalseAlarms::of(&independent(5, 600), &[], VOTES[2]).unwrap_err().to_string();
        assert!(error.contains("needed"), "{error}");
        assert!(FalseAlarms::of(&[1.0; 10_000], &[], VOTES[1]).is_err());
        assert!(FalseAlarms::of(&[f64::NAN; 10_000], &[], VOTES[1]).is_err());
        assert!(FalseAlarms::of::<f64>(&[], &[], VOTES[1]).is_err());
    }
}
