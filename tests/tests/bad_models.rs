//! A bad model cannot hurt: any byte string gives a model or an error, and scores are never NaN.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    InferError, LoadError, Model, Scratch, SelfTestError,
    format::{LikelihoodKind, PRELUDE_LEN, PosteriorKind, Precision},
};
use vae_tests::{Family, family_model, varied_model};
use vae_train::model_file::{AlignedFile, ModelFile};

fn bytes(precision: Precision) -> Vec<u8> {
    varied_model(precision, 5).to_bytes().unwrap()
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    let whole = bytes(Precision::Int8);
    for len in 0..whole.len() {
        let error = Model::from_bytes(&whole[..len]).unwrap_err();
        assert!(matches!(error, LoadError::TooShort { found, .. } if found == len), "{len}: {error:?}");
    }
    let mut damaged = whole.clone();
    for bit in 0..8 * whole.len() {
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Model::from_bytes(&damaged).is_err(), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(Model::from_bytes(&damaged).is_ok());
}

#[test]
fn foreign_and_misplaced_files_are_named_as_such() {
    let whole = bytes(Precision::F32);
    assert_eq!(Model::from_bytes(b"\x7fELF").unwrap_err(), LoadError::NotAModel);
    assert_eq!(Model::from_bytes(&[0; 100]).unwrap_err(), LoadError::NotAModel);
    let mut newer = whole.clone();
    newer[4] = 9;
    assert_eq!(Model::from_bytes(&newer).unwrap_err(), LoadError::UnsupportedVersion { found: 9, supported: 1 });
    let mut longer = whole.clone();
    longer.push(0);
    assert!(matches!(Model::from_bytes(&longer).unwrap_err(), LoadError::TooLong { .. }));

    // At an odd address the prelude can be read and the weights cannot.
    let mut words = vec![0u32; whole.len().div_ceil(4) + 1];
    let shifted: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    shifted[1..=whole.len()].copy_from_slice(&whole);
    assert_eq!(Model::from_bytes(&shifted[1..=whole.len()]).unwrap().verify(), Err(LoadError::Misaligned));
}

/// Changes bytes of a body behind a valid checksum and uses whatever loads. The two outcomes that are allowed are an
/// error and a finite score.
#[test]
fn hostile_bodies_give_errors_or_finite_scores() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut refused, mut scored) = (0, 0);
    for precision in [Precision::F32, Precision::Int8] {
        let whole = bytes(precision);
        let sizes = *AlignedFile::new(&whole).model().unwrap().prelude();
        for round in 0..6000 {
            let mut body = whole[PRELUDE_LEN..].to_vec();
            // Mostly near the start, where the structure is dense.
            for _ in 0..rng.random_range(1..4) {
                let end = if round % 2 == 0 { 60 } else { body.len() };
                let at = rng.random_range(0..end);
                body[at] = rng.random();
            }
            if round % 7 == 0 {
                body.truncate(rng.random_range(0..body.len()));
            }
            let mut file = sizes.to_bytes(&body).unwrap().to_vec();
            file.extend_from_slice(&body);
            let file = AlignedFile::new(&file);
            let model = file.model().unwrap();
            let mut memory = vec![0.0; model.scratch_len()];
            let mut scratch = Scratch::new(&mut memory);
            let sound = model.verify().is_ok();
            match model.elbo_at_mean(&[1.0f32; 30], &mut scratch) {
                Ok(score) => {
                    assert!(score.elbo.is_finite() && score.kl.is_finite());
                    scored += 1;
                }
                Err(error) => {
                    assert!(!sound || !matches!(error, InferError::Model(_)), "verified, yet {error}");
                    refused += 1;
                }
            }
            let _ = model.self_test(&mut scratch);
        }
    }
    assert!(refused > 1000 && scored > 1000, "{refused} refused, {scored} scored: one outcome is hardly tried");
}

#[test]
fn a_model_that_scores_otherwise_fails_its_self_test() {
    let mut file = varied_model(Precision::Int8, 5);
    let good = AlignedFile::new(&file.to_bytes().unwrap());
    let mut memory = vec![0.0; good.model().unwrap().scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    assert_eq!(good.model().unwrap().self_test(&mut scratch), Ok(()));

    // The golden scores of one model in the file of another: exchange the tails behind the layers.
    file.decoder[0].bias[0] += 0.5;
    let other = file.to_bytes().unwrap();
    let good = good.bytes().to_vec();
    let tail = 2 * (4 * 30 + 12) + 40;
    let mut body = good[PRELUDE_LEN..good.len() - tail].to_vec();
    body.extend_from_slice(&other[other.len() - tail..]);
    let mut mixed = AlignedFile::new(&good).model().unwrap().prelude().to_bytes(&body).unwrap().to_vec();
    mixed.extend_from_slice(&body);
    let mixed = AlignedFile::new(&mixed);
    let result = mixed.model().unwrap().self_test(&mut scratch);
    assert!(matches!(result, Err(SelfTestError::Differs { .. })), "{result:?}");
}

#[test]
fn wrong_inputs_are_errors_with_numbers() {
    let file = AlignedFile::new(&bytes(Precision::Int8));
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut x = [0.0; 30];
    {
        let mut small = Scratch::new(&mut memory[1..]);
        let needed = model.scratch_len();
        let error = model.elbo_at_mean(&x, &mut small).unwrap_err();
        assert_eq!(error, InferError::ScratchTooSmall { needed, found: needed - 1 });
    }
    let mut scratch = Scratch::new(&mut memory);
    let error = model.elbo_at_mean(&x[..29], &mut scratch).unwrap_err();
    assert_eq!(error, InferError::WrongLength { needed: 30, found: 29 });
    x[7] = f32::NEG_INFINITY;
    assert_eq!(model.encode(&x, &mut scratch).unwrap_err(), InferError::Infinite { feature: 7 });
    x[7] = f32::NAN;
    assert_eq!(model.elbo_at_mean(&x, &mut scratch).unwrap().missing, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    assert_eq!(model.elbo(&x, 0, &mut rng, &mut scratch).unwrap_err(), InferError::NoSamples);
    assert_eq!(model.log_likelihood(&x, 0, &mut rng, &mut scratch).unwrap_err(), InferError::NoSamples);
    let error = model.decode(&[0.0; 4], &mut [0.0; 30], &mut scratch).unwrap_err();
    assert_eq!(error, InferError::WrongLength { needed: 3, found: 4 });
    // The ends of what f32 holds are scored, not refused: nothing is clipped away before a billion deviations.
    for extreme in [f32::MAX, -f32::MAX, 1e30, 1e-40] {
        assert!(model.elbo_at_mean(&[extreme; 30], &mut scratch).unwrap().elbo.is_finite());
    }
}

/// Scores of a small model after `change`, for one input.
fn score_changed(
    posterior: PosteriorKind,
    likelihood: LikelihoodKind,
    x: &[f32],
    change: impl FnOnce(&mut ModelFile),
) -> Result<f32, InferError> {
    let mut file = family_model(Family { posterior, likelihood, conditions: 0 }, Precision::F32, 9);
    file.golden_inputs.clear();
    change(&mut file);
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    if let Ok(q) = model.encode(x, &mut scratch) {
        assert!(q.kl() >= -1e-5 && q.kl().is_finite(), "{}", q.kl());
    }
    model.elbo_at_mean(x, &mut scratch).map(|score| score.elbo)
}

#[test]
fn extreme_parameters_give_errors_or_limits_and_never_nan() {
    use LikelihoodKind::{Bernoulli, GaussianFixed, GaussianPredicted};
    use PosteriorKind::{DiagonalGaussian, FullGaussian};
    let x = [0.5; 7];
    let error = InferError::OutsideUnitInterval { feature: 1, value: 1.5 };
    assert_eq!(score_changed(DiagonalGaussian, Bernoulli, &[0.5, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0], |_| ()), Err(error));

    // Logits beyond the range of f32.
    let infinite = |file: &mut ModelFile| file.decoder[1].weights.iter_mut().for_each(|w| *w = 3e38);
    assert_eq!(score_changed(DiagonalGaussian, Bernoulli, &x, infinite), Err(InferError::Overflow));
    // Logits of ±100 cost a hundred nats each and no more.
    let hundred = |sign: f32| move |file: &mut ModelFile| file.decoder[1].bias.fill(100.0 * sign);
    for sign in [1.0, -1.0] {
        let elbo = score_changed(DiagonalGaussian, Bernoulli, &x, hundred(sign)).unwrap();
        assert!((-400.0..-300.0).contains(&elbo), "seven features at half of 100 nats: {elbo}");
    }
    // Log-variances far beyond their bounds are limited, not exponentiated.
    let spread = |value: f32, latent: usize| move |file: &mut ModelFile| file.encoder[1].bias[latent..].fill(value);
    for value in [1e9, -1e9] {
        assert!(score_changed(DiagonalGaussian, GaussianFixed, &x, spread(value, 3)).unwrap().is_finite());
    }
    // A Cholesky factor whose entries overflow the covariance.
    assert_eq!(score_changed(FullGaussian, GaussianFixed, &x, spread(3e38, 3)), Err(InferError::Overflow));
    let predicted = |file: &mut ModelFile| file.decoder[1].bias.iter_mut().skip(1).step_by(2).for_each(|v| *v = -1e9);
    assert!(score_changed(FullGaussian, GaussianPredicted, &x, predicted).unwrap().is_finite());
}
