//! Generation and attributes in the core: what the model file holds is what comes out.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, InferError, Scratch,
    format::{LikelihoodKind, PosteriorKind, Precision},
};
use vae_tests::{Family, family_model};
use vae_train::{
    file::model_file::{AlignedFile, ModelFile},
    weights::{dense::Dense, second_stage::SecondStage},
};

const DRAWS: usize = 40_000;

fn gaussian(likelihood: LikelihoodKind, conditions: usize) -> ModelFile {
    let family = Family { posterior: PosteriorKind::DiagonalGaussian, likelihood, conditions };
    family_model(family, Precision::F32, 2)
}

/// Mean and variance of each of the three latents over many draws.
fn moments(mut draw: impl FnMut(&mut [f32])) -> [(f64, f64); 3] {
    let (mut sum, mut squares, mut z) = ([0.0; 3], [0.0; 3], [0.0; 3]);
    for _ in 0..DRAWS {
        draw(&mut z);
        for axis in 0..3 {
            sum[axis] += f64::from(z[axis]);
            squares[axis] += f64::from(z[axis]).powi(2);
        }
    }
    let n = DRAWS as f64;
    [0, 1, 2].map(|axis| (sum[axis] / n, squares[axis] / n - (sum[axis] / n).powi(2)))
}

/// Five standard errors of a mean, and as many of a variance whose kurtosis is at most 10.
fn check(found: [(f64, f64); 3], expected: [(f64, f64); 3]) {
    for ((mean, variance), (exact_mean, exact_variance)) in found.into_iter().zip(expected) {
        let n = DRAWS as f64;
        assert!((mean - exact_mean).abs() < 5.0 * (exact_variance / n).sqrt(), "mean {mean} for {exact_mean}");
        assert!(
            (variance / exact_variance - 1.0).abs() < 5.0 * (9.0 / n).sqrt(),
            "variance {variance} for {exact_variance}"
        );
    }
}

#[test]
fn latent_vectors_have_the_moments_of_their_source() {
    let file = AlignedFile::new(&gaussian(LikelihoodKind::GaussianFixed, 0).to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let standard = ModelFile { prior: None, ..gaussian(LikelihoodKind::GaussianFixed, 0) };
    let standard = AlignedFile::new(&standard.to_bytes().unwrap());
    check(moments(|z| standard.model().unwrap().sample_prior(&mut rng, z).unwrap()), [(0.0, 1.0); 3]);

    // Weights, means and deviations of `family_model`: E v = Σ w m, Var v = Σ w (s² + m²) − (E v)².
    let components = [(0.7, [0.5, 0.0, -1.0], [0.8, 1.2, 0.5]), (0.3, [-0.5, 1.5, 0.0], [1.5f64, 0.4, 1.0])];
    let exact = [0, 1, 2].map(|axis| {
        let mean: f64 = components.iter().map(|(w, m, _)| w * m[axis]).sum();
        let second: f64 = components.iter().map(|(w, m, s)| w * (m[axis] * m[axis] + s[axis] * s[axis])).sum();
        (mean, second - mean * mean)
    });
    check(moments(|z| model.sample_prior(&mut rng, z).unwrap()), exact);
    let components = [(0.25, [-2.0, 0.0, 1.0], [0.1, 0.2, 0.3]), (0.75, [1.0, 0.5, -0.5], [0.4f64, 0.5, 0.6])];
    let exact = [0, 1, 2].map(|axis| {
        let mean: f64 = components.iter().map(|(w, m, _)| w * m[axis]).sum();
        let second: f64 = components.iter().map(|(w, m, s)| w * (m[axis] * m[axis] + s[axis] * s[axis])).sum();
        (mean, second - mean * mean)
    });
    check(moments(|z| model.sample_aggregate(&mut rng, z).unwrap()), exact);

    // The second stage has no closed form: its mean over the grid of u, by quadrature of the layers in f64.
    let spec = gaussian(LikelihoodKind::GaussianFixed, 0);
    let stage = spec.second_stage.unwrap();
    let forward = |u: [f64; 2]| -> Vec<f64> {
        let mut values = u.to_vec();
        for (index, layer) in stage.decoder.iter().enumerate() {
            values = (0..layer.rows)
                .map(|row| {
                    let weights = &layer.weights[row * layer.columns..][..layer.columns];
                    let sum: f64 = weights.iter().zip(&values).map(|(w, v)| f64::from(*w) * v).sum();
                    let v = sum + f64::from(layer.bias[row]);
                    if index == 0 { v.tanh() } else { v }
                })
                .collect();
        }
        values
    };
    let step = 0.1;
    let mut sums = [(0.0, 0.0); 3];
    for i in -60..=60 {
        for j in -60..=60 {
            let u = [f64::from(i) * step, f64::from(j) * step];
            let mass = (-0.5 * (u[0] * u[0] + u[1] * u[1])).exp() * step * step / std::f64::consts::TAU;
            for (sum, value) in sums.iter_mut().zip(forward(u)) {
                sum.0 += mass * value;
                sum.1 += mass * value * value;
            }
        }
    }
    let exact = [0, 1, 2].map(|axis| {
        let (mean, second) = sums[axis];
        (mean, second - mean * mean + f64::from(stage.deviation[axis]).powi(2))
    });
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    check(moments(|z| model.sample_second_stage(&mut rng, z, &mut scratch).unwrap()), exact);
}

#[test]
fn a_second_stage_may_be_given_the_condition() {
    // A linear stage: z = A (u, c̃) + b + s ε with c̃ = (c − 0.2) / 1.5, as `family_model` standardises. Given c its mean is A_c c̃ + b, and
    // its variance the squares of A_u and s.
    let spec = gaussian(LikelihoodKind::GaussianFixed, 1);
    let (rows, bias, deviation) = (
        [[1.0f32, 0.5, 0.0, 2.0], [0.0, 0.3, -0.4, -1.0], [0.2, 0.0, 0.6, 0.5]],
        vec![0.5, -0.2, 1.0],
        vec![0.1f32, 0.2, 0.3],
    );
    let stage = |columns: usize| SecondStage {
        decoder: vec![Dense {
            activation: Activation::Identity,
            rows: 3,
            columns,
            weights: rows.iter().flat_map(|row| row.iter().cycle().take(columns).copied()).collect(),
            bias: bias.clone(),
        }],
        deviation: deviation.clone(),
    };
    let file = |columns| ModelFile { second_stage: Some(stage(columns)), ..spec.clone() };
    let bytes = AlignedFile::new(&file(4).to_bytes().unwrap());
    let model = bytes.model().unwrap();
    model.verify().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for condition in [-2.5f32, 3.2] {
        let given = model.given(std::slice::from_ref(&condition)).unwrap();
        let standardised = (f64::from(condition) - 0.2) / 1.5;
        let exact = [0, 1, 2].map(|axis| {
            let row = rows[axis].map(f64::from);
            let variance = row[..3].iter().map(|a| a * a).sum::<f64>() + f64::from(deviation[axis]).powi(2);
            (row[3] * standardised + f64::from(bias[axis]), variance)
        });
        check(moments(|z| given.sample_second_stage(&mut rng, z, &mut scratch).unwrap()), exact);
    }
    let mut z = [0.0; 3];
    let without = model.sample_second_stage(&mut rng, &mut z[..], &mut scratch);
    assert_eq!(without, Err(InferError::WrongCondition { needed: 1, found: 0 }));
    // Its own latent vector may be as long as z, and with a condition no shorter and no longer.
    for (columns, is_sound) in [(2, true), (3, true), (5, false)] {
        let bytes = AlignedFile::new(&file(columns).to_bytes().unwrap_or_default());
        let verified = bytes.model().map_err(|_| ()).and_then(|model| model.verify().map_err(|_| ()));
        assert_eq!(verified.is_ok(), is_sound, "{columns} columns");
    }
}

#[test]
fn samples_of_the_likelihood_have_its_mean_and_variance() {
    use LikelihoodKind::{Bernoulli, GaussianFixed, GaussianPredicted};
    for likelihood in [Bernoulli, GaussianFixed, GaussianPredicted] {
        let spec = gaussian(likelihood, 0);
        let file = AlignedFile::new(&spec.to_bytes().unwrap());
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let z = [0.5f32, -1.0, 0.2];
        let (mut mean, mut x) = ([0.0; 7], [0.0; 7]);
        model.decode(&z, &mut mean[..], &mut scratch).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..DRAWS {
            model.decode_sample(&z, &mut rng, &mut x[..], &mut scratch).unwrap();
            sum += f64::from(x[2] - mean[2]);
            squares += f64::from(x[2] - mean[2]).powi(2);
        }
        let n = DRAWS as f64;
        let variance = squares / n - (sum / n).powi(2);
        let expected = match likelihood {
            Bernoulli => f64::from(mean[2] * (1.0 - mean[2])),
            GaussianFixed => 0.4 * 0.49, // of `family_model`: σ² times the scale's square
            _ => {
                // The log density at the mean is −½ ln(2π v) for the variance v in physical units.
                let at = |value: f32| {
                    let mut probe = mean;
                    probe[2] = value;
                    let mut scratch_memory = vec![0.0; model.scratch_len()];
                    let mut scratch = Scratch::new(&mut scratch_memory);
                    f64::from(model.log_joint(&probe, &z, &mut scratch).unwrap())
                };
                0.5 / (at(mean[2]) - at(mean[2] + 1.0))
            }
        };
        assert!((sum / n).abs() < 5.0 * (expected / n).sqrt(), "{likelihood:?}: mean off by {}", sum / n);
        assert!((variance / expected - 1.0).abs() < 0.05, "{likelihood:?}: variance {variance} for {expected}");
    }
}

#[test]
fn attributes_move_and_absent_things_are_errors() {
    let spec = gaussian(LikelihoodKind::GaussianFixed, 0);
    let file = AlignedFile::new(&spec.to_bytes().unwrap());
    let model = file.model().unwrap();
    let names: Vec<_> = model.attributes().unwrap().map(|attribute| attribute.unwrap().0).collect();
    assert_eq!(names, ["load"]);
    let mut z = [1.0; 3];
    model.move_along("load", -2.0, &mut z[..]).unwrap();
    assert_eq!(z, [-1.0, 5.0, 0.0]);
    assert_eq!(model.move_along("speed", 1.0, &mut z[..]), Err(InferError::Absent));

    let bare = ModelFile { mixture: None, second_stage: None, ..spec };
    let file = AlignedFile::new(&bare.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut memory = vec![0.0; model.scratch_len()];
    assert_eq!(model.sample_aggregate(&mut rng, &mut z[..]), Err(InferError::Absent));
    assert_eq!(
        model.sample_second_stage(&mut rng, &mut z[..], &mut Scratch::new(&mut memory)),
        Err(InferError::Absent)
    );
    assert_eq!(model.sample_prior(&mut rng, &mut z[..2]), Err(InferError::WrongLength { needed: 3, found: 2 }));
}

#[test]
fn a_condition_matters_and_must_be_given() {
    let file = AlignedFile::new(&gaussian(LikelihoodKind::GaussianPredicted, 2).to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let x = [0.3; 7];
    let error = InferError::WrongCondition { needed: 2, found: 0 };
    assert_eq!(model.elbo_at_mean(&x, &mut scratch), Err(error));
    assert_eq!(model.decode(&[0.0; 3], &mut [0.0; 7], &mut scratch), Err(error));
    assert_eq!(model.given(&[1.0]).unwrap_err(), InferError::WrongCondition { needed: 2, found: 1 });
    assert_eq!(model.given(&[1.0, f32::NAN]).unwrap_err(), InferError::BadCondition { condition: 1 });
    let mut score = |condition: &[f32]| model.given(condition).unwrap().elbo_at_mean(&x, &mut scratch).unwrap().elbo;
    assert_ne!(score(&[0.0, 1.0]), score(&[1.0, 1.0]));
    assert_eq!(score(&[0.0, 1.0]), score(&[0.0, 1.0]));
}

#[test]
fn bernoulli_latents_score_sample_and_refuse_sigma_points() {
    let family =
        Family { posterior: PosteriorKind::Bernoulli, likelihood: LikelihoodKind::GaussianFixed, conditions: 0 };
    let file = AlignedFile::new(&family_model(family, Precision::F32, 4).to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let x = [0.4f32, 0.1, 0.9, -0.2, 0.3, 0.0, 1.0];
    assert_eq!(model.elbo_sigma_points(&x, &mut scratch), Err(InferError::Unsupported));
    // ln p(x) by enumeration of the eight latent vectors.
    let exact: f64 = (0..8u8)
        .map(|state| {
            let z = [0, 1, 2].map(|latent| f32::from(state >> latent & 1));
            f64::from(model.log_joint(&x, &z, &mut scratch).unwrap()).exp()
        })
        .sum::<f64>()
        .ln();
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let estimate = model.log_likelihood(&x, 4000, &mut rng, &mut scratch).unwrap();
    let allowed = 5.0 * f64::from(estimate.standard_error) + 1e-4;
    assert!((f64::from(estimate.value) - exact).abs() < allowed, "{estimate:?} for {exact}");
    let elbo = model.elbo(&x, 2000, &mut rng, &mut scratch).unwrap();
    assert!(f64::from(elbo.elbo) < exact + 5.0 * f64::from(elbo.standard_error));
}
