//! The latent space, seen from its two widest directions.

use anyhow::Result;
use maud::{Markup, html};
use nalgebra::{DMatrix, SymmetricEigen};
use vae_core::format::PosteriorKind;

use super::{
    chart::{Axis, Chart, Look, Mark},
    page::{Figure, Table},
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

/// Two directions of latent space.
struct Plane {
    axes: [Vec<f64>; 2],
    labels: [String; 2],
    /// Share of the normal windows' variance that lies in the plane.
    share: f64,
}

impl Plane {
    /// The plane in which `points` vary most; of two dimensions, these.
    fn of(points: &[Vec<f32>], latent: usize) -> Self {
        let unit = |axis: usize| (0..latent).map(|i| f64::from(u8::from(i == axis))).collect();
        if latent <= 2 {
            return Self { axes: [unit(0), unit(1)], labels: [1, 2].map(|axis| format!("latent {axis}")), share: 1.0 };
        }
        let rows = points.len().max(1) as f64;
        let mean: Vec<f64> = (0..latent).map(|i| points.iter().map(|z| f64::from(z[i])).sum::<f64>() / rows).collect();
        let covariance = DMatrix::from_fn(latent, latent, |a, b| {
            points.iter().map(|z| (f64::from(z[a]) - mean[a]) * (f64::from(z[b]) - mean[b])).sum::<f64>() / rows
        });
        let total = covariance.trace().max(f64::MIN_POSITIVE);
        let eigen = SymmetricEigen::new(covariance);
        let mut order: Vec<usize> = (0..latent).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let axis = |rank: usize| {
            let vector = eigen.eigenvectors.column(order[rank]);
            // Either sign is an axis: the one with a positive sum, so that the same run gives the same picture.
            let sign = if vector.sum() < 0.0 { -1.0 } else { 1.0 };
            vector.iter().map(|value| sign * value).collect()
        };
        let shares = [0, 1].map(|rank| eigen.eigenvalues[order[rank]].max(0.0) / total);
        let labels = [("first", shares[0]), ("second", shares[1])]
            .map(|(rank, share)| format!("{rank} axis ({:.0} % of variance)", 100.0 * share));
        Self { axes: [axis(0), axis(1)], labels, share: shares[0] + shares[1] }
    }

    fn place(&self, z: &[f32]) -> (f64, f64) {
        let along = |axis: &[f64]| axis.iter().zip(z).map(|(a, z)| a * f64::from(*z)).sum();
        (along(&self.axes[0]), along(&self.axes[1]))
    }

    /// The contour of an independent Gaussian at so many standard deviations.
    fn contour(&self, mean: &[f32], deviation: &[f32], deviations: f64) -> Vec<(f64, f64)> {
        const CORNERS: usize = 48;
        let product = |a: &[f64], b: &[f64]| -> f64 {
            a.iter().zip(b).zip(deviation).map(|((a, b), s)| a * b * f64::from(*s) * f64::from(*s)).sum()
        };
        let [first, second] = &self.axes;
        // Cholesky's factor of the projected covariance.
        let l11 = product(first, first).sqrt();
        let l21 = product(first, second) / l11.max(f64::MIN_POSITIVE);
        let l22 = (product(second, second) - l21 * l21).max(0.0).sqrt();
        let (x, y) = self.place(mean);
        let corner = |index: usize| {
            let (sin, cos) = libm::sincos(std::f64::consts::TAU * index as f64 / CORNERS as f64);
            (x + deviations * l11 * cos, y + deviations * (l21 * cos + l22 * sin))
        };
        (0..CORNERS).map(corner).collect()
    }
}

/// Windows of a kind, and where their posterior means are.
struct Kind {
    look: Look,
    name: String,
    indices: Vec<usize>,
    means: Vec<Vec<f32>>,
}

/// Where the windows lie, and where the prior expects them.
pub(super) fn space(material: &Material<'_>) -> Result<Markup> {
    let (model, windows) = (&material.model, material.windows());
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
    let mut kinds = Vec::new();
    for (look, name, indices) in groups.into_iter().filter(|(.., indices)| !indices.is_empty()) {
        let chosen = material.some(&indices, MOST);
        let means = latent_means(model, &material.gather(windows, &chosen))?;
        let name = if chosen.len() < indices.len() {
            format!("{name} ({} of {})", chosen.len(), count(indices.len()))
        } else {
            format!("{name} ({})", count(indices.len()))
        };
        kinds.push(Kind { look, name, indices: chosen, means });
    }
    let latent = model.latent();
    let bernoulli = material.file.posterior == PosteriorKind::Bernoulli;
    let plane = Plane::of(kinds.first().map_or(&[], |kind| &kind.means), latent);
    let scores_of = |kind: &Kind| -> Result<Vec<f64>> {
        let scores = match &material.data {
            Some(data) => kind.indices.iter().map(|index| data.scored.scores[*index]).collect(),
            None => of_device(model, &material.gather(windows, &kind.indices))?,
        };
        Ok(scores.into_iter().map(f64::from).collect())
    };
    let scores = kinds.iter().map(scores_of).collect::<Result<Vec<_>>>()?;
    // In one dimension the score is the other.
    let place = |z: &[f32], score: f64| if latent == 1 { (f64::from(z[0]), score) } else { plane.place(z) };
    let contours = if bernoulli || latent == 1 { Vec::new() } else { contours(material, &plane) };

    let reach: Vec<(f64, f64)> = kinds
        .iter()
        .zip(&scores)
        .take(1)
        .flat_map(|(kind, scores)| kind.means.iter().zip(scores))
        .map(|(z, score)| place(z, *score))
        .chain(contours.iter().flatten().copied())
        .collect();
    let all: Vec<(f64, f64)> = kinds
        .iter()
        .zip(&scores)
        .flat_map(|(kind, scores)| kind.means.iter().zip(scores))
        .map(|(z, s)| place(z, *s))
        .collect();
    let [x_label, y_label] = plane.labels.clone();
    let y_label = if latent == 1 { "score (nats)".to_owned() } else { y_label };
    let x = axis(x_label, reach.iter().map(|point| point.0), all.iter().map(|point| point.0));
    let y = axis(y_label, reach.iter().map(|point| point.1), all.iter().map(|point| point.1));
    let mut chart = Chart::new(x, y);
    if latent == 1 && !bernoulli {
        let (mean, deviation) = moments(material.file.prior.as_ref());
        chart.zone(mean - CONTOURS[1] * deviation, mean + CONTOURS[1] * deviation);
    }
    for contour in &contours {
        chart.outline(Look::Quiet, contour.iter().copied());
    }
    let mut rows = Vec::new();
    for (kind, scores) in kinds.iter().zip(&scores) {
        let marks: Vec<Mark> = kind
            .means
            .iter()
            .zip(scores)
            .zip(&kind.indices)
            .map(|((z, score), index)| {
                let (x, y) = place(z, *score);
                let window = match &material.data {
                    Some(data) => format!("row {}", data.scored.windows.last_row[*index]),
                    None => format!("held-out window {index}"),
                };
                rows.push(vec![
                    window.clone(),
                    kind.name.split(" (").next().unwrap_or_default().to_owned(),
                    fixed(x, 3),
                    fixed(y, 3),
                    fixed(*score, 2),
                ]);
                Mark { x, y, tip: format!("{window}: {} nats", fixed(*score, 2)) }
            })
            .collect();
        chart.points(kind.look, &marks);
    }
    let prior = match (&material.file.prior, bernoulli, latent) {
        (_, true, _) => "The latent numbers are coins; drawn is the chance of each of being 1.".to_owned(),
        (_, _, 1) => "The grey zone is the prior's mean and two standard deviations.".to_owned(),
        (Some(prior), ..) => format!(
            "The grey ellipses are the prior's components, at two standard deviations ({} of {}; lighter ones are left out).",
            shown(prior).count(),
            prior.weight.len()
        ),
        (None, ..) => "The grey circles are the standard normal prior at one and two standard deviations.".to_owned(),
    };
    let share = if latent > 2 {
        format!(
            " The plane is that of the two principal axes and holds {} of the normal windows' variance in {latent} dimensions.",
            percent(plane.share)
        )
    } else {
        String::new()
    };
    let figure = Figure {
        id: "latent-plane",
        title: if latent > 2 { "Latent space, projected".to_owned() } else { "Latent space".to_owned() },
        reading: "each mark is a window, and windows that the model takes to be alike lie together; anomalies may well lie among normal \
                  windows here, as they show in the reconstruction too.",
        shows: format!(
            "{prior}{share} What is outside is drawn at the edge; of more than {MOST} windows of a kind, {MOST} are drawn at random (seed \
             {}).",
            material.seed
        ),
        legend: kinds.iter().map(|kind| (kind.look, kind.name.clone())).collect(),
        table: Table::new("Posterior means", &["window", "kind", "across", "up", "score (nats)"], rows),
    };
    Ok(html! { div class="figures" { (figure.around(|id, text| chart.draw(id, text))) } })
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

fn contours(material: &Material<'_>, plane: &Plane) -> Vec<Vec<(f64, f64)>> {
    let latent = material.model.latent();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plane_is_that_of_the_largest_variances() {
        // Along (1, 1, 0)/√2 by 3, along the third axis by 1, and not at all across.
        let points: Vec<Vec<f32>> = (0..100)
            .map(|i| {
                let (a, b) = (3.0 * (i as f32 * 0.9).sin(), (i as f32 * 2.3).cos());
                vec![a / 2f32.sqrt(), a / 2f32.sqrt(), b]
            })
            .collect();
        let plane = Plane::of(&points, 3);
        let half = 0.5f64.sqrt();
        for (axis, expected) in plane.axes.iter().zip([[half, half, 0.0], [0.0, 0.0, 1.0]]) {
            assert!(axis.iter().zip(expected).all(|(a, b)| (a.abs() - b).abs() < 0.05), "{axis:?}");
        }
        assert!((plane.share - 1.0).abs() < 1e-6);
    }

    #[test]
    fn contours_are_ellipses_of_the_projected_gaussian() {
        let plane =
            Plane { axes: [vec![0.6, 0.8], vec![-0.8, 0.6]], labels: [String::new(), String::new()], share: 1.0 };
        // Each corner is at Mahalanobis distance 2: turned back, (u/3)² + (v/0.5)² = 4.
        for (x, y) in plane.contour(&[1.0, 2.0], &[3.0, 0.5], 2.0) {
            let (x, y) = (x - (0.6 + 1.6), y - (-0.8 + 1.2));
            let (u, v) = (0.6 * x - 0.8 * y, 0.8 * x + 0.6 * y);
            assert!(((u / 3.0).powi(2) + (v / 0.5).powi(2) - 4.0).abs() < 1e-9);
        }
    }
}
