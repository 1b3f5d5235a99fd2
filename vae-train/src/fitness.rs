//! Whether a model is fit for use: what was found out about it, how good that is, and what to do next.

mod alarms;
mod detection;
mod events;
pub mod finding;

use self::finding::{Finding, Grade};
use serde::Serialize;

pub use alarms::DRIFTING;
pub use detection::{FOUND, SOMEHOW, WELL};

use crate::scoring::evaluation::Evaluation;

/// Whether a model is fit for use. It is not if the worst of its findings is bad.
#[derive(Clone, Debug, Serialize)]
pub struct Fitness {
    /// That of the worst finding.
    pub grade: Grade,
    /// In one sentence.
    pub headline: &'static str,
    /// Why.
    pub findings: Vec<Finding>,
}

impl Fitness {
    /// What the findings come to; `evaluation` is none where the model has not been tried on labelled data.
    #[must_use]
    pub fn of(findings: Vec<Finding>, evaluation: Option<&Evaluation>) -> Self {
        let grade = findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Unknown);
        let headline = match (grade, evaluation) {
            (Grade::Good, _) => "Fit for use on data like these.",
            (Grade::Unknown, None) => "Trained and calibrated; whether it finds anomalies has not been tried.",
            (Grade::Unknown, Some(_)) => "Nothing speaks against its use, but not all of it has been shown: see below.",
            (Grade::Caution, _) => "Usable with care: see what is marked below.",
            (Grade::Bad, _) => "Not fit for use yet: see what is marked below.",
        };
        Self { grade, headline, findings }
    }

    /// What an evaluation alone comes to.
    #[must_use]
    pub fn of_evaluation(evaluation: &Evaluation) -> Self {
        Self::of(findings(evaluation), Some(evaluation))
    }

    /// The headline and a line for each finding.
    #[must_use]
    pub fn lines(&self) -> String {
        let line = |Finding { grade, what, next }: &Finding| {
            let grade = format!("{grade:?}").to_lowercase();
            format!("\n  {grade:<8} {what} {}", next.as_deref().unwrap_or_default()).trim_end().to_owned()
        };
        let findings: String = self.findings.iter().map(line).collect();
        format!("{}{findings}\n", self.headline)
    }
}

/// What labelled data say of a model: whether its scores tell anomalies, its alarms tell events, and normal running is left in peace.
#[must_use]
pub fn findings(evaluation: &Evaluation) -> Vec<Finding> {
    let mut findings = vec![detection::scores(evaluation)];
    if evaluation.is_of_stream() {
        findings.extend(events::findings(
            &evaluation.events.events,
            &evaluation.event_outcomes,
            evaluation.window,
            evaluation.rows_per_second,
        ));
        findings.push(alarms::false_alarms(&evaluation.events, evaluation.false_alarm_test.as_ref()));
        findings.extend(evaluation.drifting_outside_events().and_then(alarms::drift));
    } else {
        findings.push(Finding::new(
            Grade::Unknown,
            "The model judges rows one by one and knows no sample rate: what its alarms do over time is not judged."
                .to_owned(),
            "Where the rows follow each other in time, calibrate with --rate or a column of times.",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_is_the_verdict() {
        let finding = |grade| Finding::new(grade, "This is so.".to_owned(), "");
        for (grades, worst) in [
            (vec![], Grade::Unknown),
            (vec![Grade::Good, Grade::Good], Grade::Good),
            (vec![Grade::Caution, Grade::Unknown], Grade::Caution),
            (vec![Grade::Good, Grade::Bad, Grade::Caution], Grade::Bad),
        ] {
            let found = Fitness::of(grades.into_iter().map(finding).collect(), None);
            assert_eq!((found.grade, found.headline.starts_with("Not fit")), (worst, worst == Grade::Bad));
        }
        let two = vec![finding(Grade::Bad), Finding::new(Grade::Good, "Well.".to_owned(), "Go on.")];
        let lines = Fitness::of(two, None).lines();
        assert_eq!(
            lines,
            "Not fit for use yet: see what is marked below.\n  bad      This is so.\n  good     Well. Go on.\n"
        );
    }
}
