//! How well scores tell anomalies, and alarms events.

use maud::{Markup, html};

use super::{
    chart::{Axis, Chart, Look, Mark},
    page::{Figure, Table, facts},
};
use crate::{
    report::material::Material,
    scoring::{detection::Verdicts, evaluation::Evaluation, event_outcome::EventOutcome, events::Event},
    statistics::metrics::{OperatingPoint, operating_points},
    words::{
        numbers::{count, fixed, number, percent},
        rates::{rate_at_most, rate_nearest, span},
    },
};

/// Events that are listed.
const MOST_EVENTS: usize = 40;
/// Operating points that can be pointed at.
const MOST_POINTS: usize = 200;

/// How well the scores tell anomalies, and alarms events; none without labels.
pub(super) fn detection(material: &Material<'_>) -> Option<Markup> {
    let data = material.data.as_ref()?;
    let evaluation = data.evaluation.as_ref()?;
    let curves = Curves::of(evaluation, &data.scored.scores, data.scored.windows.labels.as_deref()?);
    Some(html! {
        p { "The rows of " (data.name) " as a stream through the detector that the device runs:" }
        (facts(&figures(evaluation)))
        @if evaluation.is_of_stream() { (events(evaluation)) }
        div class="figures" {
            (curves.roc())
            (curves.precision_and_recall())
        }
    })
}

/// Name and value of what the detector made of the data.
fn figures(evaluation: &Evaluation) -> Vec<(&'static str, String)> {
    let Evaluation { detection, events, .. } = evaluation;
    let optional =
        |value: Option<f64>, unit: &str| value.map_or("none".to_owned(), |value| format!("{}{unit}", number(value)));
    let verdicts = |verdicts: &Verdicts| {
        format!(
            "{} normal, {} anomalous, {} with a sensor's fault, {} drifting",
            count(verdicts.normal),
            count(verdicts.anomalous),
            count(verdicts.sensor_fault),
            count(verdicts.drifting)
        )
    };
    let delay = events
        .mean_delay_seconds
        .map_or_else(|| optional(events.mean_delay, " rows"), |delay| optional(Some(delay), " s"));
    let false_alarms = events.false_alarms_per_hour.map_or_else(
        || optional(events.false_alarms_per_1000_windows, " per 1000 normal windows"),
        |rate| optional(Some(rate), " an hour"),
    );
    let mut figures = vec![
        ("Windows", format!("{}, {} of them anomalous", count(detection.windows), count(detection.anomalies))),
        ("Events detected", format!("{} of {}", events.detected, events.events.len())),
        ("Mean delay", delay),
        ("Alarms", format!("{} raised, {} of them outside events", events.alarms, events.false_alarms)),
        ("False alarms", false_alarms),
    ];
    if let Some(test) = &evaluation.false_alarm_test {
        figures.push((
            "False alarms asked for",
            format!(
                "{}, which is {} in {}; from those seen, at most {} with 95 % confidence",
                rate_nearest(test.asked),
                number(test.expected),
                span(test.seconds),
                test.at_most.map_or("any number".to_owned(), rate_at_most)
            ),
        ));
    }
    figures.push((
        "Alarm on outside events",
        events.normal_alarm_share.map_or("none".to_owned(), |share| {
            format!("in {} of the windows; an alarm lingers for some time after its cause", percent(share))
        }),
    ));
    figures.push(("Verdicts", verdicts(&evaluation.verdicts)));
    figures.push(("Verdicts outside events", verdicts(&evaluation.verdicts_outside_events)));
    figures
}

/// What the alarm did in each event.
fn events(evaluation: &Evaluation) -> Markup {
    let Evaluation { events, event_outcomes, rows_per_second, .. } = evaluation;
    let time = |rows: Option<usize>| match (rows, rows_per_second) {
        (None, _) => "never".to_owned(),
        (Some(rows), Some(rate)) => format!("{} s", number(rows as f64 / rate)),
        (Some(rows), None) => format!("{} rows", count(rows)),
    };
    let row = |(event, outcome): (&Event, &EventOutcome)| {
        vec![
            format!("{} to {}", event.first_row, event.last_row),
            outcome.fate.words().to_owned(),
            event.alarm_share.map_or("no window".to_owned(), percent),
            event.raised.to_string(),
            time(event.delay),
            time(event.clear),
        ]
    };
    let all = events.events.iter().zip(event_outcomes);
    let head = ["rows", "verdict", "alarm on", "raised", "first alarm after", "off after its end"];
    let table = Table::new("Events: runs of rows labelled 1", &head, all.take(MOST_EVENTS).map(row));
    let more = events.events.len().saturating_sub(MOST_EVENTS);
    html! {
        (table.draw())
        @if more > 0 { p { "And " (count(more)) " more events." } }
        p {
            "Alarm on: the share of the event's windows with the alarm on. Raised: how often the alarm went on during the event; once \
             is right. First alarm: the time since the event's first row. Off: the time since its last row; never, if the alarm was \
             never on, or was still on when the next event began or the data ended."
        }
    }
}

/// What is told at each threshold.
struct Curves<'a> {
    evaluation: &'a Evaluation,
    points: Vec<OperatingPoint>,
    anomalies: f64,
    normals: f64,
}

impl<'a> Curves<'a> {
    fn of(evaluation: &'a Evaluation, scores: &[f32], labels: &[bool]) -> Self {
        let scores: Vec<f64> = scores.iter().map(|score| -f64::from(*score)).collect();
        let detection = &evaluation.detection;
        Self {
            evaluation,
            points: operating_points(&scores, labels),
            anomalies: detection.anomalies as f64,
            normals: (detection.windows - detection.anomalies) as f64,
        }
    }

    /// Shares of the normal windows called anomalous, and of the anomalies found.
    fn rates(&self, point: &OperatingPoint) -> (f64, f64) {
        (point.false_alarms as f64 / self.normals, point.detected as f64 / self.anomalies)
    }

    /// At the model's own threshold.
    fn here(&self) -> OperatingPoint {
        OperatingPoint {
            score: -f64::from(self.evaluation.threshold),
            detected: (self.evaluation.detection_rate * self.anomalies).round() as usize,
            false_alarms: (self.evaluation.false_alarm_rate * self.normals).round() as usize,
        }
    }

    fn tip(&self, point: &OperatingPoint) -> String {
        let (wrong, found) = self.rates(point);
        format!(
            "threshold {} nats: {} of the anomalous windows are found, {} of the normal windows are called anomalous",
            fixed(-point.score, 2),
            percent(found),
            percent(wrong)
        )
    }

    fn thinned(&self) -> impl Iterator<Item = &OperatingPoint> {
        self.points.iter().step_by(self.points.len().div_ceil(MOST_POINTS).max(1))
    }

    fn table(&self) -> Table {
        let rows = self.thinned().map(|point| {
            let (wrong, found) = self.rates(point);
            vec![fixed(-point.score, 3), percent(found), percent(wrong), percent(precision(point))]
        });
        Table::new(
            "By threshold",
            &["threshold (nats)", "anomalies found (recall)", "false-alarm rate", "precision"],
            rows,
        )
    }

    fn roc(&self) -> Markup {
        let Evaluation { detection, baseline_independent_gaussians: baseline, .. } = self.evaluation;
        let mut chart = Chart::new(
            Axis::new("normal windows called anomalous (%)", -1.5, 100.0),
            Axis::new("anomalous windows found (%)", 0.0, 102.0),
        );
        chart.guide((0.0, 0.0), (100.0, 100.0));
        let points = self.points.iter().map(|point| self.rates(point));
        chart.line(Look::One, std::iter::once((0.0, 0.0)).chain(points).map(|(x, y)| (100.0 * x, 100.0 * y)));
        let marks: Vec<Mark> = self.thinned().map(|point| mark(self.rates(point), self.tip(point))).collect();
        chart.targets(Look::One, &marks);
        let here = self.here();
        chart.points(Look::Two, &[mark(self.rates(&here), format!("the model's {}", self.tip(&here)))]);
        let figure = Figure {
            id: "roc",
            title: "Found against falsely called (ROC)".to_owned(),
            reading: "The closer the line goes to the upper left corner the better; the dashed diagonal is guessing, the cross the \
                      model's threshold.",
            shows: format!(
                "AUROC {:.4} (limits on each column alone: {:.4}). At the threshold {} of the anomalous windows are found, and {} of the \
                 normal ones called anomalous.",
                detection.auroc,
                baseline.auroc,
                percent(self.evaluation.detection_rate),
                percent(self.evaluation.false_alarm_rate)
            ),
            legend: Vec::new(),
            table: self.table(),
        };
        figure.around(|id, text| chart.draw(id, text))
    }

    fn precision_and_recall(&self) -> Markup {
        let detection = &self.evaluation.detection;
        let share = self.anomalies / (self.anomalies + self.normals);
        let mut chart = Chart::new(
            Axis::new("anomalous windows found: recall (%)", 0.0, 100.0),
            Axis::new("precision (%)", 0.0, 102.0),
        );
        chart.guide((0.0, 100.0 * share), (100.0, 100.0 * share));
        let at = |point: &OperatingPoint| (self.rates(point).1, precision(point));
        chart.line(Look::One, self.points.iter().map(&at).map(|(x, y)| (100.0 * x, 100.0 * y)));
        let marks: Vec<Mark> = self.thinned().map(|point| mark(at(point), self.tip(point))).collect();
        chart.targets(Look::One, &marks);
        let here = self.here();
        if here.detected + here.false_alarms > 0 {
            chart.points(Look::Two, &[mark(at(&here), format!("the model's {}", self.tip(&here)))]);
        }
        let figure = Figure {
            id: "precision",
            title: "Precision and recall".to_owned(),
            reading: "Precision is the share of the windows called anomalous that are labelled so; the closer to the upper right corner \
                 the better, and the dashed line is guessing.",
            shows: format!(
                "Average precision {:.4}, best F1 {:.4}, partial AUROC up to 10 % false alarms {:.4}; {} of the windows are anomalous.",
                detection.average_precision,
                detection.best_f1,
                detection.partial_auroc,
                percent(share)
            ),
            legend: Vec::new(),
            table: self.table(),
        };
        figure.around(|id, text| chart.draw(id, text))
    }
}

/// Share of those called anomalous that are.
fn precision(point: &OperatingPoint) -> f64 {
    point.detected as f64 / (point.detected + point.false_alarms) as f64
}

/// A point by its shares, drawn in per cent.
fn mark((x, y): (f64, f64), tip: String) -> Mark {
    Mark { x: 100.0 * x, y: 100.0 * y, tip }
}
