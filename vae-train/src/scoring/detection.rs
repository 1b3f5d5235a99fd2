//! Runs the core's detector over a table, as the device will over its stream.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use vae_core::{Detector, Drift, DriftKind, Model, Scratch, SensorFault, SensorFaultKind, Verdict};

use crate::tables::table::{MAX_FEATURES, Table};

/// What the detector said of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// Index of the window's last row.
    pub row: usize,
    /// The verdict.
    pub verdict: Verdict,
    /// Whether an alarm is raised.
    pub alarm: bool,
    /// Whether it is the first window of its recording, with which the detector begins anew.
    pub is_first: bool,
}

/// The verdicts on a table whose columns are the model's channels and conditions and whose rows are in the order of time. Each of its recordings is
/// judged by itself, as by a detector that has just been started: no window, vote, sum or average goes over to the next.
///
/// # Errors
/// If the model is not calibrated, or a row cannot be taken.
pub fn detect(model: Model<'_>, table: &Table) -> Result<Vec<Judged>> {
    let mut window = Box::new(heapless::Vec::<f32, MAX_FEATURES>::new());
    let (mut state, mut memory) = (vec![0.0; model.state_len()], vec![0.0; model.scratch_len()]);
    let mut scratch = Scratch::new(&mut memory);
    let mut detector = Detector::new(model, &mut *window, &mut state)?;
    let mut judged = Vec::new();
    let mut starts = table.starts.iter().copied().peekable();
    let mut is_first = true;
    for (row, sample) in table.values.chunks_exact(table.columns.len()).enumerate() {
        if starts.next_if_eq(&row).is_some() {
            detector.forget()?;
            is_first = true;
        }
        let (sample, condition) = sample.split_at(model.channels());
        let context = || format!("{}: row {} cannot be judged", table.path.display(), row + 1);
        if let Some(missing) = condition.iter().position(|value| !value.is_finite()) {
            bail!(
                "{}: row {}: the condition `{}` is missing, and no row can be judged without it",
                table.path.display(),
                row + 1,
                table.columns[model.channels() + missing]
            );
        }
        detector.given(condition).with_context(context)?;
        if let Some(verdict) = detector.push(sample, &mut scratch).with_context(context)? {
            judged.push(Judged { row, verdict, alarm: detector.is_raised(), is_first });
            is_first = false;
        }
    }
    Ok(judged)
}

/// How often each verdict was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdicts {
    /// Windows without alarm.
    pub normal: usize,
    /// Windows with an alarm raised.
    pub anomalous: usize,
    /// Windows of a sensor that is not to be believed.
    pub sensor_fault: usize,
    /// Windows without alarm, while something drifts.
    pub drifting: usize,
    /// Alarms raised.
    pub alarms: usize,
}

impl Verdicts {
    /// Counts them, in the order of time.
    #[must_use]
    pub fn of<'j>(judged: impl IntoIterator<Item = &'j Judged>) -> Self {
        let mut counts = Self::default();
        let mut raised = false;
        for Judged { verdict, alarm, is_first, .. } in judged {
            counts.count(verdict);
            counts.alarms += usize::from(*alarm && (!raised || *is_first));
            raised = *alarm;
        }
        counts
    }

    /// Counts a verdict, but not whether it raises an alarm.
    pub fn count(&mut self, verdict: &Verdict) {
        *match verdict {
            Verdict::Normal(_) => &mut self.normal,
            Verdict::Anomalous(_) => &mut self.anomalous,
            Verdict::SensorFault(_) => &mut self.sensor_fault,
            Verdict::Drifting(_) => &mut self.drifting,
        } += 1;
    }
}

/// A verdict in a few words, with the channel to blame (its number, where it has no name): `normal`, `anomalous: y`, `stuck: x`,
/// `drifting: scores` …
#[must_use]
pub fn verdict_in_words(verdict: &Verdict, channels: &[&str]) -> String {
    let name = |channel: u32| channels.get(channel as usize).map_or(channel.to_string(), |name| (*name).to_owned());
    match verdict {
        Verdict::Normal(_) => "normal".to_owned(),
        Verdict::Anomalous(anomaly) => format!("anomalous: {}", name(anomaly.channel)),
        Verdict::SensorFault(SensorFault { channel, kind }) => {
            let kind = match kind {
                SensorFaultKind::Missing => "missing",
                SensorFaultKind::Stuck => "stuck",
                SensorFaultKind::Saturated => "saturated",
                SensorFaultKind::OutOfRange => "out of range",
            };
            format!("{kind}: {}", name(*channel))
        }
        Verdict::Drifting(Drift { kind, .. }) => match kind {
            DriftKind::Score(_) => "drifting: scores".to_owned(),
            DriftKind::Spread(_) => "drifting: spread of scores".to_owned(),
            DriftKind::Mean { channel, .. } => format!("drifting: mean of {}", name(*channel)),
            DriftKind::Power { channel, .. } => format!("drifting: power of {}", name(*channel)),
        },
    }
}
