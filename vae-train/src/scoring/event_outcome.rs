//! What became of each event, and why.

use serde::Serialize;
use vae_core::Verdict;

use crate::scoring::events::Event;

/// Share of an event's windows in which it must be noticed, by an alarm or as a sensor's fault.
pub const MOST_OF_IT: f64 = 0.5;
/// Most times that an alarm may be raised during one event: more is flapping.
pub const MOST_RAISED: usize = 2;
/// Chance of scoring lower than a normal window from which the scores tell an event, so that a threshold could.
const TELLS: f64 = 0.8;

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The alarm was raised, once or twice, and on for at least half of its windows.
    Detected,
    /// At least half of its windows were reported as a sensor's fault, or had the alarm on.
    SensorFault,
    /// The alarm was on already when it began and has not been raised anew: what the event would have done is not shown.
    AlarmBefore,
    /// No window holds a row of it.
    NoWindow,
    /// The alarm was raised more than twice.
    Flapped,
    /// The alarm was off for more than half of its windows.
    MostlyOff,
    /// No alarm was raised.
    Missed,
}

impl Fate {
    /// Whether the event was noticed as it should be.
    #[must_use]
    pub const fn is_noticed(self) -> bool {
        matches!(self, Self::Detected | Self::SensorFault)
    }

    /// In a few words, for a table.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Detected => "detected",
            Self::SensorFault => "a sensor's fault",
            Self::AlarmBefore => "alarm on before",
            Self::NoWindow => "in no window",
            Self::Flapped => "alarm flaps",
            Self::MostlyOff => "alarm mostly off",
            Self::Missed => "not detected",
        }
    }
}

/// Why an alarm was not on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// At least half of its windows passed as drift.
    Drift,
    /// At least half of its windows are below the threshold, and yet no alarm came of it.
    Votes,
    /// It has fewer rows than a window.
    ShortEvent,
    /// Its windows score lower than normal ones, but not low enough.
    Threshold,
    /// Its windows hardly score lower than normal ones.
    Unseen,
}

/// What became of an event, and what its windows show of why.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EventOutcome {
    /// What became of it.
    pub fate: Fate,
    /// Why its alarm was not on; none where it was on enough.
    pub cause: Option<Cause>,
    /// Share of its windows that are below the threshold; none where it has no windows, as for all that follow.
    pub below_threshold: Option<f64>,
    /// The chance that a window of it scores lower than a normal window, ties counting half.
    pub auroc: Option<f64>,
    /// Share of its windows that the detector reports as a sensor's fault with no alarm on.
    pub sensor_fault: Option<f64>,
    /// Share of its windows that the detector calls drifting.
    pub drifting: Option<f64>,
}

/// The windows of an event, counted by what the model and its detector say of them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// All of them.
    pub windows: usize,
    /// Those that are below the threshold.
    pub below: usize,
    /// Those that the detector reports as a sensor's fault with no alarm on.
    pub sensor_fault: usize,
    /// Those that it calls drifting.
    pub drifting: usize,
    /// For all of them, the normal windows that score higher, those of the same score counting half.
    pub higher: f64,
}

impl Tally {
    /// Counts a window with this verdict; whether it `is_below` the threshold, and the alarm on.
    pub fn add(&mut self, verdict: &Verdict, is_below: bool, alarm: bool) {
        self.windows += 1;
        self.below += usize::from(is_below);
        self.sensor_fault += usize::from(matches!(verdict, Verdict::SensorFault(_)) && !alarm);
        self.drifting += usize::from(matches!(verdict, Verdict::Drifting(_)));
    }

    /// What became of an event with windows of so many rows, beside so many normal ones.
    #[must_use]
    pub fn outcome(&self, event: &Event, window: usize, normal: usize) -> EventOutcome {
        let share = |part: usize| (self.windows > 0).then(|| part as f64 / self.windows as f64);
        let pairs = self.windows as f64 * normal as f64;
        let shown = Shown {
            below_threshold: share(self.below),
            auroc: (pairs > 0.0).then(|| self.higher / pairs),
            sensor_fault: share(self.sensor_fault),
            drifting: share(self.drifting),
        };
        shown.outcome(event, window)
    }
}

/// The shares of an event's windows.
#[derive(Clone, Copy, Default)]
struct Shown {
    below_threshold: Option<f64>,
    auroc: Option<f64>,
    sensor_fault: Option<f64>,
    drifting: Option<f64>,
}

impl Shown {
    fn outcome(self, event: &Event, window: usize) -> EventOutcome {
        let fate = self.fate(event);
        let cause = matches!(fate, Fate::Missed | Fate::MostlyOff).then(|| self.cause(event, window));
        let Self { below_threshold, auroc, sensor_fault, drifting } = self;
        EventOutcome { fate, cause, below_threshold, auroc, sensor_fault, drifting }
    }

    fn fate(&self, event: &Event) -> Fate {
        let Some(on) = event.alarm_share else { return Fate::NoWindow };
        let sensor_fault = self.sensor_fault.unwrap_or(0.0);
        if event.raised > MOST_RAISED {
            Fate::Flapped
        } else if on >= MOST_OF_IT {
            if event.was_on && event.raised == 0 { Fate::AlarmBefore } else { Fate::Detected }
        } else if on + sensor_fault >= MOST_OF_IT {
            Fate::SensorFault
        } else if event.delay.is_some() {
            Fate::MostlyOff
        } else {
            Fate::Missed
        }
    }

    fn cause(&self, event: &Event, window: usize) -> Cause {
        let is_most = |share: Option<f64>| share.is_some_and(|share| share >= MOST_OF_IT);
        if is_most(self.drifting) {
            Cause::Drift
        } else if is_most(self.below_threshold) {
            Cause::Votes
        } else if event.rows() < window {
            Cause::ShortEvent
        } else if self.auroc.is_some_and(|auroc| auroc >= TELLS) {
            Cause::Threshold
        } else {
            Cause::Unseen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::events::EventDetection;

    /// The only event of rows labelled so, one row a window.
    fn event(labels: &str, alarm: &str) -> Event {
        let bits = |text: &str| text.chars().map(|c| c == '1').collect::<Vec<_>>();
        let ends: Vec<usize> = (0..labels.len()).collect();
        EventDetection::of(&bits(labels), &[], 1, &ends, &bits(alarm), None).unwrap().events[0]
    }

    fn fate(labels: &str, alarm: &str, sensor_fault: f64) -> Fate {
        Shown { sensor_fault: Some(sensor_fault), ..Shown::default() }.fate(&event(labels, alarm))
    }

    #[test]
    fn fates_of_events_counted_by_hand() {
        for (labels, alarm, expected) in [
            ("0011110000", "0001110000", Fate::Detected),
            ("0011110000", "0001100000", Fate::Detected), // exactly half
            ("0011110000", "0001000000", Fate::MostlyOff),
            ("0011110000", "0000001000", Fate::Missed),
            ("0111111110", "0110110110", Fate::Flapped),
            ("0111111110", "0110110000", Fate::Detected), // twice, and exactly half
            ("0111111110", "0101010000", Fate::Flapped),  // mostly off, too
            ("0011110000", "0111111000", Fate::AlarmBefore),
            ("0011110000", "0110110000", Fate::Detected), // on before, off, and raised by the event
            ("0011110000", "0110000000", Fate::MostlyOff), // on before, and soon off
        ] {
            assert_eq!(fate(labels, alarm, 0.0), expected, "{labels} {alarm}");
        }
    }

    #[test]
    fn a_sensors_fault_that_is_reported_is_no_miss() {
        assert_eq!(fate("0011110000", "0000000000", 0.5), Fate::SensorFault);
        assert_eq!(fate("0011110000", "0000000000", 0.25), Fate::Missed);
        // On for a quarter, a sensor's fault for another one.
        assert_eq!(fate("0011110000", "0001000000", 0.25), Fate::SensorFault);
        assert_eq!(fate("0011110000", "0001110000", 0.25), Fate::Detected);
    }

    #[test]
    fn causes_are_told_in_this_order() {
        let missed = event("0011110000", "0000000000");
        let shown = |drifting, below, auroc| Shown {
            drifting: Some(drifting),
            below_threshold: Some(below),
            auroc: Some(auroc),
            sensor_fault: Some(0.0),
        };
        for (shown, window, expected) in [
            (shown(0.5, 0.9, 0.99), 1, Cause::Drift),
            (shown(0.4, 0.5, 0.99), 1, Cause::Votes),
            (shown(0.4, 0.4, 0.99), 5, Cause::ShortEvent),
            (shown(0.4, 0.4, 0.80), 4, Cause::Threshold),
            (shown(0.4, 0.4, 0.79), 4, Cause::Unseen),
        ] {
            assert_eq!(shown.outcome(&missed, window).cause, Some(expected));
        }
        let detected = event("0011110000", "0001110000");
        assert_eq!(shown(0.0, 0.0, 0.5).outcome(&detected, 1).cause, None);
    }
}
