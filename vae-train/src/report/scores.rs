//! Scores: how they are distributed, and what the threshold makes of them.

use maud::{Markup, html};

use super::{
    chart::{Axis, Chart, Look, Mark},
    page::{Figure, Table},
};
use crate::{
    calibration::{
        self,
        false_alarms::{FalseAlarms, describe},
        support::TOLERANCE,
    },
    report::material::{Data, Material},
    statistics::metrics::quantile,
    words::{
        numbers::{count, fixed, number, percent},
        rates::span,
    },
};

/// Columns of the histogram.
const BINS: usize = 36;
/// Points of the scores along the data.
const BUCKETS: usize = 300;
/// Standard deviations from the middle of a normal distribution to the ends of its central 90 %.
const NINETY_PERCENT: f64 = 1.645;
const WEEK: f64 = 604_800.0;
/// Rates of alarms that are drawn, per week: one in ten years to one a minute.
const RATES: (f64, f64) = (0.002, 10_080.0);

/// Where the threshold is, how well that is known, and what another would do.
pub(super) fn threshold(material: &Material<'_>) -> Markup {
    let found = material.calibration.and_then(|report| report.false_alarms.map(|found| (report, found)));
    html! {
        @if found.is_none() {
            p {
                "How many alarms another threshold would raise is not known: run vae-train calibrate on enough normal data, in the order of \
                 time."
            }
        }
        div class="figures" {
            (distribution(material))
            @if let Some((report, found)) = found { (alarms(material, report, &found)) }
            @if let Some(data) = &material.data { (along(material, data)) }
        }
    }
}

/// The 90 % confidence interval of the threshold: of the one for the rate of alarms asked for, else of the quantile that it is.
fn interval(material: &Material<'_>, sorted: &[f32]) -> (f64, f64) {
    let asked = material.calibration.and_then(|report| {
        let (_, (low, high)) = report.alarms?;
        let rate = report.windows_per_second?;
        let (tail, share) = (report.false_alarms?.alarms(), report.votes_share());
        Some((-tail.level(share * low / rate), -tail.level(share * high / rate)))
    });
    asked.filter(|(low, high)| low.is_finite() && high.is_finite()).unwrap_or_else(|| {
        let share = material.state.plan.config.data.false_alarms;
        let error = NINETY_PERCENT * (share * (1.0 - share) / sorted.len() as f64).sqrt();
        (f64::from(quantile(sorted, share - error)), f64::from(quantile(sorted, share + error)))
    })
}

/// Scores of one kind.
struct Kind {
    look: Look,
    name: String,
    scores: Vec<f64>,
}

fn kinds(material: &Material<'_>) -> Vec<Kind> {
    let normal = material.normal_scores.iter().map(|score| f64::from(*score)).collect();
    let name = if material.calibration.is_some() { "normal, calibrated on" } else { "normal, held out" };
    let mut kinds = vec![Kind { look: Look::One, name: name.to_owned(), scores: normal }];
    if let Some(Data { scored, .. }) = &material.data {
        let all = || scored.scores.iter().map(|score| f64::from(*score));
        match &scored.windows.labels {
            Some(labels) => {
                for (look, name, of) in
                    [(Look::Three, "normal in the data", false), (Look::Two, "anomalous in the data", true)]
                {
                    let scores: Vec<f64> =
                        all().zip(labels).filter(|(_, label)| **label == of).map(|(score, _)| score).collect();
                    kinds.push(Kind { look, name: name.to_owned(), scores });
                }
            }
            None => kinds.push(Kind {
                look: Look::Two,
                name: "in the data, not labelled".to_owned(),
                scores: all().collect(),
            }),
        }
    }
    kinds.retain(|kind| !kind.scores.is_empty());
    for kind in &mut kinds {
        kind.name += &format!(" ({})", count(kind.scores.len()));
    }
    kinds
}

fn distribution(material: &Material<'_>) -> Markup {
    let kinds = kinds(material);
    let mut sorted = material.normal_scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let threshold = f64::from(material.file.calibration.threshold);
    let (low, high) = interval(material, &sorted);
    let middle = f64::from(quantile(&sorted, 0.5));
    let ends = |of: fn(f64, f64) -> f64, start: f64| {
        kinds.iter().flat_map(|kind| &kind.scores).copied().filter(|score| score.is_finite()).fold(start, of)
    };
    let (least, most) = (ends(f64::min, low.min(threshold)), ends(f64::max, middle));
    // Anomalies may score beyond all bounds.
    let far = f64::from(sorted.first().copied().unwrap_or_default()).min(low).min(threshold);
    let from = least.max(far - 2.0 * (most - far));
    let axis = Axis::new("score of a window (nats); higher is more normal", from, most + 0.02 * (most - from));
    let width = (most - from).max(f64::MIN_POSITIVE) / BINS as f64;
    let bin = |score: f64| (((score - from) / width).max(0.0) as usize).min(BINS - 1);
    let shares: Vec<Vec<f64>> = kinds
        .iter()
        .map(|kind| {
            let mut shares = vec![0.0; BINS];
            kind.scores.iter().for_each(|score| shares[bin(*score)] += 1.0 / kind.scores.len() as f64);
            shares
        })
        .collect();
    let tallest = shares.iter().flatten().copied().fold(0.0, f64::max);
    let mut chart = Chart::new(axis, Axis::new("share of a kind (%)", 0.0, 105.0 * tallest));
    chart.zone(low, high);
    let edges = |index: usize| (from + width * index as f64, from + width * (index + 1) as f64);
    for (kind, shares) in kinds.iter().zip(&shares) {
        let columns: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(index, share)| {
                let (left, right) = edges(index);
                let place = if index == 0 && least < from {
                    format!("below {}", number(right))
                } else {
                    format!("{} to {}", number(left), number(right))
                };
                (left, right, 100.0 * share, format!("{place} nats: {} of {}", percent(*share), kind.name))
            })
            .collect();
        chart.columns(kind.look, &columns);
    }
    chart.rule(threshold, &format!("threshold {}", fixed(threshold, 2)));
    let beyond: usize = kinds.iter().flat_map(|kind| &kind.scores).filter(|score| **score < from).count();
    let below = |scores: &[f64]| scores.iter().filter(|score| **score < threshold).count();
    let says: Vec<String> = kinds
        .iter()
        .map(|kind| {
            format!(
                "{} of {} {}",
                count(below(&kind.scores)),
                count(kind.scores.len()),
                kind.name.split(" (").next().unwrap_or_default()
            )
        })
        .collect();
    let beyond = if beyond > 0 {
        format!(" {} windows left of the axis are counted in its first column.", count(beyond))
    } else {
        String::new()
    };
    let rows = (0..BINS).map(|index| {
        let (left, right) = edges(index);
        let shares = shares.iter().map(|shares| percent(shares[index]));
        [number(left), number(right)].into_iter().chain(shares).collect()
    });
    let head: Vec<&str> =
        ["from (nats)", "to"].into_iter().chain(kinds.iter().map(|kind| kind.name.as_str())).collect();
    let figure = Figure {
        id: "distribution",
        title: "Scores and the threshold".to_owned(),
        reading: "windows left of the dashed line are anomalous; the grey zone is where the line might as well be (90 % confidence), and \
                  the less the colours overlap the better.",
        shows: format!(
            "Below the threshold of {} nats ({} to {} with 90 % confidence) are {}.{beyond}",
            fixed(threshold, 3),
            number(low),
            number(high),
            says.join(", "),
        ),
        legend: kinds.iter().map(|kind| (kind.look, kind.name.clone())).collect(),
        table: Table::new("Share of each kind by score", &head, rows),
    };
    figure.around(|id, text| chart.draw(id, text))
}

/// Alarms on normal data by threshold.
fn alarms(material: &Material<'_>, report: &calibration::Report, found: &FalseAlarms) -> Markup {
    let (tail, share, changes) = (found.alarms(), report.votes_share(), report.changes.as_ref());
    // Per week where the sample rate is known, else per million windows.
    let (unit, windows) = match report.windows_per_second {
        Some(rate) => ("false alarms a week", rate * WEEK),
        None => ("false alarms in a million windows", 1e6),
    };
    const POINTS: usize = 60;
    // A power law has no base, and no more alarms than windows.
    let most = if tail.base > 0.0 { tail.base } else { 1.0 };
    let (rare, frequent) = (RATES.0 / windows, (RATES.1 / windows).min(0.5 * most));
    let ratio = libm::pow(frequent / rare, 1.0 / (POINTS - 1) as f64);
    let rates = (0..POINTS).map(|index| rare * ratio.powi(index as i32));
    let points: Vec<(f64, f64, (f64, f64))> = rates
        .map(|rate| (-tail.level(share * rate), rate, found.interval(rate, changes)))
        .filter(|(level, ..)| level.is_finite())
        .collect();
    let threshold = f64::from(report.threshold);
    let levels = points.iter().map(|(level, ..)| *level).chain([threshold]);
    let mut chart = Chart::new(
        Axis::over("threshold (nats)", levels),
        Axis::logarithmic(unit, rare * windows, (frequent * windows).max(2.0 * rare * windows)),
    );
    let band: Vec<(f64, f64, f64)> =
        points.iter().map(|(level, _, (low, high))| (*level, (low * windows).max(1e-12), high * windows)).collect();
    chart.band(Look::One, &band);
    chart.line(Look::One, points.iter().map(|(level, rate, _)| (*level, rate * windows)));
    let in_words = |per_window: f64| match report.windows_per_second {
        Some(rate) => describe(per_window * rate),
        None => format!("{} in a million windows", number(per_window * 1e6)),
    };
    let marks: Vec<Mark> = points
        .iter()
        .map(|(level, rate, (low, high))| Mark {
            x: *level,
            y: rate * windows,
            tip: format!(
                "threshold {} nats: {}, between {} and {}",
                fixed(*level, 2),
                in_words(*rate),
                in_words(*low),
                in_words(*high)
            ),
        })
        .collect();
    chart.targets(Look::One, &marks);
    chart.rule(threshold, &format!("threshold {}", fixed(threshold, 2)));
    let here = tail.rate_above(-threshold) / share;
    let (low, high) = found.interval(here, changes);
    let (needed, of) = material.file.calibration.votes;
    let recording =
        report.windows_per_second.map_or(String::new(), |rate| format!(" ({})", span(report.windows as f64 / rate)));
    let rows = points.iter().map(|(level, rate, (low, high))| {
        let supported = if *high <= TOLERANCE * rate { "yes" } else { "no" };
        vec![fixed(*level, 3), in_words(*rate), in_words(*low), in_words(*high), supported.to_owned()]
    });
    let head = ["threshold (nats)", "false alarms", "at least", "at most", "supported by the data"];
    let figure = Figure {
        id: "alarms",
        title: "False alarms by threshold".to_owned(),
        reading: "go up from a threshold to the line and left to the number of false alarms; the shaded band holds the true number with \
                  90 % confidence.",
        shows: format!(
            "At the model's threshold {} are expected, between {} and {} with 90 % confidence, by {needed} of {of} votes{}, from {} normal \
             windows{recording}. It holds for a machine that goes on as it was recorded.",
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

/// The scores in the order of the data.
fn along(material: &Material<'_>, data: &Data) -> Markup {
    let Data { scored, name, .. } = data;
    let threshold = f64::from(material.file.calibration.threshold);
    let windows = scored.scores.len();
    let size = windows.div_ceil(BUCKETS).max(1);
    let rows = &scored.windows.last_row;
    let labels = scored.windows.labels.as_deref();
    // Of each stretch, the window that scores lowest: an anomaly is not averaged away.
    let lowest: Vec<usize> = (0..windows)
        .step_by(size)
        .filter_map(|start| {
            (start..(start + size).min(windows)).min_by(|a, b| scored.scores[*a].total_cmp(&scored.scores[*b]))
        })
        .collect();
    let drawn = || lowest.iter().map(|index| f64::from(scored.scores[*index]));
    let most = drawn().fold(threshold, f64::max);
    // Anomalies may score beyond all bounds.
    let least = material.normal_scores.iter().map(|score| f64::from(*score)).fold(threshold, f64::min);
    let bottom = drawn().fold(least, f64::min).max(least - 4.0 * (most - least));
    let last = rows.last().copied().unwrap_or(1) as f64;
    let mut chart = Chart::new(
        Axis::new("row of the data", 0.0, last),
        Axis::new("score (nats)", bottom - 0.03 * (most - bottom), most + 0.03 * (most - bottom)),
    );
    let anomalous = |index: &usize| labels.is_some_and(|labels| labels[*index]);
    for run in lowest.chunk_by(|a, b| anomalous(a) == anomalous(b)).filter(|run| anomalous(&run[0])) {
        chart.zone(rows[run[0]] as f64, rows[run[run.len() - 1]] as f64);
    }
    chart.line(Look::One, lowest.iter().map(|index| (rows[*index] as f64, f64::from(scored.scores[*index]))));
    chart.guide((0.0, threshold), (last, threshold));
    let marks: Vec<Mark> = lowest
        .iter()
        .map(|index| {
            let label =
                labels.map_or("", |labels| if labels[*index] { ", labelled anomalous" } else { ", labelled normal" });
            let score = f64::from(scored.scores[*index]);
            Mark {
                x: rows[*index] as f64,
                y: score,
                tip: format!("row {}: {} nats{label}", rows[*index], fixed(score, 2)),
            }
        })
        .collect();
    chart.targets(Look::One, &marks);
    let below = scored.scores.iter().filter(|score| f64::from(**score) < threshold).count();
    let rows = marks.iter().map(|mark| vec![number(mark.x), fixed(mark.y, 3)]);
    let figure = Figure {
        id: "along",
        title: "Scores along the data".to_owned(),
        reading: "where the line dips below the dashed threshold the model sees an anomaly; grey stretches are labelled anomalous.",
        shows: format!(
            "{name}: {} of {} windows are below the threshold.{} What is below the axis is drawn at its edge.",
            count(below),
            count(windows),
            if size > 1 { format!(" Of every {size} windows the lowest is drawn.") } else { String::new() }
        ),
        legend: Vec::new(),
        table: Table::new("Lowest scores along the data", &["row", "score (nats)"], rows),
    };
    figure.around(|id, text| chart.draw(id, text))
}
