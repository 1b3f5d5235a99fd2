//! Density baselines: what a model's log-likelihood is compared with.

use anyhow::{Result, ensure};
use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

/// Most rows that the kernel density estimate keeps.
pub const KERNELS: usize = 5000;

/// A Gaussian fitted by maximum likelihood.
///
/// # Source
/// Seed text on generative models, "maximum likelihood"; the covariance is the training data's, with 1e-6 of its mean
/// diagonal added so that it can be inverted.
pub struct Gaussian {
    mean: DVector<f64>,
    cholesky: nalgebra::Cholesky<f64, nalgebra::Dyn>,
    log_normaliser: f64,
}

impl Gaussian {
    /// Fits to rows of `features` values without gaps.
    ///
    /// # Errors
    /// If there are fewer than two rows, or the covariance cannot be inverted.
    pub fn fit(rows: &[f32], features: usize) -> Result<Self> {
        let count = rows.len() / features;
        ensure!(count > 1, "a Gaussian needs at least two rows");
        let data = DMatrix::from_row_iterator(count, features, rows.iter().map(|value| f64::from(*value)));
        let mean = data.row_mean().transpose();
        let centred = DMatrix::from_fn(count, features, |row, column| data[(row, column)] - mean[column]);
        // Not a product with the transpose, whose loops depend on the CPU.
        let mut covariance = centred.tr_mul(&centred) / count as f64;
        let ridge = 1e-6 * covariance.trace() / features as f64;
        for axis in 0..features {
            covariance[(axis, axis)] += ridge;
        }
        let Some(cholesky) = covariance.cholesky() else { anyhow::bail!("the data's covariance cannot be inverted") };
        let log_determinant = 2.0 * cholesky.l().diagonal().map(libm::log).sum();
        let log_normaliser = -0.5 * (features as f64 * libm::log(std::f64::consts::TAU) + log_determinant);
        Ok(Self { mean, cholesky, log_normaliser })
    }

    /// `ln p(x)`, in nats.
    #[must_use]
    pub fn log_density(&self, x: &[f32]) -> f64 {
        let difference = DVector::from_iterator(x.len(), x.iter().map(|x| f64::from(*x))) - &self.mean;
        self.log_normaliser - 0.5 * difference.dot(&self.cholesky.solve(&difference))
    }
}

/// A kernel density estimate with one Gaussian bandwidth per feature, by Scott's rule.
///
/// # Source
/// Scott (1992), *Multivariate Density Estimation*, section 6.3: `hᵢ = σᵢ n^(−1 / (d + 4))`.
pub struct KernelDensity {
    /// Rows, in bandwidths.
    rows: Vec<f64>,
    bandwidth: Vec<f64>,
    log_normaliser: f64,
}

impl KernelDensity {
    /// Fits to rows of `features` values without gaps; of more than [`KERNELS`] rows it keeps evenly spaced ones.
    ///
    /// # Errors
    /// If there are fewer than two rows, or a feature is constant.
    pub fn fit(rows: &[f32], features: usize) -> Result<Self> {
        let all = rows.len() / features;
        ensure!(all > 1, "a kernel density estimate needs at least two rows");
        let kept: Vec<&[f32]> = rows.chunks(features).step_by(all.div_ceil(KERNELS)).collect();
        let count = kept.len() as f64;
        let bandwidth: Vec<f64> = (0..features)
            .map(|feature| {
                let values = || kept.iter().map(|row| f64::from(row[feature]));
                let mean = values().sum::<f64>() / count;
                let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
                variance.sqrt() * libm::pow(count, -1.0 / (features as f64 + 4.0))
            })
            .collect();
        ensure!(bandwidth.iter().all(|h| *h > 0.0), "a feature is constant: it has no kernel density");
        let log_normaliser = -libm::log(count)
            - bandwidth.iter().map(|h| libm::log(*h)).sum::<f64>()
            - 0.5 * features as f64 * libm::log(std::f64::consts::TAU);
        let rows = kept.iter().flat_map(|row| row.iter().zip(&bandwidth).map(|(x, h)| f64::from(*x) / h)).collect();
        Ok(Self { rows, bandwidth, log_normaliser })
    }

    /// `ln p(x)`, in nats.
    #[must_use]
    pub fn log_density(&self, x: &[f32]) -> f64 {
        let x: Vec<f64> = x.iter().zip(&self.bandwidth).map(|(x, h)| f64::from(*x) / h).collect();
        let exponents: Vec<f64> = self
            .rows
            .par_chunks(x.len())
            .map(|row| -0.5 * row.iter().zip(&x).map(|(a, b)| (a - b).powi(2)).sum::<f64>())
            .collect();
        let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.log_normaliser + largest + libm::log(exponents.iter().map(|e| libm::exp(e - largest)).sum::<f64>())
    }
}

/// Independent features, fitted by maximum likelihood: what is known of them without how they depend on each other.
pub struct Independent {
    /// Mean and variance of each; of zeros and ones, the mean alone.
    moments: Vec<(f64, Option<f64>)>,
}

impl Independent {
    /// Gaussians with at least the variances `floors`; or, where there are none, zeros and ones, each as if seen once more than it was.
    /// NaN is not observed.
    pub fn fit<'a>(windows: impl Iterator<Item = &'a [f32]>, features: usize, floors: Option<&[f32]>) -> Self {
        let mut sums = vec![(0.0, 0.0, 0.0); features];
        for window in windows {
            for ((count, sum, squares), value) in sums.iter_mut().zip(window).filter(|(_, value)| !value.is_nan()) {
                let value = f64::from(*value);
                (*count, *sum, *squares) = (*count + 1.0, *sum + value, *squares + value * value);
            }
        }
        let moments = sums.iter().enumerate().map(|(feature, (count, sum, squares))| match floors {
            Some(floors) => {
                let (count, floor) =
                    (f64::max(*count, 1.0), floors.get(feature).map_or(0.0, |floor| f64::from(*floor)));
                let mean = sum / count;
                (mean, Some((squares / count - mean * mean).max(floor)))
            }
            None => ((sum + 1.0) / (count + 2.0), None),
        });
        Self { moments: moments.collect() }
    }

    /// `ln p(x)`, in nats; features that were not observed are left out.
    #[must_use]
    pub fn log_density(&self, x: &[f32]) -> f64 {
        let features = self.moments.iter().zip(x.iter().map(|x| f64::from(*x))).filter(|(_, x)| !x.is_nan());
        let nats = features.map(|((mean, variance), x)| match variance {
            Some(variance) => -0.5 * ((x - mean).powi(2) / variance + libm::log(std::f64::consts::TAU * variance)),
            None => x * libm::log(*mean) + (1.0 - x) * libm::log(1.0 - mean),
        });
        nats.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sum of a density over a fine grid around the data: both must integrate to 1.
    fn integral(log_density: impl Fn(&[f32]) -> f64) -> f64 {
        let step = 0.05;
        let axis = || (-160..=160).map(|i| i as f32 * step);
        axis().flat_map(|a| axis().map(move |b| [a, b])).map(|x| log_density(&x).exp()).sum::<f64>()
            * f64::from(step)
            * f64::from(step)
    }

    fn rows() -> Vec<f32> {
        (0..60).flat_map(|i| [(i as f32 * 0.7).sin(), (i as f32 * 0.7).sin() + 0.5 * (i as f32 * 1.3).cos()]).collect()
    }

    #[test]
    fn densities_integrate_to_one() {
        let gaussian = Gaussian::fit(&rows(), 2).unwrap();
        let kernels = KernelDensity::fit(&rows(), 2).unwrap();
        for total in [integral(|x| gaussian.log_density(x)), integral(|x| kernels.log_density(x))] {
            assert!((total - 1.0).abs() < 2e-3, "{total}");
        }
    }

    #[test]
    fn a_gaussian_in_one_dimension_is_the_formula() {
        let gaussian = Gaussian::fit(&[1.0, 3.0, 5.0, 7.0], 1).unwrap();
        // Mean 4, variance 5 (maximum likelihood).
        let exact = -0.5 * ((6.0f64 - 4.0).powi(2) / 5.0 + (std::f64::consts::TAU * 5.0).ln());
        assert!((gaussian.log_density(&[6.0]) - exact).abs() < 1e-5);
    }

    #[test]
    fn independent_features_have_the_product_of_their_densities() {
        let rows = [[1.0f32, 5.0, 2.0], [3.0, f32::NAN, 2.0]];
        let fitted = Independent::fit(rows.iter().map(|row| &row[..]), 3, Some(&[0.1, 0.1, 0.5]));
        // N(2, 1), N(5, 0.1) and N(2, 0.5): variances below the floor are the floor's.
        let tau = std::f64::consts::TAU;
        let exact = -0.5 * (4.0 + tau.ln()) - 0.5 * (0.4 + (0.1 * tau).ln()) - 0.5 * (2.0 + (0.5 * tau).ln());
        assert!((fitted.log_density(&[4.0, 5.2, 3.0]) - exact).abs() < 1e-5);
        assert!((fitted.log_density(&[4.0, f32::NAN, f32::NAN]) + 0.5 * (4.0 + tau.ln())).abs() < 1e-6);
        let bits = [[1.0f32], [1.0], [0.0], [1.0]];
        let fitted = Independent::fit(bits.iter().map(|row| &row[..]), 1, None);
        let expected = [(1.0, (4.0f64 / 6.0).ln()), (0.0, (2.0f64 / 6.0).ln())];
        assert!(expected.iter().all(|(x, nats)| (fitted.log_density(&[*x]) - nats).abs() < 1e-12));
    }
}
