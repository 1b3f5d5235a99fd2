//! How often normal windows raise an alarm: the tail of their scores, extrapolated to rates rarer than the recording.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use vae_core::Alarms;

/// Highest rate of alarms (or windows) at which the tail may begin, per window.
const BODY: f64 = 0.02;

/// Fewest alarms above the threshold that a tail is fitted to.
const LEAST: f64 = 10.0;

/// Ratio of the counts at neighbouring levels; below 1.2 the fit is within 1 % of the one to every peak by itself.
const STEP: f64 = 1.1;

/// Standard deviation of the shape before the data have spoken; its mean is 1, the exponential tail.
///
/// At a threshold of 2 % it says ±0.13 about the generalised-Pareto shape, as in the prior of Martins & Stedinger (2000).
const PRIOR: f64 = 0.5;

/// Standard deviations from the middle of a normal distribution to the ends of its central 90 %.
const NINETY_PERCENT: f64 = 1.645;

/// Times the requested rate that the upper end of the interval may be for the request to count as supported.
pub const TOLERANCE: f64 = 10.0;

/// When windows above a threshold are an alarm: raised by `raise` of the last `of`, cleared when none of the last `of` is.
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

    /// In how many ways independent rare windows raise an alarm: which of the windows before the last one are above.
    fn ways(self) -> f64 {
        (1..self.raise).map(|k| (self.of - k) as f64 / k as f64).product()
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

/// The rate at which a score is exceeded, above a threshold: four numbers, which the device has too.
///
/// `ln rate_above(x) = ln(rate) · (1 + shape (x − threshold) / scale)^(1 / shape)`. A shape of 1 is an exponential tail, ½ a
/// Gaussian's, above 1 heavier than exponential; below 0 the score is bounded.
///
/// # Source
/// C. de Valk (2016), *Approximation and estimation of very small probabilities of multivariate extreme events*, Extremes
/// 19: the generalised Weibull tail. It is the generalised Pareto tail with the logarithm of the rate in the place of the
/// rate, `rate_above(x) = rate^G` for `rate / G`, and with it rates of many orders of magnitude less are reached with
/// less bias: a Pareto fitted to the highest 2 % of Gaussian scores raises 7.7 alarms for each one that is asked for at
/// 3·10⁻⁸ per window, this one 1.15.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// The score at which the tail begins.
    pub threshold: f64,
    /// How often the threshold is exceeded, per window; below 1.
    pub rate: f64,
    /// How much the score rises as the logarithm of the rate doubles, roughly; above 0.
    pub scale: f64,
    /// Power of the logarithm of the rate with which the score rises.
    pub shape: f64,
    /// The rate that logarithms are relative to: in how many ways rare windows raise an alarm, 1 for windows.
    pub ways: f64,
}

impl Tail {
    /// How often a score of `x` or more occurs, per window, for `x` at or above the threshold.
    #[must_use]
    pub fn rate_above(&self, x: f64) -> f64 {
        self.ways * ((self.rate / self.ways).ln() * self.growth((x - self.threshold) / self.scale)).exp()
    }

    /// The score that is exceeded at `rate` per window, for rates at or below the threshold's.
    #[must_use]
    pub fn level(&self, rate: f64) -> f64 {
        let growth = ((rate / self.ways).ln() / (self.rate / self.ways).ln()).ln();
        let z = if self.shape.abs() < 1e-9 { growth } else { (self.shape * growth).exp_m1() / self.shape };
        self.threshold + self.scale * z
    }

    /// `(1 + shape z)^(1 / shape)`: by how much the logarithm of the rate has grown.
    fn growth(&self, z: f64) -> f64 {
        if self.shape.abs() < 1e-9 {
            z.exp()
        } else if self.shape * z <= -1.0 {
            f64::INFINITY
        } else {
            ((self.shape * z).ln_1p() / self.shape).exp()
        }
    }

    /// Derivatives of `ln growth` to `ln scale` and to the shape.
    fn slopes(&self, z: f64) -> [f64; 2] {
        let (shape, product) = (self.shape, self.shape * z);
        let by_scale = -z / (1.0 + product);
        // Two terms that cancel; the first terms of the series in their place where they do.
        let by_shape = if product.abs() < 1e-4 {
            z * z * (2.0 / 3.0 * product - 0.5)
        } else {
            (z / (1.0 + product) - product.ln_1p() / shape) / shape
        };
        [by_scale, by_shape]
    }
}

/// How often each of some ascending levels is exceeded.
struct Curve {
    windows: f64,
    ways: f64,
    levels: Vec<f64>,
    counts: Vec<f64>,
}

impl Curve {
    /// Counts alarms, by the votes, at levels in the upper 2 % of the statistic that they are raised by.
    fn of_alarms(scores: &[f64], votes: Votes) -> Result<Self> {
        let statistics = votes.statistics(scores);
        let mut raises: Vec<f64> = statistics.iter().map(|statistic| statistic.raises).collect();
        let levels = levels(&mut raises)?;
        // Only the windows that matter at the lowest level, and one that clears the alarm in the place of all others.
        let mut kept = Vec::new();
        for group in statistics.chunk_by(|a, b| (a.stays >= levels[0]) == (b.stays >= levels[0])) {
            if group[0].stays >= levels[0] { kept.extend_from_slice(group) } else { kept.push(Statistic::NONE) }
        }
        let counts = levels.iter().map(|&level| raised(&kept, level) as f64).collect();
        Ok(Self { windows: scores.len() as f64, ways: votes.ways(), levels, counts })
    }

    /// Counts windows, at levels in the upper 2 %.
    fn of_windows(scores: &[f64]) -> Result<Self> {
        let mut sorted = scores.to_vec();
        let levels = levels(&mut sorted)?;
        sorted.retain(|score| *score >= levels[0]);
        sorted.sort_by(f64::total_cmp);
        let above = |level: &f64| (sorted.len() - sorted.partition_point(|score| score < level)) as f64;
        let counts = levels.iter().map(above).collect();
        Ok(Self { windows: scores.len() as f64, ways: 1.0, levels, counts })
    }

    /// What a recording of `windows` would count if `tail` were the truth.
    fn expected(tail: &Tail, windows: f64) -> Self {
        let mut count = most(windows);
        let (mut levels, mut counts) = (Vec::new(), Vec::new());
        while count >= 1.0 {
            levels.push(tail.level(count / windows));
            counts.push(count);
            count /= STEP;
        }
        Self { windows, ways: tail.ways, levels, counts }
    }

    /// Drops the levels below the threshold, which is the lowest with at most [`most`] counts and, where alarms run
    /// together at low levels, not below the level with the most of them.
    fn above_threshold(mut self) -> Self {
        let (counts, most) = (&self.counts, most(self.windows));
        let peak = (0..counts.len()).max_by(|&a, &b| counts[a].total_cmp(&counts[b])).unwrap_or(0);
        let start = (peak..counts.len()).find(|&index| counts[index] <= most).unwrap_or(counts.len());
        self.levels.drain(..start);
        self.counts.drain(..start);
        // Alarms that part into two at a higher level are rare here; a count that rises has no likelihood.
        let mut least = 0.0f64;
        for count in self.counts.iter_mut().rev() {
            least = least.max(*count);
            *count = least;
        }
        self
    }

    /// The tail of maximum product of spacings, and the inverse of its information on `ln scale` and shape.
    fn fit(&self) -> Result<(Tail, [[f64; 2]; 2])> {
        let (&threshold, &count) =
            self.levels.first().zip(self.counts.first()).context("no scores above a threshold")?;
        let steps = self.levels.windows(2).zip(&self.counts[1..]);
        let mean_excess = steps.map(|(pair, count)| (pair[1] - pair[0]) * count).sum::<f64>() / count;
        let rate = count / self.windows;
        ensure!(rate < 1.0 && mean_excess > 0.0, "the highest scores are all the same: {threshold}");
        // An exponential tail to begin with.
        let scale = -(rate / self.ways).ln() * mean_excess;
        let mut tail = Tail { threshold, rate, scale, shape: 1.0, ways: self.ways };
        let mut point = self.likelihood(&tail);
        for _ in 0..200 {
            let covariance = inverse(point.information)?;
            let step = covariance.map(|row| row[0] * point.gradient[0] + row[1] * point.gradient[1]);
            if step[0].abs() + step[1].abs() < 1e-7 {
                return Ok((tail, covariance));
            }
            let mut length = 1.0;
            loop {
                let scale = tail.scale * (length * step[0]).exp();
                let next = Tail { scale, shape: tail.shape + length * step[1], ..tail };
                let there = self.likelihood(&next);
                if there.value >= point.value {
                    (tail, point) = (next, there);
                    break;
                }
                length /= 2.0;
                // Rounding, not the likelihood, decides over steps as short.
                if length < 1e-6 {
                    return Ok((tail, covariance));
                }
            }
        }
        bail!("the tail of the scores could not be fitted")
    }

    /// Logarithm of the product of spacings and of the prior, its gradient, and the expected information.
    fn likelihood(&self, tail: &Tail) -> Likelihood {
        let y = -(tail.rate / tail.ways).ln();
        // Chance to be above a level given that the threshold is exceeded, and its derivatives.
        let survival = |level: f64| {
            let z = (level - tail.threshold) / tail.scale;
            let growth = tail.growth(z);
            let above = (-y * (growth - 1.0)).exp();
            (above, tail.slopes(z).map(|slope| -above * y * growth * slope))
        };
        let distance = (tail.shape - 1.0) / PRIOR;
        let mut likelihood = Likelihood {
            value: -distance * distance / 2.0,
            gradient: [0.0, -distance / PRIOR],
            information: [[0.0, 0.0], [0.0, 1.0 / (PRIOR * PRIOR)]],
        };
        let total = self.counts[0];
        let (mut above, mut slopes) = (1.0, [0.0; 2]);
        for (index, count) in self.counts.iter().enumerate() {
            let (next, next_slopes) = self.levels.get(index + 1).map_or((0.0, [0.0; 2]), |level| survival(*level));
            let within = count - self.counts.get(index + 1).copied().unwrap_or(0.0);
            let chance: f64 = above - next;
            if !(chance > 0.0) {
                return Likelihood { value: f64::NEG_INFINITY, ..likelihood };
            }
            likelihood.value += within * chance.ln();
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

struct Likelihood {
    value: f64,
    gradient: [f64; 2],
    information: [[f64; 2]; 2],
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

/// Most alarms that a tail is fitted to.
///
/// All of the upper 2 % up to 10⁵ windows; above, fewer in proportion, so that bias falls along with the variance.
fn most(windows: f64) -> f64 {
    (BODY * windows).min(windows.powf(2.0 / 3.0))
}

/// Distinct ascending values among the highest 2 %, at ranks that fall by [`STEP`]; reorders the values.
fn levels(values: &mut [f64]) -> Result<Vec<f64>> {
    let highest = (BODY * values.len() as f64) as usize;
    ensure!(
        highest as f64 >= LEAST,
        "{} windows of normal data, of which the highest {highest} are the tail: at least {:.0} windows are needed",
        values.len(),
        LEAST / BODY
    );
    let start = values.len() - highest;
    values.select_nth_unstable_by(start, f64::total_cmp);
    let top = &mut values[start..];
    top.sort_by(|a, b| b.total_cmp(a));
    let (mut levels, mut rank) = (Vec::new(), 1);
    while rank <= top.len() {
        levels.push(top[rank - 1]);
        rank = (rank + 1).max((rank as f64 * STEP) as usize);
    }
    levels.dedup();
    levels.reverse();
    Ok(levels)
}

fn inverse([[a, b], [c, d]]: [[f64; 2]; 2]) -> Result<[[f64; 2]; 2]> {
    let determinant = a * d - b * c;
    ensure!(determinant > 0.0 && determinant.is_finite(), "the highest scores do not determine a tail");
    Ok([[d / determinant, -b / determinant], [-c / determinant, a / determinant]])
}

/// A tail with what it was fitted to.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The tail of greatest likelihood.
    pub tail: Tail,
    /// Windows of normal data.
    pub windows: f64,
    /// Alarms (or windows) above the tail's threshold.
    pub count: f64,
    /// Of `ln scale` and the shape.
    covariance: [[f64; 2]; 2],
}

impl Fit {
    /// Fits how often an alarm is raised, to the scores of normal windows in the order of time, higher more anomalous.
    ///
    /// Alarms are counted at each level as the device would raise and clear them, so that whatever makes neighbouring windows
    /// alike is measured.
    ///
    /// # Errors
    /// If a score is not finite, or they are too few or too much alike to have a tail.
    pub fn of_alarms(scores: &[f64], votes: Votes) -> Result<Self> {
        ensure!(scores.iter().all(|score| score.is_finite()), "a score is not finite");
        Self::of(Curve::of_alarms(scores, votes)?)
    }

    /// Fits how often a single window is as anomalous: the p-values of the rare windows.
    ///
    /// # Errors
    /// If a score is not finite, or they are too few or too much alike to have a tail.
    pub fn of_windows(scores: &[f64]) -> Result<Self> {
        ensure!(scores.iter().all(|score| score.is_finite()), "a score is not finite");
        Self::of(Curve::of_windows(scores)?)
    }

    fn of(curve: Curve) -> Result<Self> {
        let curve = curve.above_threshold();
        let count = curve.counts.first().copied().unwrap_or(0.0);
        ensure!(
            count >= LEAST,
            "{} windows of normal data have {count} alarms in their highest {} %: at least {LEAST} are needed",
            curve.windows,
            100.0 * BODY
        );
        let (tail, covariance) = curve.fit()?;
        Ok(Self { tail, windows: curve.windows, count, covariance })
    }

    /// The rates per window, with a confidence of 90 %, that the level for `rate` really has.
    #[must_use]
    pub fn interval(&self, rate: f64) -> (f64, f64) {
        let tail = &self.tail;
        let z = (tail.level(rate) - tail.threshold) / tail.scale;
        let growth = tail.growth(z);
        let [by_scale, by_shape] = tail.slopes(z).map(|slope| (rate / tail.ways).ln() * slope);
        let [[v, c], [_, w]] = self.covariance;
        // The count above the threshold is Poisson; by it moves the rate while the scores' spread about it stays.
        let by_rate = growth * (1.0 + tail.slopes(z)[0]);
        let variance = v * by_scale * by_scale
            + 2.0 * c * by_scale * by_shape
            + w * by_shape * by_shape
            + by_rate * by_rate / self.count;
        let factor = (NINETY_PERCENT * variance.sqrt()).exp();
        (rate / factor, rate * factor)
    }
}
