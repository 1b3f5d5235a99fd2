//! How many false alarms each threshold would raise.

use maud::Markup;

use super::{
    chart::{Axis, Chart, Look, Mark},
    page::{Figure, Table},
};
use crate::{
    calibration::{self, false_alarms::FalseAlarms, support::TOLERANCE},
    report::material::Material,
    words::{
        numbers::{count, fixed, number},
        rates::{rate_at_most, span},
    },
};

const WEEK: f64 = 604_800.0;
/// Rates of alarms that are drawn, per week: one in ten years to one a minute.
const RATES: (f64, f64) = (0.002, 10_080.0);

/// False alarms at a threshold, in alarms a window.
struct Point {
    threshold: f64,
    rate: f64,
    /// Holds the true rate with 90 % confidence.
    interval: (f64, f64),
}

/// A number of false alarms a window, in words.
fn in_words(report: &calibration::Report, per_window: f64) -> String {
    match report.windows_per_second {
        Some(rate) => rate_at_most(per_window * rate),
        None => format!("{} in a million windows", number(per_window * 1e6)),
    }
}

/// Thresholds for rates that are drawn, from `rare` to `frequent` in alarms a window.
fn points(report: &calibration::Report, found: &FalseAlarms, rare: f64, frequent: f64) -> Vec<Point> {
    const POINTS: usize = 60;
    let (tail, share, changes) = (found.alarms(), report.votes_share(), report.changes.as_ref());
    let ratio = libm::pow(frequent / rare, 1.0 / (POINTS - 1) as f64);
    let point = |index: usize| {
        let rate = rare * ratio.powi(index as i32);
        Point { threshold: -tail.level(share * rate), rate, interval: found.interval(rate, changes) }
    };
    (0..POINTS).map(point).filter(|point| point.threshold.is_finite()).collect()
}

/// Alarms on normal data by threshold.
pub(super) fn false_alarms(material: &Material<'_>, report: &calibration::Report, found: &FalseAlarms) -> Markup {
    let (tail, share, changes) = (found.alarms(), report.votes_share(), report.changes.as_ref());
    // Per week where the sample rate is known, else per million windows.
    let (unit, windows) = match report.windows_per_second {
        Some(rate) => ("false alarms a week", rate * WEEK),
        None => ("false alarms in a million windows", 1e6),
    };
    // A power law has no base, and no more alarms than windows.
    let most = if tail.base > 0.0 { tail.base } else { 1.0 };
    let (rare, frequent) = (RATES.0 / windows, (RATES.1 / windows).min(0.5 * most));
    let points = points(report, found, rare, frequent);
    let threshold = f64::from(report.threshold);
    let mut chart = Chart::new(
        Axis::over("threshold (nats)", points.iter().map(|point| point.threshold).chain([threshold])),
        Axis::logarithmic(unit, rare * windows, (frequent * windows).max(2.0 * rare * windows)),
    );
    draw_alarms(&mut chart, report, &points, windows);
    chart.rule(threshold, &format!("threshold {}", fixed(threshold, 2)));
    let here = tail.rate_above(-threshold) / share;
    let (low, high) = found.interval(here, changes);
    let (needed, of) = material.file.calibration.votes;
    let recording =
        report.windows_per_second.map_or(String::new(), |rate| format!(" ({})", span(report.windows as f64 / rate)));
    let in_words = |rate| in_words(report, rate);
    let rows = points.iter().map(|Point { threshold, rate, interval: (low, high) }| {
        let supported = if *high <= TOLERANCE * rate { "yes" } else { "no" };
        vec![fixed(*threshold, 3), in_words(*rate), in_words(*low), in_words(*high), supported.to_owned()]
    });
    let head = ["threshold (nats)", "false alarms", "at least", "at most", "supported by the data"];
    let figure = Figure {
        id: "alarms",
        title: "False alarms by threshold".to_owned(),
        reading: "Go up from a threshold to the line and left to the number of false alarms; the shaded band holds the true number with \
                  90 % confidence.",
        shows: format!(
            "At the model's threshold {} are expected, between {} and {} with 90 % confidence, by {needed} of {of} votes{}, from {} \
             normal windows{recording}. It holds as long as the machine runs as it did in the recording.",
            in_words(here),
            in_words(low),
            in_words(high),
            if changes.is_some() { " and the sum of the scores' ranks" } else { "" },
            count(report.windows)
        ),
        legend: Vec::new(),
        table: Table::new("False alarms by threshold, with 90 % confidence", &head, rows),
    };
    figure.around(|id, text| chart.draw(id, text))
}

/// The line of the false alarms in so many windows, and the band of their confidence intervals.
fn draw_alarms(chart: &mut Chart, report: &calibration::Report, points: &[Point], windows: f64) {
    let band = |point: &Point| {
        let (low, high) = point.interval;
        (point.threshold, (low * windows).max(1e-12), high * windows)
    };
    chart.band(Look::One, &points.iter().map(band).collect::<Vec<_>>());
    chart.line(Look::One, points.iter().map(|point| (point.threshold, point.rate * windows)));
    let mark = |Point { threshold, rate, interval: (low, high) }: &Point| Mark {
        x: *threshold,
        y: rate * windows,
        tip: format!(
            "threshold {} nats: {}, between {} and {}",
            fixed(*threshold, 2),
            in_words(report, *rate),
            in_words(report, *low),
            in_words(report, *high)
        ),
    };
    chart.targets(Look::One, &points.iter().map(mark).collect::<Vec<_>>());
}
