//! Scores: how they are distributed, and what the threshold makes of them.

use maud::{Markup, html};

use super::{
    chart::{Axis, Chart, Look, Mark},
    page::{Figure, Table},
};
use crate::{
    report::{
        false_alarms::false_alarms,
        material::{Data, Material},
    },
    statistics::metrics::quantile,
    words::numbers::{count, fixed, number, percent},
};

/// Columns of the histogram.
const BINS: usize = 36;
/// Points of the scores along the data.
const BUCKETS: usize = 300;
/// Standard deviations from the middle of a normal distribution to the ends of its central 90 %.
const NINETY_PERCENT: f64 = 1.645;

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
            @if let Some((report, found)) = found { (false_alarms(material, report, &found)) }
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
    /// The name, and how many there are.
    caption: String,
    scores: Vec<f64>,
}

fn kinds(material: &Material<'_>) -> Vec<Kind> {
    let kind = |look, name: &str, scores: Vec<f64>| {
        let caption = format!("{name} ({})", count(scores.len()));
        Kind { look, name: name.to_owned(), caption, scores }
    };
    let name = if material.calibration.is_some() { "normal, calibrated on" } else { "normal, held out" };
    let normal = material.normal_scores.iter().map(|score| f64::from(*score)).collect();
    let mut kinds = vec![kind(Look::One, name, normal)];
    if let Some(Data { scored, .. }) = &material.data {
        let all = || scored.scores.iter().map(|score| f64::from(*score));
        match &scored.windows.labels {
            Some(labels) => {
                let of = |label| all().zip(labels).filter(|(_, of)| **of == label).map(|(score, _)| score).collect();
                kinds.push(kind(Look::Three, "normal in the data", of(false)));
                kinds.push(kind(Look::Two, "anomalous in the data", of(true)));
            }
            None => kinds.push(kind(Look::Two, "in the data, not labelled", all().collect())),
        }
    }
    kinds.retain(|kind| !kind.scores.is_empty());
    kinds
}

/// Scores in columns of equal width; what lies further left than anything normal is in the first one.
struct Histogram {
    from: f64,
    to: f64,
    width: f64,
    /// Of each kind, by column.
    shares: Vec<Vec<f64>>,
    /// Scores left of the first column.
    beyond: usize,
}

impl Histogram {
    /// With room for the threshold and its confidence interval, which begins at `low`.
    fn of(kinds: &[Kind], sorted: &[f32], threshold: f64, low: f64) -> Self {
        let scores = || kinds.iter().flat_map(|kind| &kind.scores).copied();
        let ends = |of: fn(f64, f64) -> f64, start: f64| scores().filter(|score| score.is_finite()).fold(start, of);
        let (least, to) = (ends(f64::min, low.min(threshold)), ends(f64::max, f64::from(quantile(sorted, 0.5))));
        // Anomalies may score beyond all bounds.
        let far = sorted.first().map_or(low, |score| f64::from(*score)).min(low).min(threshold);
        let from = least.max(far - 2.0 * (to - far));
        let width = (to - from).max(f64::MIN_POSITIVE) / BINS as f64;
        let bin = |score: f64| (((score - from) / width).max(0.0) as usize).min(BINS - 1);
        let shares = |kind: &Kind| {
            let mut shares = vec![0.0; BINS];
            kind.scores.iter().for_each(|score| shares[bin(*score)] += 1.0 / kind.scores.len() as f64);
            shares
        };
        let beyond = scores().filter(|score| *score < from).count();
        Self { from, to, width, shares: kinds.iter().map(shares).collect(), beyond }
    }

    /// Left and right edge of a column.
    fn edges(&self, index: usize) -> (f64, f64) {
        (self.from + self.width * index as f64, self.from + self.width * (index + 1) as f64)
    }

    /// The columns of a kind, over an empty chart.
    fn draw(&self, kinds: &[Kind]) -> Chart {
        let Self { from, to, .. } = *self;
        let tallest = self.shares.iter().flatten().copied().fold(0.0, f64::max);
        let mut chart = Chart::new(
            Axis::new("score of a window (nats); higher is more normal", from, to + 0.02 * (to - from)),
            Axis::new("share of a kind (%)", 0.0, 105.0 * tallest),
        );
        for (kind, shares) in kinds.iter().zip(&self.shares) {
            let column = |(index, share): (usize, &f64)| {
                let (left, right) = self.edges(index);
                let place = if index == 0 && self.beyond > 0 {
                    format!("below {}", number(right))
                } else {
                    format!("{} to {}", number(left), number(right))
                };
                (left, right, 100.0 * share, format!("{place} nats: {} of {}", percent(*share), kind.caption))
            };
            chart.columns(kind.look, &shares.iter().enumerate().map(column).collect::<Vec<_>>());
        }
        chart
    }

    fn table(&self, kinds: &[Kind]) -> Table {
        let rows = (0..BINS).map(|index| {
            let (left, right) = self.edges(index);
            let shares = self.shares.iter().map(|shares| percent(shares[index]));
            [number(left), number(right)].into_iter().chain(shares).collect()
        });
        let kinds = kinds.iter().map(|kind| kind.caption.as_str());
        let head: Vec<&str> = ["from (nats)", "to"].into_iter().chain(kinds).collect();
        Table::new("Share of each kind by score", &head, rows)
    }
}

fn distribution(material: &Material<'_>) -> Markup {
    let kinds = kinds(material);
    let mut sorted = material.normal_scores.to_vec();
    sorted.sort_by(f32::total_cmp);
    let threshold = f64::from(material.file.calibration.threshold);
    let (low, high) = interval(material, &sorted);
    let histogram = Histogram::of(&kinds, &sorted, threshold, low);
    let mut chart = histogram.draw(&kinds);
    chart.zone(low, high);
    chart.rule(threshold, &format!("threshold {}", fixed(threshold, 2)));
    let below = |kind: &Kind| {
        let below = kind.scores.iter().filter(|score| **score < threshold).count();
        format!("{} of {} {}", count(below), count(kind.scores.len()), kind.name)
    };
    let beyond = match histogram.beyond {
        0 => String::new(),
        beyond => format!(" {} windows left of the axis are counted in its first column.", count(beyond)),
    };
    let figure = Figure {
        id: "distribution",
        title: "Scores and the threshold".to_owned(),
        reading: "Windows left of the dashed line are anomalous; the grey zone is where the line might as well be (90 % confidence), and \
                  the less the colours overlap the better.",
        shows: format!(
            "Below the threshold of {} nats ({} to {} with 90 % confidence) are {}.{beyond}",
            fixed(threshold, 3),
            number(low),
            number(high),
            kinds.iter().map(below).collect::<Vec<_>>().join(", "),
        ),
        legend: kinds.iter().map(|kind| (kind.look, kind.caption.clone())).collect(),
        table: histogram.table(&kinds),
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
        reading: "Where the line dips below the dashed threshold the model sees an anomaly; grey stretches are labelled anomalous.",
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
