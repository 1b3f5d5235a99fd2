//! The windows that the model finds strangest, what it expected instead, and what is to blame.

use anyhow::Result;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use maud::{Markup, html};

use super::{
    bars::{Bar, Bars},
    chart::{Axis, Chart, Look, Mark},
    page::{Figure, Table},
};
use crate::{
    report::{image, material::Material},
    scoring::{for_each_window, of_device},
    words::numbers::{count, fixed, number},
};

/// Windows that are shown; of images, which are small, more.
const SHOWN: usize = 6;
const IMAGES: usize = 8;
/// Features of a row that are shown, and samples of a stream that are marked.
const FEATURES: usize = 10;
/// Samples of a window that are drawn; of longer ones, the least and largest of each stretch.
const SAMPLES: usize = 300;

/// A window beside what the model expected.
struct Strange {
    name: String,
    score: f32,
    x: Vec<f32>,
    expected: Vec<f32>,
    /// What each feature costs, in nats.
    nats: Vec<f32>,
    /// Channels with the nats by which they cost more than in an ordinary window, worst first.
    channels: Vec<(usize, f64)>,
}

/// The strangest windows of the data, or of the held-out ones.
pub(super) fn worst(material: &Material<'_>) -> Result<Markup> {
    let strange = choose(material)?;
    let of = match &material.data {
        Some(data) => match data.scored.windows.labels.as_deref().is_some_and(|labels| labels.contains(&true)) {
            true => "anomalous windows of the data",
            false => "windows of the data",
        },
        None => "held-out normal windows (give --data for others)",
    };
    let rule = format!(
        "The {of} are cut into {} parts in their order, and of each part the window with the lowest score is shown.",
        strange.len()
    );
    let drawn = if material.is_image() {
        images(&strange)?
    } else {
        html! {
            div class="figures" {
                @for (index, window) in strange.iter().enumerate() {
                    @if material.is_stream() { (stream(material, window, index)) } @else { (row(material, window, index)) }
                }
            }
        }
    };
    Ok(html! { p { (rule) } (drawn) })
}

fn choose(material: &Material<'_>) -> Result<Vec<Strange>> {
    let (model, windows) = (&material.model, material.windows());
    let scores = match &material.data {
        Some(data) => data.scored.scores.clone(),
        None => of_device(model, windows)?,
    };
    let labels = material.data.as_ref().and_then(|data| data.scored.windows.labels.as_deref());
    let anomalous: Vec<usize> = (0..scores.len()).filter(|index| labels.is_some_and(|labels| labels[*index])).collect();
    let candidates = if anomalous.is_empty() { (0..scores.len()).collect() } else { anomalous };
    let parts = if material.is_image() { IMAGES } else { SHOWN };
    let lowest = candidates
        .chunks(candidates.len().div_ceil(parts).max(1))
        .filter_map(|part| part.iter().copied().min_by(|a, b| scores[*a].total_cmp(&scores[*b])));
    let chosen: Vec<usize> = lowest.collect();
    let calibration = model.calibration()?;
    let found = for_each_window(model, &material.gather(windows, &chosen), |_, model, x, scratch| {
        let (mut z, mut expected, mut nats) = (vec![0.0; model.latent()], vec![0.0; x.len()], vec![0.0; x.len()]);
        model.encode(x, scratch)?.mean(&mut z[..])?;
        model.decode(&z[..], &mut expected[..], scratch)?;
        model.attribute(x, scratch, &mut |feature, cost| nats[feature] = cost)?;
        Ok((x.to_vec(), expected, nats))
    })?;
    let owners: Vec<usize> = model.feature_channels()?.collect();
    let strange = chosen.iter().zip(found).map(|(index, (x, expected, nats))| {
        let mut channels: Vec<(usize, f64)> = (0..model.channels())
            .map(|channel| (channel, -calibration.channel(channel).map_or(0.0, |normal| f64::from(normal.nats))))
            .collect();
        for (channel, cost) in owners.iter().zip(&nats) {
            channels[*channel].1 += f64::from(*cost);
        }
        channels.sort_by(|a, b| b.1.total_cmp(&a.1));
        let name = match &material.data {
            Some(data) if model.window() > 1 => {
                format!("Window that ends in row {}", data.scored.windows.last_row[*index])
            }
            Some(data) => format!("Row {}", data.scored.windows.last_row[*index]),
            None => format!("Held-out window {index}"),
        };
        Strange { name, score: scores[*index], x, expected, nats, channels }
    });
    Ok(strange.collect())
}

impl Strange {
    /// The features that cost most, worst first.
    fn guilty(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.nats.len()).collect();
        order.sort_by(|&a, &b| self.nats[b].total_cmp(&self.nats[a]));
        order.truncate(FEATURES);
        order
    }

    fn verdict(&self, material: &Material<'_>) -> String {
        let threshold = material.file.calibration.threshold;
        let side = if self.score < threshold { "below" } else { "above" };
        format!("{} nats, {side} the threshold", fixed(f64::from(self.score), 2))
    }

    /// Observed and expected values of some features.
    fn table(&self, material: &Material<'_>, features: &[usize]) -> Table {
        let names = material.feature_names();
        let value = |value: f32| if value.is_nan() { "not observed".to_owned() } else { number(f64::from(value)) };
        let rows = features.iter().map(|&feature| {
            vec![
                names[feature].clone(),
                value(self.x[feature]),
                value(self.expected[feature]),
                fixed(f64::from(self.nats[feature]), 2),
            ]
        });
        Table::new("What costs most", &["value", "observed", "expected", "costs (nats)"], rows)
    }

    /// The channels that cost most after the first, in brackets; nothing if there are none.
    fn others(&self, channels: &[String]) -> String {
        let others: Vec<String> = self
            .channels
            .iter()
            .skip(1)
            .take(3)
            .map(|(channel, nats)| format!("{} {}", channels[*channel], fixed(*nats, 1)))
            .collect();
        if others.is_empty() { String::new() } else { format!(" (others: {})", others.join(", ")) }
    }
}

/// A piece of a stream: the channel to blame over time.
fn stream(material: &Material<'_>, window: &Strange, index: usize) -> Markup {
    let channels = &material.state.plan.schema.channels;
    let (blamed, excess) = window.channels.first().copied().unwrap_or_default();
    let (label, step) = material.time();
    let of = |values: &[f32]| -> Vec<(f64, f64)> {
        let own = values.iter().skip(blamed).step_by(channels.len());
        own.enumerate().map(|(sample, value)| (sample as f64 * step, f64::from(*value))).collect()
    };
    let (observed, expected) = (of(&window.x), of(&window.expected));
    let mut chart = Chart::new(
        Axis::new(label, 0.0, observed.len() as f64 * step),
        Axis::over(channels[blamed].clone(), observed.iter().chain(&expected).map(|point| point.1)),
    );
    chart.line(Look::Three, thinned(&expected));
    chart.line(Look::One, thinned(&observed));
    let guilty: Vec<usize> = window
        .guilty()
        .into_iter()
        .filter(|feature| feature % channels.len() == blamed && window.nats[*feature] > 1.0)
        .collect();
    let marks = guilty.iter().map(|&feature| {
        let (x, y) = observed[feature / channels.len()];
        let cost = f64::from(window.nats[feature]);
        let tip = format!(
            "at {}: {} observed, {} expected, costs {} nats",
            number(x),
            number(y),
            number(window.expected[feature].into()),
            fixed(cost, 1)
        );
        Mark { x, y, tip }
    });
    chart.points(Look::Two, &marks.collect::<Vec<_>>());
    let others = window.others(channels);
    let id = format!("strange-{index}");
    let figure = Figure {
        id: &id,
        title: format!("{}: {}", window.name, channels[blamed]),
        reading: "The further the solid line is from the dotted one, which the model expected, the stranger; crosses mark the samples that \
                  cost most.",
        shows: format!(
            "{}. {} is to blame: it costs {} nats more than in an ordinary window{others}.",
            window.verdict(material),
            channels[blamed],
            fixed(excess, 1)
        ),
        legend: vec![
            (Look::One, "observed".to_owned()),
            (Look::Three, "expected".to_owned()),
            (Look::Two, "costs most".to_owned()),
        ],
        table: window.table(material, &window.guilty()),
    };
    figure.around(|id, text| chart.draw(id, text))
}

/// Of many points, the least and the largest of each stretch.
fn thinned(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    let size = points.len().div_ceil(SAMPLES).max(1);
    points.chunks(size).flat_map(move |stretch| {
        let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let ends = [stretch.iter().min_by(by), stretch.iter().max_by(by)];
        let mut ends: Vec<(f64, f64)> = ends.into_iter().flatten().copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.truncate(if size == 1 { 1 } else { 2 });
        ends
    })
}

/// A row of features: what each costs.
fn row(material: &Material<'_>, window: &Strange, index: usize) -> Markup {
    let names = material.feature_names();
    let guilty = window.guilty();
    let rows = guilty.iter().map(|&feature| {
        let (observed, expected) = (f64::from(window.x[feature]), f64::from(window.expected[feature]));
        let cost = f64::from(window.nats[feature]);
        let tip = format!(
            "{}: {} observed, {} expected, costs {} nats",
            names[feature],
            number(observed),
            number(expected),
            fixed(cost, 2)
        );
        // A feature that fits costs half a nat.
        let look = if cost > 2.0 { Look::Two } else { Look::One };
        (names[feature].clone(), vec![Bar { look, from: 0.0, to: cost, tip }])
    });
    let bars = Bars { label: "what the value costs (nats)".to_owned(), rows: rows.collect() };
    let blamed = guilty.first().map_or(String::new(), |feature| {
        format!(
            " {} costs most: {} where {} was expected.",
            names[*feature],
            number(window.x[*feature].into()),
            number(window.expected[*feature].into())
        )
    });
    let id = format!("strange-{index}");
    let figure = Figure {
        id: &id,
        title: window.name.clone(),
        reading: "A long bar is a value that the model did not expect beside the others; an ordinary one costs about half a nat.",
        shows: format!(
            "{}.{blamed}{}",
            window.verdict(material),
            if names.len() > FEATURES {
                format!(" {FEATURES} of {} values are shown.", count(names.len()))
            } else {
                String::new()
            }
        ),
        legend: vec![(Look::Two, "more than 2 nats".to_owned()), (Look::One, "ordinary".to_owned())],
        table: window.table(material, &guilty),
    };
    figure.around(|_, text| bars.draw(text))
}

fn images(strange: &[Strange]) -> Result<Markup> {
    let features = strange.first().map_or(1, |window| window.x.len());
    let all: Vec<f32> = strange
        .iter()
        .flat_map(|window| &window.x)
        .chain(strange.iter().flat_map(|window| &window.expected))
        .copied()
        .collect();
    let rows = strange.iter().map(|window| vec![window.name.clone(), fixed(f64::from(window.score), 2)]);
    let figure = Figure {
        id: "strange-images",
        title: "Images and what was expected".to_owned(),
        reading: "Above is what was seen, below what the model made of it; where they differ, the image is strange.",
        shows: format!(
            "{} images, the lowest with {} nats.",
            strange.len(),
            number(strange.iter().map(|window| window.score.into()).fold(f64::INFINITY, f64::min))
        ),
        legend: Vec::new(),
        table: Table::new("Scores from left to right", &["image", "score (nats)"], rows),
    };
    let source = picture(&all, features, strange.len())?;
    Ok(
        html! { div class="figures" { (figure.around(|_, text| html! { img src=(source) alt="Images" aria-labelledby=(text); })) } },
    )
}

/// Images, `columns` side by side, as an address that holds them.
pub(super) fn picture(images: &[f32], features: usize, columns: usize) -> Result<String> {
    Ok(format!("data:image/png;base64,{}", BASE64_STANDARD.encode(image::grid(images, features, columns)?)))
}
