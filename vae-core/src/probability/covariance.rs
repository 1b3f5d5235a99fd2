//! The likelihood of features that vary together: Gaussian, with a covariance that the decoder predicts, a diagonal and a low rank.

use crate::{
    arithmetic::{number::clamp, vector::Samples},
    format::{error::LoadError, kind::COVARIANCE_RANKS, size::CHUNK},
    network::{
        layer::Outputs,
        standardise::{Standardiser, limited},
    },
};

const MOST_RANK: usize = COVARIANCE_RANKS[COVARIANCE_RANKS.len() - 1] as usize;

/// A number for each factor.
type Vector = [f32; MOST_RANK];

/// Constants of `x̂ = μ(z) + U(z) w + σ(z) ε` with `w` and `ε` of `N(0, I)`, in the file's flash; `x̂` is standardised, and its covariance
/// `diag σ² + U Uᵀ`. Of each feature in turn the decoder gives μ, `ln σ²` and its row of U, the loadings: [`Self::width`] outputs.
#[derive(Clone, Copy)]
pub(crate) struct Covariance<'m> {
    pub(crate) standardiser: Standardiser<'m>,
    /// `−½ ln(2π) − ln(scale)`
    pub(crate) log_normaliser: &'m [f32],
    /// `ln σ²` is limited to the range between these.
    bounds: (f32, f32),
    /// Columns of U.
    rank: u8,
}

/// What the features so far tell of the factors `w`, which are `N(mean, S Sᵀ)` given them: nothing at the start.
#[derive(Clone, Copy)]
pub(crate) struct Factors {
    mean: Vector,
    /// The rows of S.
    root: [Vector; MOST_RANK],
}

impl Default for Factors {
    fn default() -> Self {
        let mut root = [Vector::default(); MOST_RANK];
        root.iter_mut().enumerate().for_each(|(place, row)| row.iter_mut().skip(place).take(1).for_each(|s| *s = 1.0));
        Self { mean: Vector::default(), root }
    }
}

/// A feature, given those before it.
pub(crate) struct Expected {
    pub(crate) mean: f32,
    pub(crate) variance: f32,
    /// The share of it that is the feature's own, σ².
    own: f32,
    /// `Sᵀ u`, u being its loadings.
    shared: Vector,
    /// How many of them there are.
    rank: usize,
}

impl Factors {
    /// What a feature of these outputs of the decoder is expected to be. None where they are no feature's.
    fn expect(&self, outputs: &[f32], bounds: (f32, f32)) -> Option<Expected> {
        let [mean, log_variance, loadings @ ..] = outputs else { return None };
        let (mut mean, mut shared) = (*mean, Vector::default());
        for ((row, factor), loading) in self.root.iter().zip(&self.mean).zip(loadings) {
            mean += loading * factor;
            for (shared, s) in shared.iter_mut().zip(row).take(loadings.len()) {
                *shared += loading * s;
            }
        }
        let own = libm::expf(clamp(*log_variance, bounds));
        let variance = shared.iter().take(loadings.len()).fold(own, |sum, shared| sum + shared * shared);
        Some(Expected { mean, variance, own, shared, rank: loadings.len() })
    }

    /// Takes by how much a feature is off what was expected of it.
    fn learn(&mut self, Expected { variance, own, shared, rank, .. }: &Expected, difference: f32) {
        let shrinkage = 1.0 / (1.0 + libm::sqrtf(own / variance));
        for (row, mean) in self.root.iter_mut().zip(&mut self.mean).take(*rank) {
            let gain = row.iter().zip(shared).take(*rank).fold(0.0, |sum, (s, shared)| sum + s * shared) / variance;
            *mean += gain * difference;
            for (s, shared) in row.iter_mut().zip(shared).take(*rank) {
                *s -= shrinkage * gain * shared;
            }
        }
    }
}

impl<'m> Covariance<'m> {
    /// A covariance of this rank.
    ///
    /// # Errors
    /// [`LoadError::Value`] for a rank that is none of [`COVARIANCE_RANKS`].
    pub(crate) fn new(
        rank: u8,
        standardiser: Standardiser<'m>,
        log_normaliser: &'m [f32],
        bounds: (f32, f32),
    ) -> Result<Self, LoadError> {
        let rank = *COVARIANCE_RANKS.iter().find(|known| **known == rank).ok_or(LoadError::Value)?;
        Ok(Self { standardiser, log_normaliser, bounds, rank })
    }

    /// Outputs of the decoder for each feature; a chunk of them has whole features.
    fn width(&self) -> usize {
        2 + usize::from(self.rank)
    }

    /// Gives each feature, the square of what it is off its expectation given those before it, and its variance given them, to `each`, from the
    /// decoder's outputs from `start` on; no square of a feature that was not observed, which tells the others nothing. `factors` are as the
    /// chunk before has left them. `−½ Σ (square / variance + ln variance + ln 2π)` is the log-density of what was observed, standardised.
    /// None where the standardiser does not fit `x`.
    ///
    /// # Accuracy
    /// The log-density is within 2e-5 of its terms' magnitude of that in f64 for σ of 0.01 to 10 and loadings of up to 1, 2e-4 of up to 10.
    ///
    /// # Source
    /// Seed texts, "Gaussian with a covariance Σ(z)", whose density is here that of one feature after another, `Π p(xⱼ|x₁ … xⱼ₋₁, z)`, by the Kalman
    /// filter of a constant state; its square root: J. E. Potter, in Battin (1964), *Astronautical Guidance*, section 9.5.
    pub(crate) fn for_each(
        &self,
        x: Samples<'_>,
        start: usize,
        outputs: Outputs<'_>,
        chunk: &mut [f32; CHUNK],
        factors: &mut Factors,
        each: &mut dyn FnMut(usize, Option<f32>, f32),
    ) -> Option<()> {
        let first = start / self.width();
        let x = self.standardiser.apply(x, first, chunk)?;
        for ((feature, x), outputs) in (first..).zip(x.iter()).zip(outputs.numbers().chunks_exact(self.width())) {
            let expected = factors.expect(outputs, self.bounds)?;
            let mut square = None;
            if !x.is_nan() {
                let difference = limited(*x) - expected.mean;
                factors.learn(&expected, difference);
                square = Some(difference * difference);
            }
            each(feature, square, expected.variance);
        }
        Some(())
    }

    /// Gives each feature, by how much it is off its mean given z, and its standard deviation given z alone to `each`, standardised. None where the standardiser
    /// does not fit `x`.
    pub(crate) fn residuals(
        &self,
        x: Samples<'_>,
        start: usize,
        outputs: Outputs<'_>,
        chunk: &mut [f32; CHUNK],
        each: &mut dyn FnMut(usize, f32, f32),
    ) -> Option<()> {
        let (first, nothing) = (start / self.width(), Factors::default());
        let x = self.standardiser.apply(x, first, chunk)?;
        for ((feature, x), outputs) in (first..).zip(x.iter()).zip(outputs.numbers().chunks_exact(self.width())) {
            let Expected { mean, variance, .. } = nothing.expect(outputs, self.bounds)?;
            each(feature, x - mean, libm::sqrtf(variance));
        }
        Some(())
    }

    /// Gives each feature's mean and standard deviation given those before it to `value`, and what that makes of them to `each`, all standardised. A
    /// value that is drawn tells the features behind it what they are drawn from, so that all of them are one draw from `p(x|z)`.
    pub(crate) fn draw(
        &self,
        outputs: Outputs<'_>,
        factors: &mut Factors,
        value: &mut dyn FnMut(f32, f32) -> f32,
        each: &mut dyn FnMut(f32),
    ) -> Option<()> {
        for outputs in outputs.numbers().chunks_exact(self.width()) {
            let expected = factors.expect(outputs, self.bounds)?;
            let drawn = value(expected.mean, libm::sqrtf(expected.variance));
            factors.learn(&expected, drawn - expected.mean);
            each(drawn);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{SMatrix, SVector};

    use super::*;
    use crate::{
        arithmetic::random::{standard_normal, tests::SplitMix},
        network::{error::InferError, input::Seen},
        probability::{
            likelihood::{Likelihood, Open},
            log_density::LogDensity,
        },
    };

    const BOUNDS: (f32, f32) = (-9.25, 4.6);

    /// Outputs of a decoder for N features: means, log-variances, some of them beyond the bounds, and loadings within ± `spread`.
    struct Outputs64<const N: usize> {
        rank: u8,
        values: [f32; 1024],
    }

    impl<const N: usize> Outputs64<N> {
        fn random(rank: u8, spread: f32, seed: u64) -> Self {
            let (mut rng, mut values) = (SplitMix(seed), [0.0; 1024]);
            let mut uniform = || 2.0 * crate::arithmetic::random::uniform(&mut rng) - 1.0;
            for outputs in values.chunks_exact_mut(2 + usize::from(rank)) {
                (outputs[0], outputs[1]) = (uniform(), 12.0 * uniform() - 3.0);
                outputs[2..].iter_mut().for_each(|loading| *loading = spread * uniform());
            }
            Self { rank, values }
        }

        fn outputs(&self) -> impl Iterator<Item = &[f32]> {
            self.values.chunks_exact(2 + usize::from(self.rank)).take(N)
        }

        fn mean(&self) -> SVector<f64, N> {
            SVector::from_iterator(self.outputs().map(|outputs| f64::from(outputs[0])))
        }

        /// `D + U Uᵀ`
        fn covariance(&self) -> SMatrix<f64, N, N> {
            let mut sum = SMatrix::zeros();
            for (i, a) in self.outputs().enumerate() {
                sum[(i, i)] = libm::exp(f64::from(a[1].clamp(BOUNDS.0, BOUNDS.1)));
                for (j, b) in self.outputs().enumerate() {
                    sum[(i, j)] += a[2..].iter().zip(&b[2..]).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                }
            }
            sum
        }

        /// The log-density of what is observed of `x`, by the Cholesky factor of its covariance, and the sum of its terms' magnitudes.
        fn exact(&self, x: &[f32; N]) -> (f64, f64) {
            let (mut covariance, mut off) = (self.covariance(), SVector::<f64, N>::zeros());
            for (i, x) in x.iter().enumerate() {
                if x.is_nan() {
                    covariance.fill_row(i, 0.0);
                    covariance.fill_column(i, 0.0);
                    covariance[(i, i)] = 1.0;
                } else {
                    off[i] = f64::from(*x) - self.mean()[i];
                }
            }
            let factor = covariance.cholesky().unwrap();
            let quadratic = off.dot(&factor.solve(&off));
            let logs = factor.l_dirty().diagonal().map(|l| 2.0 * libm::log(l));
            let count = x.iter().filter(|x| !x.is_nan()).count() as f64;
            let constant = count * libm::log(core::f64::consts::TAU);
            (-0.5 * (quadratic + logs.sum() + constant), 0.5 * (quadratic + logs.abs().sum() + constant))
        }

        /// What the core makes of it, chunk by chunk: the log-density, and with what is not observed.
        fn found(&self, x: &[f32; N]) -> Result<(f64, f64), InferError> {
            let likelihood = Likelihood::Covariance(covariance::<N>(self.rank));
            let mut density = LogDensity::new(&likelihood, Samples::F32(x), Seen::default());
            let rows = N * (2 + usize::from(self.rank));
            for start in (0..rows).step_by(CHUNK) {
                let mut values = self.values;
                let outputs = Outputs::F32(&mut values[start..rows.min(start + CHUNK)]);
                density.add(start, outputs, &mut [0.0; CHUNK]).unwrap();
            }
            Ok((f64::from(density.nats()?), f64::from(density.completed_nats()?)))
        }
    }

    fn covariance<const N: usize>(rank: u8) -> Covariance<'static> {
        let standardiser = Standardiser { mean: &[0.0; N], inverse_scale: &[1.0; N] };
        Covariance::new(rank, standardiser, &[-0.918_938_5; N], BOUNDS).unwrap()
    }

    fn normal<const N: usize>(seed: u64) -> [f32; N] {
        let mut rng = SplitMix(seed);
        [(); N].map(|()| standard_normal(&mut rng))
    }

    #[test]
    fn one_feature_after_another_has_the_density_of_the_whole() {
        for rank in COVARIANCE_RANKS {
            for (seed, (spread, accuracy)) in
                [(0.0, 1e-6), (0.3, 1e-5), (1.0, 2e-5), (10.0, 2e-4)].into_iter().enumerate()
            {
                // More than a chunk of the network's, of whatever rank.
                let model = Outputs64::<53>::random(rank, spread, 7 + seed as u64);
                for gap in [0, 1, 3, 20] {
                    // All is observed, nothing, or all but one of so many.
                    let mut x = normal::<53>(30 + seed as u64);
                    if gap > 0 {
                        x.iter_mut().step_by(gap).for_each(|x| *x = f32::NAN);
                    }
                    let ((exact, magnitude), (found, _)) = (model.exact(&x), model.found(&x).unwrap());
                    assert!(
                        (found - exact).abs() <= accuracy * magnitude,
                        "{rank} {spread} {gap}: {found} for {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn any_covariance_is_a_diagonal_and_a_rank_less_than_the_features() {
        let mut rng = SplitMix(3);
        let factor = SMatrix::<f64, 7, 7>::from_fn(|_, _| f64::from(standard_normal(&mut rng)));
        let full = factor * factor.transpose();
        let eigen = full.symmetric_eigen();
        let least = eigen.eigenvalues.imin();
        let own = eigen.eigenvalues[least];
        let mut model = Outputs64::<7> { rank: 6, values: [0.0; 1024] };
        for (row, outputs) in model.values.chunks_exact_mut(8).take(7).enumerate() {
            outputs[1] = libm::log(own) as f32;
            let loadings = (0..7).filter(|axis| *axis != least);
            for (slot, axis) in outputs[2..].iter_mut().zip(loadings) {
                *slot = (eigen.eigenvectors[(row, axis)] * libm::sqrt(eigen.eigenvalues[axis] - own)) as f32;
            }
        }
        assert!((model.covariance() - full).abs().max() < 1e-5 * full.abs().max());
        let x = normal::<7>(4);
        let off = SVector::<f64, 7>::from_iterator(x.iter().map(|x| f64::from(*x)));
        let exact = -0.5 * (off.dot(&(full.try_inverse().unwrap() * off)) + libm::log(full.determinant()))
            - 3.5 * libm::log(core::f64::consts::TAU);
        let found = model.found(&x).unwrap().0;
        assert!((found - exact).abs() < 1e-4 * exact.abs(), "{found} for {exact}");
    }

    #[test]
    fn what_is_not_observed_is_as_wide_as_what_was_before_it_leaves() {
        let model = Outputs64::<5>::random(2, 1.0, 1);
        let x = [0.3, -1.0, f32::NAN, 0.7, f32::NAN];
        let (nats, completed) = model.found(&x).unwrap();
        // Var(x₂|x₀, x₁) and Var(x₄|x₀, x₁, x₃), by the Schur complement.
        let covariance = model.covariance();
        let given = |feature: usize, observed: &[usize]| {
            let minor = |rows: &[usize]| {
                let mut minor = SMatrix::<f64, 5, 5>::identity();
                rows.iter().for_each(|i| rows.iter().for_each(|j| minor[(*i, *j)] = covariance[(*i, *j)]));
                minor.determinant()
            };
            let mut both = [feature; 4];
            both[..observed.len()].copy_from_slice(observed);
            minor(&both[..=observed.len()]) / minor(observed)
        };
        let expected = -0.5 * libm::log(given(2, &[0, 1]) * given(4, &[0, 1, 3]));
        assert!((completed - nats - expected).abs() < 1e-5, "{} for {expected}", completed - nats);
    }

    #[test]
    fn draws_have_the_means_and_the_covariance() {
        const DRAWS: usize = 20_000;
        let (model, covariance, mut rng) = (Outputs64::<9>::random(4, 1.0, 5), covariance::<9>(4), SplitMix(6));
        let mut sums = SMatrix::<f64, 9, 9>::zeros();
        let mut total = SVector::<f64, 9>::zeros();
        for _ in 0..DRAWS {
            let (mut factors, mut x, mut values) = (Factors::default(), [0.0; 9], model.values);
            let mut slots = x.iter_mut();
            // 54 outputs: two chunks.
            for outputs in values[..54].chunks_mut(CHUNK) {
                let value = &mut |mean, deviation| mean + deviation * standard_normal(&mut rng);
                let each = &mut |drawn| *slots.next().unwrap() = drawn;
                covariance.draw(Outputs::F32(outputs), &mut factors, value, each).unwrap();
            }
            let off = SVector::<f64, 9>::from_iterator(x.iter().map(|x| f64::from(*x))) - model.mean();
            total += off;
            sums += off * off.transpose();
        }
        let (n, exact) = (DRAWS as f64, model.covariance());
        for i in 0..9 {
            // Five standard errors of a mean, and of a product's mean (Isserlis).
            assert!(total[i].abs() / n < 5.0 * libm::sqrt(exact[(i, i)] / n), "{i}: {}", total[i] / n);
            for j in 0..9 {
                let error = libm::sqrt((exact[(i, i)] * exact[(j, j)] + exact[(i, j)] * exact[(i, j)]) / n);
                let found = sums[(i, j)] / n;
                assert!((found - exact[(i, j)]).abs() < 5.0 * error, "{i} {j}: {found} for {}", exact[(i, j)]);
            }
        }
    }

    #[test]
    fn a_chunk_has_whole_features_of_each_rank_and_no_file_has_another() {
        let standardiser = Standardiser { mean: &[], inverse_scale: &[] };
        for rank in 0..=u8::MAX {
            let made = Covariance::new(rank, standardiser, &[], BOUNDS);
            assert_eq!(made.is_ok(), COVARIANCE_RANKS.contains(&rank));
            assert!(made.is_err() || CHUNK.is_multiple_of(made.unwrap().width()));
        }
    }

    #[test]
    fn what_is_absurd_is_a_number_or_refused() {
        let mut model = Outputs64::<9>::random(2, 1.0, 8);
        let far = [1e9f32, -1e9, 1e9, f32::MAX, f32::MIN, 0.0, 1e9, 1e9, -1e9];
        assert!(model.found(&far).unwrap().0 < -1e16);
        for (absurd, is_refused) in [(1e6f32, false), (1e15, false), (1e30, true), (f32::INFINITY, true)] {
            model.values[2..].iter_mut().step_by(4).for_each(|loading| *loading = absurd);
            let found = model.found(&normal::<9>(2));
            assert_eq!(
                found.map(|(nats, _)| nats.is_finite()),
                if is_refused { Err(InferError::Overflow) } else { Ok(true) }
            );
            // What a feature costs is a number even so, for variances without end, too.
            for bounds in [BOUNDS, (1.7e7, 6.0)] {
                let likelihood = Likelihood::Covariance(Covariance { bounds, ..covariance::<9>(2) });
                let (x, mut values, mut open) = (normal::<9>(2), model.values, Open::default());
                let outputs = Outputs::F32(&mut values[..36]);
                let mut each = |feature, nats: f32| assert!(!nats.is_nan(), "{absurd} {bounds:?}: {feature}");
                likelihood.costs(Samples::F32(&x), 0, outputs, &mut [0.0; CHUNK], &mut open, &mut each).unwrap();
            }
        }
    }
}
