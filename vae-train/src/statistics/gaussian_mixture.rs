//! A mixture of Gaussians with full covariances: a density that follows a curve piece by piece.

use rayon::prelude::*;

use component::log_densities;
use steps::{Sums, TASK, least_rows, start, steps};

pub use component::Component;

mod component;
mod steps;

/// Most rows that are looked at, of the training rows and of those held out; of more, evenly spaced ones.
const ROWS: usize = 12_000;
/// What may be added to each variance, of standardised inputs.
const RIDGES: [f64; 4] = [1e-6, 1e-4, 1e-3, 1e-2];
/// Numbers of components in a row, each twice the one before, that may be no better on held-out rows before the search ends.
const MISSES: usize = 2;

/// A mixture of Gaussians with full covariances, fitted by expectation and maximisation.
///
/// # Source
/// A. P. Dempster, N. M. Laird & D. B. Rubin (1977), *Maximum likelihood from incomplete data via the EM algorithm*.
#[derive(Clone, Debug, PartialEq)]
pub struct GaussianMixture {
    components: Vec<Component>,
    ridge: f64,
}

impl GaussianMixture {
    /// Fits to rows of `features` standardised inputs each, with at most `most` components; the same one for the same `seed`.
    ///
    /// Numbers of components are powers of two, as many as leave each component at least `10 + 4 · features` rows on average; one that is left
    /// with half as many is dropped while it is fitted. The number and the ridge, what is added to each variance, with the highest mean
    /// log-density of the held-out rows are kept. To save time, ridges from 1e-6 to 1e-2 are tried, smallest first, only while they help and the
    /// held-out rows are worse off than with half as many components; and the search ends where two doublings of the number were no better.
    ///
    /// Of more than 12,000 rows of either kind it looks at as many, evenly spaced. `None` if there are fewer than two of either, an input is not
    /// finite, or is so large that no covariance has a Cholesky factor.
    #[must_use]
    pub fn fit(train: &[f32], held_out: &[f32], features: usize, most: usize, seed: u64) -> Option<Self> {
        let enough = features > 0 && train.len() >= 2 * features && held_out.len() >= 2 * features;
        if !enough || !train.iter().chain(held_out).all(|value| value.is_finite()) {
            return None;
        }
        let (train, held_out) = (evenly_spaced(train, features), evenly_spaced(held_out, features));
        let limit = most.min(train.len() / features / (2 * least_rows(features)));
        let numbers =
            std::iter::successors(Some(1), |number| Some(2 * number)).take_while(|number| *number <= limit.max(1));
        // Nothing is better than infinity, so that all ridges are tried with one component, while they help.
        let (mut best, mut of_half, mut misses) = (None, f64::INFINITY, 0);
        for number in numbers {
            let start = start(&train, features, number, seed);
            let Some((density, mixture)) = best_ridge(&train, &held_out, &start, of_half) else { break };
            of_half = density;
            if best.as_ref().is_none_or(|(best, _)| density > *best) {
                (best, misses) = (Some((density, mixture)), 0);
            } else {
                misses += 1;
                if misses == MISSES {
                    break;
                }
            }
        }
        best.map(|(_, mixture)| mixture)
    }

    /// The Gaussians that it is made of.
    #[must_use]
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// What was added to each variance.
    #[must_use]
    pub fn ridge(&self) -> f64 {
        self.ridge
    }

    /// The largest weighted log-density of a component at `x`, in nats: at most [`Self::log_density`], and at most the logarithm of the number of
    /// components below it.
    #[must_use]
    pub fn log_density_of_nearest(&self, x: &[f32]) -> f64 {
        self.components.iter().fold(f64::NEG_INFINITY, |best, component| component.log_density(x, best).max(best))
    }

    /// `ln p(x)`, in nats.
    ///
    /// # Accuracy
    /// Components whose densities are below 1e-13 of the largest are left out.
    #[must_use]
    pub fn log_density(&self, x: &[f32]) -> f64 {
        log_densities(&self.components, x, &mut vec![0.0; self.components.len()])
    }

    /// The mean log-density of rows.
    fn mean_log_density(&self, rows: &[f64], features: usize) -> f64 {
        let densities = rows.par_chunks_exact(features).with_min_len(TASK).map_init(
            || vec![0.0; self.components.len()],
            |logarithms, row| log_densities(&self.components, row, logarithms),
        );
        // In order, whichever core was first.
        densities.collect::<Vec<f64>>().iter().sum::<f64>() / (rows.len() / features) as f64
    }
}

/// At most [`ROWS`] of the rows.
fn evenly_spaced(rows: &[f32], features: usize) -> Vec<f64> {
    let all = rows.len() / features;
    let kept = all.min(ROWS);
    let rows = (0..kept).flat_map(|row| &rows[row * all / kept * features..][..features]);
    rows.map(|value| f64::from(*value)).collect()
}

/// The mixture with the best ridge on held-out rows, after their mean log-density. Larger ridges are tried only while they help and the density is
/// below `wanted`.
fn best_ridge(train: &[f64], held_out: &[f64], start: &[Sums], wanted: f64) -> Option<(f64, GaussianMixture)> {
    let mut best: Option<(f64, GaussianMixture)> = None;
    for ridge in RIDGES {
        let Some(components) = steps(train, start, ridge) else { continue };
        let mixture = GaussianMixture { components, ridge };
        let density = mixture.mean_log_density(held_out, start.first()?.features());
        if best.as_ref().is_some_and(|(best, _)| density <= *best) {
            break;
        }
        best = Some((density, mixture));
        if density >= wanted {
            break;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;
    use crate::statistics::metrics::Detection;

    /// Rows of independent unit normals and one uniform number from 0 to 1, made into others.
    fn rows<const D: usize>(count: usize, seed: u64, row: impl Fn([f32; 3], f32) -> [f32; D]) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draw = |_| {
            let normal = std::array::from_fn(|_| standard_normal(&mut rng));
            row(normal, rng.random())
        };
        (0..count).flat_map(draw).collect()
    }

    fn correlated([a, b, _]: [f32; 3], _: f32) -> [f32; 2] {
        [a + 0.5, 0.8 * a + 0.6 * b - 1.0]
    }

    /// Four narrow places in a row, of different directions.
    fn places([a, b, _]: [f32; 3], place: f32) -> [f32; 2] {
        let place = (4.0 * place).floor();
        [place - 1.5 + 0.2 * a, 0.3 * place * a + 0.25 * b]
    }

    #[test]
    fn one_gaussian_has_the_moments_of_its_rows() {
        let train = rows(3000, 1, correlated);
        let mixture = GaussianMixture::fit(&train, &rows(1000, 2, correlated), 2, 8, 7).unwrap();
        let [component] = mixture.components() else { panic!("{mixture:?}") };
        let values = |feature: usize| train.iter().skip(feature).step_by(2).map(|value| f64::from(*value));
        let mean = [0, 1].map(|feature| values(feature).sum::<f64>() / 3000.0);
        let covariance = |i: usize, j: usize| {
            let products = values(i).zip(values(j)).map(|(x, y)| (x - mean[i]) * (y - mean[j]));
            products.sum::<f64>() / 3000.0 + if i == j { mixture.ridge() } else { 0.0 }
        };
        let (aa, ab, bb) = (covariance(0, 0), covariance(0, 1), covariance(1, 1));
        let determinant = aa * bb - ab * ab;
        for x in [[0.5f32, -1.0], [2.0, 2.0], [-3.0, 0.1]] {
            let [a, b] = [f64::from(x[0]) - mean[0], f64::from(x[1]) - mean[1]];
            let squares = (bb * a * a - 2.0 * ab * a * b + aa * b * b) / determinant;
            let exact = -std::f64::consts::TAU.ln() - 0.5 * (determinant.ln() + squares);
            assert!((mixture.log_density(&x) - exact).abs() < 1e-9);
            assert_eq!(mixture.log_density(&x), mixture.log_density_of_nearest(&x));
        }
        assert!(component.mean.iter().zip(mean).all(|(found, mean)| (found - mean).abs() < 1e-9));
    }

    #[test]
    fn what_leaves_a_curve_is_rare() {
        // y = σ(x), from 0 to 1, with 0.5 % of noise; both columns standardised.
        let curve = |off: f32| {
            move |[noise, ..]: [f32; 3], place: f32| {
                let x = 8.0 * place - 4.0;
                let y = 1.0 / (1.0 + (-x).exp()) + 0.005 * noise + if noise > 0.0 { off } else { -off };
                [x / 2.3, (y - 0.5) / 0.36]
            }
        };
        let mixture = GaussianMixture::fit(&rows(2000, 3, curve(0.0)), &rows(1000, 4, curve(0.0)), 2, 16, 5).unwrap();
        let (normal, off) = (rows(1000, 5, curve(0.0)), rows(1000, 6, curve(0.03)));
        let scores: Vec<f64> = normal.chunks(2).chain(off.chunks(2)).map(|x| -mixture.log_density(x)).collect();
        let labels: Vec<bool> = (0..2000).map(|row| row >= 1000).collect();
        // 3 % are six standard deviations of the noise, and a sixteenth of the curve bends by half of one. What is left of overlap is where
        // pieces meet and at the curve's ends, where there are few rows.
        let auroc = Detection::of(&scores, &labels).unwrap().auroc;
        assert!(auroc >= 0.98, "{auroc}: {} components", mixture.components().len());
        // One Gaussian does not see it.
        let one = GaussianMixture::fit(&rows(2000, 3, curve(0.0)), &rows(1000, 4, curve(0.0)), 2, 1, 5).unwrap();
        let scores: Vec<f64> = normal.chunks(2).chain(off.chunks(2)).map(|x| -one.log_density(x)).collect();
        assert!(Detection::of(&scores, &labels).unwrap().auroc < 0.8);
    }

    #[test]
    fn an_exact_sum_of_columns_has_a_density() {
        let sum = |[a, b, _]: [f32; 3], place: f32| [a, b + 3.0 * place.round(), a + b + 3.0 * place.round()];
        let mixture = GaussianMixture::fit(&rows(1500, 8, sum), &rows(500, 9, sum), 3, 8, 1).unwrap();
        let normal = rows(300, 10, sum);
        let least = normal.chunks(3).map(|x| mixture.log_density(x)).fold(f64::INFINITY, f64::min);
        assert!(least.is_finite() && mixture.log_density(&[0.0, 0.0, 0.3]) < least - 100.0, "{least}");
        // A column that never changes is another relation that is exact.
        let constant = |[a, ..]: [f32; 3], _: f32| [a, 0.0];
        assert!(GaussianMixture::fit(&rows(500, 11, constant), &rows(200, 12, constant), 2, 4, 1).is_some());
    }

    #[test]
    fn densities_integrate_to_one_and_the_nearest_is_within_a_count() {
        let fit = || GaussianMixture::fit(&rows(2000, 13, places), &rows(1000, 14, places), 2, 4, 3).unwrap();
        let mixture = fit();
        assert_eq!(mixture, fit());
        assert_eq!(mixture.components().len(), 4);
        let (step, most) = (0.04, libm::log(4.0));
        let axis = || (-150..=150).map(|i| i as f32 * step);
        let densities = axis().flat_map(|a| axis().map(move |b| [a, b])).map(|x| {
            let (all, nearest) = (mixture.log_density(&x), mixture.log_density_of_nearest(&x));
            let exact =
                mixture.components().iter().map(|c| c.log_density(&x, f64::NEG_INFINITY)).fold(f64::MIN, f64::max);
            assert!(nearest == exact && nearest <= all && all <= nearest + most + 1e-12, "{x:?}: {nearest} {all}");
            libm::exp(all)
        });
        let total = densities.sum::<f64>() * f64::from(step).powi(2);
        assert!((total - 1.0).abs() < 1e-4, "{total}");
        // As likely as what the rows were drawn from, but for what 2000 rows do not tell: half a nat for each of 23 parameters.
        let held_out = rows(4000, 15, places);
        let found = held_out.chunks(2).map(|x| mixture.log_density(x)).sum::<f64>() / 4000.0;
        let entropy = held_out.chunks(2).map(|x| places_log_density([x[0], x[1]])).sum::<f64>() / 4000.0;
        assert!((found - entropy).abs() < 0.03, "{found} {entropy}");
    }

    /// The density that [`places`] draws from.
    fn places_log_density(x: [f32; 2]) -> f64 {
        let [x, y] = x.map(f64::from);
        let places = [0.0, 1.0, 2.0, 3.0].map(|place| {
            let a = (x - place + 1.5) / 0.2;
            let b = (y - 0.3 * place * a) / 0.25;
            (-0.5 * (a * a + b * b)).exp() / (4.0 * std::f64::consts::TAU * 0.2 * 0.25)
        });
        places.iter().sum::<f64>().ln()
    }

    #[test]
    fn few_rows_have_few_components_and_a_larger_ridge() {
        // Of 40 rows in two dimensions two components have twice 9 at most; 4 rows in three have a plane's density or a ridge.
        let fit = |count| GaussianMixture::fit(&rows(count, 16, places), &rows(500, 17, places), 2, 64, 1).unwrap();
        assert!(fit(40).components().len() <= 2);
        let solid = |normal: [f32; 3], _: f32| normal;
        let few = GaussianMixture::fit(&rows(4, 18, solid), &rows(500, 19, solid), 3, 64, 1).unwrap();
        assert_eq!((few.components().len(), few.ridge()), (1, 1e-2));
    }

    #[test]
    fn too_few_rows_and_what_is_not_finite_have_no_density() {
        let rows = rows(50, 20, correlated);
        let fit = |train: &[f32], held_out: &[f32]| GaussianMixture::fit(train, held_out, 2, 4, 1);
        assert!(fit(&rows, &rows).is_some() && fit(&rows[..4], &rows[..4]).is_some());
        assert!(fit(&rows[..2], &rows).is_none() && fit(&rows, &rows[..2]).is_none());
        let with_nan = [&rows[..], &[0.0, f32::NAN]].concat();
        assert!(fit(&with_nan, &rows).is_none() && fit(&rows, &with_nan).is_none());
        assert!(GaussianMixture::fit(&rows, &rows, 0, 4, 1).is_none());
    }

    #[test]
    fn rows_are_evenly_spaced() {
        let rows: Vec<f32> = (0..2 * 30_000).map(|i| i as f32).collect();
        let kept = evenly_spaced(&rows, 2);
        assert_eq!(kept.len(), 2 * ROWS);
        assert!(kept.chunks(2).enumerate().all(|(i, row)| row == [5.0 * i as f64 - (i % 2) as f64, row[0] + 1.0]));
        assert_eq!(evenly_spaced(&rows[..6], 2), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }
}
