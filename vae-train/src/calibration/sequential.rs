//! What the device's alarm does with a recording, window after window, and what of it is ordinary.

use anyhow::{Result, anyhow};
use vae_core::Calibration as CoreCalibration;

use crate::{
    calibration::changes::{Changes, LONG, NEEDED, Path, limit, memory, windows_for_memory},
    file::calibration::CalibrationRecord,
    statistics::{dependence::dependence, metrics::quantile, pieces::pieces},
    words::rates::span,
};

/// Root mean square of the paths of shift and widening over independent normal windows, times the root of the memory: the shift in standard
/// deviations.
pub(crate) const PATHS: (f64, f64) = (0.72, 0.85);

/// The passes over the recording in which the cumulative sum's limit, and with it where averages stand still, is found.
const PASSES: usize = 3;

/// Of a normal distribution, in standard deviations.
pub(crate) const INTERQUARTILE_RANGE: f64 = 1.349;

/// What a recording says of the alarm's sequential parts.
#[derive(Clone, Debug)]
pub struct Sequential {
    /// Successive windows that tell as much of the scores' level as one independent one.
    pub dependence: f64,
    /// None where the recording is too short for a sequential test.
    pub changes: Option<Changes>,
    /// Windows in which averages follow a slow drift; none where the recording is too short for any.
    pub memory: Option<f64>,
    /// Windows that a recording needs for that.
    pub needed: f64,
    /// Whether averages followed, after each window.
    pub learning: Vec<bool>,
    step: f64,
    limits: (f64, f64),
}

impl Sequential {
    /// Learns from −scores in the order of time and the quantiles of `calibration`, for so many false alarms of the sequential test per window.
    /// `starts` are the windows with which another recording begins, and all anew.
    ///
    /// # Errors
    /// If the quantiles are those of no scores.
    pub fn of(nats: &[f32], starts: &[usize], calibration: &CalibrationRecord, rate: f64) -> Result<Self> {
        let own = array(calibration)?;
        let judged = core(&own)?;
        let p_values: Vec<f64> = nats.iter().map(|nats| judged.p_value(-nats).into()).collect();
        let dependence = dependence(&p_values, starts);
        let lengths: Vec<usize> = pieces(starts, nats.len()).map(|piece| piece.len()).collect();
        let mut sequential = Self {
            dependence,
            changes: None,
            memory: memory(&lengths, dependence, rate),
            needed: windows_for_memory(dependence, rate),
            learning: Vec::new(),
            step: 0.0,
            limits: (f32::MAX.into(), f32::MAX.into()),
        };
        let spread = spread(calibration);
        let mut limit_of_sum = f64::MAX;
        for _ in 0..PASSES {
            sequential.step = sequential.memory.map_or(0.0, |memory| spread / memory);
            let mut following = calibration.clone();
            sequential.write(&mut following);
            // The path is that of averages that nobody reads.
            following.drift_limits = (f32::MAX, f32::MAX);
            let following = array(&following)?;
            let path = Path::of(nats, starts, &core(&following)?, limit_of_sum);
            sequential.changes = Changes::of(&path.peaks, &p_values, starts, dependence);
            let Some(changes) = &sequential.changes else {
                // What would keep a change from being learned is not there.
                sequential.memory = None;
                break;
            };
            limit_of_sum = changes.tail.level(rate as f32).into();
            if let Some(memory) = sequential.memory {
                let of_shifts = limit(&path.shifts, starts, spread * PATHS.0, memory, dependence);
                sequential.limits = (of_shifts, limit(&path.widenings, starts, PATHS.1, memory, dependence));
            }
            sequential.learning = path.learning;
        }
        Ok(sequential)
    }

    /// Writes it into a calibration.
    pub fn write(&self, calibration: &mut CalibrationRecord) {
        let Self { dependence, changes, memory, step, limits, .. } = self;
        calibration.dependence = *dependence as f32;
        calibration.changes = changes.map(|changes| changes.tail).unwrap_or_default();
        let no_more = |limit: f64| limit.min(f32::MAX.into()) as f32;
        match memory {
            Some(memory) => {
                (calibration.drift_memory, calibration.drift_step) = (*memory as f32, *step as f32);
                calibration.drift_limits = (no_more(limits.0), no_more(limits.1));
            }
            None => {
                let CalibrationRecord { drift_memory, drift_step, drift_limits, .. } = CalibrationRecord::default();
                (calibration.drift_memory, calibration.drift_step, calibration.drift_limits) =
                    (drift_memory, drift_step, drift_limits);
            }
        }
    }
}

impl Sequential {
    /// What the user should know of a recording that is too short for a part of it.
    #[must_use]
    pub fn notes(&self, name: &str, windows: usize, starts: &[usize], windows_per_second: Option<f64>) -> Vec<String> {
        let time =
            |windows: f64| windows_per_second.map_or(String::new(), |rate| format!(" ({})", span(windows / rate)));
        let windows = match starts.len() {
            0 => format!("{windows} windows"),
            more => format!("{windows} windows in {} pieces", more + 1),
        };
        let mut notes = Vec::new();
        if self.changes.is_none() {
            let (needed, long) = (NEEDED * self.dependence, LONG * self.dependence);
            let long = match starts {
                [] => String::new(),
                _ => format!(" in pieces of at least {:.0}{}", long.ceil(), time(long.ceil())),
            };
            notes.push(format!(
                "{name}: {windows} are too few for the test that adds up small lasting changes: {:.1} neighbouring windows tell \
                 as much as one independent window, so about {needed:.0}{} are needed{long}; alarms are raised by votes alone",
                self.dependence,
                time(needed)
            ));
        }
        if self.memory.is_none() {
            notes.push(format!(
                "{name}: {windows} are too few to tell slow drift from chance: about {:.0}{} are needed; the detector does not \
                 follow drift, and a channel that drifts far enough raises an alarm",
                self.needed,
                time(self.needed)
            ));
        }
        notes
    }
}

/// A standard deviation of the scores that their tails have no part in, by the quartiles; by all of them where half are the same.
fn spread(calibration: &CalibrationRecord) -> f64 {
    let quartile = |p| f64::from(quantile(&calibration.quantiles, p));
    let spread = (quartile(0.75) - quartile(0.25)) / INTERQUARTILE_RANGE;
    if spread > 0.0 { spread } else { calibration.location_and_scale.1.into() }
}

/// As the device will read it; channels are of no matter here.
pub(crate) fn array(calibration: &CalibrationRecord) -> Result<Vec<f32>> {
    CalibrationRecord { channels: Vec::new(), ..calibration.clone() }.array(0)
}

pub(crate) fn core(array: &[f32]) -> Result<CoreCalibration<'_>> {
    CoreCalibration::new(array, 0).map_err(|error| anyhow!("the scores have no calibration: {error}"))
}
