//! How well alarms tell events: what was noticed, how soon, and how often there was nothing to notice.

use anyhow::{Result, ensure};
use serde::Serialize;

/// Alarms over a stream, judged event by event.
///
/// An event is a maximal run of rows labelled 1. It belongs to every window that holds one of its rows, and is detected if the
/// alarm is on after one of these windows. An alarm that is raised by a window without a row of an event is a false alarm; if it
/// is still on when an event begins, the event counts as detected all the same, after no delay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventDetection {
    /// Windows.
    pub windows: usize,
    /// Of them without a row labelled 1.
    pub normal_windows: usize,
    /// The events, in order of time.
    pub events: Vec<Event>,
    /// Events during which the alarm was on.
    pub detected: usize,
    /// Mean delay of the detected events, in rows; `None` where there are none.
    pub mean_delay: Option<f64>,
    /// Likewise, in seconds, where the sample rate is known.
    pub mean_delay_seconds: Option<f64>,
    /// Times that the alarm went on.
    pub alarms: usize,
    /// Of them outside every event.
    pub false_alarms: usize,
    /// False alarms per 1000 normal windows; `None` without normal windows.
    pub false_alarms_per_1000_windows: Option<f64>,
    /// False alarms per hour of normal rows, where the sample rate is known.
    pub false_alarms_per_hour: Option<f64>,
    /// Share of the windows with the alarm on that belong to an event; `None` where it never is.
    pub precision: Option<f64>,
    /// Share of the windows of events that have the alarm on; `None` where there are none.
    pub recall: Option<f64>,
    /// Harmonic mean of the two; `None` where neither is defined.
    pub f1: Option<f64>,
}

/// A maximal run of rows labelled 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its first row, counted from 0.
    pub first_row: usize,
    /// Its last row.
    pub last_row: usize,
    /// Rows from its first one to the end of the first of its windows with the alarm on; `None` if it went unnoticed.
    pub delay: Option<usize>,
}

impl EventDetection {
    /// Judges the state of an alarm after each window.
    ///
    /// `labels` has one entry a row. `ends` are the last rows of the windows, ascending, each of `window` rows, and `alarm` says
    /// after which of them the alarm was on. `rate` is the rows per second. For a caller that has labels and alarms of the
    /// windows only: `window` 1, `ends` 0 to n − 1, and the windows per second; delays are then in windows.
    ///
    /// # Errors
    /// If the numbers of windows differ, or a window lies outside the rows.
    pub fn of(labels: &[bool], window: usize, ends: &[usize], alarm: &[bool], rate: Option<f64>) -> Result<Self> {
        ensure!(ends.len() == alarm.len(), "{} windows for {} alarms", ends.len(), alarm.len());
        ensure!(ends.is_sorted_by(|a, b| a < b), "the windows are not in order of time");
        ensure!(window > 0, "a window of 0 rows");
        if let (Some(first), Some(last)) = (ends.first(), ends.last()) {
            ensure!(
                first + 1 >= window && *last < labels.len(),
                "windows of {window} rows that end in rows {first} to {last} do not fit into {} rows",
                labels.len()
            );
        }
        let events: Vec<Event> = runs(labels).map(|(first, last)| event(first, last, window, ends, alarm)).collect();
        let is_in_event: Vec<bool> = ends.iter().map(|end| labels[end + 1 - window..=*end].contains(&true)).collect();
        let count = |of_event: bool, on: bool| {
            is_in_event.iter().zip(alarm).filter(|(a, b)| **a == of_event && **b == on).count()
        };
        let (hits, missed, wrong) = (count(true, true), count(true, false), count(false, true));
        let normal_windows = count(false, false) + wrong;
        let raised = |index: &usize| alarm[*index] && (*index == 0 || !alarm[index - 1]);
        let alarms = (0..alarm.len()).filter(raised).count();
        let false_alarms = (0..alarm.len()).filter(raised).filter(|index| !is_in_event[*index]).count();
        let delays: Vec<usize> = events.iter().filter_map(|event| event.delay).collect();
        let ratio = |part: f64, of: f64| (of > 0.0).then(|| part / of);
        let mean_delay = ratio(delays.iter().sum::<usize>() as f64, delays.len() as f64);
        // What nobody watched is no time without false alarms.
        let watched =
            ends.first().zip(ends.last()).map_or(&[][..], |(first, last)| &labels[first + 1 - window..=*last]);
        let normal_rows = watched.iter().filter(|label| !**label).count() as f64;
        Ok(Self {
            windows: ends.len(),
            normal_windows,
            detected: delays.len(),
            mean_delay,
            mean_delay_seconds: mean_delay.zip(rate).map(|(rows, rate)| rows / rate),
            alarms,
            false_alarms,
            false_alarms_per_1000_windows: ratio(1000.0 * false_alarms as f64, normal_windows as f64),
            false_alarms_per_hour: rate.and_then(|rate| ratio(false_alarms as f64, normal_rows / rate / 3600.0)),
            precision: ratio(hits as f64, (hits + wrong) as f64),
            recall: ratio(hits as f64, (hits + missed) as f64),
            f1: ratio(2.0 * hits as f64, (2 * hits + wrong + missed) as f64),
            events,
        })
    }
}

/// First and last index of each maximal run of `true`.
fn runs(labels: &[bool]) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0;
    labels.chunk_by(|a, b| a == b).filter_map(move |run| {
        let first = start;
        start += run.len();
        run[0].then_some((first, start - 1))
    })
}

/// An event and its delay. An alarm that was on before the event delays by nothing.
fn event(first_row: usize, last_row: usize, window: usize, ends: &[usize], alarm: &[bool]) -> Event {
    let begin = ends.partition_point(|end| *end < first_row);
    let end = ends.partition_point(|end| *end < last_row + window);
    let was_on = begin > 0 && alarm[begin - 1] && alarm[begin..end].first() == Some(&true);
    let first_on = (begin..end).find(|index| alarm[*index]);
    let delay = first_on.map(|index| if was_on { 0 } else { ends[index] - first_row });
    Event { first_row, last_row, delay }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(text: &str) -> Vec<bool> {
        text.chars().map(|c| c == '1').collect()
    }

    /// One row a window.
    fn by_rows(labels: &str, alarm: &str) -> EventDetection {
        let ends: Vec<usize> = (0..labels.len()).collect();
        EventDetection::of(&bits(labels), 1, &ends, &bits(alarm), Some(2.0)).unwrap()
    }

    fn event(first_row: usize, last_row: usize, delay: Option<usize>) -> Event {
        Event { first_row, last_row, delay }
    }

    #[test]
    fn a_sequence_counted_by_hand() {
        let found = by_rows("00110000111100000011", "00010010001000100000");
        assert_eq!(found.events, [event(2, 3, Some(1)), event(8, 11, Some(2)), event(18, 19, None)]);
        assert_eq!((found.detected, found.alarms, found.false_alarms), (2, 4, 2));
        assert_eq!((found.mean_delay, found.mean_delay_seconds), (Some(1.5), Some(0.75)));
        // Twelve normal rows at two a second are six seconds.
        assert_eq!((found.windows, found.normal_windows), (20, 12));
        assert_eq!(found.false_alarms_per_hour, Some(2.0 / (6.0 / 3600.0)));
        assert!((found.false_alarms_per_1000_windows.unwrap() - 2000.0 / 12.0).abs() < 1e-9);
        // 2 hits, 2 wrong, 6 missed.
        assert_eq!((found.precision, found.recall), (Some(0.5), Some(0.25)));
        let (p, r) = (0.5, 0.25);
        assert!((found.f1.unwrap() - 2.0 * p * r / (p + r)).abs() < 1e-12);
    }

    #[test]
    fn an_alarm_that_lasts_into_an_event_is_false_and_detects_it_at_once() {
        let found = by_rows("0000111000", "0011111100");
        assert_eq!(found.events, [event(4, 6, Some(0))]);
        assert_eq!((found.alarms, found.false_alarms, found.detected), (1, 1, 1));
        let found = by_rows("0000111000", "0011011000");
        assert_eq!(found.events, [event(4, 6, Some(1))], "off when the event began");
        assert_eq!((found.alarms, found.false_alarms), (2, 1));
    }

    #[test]
    fn an_alarm_that_stays_on_after_an_event_is_no_other_alarm() {
        let found = by_rows("0110000110", "0011111111");
        assert_eq!(found.events, [event(1, 2, Some(1)), event(7, 8, Some(0))]);
        assert_eq!((found.alarms, found.false_alarms), (1, 0));
        assert_eq!(found.precision, Some(3.0 / 8.0));
    }

    #[test]
    fn events_at_the_ends_and_none_at_all() {
        let found = by_rows("1100000011", "1000000001");
        assert_eq!(found.events, [event(0, 1, Some(0)), event(8, 9, Some(1))]);
        assert_eq!((found.false_alarms, found.f1), (0, Some(4.0 / 6.0)));

        let found = by_rows("0000000000", "0110010000");
        assert_eq!((found.events.len(), found.false_alarms, found.mean_delay), (0, 2, None));
        assert_eq!((found.precision, found.recall, found.f1), (Some(0.0), None, Some(0.0)));

        let found = by_rows("0001100000", "0000000000");
        assert_eq!((found.events.as_slice(), found.alarms), (&[event(3, 4, None)][..], 0));
        assert_eq!((found.precision, found.recall, found.f1), (None, Some(0.0), Some(0.0)));

        let found = by_rows("1111", "0111");
        assert_eq!((found.false_alarms_per_hour, found.false_alarms_per_1000_windows), (None, None));
        let found = by_rows("0000", "0000");
        assert_eq!((found.precision, found.recall, found.f1, found.false_alarms), (None, None, None, 0));
        assert_eq!(EventDetection::of(&[], 4, &[], &[], None).unwrap().windows, 0);
    }

    #[test]
    fn a_window_that_holds_a_row_of_an_event_belongs_to_it() {
        // Windows of four rows every two: 0–3, 2–5, 4–7, 6–9, 8–11; the event is row 4 alone.
        let labels = bits("000010000000");
        let ends = [3, 5, 7, 9, 11];
        let of = |alarm: &str| EventDetection::of(&labels, 4, &ends, &bits(alarm), None).unwrap();
        let found = of("00100");
        // The window of rows 4 to 7 ends after the event, and has seen it.
        assert_eq!((found.events.as_slice(), found.false_alarms), (&[event(4, 4, Some(3))][..], 0));
        assert_eq!((found.normal_windows, found.recall, found.false_alarms_per_hour), (3, Some(0.5), None));
        let found = of("00010");
        assert_eq!((found.detected, found.false_alarms), (0, 1));
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (window, ends, alarm, expected) in [
            (1, &[0, 1][..], &[true][..], "2 windows for 1 alarms"),
            (1, &[1, 1], &[true, true], "not in order"),
            (3, &[1, 4], &[true, true], "do not fit into 5 rows"),
            (1, &[0, 5], &[true, true], "do not fit into 5 rows"),
            (0, &[0], &[true], "a window of 0 rows"),
        ] {
            let message = EventDetection::of(&[false; 5], window, ends, alarm, None).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
