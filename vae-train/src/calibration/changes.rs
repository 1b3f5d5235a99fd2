//! Small lasting changes: how high the cumulative sum of normal scores rises, and how fast averages may follow them.

use vae_core::{ALLOWANCE, Alarm, AlarmRule, Calibration, Tail, Votes};

use crate::statistics::{pieces::pieces, rhythm::dispersion, walk::Walk};

/// The highest share of the peaks of the cumulative sum, most, and fewest, from which its tail is told: the fewer, the rarer they are, and the
/// nearer to what is asked for.
const HIGHEST: (f64, usize) = (0.05, 60);
const LEAST: usize = 20;

/// Independent windows' worth of the recording for each of them.
const APART: f64 = 20.0;

/// Independent windows' worth of a recording that is long enough for the cumulative sum to rise as it does where nothing cuts it off.
pub(crate) const LONG: f64 = 20.0;

/// Independent windows' worth that recordings of that length need together for a sequential test.
pub(crate) const NEEDED: f64 = 1000.0;

/// Peaks' worth of what is known of the tail's slope without them: that it is that of a Gaussian walk of the recording's dependence.
const KNOWN: f64 = 30.0;

/// Relative error of the slope that no recording takes away, where the tail falls faster than stated and where slower: ranks are bounded, so
/// that high rises are rarer than a Gaussian walk's, and the least of many estimates is too little.
const SLOPE: [f64; 2] = [0.2, 0.1];

/// Nats beyond its start at which the tail is as stated: about once a day and once a century, at one window a second.
const FURTHER: [f64; 2] = [5.0, 10.0];

/// Shapes of the tail: of what is near its end, and of what rises ever more easily.
const SHAPES: (f64, f64) = (0.05, 8.0);

/// Windows without a vote for which the device holds an alarm where they are independent, and how many times as many where they are not:
/// `1 + 0.35 ln τ`, at most four times as many. See [`Alarm`].
const HELD: (f64, f64, f64) = (60.0, 0.35, 4.0);

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

/// The windows in which averages follow a slow drift; none where the recordings are too short for any. Each of them begins anew, with so
/// many windows, and what counts is what comes after a memory. `rate` is that of the sequential test's false alarms per window.
#[must_use]
pub fn memory(lengths: &[usize], dependence: f64, rate: f64) -> Option<f64> {
    let windows = lengths.iter().sum::<usize>() as f64;
    let least = least_memory(dependence, rate);
    let longest = (windows / MEMORIES.1).min(LONGEST).max(least);
    [longest, least].into_iter().find(|memory| memory * MEMORIES.0 <= worth(lengths, *memory))
}

/// Windows of a single recording of which as many come after a memory as of these.
fn worth(lengths: &[usize], memory: f64) -> f64 {
    memory + lengths.iter().map(|windows| (*windows as f64 - memory).max(0.0)).sum::<f64>()
}

/// Windows that a recording needs for a memory.
#[must_use]
pub fn windows_for_memory(dependence: f64, rate: f64) -> f64 {
    MEMORIES.0 * least_memory(dependence, rate)
}

fn least_memory(dependence: f64, rate: f64) -> f64 {
    let k = f64::from(ALLOWANCE);
    let delay = dependence * -libm::log(rate) / (2.0 * k * k);
    DELAYS * delay
}

/// What multiplies the root mean square of an average's path along recordings to make its limit; `starts` are the windows with which another
/// one begins, and the average anew.
///
/// `unit` is what the path's root mean square would be, times √memory, of independent windows: it is not taken to be less than that, since
/// what stands still while an alarm is in doubt appears to move less than it can.
#[must_use]
pub fn limit<P: Copy + Into<f64>>(path: &[P], starts: &[usize], unit: f64, memory: f64, dependence: f64) -> f64 {
    let settled = || pieces(starts, path.len()).flat_map(|piece| path[piece].iter().skip(memory as usize));
    let squares =
        settled().map(|value| (*value).into() * (*value).into()).sum::<f64>() / settled().count().max(1) as f64;
    let lengths: Vec<usize> = pieces(starts, path.len()).map(|piece| piece.len()).collect();
    let independent = worth(&lengths, memory) / (2.0 * (memory + dependence));
    let least = unit * (dependence / memory).sqrt();
    LIMIT * squares.sqrt().max(least) * (1.0 + CAUTION / (2.0 * independent).sqrt())
}

/// What recordings' scores go through on the device, as long as no alarm is raised.
pub struct Path {
    /// The highest cumulative sum of each stretch that it was above 0.
    pub peaks: Vec<f64>,
    /// The shift of the scores after each window.
    pub shifts: Vec<f32>,
    /// The widening of the scores' spread after each window.
    pub widenings: Vec<Widening>,
    /// Whether averages followed, after each window.
    pub learning: Vec<bool>,
}

/// By which factor a spread has widened; as a number how much more than one it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Widening(f32);

impl From<Widening> for f64 {
    fn from(Widening(factor): Widening) -> Self {
        Self::from(factor) - 1.0
    }
}

impl Path {
    /// Runs the device's own alarm over −scores, anew over each recording, with averages that stand still where one with this limit would be
    /// in doubt. `starts` are the windows with which another recording begins.
    #[must_use]
    pub fn of(nats: &[f32], starts: &[usize], calibration: &Calibration<'_>, limit: f64) -> Self {
        let rule = AlarmRule::new(calibration, f32::MAX, 0.0).without_alarms(limit as f32);
        let mut alarm = Alarm::new(SINGLE);
        let mut path = Self { peaks: Vec::new(), shifts: Vec::new(), widenings: Vec::new(), learning: Vec::new() };
        let mut peak = 0.0f64;
        let mut starts = starts.iter().copied().peekable();
        for (window, nats) in nats.iter().enumerate() {
            if starts.next_if_eq(&window).is_some() {
                alarm.reset();
                // As high as it has come.
                path.peaks.extend((peak > 0.0).then_some(peak));
                peak = 0.0;
            }
            alarm.push(*nats, &rule, calibration);
            let change = f64::from(alarm.change());
            if change > 0.0 {
                peak = peak.max(change);
            } else if peak > 0.0 {
                path.peaks.push(peak);
                peak = 0.0;
            }
            let (shift, widening) = alarm.drift();
            path.shifts.push(shift);
            path.widenings.push(Widening(widening));
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
    /// A Weibull tail.
    pub tail: Tail,
    /// Peaks above its start.
    pub count: f64,
    /// Variance of their number for each one of a Poisson's.
    pub dispersion: f64,
    /// Variance of the logarithm of the tail's slope, between what the peaks and what the walk say.
    pub doubt: f64,
    /// Windows of the recording.
    pub windows: f64,
}

impl Changes {
    /// The tail of the highest peaks of the cumulative sum of windows with these p-values, in the order of time, of recordings that begin with
    /// the first one and with `starts`; none where they are too few. A recording that is too short for the sum to rise tells nothing.
    ///
    /// It falls as a Gaussian walk of the p-values' dependence does, the faster the smaller the mean excess of the peaks is: the peaks tell
    /// how often and, until short rises and long ones have changed places, not how much higher.
    #[must_use]
    pub fn of(peaks: &[f64], p_values: &[f64], starts: &[usize], dependence: f64) -> Option<Self> {
        let windows = p_values.len() as f64;
        if in_long_pieces(p_values.len(), starts, dependence) < NEEDED * dependence {
            return None;
        }
        let mut sorted = peaks.to_vec();
        sorted.sort_by(f64::total_cmp);
        let most = (HIGHEST.0 * sorted.len() as f64).min(windows / (APART * dependence)) as usize;
        let count = HIGHEST.1.min(most).max(LEAST);
        let (&start, above) = sorted.get(sorted.len().checked_sub(count + 1)?..)?.split_first()?;
        let (count, rate) = (count as f64, count as f64 / windows);
        let excess = above.iter().map(|peak| peak - start).sum::<f64>() / count;
        if start <= 0.0 || excess <= 0.0 {
            return None;
        }
        let walk = Walk::of(p_values, starts);
        let times = libm::log(walk.mean_excess(start) / excess);
        let weight = count / (count + KNOWN);
        let beyond = |nats: f64| walk.height(walk.nats(start) + nats / libm::exp(weight * times)) - start;
        let [near, far] = FURTHER.map(|nats| (1.0 - nats / libm::log(rate), beyond(nats)));
        let shape = shape(near, far);
        let scale = shape * near.1 / (libm::pow(near.0, shape) - 1.0);
        let dispersion = dispersion(peaks, |part| part.iter().filter(|peak| **peak > start).count());
        let doubt = weight * (1.0 - weight) * times * times;
        let [start, rate, scale, shape] = [start, rate, scale, shape].map(|value| value as f32);
        Some(Self { tail: Tail { start, rate, scale, shape, base: 1.0 }, count, dispersion, doubt, windows })
    }

    /// Variances of the logarithm of the rate at the level for `rate`: where it is lower than that, and where it is higher.
    #[must_use]
    pub fn variances(&self, rate: f64) -> [f64; 2] {
        let further = libm::log(f64::from(self.tail.rate) / rate);
        let slope = self.doubt + Walk::variance(self.tail.level(rate as f32).into(), self.windows);
        SLOPE.map(|error| self.dispersion / self.count + further * further * (slope + error * error))
    }
}

/// Of so many windows, those in recordings that are long enough for a sequential test.
fn in_long_pieces(windows: usize, starts: &[usize], dependence: f64) -> f64 {
    let lengths = pieces(starts, windows).map(|piece| piece.len() as f64);
    lengths.filter(|windows| *windows >= LONG * dependence).sum()
}

/// The shape of the Weibull tail through two points: how many times the logarithm of the rate has grown, and how far that is.
fn shape(near: (f64, f64), far: (f64, f64)) -> f64 {
    let (mut low, mut high) = SHAPES;
    for _ in 0..50 {
        let shape = 0.5 * (low + high);
        // Falls with the shape.
        let share = (libm::pow(near.0, shape) - 1.0) / (libm::pow(far.0, shape) - 1.0);
        if share > near.1 / far.1 { low = shape } else { high = shape }
    }
    low
}

/// Windows without a vote for which the device holds an alarm, about.
pub(crate) fn held(dependence: f64) -> f64 {
    let (windows, slope, most) = HELD;
    windows * (1.0 + slope * libm::log(dependence.max(1.0))).min(most)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::file::calibration::CalibrationRecord;

    /// p-values, each of which is kept for the next window with a chance, and the peaks of their cumulative sum.
    fn recording(seed: u64, windows: usize, kept: f64) -> (Vec<f64>, Vec<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut p, mut sum, mut peak) = (0.5, 0.0f64, 0.0f64);
        let (mut p_values, mut peaks) = (Vec::new(), Vec::new());
        for _ in 0..windows {
            p = if rng.random::<f64>() < kept { p } else { rng.random() };
            p_values.push(p);
            sum = (sum + 12f64.sqrt() * (0.5 - p) - f64::from(ALLOWANCE)).max(0.0);
            if sum > 0.0 {
                peak = peak.max(sum);
            } else if peak > 0.0 {
                peaks.push(std::mem::take(&mut peak));
            }
        }
        (p_values, peaks)
    }

    #[test]
    fn the_tail_is_that_of_fresh_recordings() {
        // Of values that are kept with chance a, τ is (1 + a) / (1 − a).
        for (kept, dependence) in [(0.0, 1.0), (0.6, 4.0)] {
            let (_, fresh) = recording(1, 3_000_000, kept);
            for seed in 2..6 {
                let (p_values, peaks) = recording(seed, 50_000, kept);
                let changes = Changes::of(&peaks, &p_values, &[], dependence).unwrap();
                for rate in [3e-4, 3e-5] {
                    let level = f64::from(changes.tail.level(rate as f32));
                    let realised = fresh.iter().filter(|peak| **peak > level).count() as f64 / 3e6;
                    // Of four at two rates, none is expected beyond 2.5 standard errors; counts of 90 add a tenth.
                    let [down, up] = changes.variances(rate).map(|variance| 2.5 * (variance + 0.01).sqrt());
                    let error = (realised / rate).ln();
                    assert!((-down..up).contains(&error), "{kept} {seed} {rate}: {error} of {down} {up}");
                }
            }
        }
    }

    #[test]
    fn the_tail_goes_through_both_points() {
        // A Weibull tail of shape 1.5 grows (2^1.5 − 1) and (3^1.5 − 1) times scale / shape.
        let of = |growth: f64| (growth, (growth.powf(1.5) - 1.0) * 7.0);
        assert!((shape(of(2.0), of(3.0)) - 1.5).abs() < 1e-9);
        assert!((shape((2.0, 1.0), (3.0, 2.0)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn too_little_has_no_sequential_test() {
        let (p_values, peaks) = recording(2, 5000, 0.0);
        assert!(Changes::of(&peaks, &p_values, &[], 1.0).is_some());
        assert!(Changes::of(&peaks, &p_values, &[], 5.1).is_none());
        assert!(Changes::of(&peaks[..15], &p_values, &[], 1.0).is_none());
        assert!(
            Changes::of(&[], &[], &[], 1.0).is_none() && Changes::of(&[1.0; 100], &[0.5; 5000], &[], 1.0).is_none()
        );
        // As many in pieces of 25 windows do, and in pieces of 10 they do not.
        let every = |length: usize| (1..5000 / length).map(|piece| piece * length).collect::<Vec<usize>>();
        assert!(Changes::of(&peaks, &p_values, &every(25), 1.0).is_some());
        assert!(Changes::of(&peaks, &p_values, &every(10), 1.0).is_none());
    }

    #[test]
    fn the_path_along_recordings_is_that_along_each_by_itself() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let nats: Vec<f32> = (0..3000).map(|_| vae_core::standard_normal(&mut rng)).collect();
        // A memory of 50 windows, and limits that nothing reaches.
        let record = CalibrationRecord {
            quantiles: (-16..=16).map(|eighths| eighths as f32 / 8.0).collect(),
            scores: 3000,
            dependence: 1.0,
            drift_memory: 50.0,
            drift_step: 0.02,
            drift_limits: (f32::MAX, f32::MAX),
            ..CalibrationRecord::default()
        };
        let constants = record.array(0).unwrap();
        let calibration = Calibration::new(&constants, 0).unwrap();
        let starts = [7, 1000, 1004];
        let whole = Path::of(&nats, &starts, &calibration, f64::MAX);
        let mut apart = Path { peaks: Vec::new(), shifts: Vec::new(), widenings: Vec::new(), learning: Vec::new() };
        for piece in pieces(&starts, nats.len()) {
            // The sum of a recording that ends is as high as it has come: one more window, of next to no score, takes it to 0.
            let length = piece.len();
            let ended: Vec<f32> = nats[piece].iter().copied().chain([-9.0; 300]).collect();
            let one = Path::of(&ended, &[], &calibration, f64::MAX);
            apart.peaks.extend(one.peaks);
            apart.shifts.extend(&one.shifts[..length]);
            apart.widenings.extend(&one.widenings[..length]);
            apart.learning.extend(&one.learning[..length]);
        }
        assert_eq!((whole.shifts, whole.widenings, whole.learning), (apart.shifts, apart.widenings, apart.learning));
        let least = whole.peaks.len();
        assert!(least > 100 && apart.peaks.len() - least <= 1, "{least} {}", apart.peaks.len());
        assert_eq!(whole.peaks[..], apart.peaks[..least]);
        // Across the starts it is another.
        assert_ne!(Path::of(&nats, &[], &calibration, f64::MAX).peaks, apart.peaks);
    }

    #[test]
    fn memories_are_those_of_what_recordings_are_worth() {
        assert_eq!(worth(&[1000], 10.0), 1000.0);
        assert_eq!(worth(&[100, 5, 40], 10.0), 10.0 + 90.0 + 30.0);
        // One recording of 200 000 windows has a memory of 4000; a hundred of 2000 have a shorter one, and ten thousand of 20 have none.
        let memory = |pieces: usize| memory(&vec![200_000 / pieces; pieces], 1.0, 1e-4);
        let least = least_memory(1.0, 1e-4);
        assert_eq!((memory(1), memory(100), memory(10_000)), (Some(4000.0), Some(least), None));
    }

    #[test]
    fn an_alarm_is_held_for_longer_where_windows_resemble_each_other() {
        assert_eq!((held(0.0), held(1.0), held(1e9)), (60.0, 60.0, 240.0));
        assert!((held(20.0) / 122.9 - 1.0).abs() < 1e-3);
    }
}
