//! What the counts say of each machine and of the fleet.

use std::collections::BTreeMap;

use serde::Serialize;
use vae_core::{Alarms, Calibration};

use crate::{
    backtest::tally::Tally,
    model::LoadedModel,
    statistics::{interval::means_behind, poisson::at_least},
    words::{
        numbers::{number, percent, significant},
        rates::rate_nearest,
    },
};

/// Chance at which so many alarms are no accident, as the trainer has it.
const NO_ACCIDENT: f64 = 0.01;
/// Share of the windows that may drift before it is worth a remark, as the trainer has it.
const DRIFTING: f64 = 0.01;
/// Share of the windows above which what a machine does is not an event but its nature.
const MOST: f64 = 0.5;
/// Distance of the p-values' mean from ½, of which scores like the calibration's have 0, that a threshold feels.
const OFF_CENTRE: f64 = 0.15;
/// Standard errors by which it must be more than an accident.
const SURE: f64 = 4.0;
/// Rates of rows that differ by less are the same, as the device has it.
const SAME_RATE: f64 = 0.01;

/// Alarms against those that were asked for: all of them, for what was a fault is not told from what was not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AlarmCount {
    /// Alarms raised.
    pub raised: usize,
    /// Alarms expected in this time at the rate asked for; none where no rate is known.
    pub expected: Option<f64>,
    /// The chance of as many or more at that rate.
    pub chance: Option<f64>,
    /// The rate that they say, a second, with a confidence of 90 %; none where no time was watched.
    pub per_second: Option<(f64, f64)>,
    /// Whether they are more than an accident.
    pub is_too_many: bool,
}

impl AlarmCount {
    /// `raised` alarms in some seconds, at a rate `asked` for.
    #[must_use]
    pub fn new(raised: usize, seconds: Option<f64>, asked: Option<f64>) -> Self {
        let seconds = seconds.filter(|seconds| *seconds > 0.0);
        let expected = seconds.zip(asked).map(|(seconds, asked)| seconds * asked);
        let chance = expected.map(|expected| at_least(raised, expected));
        let (low, high) = means_behind(raised);
        let per_second = seconds.map(|seconds| (low / seconds, high / seconds));
        Self { raised, expected, chance, per_second, is_too_many: chance.is_some_and(|chance| chance < NO_ACCIDENT) }
    }
}

/// One machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineReport {
    /// Its name.
    pub machine: String,
    /// Rows.
    pub rows: u64,
    /// Times of the first and the last of them, in seconds.
    pub times: Option<(f64, f64)>,
    /// Rows a second, gaps left out.
    pub rate: Option<f64>,
    /// Windows.
    pub windows: u64,
    /// Seconds that they cover; none where the model says no rate of rows.
    pub seconds: Option<f64>,
    /// Alarms.
    pub alarms: AlarmCount,
    /// Times of the first thousand of them, in seconds.
    pub alarm_times: Vec<f64>,
    /// Share of the windows with the alarm on.
    pub in_alarm: f64,
    /// Mean of the p-values without an alarm: ½ where scores are like those of the calibration.
    pub mean_p_value: Option<f64>,
    /// Share of the windows that drift.
    pub drifting: f64,
    /// Windows that drift, by what does.
    pub drifts: BTreeMap<String, u64>,
    /// Whether the last window drifts.
    pub is_drifting_at_the_end: bool,
    /// Share of the windows of a sensor that is not to be believed.
    pub sensor_faults: f64,
    /// Such windows, by channel and cause.
    pub faults: BTreeMap<String, u64>,
    /// Gaps between rows.
    pub gaps: u64,
    /// Seconds of rows that are missing in them.
    pub missing_seconds: f64,
    /// Whether the rows had to be sorted.
    pub was_sorted: bool,
    /// Why a baseline or a calibration of its own is needed; none where it is not.
    pub needs_baseline: Option<String>,
    /// What else is worth a remark.
    pub remarks: Vec<String>,
}

/// What a model promises, and what machines are held to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// Alarms a second; none where neither the command nor the model says.
    pub alarms_per_second: Option<f64>,
    /// Seconds from one window to the next; none where the model says no rate.
    pub seconds_per_window: Option<f64>,
    /// Rows a second.
    pub rate: Option<f64>,
    /// Windows that count for one where scores follow each other: the calibration's dependence.
    pub dependence: f64,
}

impl Asked {
    /// What is asked of a model's detectors.
    ///
    /// # Errors
    /// If the model is faulty.
    pub fn of(model: &LoadedModel, alarms: Option<Alarms>) -> anyhow::Result<Self> {
        let view = model.model()?;
        let calibration: Calibration<'_> = view.calibration()?;
        let rate = calibration.sample_rate().map(f64::from);
        let seconds_per_window = rate.map(|rate| view.hop() as f64 / rate);
        let by_model = calibration
            .alarms_per_window()
            .map(f64::from)
            .zip(seconds_per_window)
            .map(|(alarms, seconds)| alarms / seconds);
        let alarms_per_second = alarms.map(|alarms| f64::from(alarms.per_second())).or(by_model);
        Ok(Self {
            alarms_per_second,
            seconds_per_window,
            rate,
            dependence: f64::from(calibration.dependence()).max(1.0),
        })
    }
}

impl MachineReport {
    /// What the counts say.
    #[must_use]
    pub fn new(machine: &str, tally: &Tally, asked: &Asked, was_sorted: bool) -> Self {
        let share = |count: u64| if tally.windows == 0 { 0.0 } else { count as f64 / tally.windows as f64 };
        let seconds = asked.seconds_per_window.map(|each| each * tally.windows as f64);
        let (sum, count) = tally.p_values;
        let mut report = Self {
            machine: machine.to_owned(),
            rows: tally.rows,
            times: tally.first.zip(tally.last),
            rate: tally.rate(),
            windows: tally.windows,
            seconds,
            alarms: AlarmCount::new(tally.alarms, seconds, asked.alarms_per_second),
            alarm_times: tally.alarm_times.clone(),
            in_alarm: share(tally.in_alarm),
            mean_p_value: (count > 0).then(|| sum / count as f64),
            drifting: share(tally.drifting_windows()),
            drifts: tally.drifting.clone(),
            is_drifting_at_the_end: tally.is_drifting,
            sensor_faults: share(tally.fault_windows()),
            faults: tally.faults.clone(),
            gaps: tally.gaps,
            missing_seconds: tally.missing,
            was_sorted,
            needs_baseline: None,
            remarks: Vec::new(),
        };
        report.needs_baseline = report.baseline(count, asked);
        report.remarks = report.remarks(asked);
        report
    }

    fn baseline(&self, count: u64, asked: &Asked) -> Option<String> {
        if self.in_alarm > MOST {
            return Some(format!(
                "the alarm is on in {} of its windows: if it is well, it is another machine than those that were calibrated on",
                percent(self.in_alarm)
            ));
        }
        let (main, windows) =
            self.drifts.iter().max_by_key(|(_, windows)| **windows).map_or(("", 0), |(name, windows)| (name, *windows));
        if self.drifting > MOST {
            return Some(format!("{} of its windows drift, most by the {main} ({windows})", percent(self.drifting)));
        }
        // A mean of independent uniform values has a variance of 1/12 each.
        let error = (asked.dependence / (12.0 * count.max(1) as f64)).sqrt();
        let mean = self.mean_p_value?;
        let off = mean - 0.5;
        if off.abs() <= OFF_CENTRE.max(SURE * error) {
            return None;
        }
        let (side, outcome) = if off < 0.0 {
            ("lower", "alarms will be more frequent than asked for")
        } else {
            ("higher", "faults will be found later than they could be")
        };
        Some(format!("its scores are {side} than the calibration's (mean p-value {}, of 0.5): {outcome}", number(mean)))
    }

    fn remarks(&self, asked: &Asked) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.windows == 0 {
            remarks.push(format!("too few rows: {} complete no window", self.rows));
        }
        if let (Some(found), Some(rate)) = (self.rate, asked.rate)
            && (found / rate - 1.0).abs() > SAME_RATE
        {
            remarks.push(format!("{} rows a second, where the model's have {}", significant(found), significant(rate)));
        }
        if let (true, Some(expected), Some((low, high))) =
            (self.alarms.is_too_many, self.alarms.expected, self.alarms.per_second)
        {
            remarks.push(format!(
                "alarms: {} where {} were expected, between {} and {} with 90 % confidence",
                self.alarms.raised,
                number(expected),
                rate_nearest(low),
                rate_nearest(high)
            ));
        }
        if self.drifting > DRIFTING {
            let names = self.drifts.keys().cloned().collect::<Vec<_>>().join(", ");
            remarks.push(format!("{} of its windows drift: {names}", percent(self.drifting)));
        }
        for (fault, windows) in &self.faults {
            remarks.push(format!("sensor {fault} in {}", percent(*windows as f64 / self.windows as f64)));
        }
        if self.was_sorted {
            remarks.push("rows out of order: they were sorted".to_owned());
        }
        remarks
    }
}

/// All machines together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FleetReport {
    /// Machines that were judged.
    pub machines: usize,
    /// Rows.
    pub rows: u64,
    /// Windows.
    pub windows: u64,
    /// Seconds that they cover.
    pub seconds: Option<f64>,
    /// Alarms of all machines.
    pub alarms: AlarmCount,
    /// Machines with more alarms than by accident.
    pub too_many_alarms: usize,
    /// Machines that need a baseline of their own.
    pub need_baseline: usize,
    /// Machines that drift in more than a hundredth of their windows.
    pub drifting: usize,
    /// Machines with a sensor that is not to be believed.
    pub sensor_faults: usize,
    /// Machines with gaps.
    pub gaps: usize,
}

impl FleetReport {
    /// The sums.
    #[must_use]
    pub fn new(machines: &[MachineReport], asked: &Asked) -> Self {
        let count = |has: fn(&MachineReport) -> bool| machines.iter().filter(|machine| has(machine)).count();
        let seconds = asked
            .seconds_per_window
            .map(|each| each * machines.iter().map(|machine| machine.windows as f64).sum::<f64>());
        let raised = machines.iter().map(|machine| machine.alarms.raised).sum();
        Self {
            machines: machines.len(),
            rows: machines.iter().map(|machine| machine.rows).sum(),
            windows: machines.iter().map(|machine| machine.windows).sum(),
            seconds,
            alarms: AlarmCount::new(raised, seconds, asked.alarms_per_second),
            too_many_alarms: count(|machine| machine.alarms.is_too_many),
            need_baseline: count(|machine| machine.needs_baseline.is_some()),
            drifting: count(|machine| machine.drifting > DRIFTING),
            sensor_faults: count(|machine| !machine.faults.is_empty()),
            gaps: count(|machine| machine.gaps > 0),
        }
    }
}
