//! How far two samples are from being of one distribution: the maximum mean discrepancy.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Most rows that the kernel's width is taken from.
const JUDGES: usize = 500;

/// A mean of three Gaussian kernels, `k(a, b) = ⅓ Σ exp(−w ‖a − b‖² / 2 h²)` with `w` of 1, 4 and 16: of widths h, h/2 and h/4, so that a hole or
/// a gap counts beside the place and the spread.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    width: f64,
}

impl Kernel {
    /// With the median distance of rows of `features` values for h (Gretton et al. 2012, section 8), or 1 where most are the same.
    #[must_use]
    pub fn of(rows: &[f32], features: usize) -> Self {
        let step = (rows.len() / features).div_ceil(JUDGES).max(1);
        let some: Vec<&[f32]> = rows.chunks_exact(features).step_by(step).collect();
        let mut squares: Vec<f64> =
            some.iter().enumerate().flat_map(|(i, a)| some[..i].iter().map(|b| squared_distance(a, b))).collect();
        let middle = squares.len() / 2;
        let median = if squares.is_empty() { 0.0 } else { *squares.select_nth_unstable_by(middle, f64::total_cmp).1 };
        Self { width: if median > 0.0 { median.sqrt() } else { 1.0 } }
    }

    /// With this h.
    #[must_use]
    pub fn with_width(width: f64) -> Self {
        Self { width }
    }

    /// `k(a, b)`, from 0 to 1.
    #[must_use]
    pub fn of_pair(&self, a: &[f32], b: &[f32]) -> f64 {
        let widest = libm::exp(-0.5 * squared_distance(a, b) / (self.width * self.width));
        let [middle, narrowest] = [fourth_power(widest), fourth_power(fourth_power(widest))];
        (widest + middle + narrowest) / 3.0
    }
}

fn fourth_power(value: f64) -> f64 {
    let square = value * value;
    square * square
}

fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// What sets a sample's distribution apart from another's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Discrepancy {
    /// The squared maximum mean discrepancy, without bias: about 0, below it as often as above, where the distributions are the same.
    pub mmd_squared: f64,
    /// Its standard deviation by chance alone, if they were the same.
    pub by_chance: f64,
}

impl Discrepancy {
    /// Of two samples of as many rows of `features` values; NaN of less than two.
    ///
    /// `MMD² = 1 / (m (m − 1)) Σ_{i≠j} h_ij` with `h_ij = k(xᵢ, xⱼ) + k(yᵢ, yⱼ) − k(xᵢ, yⱼ) − k(xⱼ, yᵢ)`. If both are of one distribution, any `xᵢ` and
    /// `yᵢ` might as well be exchanged, which turns the signs of `h_ij` for all j: over all such exchanges the standard deviation is
    /// `√(2 Σ h_ij²) / (m (m − 1))`.
    ///
    /// # Source
    /// Gretton et al. (2012), *A Kernel Two-Sample Test*, equation 4.
    #[must_use]
    pub fn of(kernel: &Kernel, x: &[f32], y: &[f32], features: usize) -> Self {
        let (x, y) = (Rows::of(x, features), Rows::of(y, features));
        let k = |a: &[f32], b: &[f32]| kernel.of_pair(a, b);
        let h =
            |i: usize, j: usize| k(x.at(i), x.at(j)) + k(y.at(i), y.at(j)) - k(x.at(i), y.at(j)) - k(x.at(j), y.at(i));
        let sums = by_row(x.count(), |i| {
            (0..i).map(|j| h(i, j)).fold([0.0; 2], |[sum, squares], h| [sum + h, squares + h * h])
        });
        let count = x.count() as f64;
        let pairs = count * (count - 1.0);
        let total = |of: usize| 2.0 * sums.iter().map(|row| row[of]).sum::<f64>();
        Self { mmd_squared: total(0) / pairs, by_chance: (2.0 * total(1)).sqrt() / pairs }
    }
}

/// How much nearer one of two samples is to a third.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// The squared discrepancy of the other, less that of this one.
    pub mmd_squared: f64,
    /// Of the difference, by how its terms vary over the rows.
    pub standard_error: f64,
}

impl Gain {
    /// Of `y`, beside `other`, both to be near to `x`; all of as many rows of `features` values; NaN of less than two.
    ///
    /// Both discrepancies are by the same `x`, so that their difference is known better than either. It is the mean of the
    /// `g_ij = h_ij(x, other) − h_ij(x, y)` over `i ≠ j`, with the standard error `2 √(Var ḡᵢ / m)` of the rows' means `ḡᵢ`: for samples that are equally near it
    /// is somewhat too large.
    ///
    /// # Source
    /// Bounliphone et al. (2016), *A Test of Relative Similarity For Model Selection in Generative Models*, section 3.
    #[must_use]
    pub fn of(kernel: &Kernel, x: &[f32], y: &[f32], other: &[f32], features: usize) -> Self {
        let [x, y, other] = [x, y, other].map(|rows| Rows::of(rows, features));
        let k = |a: &[f32], b: &[f32]| kernel.of_pair(a, b);
        // What `x` is to itself is in both.
        let apart = |y: &Rows<'_>, i: usize, j: usize| k(y.at(i), y.at(j)) - k(x.at(i), y.at(j)) - k(x.at(j), y.at(i));
        let (count, others) = (x.count() as f64, x.count() as f64 - 1.0);
        let means = by_row(x.count(), |i| {
            let rest = (0..x.count()).filter(|j| *j != i);
            rest.map(|j| apart(&other, i, j) - apart(&y, i, j)).sum::<f64>() / others
        });
        let mean = means.iter().sum::<f64>() / count;
        let variance = means.iter().map(|row| (row - mean).powi(2)).sum::<f64>() / others;
        Self { mmd_squared: mean, standard_error: 2.0 * (variance / count).sqrt() }
    }

    /// Whether it is more than chance makes likely: two standard errors.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        self.mmd_squared > 2.0 * self.standard_error
    }
}

struct Rows<'a> {
    values: &'a [f32],
    features: usize,
}

impl<'a> Rows<'a> {
    fn of(values: &'a [f32], features: usize) -> Self {
        Self { values, features }
    }

    fn count(&self) -> usize {
        self.values.len() / self.features
    }

    fn at(&self, index: usize) -> &'a [f32] {
        &self.values[index * self.features..][..self.features]
    }
}

/// What each row gives, on all cores, in the rows' order whatever the threads.
fn by_row<T: Send>(count: usize, of: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    (0..count).into_par_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use vae_core::standard_normal;

    use super::*;

    /// Rows of independent Gaussians with these means and standard deviations.
    fn normals(count: usize, moments: &[(f32, f32)], seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count)
            .flat_map(|_| moments.iter().map(|(m, s)| m + s * standard_normal(&mut rng)).collect::<Vec<_>>())
            .collect()
    }

    /// `E k(a, b)` for independent Gaussians a and b: `⅓ Σ_w Π_d √(h² / (h² + v_d)) exp(−½ δ_d² / (h² + v_d))` with the sum `v` of the variances,
    /// the difference δ of the means, and the squared width `h² / w`.
    fn expected(width: f64, a: &[(f32, f32)], b: &[(f32, f32)]) -> f64 {
        let of_width = |w: f64| {
            let square = width * width / w;
            let axes = a.iter().zip(b).map(|((m, s), (n, t))| {
                let (difference, variance) = (f64::from(m - n), f64::from(s * s + t * t));
                (square / (square + variance)).sqrt() * (-0.5 * difference * difference / (square + variance)).exp()
            });
            axes.product::<f64>()
        };
        [1.0, 4.0, 16.0].map(of_width).iter().sum::<f64>() / 3.0
    }

    #[test]
    fn the_discrepancy_of_two_gaussians_is_that_of_their_closed_form() {
        let (p, q) = ([(0.0, 1.0), (0.5, 2.0)], [(1.0, 0.7), (0.0, 1.5)]);
        let kernel = Kernel::with_width(1.7);
        let exact = expected(1.7, &p, &p) + expected(1.7, &q, &q) - 2.0 * expected(1.7, &p, &q);
        let repeats = 40;
        let found: Vec<Discrepancy> = (0..repeats)
            .map(|seed| Discrepancy::of(&kernel, &normals(200, &p, 2 * seed), &normals(200, &q, 2 * seed + 1), 2))
            .collect();
        let mean = found.iter().map(|found| found.mmd_squared).sum::<f64>() / repeats as f64;
        let deviation =
            (found.iter().map(|found| (found.mmd_squared - mean).powi(2)).sum::<f64>() / repeats as f64).sqrt();
        // Five standard errors of the mean of as many; and these are small beside what is measured.
        let allowed = 5.0 * deviation / (repeats as f64).sqrt();
        assert!((mean - exact).abs() < allowed && allowed < 0.2 * exact, "{mean} for {exact} ± {allowed}");
    }

    #[test]
    fn what_chance_makes_of_one_distribution_has_the_stated_spread() {
        let p = [(0.0, 1.0), (3.0, 0.2), (0.0, 5.0)];
        let repeats = 200;
        let found: Vec<Discrepancy> = (0..repeats)
            .map(|seed| {
                let [x, y] = [2 * seed, 2 * seed + 1].map(|seed| normals(60, &p, seed));
                Discrepancy::of(&Kernel::of(&x, 3), &x, &y, 3)
            })
            .collect();
        let scaled: Vec<f64> = found.iter().map(|found| found.mmd_squared / found.by_chance).collect();
        let mean = scaled.iter().sum::<f64>() / repeats as f64;
        let variance = scaled.iter().map(|value| value * value).sum::<f64>() / repeats as f64;
        // Without bias, and of variance 1: within five standard errors of 200 draws, whose kurtosis is at most 12.
        assert!(mean.abs() < 5.0 / (repeats as f64).sqrt(), "{mean}");
        assert!((variance - 1.0).abs() < 5.0 * (11.0 / repeats as f64).sqrt(), "{variance}");
    }

    #[test]
    fn a_gain_is_the_difference_of_the_discrepancies_and_seldom_shown_of_samples_that_are_equally_near() {
        let (p, near, far) = ([(0.0, 1.0); 2], [(0.2, 1.0); 2], [(0.6, 1.0); 2]);
        let kernel = Kernel::with_width(1.2);
        let [x, y, other] = [(p, 1), (near, 2), (far, 3)].map(|(moments, seed)| normals(300, &moments, seed));
        let gain = Gain::of(&kernel, &x, &y, &other, 2);
        let [of_y, of_other] = [&y, &other].map(|rows| Discrepancy::of(&kernel, &x, rows, 2).mmd_squared);
        assert!((gain.mmd_squared - (of_other - of_y)).abs() < 1e-12);
        assert!(gain.is_shown() && !Gain::of(&kernel, &x, &other, &y, 2).is_shown());
        // Equally far on two sides, and both the same as x: beyond two standard errors are 2.3 %, 4.6 of 200 on average and with 99.8 % not above 11.
        for sides in [[(0.3, 1.0), (-0.3, 1.0)], [(0.0, 1.0), (0.0, 1.0)]] {
            let shown = (0..200).filter(|seed| {
                let [x, y, other] = [([(0.0, 1.0); 2], 0), ([sides[0]; 2], 1), ([sides[1]; 2], 2)]
                    .map(|(moments, stream)| normals(60, &moments, 3 * seed + stream + 1000));
                Gain::of(&kernel, &x, &y, &other, 2).is_shown()
            });
            let shown = shown.count();
            assert!(shown <= 11, "{shown} of 200 for {sides:?}");
        }
    }

    #[test]
    fn the_kernel_is_as_wide_as_the_median_distance() {
        // Distances 1, 2 and 3: the median is 2, and exp(−½) + exp(−2) + exp(−8) are the three kernels at it.
        let kernel = Kernel::of(&[0.0, 1.0, 3.0], 1);
        let exact = ((-0.5f64).exp() + (-2.0f64).exp() + (-8.0f64).exp()) / 3.0;
        assert!((kernel.of_pair(&[1.0], &[3.0]) - exact).abs() < 1e-12);
        assert_eq!(Kernel::of(&[5.0; 4], 1).of_pair(&[5.0], &[5.0]), 1.0);
    }
}
