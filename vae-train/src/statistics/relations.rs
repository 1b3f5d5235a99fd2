//! How residuals depend on each other: each feature judged by what all the others say it should be.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use rayon::prelude::*;

/// What is added to each feature's variance, in squared standard deviations of the likelihood: the error that rounding to int8 adds to a
/// residual. What the data keep more exactly than this, a device does not see more exactly.
const FLOOR: f64 = 0.01;
/// Shares of the covariances between features that are left out, of which the held-out rows choose one.
const SHRINKAGES: [f64; 12] = [1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.2, 0.4, 0.7, 1.0];
/// So many rows, times the features to the power of 3/2, are enough for the held-out ones to be among those that the covariance is that of: `d` features
/// then cost a row among `n` about `d²/n` less than a new one, a tenth of the standard deviation `√2d` of what they cost.
const ENOUGH: f64 = 7.0;
/// Rows that one task adds up. The tasks' sums are added in order, so that the bits do not depend on how many cores there are.
const TASK: usize = 1024;

/// A Gaussian of residuals, in the form that gives each feature's conditional density given all others: one dense layer.
///
/// With the precision matrix `P` and the mean `m`, feature `j` given the others is Gaussian with variance `1 / P_jj`, and
/// differs from its conditional mean by `(P (r − m))_j / P_jj`. Row `j` of the layer, `P_j / √P_jj`, gives that difference in conditional
/// standard deviations. A relation between features (one is the sum of two others) that no feature breaks by itself is broken in each of them.
///
/// # Source
/// Conditionals from the precision matrix: S. L. Lauritzen (1996), *Graphical Models*, section 5.1.
#[derive(Clone, Debug)]
pub struct Relations {
    /// `P_j / √P_jj` for each feature `j`: features × features, row by row.
    pub weights: Vec<f32>,
    /// `−(P m)_j / √P_jj` for each feature `j`.
    pub bias: Vec<f32>,
    /// `Σ_j ½ ln P_jj`, in nats.
    pub log_normaliser: f64,
    /// The share `λ` of the covariances between features that was left out: 0 is the training rows' covariance, 1 independent features.
    pub shrinkage: f64,
}

impl Relations {
    /// Fits to rows of `features` residuals each, in standard deviations of the likelihood.
    ///
    /// The covariance is `(1 − λ) S + λ diag(S)`, with the variance that rounding to int8 adds, where `S` is the covariance of the training rows,
    /// and `λ`, of 12 values from 1e-6 to 1, gives the held-out rows the highest mean log-density; one of which the covariance has no Cholesky
    /// factor is passed over. Of so many rows that it makes no difference to what is calibrated on the held-out ones, `S` is that of all rows.
    /// `None` if that leaves none, if there are fewer than two rows of either kind, or if a residual is not finite.
    ///
    /// # Source
    /// Shrinking to the diagonal: J. H. Friedman (1989), *Regularized discriminant analysis*; `λ` by held-out likelihood.
    #[must_use]
    pub fn fit(train: &[f32], held_out: &[f32], features: usize) -> Option<Self> {
        let enough = features > 0 && train.len() >= 2 * features && held_out.len() >= 2 * features;
        if !enough || !train.iter().chain(held_out).all(|value| value.is_finite()) {
            return None;
        }
        let of_train = mean(train, features);
        let (covariance, of_held_out) = (second_moments(train, &of_train), second_moments(held_out, &of_train));
        let candidates = SHRINKAGES.iter().filter_map(|&shrinkage| {
            let cholesky = shrunk(&covariance, shrinkage).cholesky()?;
            let density = mean_log_density(&cholesky, &of_held_out);
            density.is_finite().then_some((density, shrinkage, cholesky))
        });
        let (_, shrinkage, cholesky) = candidates.max_by(|a, b| a.0.total_cmp(&b.0))?;
        let rows = (train.len() + held_out.len()) / features;
        if (rows as f64) < ENOUGH * libm::pow(features as f64, 1.5) {
            return Some(Self::of(&cholesky.inverse(), &of_train, shrinkage));
        }
        let all = [train, held_out].concat();
        let mean = mean(&all, features);
        let cholesky = shrunk(&second_moments(&all, &mean), shrinkage).cholesky()?;
        Some(Self::of(&cholesky.inverse(), &mean, shrinkage))
    }

    fn of(precision: &DMatrix<f64>, mean: &DVector<f64>, shrinkage: f64) -> Self {
        let features = mean.len();
        let (mut weights, mut bias, mut log_normaliser) = (Vec::with_capacity(features * features), Vec::new(), 0.0);
        for (feature, of_feature) in precision.column_iter().enumerate() {
            let scale = precision[(feature, feature)].sqrt();
            weights.extend(of_feature.iter().map(|value| (value / scale) as f32));
            bias.push((-of_feature.dot(mean) / scale) as f32);
            log_normaliser += libm::log(scale);
        }
        Self { weights, bias, log_normaliser, shrinkage }
    }

    /// The log-pseudo-likelihood of one row of residuals, in nats: the sum over features of `ln p(r_j | all other r)`, each relative to
    /// `−½ ln 2π`, the normaliser of a unit Gaussian.
    ///
    /// # Source
    /// J. Besag (1975), *Statistical analysis of non-lattice data*, The Statistician 24.
    #[must_use]
    pub fn log_pseudo_likelihood(&self, r: &[f32]) -> f64 {
        let squares = self.weights.chunks_exact(self.bias.len()).zip(&self.bias).map(|(weights, bias)| {
            let products = weights.iter().zip(r).map(|(weight, r)| f64::from(*weight) * f64::from(*r));
            (products.sum::<f64>() + f64::from(*bias)).powi(2)
        });
        self.log_normaliser - 0.5 * squares.sum::<f64>()
    }
}

/// The mean of rows of `features` values each.
fn mean(rows: &[f32], features: usize) -> DVector<f64> {
    let mut sums = DVector::zeros(features);
    for row in rows.chunks_exact(features) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums / (rows.len() / features) as f64
}

/// The mean over rows of `(r − centre) (r − centre)ᵀ`.
fn second_moments(rows: &[f32], centre: &DVector<f64>) -> DMatrix<f64> {
    let features = centre.len();
    let tasks = rows.par_chunks(TASK * features).map(|rows| {
        let (mut sums, mut difference) = (DMatrix::zeros(features, features), vec![0.0; features]);
        for row in rows.chunks_exact(features) {
            for ((difference, value), centre) in difference.iter_mut().zip(row).zip(centre) {
                *difference = f64::from(*value) - centre;
            }
            for (column, (mut sums, factor)) in sums.column_iter_mut().zip(&difference).enumerate() {
                for (sum, difference) in sums.iter_mut().zip(&difference).skip(column) {
                    *sum += factor * difference;
                }
            }
        }
        sums
    });
    let tasks: Vec<DMatrix<f64>> = tasks.collect();
    let mut moments = tasks.into_iter().fold(DMatrix::zeros(features, features), |sum, task| sum + task);
    moments.fill_upper_triangle_with_lower_triangle();
    moments / (rows.len() / features) as f64
}

/// The covariance with the share `shrinkage` of what is beside its diagonal left out, and the floor on its diagonal.
fn shrunk(covariance: &DMatrix<f64>, shrinkage: f64) -> DMatrix<f64> {
    let mut shrunk = covariance * (1.0 - shrinkage);
    for feature in 0..covariance.nrows() {
        shrunk[(feature, feature)] = covariance[(feature, feature)] + FLOOR;
    }
    shrunk
}

/// The mean Gaussian log-density of rows with these second moments around the Gaussian's mean, without `−½ d ln 2π`: the mean of `½ δᵀ Σ⁻¹ δ`
/// is `½ tr(Σ⁻¹ H)`, so that no row is looked at again.
fn mean_log_density(covariance: &Cholesky<f64, Dyn>, second_moments: &DMatrix<f64>) -> f64 {
    let half_log_determinant = covariance.l_dirty().diagonal().map(libm::log).sum();
    -half_log_determinant - 0.5 * covariance.solve(second_moments).trace()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;

    /// Rows of unit normals mixed by `row`.
    fn rows<const D: usize>(count: usize, seed: u64, row: impl Fn([f32; D]) -> [f32; D]) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).flat_map(|_| row(std::array::from_fn(|_| standard_normal(&mut rng)))).collect()
    }

    fn mixed([a, b, c]: [f32; 3]) -> [f32; 3] {
        [a + 0.5, 0.8 * a + 0.6 * b, 0.3 * b - 0.5 * a + 0.4 * c - 1.0]
    }

    #[test]
    fn conditionals_are_those_of_the_partitioned_covariance() {
        let train = rows(20, 1, mixed);
        let relations = Relations::fit(&train, &rows(10, 2, mixed), 3).unwrap();
        are_conditionals(&relations, &train);
        let all = rows(800, 1, mixed);
        let (train, held_out) = all.split_at(1200);
        are_conditionals(&Relations::fit(train, held_out, 3).unwrap(), &all);
    }

    /// Whether relations have the conditionals of these rows' covariance.
    fn are_conditionals(relations: &Relations, rows: &[f32]) {
        let count = (rows.len() / 3) as f64;
        let covariance = |i: usize, j: usize| {
            let values = |feature: usize| rows.iter().skip(feature).step_by(3).map(|value| f64::from(*value));
            let [i_mean, j_mean] = [i, j].map(|feature| values(feature).sum::<f64>() / count);
            let found = values(i).zip(values(j)).map(|(x, y)| (x - i_mean) * (y - j_mean)).sum::<f64>() / count;
            if i == j { found + FLOOR } else { found * (1.0 - relations.shrinkage) }
        };
        let means = mean(rows, 3);
        for r in [[0.0, 0.0, 0.0], [1.5, -2.0, 0.3], [-0.2, 0.9, -4.0f32]] {
            let d: Vec<f64> = r.iter().zip(&means).map(|(r, mean)| f64::from(*r) - mean).collect();
            let conditionals = [[0, 1, 2], [1, 2, 0], [2, 0, 1]].map(|[j, a, b]| {
                // Σ_jo Σ_oo⁻¹, with the inverse of two by two.
                let (aa, bb, ab) = (covariance(a, a), covariance(b, b), covariance(a, b));
                let (ja, jb, determinant) = (covariance(j, a), covariance(j, b), aa * bb - ab * ab);
                let by = [(ja * bb - jb * ab) / determinant, (jb * aa - ja * ab) / determinant];
                let variance = covariance(j, j) - by[0] * ja - by[1] * jb;
                -0.5 * variance.ln() - 0.5 * (d[j] - by[0] * d[a] - by[1] * d[b]).powi(2) / variance
            });
            let (found, expected) = (relations.log_pseudo_likelihood(&r), conditionals.iter().sum::<f64>());
            // Weights are in f32.
            assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
        }
    }

    #[test]
    fn independent_features_are_judged_by_themselves() {
        // All eight signs: no covariance at all, means 0 and 1, variances 1, 4 and 0.25.
        let signs = (0..8).map(|i| [i & 1, i & 2, i & 4].map(|bit| if bit == 0 { -1.0f32 } else { 1.0 }));
        let train: Vec<f32> = signs.flat_map(|[a, b, c]| [a, 1.0 + 2.0 * b, 0.5 * c]).collect();
        let relations = Relations::fit(&train, &train, 3).unwrap();
        let r = [0.7f32, -2.0, 3.0];
        let parts = [(0.0, 1.0), (1.0, 4.0), (0.0, 0.25)].iter().zip(r).map(|((mean, variance), r)| {
            let variance = variance + FLOOR;
            -0.5 * f64::ln(variance) - 0.5 * (f64::from(r) - mean).powi(2) / variance
        });
        assert!((relations.log_pseudo_likelihood(&r) - parts.sum::<f64>()).abs() < 1e-4);
    }

    #[test]
    fn a_broken_sum_costs_what_no_column_shows() {
        let tied = |[a, b, noise]: [f32; 3]| [a, b, a + b + 0.01 * noise];
        let relations = Relations::fit(&rows(500, 3, tied), &rows(500, 4, tied), 3).unwrap();
        // Each is within a standard deviation. Along the unit vector u = (1, 1, −1) / √3 the variance is that of a third of the noise and the floor:
        // with P near u uᵀ / variance, each of three features costs half of (u · r)² / variance, where u · r is 1 / √3.
        let expected = 3.0 * 0.5 * (1.0 / 3.0) / (FLOOR + 1e-4 / 3.0);
        let cost = |r: &[f32]| relations.log_normaliser - relations.log_pseudo_likelihood(r);
        let found = cost(&[0.5, 0.5, 0.0]);
        // What 500 rows tell of the variance, and the smallest shrinkages, change it by a few per cent.
        assert!((found / expected - 1.0).abs() < 0.1, "{found} {expected}");
        let normal = rows(500, 5, tied);
        let mean = normal.chunks(3).map(cost).sum::<f64>() / 500.0;
        assert!(mean < 3.0, "{mean}");
    }

    /// Each of ten features resembles its neighbour.
    fn chain(mut row: [f32; 10]) -> [f32; 10] {
        for i in 1..10 {
            row[i] = 0.8 * row[i - 1] + 0.6 * row[i];
        }
        row
    }

    #[test]
    fn few_rows_are_shrunk_more() {
        let held_out = rows(2000, 7, chain);
        let shrinkage = |count| Relations::fit(&rows(count, 6, chain), &held_out, 10).unwrap().shrinkage;
        let found = [12, 50, 20_000].map(shrinkage);
        assert!(found[0] > found[1] && found[1] > found[2], "{found:?}");
    }

    #[test]
    fn the_chosen_shrinkage_is_best_on_held_out_rows() {
        let (train, held_out) = (rows(30, 8, chain), rows(500, 9, chain));
        let mean = mean(&train, 10);
        let covariance = second_moments(&train, &mean);
        // Row by row, by another decomposition.
        let density = |shrinkage| {
            let covariance = shrunk(&covariance, shrinkage);
            let (determinant, inverse) = (covariance.determinant(), covariance.try_inverse().unwrap());
            let rows = held_out.chunks(10).map(|row| {
                let difference = DVector::from_iterator(10, row.iter().map(|value| f64::from(*value))) - &mean;
                -0.5 * (determinant.ln() + difference.dot(&(&inverse * &difference)))
            });
            rows.sum::<f64>() / 500.0
        };
        let chosen = Relations::fit(&train, &held_out, 10).unwrap().shrinkage;
        assert!(density(chosen) > density(1e-6) && density(chosen) > density(1.0), "{chosen}");
        assert!(SHRINKAGES.iter().all(|other| density(chosen) >= density(*other) - 1e-9), "{chosen}");
        let cholesky = shrunk(&covariance, 0.03).cholesky().unwrap();
        let found = mean_log_density(&cholesky, &second_moments(&held_out, &mean));
        assert!((found - density(0.03)).abs() < 1e-9);
    }

    #[test]
    fn too_few_rows_and_what_is_not_finite_have_no_relations() {
        let rows = rows(4, 10, mixed);
        assert!(Relations::fit(&rows, &rows, 3).is_some());
        // A constant feature is one that the floor makes possible.
        assert!(Relations::fit(&[1.0; 6], &[1.0; 6], 3).is_some());
        assert!(Relations::fit(&rows[..3], &rows, 3).is_none() && Relations::fit(&rows, &rows[..3], 3).is_none());
        assert!(Relations::fit(&rows, &rows, 0).is_none());
        let with_nan = [&rows[..], &[0.0, f32::NAN, 0.0]].concat();
        assert!(Relations::fit(&with_nan, &rows, 3).is_none() && Relations::fit(&rows, &with_nan, 3).is_none());
    }
}
