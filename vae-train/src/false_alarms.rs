//! "At most one false alarm per week": the level for it, how well it is known, and whether the recording supports it.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use vae_core::Alarms;

use crate::tail::{LEAST, Tail, TailFit, levels};

/// Highest rate of windows above the levels from which the dependence between windows is learned.
const TOGETHER: f64 = 0.1;

/// Highest rate of alarms at those levels, per window.
const OFTEN: f64 = 0.02;

/// Standard deviations from the middle of a normal distribution to the ends of its central 90 %.
const NINETY_PERCENT: f64 = 1.645;

/// Times the requested rate that the upper end of the interval may be for the request to count as supported: beyond an
/// order of magnitude, "one per week" may as well be more than one per day.
pub const TOLERANCE: f64 = 10.0;

/// When windows above a level are an alarm: raised when `raise` of the last `of` are, cleared when none of the last `of` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Votes {
    raise: usize,
    of: usize,
}

impl Votes {
    /// Every window by itself.
    pub const SINGLE: Self = Self { raise: 1, of: 1 };

    /// `raise` of the last `of` windows.
    ///
    /// # Errors
    /// Unless 1 ≤ `raise` ≤ `of` ≤ 32.
    pub fn new(raise: usize, of: usize) -> Result<Self> {
        ensure!(1 <= raise && raise <= of && of <= 32, "votes must be m of n with 1 ≤ m ≤ n ≤ 32, not {raise} of {of}");
        Ok(Self { raise, of })
    }

    /// How many windows must not be above a level, on average, for m that are to be a new alarm.
    ///
    /// Independent windows, each above with chance p, raise `C(n−1, m−1) p^m (1 − quiet p + O(p²))` alarms: the other n − m
    /// of the last n are not above, nor those before that would have made an alarm with the earlier m − 1 of the m, which
    /// is as many as the latest of these m − 1 lies back, n / m on average; but one if m is 1.
    fn quiet(self) -> f64 {
        let (m, n) = (self.raise as f64, self.of as f64);
        n - m + if self.raise == 1 { 1.0 } else { n / m }
    }

    /// At each window, the highest level that raises an alarm and the highest at which a raised one stays.
    fn statistics(self, scores: &[f64]) -> Vec<Statistic> {
        let (mut last, mut sorted) = (VecDeque::with_capacity(self.of), Vec::with_capacity(self.of));
        let statistics = scores.iter().map(|&score| {
            if last.len() == self.of
                && let Some(oldest) = last.pop_front()
            {
                sorted.remove(sorted.partition_point(|other| *other > oldest));
            }
            last.push_back(score);
            sorted.insert(sorted.partition_point(|other| *other > score), score);
            let raises = sorted.get(self.raise - 1).copied().unwrap_or(f64::NEG_INFINITY);
            Statistic { raises, stays: sorted[0] }
        });
        statistics.collect()
    }
}

#[derive(Clone, Copy)]
struct Statistic {
    raises: f64,
    stays: f64,
}

impl Statistic {
    const NONE: Self = Self { raises: f64::NEG_INFINITY, stays: f64::NEG_INFINITY };
}

/// Alarms raised at `level`.
fn raised(statistics: &[Statistic], level: f64) -> usize {
    let (mut alarm, mut count) = (false, 0);
    for statistic in statistics {
        if !alarm && statistic.raises >= level {
            alarm = true;
            count += 1;
        }
        alarm &= statistic.stays >= level;
    }
    count
}

/// How alarms follow from windows: `alarms per window = base · (chance of a window)^power`.
///
/// # Source
/// A. W. Ledford & J. A. Tawn (1996), *Statistics for near independence in multivariate extreme values*, Biometrika 83:
/// the power is the inverse of their coefficient of tail dependence η. It is m for m of n independent windows and 1 for
/// windows that are high together however high.
#[derive(Clone, Copy, Debug)]
struct Dependence {
    base: f64,
    power: f64,
    /// Alarms per window at the lowest level that it was learned from, and their number.
    rate: f64,
    count: f64,
}

impl Dependence {
    /// Counts alarms at many levels, as the device would raise and clear them, and windows above the same levels.
    ///
    /// The power is B. M. Hill's (1975) estimate on the windows' ranks, so that the scores' distribution plays no part. It is
    /// at most m, the power of independent windows.
    fn of(scores: &[f64], sorted: &[f64], votes: Votes) -> Result<Self> {
        let windows = scores.len() as f64;
        let mut statistics = votes.statistics(scores);
        let lowest = sorted[sorted.len() - ((TOGETHER * windows) as usize).clamp(1, sorted.len())];
        // Only windows that matter at the lowest level, and one that clears the alarm in the place of each stretch of others.
        statistics.iter_mut().filter(|statistic| statistic.stays < lowest).for_each(|other| *other = Statistic::NONE);
        statistics.dedup_by(|a, b| a.stays < lowest && b.stays < lowest);
        let mut raises: Vec<f64> = statistics.iter().map(|statistic| statistic.raises).collect();
        raises.retain(|level| *level >= lowest);
        raises.sort_by(f64::total_cmp);
        let levels = levels(&raises, raises.len());
        let counts: Vec<f64> = levels.iter().map(|&level| raised(&statistics, level) as f64).collect();
        // At low levels alarms run together, and there are fewer of them.
        let peak = (0..counts.len()).max_by(|&a, &b| counts[a].total_cmp(&counts[b])).unwrap_or(0);
        let start = (peak..counts.len()).find(|&index| counts[index] <= OFTEN * windows).unwrap_or(counts.len());
        let (levels, counts) = (&levels[start..], &counts[start..]);
        let count = counts.first().copied().unwrap_or(0.0);
        ensure!(
            count >= LEAST,
            "{windows} windows of normal data raise {count} alarms at the level that {:.0} % of them exceed: {}",
            100.0 * TOGETHER,
            if count > 0.0 {
                format!("about {:.0} windows are needed", windows * LEAST / count)
            } else {
                "many more are needed".to_owned()
            }
        );
        let quiet = votes.quiet() / votes.raise as f64;
        let rarity = |level: &f64| {
            // The logarithm of a rank's chance is, on average, that of half a rank less.
            let chance = ((sorted.len() - sorted.partition_point(|score| score < level)) as f64 - 0.5) / windows;
            -chance.ln() - quiet * (-chance).ln_1p()
        };
        let rarities: Vec<f64> = levels.iter().map(rarity).collect();
        let areas = rarities.windows(2).zip(counts.windows(2)).map(|(y, n)| (y[1] - y[0]) * (n[0] + n[1]) / 2.0);
        let mean_excess = areas.sum::<f64>() / (count - 0.5);
        ensure!(mean_excess > 0.0, "the highest scores of the normal data are all the same");
        let power = mean_excess.recip().min(votes.raise as f64);
        let rate = count / windows;
        let first = rarities.first().context("no levels")?;
        Ok(Self { base: rate * (power * first).exp(), power, rate, count })
    }
}

/// How often normal windows raise alarms at a level.
#[derive(Clone, Copy, Debug)]
pub struct FalseAlarms {
    /// Windows of normal data.
    windows: f64,
    single: TailFit,
    /// Windows above the tail's threshold for each time that it is crossed.
    together: f64,
    dependence: Dependence,
}

impl FalseAlarms {
    /// Learns from the scores of held-out normal windows in the order of time, higher more anomalous.
    ///
    /// # Errors
    /// If a score is not finite, or they are too few or too much alike to tell; the error says how many are needed.
    pub fn of(scores: &[f64], votes: Votes) -> Result<Self> {
        ensure!(scores.iter().all(|score| score.is_finite()), "a score is not finite");
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let single = TailFit::of(&sorted)?;
        let crossings = raised(&Votes::SINGLE.statistics(scores), single.tail.threshold);
        let together = single.count / crossings.max(1) as f64;
        let dependence = Dependence::of(scores, &sorted, votes)?;
        Ok(Self { windows: scores.len() as f64, single, together, dependence })
    }

    /// The tail of single windows: chances as low as these are p-values.
    #[must_use]
    pub fn windows(&self) -> Tail {
        self.single.tail
    }

    /// The tail of alarms: how many are raised per window at a level, and the level for so many.
    #[must_use]
    pub fn alarms(&self) -> Tail {
        let Dependence { base, power, .. } = self.dependence;
        let tail = self.single.tail;
        Tail { rate: base * tail.rate.powf(power), base, ..tail }
    }

    /// Where, with a confidence of 90 %, the real rate of alarms is at the level for `rate`; all per window.
    #[must_use]
    pub fn interval(&self, rate: f64) -> (f64, f64) {
        let Dependence { base, power, count, .. } = self.dependence;
        let chance = (rate / base).powf(power.recip());
        let distance = (self.dependence.rate / rate).ln();
        // Neighbouring windows that are high together tell as much as one.
        let of_windows = power * power * self.together * self.single.variance(chance);
        let of_dependence = (1.0 + distance * distance) / count;
        let factor = (NINETY_PERCENT * (of_windows + of_dependence).sqrt()).exp();
        (rate / factor, rate * factor)
    }
}
