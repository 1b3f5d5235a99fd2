//! Whether alarms tell events.

use crate::{
    fitness::finding::{Finding, Grade},
    scoring::{
        event_outcome::{Cause, EventOutcome, Fate, MOST_RAISED},
        events::Event,
    },
    words::{
        numbers::{list_some, percent},
        rates::span,
    },
};

/// Events that are named in a finding.
const NAMED: usize = 3;

/// An event and what became of it.
type Told<'a> = (&'a Event, &'a EventOutcome);

/// What became of the events, the worst first; those of the same fate and cause in one finding.
pub(super) fn findings(
    events: &[Event],
    outcomes: &[EventOutcome],
    window: usize,
    rows_per_second: Option<f64>,
) -> Vec<Finding> {
    let mut told: Vec<Told<'_>> = events.iter().zip(outcomes).collect();
    let kind = |(_, outcome): &Told<'_>| (outcome.fate, outcome.cause);
    told.sort_by_key(|event| std::cmp::Reverse(kind(event))); // stable: in order of time within a kind
    let is_well = |event: &&Told<'_>| event.1.fate.is_noticed();
    let well: Vec<Told<'_>> = told.iter().filter(is_well).copied().collect();
    let rest: Vec<Told<'_>> = told.iter().filter(|event| !is_well(event)).copied().collect();
    let mut findings: Vec<Finding> =
        rest.chunk_by(|a, b| kind(a) == kind(b)).map(|group| finding(group, events.len(), window)).collect();
    if !well.is_empty() {
        findings.push(good(&well, events.len(), rows_per_second));
    }
    findings
}

/// What to say of events of the same fate and cause.
fn finding(group: &[Told<'_>], of: usize, window: usize) -> Finding {
    let names: Vec<String> =
        group.iter().map(|(event, _)| format!("rows {} to {}", event.first_row, event.last_row)).collect();
    let which = list_some(&names, NAMED);
    let some = format!("{} of {of} event{}", group.len(), if of == 1 { "" } else { "s" });
    let (event, outcome) = group[0];
    let advice = |cause: Option<Cause>| cause.map_or(String::new(), |cause| advice(cause, event, outcome, window));
    let (grade, what, next) = match outcome.fate {
        Fate::Missed => (Grade::Bad, format!("No alarm in {some}: {which}."), advice(outcome.cause)),
        Fate::MostlyOff => {
            let least = group.iter().filter_map(|(event, _)| event.alarm_share).fold(1.0, f64::min);
            let what = format!(
                "The alarm was off for most of {some}, on for {} of the time in the worst: {which}.",
                percent(least)
            );
            (Grade::Bad, what, advice(outcome.cause))
        }
        Fate::Flapped => {
            let most = group.iter().map(|(event, _)| event.raised).max().unwrap_or_default();
            let what = format!("The alarm went on and off in {some}, up to {most} times in one: {which}.");
            let next = format!(
                "More than {MOST_RAISED} alarms for one event are a nuisance: votes of more windows hold an alarm together (calibrate \
                 --votes 3/8)."
            );
            (Grade::Bad, what, next)
        }
        Fate::AlarmBefore => (
            Grade::Unknown,
            format!(
                "The alarm was already on when {some} began, which shows nothing of the alarms they raise: {which}."
            ),
            "Leave more normal running between events, for an alarm to clear.".to_owned(),
        ),
        Fate::NoWindow => (
            Grade::Unknown,
            format!("{some} fell into no window and cannot be judged: {which}."),
            "Give more rows after the last one, or fit with a --hop that is not longer than the --window.".to_owned(),
        ),
        Fate::Detected | Fate::SensorFault => (Grade::Good, format!("{some} as it should be: {which}."), String::new()),
    };
    Finding::new(grade, what, &next)
}

fn advice(cause: Cause, event: &Event, outcome: &EventOutcome, window: usize) -> String {
    let share = |share: Option<f64>| share.map_or("none".to_owned(), percent);
    match cause {
        Cause::Drift => format!(
            "{} of its windows pass as slow drift, which raises no alarm: take reported drift as a reason to look, and calibrate on a \
             recording that drifts less.",
            share(outcome.drifting)
        ),
        Cause::Votes => format!(
            "{} of its windows are below the threshold, but not enough of them close together: ask for fewer votes of more windows \
             (calibrate --votes 2/5).",
            share(outcome.below_threshold)
        ),
        Cause::ShortEvent => format!(
            "It has {} rows and a window {window}, so that normal rows outweigh it: fit with a shorter --window.",
            event.rows()
        ),
        Cause::Threshold => format!(
            "The threshold is too strict for this fault: its windows score lower than normal ones with a chance of {}, but only {} of \
             them are below the threshold. Calibrate on a longer recording, or accept more false alarms (calibrate --alarms).",
            share(outcome.auroc),
            share(outcome.below_threshold)
        ),
        Cause::Unseen => format!(
            "The model hardly sees this fault: its windows score lower than normal ones with a chance of {} only. Try another --window \
             (longer for what comes slowly, shorter for what is brief), --front-end statistics or bands:16 for vibration, mel:32x5 for sound, or a sensor \
             that shows it.",
            share(outcome.auroc)
        ),
    }
}

/// What to say of the events that were noticed as they should be.
fn good(well: &[Told<'_>], of: usize, rows_per_second: Option<f64>) -> Finding {
    let some = match (well.len(), of) {
        (1, 1) => "The event was noticed".to_owned(),
        (all, of) if all == of => format!("All {of} events were noticed"),
        (1, of) => format!("1 of {of} events was noticed"),
        (some, of) => format!("{some} of {of} events were noticed"),
    };
    let sensor = match well.iter().filter(|(_, outcome)| outcome.fate == Fate::SensorFault).count() {
        0 => String::new(),
        some if some == well.len() => " as a sensor's fault".to_owned(),
        some => format!(", {some} of them as a sensor's fault"),
    };
    let detected: Vec<&Event> =
        well.iter().filter(|(_, outcome)| outcome.fate == Fate::Detected).map(|(event, _)| *event).collect();
    let least = detected.iter().filter_map(|event| event.alarm_share).reduce(f64::min);
    let alarms = match (detected.iter().filter_map(|event| event.delay).max(), least) {
        (Some(latest), Some(least)) => {
            let (at_the_latest, at_least) =
                if detected.len() == 1 { ("", "") } else { (" at the latest", " at least") };
            let latest = rows_per_second.map_or(format!("{latest} rows"), |rate| span(latest as f64 / rate));
            format!(
                "; the alarm came {latest} after the first row{at_the_latest}, and was on for{at_least} {} of the time",
                percent(least)
            )
        }
        _ => String::new(),
    };
    let next = if well.len() == of { "" } else { "See the other events above." };
    Finding::new(Grade::Good, format!("{some}{sensor}{alarms}."), next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scoring::events::EventDetection;

    /// An event of each fate, in rows 10 i to 10 i + 5.
    fn told(fates: &[(Fate, Option<Cause>)]) -> (Vec<Event>, Vec<EventOutcome>) {
        let event = |index: usize| Event {
            first_row: 10 * index,
            last_row: 10 * index + 5,
            windows: 6,
            alarm_share: Some(0.75),
            raised: 1,
            was_on: false,
            delay: Some(index),
            delay_seconds: None,
            clear: None,
            clear_seconds: None,
        };
        let outcome = |(fate, cause)| EventOutcome {
            fate,
            cause,
            below_threshold: Some(0.125),
            auroc: Some(0.875),
            sensor_fault: Some(0.0),
            drifting: Some(0.625),
        };
        (
            fates.iter().enumerate().map(|(index, _)| event(index)).collect(),
            fates.iter().copied().map(outcome).collect(),
        )
    }

    fn found(fates: &[(Fate, Option<Cause>)]) -> Vec<(Grade, String)> {
        let (events, outcomes) = told(fates);
        let findings = findings(&events, &outcomes, 8, None).into_iter();
        findings
            .map(|finding| (finding.grade, format!("{} {}", finding.what, finding.next.unwrap_or_default())))
            .collect()
    }

    #[test]
    fn what_is_not_noticed_is_bad_with_the_advice_for_its_cause() {
        for (fate, cause, said) in [
            (Fate::Missed, Some(Cause::Drift), "62.5 % of its windows pass as slow drift"),
            (Fate::Missed, Some(Cause::Votes), "12.5 % of its windows are below the threshold, but not enough"),
            (Fate::Missed, Some(Cause::ShortEvent), "It has 6 rows and a window 8"),
            (
                Fate::Missed,
                Some(Cause::Threshold),
                "too strict for this fault: its windows score lower than normal ones with a chance of 87.5 %",
            ),
            (Fate::MostlyOff, Some(Cause::Unseen), "with a chance of 87.5 % only. Try another --window"),
            (Fate::Flapped, None, "--votes"),
        ] {
            let found = found(&[(fate, cause)]);
            assert!(found.len() == 1 && found[0].0 == Grade::Bad, "{found:?}");
            assert!(
                found[0].1.contains(said) && found[0].1.contains("1 of 1 event") && found[0].1.contains("rows 0 to 5"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_is_not_shown_is_unknown_and_what_is_noticed_is_good() {
        let found = found(&[
            (Fate::Detected, None),
            (Fate::AlarmBefore, None),
            (Fate::NoWindow, None),
            (Fate::SensorFault, None),
            (Fate::Detected, None),
        ]);
        assert_eq!(
            found.iter().map(|(grade, _)| *grade).collect::<Vec<_>>(),
            [Grade::Unknown, Grade::Unknown, Grade::Good]
        );
        assert_eq!(
            found[2].1,
            "3 of 5 events were noticed, 1 of them as a sensor's fault; the alarm came 4 rows after the first row at the latest, and was \
             on for at least 75 % of the time. See the other events above."
        );
        let (events, outcomes) = told(&[(Fate::Detected, None)]);
        let said = findings(&events, &outcomes, 8, Some(2.0)).remove(0);
        let expected =
            "The event was noticed; the alarm came 0.0 s after the first row, and was on for 75 % of the time.";
        assert_eq!((said.what.as_str(), said.next), (expected, None));
    }

    #[test]
    fn events_of_one_kind_are_one_finding_the_worst_first() {
        let mut fates = vec![(Fate::Missed, Some(Cause::Unseen)); 5];
        fates.push((Fate::Flapped, None));
        fates.push((Fate::Missed, Some(Cause::Votes)));
        let found = found(&fates);
        let missed = "No alarm in 5 of 7 events: rows 0 to 5, rows 10 to 15, rows 20 to 25 and 2 more.";
        assert!(found.len() == 3 && found[0].1.starts_with(missed), "{found:?}");
        assert!(found[1].1.starts_with("No alarm in 1 of 7 events: rows 60 to 65."), "{found:?}");
        assert!(found[2].1.starts_with("The alarm went on and off in 1 of 7 events, up to 1 times"), "{found:?}");
    }

    #[test]
    fn counted_alarms_come_to_findings() {
        // Detected; missed; and raised three times.
        let bits = |text: &str| text.chars().map(|c| c == '1').collect::<Vec<_>>();
        let labels = bits("0111100001111000011111100");
        let alarms = bits("0011110000000000010101000");
        let ends: Vec<usize> = (0..labels.len()).collect();
        let events = EventDetection::of(&labels, &[], 1, &ends, &alarms, None).unwrap();
        let tally = crate::scoring::event_outcome::Tally::default();
        let outcomes: Vec<EventOutcome> = events.events.iter().map(|event| tally.outcome(event, 1, 12)).collect();
        assert_eq!(outcomes.iter().map(|o| o.fate).collect::<Vec<_>>(), [Fate::Detected, Fate::Missed, Fate::Flapped]);
        let grades: Vec<Grade> = findings(&events.events, &outcomes, 1, None).iter().map(|f| f.grade).collect();
        assert_eq!(grades, [Grade::Bad, Grade::Bad, Grade::Good]);
    }
}
