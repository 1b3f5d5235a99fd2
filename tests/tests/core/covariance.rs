//! Models whose decoder predicts how features vary together, through the core: scores, blame, gaps and generation, beside dense matrices in f64.

use nalgebra::{DMatrix, DVector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, Scratch,
    format::{COVARIANCE_RANKS, LikelihoodKind, Precision},
    standard_normal,
};
use vae_tests::{plain_model, random_layer};
use vae_train::{
    file::model_file::{AlignedFile, ModelFile},
    weights::dense::Dense,
};

/// A model of two channels × 13 samples: of each rank more than one of the core's chunks of outputs.
fn model(rank: u8, precision: Precision) -> ModelFile {
    let (features, latent, kind) = (26, 3, LikelihoodKind::GaussianCovariance(rank));
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut layers = |widths: [usize; 3]| {
        let hidden = random_layer(&mut rng, widths[1], widths[0], Activation::Tanh, 2.0);
        vec![hidden, random_layer(&mut rng, widths[2], widths[1], Activation::Identity, 2.0)]
    };
    let (encoder, decoder) = (layers([features, 9, 2 * latent]), layers([latent, 8, kind.parameters(features)]));
    ModelFile {
        precision,
        channels: vec!["x".into(), "y".into()],
        window: 13,
        hop: 13,
        mean: (0..features).map(|j| 0.1 * j as f32).collect(),
        scale: (0..features).map(|j| 0.5 + 0.1 * j as f32).collect(),
        golden_inputs: windows(2, 1),
        ..plain_model(encoder, decoder, kind, 1.0)
    }
}

fn windows(count: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (0..26).map(|_| 1.0 + 2.0 * standard_normal(&mut rng)).collect()).collect()
}

/// Mean and covariance of `p(x|z)` in physical units, by the f32 weights in f64.
fn conditional(file: &ModelFile, z: &[f32]) -> (DVector<f64>, DMatrix<f64>) {
    let mut values: Vec<f64> = z.iter().map(|z| f64::from(*z)).collect();
    for layer in &file.decoder {
        let rows = layer.weights.chunks(layer.columns).zip(&layer.bias);
        let sums = rows.map(|(row, bias)| {
            let sum: f64 = row.iter().zip(&values).map(|(w, v)| f64::from(*w) * v).sum();
            sum + f64::from(*bias)
        });
        values = sums.map(|v| if layer.activation == Activation::Tanh { v.tanh() } else { v }).collect();
    }
    let features = file.mean.len();
    let outputs: Vec<&[f64]> = values.chunks(values.len() / features).collect();
    let scale = |j: usize| f64::from(file.scale[j]);
    let mean = DVector::from_fn(features, |j, _| f64::from(file.mean[j]) + scale(j) * outputs[j][0]);
    let covariance = DMatrix::from_fn(features, features, |i, j| {
        let shared: f64 = outputs[i][2..].iter().zip(&outputs[j][2..]).map(|(a, b)| a * b).sum();
        scale(i) * scale(j) * (shared + if i == j { outputs[j][1].clamp(-6.0, 6.0).exp() } else { 0.0 })
    });
    (mean, covariance)
}

/// `ln N(x; mean, covariance)` of what is observed, and its quadratic form.
fn log_density(x: &[f32], mean: &DVector<f64>, covariance: &DMatrix<f64>) -> (f64, f64) {
    let seen: Vec<usize> = (0..x.len()).filter(|j| !x[*j].is_nan()).collect();
    let off = DVector::from_iterator(seen.len(), seen.iter().map(|j| f64::from(x[*j]) - mean[*j]));
    let factor = covariance.select_rows(&seen).select_columns(&seen).cholesky().unwrap();
    let quadratic = off.dot(&factor.solve(&off));
    let log_determinant: f64 = factor.l_dirty().diagonal().iter().map(|l| 2.0 * l.ln()).sum();
    (-0.5 * (quadratic + log_determinant + seen.len() as f64 * std::f64::consts::TAU.ln()), quadratic)
}

#[test]
fn a_score_is_the_density_of_the_covariance_that_the_decoder_gives() {
    for rank in COVARIANCE_RANKS {
        let spec = model(rank, Precision::F32);
        let files = [Precision::F32, Precision::Int8].map(|p| AlignedFile::new(&model(rank, p).to_bytes().unwrap()));
        let [exact, rounded] = [0, 1].map(|file| files[file].model().unwrap());
        let mut memory = vec![0.0; exact.scratch_len().max(rounded.scratch_len())];
        let mut scratch = Scratch::new(&mut memory);
        exact.self_test(&mut scratch).unwrap();
        rounded.self_test(&mut scratch).unwrap();
        let mut spread = 0.0f64;
        for (index, mut x) in windows(20, 3).into_iter().enumerate() {
            if index % 2 == 1 {
                x.iter_mut().skip(index % 5).step_by(3 + index % 4).for_each(|x| *x = f32::NAN);
            }
            let mut z = [0.0; 3];
            exact.encode(&x[..], &mut scratch).unwrap().mean(&mut z[..]).unwrap();
            let (mean, covariance) = conditional(&spec, &z);
            let (nats, quadratic) = log_density(&x, &mean, &covariance);
            let found = f64::from(exact.elbo_at_mean(&x[..], &mut scratch).unwrap().reconstruction);
            assert!((found - nats).abs() < 2e-5 * (nats.abs() + quadratic), "{rank}: {found} for {nats}");

            // What features cost, each given those before it, is what the window costs.
            let (mut costs, mut given) = (0.0, Vec::new());
            let mut each = |feature: usize, nats: f32| {
                costs += f64::from(nats);
                given.push(feature);
            };
            exact.attribute(&x[..], &mut scratch, &mut each).unwrap();
            assert!((costs - 0.5 * quadratic).abs() < 2e-5 * (1.0 + quadratic), "{rank}: {costs} for {quadratic}");
            assert_eq!(given, (0..26).filter(|feature| !x[*feature].is_nan()).collect::<Vec<_>>());

            let int8 = f64::from(rounded.elbo_at_mean(&x[..], &mut scratch).unwrap().reconstruction);
            spread += ((int8 - nats) / nats).abs() / 20.0;
        }
        println!("rank {rank}: int8 is off the log-likelihood by {:.2} % on average", 100.0 * spread);
        assert!(spread < 0.05, "{rank}: {spread}");
    }
}

#[test]
fn what_is_made_up_has_the_mean_and_the_covariance() {
    const DRAWS: usize = 10_000;
    let spec = model(4, Precision::F32);
    let file = AlignedFile::new(&spec.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let z = [0.5f32, -1.0, 0.2];
    let (exact_mean, exact) = conditional(&spec, &z);
    let mut x = [0.0; 26];
    model.decode(&z, &mut x, &mut scratch).unwrap();
    for (found, exact) in x.iter().zip(exact_mean.iter()) {
        assert!((f64::from(*found) - exact).abs() < 1e-5 * (1.0 + exact.abs()), "{found} for {exact}");
    }
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut total, mut products) = (DVector::zeros(26), DMatrix::zeros(26, 26));
    for _ in 0..DRAWS {
        model.decode_sample(&z, &mut rng, &mut x, &mut scratch).unwrap();
        let off = DVector::from_iterator(26, x.iter().map(|x| f64::from(*x))) - &exact_mean;
        products.ger(1.0 / DRAWS as f64, &off, &off, 1.0);
        total += off;
    }
    for i in 0..26 {
        let error = (exact[(i, i)] / DRAWS as f64).sqrt();
        assert!((total[i] / DRAWS as f64).abs() < 5.0 * error, "{i}: mean off by {}", total[i] / DRAWS as f64);
        for j in 0..26 {
            // The standard error of a product's mean (Isserlis).
            let error = ((exact[(i, i)] * exact[(j, j)] + exact[(i, j)].powi(2)) / DRAWS as f64).sqrt();
            let (found, exact) = (products[(i, j)], exact[(i, j)]);
            assert!((found - exact).abs() < 5.0 * error, "{i} {j}: {found} for {exact}");
        }
    }
}

/// A linear decoder whose covariance is the same for all z, and the encoder that is its exact posterior: the evidence has a closed form.
#[test]
fn evidence_of_a_linear_decoder_is_that_of_the_sum_of_its_covariances() {
    let (features, rank) = (5, 2);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut decoder = random_layer(&mut rng, features * (2 + rank), 1, Activation::Identity, 1.0);
    for (row, weight) in decoder.weights.iter_mut().enumerate().filter(|(row, _)| row % (2 + rank) > 0) {
        *weight = 0.0;
        // Of its own a tenth to a half.
        decoder.bias[row] -= if row % (2 + rank) == 1 { 1.5 } else { 0.0 };
    }
    let unknown = Dense {
        activation: Activation::Identity,
        rows: 2,
        columns: features,
        weights: vec![0.0; 2 * features],
        bias: vec![0.0; 2],
    };
    let kind = LikelihoodKind::GaussianCovariance(rank as u8);
    let mut spec = plain_model(vec![unknown], vec![decoder], kind, 1.0);
    let (mean, covariance) = conditional(&spec, &[0.0]);
    let w = conditional(&spec, &[1.0]).0 - &mean;
    let inverse = covariance.clone().try_inverse().unwrap();
    // q(z|x) = N(wᵀ Σ⁻¹ (x − μ) / p, 1 / p), p = 1 + wᵀ Σ⁻¹ w.
    let precision = 1.0 + w.dot(&(&inverse * &w));
    let gain = &inverse * &w / precision;
    spec.encoder[0].weights.iter_mut().zip(gain.iter()).for_each(|(weight, gain)| *weight = *gain as f32);
    spec.encoder[0].bias = vec![-gain.dot(&mean) as f32, -precision.ln() as f32];
    let file = AlignedFile::new(&spec.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let evidence = covariance + &w * w.transpose();
    for _ in 0..20 {
        let x: Vec<f32> = (0..features).map(|_| rng.random_range(-3.0..3.0)).collect();
        let (exact, _) = log_density(&x, &mean, &evidence);
        let bound = f64::from(model.elbo_sigma_points(&x[..], &mut scratch).unwrap().elbo);
        assert!((bound - exact).abs() < 1e-5 * (1.0 + exact.abs()), "{bound} for {exact}");
        // Every draw has the same weight.
        let sampled = model.log_likelihood(&x[..], 10, &mut rng, &mut scratch).unwrap();
        assert!((f64::from(sampled.value) - exact).abs() < 1e-5 * (1.0 + exact.abs()), "{sampled:?} for {exact}");
    }
}

#[test]
fn files_of_another_rank_or_width_are_refused() {
    for rank in [0, 3, 7, 15, 255] {
        assert!(model(rank, Precision::F32).to_bytes().is_err(), "{rank}");
    }
    let mut other = model(4, Precision::F32);
    other.likelihood = LikelihoodKind::GaussianCovariance(2);
    assert!(other.to_bytes().is_err());
    other.likelihood = LikelihoodKind::GaussianPredicted;
    assert!(other.to_bytes().is_err());
}
