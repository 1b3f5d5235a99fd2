//! What became of each event, and why.

use serde::Serialize;
use vae_core::Verdict;

use crate::scoring::{
    detection::Judged,
    events::{Event, windows_of},
};

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

/// The windows of a stream, as the model and its detector judge them.
#[derive(Debug)]
pub struct JudgedWindows<'a> {
    /// Rows of a window.
    pub window: usize,
    /// The last row of each window.
    pub last_rows: &'a [usize],
    /// The score of each window, lower more anomalous.
    pub scores: &'a [f32],
    /// Whether each window belongs to an event.
    pub labels: &'a [bool],
    /// What the detector says of each window that it has judged.
    pub judged: &'a [Judged],
}

impl JudgedWindows<'_> {
    /// What became of each event; `is_below` says whether a score is below the threshold.
    #[must_use]
    pub fn outcomes(&self, events: &[Event], is_below: impl Fn(f32) -> bool) -> Vec<EventOutcome> {
        let normal = self.scores.iter().zip(self.labels).filter(|(_, label)| !**label);
        let mut normal: Vec<f32> = normal.map(|(score, _)| *score).collect();
        normal.sort_by(f32::total_cmp);
        let ends: Vec<usize> = self.judged.iter().map(|judged| judged.row).collect();
        let outcome = |event: &Event| {
            let own = |rows: &[usize]| windows_of(rows, self.window, event.first_row, event.last_row);
            let scores = &self.scores[own(self.last_rows)];
            let judged = &self.judged[own(&ends)];
            let says = |of: fn(&Judged) -> bool| share(judged.iter().filter(|window| of(window)).count(), judged.len());
            let shown = Shown {
                below_threshold: share(scores.iter().filter(|score| is_below(**score)).count(), scores.len()),
                auroc: chance_of_lower(scores, &normal),
                sensor_fault: says(|judged| matches!(judged.verdict, Verdict::SensorFault(_)) && !judged.alarm),
                drifting: says(|judged| matches!(judged.verdict, Verdict::Drifting(_))),
            };
            shown.outcome(event, self.window)
        };
        events.iter().map(outcome).collect()
    }
}

fn share(part: usize, of: usize) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// The chance that one of `scores` is lower than one of the ascending `normal` ones, ties counting half: the AUROC; none where either
/// is empty.
fn chance_of_lower(scores: &[f32], normal: &[f32]) -> Option<f64> {
    let higher = |score: &f32| {
        let (below, up_to) = (normal.partition_point(|n| n < score), normal.partition_point(|n| n <= score));
        normal.len() as f64 - 0.5 * (below + up_to) as f64
    };
    let pairs = scores.len() as f64 * normal.len() as f64;
    (pairs > 0.0).then(|| scores.iter().map(higher).sum::<f64>() / pairs)
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
    use crate::{scoring::events::EventDetection, statistics::metrics::Detection};

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

    #[test]
    fn the_chance_of_a_lower_score_is_the_auroc() {
        let (scores, normal) = ([1.0, 3.0, 3.0, -2.0], [0.0f32, 2.0, 3.0, 3.0, 7.0]);
        // Of 20 pairs: 4 + (1 + 1) + (1 + 1) + 5, with the four ties half.
        assert_eq!(chance_of_lower(&scores, &normal), Some(13.0 / 20.0));
        let all: Vec<f64> = scores.iter().chain(&normal).map(|score| -f64::from(*score)).collect();
        let labels: Vec<bool> = (0..all.len()).map(|index| index < scores.len()).collect();
        assert!((Detection::of(&all, &labels).unwrap().auroc - 13.0 / 20.0).abs() < 1e-12);
        assert_eq!((chance_of_lower(&[], &normal), chance_of_lower(&scores, &[])), (None, None));
    }
}
