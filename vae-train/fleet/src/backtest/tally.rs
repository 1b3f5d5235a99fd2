//! What is counted of one machine.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vae_core::Verdict;

use crate::{
    clock::Tick,
    function::verdicts::{cause, channel},
    judge::Judged,
};

/// Counts of one machine's rows and windows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Rows.
    pub rows: u64,
    /// The first row's time that is known, in seconds.
    pub first: Option<f64>,
    /// The last one's.
    pub last: Option<f64>,
    /// Windows that were judged, or refused because of a sensor.
    pub windows: u64,
    /// Windows with the alarm on.
    pub in_alarm: u64,
    /// Alarms raised.
    pub alarms: usize,
    /// Times of the first of them, in seconds.
    pub alarm_times: Vec<f64>,
    /// Windows that drift, by what does: `mean of x`, `scores`.
    pub drifting: BTreeMap<String, u64>,
    /// Whether the last window does.
    pub is_drifting: bool,
    /// Windows of a sensor that is not to be believed, by channel and cause: `x stuck`.
    pub faults: BTreeMap<String, u64>,
    /// Gaps.
    pub gaps: u64,
    /// Seconds of rows that are missing in them.
    pub missing: f64,
    /// Sum of the p-values, and how many: of windows without an alarm.
    pub p_values: (f64, u64),
    /// Seconds and rows between times that follow each other without a gap.
    pub paced: (f64, u64),
    was_raised: bool,
}

/// Most alarms of a machine whose times are kept.
const MOST_TIMES: usize = 1000;

impl Tally {
    /// Counts a row at this time, in seconds, and what it has led to.
    pub fn take(&mut self, time: f64, judged: &Judged, channels: &[String]) {
        let before = self.last;
        self.rows += 1;
        if !time.is_nan() {
            self.first.get_or_insert(time);
            self.last = Some(time);
        }
        match (judged.tick, before) {
            (Tick::Gap(seconds), _) => {
                self.gaps += 1;
                self.missing += seconds;
            }
            (Tick::Next, Some(before)) if !time.is_nan() => {
                self.paced.0 += time - before;
                self.paced.1 += 1;
            }
            _ => {}
        }
        if let Some(verdict) = &judged.verdict {
            self.window(time, verdict, judged.is_raised, channels);
        }
    }

    fn window(&mut self, time: f64, verdict: &Verdict, is_raised: bool, channels: &[String]) {
        self.windows += 1;
        self.in_alarm += u64::from(is_raised);
        if is_raised && !self.was_raised {
            self.alarms += 1;
            if self.alarm_times.len() < MOST_TIMES {
                self.alarm_times.push(time);
            }
        }
        self.was_raised = is_raised;
        let name = || channel(verdict).and_then(|index| channels.get(index)).map_or("", String::as_str);
        self.is_drifting = false;
        match verdict {
            Verdict::SensorFault(_) => {
                let key = format!("{} {}", name(), cause(verdict).unwrap_or_default());
                *self.faults.entry(key).or_default() += 1;
            }
            Verdict::Drifting(_) => {
                self.is_drifting = true;
                let cause = cause(verdict).unwrap_or_default();
                let key = if name().is_empty() { cause.to_owned() } else { format!("{cause} of {}", name()) };
                *self.drifting.entry(key).or_default() += 1;
            }
            Verdict::Normal(_) | Verdict::Anomalous(_) => {}
        }
        if let Some(assessment) = verdict.assessment().filter(|_| !is_raised) {
            self.p_values.0 += f64::from(assessment.p_value);
            self.p_values.1 += 1;
        }
    }

    /// Windows that drift.
    #[must_use]
    pub fn drifting_windows(&self) -> u64 {
        self.drifting.values().sum()
    }

    /// Windows of a sensor that is not to be believed.
    #[must_use]
    pub fn fault_windows(&self) -> u64 {
        self.faults.values().sum()
    }

    /// Rows a second, gaps left out; none of fewer than two times.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let (seconds, rows) = self.paced;
        (seconds > 0.0 && rows > 0).then(|| rows as f64 / seconds)
    }
}
