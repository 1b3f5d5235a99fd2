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
        let mut covariance = centred.transpose() * &centred / count as f64;
        let ridge = 1e-6 * covariance.trace() / features as f64;
        for axis in 0..features {
            covariance[(axis, axis)] += ridge;
        }
        let Some(cholesky) = covariance.cholesky() else { anyhow::bail!("the data's covariance cannot be inverted") };
        let log_determinant = 2.0 * cholesky.l().diagonal().map(f64::ln).sum();
        let log_normaliser = -0.5 * (features as f64 * std::f64::consts::TAU.ln() + log_determinant);
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
                variance.sqrt() * count.powf(-1.0 / (features as f64 + 4.0))
            })
            .collect();
        ensure!(bandwidth.iter().all(|h| *h > 0.0), "a feature is constant: it has no kernel density");
        let log_normaliser = -count.ln()
            - bandwidth.iter().map(|h| h.ln()).sum::<f64>()
            - 0.5 * features as f64 * std::f64::consts::TAU.ln();
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
        self.log_normaliser + largest + exponents.iter().map(|e| (e - largest).exp()).sum::<f64>().ln()
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
}
