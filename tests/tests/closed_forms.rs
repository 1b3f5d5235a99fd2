//! Linear-Gaussian models have exact evidence: the ELBO, the KL gap and the importance-weighted bound must agree with it.
//!
//! `x = m + s ⊙ (W z + b + σ ε)`, so that `p(x) = N(m + s ⊙ b, S (W Wᵀ + σ² I) S)` and `p(z|x) = N(M⁻¹ Wᵀ (x̂ − b) / σ², M⁻¹)`
//! with `M = I + Wᵀ W / σ²` and `x̂` the standardised input. Expectations here are f64 algebra; the core works in f32.

use nalgebra::{DMatrix, DVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{Activation, Scratch, format::LikelihoodKind, standard_normal};
use vae_tests::plain_model;
use vae_train::model_file::{AlignedFile, Dense, ModelFile};

const TAU: f64 = std::f64::consts::TAU;

struct LinearGaussian {
    w: DMatrix<f64>,
    b: DVector<f64>,
    variance: f64,
    mean: DVector<f64>,
    scale: DVector<f64>,
    /// `q(z|x) = N(A x̂ + c, diag exp v)`
    a: DMatrix<f64>,
    c: DVector<f64>,
    v: DVector<f64>,
}

/// The nearest f32, as f64: what the model file will hold.
fn rounded(value: f64) -> f64 {
    f64::from(value as f32)
}

impl LinearGaussian {
    /// A decoder with random `W`, of orthogonal columns where the exact posterior is to be diagonal, and a random encoder.
    fn random(features: usize, latent: usize, orthogonal: bool, rng: &mut ChaCha8Rng) -> Self {
        let mut normal = || rounded(f64::from(standard_normal(rng)));
        let mut w = DMatrix::from_fn(features, latent, |_, _| normal() / (latent as f64).sqrt());
        if orthogonal {
            w = w.qr().q();
            for mut column in w.column_iter_mut() {
                column *= 0.5 + normal().abs();
            }
        }
        let a = DMatrix::from_fn(latent, features, |_, _| 0.3 * normal() / (features as f64).sqrt());
        let [b, mean] = [(); 2].map(|()| DVector::from_fn(features, |_, _| normal()));
        let scale = DVector::from_fn(features, |_, _| (0.5 * normal()).exp());
        let c = DVector::from_fn(latent, |_, _| normal());
        let v = DVector::from_fn(latent, |_, _| normal() - 1.0);
        let variance = 0.2 + rng.random_range(0.0..0.8);
        Self {
            w: w.map(rounded),
            b,
            variance: rounded(variance),
            mean,
            scale: scale.map(rounded),
            a: a.map(rounded),
            c,
            v: v.map(rounded),
        }
    }

    /// Mean and covariance of `p(z|x)`.
    fn exact_posterior(&self, x: &DVector<f64>) -> (DVector<f64>, DMatrix<f64>) {
        let covariance = self.precision().try_inverse().unwrap();
        (&covariance * self.w.transpose() * (self.standardise(x) - &self.b) / self.variance, covariance)
    }

    fn precision(&self) -> DMatrix<f64> {
        DMatrix::identity(self.w.ncols(), self.w.ncols()) + self.w.transpose() * &self.w / self.variance
    }

    fn with_exact_encoder(mut self) -> Self {
        let covariance = self.precision().try_inverse().unwrap();
        self.a = &covariance * self.w.transpose() / self.variance;
        self.c = -(&self.a * &self.b);
        self.v = covariance.diagonal().map(f64::ln);
        self
    }

    fn standardise(&self, x: &DVector<f64>) -> DVector<f64> {
        (x - &self.mean).component_div(&self.scale)
    }

    /// `ln N(x; …)`, from the definition, with the covariance as it stands in physical units.
    fn log_evidence(&self, x: &DVector<f64>) -> f64 {
        let n = x.len();
        let s = DMatrix::from_diagonal(&self.scale);
        let marginal = &self.w * self.w.transpose() + DMatrix::identity(n, n) * self.variance;
        let cholesky = (&s * marginal * &s).cholesky().unwrap();
        let difference = x - (&self.mean + self.scale.component_mul(&self.b));
        let log_determinant = 2.0 * cholesky.l().diagonal().map(f64::ln).sum();
        -0.5 * (n as f64 * TAU.ln() + log_determinant + difference.dot(&cholesky.solve(&difference)))
    }

    /// `KL(q(z|x) ‖ p(z|x))` between the encoder's Gaussian and the exact posterior.
    fn kl_gap(&self, x: &DVector<f64>) -> f64 {
        let (mean, covariance) = self.exact_posterior(x);
        let inverse = covariance.clone().try_inverse().unwrap();
        let difference = mean - (&self.a * self.standardise(x) + &self.c);
        let q = DMatrix::from_diagonal(&self.v.map(f64::exp));
        let log_ratio = covariance.determinant().ln() - self.v.sum();
        0.5 * ((&inverse * q).trace() + difference.dot(&(&inverse * &difference)) - self.v.len() as f64 + log_ratio)
    }

    /// The model, in the file's f32.
    fn file(&self) -> ModelFile {
        let (features, latent) = self.w.shape();
        let dense = |weights: &DMatrix<f64>, bias: &DVector<f64>| Dense {
            activation: Activation::Identity,
            rows: weights.nrows(),
            columns: weights.ncols(),
            weights: weights.transpose().iter().map(|w| *w as f32).collect(),
            bias: bias.iter().map(|b| *b as f32).collect(),
        };
        let encoder = DMatrix::from_fn(2 * latent, features, |r, c| if r < latent { self.a[(r, c)] } else { 0.0 });
        let encoder_bias = DVector::from_fn(2 * latent, |r, _| if r < latent { self.c[r] } else { self.v[r - latent] });
        ModelFile {
            mean: self.mean.iter().map(|m| *m as f32).collect(),
            scale: self.scale.iter().map(|s| *s as f32).collect(),
            ..plain_model(
                vec![dense(&encoder, &encoder_bias)],
                vec![dense(&self.w, &self.b)],
                LikelihoodKind::GaussianFixed,
                self.variance as f32,
            )
        }
    }

    /// A draw from the model, made `stretch` times as far from its mean.
    fn draw(&self, stretch: f64, rng: &mut ChaCha8Rng) -> DVector<f64> {
        let z = DVector::from_fn(self.w.ncols(), |_, _| f64::from(standard_normal(rng)));
        let noise = DVector::from_fn(self.w.nrows(), |_, _| f64::from(standard_normal(rng)) * self.variance.sqrt());
        (&self.mean + self.scale.component_mul(&((&self.w * z + noise) * stretch + &self.b))).map(rounded)
    }
}

/// What f32 may lose: each of the sums over at most 64 features and 16 latents errs by at most that many half-ulps of the
/// sum of its terms' magnitudes, which the two largest parts of the score bound.
fn tolerance(parts: [f64; 2]) -> f64 {
    64.0 * f64::from(f32::EPSILON) / 2.0 * parts.iter().map(|part| part.abs()).sum::<f64>() + 1e-3
}

/// Calls `check` with models of all sizes and draws from each, ordinary and far out.
fn for_each_case(orthogonal: bool, mut check: impl FnMut(&LinearGaussian, &AlignedFile, &DVector<f64>, &[f32])) {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    for (features, latent) in [(1, 1), (2, 1), (5, 3), (16, 4), (33, 7), (64, 16)] {
        for _ in 0..4 {
            let mut model = LinearGaussian::random(features, latent, orthogonal, &mut rng);
            if orthogonal {
                model = model.with_exact_encoder();
            }
            let file = AlignedFile::new(&model.file().to_bytes().unwrap());
            for stretch in [0.0, 1.0, 1.0, 6.0] {
                let x = model.draw(stretch, &mut rng);
                let input: Vec<f32> = x.iter().map(|x| *x as f32).collect();
                check(&model, &file, &x, &input);
            }
        }
    }
}

#[test]
fn elbo_equals_evidence_where_the_encoder_is_the_exact_posterior() {
    for_each_case(true, |exact, file, x, input| {
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let score = model.elbo_sigma_points(input, &mut Scratch::new(&mut memory)).unwrap();
        let evidence = exact.log_evidence(x);
        let allowed = tolerance([score.reconstruction.into(), score.kl.into()]);
        assert!((f64::from(score.elbo) - evidence).abs() <= allowed, "{score:?} for {evidence} ± {allowed}");
        assert!(exact.kl_gap(x).abs() < 1e-9);
    });
}

#[test]
fn evidence_exceeds_the_elbo_by_the_kl_gap_for_any_encoder() {
    for_each_case(false, |exact, file, x, input| {
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let score = model.elbo_sigma_points(input, &mut Scratch::new(&mut memory)).unwrap();
        let (evidence, gap) = (exact.log_evidence(x), exact.kl_gap(x));
        let allowed = tolerance([score.reconstruction.into(), score.kl.into()]);
        let found = evidence - f64::from(score.elbo);
        assert!((found - gap).abs() <= allowed, "gap {found} for {gap} ± {allowed}");
        assert!(found >= -allowed, "Jensen's gap is negative: {found}");
    });
}

#[test]
fn elbo_at_the_mean_exceeds_the_elbo_by_the_trace() {
    for_each_case(false, |exact, file, _, input| {
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let at_mean = model.elbo_at_mean(input, &mut scratch).unwrap();
        let elbo = model.elbo_sigma_points(input, &mut scratch).unwrap();
        let q = DMatrix::from_diagonal(&exact.v.map(f64::exp));
        let trace = 0.5 * (&exact.w * q * exact.w.transpose()).trace() / exact.variance;
        let allowed = tolerance([elbo.reconstruction.into(), elbo.kl.into()]);
        assert!((f64::from(at_mean.elbo - elbo.elbo) - trace).abs() <= allowed);
        assert_eq!(at_mean.kl, elbo.kl);
    });
}

#[test]
fn sampled_elbo_agrees_within_its_standard_error() {
    let mut deviations = Vec::new();
    for_each_case(false, |_, file, _, input| {
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let exact = model.elbo_sigma_points(input, &mut scratch).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(deviations.len() as u64);
        let sampled = model.elbo(input, 400, &mut rng, &mut scratch).unwrap();
        deviations.push((sampled.elbo - exact.elbo) / sampled.standard_error);
    });
    // 96 deviations, each nearly N(0, 1): beyond 4.5 with a chance of 7e-4 altogether; the seed is fixed. Their mean
    // square is 1 with a standard deviation of √(2/96) = 0.14; four of them are allowed.
    let mean_square = deviations.iter().map(|d| d * d).sum::<f32>() / deviations.len() as f32;
    assert!(deviations.iter().all(|d| d.abs() < 4.5), "{deviations:?}");
    assert!((mean_square - 1.0).abs() < 0.58, "{mean_square}");
}

#[test]
fn importance_weights_are_constant_where_the_encoder_is_the_exact_posterior() {
    for_each_case(true, |exact, file, x, input| {
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let estimate = model.log_likelihood(input, 8, &mut rng, &mut Scratch::new(&mut memory)).unwrap();
        let evidence = exact.log_evidence(x);
        let score = model.elbo_at_mean(input, &mut Scratch::new(&mut memory)).unwrap();
        let allowed = tolerance([score.reconstruction.into(), score.kl.into()]);
        assert!((f64::from(estimate.value) - evidence).abs() <= allowed, "{estimate:?} for {evidence}");
        assert!(f64::from(estimate.standard_error) <= allowed, "{estimate:?}");
    });
}
