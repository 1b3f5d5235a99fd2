//! How well alarms tell events: what was noticed, how soon, and how often there was nothing to notice.

use serde::Serialize;

/// Alarms over a stream, judged event by event.
///
/// An event is a maximal run of rows labelled 1 in one recording. It belongs to every window that holds one of its rows, and is detected if the
/// alarm is on after one of these windows. An alarm that is raised by a window without a row of an event is a false alarm; if it
/// is still on when an event begins, the event counts as detected all the same, after no delay ([`Event::was_on`] tells these).
/// An alarm that stays on after an event is carried over from it, and no false alarm. With another recording all begins anew.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventDetection {
    /// Windows.
    pub windows: usize,
    /// Of them without a row labelled 1.
    pub normal_windows: usize,
    /// Of these normal windows, those in which no alarm was carried over from an event: where a false alarm could be raised.
    pub watched_windows: usize,
    /// Share of the normal windows that have the alarm on, carried over or false; `None` without normal windows.
    pub normal_alarm_share: Option<f64>,
    /// The events, in order of time.
    pub events: Vec<Event>,
    /// Events during which the alarm was on.
    pub detected: usize,
    /// Mean delay of the detected events, in rows; `None` where there are none.
    pub mean_delay: Option<f64>,
    /// Mean delay of the detected events, in seconds, where the sample rate is known.
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

/// A maximal run of rows labelled 1, and what the alarm did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Its first row, counted from 0.
    pub first_row: usize,
    /// Its last row.
    pub last_row: usize,
    /// Windows that hold one of its rows.
    pub windows: usize,
    /// Share of these windows that have the alarm on; `None` where no window holds a row of it.
    pub alarm_share: Option<f64>,
    /// Times that the alarm went on in these windows.
    pub raised: usize,
    /// Whether the alarm was on already when it began, so that its delay says nothing.
    pub was_on: bool,
    /// Rows from its first one to the end of the first of its windows with the alarm on; `None` if it went unnoticed.
    pub delay: Option<usize>,
    /// The delay in seconds, where the sample rate is known.
    pub delay_seconds: Option<f64>,
    /// Rows from its last one until the alarm is off, 0 where it went off for the last time before; `None` if it was never on, or
    /// still is where the next event begins or its recording ends.
    pub clear: Option<usize>,
    /// The time to clear in seconds, where the sample rate is known.
    pub clear_seconds: Option<f64>,
}

impl Event {
    /// How many rows it has.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.last_row - self.first_row + 1
    }
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
        EventDetection::of(&bits(labels), &[], 1, &ends, &bits(alarm), Some(2.0)).unwrap()
    }

    /// First row, last row and delay of each event.
    fn delays(found: &EventDetection) -> Vec<(usize, usize, Option<usize>)> {
        found.events.iter().map(|event| (event.first_row, event.last_row, event.delay)).collect()
    }

    /// Share of the windows with the alarm on, times raised, whether it was on before, and rows to clear, of each event.
    fn done(found: &EventDetection) -> Vec<(Option<f64>, usize, bool, Option<usize>)> {
        found.events.iter().map(|event| (event.alarm_share, event.raised, event.was_on, event.clear)).collect()
    }

    #[test]
    fn a_sequence_counted_by_hand() {
        let found = by_rows("00110000111100000011", "00010010001000100000");
        assert_eq!(delays(&found), [(2, 3, Some(1)), (8, 11, Some(2)), (18, 19, None)]);
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
        assert_eq!(delays(&found), [(4, 6, Some(0))]);
        assert_eq!((found.alarms, found.false_alarms, found.detected), (1, 1, 1));
        let found = by_rows("0000111000", "0011011000");
        assert_eq!(delays(&found), [(4, 6, Some(1))], "off when the event began");
        assert_eq!((found.alarms, found.false_alarms), (2, 1));
    }

    #[test]
    fn an_alarm_that_stays_on_after_an_event_is_no_other_alarm() {
        let found = by_rows("0110000110", "0011111111");
        assert_eq!(delays(&found), [(1, 2, Some(1)), (7, 8, Some(0))]);
        assert_eq!((found.alarms, found.false_alarms), (1, 0));
        assert_eq!(found.precision, Some(3.0 / 8.0));
    }

    #[test]
    fn what_the_alarm_does_in_each_event_is_counted_by_hand() {
        //           0         1         2         3
        //           0123456789012345678901234567890123
        let labels = "0011111100000011110000000111100011";
        let alarms = "0001011001000001000000011110001001";
        let found = by_rows(labels, alarms);
        let half = Some(0.5);
        assert_eq!(
            done(&found),
            [
                (half, 2, false, Some(0)),
                (Some(0.25), 1, false, Some(0)),
                (half, 0, true, Some(0)),
                (half, 1, false, None)
            ]
        );
        assert_eq!(found.events.iter().map(Event::rows).collect::<Vec<_>>(), [6, 4, 4, 2]);
        // The false ones begin in rows 9, 23 and 30; the second lasts into an event.
        assert_eq!((found.alarms, found.false_alarms), (7, 3));
    }

    #[test]
    fn the_time_to_clear_ends_before_the_next_event() {
        let clear = |labels: &str, alarm: &str| by_rows(labels, alarm).events[0].clear;
        assert_eq!(clear("0110000000", "0011110000"), Some(4));
        assert_eq!(clear("0110000000", "0011111111"), None, "on at the end");
        assert_eq!(clear("0110001000", "0011111111"), None, "on when the next begins");
        assert_eq!(clear("0110001000", "0011110000"), None, "off in the first row of the next");
        assert_eq!(clear("0110001000", "0011100000"), Some(3));
        assert_eq!(clear("0110000000", "0000000000"), None, "never on");
        assert_eq!(clear("0111000000", "0100000000"), Some(0), "off before it ended");
        let event = by_rows("0110000000", "0011110000").events[0];
        // At two rows a second.
        assert_eq!((event.delay_seconds, event.clear_seconds), (Some(0.5), Some(2.0)));
    }

    #[test]
    fn an_alarm_that_an_event_leaves_behind_is_not_watched_for_false_ones() {
        // Carried over in rows 3 to 5; off in row 6; a false alarm in rows 7 and 8 is watched.
        let found = by_rows("0110000000", "0011110110");
        assert_eq!((found.normal_windows, found.watched_windows, found.false_alarms), (8, 5, 1));
        assert_eq!(found.normal_alarm_share, Some(5.0 / 8.0));
        // An alarm that is false before the event is the event's after it.
        let found = by_rows("0001100000", "0111111000");
        assert_eq!((found.normal_windows, found.watched_windows, found.false_alarms), (8, 6, 1));
        let found = by_rows("1100", "1111");
        assert_eq!((found.watched_windows, found.normal_alarm_share), (0, Some(1.0)));
        assert_eq!(by_rows("1111", "0111").normal_alarm_share, None);
    }

    #[test]
    fn an_event_between_windows_is_in_none() {
        // Windows of two rows every four: 0–1, 4–5, 8–9.
        let found = EventDetection::of(&bits("0011001000"), &[], 2, &[1, 5, 9], &bits("011"), None).unwrap();
        assert_eq!(done(&found), [(None, 0, false, None); 2]);
        assert_eq!((found.events[0].windows, found.detected, found.false_alarms), (0, 0, 1));
    }

    #[test]
    fn events_at_the_ends_and_none_at_all() {
        let found = by_rows("1100000011", "1000000001");
        assert_eq!(delays(&found), [(0, 1, Some(0)), (8, 9, Some(1))]);
        assert_eq!((found.false_alarms, found.f1), (0, Some(4.0 / 6.0)));

        let found = by_rows("0000000000", "0110010000");
        assert_eq!((found.events.len(), found.false_alarms, found.mean_delay), (0, 2, None));
        assert_eq!((found.precision, found.recall, found.f1), (Some(0.0), None, Some(0.0)));

        let found = by_rows("0001100000", "0000000000");
        assert_eq!((delays(&found), found.alarms), (vec![(3, 4, None)], 0));
        assert_eq!((found.precision, found.recall, found.f1), (None, Some(0.0), Some(0.0)));

        let found = by_rows("1111", "0111");
        assert_eq!((found.false_alarms_per_hour, found.false_alarms_per_1000_windows), (None, None));
        let found = by_rows("0000", "0000");
        assert_eq!((found.precision, found.recall, found.f1, found.false_alarms), (None, None, None, 0));
        assert_eq!(EventDetection::of(&[], &[], 4, &[], &[], None).unwrap().windows, 0);
    }

    #[test]
    fn a_window_that_holds_a_row_of_an_event_belongs_to_it() {
        // Windows of four rows every two: 0–3, 2–5, 4–7, 6–9, 8–11; the event is row 4 alone.
        let labels = bits("000010000000");
        let ends = [3, 5, 7, 9, 11];
        let of = |alarm: &str| EventDetection::of(&labels, &[], 4, &ends, &bits(alarm), None).unwrap();
        let found = of("00100");
        // The window of rows 4 to 7 ends after the event, and has seen it.
        assert_eq!((delays(&found), found.false_alarms), (vec![(4, 4, Some(3))], 0));
        assert_eq!((found.normal_windows, found.recall, found.false_alarms_per_hour), (3, Some(0.5), None));
        let found = of("00010");
        assert_eq!((found.detected, found.false_alarms), (0, 1));
    }

    #[test]
    fn an_event_ends_with_its_recording_and_an_alarm_is_raised_anew_in_the_next() {
        let (labels, alarm) = (bits("00000001111100000000"), bits("00000000111100000000"));
        let ends: Vec<usize> = (0..20).collect();
        let of = |starts: &[usize]| EventDetection::of(&labels, starts, 1, &ends, &alarm, None).unwrap();
        let (one, two) = (of(&[]), of(&[10]));
        assert_eq!((delays(&one), one.alarms), (vec![(7, 11, Some(1))], 1));
        assert_eq!((delays(&two), two.alarms), (vec![(7, 9, Some(1)), (10, 11, Some(0))], 2));
        assert_eq!(done(&two), [(Some(2.0 / 3.0), 1, false, None), (Some(1.0), 1, false, Some(1))]);
        // One that is on at the end of a recording is not carried over to the next, where it is false.
        let found = EventDetection::of(&bits("0011000000"), &[4], 1, &ends[..10], &bits("0011110000"), None).unwrap();
        assert_eq!((found.watched_windows, found.false_alarms, found.alarms), (8, 1, 2));
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
            let message = EventDetection::of(&[false; 5], &[], window, ends, alarm, None).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
