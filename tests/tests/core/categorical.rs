//! Categorical latents: scores against enumeration of all latent vectors, what is generated, and files that say what no latents have.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::{
    InferError, LoadError, Model, Scratch,
    format::{LikelihoodKind, PRELUDE_LEN, PosteriorKind, Precision},
};
use vae_tests::{Family, family_model};
use vae_train::file::model_file::{AlignedFile, ModelFile};

const CATEGORIES: usize = 4;
const X: [f32; 7] = [0.4, 0.1, 0.9, -0.2, 0.3, 0.0, 1.0];

/// Two latents of four categories.
fn categorical(likelihood: LikelihoodKind, precision: Precision) -> ModelFile {
    let posterior = PosteriorKind::Categorical { categories: CATEGORIES as u32 };
    family_model(Family { posterior, likelihood, conditions: 0 }, precision, 4)
}

/// All sixteen latent vectors.
fn states() -> impl Iterator<Item = [f32; 2 * CATEGORIES]> {
    (0..CATEGORIES * CATEGORIES).map(|state| {
        let mut z = [0.0; 2 * CATEGORIES];
        z[state % CATEGORIES] = 1.0;
        z[CATEGORIES + state / CATEGORIES] = 1.0;
        z
    })
}

#[test]
fn categorical_latents_score_sample_and_refuse_sigma_points() {
    for precision in [Precision::F32, Precision::Int8] {
        let file = AlignedFile::new(&categorical(LikelihoodKind::GaussianFixed, precision).to_bytes().unwrap());
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        model.self_test(&mut scratch).unwrap();
        assert_eq!(model.elbo_sigma_points(&X, &mut scratch), Err(InferError::Unsupported));
        // ln p(x) and the ELBO by enumeration.
        let (mut evidence, mut elbo, mut work) = (0.0, 0.0, [0.0; 2 * CATEGORIES]);
        for z in states() {
            let joint = f64::from(model.log_joint(&X, &z, &mut scratch).unwrap());
            let q = model.encode(&X, &mut scratch).unwrap();
            let log_q = f64::from(q.log_density(&z, &mut work).unwrap());
            assert!(
                (f64::from(model.log_prior(&z).unwrap()) + (CATEGORIES as f64 * CATEGORIES as f64).ln()).abs() < 1e-6
            );
            evidence += joint.exp();
            elbo += log_q.exp() * (joint - log_q);
        }
        let exact = f64::ln(evidence);
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let estimate = model.log_likelihood(&X, 4000, &mut rng, &mut scratch).unwrap();
        let allowed = 5.0 * f64::from(estimate.standard_error) + 1e-4;
        assert!((f64::from(estimate.value) - exact).abs() < allowed, "{estimate:?} for {exact}");
        let sampled = model.elbo(&X, 4000, &mut rng, &mut scratch).unwrap();
        let allowed = 5.0 * f64::from(sampled.standard_error) + 1e-4;
        assert!((f64::from(sampled.elbo) - elbo).abs() < allowed, "{sampled:?} for {elbo}");
        let decomposed = model.evidence(&X, 4000, &mut rng, &mut scratch).unwrap();
        let allowed = 5.0 * f64::from(decomposed.elbo.standard_error) + 1e-4;
        assert!((f64::from(decomposed.elbo.elbo) - elbo).abs() < allowed, "{decomposed:?} for {elbo}");
        assert!(elbo < exact, "{elbo} {exact}");
        // At the mean, of which the KL is that of the ELBO.
        let at_mean = model.elbo_at_mean(&X, &mut scratch).unwrap();
        assert_eq!(at_mean.kl, sampled.kl);
    }
}

#[test]
fn what_is_generated_of_categorical_latents_is_a_mixture_of_its_categories() {
    const DRAWS: usize = 40_000;
    let file = AlignedFile::new(&categorical(LikelihoodKind::GaussianFixed, Precision::F32).to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut decoded = |z: &[f32]| {
        let mut mean = [0.0f32; 7];
        model.decode(z, &mut mean, &mut scratch).unwrap();
        f64::from(mean[0])
    };
    let means: Vec<f64> = states().map(|z| decoded(&z)).collect();
    let exact = means.iter().sum::<f64>() / means.len() as f64;
    let within = 0.4 * 0.7 * 0.7; // the likelihood's variance
    let variance = within + means.iter().map(|mean| (mean - exact).powi(2)).sum::<f64>() / means.len() as f64;
    let (mut rng, mut sum, mut z, mut x) = (ChaCha8Rng::seed_from_u64(2), 0.0, [0.0; 2 * CATEGORIES], [0.0; 7]);
    for _ in 0..DRAWS {
        model.sample_prior(&mut rng, &mut z).unwrap();
        model.decode_sample(&z, &mut rng, &mut x, &mut scratch).unwrap();
        sum += f64::from(x[0]);
    }
    // Five standard errors.
    let (found, n) = (sum / DRAWS as f64, DRAWS as f64);
    assert!((found - exact).abs() < 5.0 * (variance / n).sqrt(), "{found} for {exact}");
}

#[test]
fn categories_that_no_latents_have_are_refused_and_harm_nothing() {
    let bytes = categorical(LikelihoodKind::Bernoulli, Precision::F32).to_bytes().unwrap();
    // Behind the prelude: precision, the posterior's variant and its categories, a byte each.
    assert_eq!(bytes[PRELUDE_LEN..][..3], [0, 3, CATEGORIES as u8]);
    let model = |file: &AlignedFile| -> Result<(), LoadError> { Model::from_bytes(file.bytes())?.verify() };
    assert_eq!(model(&AlignedFile::new(&bytes)), Ok(()));
    for (categories, is_sound) in [(0, false), (3, false), (9, false), (127, false), (1, true), (2, true), (8, true)] {
        let mut bytes = bytes.clone();
        bytes[PRELUDE_LEN + 2] = categories;
        let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
        let file = AlignedFile::new(&bytes);
        assert_eq!(model(&file).is_ok(), is_sound, "{categories}");
        // Also where nothing has been checked.
        let model = Model::from_bytes(file.bytes()).unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let x = [0.5; 7];
        let (mut rng, mut z) = (ChaCha8Rng::seed_from_u64(2), [0.0; 8]);
        assert_eq!(model.elbo_at_mean(&x, &mut scratch).is_ok(), is_sound, "{categories}");
        assert_eq!(model.elbo(&x, 3, &mut rng, &mut scratch).is_ok(), is_sound, "{categories}");
        model.sample_prior(&mut rng, &mut z).unwrap();
        if is_sound {
            assert_eq!(z.iter().sum::<f32>(), f32::from(8 / categories), "{categories}: {z:?}");
        }
    }
}
