//! Kernel density estimates: densities without a family, by what was observed alone.

use anyhow::{Result, ensure};
use rayon::prelude::*;

/// Most rows that the kernel density estimate keeps.
pub const KERNELS: usize = 5000;

/// Most rows that a bandwidth is judged by.
const JUDGES: usize = 500;

/// Bandwidths that are tried, of Scott's: from a hundredth to ten times of it.
const LEAST: f64 = 0.01;
const LARGEST: f64 = 10.0;
const TRIED: i32 = 21;

/// How wide the kernels are. In standard deviations of each feature, so that units do not matter: `hᵢ = h σᵢ`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bandwidth {
    /// `h = n^(−1 / (d + 4))` for n rows of d features: right where the density is a Gaussian's, too wide where it has several peaks.
    ///
    /// # Source
    /// Scott (1992), *Multivariate Density Estimation*, section 6.3.
    Scott,
    /// The h by which each row is likeliest given the others: `max Σᵢ ln (1 / (n − 1)) Σⱼ K((xᵢ − xⱼ) / h) / h^d`, within a hundredth and ten times
    /// of Scott's, to a hundredth of itself. A row's copies are left out with it, for with them the likelihood rises without limit as h falls to 0; rows that are nearly
    /// copies, as neighbours in a slow series are, make h too small.
    ///
    /// # Source
    /// Habbema, Hermans & van den Broek (1974), *A stepwise discriminant analysis program using density estimation*; Duin (1976), *On the choice of
    /// smoothing parameters for Parzen estimators of probability density functions*.
    LeaveOneOut,
    /// This h.
    Given(f64),
}

/// A kernel density estimate `p(x) = 1 / (n h^d) Σ K((x − xᵢ) / h)` with Gaussian kernels K, of features in their standard deviations.
///
/// # Source
/// Seed text on variational autoencoders, definition 1.0.2; Parzen (1962), *On estimation of a probability density function and mode*.
pub struct KernelDensity {
    /// Rows, in bandwidths.
    rows: Vec<f64>,
    /// Of each feature, in its unit.
    bandwidths: Vec<f64>,
    /// In standard deviations.
    bandwidth: f64,
    log_normaliser: f64,
}

impl KernelDensity {
    /// Fits to rows of `features` values without gaps, by [`Bandwidth::Scott`].
    ///
    /// # Errors
    /// As [`Self::with`].
    pub fn fit(rows: &[f32], features: usize) -> Result<Self> {
        Self::with(rows, features, Bandwidth::Scott)
    }

    /// Fits to rows of `features` values without gaps; of more than [`KERNELS`] rows it keeps evenly spaced ones.
    ///
    /// # Errors
    /// If there are fewer than two rows, a feature is constant, or a bandwidth is given that is not above 0.
    pub fn with(rows: &[f32], features: usize, bandwidth: Bandwidth) -> Result<Self> {
        let all = rows.len() / features;
        ensure!(all > 1, "a kernel density estimate needs at least two rows");
        let kept: Vec<&[f32]> = rows.chunks(features).step_by(all.div_ceil(KERNELS)).collect();
        let count = kept.len() as f64;
        let deviations: Vec<f64> = (0..features)
            .map(|feature| {
                let values = || kept.iter().map(|row| f64::from(row[feature]));
                let mean = values().sum::<f64>() / count;
                (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
            })
            .collect();
        ensure!(deviations.iter().all(|s| *s > 0.0), "a feature is constant: it has no kernel density");
        let in_units = |units: &[f64]| -> Vec<f64> {
            kept.iter().flat_map(|row| row.iter().zip(units).map(|(x, unit)| f64::from(*x) / unit)).collect()
        };
        let scott = libm::pow(count, -1.0 / (features as f64 + 4.0));
        let bandwidth = match bandwidth {
            Bandwidth::Scott => scott,
            Bandwidth::LeaveOneOut => LeftOut::of(&in_units(&deviations), features).likeliest(scott),
            Bandwidth::Given(h) => h,
        };
        ensure!(bandwidth > 0.0 && bandwidth.is_finite(), "bandwidth {bandwidth}: give a number above 0");
        let bandwidths: Vec<f64> = deviations.iter().map(|deviation| deviation * bandwidth).collect();
        let log_normaliser = -libm::log(count)
            - bandwidths.iter().map(|h| libm::log(*h)).sum::<f64>()
            - 0.5 * features as f64 * libm::log(std::f64::consts::TAU);
        Ok(Self { rows: in_units(&bandwidths), bandwidths, bandwidth, log_normaliser })
    }

    /// The bandwidth, in standard deviations of each feature.
    #[must_use]
    pub fn bandwidth(&self) -> f64 {
        self.bandwidth
    }

    /// `ln p(x)`, in nats.
    #[must_use]
    pub fn log_density(&self, x: &[f32]) -> f64 {
        let x: Vec<f64> = x.iter().zip(&self.bandwidths).map(|(x, h)| f64::from(*x) / h).collect();
        let exponents: Vec<f64> = self.rows.par_chunks(x.len()).map(|row| -0.5 * squared_distance(row, &x)).collect();
        self.log_normaliser + log_sum_exp(&exponents)
    }
}

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

fn log_sum_exp(exponents: &[f64]) -> f64 {
    let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + libm::log(exponents.iter().map(|e| libm::exp(e - largest)).sum::<f64>())
}

/// Squared distances of some rows from all others, without their copies.
struct LeftOut {
    features: f64,
    squares: Vec<Vec<f64>>,
}

impl LeftOut {
    /// Of rows in standard deviations, at most [`JUDGES`] of them, evenly spaced.
    fn of(rows: &[f64], features: usize) -> Self {
        let step = (rows.len() / features).div_ceil(JUDGES);
        let judges: Vec<&[f64]> = rows.chunks(features).step_by(step).collect();
        let others = |judge: &&[f64]| -> Vec<f64> {
            rows.chunks(features).map(|row| squared_distance(row, judge)).filter(|square| *square > 0.0).collect()
        };
        Self { features: features as f64, squares: judges.par_iter().map(others).collect() }
    }

    /// The mean log-likelihood of a row given the others, but for what does not depend on h.
    fn log_likelihood(&self, h: f64) -> f64 {
        let each = self
            .squares
            .par_iter()
            .map(|squares| log_sum_exp(&squares.iter().map(|square| -0.5 * square / (h * h)).collect::<Vec<_>>()));
        // Added in one order, whatever the threads.
        let nats: Vec<f64> = each.collect();
        nats.iter().sum::<f64>() / nats.len() as f64 - self.features * libm::log(h)
    }

    /// The bandwidth of the greatest likelihood: the best of a grid, for there may be several peaks, and then a golden-section search about it.
    fn likeliest(&self, scott: f64) -> f64 {
        let step = libm::log(LARGEST / LEAST) / f64::from(TRIED - 1);
        let nats = |log_h: f64| self.log_likelihood(libm::exp(log_h));
        let tried = (0..TRIED).map(|index| libm::log(scott * LEAST) + step * f64::from(index));
        let (best, _) = tried
            .map(|log_h| (log_h, nats(log_h)))
            .fold((f64::NAN, f64::NEG_INFINITY), |best, tried| if tried.1 > best.1 { tried } else { best });
        let golden = 0.5 * (5f64.sqrt() - 1.0);
        let (mut low, mut high) = (best - step, best + step);
        let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
        let (mut at_left, mut at_right) = (nats(left), nats(right));
        while high - low > 0.01 {
            if at_left > at_right {
                (high, right, at_right) = (right, left, at_left);
                left = high - golden * (high - low);
                at_left = nats(left);
            } else {
                (low, left, at_left) = (left, right, at_right);
                right = low + golden * (high - low);
                at_right = nats(right);
            }
        }
        libm::exp(0.5 * (low + high))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;

    fn normals(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| standard_normal(&mut rng)).collect()
    }

    /// `ln (1 / n) Σ Π N(xᵢ; rowᵢ, (h σᵢ)²)` from the definition.
    fn defined<'a>(rows: impl Iterator<Item = &'a [f32]>, deviations: &[f64], h: f64, x: &[f32]) -> f64 {
        let densities: Vec<f64> = rows
            .map(|row| {
                let kernels = row.iter().zip(x).zip(deviations).map(|((row, x), deviation)| {
                    let width = h * deviation;
                    (-0.5 * ((f64::from(*x) - f64::from(*row)) / width).powi(2)).exp()
                        / (std::f64::consts::TAU.sqrt() * width)
                });
                kernels.product::<f64>()
            })
            .collect();
        (densities.iter().sum::<f64>() / densities.len() as f64).ln()
    }

    fn deviations(rows: &[f32], features: usize) -> Vec<f64> {
        let count = (rows.len() / features) as f64;
        (0..features)
            .map(|feature| {
                let values = || rows.iter().skip(feature).step_by(features).map(|x| f64::from(*x));
                let mean = values().sum::<f64>() / count;
                (values().map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt()
            })
            .collect()
    }

    #[test]
    fn the_density_is_that_of_the_definition_whatever_the_bandwidth() {
        let mut rows = normals(120, 1);
        rows.iter_mut().skip(1).step_by(3).for_each(|x| *x = 100.0 + 40.0 * *x);
        let deviations = deviations(&rows, 3);
        let scott = 40f64.powf(-1.0 / 7.0);
        let cases = [Bandwidth::Scott, Bandwidth::Given(0.3), Bandwidth::Given(2.0), Bandwidth::LeaveOneOut];
        for (bandwidth, expected) in cases.into_iter().zip([Some(scott), Some(0.3), Some(2.0), None]) {
            let found = KernelDensity::with(&rows, 3, bandwidth).unwrap();
            let h = expected.unwrap_or(found.bandwidth());
            assert!((found.bandwidth() - h).abs() < 1e-12);
            for x in [[0.3, 120.0, -0.4], [2.0, 60.0, 1.5]] {
                let exact = defined(rows.chunks(3), &deviations, h, &x);
                assert!((found.log_density(&x) - exact).abs() < 1e-9, "{bandwidth:?}: {exact}");
            }
        }
        // The seed text's formula, with K = N(0, I): two rows of unit variance, h = ½, at the origin.
        let found = KernelDensity::with(&[1.0, -1.0, -1.0, 1.0], 2, Bandwidth::Given(0.5)).unwrap();
        let kernel = (-0.5f64 * (4.0 + 4.0)).exp() / std::f64::consts::TAU;
        let exact = (1.0 / (2.0 * 0.5f64.powi(2)) * 2.0 * kernel).ln();
        assert!((found.log_density(&[0.0, 0.0]) - exact).abs() < 1e-12);
        for h in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(KernelDensity::with(&rows, 3, Bandwidth::Given(h)).is_err());
        }
    }

    #[test]
    fn of_two_rows_each_is_likeliest_by_their_distance_over_the_root_of_the_features() {
        // −d ln h − D² / 2 h², of rows that are D = 2 √d standard deviations apart, is greatest at h = D / √d = 2.
        for features in [1, 4] {
            let rows = [vec![3.0f32; features], vec![-5.0; features]].concat();
            let found = KernelDensity::with(&rows, features, Bandwidth::LeaveOneOut).unwrap().bandwidth();
            assert!((found - 2.0).abs() < 0.02, "{found}");
        }
    }

    #[test]
    fn no_other_bandwidth_makes_the_rows_likelier_given_the_others() {
        // Two narrow clusters, far apart: a Gaussian's bandwidth is much too wide.
        let mut rows = normals(120, 2);
        rows.iter_mut().enumerate().for_each(|(i, x)| *x = 0.2 * *x + if i / 2 % 2 == 0 { 5.0 } else { -5.0 });
        let deviations = deviations(&rows, 2);
        let left_out = |h: f64| -> f64 {
            let others = |left: usize| rows.chunks(2).enumerate().filter(move |(i, _)| *i != left).map(|(_, row)| row);
            rows.chunks(2).enumerate().map(|(i, x)| defined(others(i), &deviations, h, x)).sum::<f64>() / 60.0
        };
        let found = KernelDensity::with(&rows, 2, Bandwidth::LeaveOneOut).unwrap();
        let best = left_out(found.bandwidth());
        for index in 0..300 {
            let h = 0.003 * 1.02f64.powi(index);
            // Within a hundredth of the optimum the likelihood is flat to some 1e-4.
            assert!(left_out(h) < best + 1e-3, "{h} is better than {}", found.bandwidth());
        }
        // And rows that it has not seen are likelier, too.
        let scott = KernelDensity::fit(&rows, 2).unwrap();
        let mean = |density: &KernelDensity| {
            let mut fresh = normals(200, 3);
            fresh.iter_mut().enumerate().for_each(|(i, x)| *x = 0.2 * *x + if i / 2 % 2 == 0 { 5.0 } else { -5.0 });
            fresh.chunks(2).map(|x| density.log_density(x)).sum::<f64>() / 100.0
        };
        assert!(mean(&found) > mean(&scott) + 0.5, "{} {}", mean(&found), mean(&scott));
        assert!(found.bandwidth() < 0.2 * scott.bandwidth());
    }

    #[test]
    fn copies_do_not_narrow_the_bandwidth_to_nothing() {
        let rows = normals(100, 4);
        let twice: Vec<f32> = rows.iter().chain(&rows).copied().collect();
        let [once, twice] =
            [&rows, &twice].map(|rows| KernelDensity::with(rows, 1, Bandwidth::LeaveOneOut).unwrap().bandwidth());
        assert!((twice / once - 1.0).abs() < 0.05, "{twice} for {once}");
    }
}
