//! Density baselines with parameters: what a model's log-likelihood is compared with.

use anyhow::{Result, ensure};
use nalgebra::{DMatrix, DVector};
use vae_core::format::FeatureFamily;

/// A Gaussian fitted by maximum likelihood.
///
/// # Source
/// Seed text on variational autoencoders, definition 1.0.2, and on generative models, "maximum likelihood"; the covariance is the training
/// data's, with 1e-6 of its mean diagonal added so that it can be inverted.
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

/// Independent features, fitted by maximum likelihood: what is known of them without how they depend on each other.
pub struct Independent {
    features: Vec<Marginal>,
}

/// What is known of one feature by itself.
enum Marginal {
    /// Mean and variance.
    Gaussian(f64, f64),
    /// The chance of a 1.
    Bernoulli(f64),
    /// The chance of this category among those of its column.
    Category(f64),
}

impl Independent {
    /// Gaussians with at least the variances `floors`; or, where there are none, zeros and ones, each as if seen once more than it was.
    /// NaN is not observed. Where features have `families`, each is what its own says.
    pub fn fit<'a>(
        windows: impl Iterator<Item = &'a [f32]>,
        features: usize,
        floors: Option<&[f32]>,
        families: &[FeatureFamily],
    ) -> Self {
        let mut sums = vec![(0.0, 0.0, 0.0); features];
        for window in windows {
            for ((count, sum, squares), value) in sums.iter_mut().zip(window).filter(|(_, value)| !value.is_nan()) {
                let value = f64::from(*value);
                (*count, *sum, *squares) = (*count + 1.0, *sum + value, *squares + value * value);
            }
        }
        let usual = if floors.is_some() { FeatureFamily::Gaussian } else { FeatureFamily::Bernoulli };
        let families: Vec<FeatureFamily> = (0..features).map(|at| families.get(at).copied().unwrap_or(usual)).collect();
        let columns = families.chunk_by(|_, next| *next == FeatureFamily::NextCategory);
        let categories = columns.flat_map(|column| vec![column.len() as f64; column.len()]);
        let marginal = |(((count, sum, squares), feature), categories): ((&(f64, f64, f64), usize), f64)| match families
            [feature]
        {
            FeatureFamily::Gaussian => {
                let floor = floors.and_then(|floors| floors.get(feature)).map_or(0.0, |floor| f64::from(*floor));
                let count = f64::max(*count, 1.0);
                let mean = sum / count;
                Marginal::Gaussian(mean, (squares / count - mean * mean).max(floor))
            }
            FeatureFamily::Bernoulli => Marginal::Bernoulli((sum + 1.0) / (count + 2.0)),
            FeatureFamily::FirstCategory { .. } | FeatureFamily::NextCategory => {
                Marginal::Category((sum + 1.0) / (count + categories))
            }
        };
        Self { features: sums.iter().zip(0..).zip(categories).map(marginal).collect() }
    }

    /// `ln p(x)`, in nats; features that were not observed are left out.
    #[must_use]
    pub fn log_density(&self, x: &[f32]) -> f64 {
        let features = self.features.iter().zip(x.iter().map(|x| f64::from(*x))).filter(|(_, x)| !x.is_nan());
        let nats = features.map(|(marginal, x)| match marginal {
            Marginal::Gaussian(mean, variance) => {
                -0.5 * ((x - mean).powi(2) / variance + libm::log(std::f64::consts::TAU * variance))
            }
            Marginal::Bernoulli(chance) => x * libm::log(*chance) + (1.0 - x) * libm::log(1.0 - chance),
            Marginal::Category(chance) => x * libm::log(*chance),
        });
        nats.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::kernel_density::KernelDensity;

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
    fn no_gaussian_makes_the_rows_likelier() {
        let rows = rows();
        let total = |gaussian: &Gaussian| rows.chunks(2).map(|x| gaussian.log_density(x)).sum::<f64>();
        let greatest = total(&Gaussian::fit(&rows, 2).unwrap());
        // −n/2 (d ln 2π + ln |S| + d), with the covariance S from sums of squares and products.
        let mean = |of: &dyn Fn(f64, f64) -> f64| {
            rows.chunks(2).map(|x| of(f64::from(x[0]), f64::from(x[1]))).sum::<f64>() / 60.0
        };
        let (a, b) = (mean(&|a, _| a), mean(&|_, b| b));
        let variances = (mean(&|x, _| x * x) - a * a) * (mean(&|_, y| y * y) - b * b);
        let determinant = variances - (mean(&|x, y| x * y) - a * b).powi(2);
        let exact = -30.0 * (2.0 * std::f64::consts::TAU.ln() + determinant.ln() + 2.0);
        // What is added to the covariance, a millionth, costs its square to first order.
        assert!((greatest - exact).abs() < 1e-6, "{greatest} for {exact}");
        // Gaussians about it: wider, narrower, beside it, turned.
        let changes: [&dyn Fn(f32, f32) -> [f32; 2]; 5] = [
            &|x, y| [1.05 * x, 1.05 * y],
            &|x, y| [0.95 * x, y],
            &|x, y| [x + 0.05, y],
            &|x, y| [x, y - 0.05],
            &|x, y| [x + 0.05 * y, y - 0.05 * x],
        ];
        for change in changes {
            let moved: Vec<f32> = rows.chunks(2).flat_map(|x| change(x[0], x[1])).collect();
            assert!(total(&Gaussian::fit(&moved, 2).unwrap()) < greatest - 0.01);
        }
    }

    #[test]
    fn independent_features_have_the_product_of_their_densities() {
        let rows = [[1.0f32, 5.0, 2.0], [3.0, f32::NAN, 2.0]];
        let fitted = Independent::fit(rows.iter().map(|row| &row[..]), 3, Some(&[0.1, 0.1, 0.5]), &[]);
        // N(2, 1), N(5, 0.1) and N(2, 0.5): variances below the floor are the floor's.
        let tau = std::f64::consts::TAU;
        let exact = -0.5 * (4.0 + tau.ln()) - 0.5 * (0.4 + (0.1 * tau).ln()) - 0.5 * (2.0 + (0.5 * tau).ln());
        assert!((fitted.log_density(&[4.0, 5.2, 3.0]) - exact).abs() < 1e-5);
        assert!((fitted.log_density(&[4.0, f32::NAN, f32::NAN]) + 0.5 * (4.0 + tau.ln())).abs() < 1e-6);
        let bits = [[1.0f32], [1.0], [0.0], [1.0]];
        let fitted = Independent::fit(bits.iter().map(|row| &row[..]), 1, None, &[]);
        let expected = [(1.0, (4.0f64 / 6.0).ln()), (0.0, (2.0f64 / 6.0).ln())];
        assert!(expected.iter().all(|(x, nats)| (fitted.log_density(&[*x]) - nats).abs() < 1e-12));
        // Of each of two categories as many as were seen and one more, and a number beside.
        let rows = [[1.0f32, 0.0, 5.0], [1.0, 0.0, 5.0], [0.0, 1.0, 5.0], [f32::NAN, f32::NAN, 5.0]];
        let families =
            [FeatureFamily::FirstCategory { log_other: -1.0 }, FeatureFamily::NextCategory, FeatureFamily::Gaussian];
        let fitted = Independent::fit(rows.iter().map(|row| &row[..]), 3, Some(&[1.0; 3]), &families);
        let number = -0.5 * tau.ln();
        for (x, chance) in [([1.0, 0.0, 5.0], 3.0f64 / 5.0), ([0.0, 1.0, 5.0], 2.0 / 5.0)] {
            assert!((fitted.log_density(&x) - chance.ln() - number).abs() < 1e-12);
        }
    }
}
