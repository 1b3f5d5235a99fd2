//! How often m of n windows have a high score, from how often one has.

use std::collections::VecDeque;

use anyhow::{Context, Result, ensure};
use vae_core::Votes;

use crate::{
    calibration::tail_fit::{LEAST, levels, most},
    statistics::{
        pieces::pieces,
        rhythm::{dispersion_of_counts, part_length},
    },
};

/// Highest rate of windows above the levels from which the dependence between windows is learned.
pub(crate) const TOGETHER: f64 = 0.1;

/// Most alarms that it is learned from: the power is then known to a hundredth, and rarer alarms are closer to the limit.
pub(crate) const ALARMS: f64 = 1e4;

/// It is learned from the highest share of the alarms, but from so many if there are.
const HIGHEST: f64 = 0.05;
const ENOUGH: f64 = 60.0;

/// m of n votes, of windows above a level.
#[derive(Clone, Copy)]
struct Rule {
    raise: usize,
    of: usize,
}

impl From<Votes> for Rule {
    fn from(votes: Votes) -> Self {
        let (raise, of) = votes.rule();
        Self { raise: raise as usize, of: of as usize }
    }
}

impl Rule {
    /// How many windows must not be above a level, on average, for m that are to be a new alarm.
    ///
    /// Independent windows, each above with chance p, raise `C(n−1, m−1) p^m (1 − quiet p + O(p²))` alarms: the other n − m
    /// of the last n are not above, nor those before that would have made an alarm with the earlier m − 1 of the m, which
    /// is as many as the latest of these m − 1 lies back, n / m on average; but one if m is 1.
    fn quiet(self) -> f64 {
        let (m, n) = (self.raise as f64, self.of as f64);
        n - m + if self.raise == 1 { 1.0 } else { n / m }
    }

    /// At each window, the highest level that raises an alarm and the highest at which a raised one stays. No vote counts in another recording,
    /// of which one begins with each of `starts`.
    fn statistics<S: Copy + Into<f64>>(self, scores: &[S], starts: &[usize]) -> impl Iterator<Item = Statistic> {
        pieces(starts, scores.len()).flat_map(move |piece| self.of_recording(&scores[piece]))
    }

    /// [`Self::statistics`] of one recording.
    fn of_recording<S: Copy + Into<f64>>(self, scores: &[S]) -> impl Iterator<Item = Statistic> {
        let (mut last, mut sorted) = (VecDeque::with_capacity(self.of), Vec::with_capacity(self.of));
        scores.iter().enumerate().map(move |(window, score)| {
            let score: f64 = (*score).into();
            if last.len() == self.of
                && let Some(oldest) = last.pop_front()
            {
                sorted.remove(sorted.partition_point(|other| *other > oldest));
            }
            last.push_back(score);
            sorted.insert(sorted.partition_point(|other| *other > score), score);
            let raises = sorted.get(self.raise - 1).copied().unwrap_or(f64::NEG_INFINITY);
            Statistic { raises, stays: sorted[0], is_first: window == 0 }
        })
    }
}

#[derive(Clone, Copy)]
struct Statistic {
    raises: f64,
    stays: f64,
    /// Of its recording, with which no alarm is raised yet.
    is_first: bool,
}

/// Alarms raised at `level`.
fn raised(statistics: &[Statistic], level: f64) -> usize {
    let mut alarms = Raised { level, alarm: false, count: 0 };
    statistics.iter().for_each(|statistic| alarms.push(statistic));
    alarms.count
}

/// Alarms raised at a level by the windows so far.
struct Raised {
    level: f64,
    alarm: bool,
    count: usize,
}

impl Raised {
    fn push(&mut self, statistic: &Statistic) {
        self.alarm &= !statistic.is_first;
        if !self.alarm && statistic.raises >= self.level {
            self.alarm = true;
            self.count += 1;
        }
        self.alarm &= statistic.stays >= self.level;
    }
}

/// Alarms raised at `level` in each whole part of `windows` windows, as though none were raised before it.
fn raised_in_parts(statistics: impl Iterator<Item = Statistic>, windows: usize, level: f64) -> Vec<f64> {
    let length = part_length(windows);
    let mut counts = Vec::new();
    let mut alarms = Raised { level, alarm: false, count: 0 };
    for (window, statistic) in statistics.enumerate() {
        alarms.push(&statistic);
        if (window + 1).is_multiple_of(length) {
            counts.push(alarms.count as f64);
            alarms = Raised { level, alarm: false, count: 0 };
        }
    }
    counts
}

/// How alarms follow from windows: `alarms per window = base · (chance of a window)^power`.
///
/// # Source
/// A. W. Ledford & J. A. Tawn (1996), *Statistics for near independence in multivariate extreme values*, Biometrika 83:
/// the power is the inverse of their coefficient of tail dependence η. It is m for m of n independent windows and 1 for
/// windows that are high together however high.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VotesTail {
    pub(crate) base: f64,
    pub(crate) power: f64,
    /// Alarms per window at the lowest level that it was learned from, and their number.
    pub(crate) rate: f64,
    pub(crate) count: f64,
    /// Variance of the count for each one of a Poisson's.
    pub(crate) dispersion: f64,
}

impl VotesTail {
    /// Counts alarms at many levels, as votes alone would raise and clear them, and windows above the same levels; `starts` are the windows with
    /// which another recording begins.
    ///
    /// The power is B. M. Hill's (1975) estimate on the windows' ranks, so that the scores' distribution plays no part. It is
    /// at most m, the power of independent windows.
    pub(crate) fn of<S: Copy + Into<f64>>(scores: &[S], starts: &[usize], sorted: &[S], votes: Votes) -> Result<Self> {
        let windows = scores.len() as f64;
        let votes = Rule::from(votes);
        check_that_votes_fit(votes, scores.len(), starts)?;
        let lowest: f64 = sorted[sorted.len() - ((TOGETHER * windows) as usize).clamp(1, sorted.len())].into();
        // Only windows that matter at the lowest level, and one that clears the alarm in the place of each stretch of others.
        let mut kept: Vec<Statistic> = Vec::new();
        for statistic in votes.statistics(scores, starts) {
            let is_another = |last: &Statistic| statistic.stays >= lowest || last.stays >= lowest;
            if kept.last().is_none_or(is_another) {
                kept.push(statistic);
            }
        }
        let mut raises: Vec<f64> = kept.iter().map(|statistic| statistic.raises).collect();
        raises.retain(|level| *level >= lowest);
        raises.sort_by(f64::total_cmp);
        let levels = levels(&raises, raises.len());
        let counts: Vec<f64> = levels.iter().map(|&level| raised(&kept, level) as f64).collect();
        // At low levels alarms run together, and there are fewer of them.
        let peak = (0..counts.len()).max_by(|&a, &b| counts[a].total_cmp(&counts[b])).unwrap_or(0);
        let highest = HIGHEST * counts.get(peak).copied().unwrap_or(0.0);
        let most = highest.clamp(ENOUGH, ALARMS).min(most(windows));
        let start = (peak..counts.len()).find(|&index| counts[index] <= most).unwrap_or(counts.len());
        let (levels, counts) = (&levels[start..], &counts[start..]);
        let count = counts.first().copied().unwrap_or(0.0);
        ensure!(
            count >= LEAST,
            "{windows} windows of normal data raise {count} alarms at the threshold that {:.0} % of them fall below, and {LEAST} are \
             needed: {}",
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
            let chance =
                ((sorted.len() - sorted.partition_point(|score| (*score).into() < *level)) as f64 - 0.5) / windows;
            -libm::log(chance) - quiet * libm::log1p(-chance)
        };
        let rarities: Vec<f64> = levels.iter().map(rarity).collect();
        let areas = rarities.windows(2).zip(counts.windows(2)).map(|(y, n)| (y[1] - y[0]) * (n[0] + n[1]) / 2.0);
        let mean_excess = areas.sum::<f64>() / (count - 0.5);
        ensure!(mean_excess > 0.0, "the least normal windows all have the same score: give data whose scores vary");
        let power = mean_excess.recip().min(votes.raise as f64);
        let rate = count / windows;
        let (first, level) = rarities.first().zip(levels.first()).context("no levels")?;
        let in_parts = raised_in_parts(votes.statistics(scores, starts), scores.len(), *level);
        let dispersion = dispersion_of_counts(&in_parts);
        Ok(Self { base: rate * libm::exp(power * first), power, rate, count, dispersion })
    }
}

/// Refuses recordings none of which has as many windows as votes raise an alarm.
fn check_that_votes_fit(votes: Rule, windows: usize, starts: &[usize]) -> Result<()> {
    let longest = pieces(starts, windows).map(|piece| piece.len()).max().unwrap_or(0);
    ensure!(
        starts.is_empty() || longest >= votes.raise,
        "{} of {} windows are to raise an alarm, and the longest of {} pieces has {longest}: no vote counts in another one; ask for fewer \
         --votes, as in 1/1",
        votes.raise,
        votes.of,
        pieces(starts, windows).len()
    );
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    pub(crate) const SINGLE: Votes = Votes::new(1, 1).unwrap();
    pub(crate) const VOTES: [Votes; 3] = [SINGLE, Votes::new(2, 3).unwrap(), Votes::new(3, 5).unwrap()];

    /// Alarms at a level.
    pub(crate) fn raises(scores: &[f64], votes: Votes, level: f64) -> usize {
        raised(&Rule::from(votes).statistics(scores, &[]).collect::<Vec<_>>(), level)
    }

    fn independent(seed: u64, windows: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..windows).map(|_| -(0..4).map(|_| libm::log(rng.random::<f64>())).sum::<f64>()).collect()
    }

    /// Alarms per window of independent windows that are above a level with chance p: the stationary distribution of the last
    /// windows and the alarm, by iteration.
    pub(crate) fn exact_rate(p: f64, votes: Votes) -> f64 {
        let votes = Rule::from(votes);
        let histories = 1 << votes.of;
        let mut chance = vec![0.0; 2 * histories];
        chance[0] = 1.0;
        let mut rate = 0.0;
        for _ in 0..300 {
            let mut next = vec![0.0; 2 * histories];
            rate = 0.0;
            for (state, chance) in chance.iter().enumerate() {
                for (bit, p) in [(0, 1.0 - p), (1, p)] {
                    let history = ((state % histories) << 1 | bit) % histories;
                    let alarmed = state >= histories;
                    let raised = !alarmed && history.count_ones() as usize >= votes.raise;
                    rate += if raised { chance * p } else { 0.0 };
                    let alarm = usize::from((alarmed || raised) && history != 0);
                    next[history + alarm * histories] += chance * p;
                }
            }
            chance = next;
        }
        rate
    }

    #[test]
    fn votes_raise_and_clear() {
        let votes = Votes::new(2, 3).unwrap();
        // Raised by the two 9s; stays over the gap of two; cleared by three 0s; raised by the next pair.
        let scores = [9.0, 0.0, 9.0, 0.0, 0.0, 9.0, 9.0, 0.0, 0.0, 0.0, 9.0, 0.0, 9.0];
        let statistics: Vec<Statistic> = Rule::from(votes).statistics(&scores, &[]).collect();
        assert_eq!(raised(&statistics, 5.0), 2);
        assert_eq!(raised(&statistics, 9.0), 2);
        assert_eq!(raised(&statistics, 9.5), 0);
        assert_eq!(raises(&scores, SINGLE, 5.0), 5);
        // As the device's own votes do, at any level, where none of n clears an alarm.
        let scores = independent(7, 20_000);
        for (votes, level) in VOTES.into_iter().flat_map(|votes| [3.0, 5.0, 7.0].map(|level| (votes, level))) {
            let (mut core, mut is_raised, mut quiet, mut count) = (votes, false, u32::MAX, 0);
            for score in &scores {
                let enough = core.push(*score >= level);
                quiet = if *score >= level { 0 } else { quiet.saturating_add(1) };
                let (raised, cleared) = (is_raised || enough, quiet >= votes.rule().1);
                count += usize::from(raised && !is_raised);
                is_raised = raised && !cleared;
            }
            assert_eq!(raises(&scores, votes, level), count, "{votes:?} {level}");
        }
    }

    #[test]
    fn a_vote_counts_in_its_own_recording_only() {
        let votes = Votes::new(2, 3).unwrap();
        let rule = Rule::from(votes);
        // Two that are one behind the other, of which another recording holds the second.
        let scores = [0.0, 0.0, 9.0, 9.0, 0.0, 0.0, 0.0];
        let of = |scores: &[f64], starts: &[usize]| raised(&rule.statistics(scores, starts).collect::<Vec<_>>(), 5.0);
        let alarms = |starts: &[usize]| of(&scores, starts);
        assert_eq!([alarms(&[]), alarms(&[2]), alarms(&[3]), alarms(&[2, 3, 4])], [1, 1, 0, 0]);
        // An alarm ends with its recording: the same votes in the next raise another one.
        assert_eq!(of(&[9.0; 6], &[3]), 2);
        // As many as in each by itself, also of those that a fit looks at.
        let scores = independent(8, 20_000);
        let starts: Vec<usize> = (1..2000).map(|piece| 10 * piece).collect();
        let whole: Vec<Statistic> = rule.statistics(&scores, &starts).collect();
        for level in [4.0, 5.0, 6.0] {
            let apart: usize = scores.chunks(10).map(|piece| raises(piece, votes, level)).sum();
            let mut kept = whole.clone();
            kept.dedup_by(|a, b| a.stays < 4.0 && b.stays < 4.0);
            assert_eq!((raised(&whole, level), raised(&kept, level)), (apart, apart), "{level}");
            assert_ne!(apart, raises(&scores, votes, level), "{level}");
        }
        let message = check_that_votes_fit(rule, 5, &[1, 2, 3, 4]).unwrap_err().to_string();
        assert!(message.contains("the longest of 5 pieces has 1") && message.contains("--votes"), "{message}");
        assert!(check_that_votes_fit(rule, 5, &[1, 3, 4]).is_ok());
    }

    #[test]
    fn rarely_is_quiet_the_first_correction() {
        // 1 − rate / (C(n−1, m−1) p^m) is quiet · p up to p²; so is the difference below, in units of p.
        for (votes, ways) in VOTES.into_iter().zip([1.0, 2.0, 6.0]).chain([(Votes::new(2, 6).unwrap(), 5.0)]) {
            let rule = Rule::from(votes);
            let p = 1e-3f64;
            let loss = 1.0 - exact_rate(p, votes) / (ways * p.powi(rule.raise as i32));
            assert!((loss / p - rule.quiet()).abs() < 0.02 * rule.quiet(), "{votes:?}: {}", loss / p);
        }
    }
}
