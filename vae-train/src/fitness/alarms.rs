//! Whether normal running is left in peace.

use crate::{
    fitness::finding::{Finding, Grade},
    scoring::{
        events::EventDetection,
        false_alarm_test::{FalseAlarmTest, Outcome},
    },
    words::{
        numbers::{number, percent},
        rates::{rate_at_most, rate_nearest, span},
    },
};

/// Share of the windows outside events that may be called drifting before it is worth a remark.
pub const DRIFTING: f64 = 0.01;

/// Whether there were more false alarms than were asked for, and what the time that was watched can say of it.
pub(super) fn false_alarms(events: &EventDetection, test: Option<&FalseAlarmTest>) -> Finding {
    let seen = match events.false_alarms {
        0 => "No false alarm".to_owned(),
        1 => "1 false alarm".to_owned(),
        seen => format!("{seen} false alarms"),
    };
    let on = match events.normal_alarm_share {
        None => String::new(),
        Some(0.0) => " The alarm was never on outside events.".to_owned(),
        Some(share) => format!(
            " The alarm was on in {} of the windows outside events: it lingers for some time after its cause.",
            percent(share)
        ),
    };
    let Some(test) = test else {
        return Finding::new(
            Grade::Unknown,
            format!(
                "{seen} in {} windows outside events, and no rate of alarms in the model's file to compare with.{on}",
                events.watched_windows
            ),
            "Run vae-train calibrate with --alarms, and export again.",
        );
    };
    tested(test, &seen, &on)
}

/// What a test of the rate of false alarms says: how many were `seen`, and how long the alarm was `on`, in words.
fn tested(test: &FalseAlarmTest, seen: &str, on: &str) -> Finding {
    let (watched, asked) = (span(test.seconds), rate_nearest(test.asked));
    let compared = format!(
        "{seen} in {watched} of normal running; the threshold was set for {asked}, by which {} were expected",
        number(test.expected)
    );
    match (test.outcome, test.seen) {
        (Outcome::TooMany, _) => Finding::new(
            Grade::Bad,
            format!("{compared}, and so many come by accident with a chance of {}.{on}", number(test.chance)),
            "Normal running here differs from what was calibrated on: calibrate on a longer recording, with all kinds of it.",
        ),
        (Outcome::Confirmed, _) => Finding::new(
            Grade::Good,
            format!(
                "{compared}, and with 95 % confidence there are at most {}.{on}",
                test.at_most.map_or("any number".to_owned(), rate_at_most)
            ),
            "",
        ),
        (Outcome::TooShort, _) if test.seconds == 0.0 => Finding::new(
            Grade::Unknown,
            format!(
                "All normal running here lies under the alarm of an event, so that false alarms cannot be counted.{on}"
            ),
            "Try it on data with more normal running.",
        ),
        (Outcome::TooShort, 0) => Finding::new(
            Grade::Good,
            format!("No false alarm in {watched}, which is too short to confirm the rate of {asked}.{on}"),
            &format!(
                "{} of normal running without a false alarm would confirm it.",
                span(test.seconds / test.expected)
            ),
        ),
        (Outcome::TooShort, _) => Finding::new(
            Grade::Unknown,
            format!("{compared}, and the time was too short to tell.{on}"),
            "Try it on more normal running.",
        ),
    }
}

/// A remark where much of normal running is called drifting.
pub(super) fn drift(share: f64) -> Option<Finding> {
    (share > DRIFTING).then(|| {
        Finding::new(
            Grade::Caution,
            format!("{} of the windows outside events are called drifting.", percent(share)),
            "Calibrate on a recording that wanders as far as the machine does, or let levels wander (fit --drift 1.5).",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: f64 = 60.0;
    const PER_HOUR: f64 = 1.0 / 3600.0;
    const PER_DAY: f64 = PER_HOUR / 24.0;

    fn finding(seen: usize, seconds: f64, asked: f64) -> Finding {
        let events = EventDetection { false_alarms: seen, ..EventDetection::of(&[], &[], 1, &[], &[], None).unwrap() };
        false_alarms(&events, Some(&FalseAlarmTest::new(seen, seconds, asked)))
    }

    #[test]
    fn too_many_are_bad_and_say_what_was_asked_for() {
        let found = finding(5, 2.9 * MINUTES, 8.0 * PER_HOUR);
        assert_eq!(found.grade, Grade::Bad);
        assert!(
            found.what.starts_with("5 false alarms in 2.9 min")
                && found.what.contains("set for 8/hour, by which 0.3867 were")
        );
        assert!(found.what.contains("5.23·10⁻⁵") && found.next.unwrap().contains("calibrate on a longer recording"));
    }

    #[test]
    fn what_is_too_short_to_tell_says_so() {
        let found = finding(0, 2.9 * MINUTES, PER_DAY);
        assert_eq!(found.what, "No false alarm in 2.9 min, which is too short to confirm the rate of 1/day.");
        // One day, at 1/day.
        assert_eq!(
            (found.grade, found.next.unwrap().as_str()),
            (Grade::Good, "24.0 h of normal running without a false alarm would confirm it.")
        );
        let found = finding(1, 2.9 * MINUTES, 8.0 * PER_HOUR);
        assert_eq!(found.grade, Grade::Unknown);
        assert!(found.what.contains("too short to tell"), "{}", found.what);
        assert_eq!(finding(0, 0.0, PER_DAY).grade, Grade::Unknown);
    }

    #[test]
    fn what_is_confirmed_says_how_well() {
        let found = finding(3, 3.0 * 86_400.0, PER_DAY);
        // chi2.ppf(0.95, 8) / 2 is 7.75 in three days: 2.58 a day, rounded up.
        assert!(found.grade == Grade::Good && found.what.contains("at most 2.6/day"), "{}", found.what);
        let none = EventDetection { watched_windows: 70, ..EventDetection::of(&[], &[], 1, &[], &[], None).unwrap() };
        let unknown = false_alarms(&none, None);
        assert!(unknown.grade == Grade::Unknown && unknown.what.contains("in 70 windows"), "{}", unknown.what);
    }

    #[test]
    fn an_alarm_that_lingers_is_said_and_drift_is_a_remark() {
        let events = EventDetection::of(&[true, false, false, false], &[], 1, &[0, 1, 2, 3], &[true; 4], None).unwrap();
        let found = false_alarms(&events, Some(&FalseAlarmTest::new(0, 60.0, PER_DAY)));
        assert!(found.what.contains("on in 100 % of the windows outside events"), "{}", found.what);
        assert_eq!(drift(0.01), None);
        let remark = drift(0.011).unwrap();
        assert!(remark.grade == Grade::Caution && remark.what.starts_with("1.1 % of the windows"), "{}", remark.what);
    }
}
