//! The detector on a long and eventful stream, beside a reference in `f64` that was written from `docs/calibration.md`.
//!
//! The reference takes samples and scores as they are, and computes all that the detector remembers by itself, without being set to what the
//! detector has, but for the constants of a new baseline and the widening of the scores (below), once they have been compared.
//!
//! # Bound
//! Each number is computed three times: in `f64`, and as the two ends of an interval that holds what `f32` makes of it. An operation in `f32`
//! is off by at most `u |x|` of its result x (u = 2⁻²⁴; a logarithm by twice that, a p-value by 4 u between the quantiles and
//! relatively by [`P_VALUE_ERROR`] for each power of e in the tail), by which it widens the interval of what it is given.
//!
//! - An average `x ← x + w clamp(y − x)` is a function of x that does not fall: where the step is limited its slope is 1, elsewhere 1 − w.
//!   Its ends are therefore those of the ends. So the error decays where the step is free, and is kept and added to where it is limited,
//!   step by step as it happens: after n free steps it is at most `u (|x| + 2 w |y − x|) / w` beside the error of y, after n limited ones n
//!   times the rounding of one.
//! - The shift of the scores, `B ← max(0, B + step · clamp(u))`, is another such function: u falls as B rises, and by less than B does, as
//!   long as the step is shorter than what is between two quantiles times their number and √12. Where B is 0, all that was off before is gone.
//! - The cumulative sum, the evidence and what is held are sums that are as far off as all that was added to them, until they are at an
//!   end of their range, which is the same number for both.
//! - The widening `S ← S (1 ± 1.25 / M)` keeps its relative error for ever, and adds a rounding with each step, until it is 1 or 4. Where
//!   that has come to 10⁻⁵, it is compared and taken from the detector.
//!
//! A decision that the interval does not make is the detector's, as what it remembers shows. Such decisions are counted, and so are those of
//! them, the ties, that `f64` would have made otherwise.

use std::path::Path;

use anyhow::{Context, Result};
use vae_core::{
    Activation, Calibration, Detector, LEAST_BASELINE, Model, Scratch,
    format::{LikelihoodKind, Precision},
};
use vae_train::{
    calibration::{Normal, Settings, calibrate},
    file::model_file::{AlignedFile, ModelFile},
    tables::table::Table,
};

use crate::{plain_model, random_layer};

mod alarm;
mod baseline;
mod channels;
mod enclosed;
mod reference;
mod remembered;
mod report;
mod scores;
#[path = "../../../firmware-example/src/soak.rs"]
pub mod stream;

pub use report::{Deviation, Report};

use reference::Reference;
use remembered::Remembered;
use stream::{CHANNELS, RANGE, Stream, advance, digest};

/// Of a p-value in the tail, relative to it, and as much more for each power of e: a chain of `log1pf`, two `expf`s and a `logf`.
pub const P_VALUE_ERROR: f64 = 2e-5;

const WINDOW: usize = 4;
const HOP: usize = 2;
/// Samples of the recording that the model is calibrated on: enough for a test of the sum and a memory.
const RECORDED: usize = 120_000;
/// False alarms a second; a window takes one.
const ALARMS: f64 = 1e-4;

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
    let values: Vec<f32> = (0..RECORDED).flat_map(|_| normal.sample().1).collect();
    let table = Table {
        path: "normal".into(),
        columns: file.channels.clone(),
        values,
        labels: None,
        starts: Vec::new(),
        origins: Vec::new(),
    };
    let ranges = file.channels.iter().map(|channel| (channel.clone(), -RANGE, RANGE)).collect();
    let settings =
        Settings { alarms: Some(ALARMS), votes: (2, 3), sample_rate: Some(2.0), ranges, ..Settings::default() };
    let (calibration, report) = calibrate(&file, &Normal { table: table.into(), settings }, 0.005)?;
    anyhow::ensure!(report.has_sequential_test && report.drift_memory.is_some(), "{:?}", report.notes);
    Ok(ModelFile { calibration, ..file })
}

/// Windows of a new baseline.
#[must_use]
pub fn baseline(calibration: &Calibration<'_>) -> u32 {
    let least = LEAST_BASELINE as f32 * calibration.dependence().max(1.0);
    (3.0 * calibration.drift_memory()).max(least.ceil()) as u32
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

/// A stream, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// Of the stream.
    pub seed: u64,
    /// Complete windows.
    pub windows: u64,
    /// Those after which the detector is locked.
    pub unlocked: u64,
}

/// Runs a detector and its reference.
///
/// # Errors
/// Where they differ by more than the bound.
pub fn compare(file: &ModelFile, soak: Soak) -> Result<Report> {
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let model = bytes.model()?;
    let mut reference = Reference::new(&bytes, file)?;
    let (mut memory, mut state) = (vec![0.0; model.scratch_len()], vec![0.0; model.state_len()]);
    let mut window = heapless::Vec::<f32, { CHANNELS * WINDOW }>::new();
    let (mut scratch, mut record) = (Scratch::new(&mut memory), vec![0; model.snapshot_len()]);
    let mut detector = Detector::new(model, &mut window, &mut state)?;
    let mut stream = Stream::new(soak.seed, true);
    let baseline = baseline(&reference.calibration);
    while reference.report.windows < soak.windows {
        let windows = reference.report.windows;
        if windows >= soak.unlocked && !detector.is_locked() {
            detector.lock();
            reference.lock();
        }
        let outcome = advance(&mut stream, &mut detector, &mut scratch, (&mut record, baseline))?;
        let look = || {
            let mut record = vec![0; model.snapshot_len()];
            detector.snapshot(&mut record)?;
            Ok(Remembered::of(&record))
        };
        reference.take(&outcome, baseline, &look).with_context(|| format!("window {windows}, {outcome:?}"))?;
    }
    Ok(reference.report)
}
