//! Expectation and maximisation.

use nalgebra::DMatrix;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::component::{Component, NEGLIGIBLE, log_densities, triangle, triangle_len};
use crate::statistics::k_means::k_means;

/// Most rounds of clustering before the first step.
const ROUNDS: usize = 10;
/// Most steps of expectation and maximisation.
const STEPS: usize = 60;
/// Gain of the mean log-density, in nats, below which there are no further steps.
const GAIN: f64 = 1e-4;
/// Rows that one task adds up. The tasks' sums are added in order, so that the bits do not depend on how many cores there are.
pub(super) const TASK: usize = 1024;

/// Weighted sums of rows around a centre: the weights; the differences; the lower triangle of their products.
#[derive(Clone)]
pub(super) struct Sums {
    weight: f64,
    first: Vec<f64>,
    second: Vec<f64>,
}

impl Sums {
    fn new(features: usize) -> Self {
        Self { weight: 0.0, first: vec![0.0; features], second: vec![0.0; triangle_len(features)] }
    }

    /// Adds a row; `difference` is overwritten.
    fn add(&mut self, weight: f64, row: &[f64], centre: &[f64], difference: &mut [f64]) {
        self.weight += weight;
        let mut second = &mut self.second[..];
        for i in 0..row.len() {
            difference[i] = row[i] - centre[i];
            let weighted = weight * difference[i];
            self.first[i] += weighted;
            let (sums, after) = std::mem::take(&mut second).split_at_mut(i + 1);
            sums.iter_mut().zip(&*difference).for_each(|(sum, other)| *sum += weighted * other);
            second = after;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.weight += other.weight;
        self.first.iter_mut().zip(&other.first).for_each(|(sum, other)| *sum += other);
        self.second.iter_mut().zip(&other.second).for_each(|(sum, other)| *sum += other);
    }

    /// Number of values in a row.
    pub(super) fn features(&self) -> usize {
        self.first.len()
    }

    /// The Gaussian with these moments, and the weight that is its share of `total`.
    fn component(&self, centre: &[f64], total: f64, ridge: f64) -> Option<Component> {
        let features = centre.len();
        let shift: Vec<f64> = self.first.iter().map(|sum| sum / self.weight).collect();
        let mut covariance = DMatrix::from_diagonal_element(features, features, ridge);
        for (i, row) in triangle(&self.second).enumerate() {
            for (j, sum) in row.iter().enumerate() {
                covariance[(i, j)] += sum / self.weight - shift[i] * shift[j];
                covariance[(j, i)] = covariance[(i, j)];
            }
        }
        let mean = centre.iter().zip(&shift).map(|(centre, shift)| centre + shift).collect();
        Component::new(self.weight / total, mean, covariance)
    }
}

/// Sums of the rows of each cluster.
pub(super) fn start(rows: &[f64], features: usize, number: usize, seed: u64) -> Vec<Sums> {
    let mut sums = vec![Sums::new(features); number];
    let (origin, mut difference) = (vec![0.0; features], vec![0.0; features]);
    let clusters = k_means(rows, features, number, ROUNDS, &mut ChaCha8Rng::seed_from_u64(seed));
    for (row, cluster) in rows.chunks_exact(features).zip(clusters) {
        sums[cluster].add(1.0, row, &origin, &mut difference);
    }
    sums
}

/// The mean log-density of rows, and sums over them, by responsibility, around each component's mean.
fn expectation(components: &[Component], rows: &[f64], features: usize) -> (f64, Vec<Sums>) {
    let none = || (0.0, vec![Sums::new(features); components.len()]);
    let tasks = rows.par_chunks(TASK * features).map(|rows| {
        let (mut density, mut sums) = none();
        let (mut logarithms, mut difference) = (vec![0.0; components.len()], vec![0.0; features]);
        for row in rows.chunks_exact(features) {
            let log_density = log_densities(components, row, &mut logarithms);
            density += log_density;
            for ((sums, component), logarithm) in sums.iter_mut().zip(components).zip(&logarithms) {
                if *logarithm > log_density - NEGLIGIBLE {
                    sums.add(libm::exp(logarithm - log_density), row, &component.mean, &mut difference);
                }
            }
        }
        (density, sums)
    });
    let (density, sums) = tasks.collect::<Vec<_>>().iter().fold(none(), |(density, mut sums), (more, others)| {
        sums.iter_mut().zip(others).for_each(|(sums, others)| sums.merge(others));
        (density + more, sums)
    });
    (density / (rows.len() / features) as f64, sums)
}

/// The components that these sums make likeliest, those of too few rows left out.
fn maximisation<'a>(centres: impl Iterator<Item = &'a [f64]>, sums: &[Sums], ridge: f64) -> Vec<Component> {
    let rows: f64 = sums.iter().map(|sums| sums.weight).sum();
    let least = |centre: &[f64]| (least_rows(centre.len()) as f64).min(rows / sums.len() as f64);
    // Compared with a little less, for a single component has all rows but for rounding.
    let kept: Vec<_> = centres.zip(sums).filter(|(centre, sums)| sums.weight >= 0.999 * least(centre)).collect();
    let total: f64 = kept.iter().map(|(_, sums)| sums.weight).sum();
    kept.iter().filter_map(|(centre, sums)| sums.component(centre, total, ridge)).collect()
}

/// Fewest rows that a component is kept for.
pub(super) fn least_rows(features: usize) -> usize {
    5 + 2 * features
}

/// Steps of expectation and maximisation until they gain little.
pub(super) fn steps(rows: &[f64], start: &[Sums], ridge: f64) -> Option<Vec<Component>> {
    let features = start.first()?.features();
    let origin = vec![0.0; features];
    let mut components = maximisation(start.iter().map(|_| &origin[..]), start, ridge);
    let mut before = f64::NEG_INFINITY;
    for _ in 0..STEPS {
        let (density, sums) = expectation(&components, rows, features);
        if density.is_nan() || density - before < GAIN {
            break;
        }
        before = density;
        components = maximisation(components.iter().map(|component| &component.mean[..]), &sums, ridge);
    }
    (!components.is_empty()).then_some(components)
}

#[cfg(test)]
mod tests {
    use vae_core::standard_normal;

    use super::*;

    /// Two places that overlap, one of them narrow, in two dimensions.
    fn rows(count: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let row = |i: usize| {
            let [a, b] = std::array::from_fn(|_| f64::from(standard_normal(&mut rng)));
            if i.is_multiple_of(3) { [2.0 + 0.3 * a, 0.2 * a + 0.1 * b] } else { [a, a + b] }
        };
        (0..count).flat_map(row).collect()
    }

    #[test]
    fn no_step_makes_the_rows_less_likely() {
        let (rows, ridge) = (rows(900), 1e-9);
        let sums = start(&rows, 2, 4, 5);
        let mut components = maximisation([[0.0; 2]; 4].iter().map(|origin| &origin[..]), &sums, ridge);
        assert_eq!(components.len(), 4);
        let mut before = f64::NEG_INFINITY;
        for _ in 0..30 {
            let (density, sums) = expectation(&components, &rows, 2);
            // The weights of each row's components are 1 together, and their first moments those of all rows.
            assert!((sums.iter().map(|sums| sums.weight).sum::<f64>() - 900.0).abs() < 1e-6);
            assert!(density > before - 1e-7, "{density} after {before}");
            before = density;
            components = maximisation(components.iter().map(|component| &component.mean[..]), &sums, ridge);
            let weights = components.iter().map(|component| {
                let normaliser: f64 = component.rows().map(|row| row[row.len() - 1].ln()).sum();
                (component.constant - normaliser + std::f64::consts::TAU.ln()).exp()
            });
            let weights: Vec<f64> = weights.collect();
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let mean: f64 = weights.iter().zip(&components).map(|(weight, component)| weight * component.mean[0]).sum();
            assert!((mean - rows.iter().step_by(2).sum::<f64>() / 900.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_component_of_a_handful_of_rows_is_dropped() {
        // Six rows far away, and 9 = 5 + 2 · 2 are the fewest.
        let mut rows = rows(300);
        rows.extend((0..6).flat_map(|i| [100.0 + f64::from(i), 50.0 - f64::from(i * i)]));
        let sums = start(&rows, 2, 2, 3);
        assert_eq!(sums.iter().map(|sums| sums.weight).fold(f64::INFINITY, f64::min), 6.0);
        let components = steps(&rows, &sums, 1e-6).unwrap();
        assert_eq!(components.len(), 1);
        // What is left has all rows.
        assert!((components[0].mean[0] - rows.iter().step_by(2).sum::<f64>() / 306.0).abs() < 1e-9);
    }
}
