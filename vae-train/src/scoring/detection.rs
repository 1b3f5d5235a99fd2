//! Runs the core's detector over a table, as the device will over its stream.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use vae_core::{Detector, Drift, DriftKind, Model, Scratch, SensorFault, SensorFaultKind, Verdict};

use crate::{data::windows::Buffer, tables::table::Table};

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
    let mut memory = Memory::of(&model);
    Detecting::new(model, &mut memory)?.judge(table, true, 0)
}

/// What a detector needs.
pub struct Memory {
    window: Box<Buffer>,
    state: Vec<f32>,
    scratch: Vec<f32>,
}

impl Memory {
    /// As much as a detector of this model takes.
    #[must_use]
    pub fn of(model: &Model<'_>) -> Self {
        Self {
            window: Box::new(Buffer::new()),
            state: vec![0.0; model.state_len()],
            scratch: vec![0.0; model.scratch_len()],
        }
    }
}

/// A detector that rows go through, however many of them come at a time.
pub struct Detecting<'m, 'b> {
    model: Model<'m>,
    detector: Detector<'m, 'b>,
    scratch: Scratch<'b>,
    /// Rows so far.
    rows: usize,
    /// Whether the recording has had no window yet.
    is_first: bool,
}

impl<'m, 'b> Detecting<'m, 'b> {
    /// One that has just been started.
    ///
    /// # Errors
    /// If the model is not calibrated.
    pub fn new(model: Model<'m>, memory: &'b mut Memory) -> Result<Self> {
        let Memory { window, state, scratch } = memory;
        let detector = Detector::new(model, &mut **window, state)?;
        Ok(Self { model, detector, scratch: Scratch::new(scratch), rows: 0, is_first: true })
    }

    /// The verdicts on the next rows, as [`detect`] has them, with the first of which another recording `begins` or not; it is the row `first` of its
    /// file, counted from 0.
    ///
    /// # Errors
    /// If a row cannot be taken: names its place in the file.
    pub fn judge(&mut self, table: &Table, begins: bool, first: usize) -> Result<Vec<Judged>> {
        let mut judged = Vec::new();
        let mut starts = table.starts.iter().copied().peekable();
        let channels = self.model.channels();
        for (row, sample) in table.values.chunks_exact(table.columns.len()).enumerate() {
            if starts.next_if_eq(&row).is_some() || (begins && row == 0 && self.rows > 0) {
                self.detector.forget()?;
                self.is_first = true;
            }
            let (sample, condition) = sample.split_at(channels);
            let context = || format!("{}: row {} cannot be judged", table.path.display(), first + row + 1);
            if let Some(missing) = condition.iter().position(|value| !value.is_finite()) {
                bail!(
                    "{}: row {}: the condition `{}` is missing, and no row can be judged without it",
                    table.path.display(),
                    first + row + 1,
                    table.columns[channels + missing]
                );
            }
            self.detector.given(condition).with_context(context)?;
            if let Some(verdict) = self.detector.push(sample, &mut self.scratch).with_context(context)? {
                let (alarm, is_first) = (self.detector.is_raised(), std::mem::take(&mut self.is_first));
                judged.push(Judged { row: self.rows, verdict, alarm, is_first });
            }
            self.rows += 1;
        }
        Ok(judged)
    }
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
        judged.into_iter().for_each(|judged| counts.add(judged, &mut raised));
        counts
    }

    /// Counts the next one, behind which an alarm is `raised` or not.
    pub fn add(&mut self, judged: &Judged, raised: &mut bool) {
        let Judged { verdict, alarm, is_first, .. } = judged;
        self.count(verdict);
        self.alarms += usize::from(*alarm && (!*raised || *is_first));
        *raised = *alarm;
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
