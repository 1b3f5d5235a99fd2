//! The detector on a long and eventful stream, beside a reference in `f64` that was written from `docs/calibration.md`.
//!
//! The reference takes samples and scores as they are, and computes all that the detector remembers by itself, without ever being set to
//! what the detector has, but for the constants of a new baseline, once they have been compared. A decision that is a matter of rounding
//! is the detector's; such ties are counted.
//!
//! # Bound
//! An average `x ← x + w (y − x)` in `f32` is off by at most `u (|x| + 2 w |y − x|)` after each step (u = 2⁻²⁴: the sum, the difference and
//! the product are rounded) beside what it was off before, of which `1 − w` is left. After any number of steps that is at most
//! `u (M |x| + 2 |y − x|)`, M = 1/w, for the largest |x| and |y − x|, and the error of y itself comes on top: a hop's mean of a few values
//! is off by at most 8 u of the largest, its mean square by 16 u of the largest square, and a p-value by [`P_VALUE_ERROR`]. A baseline's
//! average has the weight 1/n in its nth step; its bound is the same with M = n/2, and is taken with M = n.

use std::{collections::VecDeque, path::Path};

use anyhow::{Context, Result, bail, ensure};
use vae_core::{
    Activation, Calibration, ChannelCalibration, Detector, DriftKind, LEAST_BASELINE, Model, Scratch, SensorFault,
    SensorFaultKind, Tail, Verdict,
    format::{LikelihoodKind, Precision},
};
use vae_train::{
    calibration::{Normal, Settings, calibrate},
    model_file::{AlignedFile, ModelFile},
    table::Table,
};

use crate::{plain_model, random_layer, soak::stream::CHANNELS};

#[path = "../../firmware-example/src/soak.rs"]
pub mod stream;

use stream::{Event, Outcome, RANGE, Stream, advance, digest};

const WINDOW: usize = 4;
const HOP: usize = 2;
/// Of `f32`: half the distance from 1 to the next number.
const UNIT: f64 = 1.0 / (1 << 24) as f64;
/// Of a p-value between the quantiles; relative where it is in the tail, and as much more for each power of e.
pub const P_VALUE_ERROR: f64 = 2e-5;
/// Votes whose value is so near to the threshold, in nats, are ties.
const TIE: f64 = 1e-2;
/// The state is compared every so many windows.
const COMPARED: u64 = 64;

/// A small model that is calibrated on the stream's normal part, two votes of three.
///
/// # Errors
/// If it cannot be written or calibrated.
pub fn model() -> Result<ModelFile> {
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(8);
    let features = CHANNELS * WINDOW;
    let mut layer = |rows, columns, activation| random_layer(&mut rng, rows, columns, activation, 0.7);
    let encoder = vec![layer(6, features, Activation::Tanh), layer(4, 6, Activation::Identity)];
    let decoder = vec![layer(6, 2, Activation::Tanh), layer(features, 6, Activation::Identity)];
    let mean = [3.0, -1.0].repeat(WINDOW);
    let scale = [1.0, 0.6].repeat(WINDOW);
    let file = ModelFile {
        precision: Precision::F32,
        channels: vec!["a".into(), "b".into()],
        window: WINDOW,
        hop: HOP,
        mean,
        scale,
        golden_inputs: vec![[3.5, -0.8].repeat(WINDOW)],
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 1.0)
    };
    let mut normal = Stream::new(1, false);
    let values: Vec<f32> = (0..40_000).flat_map(|_| normal.sample().1).collect();
    let table = Table { path: "normal".into(), columns: file.channels.clone(), values, labels: None };
    let ranges = file.channels.iter().map(|channel| (channel.clone(), -RANGE, RANGE)).collect();
    let settings = Settings { votes: (2, 3), sample_rate: Some(2.0), ranges, ..Settings::default() };
    let (calibration, _) = calibrate(&file, &Normal { table, settings }, 0.005)?;
    Ok(ModelFile { calibration, ..file })
}

/// Windows of a new baseline.
#[must_use]
pub fn baseline(calibration: &Calibration<'_>) -> u32 {
    LEAST_BASELINE.max((3.0 * calibration.drift_memory()) as u32)
}

/// What the device prints: its digest every so many windows.
///
/// # Errors
/// The detector's.
pub fn digests(model: Model<'_>, seed: u32, windows: u32, every: u32) -> Result<String> {
    use std::fmt::Write as _;
    let baseline = baseline(&model.calibration()?);
    let (mut memory, mut state) = (vec![0.0; model.scratch_len()], vec![0.0; model.state_len()]);
    let mut window = heapless::Vec::<f32, { CHANNELS * WINDOW }>::new();
    let (mut scratch, mut record) = (Scratch::new(&mut memory), vec![0; model.snapshot_len()]);
    let mut detector = Detector::new(model, &mut window, &mut state)?;
    let (mut stream, mut hash, mut done, mut lines) = (Stream::new(seed.into(), true), 0, 0, String::new());
    while done < windows {
        let outcome = advance(&mut stream, &mut detector, &mut scratch, (&mut record, baseline))?;
        if outcome.is_complete {
            done += 1;
            hash = digest(hash, outcome.verdict);
            if done % every == 0 {
                let end = detector.snapshot(&mut record)?.last_chunk().context("an empty snapshot")?;
                writeln!(lines, "{done} {hash:08x} {:08x}", u32::from_le_bytes(*end))?;
            }
        }
    }
    Ok(lines)
}

/// Writes what `firmware-example/src/bin/soak.rs` reads.
///
/// # Errors
/// If a file cannot be written.
pub fn write_settings(folder: &Path, file: &ModelFile, seed: u32, windows: u32, every: u32) -> Result<()> {
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let baseline = baseline(&bytes.model()?.calibration()?);
    std::fs::write(folder.join("soak.vae"), bytes.bytes())?;
    let settings = [seed, windows, every, baseline].map(u32::to_le_bytes);
    Ok(std::fs::write(folder.join("soak.settings"), settings.as_flattened())?)
}

/// What a soak came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Complete windows.
    pub windows: u64,
    /// Of them by verdict: none, normal, anomalous, sensor fault, drifting.
    pub verdicts: [u64; 5],
    /// Gaps, baselines that were asked for, restarts.
    pub events: [u64; 3],
    /// Decisions that rounding made.
    pub ties: u64,
    /// Greatest deviation of each part of the state from the reference, and in units of its bound.
    pub deviations: Vec<(&'static str, f64, f64)>,
    /// Greatest magnitude in the state.
    pub peak: f64,
}

/// Runs a detector and its reference over so many windows.
///
/// # Errors
/// Where they differ by more than the bound.
pub fn compare(file: &ModelFile, seed: u64, windows: u64) -> Result<Report> {
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let model = bytes.model()?;
    let mut reference = Reference::new(&bytes, file)?;
    let (mut memory, mut state) = (vec![0.0; model.scratch_len()], vec![0.0; model.state_len()]);
    let mut window = heapless::Vec::<f32, { CHANNELS * WINDOW }>::new();
    let (mut scratch, mut record) = (Scratch::new(&mut memory), vec![0; model.snapshot_len()]);
    let mut detector = Detector::new(model, &mut window, &mut state)?;
    let mut stream = Stream::new(seed, true);
    let baseline = baseline(&reference.calibration);
    while reference.report.windows < windows {
        let outcome = advance(&mut stream, &mut detector, &mut scratch, (&mut record, baseline))?;
        let windows = reference.report.windows;
        reference
            .take(&outcome, baseline, || {
                let mut record = vec![0; model.snapshot_len()];
                detector.snapshot(&mut record)?;
                Ok(Remembered::of(&record))
            })
            .with_context(|| format!("window {windows}, {outcome:?}"))?;
    }
    Ok(reference.report)
}

/// What a snapshot holds: see `vae-core/src/snapshot.rs`.
struct Remembered {
    words: Vec<u32>,
}

impl Remembered {
    fn of(record: &[u8]) -> Self {
        Self { words: record.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect() }
    }

    fn float(&self, index: usize) -> f64 {
        f32::from_bits(self.words[index]).into()
    }

    fn channel(&self, channel: usize, field: usize) -> f64 {
        self.float(18 + 14 * channel + field)
    }

    /// Whether the last window voted.
    fn voted(&self) -> bool {
        self.words[4] & 1 == 1
    }
}

/// An average over `memory` windows, and how far off it may be in `f32`.
#[derive(Clone, Copy, Debug)]
struct Average {
    value: f64,
    /// Greatest |x|, |y − x| and error of y.
    largest: f64,
    furthest: f64,
    error: f64,
    memory: f64,
}

impl Average {
    fn new(value: f64) -> Self {
        Self { value, largest: value.abs(), furthest: 0.0, error: 0.0, memory: 1.0 }
    }

    fn add(&mut self, weight: f64, value: f64, error: f64) {
        let distance = value - self.value;
        self.value += weight * distance;
        self.largest = self.largest.max(self.value.abs());
        self.furthest = self.furthest.max(distance.abs());
        self.error = self.error.max(error);
        self.memory = self.memory.max(1.0 / weight);
    }

    fn bound(&self) -> f64 {
        UNIT * (self.memory * self.largest + 2.0 * self.furthest) + self.error
    }
}

struct Channel {
    normal: ChannelCalibration,
    last: f32,
    run: u64,
    gap: u64,
    /// The last fault, and the samples since.
    fault: Option<(SensorFaultKind, u64)>,
    /// Distances from the mean since the last window, and the largest value that they come from.
    hop: Vec<f64>,
    largest: f64,
    shift: Average,
    power: Average,
    /// Mean and power of that hop of a new baseline.
    most_powerful: Option<(f64, f64)>,
    offset: f64,
    gain: f64,
    ordinary_power: f64,
}

impl Channel {
    fn new(normal: ChannelCalibration) -> Self {
        Self {
            normal,
            last: f32::NAN,
            run: 0,
            gap: 0,
            fault: None,
            hop: Vec::new(),
            largest: 0.0,
            shift: Average::new(0.0),
            power: Average::new(1.0),
            most_powerful: None,
            offset: 0.0,
            gain: 1.0,
            ordinary_power: 1.0,
        }
    }

    fn forget_samples(&mut self) {
        (self.last, self.run, self.gap, self.fault) = (f32::NAN, 0, 0, None);
        self.hop.clear();
    }

    /// The value that the model is to see.
    fn push(&mut self, value: f32) -> f64 {
        let ChannelCalibration { range: (low, high), longest_run, longest_gap, mean, .. } = self.normal;
        self.gap = if value.is_nan() { self.gap + 1 } else { 0 };
        self.run = if value == self.last { self.run + 1 } else { 1 };
        self.last = value;
        let longest_gap = [3.0, WINDOW as f64 / 4.0, longest_gap.into()].into_iter().fold(0.0, f64::max);
        let fault = if value < low || value > high {
            Some(SensorFaultKind::OutOfRange)
        } else if self.gap as f64 > longest_gap {
            Some(SensorFaultKind::Missing)
        } else if self.repeats() && (value == low || value == high) {
            Some(SensorFaultKind::Saturated)
        } else if self.run as f64 > 4.0 * f64::from(longest_run) + 4.0 {
            Some(SensorFaultKind::Stuck)
        } else {
            None
        };
        self.fault = match (fault, self.fault) {
            (Some(kind), _) => Some((kind, 0)),
            (None, Some((kind, since))) => Some((kind, since + 1)),
            (None, None) => None,
        };
        if !value.is_finite() {
            return f64::NAN;
        }
        let distance = self.gain * (f64::from(value) - f64::from(mean) - self.offset);
        self.hop.push(distance);
        self.largest = self.largest.max(value.abs().into()).max(distance.abs()).max(self.offset.abs());
        f64::from(mean) + distance
    }

    fn repeats(&self) -> bool {
        self.run as f64 > self.normal.longest_run.into()
    }

    /// Mean and power of the hop, if there are any values in it.
    fn take_hop(&mut self) -> Option<(f64, f64)> {
        let count = self.hop.len() as f64;
        let mean = self.hop.iter().sum::<f64>() / count;
        let power = self.hop.iter().map(|distance| distance * distance).sum::<f64>() / count;
        let is_empty = self.hop.is_empty();
        self.hop.clear();
        (!is_empty).then_some((mean, power / f64::from(self.normal.power)))
    }

    fn add(&mut self, weight: f64, mean: f64, power: f64) {
        self.shift.add(weight, mean, 8.0 * UNIT * self.largest);
        let error = 16.0 * UNIT * self.largest * self.largest / f64::from(self.normal.power);
        self.power.add(weight, power, error);
    }

    fn average(&mut self, weight: f64, is_unlikely: bool) {
        let Some((mean, power)) = self.take_hop() else { return };
        if is_unlikely {
            let shift = self.shift.value;
            let nearer = mean.clamp(shift.min(0.0), shift.max(0.0));
            self.shift.add(weight, nearer, 8.0 * UNIT * self.largest);
        } else {
            self.add(weight, mean, power);
        }
    }

    /// All hops but the most powerful one so far count for a baseline.
    fn measure(&mut self, count: u64) {
        let Some(mut hop) = self.take_hop() else { return };
        match &mut self.most_powerful {
            Some(kept) if hop.1 > kept.1 => std::mem::swap(&mut hop, kept),
            Some(_) => {}
            None => {
                self.most_powerful = Some(hop);
                return;
            }
        }
        // As `f32` has the weight; its error is not a matter of what is remembered.
        self.add((1.0 / (count.max(2) - 1) as f32).into(), hop.0, hop.1);
    }
}

struct Reference<'m> {
    model: Model<'m>,
    calibration: Calibration<'m>,
    quantiles: Vec<f32>,
    /// `−½ ln 2πσ²` of each feature in physical units.
    normalisers: Vec<f64>,
    memory: Vec<f32>,
    channels: Vec<Channel>,
    window: VecDeque<[f64; CHANNELS]>,
    filled: usize,
    votes: VecDeque<bool>,
    raised: bool,
    windows: u64,
    p_value: Average,
    mean: Average,
    variance: Average,
    is_drifting: bool,
    score_centre: f64,
    score_factor: f64,
    baseline_windows: u64,
    baseline_done: u64,
    baseline_size: u64,
    baseline_mean: Average,
    baseline_variance: Average,
    report: Report,
}

impl<'m> Reference<'m> {
    fn new(bytes: &'m AlignedFile, file: &ModelFile) -> Result<Self> {
        let model = bytes.model()?;
        let calibration = model.calibration()?;
        let deviations = file.scale.iter().zip(&file.variance).map(|(s, v)| f64::from(*s).powi(2) * f64::from(*v));
        let mut reference = Self {
            model,
            calibration,
            quantiles: file.calibration.quantiles.clone(),
            normalisers: deviations.map(|variance| -0.5 * (std::f64::consts::TAU * variance).ln()).collect(),
            memory: vec![0.0; model.scratch_len()],
            channels: Vec::new(),
            window: VecDeque::new(),
            filled: 0,
            votes: VecDeque::new(),
            raised: false,
            windows: 0,
            p_value: Average::new(0.5),
            mean: Average::new(0.0),
            variance: Average::new(0.0),
            is_drifting: false,
            score_centre: 0.0,
            score_factor: 1.0,
            baseline_windows: 0,
            baseline_done: 0,
            baseline_size: 0,
            baseline_mean: Average::new(0.0),
            baseline_variance: Average::new(0.0),
            report: Report::default(),
        };
        reference.forget()?;
        Ok(reference)
    }

    fn centre_and_spread(&self) -> (f64, f64) {
        let (centre, spread) = self.calibration.location_and_scale();
        (centre.into(), spread.into())
    }

    fn forget(&mut self) -> Result<()> {
        self.channels = (0..CHANNELS)
            .map(|channel| Ok(Channel::new(self.calibration.channel(channel).context("the channels are calibrated")?)))
            .collect::<Result<_>>()?;
        let (centre, spread) = self.centre_and_spread();
        self.filled = 0;
        self.votes.clear();
        (self.raised, self.is_drifting, self.windows) = (false, false, 0);
        (self.p_value, self.mean) = (Average::new(0.5), Average::new(centre));
        self.variance = Average::new(spread * spread);
        (self.score_centre, self.score_factor) = (centre, 1.0);
        (self.baseline_windows, self.baseline_done, self.baseline_size) = (0, 0, 0);
        (self.baseline_mean, self.baseline_variance) = (Average::new(0.0), Average::new(0.0));
        Ok(())
    }

    fn gap(&mut self) {
        self.filled = 0;
        self.channels.iter_mut().for_each(Channel::forget_samples);
    }

    fn take(&mut self, outcome: &Outcome, baseline: u32, remembered: impl Fn() -> Result<Remembered>) -> Result<()> {
        match outcome.event {
            Event::None => {}
            Event::Gap => {
                self.gap();
                self.report.events[0] += 1;
            }
            Event::Rebaseline => {
                self.forget()?;
                self.channels.iter_mut().for_each(|channel| channel.power = Average::new(0.0));
                self.baseline_windows = baseline.into();
                self.report.events[1] += 1;
            }
            Event::Restart => {
                self.gap();
                self.report.events[2] += 1;
            }
        }
        let mut seen = [0.0; CHANNELS];
        for ((seen, channel), value) in seen.iter_mut().zip(&mut self.channels).zip(outcome.sample) {
            *seen = channel.push(value);
        }
        self.window.push_back(seen);
        if self.window.len() > WINDOW {
            self.window.pop_front();
        }
        self.filled = if self.filled == WINDOW { WINDOW - HOP + 1 } else { self.filled + 1 };
        let is_complete = self.filled == WINDOW;
        ensure!(is_complete == outcome.is_complete, "a window is complete for one and not for the other");
        if !is_complete {
            ensure!(outcome.verdict.is_none(), "a verdict without a window");
            return Ok(());
        }
        self.report.windows += 1;
        self.conclude(outcome.verdict, &remembered)?;
        let kind = match outcome.verdict {
            None => 0,
            Some(Verdict::Normal(_)) => 1,
            Some(Verdict::Anomalous(_)) => 2,
            Some(Verdict::SensorFault(_)) => 3,
            Some(Verdict::Drifting(_)) => 4,
        };
        self.report.verdicts[kind] += 1;
        if self.report.windows.is_multiple_of(COMPARED) { self.check(&remembered()?) } else { Ok(()) }
    }

    fn forget_hop(&mut self) {
        self.channels.iter_mut().for_each(|channel| channel.hop.clear());
    }

    fn conclude(&mut self, verdict: Option<Verdict>, remembered: &impl Fn() -> Result<Remembered>) -> Result<()> {
        let fault = self.channels.iter().position(|channel| channel.fault.is_some_and(|fault| fault.1 < WINDOW as u64));
        if let Some((channel, (kind, _))) = fault.and_then(|index| Some((index, self.channels[index].fault?))) {
            self.forget_hop();
            // It has its place in the stream all the same, but none in a new baseline.
            self.windows += u64::from(self.baseline_done >= self.baseline_windows);
            let expected = Some(Verdict::SensorFault(SensorFault { channel: channel as u32, kind }));
            ensure!(verdict == expected, "{expected:?} is expected");
            return Ok(());
        }
        if self.baseline_done < self.baseline_windows / 2 {
            ensure!(verdict.is_none(), "a verdict while channels are measured");
            self.baseline_done += 1;
            let done = self.baseline_done;
            self.channels.iter_mut().for_each(|channel| channel.measure(done));
            if self.baseline_done == self.baseline_windows / 2 {
                self.rebase(&remembered()?)?;
            }
            return Ok(());
        }
        self.windows += 1;
        if self.baseline_done < self.baseline_windows {
            ensure!(verdict.is_none(), "a verdict while scores are measured");
            self.forget_hop();
            return self.measure_score(remembered);
        }
        let suspicion = self.channels.iter().position(Channel::repeats);
        let Some(assessment) = verdict.context("no verdict")?.assessment() else {
            // No vote, as a sensor repeats itself: then the window is unlikely.
            let channel = suspicion.context("a sensor fault of no sensor")? as u32;
            let expected = Some(Verdict::SensorFault(SensorFault { channel, kind: SensorFaultKind::Stuck }));
            ensure!(verdict == expected, "{expected:?} is expected");
            let score = self.own_score()?;
            let nats = self.nats(score);
            let excess = self.without_drift(nats) + f64::from(self.calibration.threshold());
            ensure!(excess > -TIE, "an ordinary window ({excess} nats) of a sensor that repeats itself is reported");
            self.forget_hop();
            return Ok(());
        };
        let nats = self.nats(assessment.score.into());
        self.check_p_value(nats, assessment.p_value)?;
        let excess = self.without_drift(nats) + f64::from(self.calibration.threshold());
        let mut vote = excess > 0.0;
        let limit = self.width() * f64::from(self.calibration.drift_limit());
        // Of the threshold, or of whether the p-values have drifted.
        let is_tie = excess.abs() < TIE || ((self.p_value.value - 0.5).abs() - limit).abs() <= self.p_value.bound();
        if is_tie {
            let voted = remembered()?.voted();
            self.report.ties += u64::from(voted != vote);
            vote = voted;
        }
        ensure!(!(vote && suspicion.is_some()), "a sensor repeats itself, and its unlikely window votes");
        self.votes.push_back(vote);
        let (needed, of) = self.calibration.votes();
        if self.votes.len() > of as usize {
            self.votes.pop_front();
        }
        let count = self.votes.iter().filter(|vote| **vote).count();
        self.raised = count >= needed as usize || (self.raised && count > 0);
        let weight = f64::from(1.0 / self.calibration.drift_memory());
        self.channels.iter_mut().for_each(|channel| channel.average(weight, vote));
        if !vote {
            let error = P_VALUE_ERROR;
            self.p_value.add(weight, assessment.p_value.into(), error);
            let distance = nats - self.mean.value;
            let rounding = 8.0 * UNIT * (nats.abs() + self.score_centre.abs());
            self.mean.add(weight, nats, rounding);
            let product = distance * (nats - self.mean.value);
            let error = 2.0 * distance.abs() * (self.mean.bound() + rounding) + 4.0 * UNIT * product.abs();
            self.variance.add(weight, product, error);
        }
        match verdict {
            Some(Verdict::Anomalous(_)) => ensure!(self.raised, "an alarm without votes"),
            Some(Verdict::Normal(_)) => {
                ensure!(!self.raised, "votes without an alarm");
                self.check_drift(None)?;
            }
            Some(Verdict::Drifting(drift)) => {
                ensure!(!self.raised, "votes without an alarm");
                self.check_drift(Some(drift.kind))?;
            }
            _ => bail!("no verdict"),
        }
        Ok(())
    }

    /// Each average's distance from the ordinary in units of its limit, with what rounding may add, as the detector names it.
    fn extents(&self) -> Vec<(f64, f64, DriftKind)> {
        let limit = f64::from(self.calibration.drift_limit());
        let mut extents = vec![(
            (self.p_value.value - 0.5).abs() / limit,
            self.p_value.bound() / limit,
            DriftKind::Score(self.p_value.value as f32),
        )];
        for (index, channel) in (0..).zip(&self.channels) {
            let (mean_limit, power_limit) =
                (f64::from(channel.normal.mean_limit), f64::from(channel.normal.power_limit));
            let (shift, factor) = (channel.shift.value, channel.power.value / channel.ordinary_power);
            extents.push((
                shift.abs() / mean_limit,
                channel.shift.bound() / mean_limit,
                DriftKind::Mean { channel: index, shift: shift as f32 },
            ));
            extents.push((
                (factor - 1.0).abs() / power_limit,
                (channel.power.bound() / channel.ordinary_power + 4.0 * UNIT * factor) / power_limit,
                DriftKind::Power { channel: index, factor: factor as f32 },
            ));
        }
        extents
    }

    fn check_drift(&mut self, found: Option<DriftKind>) -> Result<()> {
        let least = self.width() * if self.is_drifting { 0.5 } else { 1.0 };
        let extents = self.extents();
        // f32 rounds the extents themselves, too.
        let slack = |extent: f64, error: f64| error + 8.0 * UNIT * (extent + least);
        match found {
            None => {
                for (extent, error, kind) in &extents {
                    ensure!(
                        *extent <= least + slack(*extent, *error),
                        "{kind:?} is {extent} of its limit and not reported"
                    );
                }
            }
            Some(found) => {
                let same = |kind: &DriftKind| match (*kind, found) {
                    (DriftKind::Score(_), DriftKind::Score(_)) => true,
                    (DriftKind::Mean { channel: a, .. }, DriftKind::Mean { channel: b, .. })
                    | (DriftKind::Power { channel: a, .. }, DriftKind::Power { channel: b, .. }) => a == b,
                    _ => false,
                };
                let (extent, error, _) =
                    *extents.iter().find(|(.., kind)| same(kind)).context("drift of what is not there")?;
                ensure!(extent > least - slack(extent, error), "drift at {extent} where {least} is the limit");
                for (other, other_error, kind) in &extents {
                    let slack = slack(extent, error) + slack(*other, *other_error);
                    ensure!(*other <= extent + slack, "{kind:?} is further out: {other}, not {extent}");
                }
            }
        }
        self.is_drifting = found.is_some();
        Ok(())
    }

    fn nats(&self, score: f64) -> f64 {
        self.centre_and_spread().0 + self.score_factor * (-score - self.score_centre)
    }

    fn width(&self) -> f64 {
        match self.baseline_size {
            0 => 1.0,
            size => (1.0 + 2.0 * f64::from(self.calibration.drift_memory()) / size as f64).sqrt(),
        }
    }

    fn without_drift(&self, nats: f64) -> f64 {
        let (centre, spread) = self.centre_and_spread();
        let limit = self.width() * f64::from(self.calibration.drift_limit());
        if (self.p_value.value - 0.5).abs() <= limit || self.mean.value < centre {
            return nats;
        }
        centre + (nats - self.mean.value) * (spread / self.variance.value.sqrt()).clamp(0.25, 1.0)
    }

    /// The p-value of these nats by quantiles and tail.
    fn check_p_value(&self, nats: f64, found: f32) -> Result<()> {
        let Tail { start, rate, scale, shape, base } = self.calibration.tail();
        let [start, rate, scale, shape, base] = [start, rate, scale, shape, base].map(f64::from);
        let least = 1.0 / (f64::from(self.calibration.scores()) + 1.0);
        let in_tail = |nats: f64| {
            let product = shape * (nats - start) / scale;
            let growth = if shape == 0.0 { (nats - start) / scale } else { product.ln_1p() / shape };
            if product <= -1.0 { 0.0 } else { base * ((rate / base).ln() * growth.exp()).exp() }
        };
        let between = |nats: f64| {
            let above = self.quantiles.partition_point(|quantile| f64::from(*quantile) <= -nats);
            let fraction = match above {
                0 => least,
                above if above == self.quantiles.len() => 1.0,
                above => {
                    let [low, high] = [self.quantiles[above - 1], self.quantiles[above]].map(f64::from);
                    ((above - 1) as f64 + (-nats - low) / (high - low)) / (self.quantiles.len() - 1) as f64
                }
            };
            fraction.max(rate).max(least)
        };
        // Rounding of the nats, where they are on another baseline's scale.
        let rounding = 8.0 * UNIT * (nats.abs() + self.score_centre.abs());
        let candidates = [nats - rounding, nats, nats + rounding]
            .map(|nats| if nats > start && rate > 0.0 { in_tail(nats) } else { between(nats) });
        let found = f64::from(found);
        let [high, _, low] = candidates;
        let slack = |p: f64| if p < rate { P_VALUE_ERROR * p * (1.0 - p.ln().max(-700.0)) } else { P_VALUE_ERROR };
        let is_tiny = high < f64::from(f32::MIN_POSITIVE) && found <= 2.0 * f64::from(f32::MIN_POSITIVE);
        ensure!(
            is_tiny || (found >= low - slack(low) && found <= high + slack(high)),
            "the p-value of {nats} nats is {found}, not {low}…{high}"
        );
        Ok(())
    }

    /// The score that the model itself gives to the window as it is seen here.
    fn own_score(&mut self) -> Result<f64> {
        let mut x = Vec::new();
        for values in &self.window {
            for (value, channel) in values.iter().zip(&self.channels) {
                let limit = self.width() * f64::from(channel.normal.mean_limit);
                let shift = if channel.shift.value.abs() > limit { channel.shift.value } else { 0.0 };
                x.push((value - shift) as f32);
            }
        }
        let mut missing = 0.0;
        for (feature, _) in x.iter().enumerate().filter(|(_, value)| value.is_nan()) {
            let nats = f64::from(self.channels[feature % CHANNELS].normal.nats) / WINDOW as f64;
            missing += self.normalisers[feature] - nats;
        }
        let score = self.model.elbo_at_mean(&x[..], &mut Scratch::new(&mut self.memory))?;
        Ok(f64::from(score.elbo) + missing)
    }

    fn rebase(&mut self, remembered: &Remembered) -> Result<()> {
        self.baseline_size = self.baseline_done;
        let width = self.width();
        for index in 0..CHANNELS {
            let channel = &mut self.channels[index];
            let (shift, power) = (channel.shift.value, channel.power.value);
            let normal = f64::from(channel.normal.power);
            let about = power - shift * shift / normal;
            let bound = channel.power.bound() + (2.0 * shift.abs() + 1.0) * channel.shift.bound() / normal;
            let found = [10, 11, 12].map(|field| remembered.channel(index, field));
            let is_scaled = (about - 1.0).abs() > width * f64::from(channel.normal.power_limit);
            let expected = match (about > 1e-5 * shift * shift / normal, is_scaled) {
                (false, _) => [shift, 1.0, 1.0],
                (true, true) => [shift, 1.0 / about.sqrt(), 1.0],
                (true, false) => [shift, 1.0, about],
            };
            let bounds = [channel.shift.bound(), bound / about.powf(1.5) + 4.0 * UNIT, bound + 4.0 * UNIT];
            self.report.note("offset", found[0] - expected[0], bounds[0]);
            self.report.note("gain", found[1] - expected[1], bounds[1]);
            self.report.note("ordinary power", found[2] - expected[2], bounds[2]);
            let channel = &mut self.channels[index];
            [channel.offset, channel.gain, channel.ordinary_power] = found;
            (channel.shift, channel.power) = (Average::new(0.0), Average::new(found[2]));
        }
        self.filled = 0;
        self.report.judge()
    }

    fn measure_score(&mut self, remembered: &impl Fn() -> Result<Remembered>) -> Result<()> {
        let nats = -self.own_score()?;
        let half = self.baseline_windows / 2;
        if self.baseline_done > half && self.windows <= self.baseline_windows {
            let apart = 64.0 * self.centre_and_spread().1.max(1.0);
            if nats - self.baseline_mean.value > apart {
                return Ok(());
            }
            if self.baseline_mean.value - nats > apart {
                self.baseline_done = half;
                (self.baseline_mean, self.baseline_variance) = (Average::new(0.0), Average::new(0.0));
            }
        }
        self.baseline_done += 1;
        let count = (self.baseline_done - half) as f64;
        let distance = nats - self.baseline_mean.value;
        // The inputs on the new baseline may differ by a rounding each, and the score by what it makes of that.
        let rounding = 1e-5 * (1.0 + nats.abs());
        self.baseline_mean.add(1.0 / count, nats, rounding);
        let product = distance * (nats - self.baseline_mean.value);
        let error = 2.0 * distance.abs() * (self.baseline_mean.bound() + rounding) + 4.0 * UNIT * product.abs();
        self.baseline_variance.add(1.0 / count, product, error);
        if self.baseline_done < self.baseline_windows {
            return Ok(());
        }
        let (_, spread) = self.centre_and_spread();
        let variance = self.baseline_variance.value;
        let remembered = remembered()?;
        let found = [14, 15].map(|index| remembered.float(index));
        let factor = (spread / variance.sqrt()).clamp(0.25, 1.0);
        self.report.note("score centre", found[0] - self.baseline_mean.value, self.baseline_mean.bound());
        let bound = factor * (self.baseline_variance.bound() / variance + 4.0 * UNIT);
        self.report.note("score factor", found[1] - factor, bound);
        [self.score_centre, self.score_factor] = found;
        (self.baseline_windows, self.baseline_done) = (0, 0);
        self.votes.clear();
        self.raised = false;
        self.report.judge()
    }

    /// Compares all that is remembered.
    fn check(&mut self, found: &Remembered) -> Result<()> {
        let (needed, of) = self.calibration.votes();
        let history = self.votes.iter().fold(0, |history, vote| (history << 1) | u32::from(*vote));
        let counters = [
            needed,
            of,
            history,
            self.raised.into(),
            self.windows as u32,
            self.baseline_windows as u32,
            self.baseline_done as u32,
            self.baseline_size as u32,
            self.is_drifting.into(),
        ];
        ensure!(found.words[2..11] == counters, "counters {:?}, not {counters:?}", &found.words[2..11]);
        let averages = [
            ("p-value", self.p_value, found.float(11)),
            ("mean score", self.mean, found.float(12)),
            ("variance of scores", self.variance, found.float(13)),
        ];
        let mut all = averages.to_vec();
        if self.baseline_windows > 0 {
            all.push(("baseline's mean", self.baseline_mean, found.float(16)));
            all.push(("baseline's variance", self.baseline_variance, found.float(17)));
        }
        for (index, channel) in self.channels.iter().enumerate() {
            all.push(("shift", channel.shift, found.channel(index, 8)));
            all.push(("power", channel.power, found.channel(index, 9)));
            let since = channel.fault.map_or(f64::from(f32::MAX), |(_, since)| since as f64);
            let expected = [channel.run as f64, channel.gap as f64, since];
            let fields = [1, 2, 4].map(|field| found.channel(index, field));
            // f32 counts to 2²⁴.
            let same = fields
                .iter()
                .zip(expected)
                .all(|(found, expected)| *found == expected.min(1.0 / UNIT) || *found == expected);
            ensure!(same, "channel {index}'s run, gap and samples since a fault are {fields:?}, not {expected:?}");
        }
        for (name, average, found) in all {
            self.report.note(name, found - average.value, average.bound());
        }
        let floats = found.words[11..18].iter().chain(&found.words[18..found.words.len() - 1]);
        // `last` and `since` may be what they like: a value that was given, and the largest number.
        for (index, word) in floats.enumerate() {
            let field = (index + 14 - 7) % 14;
            if index >= 7 && (field == 0 || field == 4) {
                continue;
            }
            let value = f64::from(f32::from_bits(*word));
            ensure!(value.is_finite(), "word {} is {value}", index + 11);
            self.report.peak = self.report.peak.max(value.abs());
        }
        self.report.judge()
    }
}

impl Report {
    fn note(&mut self, name: &'static str, deviation: f64, bound: f64) {
        // What has not been rounded yet has a bound of nothing.
        let share = if deviation == 0.0 { 0.0 } else { (deviation / bound).abs() };
        let deviation = deviation.abs();
        match self.deviations.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, largest, share_of_bound)) => {
                *largest = largest.max(deviation);
                // Not `max`, which ignores what is no number.
                if share > *share_of_bound || share.is_nan() {
                    *share_of_bound = share;
                }
            }
            None => self.deviations.push((name, deviation, share)),
        }
    }

    fn judge(&self) -> Result<()> {
        for (name, deviation, share) in &self.deviations {
            ensure!(*share <= 1.0, "{name} deviates by {deviation:.3e}, {share:.3} of the bound");
        }
        Ok(())
    }
}
