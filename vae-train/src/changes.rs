//! Small lasting changes: how high the cumulative sum of normal scores rises, and how fast averages may follow them.

use vae_core::{ALLOWANCE, Alarm, AlarmRule, Calibration, Tail, Votes};

/// The highest share of the peaks of the cumulative sum, and the fewest, that its tail is fitted to. Where a machine has noise of its own in
/// each window beside what changes slowly, most peaks are the noise's, and the highest fall more slowly.
const HIGHEST: f64 = 0.05;
const LEAST: f64 = 20.0;
/// Ratio of the numbers of peaks that are tried.
const STEP: f64 = 1.5;
/// Standard errors by which fewer peaks must fall more slowly to be believed.
const ERRORS: f64 = 2.0;

/// Independent windows' worth of the recording for each of them.
const APART: f64 = 20.0;

/// Independent windows' worth that a recording needs for a sequential test.
pub(crate) const NEEDED: f64 = 1000.0;

/// Peaks' worth of what is known of the tail without them: that it falls as that of a random walk of the recording's dependence.
const KNOWN: f64 = 16.0;

/// The recording is so many memories long at least, and wherever it may be.
const MEMORIES: (f64, f64) = (20.0, 50.0);
/// Windows beyond which a memory is only longer where it must be.
const LONGEST: f64 = 4096.0;
/// A memory is so many times as long as the sequential test takes for what it is made for.
const DELAYS: f64 = 4.0;

/// Standard deviations of an average's own path beyond which it is said to drift.
const LIMIT: f64 = 4.2;
/// Standard errors by which this deviation is taken to be larger than it was found.
const CAUTION: f64 = 1.645;

/// The windows in which averages follow a slow drift; none where the recording is too short for any. `rate` is that of the sequential test's
/// false alarms per window.
#[must_use]
pub fn memory(windows: usize, dependence: f64, rate: f64) -> Option<f64> {
    let memory = (windows as f64 / MEMORIES.1).min(LONGEST).max(least_memory(dependence, rate));
    (memory * MEMORIES.0 <= windows as f64).then_some(memory)
}

/// Windows that a recording needs for a memory.
#[must_use]
pub fn windows_for_memory(dependence: f64, rate: f64) -> f64 {
    MEMORIES.0 * least_memory(dependence, rate)
}

fn least_memory(dependence: f64, rate: f64) -> f64 {
    let k = f64::from(ALLOWANCE);
    let delay = dependence * -rate.ln() / (2.0 * k * k);
    DELAYS * delay
}

/// What multiplies the root mean square of an average's path along a recording to make its limit.
///
/// `unit` is what the path's root mean square would be, times √memory, of independent windows: it is not taken to be less than that, since
/// what stands still while an alarm is in doubt appears to move less than it can.
#[must_use]
pub fn limit(path: impl Iterator<Item = f64>, unit: f64, windows: usize, memory: f64, dependence: f64) -> f64 {
    let settled: Vec<f64> = path.skip(memory as usize).collect();
    let squares = settled.iter().map(|value| value * value).sum::<f64>() / settled.len().max(1) as f64;
    let independent = windows as f64 / (2.0 * (memory + dependence));
    let least = unit * (dependence / memory).sqrt();
    LIMIT * squares.sqrt().max(least) * (1.0 + CAUTION / (2.0 * independent).sqrt())
}

/// What a recording's scores go through on the device, as long as no alarm is raised.
pub struct Path {
    /// The highest cumulative sum of each stretch that it was above 0.
    pub peaks: Vec<f64>,
    /// After each window: the shift of the scores, the widening of their spread, and whether averages followed.
    pub shifts: Vec<f64>,
    /// Likewise.
    pub widenings: Vec<f64>,
    /// Likewise.
    pub learning: Vec<bool>,
}

impl Path {
    /// Runs the device's own alarm over −scores, with averages that stand still where one with this limit would be in doubt.
    #[must_use]
    pub fn of(nats: &[f32], calibration: &Calibration<'_>, limit: f64) -> Self {
        let rule = AlarmRule::new(calibration, f32::MAX, 0.0).without_alarms(limit as f32);
        let mut alarm = Alarm::new(SINGLE);
        let mut path = Self { peaks: Vec::new(), shifts: Vec::new(), widenings: Vec::new(), learning: Vec::new() };
        let mut peak = 0.0f64;
        for nats in nats {
            alarm.push(*nats, &rule, calibration);
            let change = f64::from(alarm.change());
            if change > 0.0 {
                peak = peak.max(change);
            } else if peak > 0.0 {
                path.peaks.push(peak);
                peak = 0.0;
            }
            let (shift, widening) = alarm.drift();
            path.shifts.push(shift.into());
            path.widenings.push(f64::from(widening) - 1.0);
            path.learning.push(alarm.is_learning(&rule));
        }
        path
    }
}

const SINGLE: Votes = match Votes::new(1, 1) {
    Some(votes) => votes,
    None => unreachable!(),
};

/// How often the cumulative sum of a recording's scores rises above a level, per window.
#[derive(Clone, Copy, Debug)]
pub struct Changes {
    /// Exponential.
    pub tail: Tail,
    /// Peaks that it was fitted to.
    pub count: f64,
}

impl Changes {
    /// Fits the exponential tail of the highest peaks, of as many as fall alike; none where they are too few.
    ///
    /// # Source
    /// D. L. Iglehart (1972), *Extreme values in the GI/G/1 queue*, Annals of Mathematical Statistics 43: the maxima of a reflected walk's
    /// cycles have exponential tails.
    #[must_use]
    pub fn of(peaks: &[f64], windows: usize, dependence: f64) -> Option<Self> {
        if (windows as f64) < NEEDED * dependence {
            return None;
        }
        let mut sorted = peaks.to_vec();
        sorted.sort_by(f64::total_cmp);
        let most = (HIGHEST * sorted.len() as f64).min(windows as f64 / (APART * dependence));
        let counts = std::iter::successors(Some(most.max(LEAST)), |count| Some(count / STEP));
        let fits = counts.take_while(|count| *count >= LEAST).filter_map(|count| Fit::of(&sorted, count as usize));
        let fit = fits.min_by(|a, b| a.least_decay().total_cmp(&b.least_decay()))?;
        let walk = 2.0 * f64::from(ALLOWANCE) / dependence;
        // The peaks' word alone where it is the more cautious.
        let decay = if fit.decay > walk {
            let weight = fit.count / (fit.count + KNOWN);
            fit.decay.powf(weight) * walk.powf(1.0 - weight)
        } else {
            fit.decay
        };
        let rate = fit.count / windows as f64;
        let [start, rate, scale] = [fit.start, rate, -rate.ln() / decay].map(|value| value as f32);
        let tail = Tail { start, rate, scale, shape: 1.0, base: 1.0 };
        Some(Self { tail, count: fit.count })
    }

    /// Variance of the logarithm of the rate at the level for `rate`.
    #[must_use]
    pub fn variance(&self, rate: f64) -> f64 {
        let further = (f64::from(self.tail.rate) / rate).ln();
        (1.0 + further * further) / self.count
    }
}

/// The exponential tail of the highest peaks.
struct Fit {
    start: f64,
    decay: f64,
    count: f64,
}

impl Fit {
    /// By ascending peaks; none where there are not more.
    fn of(sorted: &[f64], count: usize) -> Option<Self> {
        let (start, above) = sorted.get(sorted.len().checked_sub(count + 1)?..)?.split_first()?;
        let excess = above.iter().map(|peak| peak - start).sum::<f64>() / count as f64;
        (excess > 0.0).then(|| Self { start: *start, decay: excess.recip(), count: count as f64 })
    }

    /// What makes the highest peaks the less frequent the fewer they are may be chance: so many standard errors of it.
    fn least_decay(&self) -> f64 {
        self.decay * (1.0 + ERRORS / self.count.sqrt())
    }
}
