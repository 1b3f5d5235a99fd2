//! Detectors that the models are compared with. Each fits rows of `features` standardised values and scores others: the
//! higher, the more anomalous.

use anyhow::{Result, bail};
use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vae_train::statistics::density::Gaussian;

/// Most training rows that [`nearest_neighbours`] and [`gaussian_mixture`] keep, evenly spaced.
const ROWS: usize = 20_000;
/// Most features of [`gaussian_mixture`], whose cost grows with their square.
pub const MIXTURE_FEATURES: usize = 200;
/// Neighbours of [`nearest_neighbours`], as in PyOD.
const NEIGHBOURS: usize = 5;
/// Components of [`gaussian_mixture`].
const COMPONENTS: usize = 8;
/// Added to the mixture's variances, so that a component on few rows keeps a volume.
const RIDGE: f64 = 1e-3;
/// Steps of expectation–maximisation.
const STEPS: usize = 50;

/// Distance to a Gaussian with full covariance, as its negative log-density.
///
/// # Errors
/// If the covariance cannot be inverted.
pub fn mahalanobis(train: &[f32], test: &[f32], features: usize) -> Result<Vec<f64>> {
    let gaussian = Gaussian::fit(train, features)?;
    Ok(test.chunks_exact(features).map(|x| -gaussian.log_density(x)).collect())
}

/// At most [`ROWS`] of some rows.
fn kept(rows: &[f32], features: usize) -> Vec<&[f32]> {
    let step = (rows.len() / features).div_ceil(ROWS).max(1);
    rows.chunks_exact(features).step_by(step).collect()
}

/// Distance to the fifth nearest training row (Ramaswamy, Rastogi & Shim 2000).
#[must_use]
pub fn nearest_neighbours(train: &[f32], test: &[f32], features: usize) -> Vec<f64> {
    let train = kept(train, features);
    let distance = |x: &[f32]| {
        let mut nearest = [f32::INFINITY; NEIGHBOURS];
        for row in &train {
            let squared: f32 = row.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum();
            if squared < nearest[NEIGHBOURS - 1] {
                nearest[NEIGHBOURS - 1] = squared;
                nearest.sort_by(f32::total_cmp);
            }
        }
        f64::from(nearest[NEIGHBOURS - 1])
    };
    test.par_chunks_exact(features).map(distance).collect()
}

/// Negative log-density under a mixture of Gaussians with full covariances, fitted by expectation–maximisation from
/// randomly chosen rows.
///
/// # Errors
/// If a component's covariance cannot be inverted.
pub fn gaussian_mixture(train: &[f32], test: &[f32], features: usize, seed: u64) -> Result<Vec<f64>> {
    let rows: Vec<DVector<f64>> = kept(train, features).into_iter().map(vector).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut components = Vec::new();
    for _ in 0..COMPONENTS {
        let mean = rows[rng.random_range(0..rows.len())].clone();
        components.push(Component::new(1.0 / COMPONENTS as f64, mean, DMatrix::identity(features, features))?);
    }
    for _ in 0..STEPS {
        let shares: Vec<Vec<f64>> = rows.par_iter().map(|x| responsibilities(&components, x).1).collect();
        for (index, component) in components.iter_mut().enumerate() {
            let total: f64 = shares.iter().map(|share| share[index]).sum::<f64>().max(1e-9);
            let weighted = || rows.iter().zip(&shares).map(|(x, share)| (x, share[index]));
            let mean = weighted().fold(DVector::zeros(features), |sum, (x, share)| sum + x * share) / total;
            let mut covariance = DMatrix::identity(features, features) * RIDGE;
            for (x, share) in weighted().filter(|(_, share)| *share > 1e-9) {
                let difference = x - &mean;
                covariance.ger(share / total, &difference, &difference, 1.0);
            }
            *component = Component::new(total / rows.len() as f64, mean, covariance)?;
        }
    }
    Ok(test.par_chunks_exact(features).map(|x| -responsibilities(&components, &vector(x)).0).collect())
}

fn vector(row: &[f32]) -> DVector<f64> {
    DVector::from_iterator(row.len(), row.iter().map(|v| f64::from(*v)))
}

struct Component {
    /// Log of weight and normaliser.
    log_weight: f64,
    mean: DVector<f64>,
    cholesky: Cholesky<f64, Dyn>,
}

impl Component {
    fn new(weight: f64, mean: DVector<f64>, covariance: DMatrix<f64>) -> Result<Self> {
        let Some(cholesky) = covariance.cholesky() else { bail!("a component's covariance cannot be inverted") };
        let log_determinant: f64 = cholesky.l_dirty().diagonal().iter().map(|v| 2.0 * v.ln()).sum();
        let log_normaliser = -0.5 * (mean.len() as f64 * std::f64::consts::TAU.ln() + log_determinant);
        Ok(Self { log_weight: weight.ln() + log_normaliser, mean, cholesky })
    }
}

/// The log-density of `x` and each component's share of it.
fn responsibilities(components: &[Component], x: &DVector<f64>) -> (f64, Vec<f64>) {
    let logs: Vec<f64> = components
        .iter()
        .map(|component| {
            let mut whitened = x - &component.mean;
            component.cholesky.l_dirty().solve_lower_triangular_mut(&mut whitened);
            component.log_weight - 0.5 * whitened.norm_squared()
        })
        .collect();
    let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = largest + logs.iter().map(|log| (log - largest).exp()).sum::<f64>().ln();
    (total, logs.iter().map(|log| (log - total).exp()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tight clusters, on the diagonal; the point between them is far from both, but near the overall mean.
    fn clusters() -> Vec<f32> {
        (0..200)
            .flat_map(|i| {
                let centre = if i % 2 == 0 { -3.0 } else { 3.0 };
                [centre + 0.3 * (i as f32 * 0.7).sin(), centre + 0.3 * (i as f32 * 1.3).cos()]
            })
            .collect()
    }

    #[test]
    fn local_detectors_see_the_gap_between_two_clusters_and_the_global_one_does_not() {
        let test = [0.0, 0.0, 3.0, 3.0];
        let neighbours = nearest_neighbours(&clusters(), &test, 2);
        assert!(neighbours[0] > 10.0 && neighbours[1] < 0.1, "{neighbours:?}");
        let mixture = gaussian_mixture(&clusters(), &test, 2, 0).unwrap();
        assert!(mixture[0] > mixture[1] + 10.0, "{mixture:?}");
        let global = mahalanobis(&clusters(), &test, 2).unwrap();
        assert!(global[0] < global[1], "{global:?}");
    }

    #[test]
    fn the_fifth_neighbour_counts() {
        let train = [0.0, 1.0, 2.0, 3.0, 4.0, 50.0];
        assert_eq!(nearest_neighbours(&train, &[0.0, 50.0], 1), [16.0, 49.0 * 49.0]);
    }

    #[test]
    fn a_mixture_of_one_cluster_is_close_to_its_gaussian() {
        // Box–Muller on a lattice: a round Gaussian.
        let rows: Vec<f32> = (0..2000)
            .flat_map(|i| {
                let (u, v) = ((i as f32 + 0.5) / 2000.0, (i as f32 * 0.618_034).fract());
                let radius = (-2.0 * u.ln()).sqrt();
                [radius * (v * std::f32::consts::TAU).cos(), radius * (v * std::f32::consts::TAU).sin()]
            })
            .collect();
        let test = [0.0, 0.0, 1.5, 0.0, 0.0, -2.0];
        let exact = mahalanobis(&rows, &test, 2).unwrap();
        for (found, exact) in gaussian_mixture(&rows, &test, 2, 1).unwrap().iter().zip(exact) {
            // Eight components follow 2000 rows' own unevenness.
            assert!((found - exact).abs() < 0.3, "{found} for {exact}");
        }
    }
}
