//! What a model considers normal: from normal data to the calibration that its file holds.

pub mod asked;
pub mod changes;
pub mod channel_calibration;
pub(crate) mod channel_series;
pub mod false_alarms;
pub mod normal_windows;
pub mod sequential;
pub mod support;
pub mod tail_fit;
pub(crate) mod votes_tail;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use vae_core::{ChannelCalibration, MOST_VOTES, ScoreKind, Tail, Votes};

use crate::{
    calibration::{
        changes::Changes,
        channel_calibration::{channel_nats, channels},
        false_alarms::{FalseAlarms, votes_share},
        normal_windows::NormalWindows,
        sequential::{Sequential, array, core},
        tail_fit::TailFit,
    },
    file::{
        calibration::CalibrationRecord,
        model_file::{AlignedFile, ModelFile},
    },
    scoring,
    statistics::{metrics::quantile, tail::FittedTail},
    tables::long_table::LongTable,
};

/// Quantiles of the normal scores that a model file holds.
const QUANTILES: usize = 129;

/// False alarms per window, where none are asked for and nothing is known of those of the votes.
const RATE: f64 = 1e-6;

/// Of the false alarms, those of the votes.
const VOTES_SHARE: f64 = vae_core::VOTES_SHARE as f64;

/// How normal data are to be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The false alarms you accept, per second; none: the threshold is a quantile of the scores.
    pub alarms: Option<f64>,
    /// (m, n): m of the last n windows raise an alarm.
    pub votes: (u32, u32),
    /// Samples a second; none where it is not known.
    pub sample_rate: Option<f64>,
    /// How the device scores a window.
    #[serde(with = "ScoreKindInFile")]
    pub score: ScoreKind,
    /// Least and largest value of a channel's sensor, by the channel's name.
    pub ranges: Vec<(String, f32, f32)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alarms: None, votes: (1, 1), sample_rate: None, score: ScoreKind::AtMean, ranges: Vec::new() }
    }
}

/// A [`ScoreKind`] as a run's file holds it.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ScoreKind")]
enum ScoreKindInFile {
    AtMean,
    Samples(u32),
    Importance(u32),
}

/// Normal data in the order of time, and how they are to be judged.
#[derive(Debug)]
pub struct Normal {
    /// The model's channels and conditions; of a file some rows at a time are read.
    pub table: LongTable<'static>,
    /// What is asked for.
    pub settings: Settings,
}

/// A calibration, and what it is worth.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Normal windows.
    pub windows: usize,
    /// Recordings that they are of, each of which begins anew.
    pub pieces: usize,
    /// Windows left out: labelled anomalous, or with values that were not observed.
    pub left_out: usize,
    /// Windows a second.
    pub windows_per_second: Option<f64>,
    /// ELBO (or log-likelihood) below which a window is anomalous, in nats.
    pub threshold: f32,
    /// Alarms per second that were asked for, and the 90 % confidence interval of those that the threshold gives.
    pub alarms: Option<(f64, (f64, f64))>,
    /// Successive windows that tell as much of the scores' level as one independent one.
    pub dependence: f64,
    /// Whether small lasting changes are found, by a sequential test.
    pub has_sequential_test: bool,
    /// Windows in which averages follow a slow drift; none where the recording is too short for any.
    pub drift_memory: Option<f64>,
    /// Why the data do not support the rate of alarms, and what would; none where they do.
    pub refusal: Option<String>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Of the normal windows, in the order of time.
    #[serde(skip)]
    pub scores: Vec<f32>,
    /// How often they raise an alarm at any threshold; none where they are too few to tell.
    #[serde(skip)]
    pub false_alarms: Option<FalseAlarms>,
    /// How often they raise one by the sequential test; none where there is none.
    #[serde(skip)]
    pub changes: Option<Changes>,
}

impl Report {
    /// The share of the false alarms that votes raise.
    #[must_use]
    pub fn votes_share(&self) -> f64 {
        votes_share(self.changes.as_ref())
    }
}

/// The calibration of a model without one on windows whose order is not known: what the channels' features cost, quantiles and their tail.
/// The threshold is the quantile at `false_alarms`.
///
/// # Errors
/// If a window cannot be scored.
pub fn of_windows(file: &ModelFile, windows: &[f32], false_alarms: f64) -> Result<CalibrationRecord> {
    let context = "the held-out windows cannot be scored";
    let nats = channel_nats(&AlignedFile::new(&file.to_bytes()?).model()?, windows).context(context)?;
    let known = |nats: f64| ChannelCalibration { nats: nats as f32, ..ChannelCalibration::UNKNOWN };
    let channels: Vec<ChannelCalibration> = nats.into_iter().map(known).collect();
    // Windows of which something is missing are scored by what the others cost.
    let calibration = CalibrationRecord { channels: channels.clone(), ..CalibrationRecord::default() };
    let bytes = AlignedFile::new(&ModelFile { calibration, ..file.clone() }.to_bytes()?);
    let scores = scoring::by_kind(&bytes.model()?, windows, ScoreKind::AtMean, None).context(context)?;
    Ok(CalibrationRecord { channels, ..of_scores(&scores, false_alarms) })
}

/// Quantiles, tail, location and scale of scores, and the quantile at `false_alarms` as the threshold.
fn of_scores(scores: &[f32], false_alarms: f64) -> CalibrationRecord {
    let mut sorted = scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let n = scores.len() as f64;
    let centre = scores.iter().map(|score| -f64::from(*score)).sum::<f64>() / n;
    let spread = (scores.iter().map(|score| (-f64::from(*score) - centre).powi(2)).sum::<f64>() / n).sqrt();
    // Too few windows have no tail: p-values then end at 1 / (n + 1).
    let ascending: Vec<f64> = sorted.iter().rev().map(|score| -f64::from(*score)).collect();
    let tail = TailFit::of(&ascending).map_or(Tail::default(), |fit| to_core(&fit.tail));
    CalibrationRecord {
        quantiles: (0..QUANTILES).map(|k| quantile(&sorted, k as f64 / (QUANTILES - 1) as f64)).collect(),
        scores: scores.len(),
        threshold: quantile(&sorted, false_alarms),
        tail,
        location_and_scale: (centre as f32, (spread as f32).max(f32::MIN_POSITIVE)),
        ..CalibrationRecord::default()
    }
}

/// −scores, as the device's alarm takes them.
fn negated(scores: &[f32]) -> Vec<f32> {
    scores.iter().map(|score| -score).collect()
}

fn to_core(tail: &FittedTail) -> Tail {
    let [start, rate, scale, shape, base] =
        [tail.start, tail.rate, tail.scale, tail.shape, tail.base].map(|value| value as f32);
    Tail { start, rate, scale, shape, base }
}

/// The calibration of a model on normal data in the order of time; `false_alarms` as for [`of_windows`], where no rate of alarms is
/// asked for.
///
/// # Errors
/// If the data cannot be scored, or do not support the rate of alarms: says what would.
pub fn calibrate(file: &ModelFile, normal: &Normal, false_alarms: f64) -> Result<(CalibrationRecord, Report)> {
    let Normal { table, settings } = normal;
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let model = bytes.model()?;
    let name = table.path().display().to_string();
    let kind = settings.score;
    let (windows, scores) = NormalWindows::scored(model, table, kind, None)?;
    let starts = &windows.starts[..];
    let windows_per_second = settings.sample_rate.map(|rate| rate / model.hop() as f64);
    let OfSeries { mut calibration, mut sequential, alarms, refusal, mut notes, false_alarms: known } =
        of_series(Series { name: &name, scores: &scores, starts }, settings, windows_per_second, false_alarms)?;
    // Where the device can stop early, its scores are lower: the bound rises with the samples. Near a threshold, in the tails, it cannot.
    if let ScoreKind::Importance(_) = kind {
        let own = windows.scores(kind, Some(calibration.threshold))?;
        let CalibrationRecord { quantiles, location_and_scale, .. } = of_scores(&own, false_alarms);
        calibration = CalibrationRecord { quantiles, location_and_scale, ..calibration };
        let rate = rate_per_window(settings, windows_per_second, &calibration)?;
        sequential = Sequential::of(&negated(&own), starts, &calibration, (1.0 - VOTES_SHARE) * rate)?;
        sequential.write(&mut calibration);
    }
    calibration.channels = channels(&model, &windows, &sequential, &settings.ranges)?;
    notes.extend(windows.lengths.note(table.path()));
    notes.extend(sequential.notes(&name, scores.len(), starts, windows_per_second));
    let report = Report {
        windows: scores.len(),
        pieces: starts.len() + 1,
        left_out: windows.left_out,
        windows_per_second,
        threshold: calibration.threshold,
        alarms,
        dependence: sequential.dependence,
        has_sequential_test: sequential.changes.is_some(),
        changes: sequential.changes,
        drift_memory: sequential.memory,
        refusal,
        notes,
        scores,
        false_alarms: known,
    };
    Ok((calibration, report))
}

/// Scores in the order of time.
#[derive(Clone, Copy, Debug)]
pub struct Series<'s> {
    /// What messages call them.
    pub name: &'s str,
    /// Of normal windows.
    pub scores: &'s [f32],
    /// Those with which another recording begins, and votes, sums and averages begin anew.
    pub starts: &'s [usize],
}

/// What scores in the order of time say of the alarm.
#[derive(Clone, Debug)]
pub struct OfSeries {
    /// All but the channels'.
    pub calibration: CalibrationRecord,
    /// What the device's alarm does with them.
    pub sequential: Sequential,
    /// As in [`Report`].
    pub alarms: Option<(f64, (f64, f64))>,
    /// As in [`Report`].
    pub refusal: Option<String>,
    /// As in [`Report`].
    pub notes: Vec<String>,
    /// As in [`Report`].
    pub false_alarms: Option<FalseAlarms>,
}

/// Calibrates the alarm on scores in the order of time; `false_alarms` as for [`calibrate`].
///
/// # Errors
/// If alarms are asked for and the scores have no tail, or nobody knows how many come each second.
pub fn of_series(
    series: Series<'_>,
    settings: &Settings,
    windows_per_second: Option<f64>,
    false_alarms: f64,
) -> Result<OfSeries> {
    let Series { name, scores, starts } = series;
    let mut calibration = CalibrationRecord {
        votes: settings.votes,
        score_kind: settings.score,
        sample_rate: settings.sample_rate.unwrap_or(0.0) as f32,
        ..of_scores(scores, false_alarms)
    };
    let (needed, of) = settings.votes;
    let votes = Votes::new(needed, of).with_context(|| {
        format!(
            "votes {needed}/{of}: give m/n, m of the last n windows, with 1 ≤ m ≤ n \
         ≤ {MOST_VOTES}"
        )
    })?;
    let nats = negated(scores);
    let found = FalseAlarms::of(&nats, starts, votes);
    let known = found.as_ref().ok().copied();
    if let Some(found) = &known {
        calibration.alarms = to_core(&found.alarms());
    }
    let rate = rate_per_window(settings, windows_per_second, &calibration)?;
    let sequential = Sequential::of(&nats, starts, &calibration, (1.0 - VOTES_SHARE) * rate)?;
    sequential.write(&mut calibration);
    let mut series =
        OfSeries { calibration, sequential, alarms: None, refusal: None, notes: Vec::new(), false_alarms: known };
    match (settings.alarms.zip(windows_per_second), found) {
        (None, Ok(_)) => {}
        (None, Err(error)) => {
            let note = format!(
                "{name}: the firmware cannot ask for a rate of alarms, as these data do not tell how often rare scores \
                 come: {error:#}"
            );
            series.notes.push(note);
        }
        // Without a tail nothing is known of any rate, so that there is nothing to force.
        (Some(_), Err(error)) => bail!(
            "{name}: {error:#}; record longer, fit with a shorter --hop, or leave --alarms out: the threshold is then a quantile of the \
             scores"
        ),
        (Some((asked, windows_per_second)), Ok(found)) => {
            let judged = array(&series.calibration)?;
            let found = found.as_raised(&nats, starts, &core(&judged)?, votes);
            series.false_alarms = Some(found);
            series.ask(name, &found, asked, windows_per_second)?;
        }
    }
    Ok(series)
}

impl OfSeries {
    /// Sets the threshold for a rate of alarms, in alarms per second.
    fn ask(&mut self, name: &str, found: &FalseAlarms, asked: f64, windows_per_second: f64) -> Result<()> {
        let rate = asked / windows_per_second;
        let changes = self.sequential.changes.as_ref();
        let share = votes_share(changes);
        let support = found.support(rate, windows_per_second, changes).with_context(|| name.to_owned());
        self.calibration.threshold = -found.alarms().level(share * rate) as f32;
        if !self.calibration.threshold.is_finite() {
            // More alarms than the tail has windows are not in it, which --force cannot change.
            return Err(support
                .err()
                .unwrap_or_else(|| anyhow!("{name}: no threshold gives so many alarms: ask for fewer")));
        }
        let (low, high) = found.interval(rate, changes);
        self.notes.push(format!("{name}: {}", found.horizon(windows_per_second)));
        self.alarms = Some((asked, (low * windows_per_second, high * windows_per_second)));
        self.refusal = support.err().map(|error| format!("{error:#}"));
        Ok(())
    }
}

/// False alarms per window: those that are asked for, or those of the threshold.
fn rate_per_window(
    settings: &Settings,
    windows_per_second: Option<f64>,
    calibration: &CalibrationRecord,
) -> Result<f64> {
    match (settings.alarms, windows_per_second) {
        (Some(_), None) => bail!("alarms per time need the sample rate: give --rate, in samples (rows) a second"),
        (Some(asked), Some(windows_per_second)) => Ok(asked / windows_per_second),
        (None, _) if calibration.alarms.rate > 0.0 => {
            Ok(f64::from(calibration.alarms.rate_above(-calibration.threshold)) / VOTES_SHARE)
        }
        (None, _) => Ok(RATE),
    }
}
