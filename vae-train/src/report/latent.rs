//! The latent space, seen from its two widest directions.

use anyhow::Result;
use maud::{Markup, html};

use super::{
    chart::{Axis, Chart, Look, Mark},
    page::{Figure, Table},
    plane::Plane,
};
use crate::{
    report::material::Material,
    scoring::{latent_means, of_device},
    weights::mixture::Mixture,
    words::numbers::{count, fixed, percent},
};

/// Most windows of a kind that are drawn.
const MOST: usize = 400;
/// Standard deviations of the prior that its contours are drawn at.
const CONTOURS: [f64; 2] = [1.0, 2.0];
/// Components of the prior that weigh less are not drawn.
const LEAST_WEIGHT: f32 = 0.02;

/// Windows of a kind, and where their posterior means are.
struct Kind {
    look: Look,
    name: String,
    /// The name, and how many are drawn.
    caption: String,
    /// Where they are from: a row, or the place among the held-out windows.
    windows: Vec<String>,
    means: Vec<Vec<f32>>,
    scores: Vec<f64>,
}

impl Kind {
    /// Posterior means with their scores.
    fn points(&self) -> impl Iterator<Item = (&[f32], f64)> {
        self.means.iter().map(Vec::as_slice).zip(self.scores.iter().copied())
    }
}

/// Where the windows lie, and where the prior expects them.
pub(super) fn space(material: &Material<'_>) -> Result<Markup> {
    let kinds = kinds(material)?;
    let latent = material.model.latent();
    let plane = Plane::of(kinds.first().map_or(&[], |kind| &kind.means), latent);
    // In one dimension the score is the other.
    let place = |(z, score): (&[f32], f64)| if latent == 1 { (f64::from(z[0]), score) } else { plane.place(z) };
    let contours = contours(material, &plane);
    let mut chart = chart(material, &plane, &kinds, &contours, &place);
    let mut rows = Vec::new();
    for kind in &kinds {
        let mut marks = Vec::new();
        for (window, (z, score)) in kind.windows.iter().zip(kind.points()) {
            let ((x, y), nats) = (place((z, score)), fixed(score, 2));
            rows.push(vec![window.clone(), kind.name.clone(), fixed(x, 3), fixed(y, 3), nats.clone()]);
            marks.push(Mark { x, y, tip: format!("{window}: {nats} nats") });
        }
        chart.points(kind.look, &marks);
    }
    let figure = Figure {
        id: "latent-plane",
        title: if latent > 2 { "Latent space, projected".to_owned() } else { "Latent space".to_owned() },
        reading: "Each mark is a window, and windows that the model takes to be alike lie together; anomalies may well lie among normal \
                  windows here, as they show in the reconstruction too.",
        shows: format!(
            "{}{} What is outside is drawn at the edge; of more than {MOST} windows of a kind, {MOST} are drawn at random (seed {}).",
            prior_in_words(material),
            plane_in_words(&plane, latent),
            material.seed
        ),
        legend: kinds.iter().map(|kind| (kind.look, kind.caption.clone())).collect(),
        table: Table::new("Posterior means", &["window", "kind", "across", "up", "score (nats)"], rows),
    };
    Ok(html! { div class="figures" { (figure.around(|id, text| chart.draw(id, text))) } })
}

/// The windows to draw: normal and anomalous ones where there are labels.
fn kinds(material: &Material<'_>) -> Result<Vec<Kind>> {
    let windows = material.windows();
    let all: Vec<usize> = (0..windows.len() / material.width()).collect();
    let labels = material.data.as_ref().and_then(|data| data.scored.windows.labels.as_deref());
    let groups: Vec<(Look, &str, Vec<usize>)> = match labels {
        Some(labels) => {
            let (anomalous, normal) = all.iter().partition(|index| labels[**index]);
            vec![(Look::One, "normal", normal), (Look::Two, "anomalous", anomalous)]
        }
        None if material.data.is_some() => vec![(Look::One, "in the data, not labelled", all)],
        None => vec![(Look::One, "normal, held out", all)],
    };
    let groups = groups.into_iter().filter(|(.., indices)| !indices.is_empty());
    groups.map(|(look, name, indices)| kind(material, look, name, &indices)).collect()
}

/// Some of the windows with these indices.
fn kind(material: &Material<'_>, look: Look, name: &str, indices: &[usize]) -> Result<Kind> {
    let chosen = material.some(indices, MOST);
    let drawn = material.gather(material.windows(), &chosen);
    let scores: Vec<f32> = match &material.data {
        Some(data) => chosen.iter().map(|index| data.scored.scores[*index]).collect(),
        None => of_device(&material.model, &drawn)?,
    };
    let window = |index: &usize| match &material.data {
        Some(data) => format!("row {}", data.scored.windows.last_row[*index]),
        None => format!("held-out window {index}"),
    };
    let of = count(indices.len());
    Ok(Kind {
        look,
        name: name.to_owned(),
        caption: match chosen.len() {
            some if some < indices.len() => format!("{name} ({some} of {of})"),
            _ => format!("{name} ({of})"),
        },
        windows: chosen.iter().map(window).collect(),
        means: latent_means(&material.model, &drawn)?,
        scores: scores.into_iter().map(f64::from).collect(),
    })
}

/// Axes wide enough for what is normal, and the prior.
fn chart(
    material: &Material<'_>,
    plane: &Plane,
    kinds: &[Kind],
    contours: &[Vec<(f64, f64)>],
    place: &impl Fn((&[f32], f64)) -> (f64, f64),
) -> Chart {
    let latent = material.model.latent();
    let normal = kinds.iter().take(1).flat_map(Kind::points).map(place);
    let reach: Vec<(f64, f64)> = normal.chain(contours.iter().flatten().copied()).collect();
    let all: Vec<(f64, f64)> = kinds.iter().flat_map(Kind::points).map(place).collect();
    let [x_label, y_label] = plane.labels.clone();
    let y_label = if latent == 1 { "score (nats)".to_owned() } else { y_label };
    let x = axis(x_label, reach.iter().map(|point| point.0), all.iter().map(|point| point.0));
    let y = axis(y_label, reach.iter().map(|point| point.1), all.iter().map(|point| point.1));
    let mut chart = Chart::new(x, y);
    if latent == 1 && !is_binary(material) {
        let (mean, deviation) = moments(material.file.prior.as_ref());
        chart.zone(mean - CONTOURS[1] * deviation, mean + CONTOURS[1] * deviation);
    }
    for contour in contours {
        chart.outline(Look::Quiet, contour.iter().copied());
    }
    chart
}

/// Whether the latent numbers are zeros and ones.
fn is_binary(material: &Material<'_>) -> bool {
    material.file.posterior.is_discrete()
}

fn prior_in_words(material: &Material<'_>) -> String {
    match (&material.file.prior, is_binary(material), material.model.latent()) {
        (_, true, _) => "Each latent number is 0 or 1; the chance of a 1 is drawn.".to_owned(),
        (_, _, 1) => "The grey zone is the prior's mean and two standard deviations.".to_owned(),
        (Some(prior), ..) => format!(
            "The grey ellipses are the prior's components, at two standard deviations ({} of {}; lighter ones are left out).",
            shown(prior).count(),
            prior.weight.len()
        ),
        (None, ..) => "The grey circles are the standard normal prior at one and two standard deviations.".to_owned(),
    }
}

fn plane_in_words(plane: &Plane, latent: usize) -> String {
    if latent <= 2 {
        return String::new();
    }
    format!(
        " The plane is that of the two principal axes and holds {} of the normal windows' variance in {latent} dimensions.",
        percent(plane.share)
    )
}

/// Components of the prior that are drawn: weight, mean, deviation.
fn shown(prior: &Mixture) -> impl Iterator<Item = (&[f32], &[f32])> {
    let latent = prior.mean.len() / prior.weight.len().max(1);
    let components = prior.mean.chunks_exact(latent.max(1)).zip(prior.deviation.chunks_exact(latent.max(1)));
    prior.weight.iter().zip(components).filter(|(weight, _)| **weight >= LEAST_WEIGHT).map(|(_, component)| component)
}

/// Mean and standard deviation of a prior of one dimension.
fn moments(prior: Option<&Mixture>) -> (f64, f64) {
    let Some(Mixture { weight, mean, deviation }) = prior else { return (0.0, 1.0) };
    let average = |of: &dyn Fn(f64, f64) -> f64| -> f64 {
        let components = weight.iter().zip(mean.iter().zip(deviation));
        components.map(|(w, (m, s))| f64::from(*w) * of(f64::from(*m), f64::from(*s))).sum()
    };
    let centre = average(&|mean, _| mean);
    (centre, average(&|mean, deviation| deviation * deviation + (mean - centre).powi(2)).sqrt())
}

/// Outlines of the prior; none of coins, or in one dimension.
fn contours(material: &Material<'_>, plane: &Plane) -> Vec<Vec<(f64, f64)>> {
    let latent = material.model.latent();
    if is_binary(material) || latent == 1 {
        return Vec::new();
    }
    match &material.file.prior {
        Some(prior) => shown(prior).map(|(mean, deviation)| plane.contour(mean, deviation, CONTOURS[1])).collect(),
        None => CONTOURS.map(|at| plane.contour(&vec![0.0; latent], &vec![1.0; latent], at)).to_vec(),
    }
}

/// An axis that shows what is normal, and of the rest what is not too far.
fn axis(label: String, normal: impl Iterator<Item = f64> + Clone, all: impl Iterator<Item = f64> + Clone) -> Axis {
    let ends = |values: &mut dyn Iterator<Item = f64>| {
        values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (low, high) = ends(&mut normal.clone());
    let (least, most) = ends(&mut all.clone());
    let room = high - low;
    Axis::over(label, [least.max(low - room), most.min(high + room), low, high].into_iter())
}
