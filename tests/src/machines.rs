//! A model of one motor on other motors of its kind, before and after they have been given a baseline of their own.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vae_core::{Alarms, Detector, Model, Scratch, format::Precision};
use vae_train::{
    calibration::{Normal, Settings},
    file::model_file::AlignedFile,
    run::{export::RunModel, lock::Access},
    simulator::motor::{CHANNELS, Condition, Individual, Motor, SAMPLE_RATE},
    statistics::metrics::Detection,
    tables::table::Table,
};

/// Samples in a window, and between the starts of two: 6 Hz from one frequency of the spectrum to the next, which tells the shaft's turns
/// (20 to 45 a second) from their harmonics, and 12.5 windows a second.
const WINDOW: usize = 256;
const HOP: usize = WINDOW / 2;
/// What the model sees of each axis.
const FRONT_END: &str = "bands:16";
/// The faults of the machine, and not of a sensor.
const FAULTS: [Condition; 4] =
    [Condition::Imbalance, Condition::Bearing, Condition::Misalignment, Condition::Looseness];
/// By which share a motor's resonance, gain and noise may be above or below the typical one's.
const VARIETY: f32 = 0.2;
/// False alarms an hour that are asked for.
pub const ASKED: f32 = 1.0;

/// How much is simulated.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Seconds of the typical motor's normal running to train on.
    pub training: usize,
    /// Seconds of the typical motor's normal running to calibrate on.
    pub calibration: usize,
    /// Most epochs.
    pub epochs: usize,
    /// Other motors.
    pub motors: u64,
    /// Seconds of each motor's normal running that are judged.
    pub healthy: usize,
    /// Seconds of each fault of each motor that are judged.
    pub faulty: usize,
    /// Windows of the baselines to compare.
    pub baselines: Vec<u32>,
}

/// What became of one motor.
#[derive(Clone, Debug)]
struct Outcome {
    /// Area under the ROC of its scores, mean over the faults.
    auroc: f64,
    /// Share of healthy windows with the alarm on.
    on: f64,
    /// Share of faulty windows with the alarm on.
    found: f64,
    /// Alarms raised an hour of normal running.
    alarms: f64,
}

/// What became of the motors.
#[derive(Clone, Debug)]
pub struct Row {
    /// Windows of the baseline that they were given; none where there was none.
    pub baseline: Option<u32>,
    /// Whether it is the motor that the model was trained on.
    pub is_own: bool,
    /// Area under the ROC of the scores, mean over motors and faults.
    pub auroc: f64,
    /// Area under the ROC of the scores, mean over the faults, of the motor with the least.
    pub least: f64,
    /// Share of healthy windows with the alarm on.
    pub on: f64,
    /// Alarms raised an hour of normal running.
    pub alarms: f64,
    /// Share of faulty windows with the alarm on.
    pub found: f64,
}

/// A motor of the kind: the typical one, which the model is trained on, or another.
#[must_use]
pub fn individual(index: u64) -> Individual {
    let Individual { resonance, gain, noise } = Individual::TYPICAL;
    if index == 0 {
        return Individual::TYPICAL;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(index);
    let mut vary = |value: f32| value * rng.random_range(1.0 - VARIETY..1.0 + VARIETY);
    Individual { resonance: vary(resonance), gain: vary(gain), noise: vary(noise) }
}

fn run(index: u64, stream: u64, condition: Condition, samples: usize) -> Vec<[f32; 3]> {
    let mut motor = Motor::of(individual(index), 100 + index, stream);
    (0..samples).map(|_| motor.sample(condition)).collect()
}

/// The model of the typical motor, by `trainer`, the trainer's command line, calibrated on other running of the same motor.
///
/// # Errors
/// If it cannot be trained or calibrated.
pub fn model(plan: &Plan, folder: &Path, trainer: impl FnOnce() -> Command) -> Result<AlignedFile> {
    let rate = SAMPLE_RATE as usize;
    let (data, place) = (folder.join("train.csv"), folder.join("run"));
    let rows = run(0, 0, Condition::Normal, rate * plan.training);
    let lines = rows.iter().map(|[x, y, z]| format!("{x},{y},{z}\n"));
    std::fs::write(&data, format!("{}\n", CHANNELS.join(",")) + &lines.collect::<String>())?;
    let mut command = trainer();
    command.arg("fit").arg(&data).args(["--front-end", FRONT_END, "--seed", "1"]).arg("--out").arg(&place);
    command.args(["--window", &WINDOW.to_string(), "--epochs", &plan.epochs.to_string()]);
    let output = command.output().context("the trainer cannot be started")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = Table {
        path: "normal running".into(),
        columns: CHANNELS.map(str::to_owned).to_vec(),
        values: run(0, 1, Condition::Normal, rate * plan.calibration).into_flattened(),
        labels: None,
        starts: Vec::new(),
        origins: Vec::new(),
    };
    let settings = Settings {
        alarms: Some(f64::from(ASKED) / 3600.0),
        votes: (2, 3),
        sample_rate: Some(f64::from(SAMPLE_RATE)),
        ..Settings::default()
    };
    let (file, _) = RunModel::open(&place, Access::Read)?
        .calibrated(Some(&Normal { table: table.into(), settings }), Precision::Int8)?;
    Ok(AlignedFile::new(&file.to_bytes()?))
}

/// The scores of the windows that these samples complete, how many windows had the alarm on, and how often it was raised.
fn judge(
    detector: &mut Detector<'_, '_>,
    scratch: &mut Scratch<'_>,
    samples: &[[f32; 3]],
) -> Result<(Vec<f64>, usize, usize)> {
    detector.gap();
    detector.acknowledge();
    let (mut scores, mut on, mut raised, mut was_raised) = (Vec::new(), 0, 0, false);
    for sample in samples {
        if let Some(verdict) = detector.push(sample, scratch)? {
            scores.extend(verdict.assessment().map(|assessment| -f64::from(assessment.score)));
            on += usize::from(detector.is_raised());
            raised += usize::from(detector.is_raised() && !was_raised);
            was_raised = detector.is_raised();
        }
    }
    Ok((scores, on, raised))
}

/// A motor of which nothing is known but by a baseline of so many windows of it, or not even that.
fn outcome(model: Model<'_>, plan: &Plan, index: u64, baseline: Option<u32>, normal: &[[f32; 3]]) -> Result<Outcome> {
    let (mut window, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut detector = Detector::over(model, &mut window, &mut state)?.alarm_rate(Alarms::per_hour(ASKED))?;
    let rate = SAMPLE_RATE as usize;
    let (first, judged) = normal.split_at(normal.len() - rate * plan.healthy);
    if let Some(windows) = baseline {
        detector.rebaseline(windows)?;
        let mut samples = first.iter();
        while detector.is_rebaselining() {
            detector.push(samples.next().context("the recording is shorter than the baseline")?, &mut scratch)?;
        }
    }
    let (healthy, on, raised) = judge(&mut detector, &mut scratch, judged)?;
    let (mut auroc, mut found, mut faulty) = (0.0, 0, 0);
    for (stream, fault) in (2..).zip(FAULTS) {
        let samples = run(index, stream, fault, rate * plan.faulty);
        let (scores, on, _) = judge(&mut detector, &mut scratch, &samples)?;
        let labels: Vec<bool> = (0..healthy.len() + scores.len()).map(|window| window >= healthy.len()).collect();
        auroc += Detection::of(&[&healthy[..], &scores].concat(), &labels)?.auroc / FAULTS.len() as f64;
        (found, faulty) = (found + on, faulty + scores.len());
    }
    Ok(Outcome {
        auroc,
        on: on as f64 / healthy.len() as f64,
        found: found as f64 / faulty as f64,
        alarms: raised as f64 / (plan.healthy as f64 / 3600.0),
    })
}

/// What becomes of the typical motor, of the others, and of these once they have each of the baselines.
///
/// # Errors
/// If the model cannot judge them, as where a baseline is too short for it.
pub fn compare(model: Model<'_>, plan: &Plan) -> Result<Vec<Row>> {
    let longest = plan.baselines.iter().copied().max().unwrap_or(0) as usize;
    // The window is filled anew once channels have their baseline.
    let samples = HOP * longest + 4 * WINDOW + SAMPLE_RATE as usize * plan.healthy;
    let mut rows = vec![(None, true), (None, false)];
    rows.extend(plan.baselines.iter().map(|windows| (Some(*windows), false)));
    let judged = (0..=plan.motors).into_par_iter().map(|index| {
        let normal = run(index, 2 + FAULTS.len() as u64, Condition::Normal, samples);
        let of_row = |&(baseline, is_own): &(Option<u32>, bool)| {
            (is_own == (index == 0)).then(|| outcome(model, plan, index, baseline, &normal)).transpose()
        };
        rows.iter().map(of_row).collect::<Result<Vec<_>>>()
    });
    let judged: Vec<Vec<Option<Outcome>>> = judged.collect::<Result<_>>()?;
    let row = |(index, &(baseline, is_own)): (usize, &(Option<u32>, bool))| {
        let of: Vec<&Outcome> = judged.iter().filter_map(|motor| motor[index].as_ref()).collect();
        let mean = |what: fn(&Outcome) -> f64| of.iter().map(|motor| what(motor)).sum::<f64>() / of.len() as f64;
        Row {
            baseline,
            is_own,
            auroc: mean(|motor| motor.auroc),
            least: of.iter().map(|motor| motor.auroc).fold(1.0, f64::min),
            on: mean(|motor| motor.on),
            alarms: mean(|motor| motor.alarms),
            found: mean(|motor| motor.found),
        }
    };
    Ok(rows.iter().enumerate().map(row).collect())
}
