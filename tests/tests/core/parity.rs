//! The exported file against the trained weights: f32 against an independent f64 computation, int8 against f32.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;
use vae_core::{
    Score, Scratch,
    format::{LikelihoodKind, Precision},
};
use vae_tests::{plain_model, random_layer, varied_model};
use vae_train::{
    file::model_file::{AlignedFile, ModelFile},
    run::tensor_file::safetensors,
};

/// Scores windows of another program's: reads names, shapes and activations from the safetensors file alone, in f64.
struct Recomputed {
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
    metadata: HashMap<String, String>,
}

impl Recomputed {
    fn read(bytes: &[u8]) -> Self {
        let (_, header) = SafeTensors::read_metadata(bytes).unwrap();
        let tensors = SafeTensors::deserialize(bytes).unwrap();
        let values = |data: &[u8]| data.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect();
        Self {
            tensors: tensors
                .iter()
                .map(|(name, t)| (name.to_owned(), (t.shape().to_vec(), values(t.data()))))
                .collect(),
            metadata: header.metadata().clone().unwrap(),
        }
    }

    fn tensor(&self, name: &str) -> &[f64] {
        &self.tensors[name].1
    }

    fn forward(&self, half: &str, mut x: Vec<f64>) -> Vec<f64> {
        for index in 0.. {
            let Some((shape, weights)) = self.tensors.get(&format!("{half}.{index}.weight")) else { break };
            let activation = self.metadata[&format!("{half}.{index}.activation")].as_str();
            let bias = self.tensor(&format!("{half}.{index}.bias"));
            x = (0..shape[0])
                .map(|row| {
                    let sum: f64 = weights[row * shape[1]..][..shape[1]].iter().zip(&x).map(|(w, x)| w * x).sum();
                    let v = sum + bias[row];
                    match activation {
                        "Identity" => v,
                        "Relu" => v.max(0.0),
                        "LeakyRelu(0.1)" => {
                            if v > 0.0 {
                                v
                            } else {
                                f64::from(0.1f32) * v
                            }
                        }
                        "Tanh" => v.tanh(),
                        "Silu" => v / (1.0 + (-v).exp()),
                        "Sigmoid" => 1.0 / (1.0 + (-v).exp()),
                        "Softplus" => v.exp().ln_1p(),
                        other => panic!("unknown activation {other}"),
                    }
                })
                .collect();
        }
        x
    }

    /// Reconstruction at the mean, and KL.
    fn score(&self, x: &[f32]) -> (f64, f64) {
        let (mean, scale) = (self.tensor("standardiser.mean"), self.tensor("standardiser.scale"));
        let x: Vec<f64> = x.iter().zip(mean.iter().zip(scale)).map(|(x, (m, s))| (f64::from(*x) - m) / s).collect();
        let parameters = self.forward("encoder", x.clone());
        let (z, log_variance) = parameters.split_at(parameters.len() / 2);
        let kl = z.iter().zip(log_variance).map(|(m, v)| 0.5 * (v.exp() + m * m - 1.0 - v)).sum();
        let outputs = self.forward("decoder", z.to_vec());
        let pairs = x.iter().zip(&outputs);
        let reconstruction = match self.metadata["likelihood"].as_str() {
            "Bernoulli" => pairs.map(|(x, l)| x * l - l.exp().ln_1p()).sum(),
            _ => {
                let constants = self.tensor("likelihood.variance").iter().zip(scale);
                let nats = |((x, m), (v, s)): ((&f64, &f64), (&f64, &f64))| {
                    -0.5 * ((x - m).powi(2) / v + (std::f64::consts::TAU * v).ln()) - s.ln()
                };
                pairs.zip(constants).map(nats).sum()
            }
        };
        (reconstruction, kl)
    }
}

fn scores(file: &ModelFile, windows: &[Vec<f32>]) -> Vec<Score> {
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    windows.iter().map(|x| model.elbo_at_mean(&x[..], &mut Scratch::new(&mut memory)).unwrap()).collect()
}

fn random_windows(features: usize, low: f32, high: f32) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    (0..50).map(|_| (0..features).map(|_| rng.random_range(low..high)).collect()).collect()
}

fn bernoulli_model() -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    use vae_core::Activation::{Identity, Tanh};
    let encoder = vec![random_layer(&mut rng, 11, 23, Tanh, 2.0), random_layer(&mut rng, 8, 11, Identity, 2.0)];
    let decoder = vec![random_layer(&mut rng, 11, 4, Tanh, 2.0), random_layer(&mut rng, 23, 11, Identity, 4.0)];
    plain_model(encoder, decoder, LikelihoodKind::Bernoulli, 1.0)
}

#[test]
fn safetensors_and_the_format_are_enough_to_recompute_a_score() {
    for (file, low, high) in [(varied_model(Precision::F32, 1), -6.0, 6.0), (bernoulli_model(), 0.0, 1.0)] {
        let recomputed = Recomputed::read(&safetensors(&file).unwrap());
        let windows = random_windows(file.mean.len(), low, high);
        for (x, score) in windows.iter().zip(scores(&file, &windows)) {
            let (reconstruction, kl) = recomputed.score(x);
            // Relative to the score's own size: the chain of layers loses a few of f32's 7 digits.
            let allowed = |value: f64| 2e-5 * value.abs() + 1e-4;
            assert!(
                (f64::from(score.reconstruction) - reconstruction).abs() <= allowed(reconstruction),
                "{score:?} {reconstruction}"
            );
            assert!((f64::from(score.kl) - kl).abs() <= allowed(kl), "{score:?} {kl}");
        }
    }
}

#[test]
fn windows_of_i16_samples_score_as_the_same_numbers() {
    for precision in [Precision::F32, Precision::Int8] {
        let file = AlignedFile::new(&varied_model(precision, 4).to_bytes().unwrap());
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        for spread in [1, 7, 900, 1092] {
            let samples: Vec<i16> = (0..30).map(|index| (index * 7 % 31 - 15) * spread).collect();
            let numbers: Vec<f32> = samples.iter().copied().map(f32::from).collect();
            let found = model.elbo_at_mean(&samples[..], &mut scratch).unwrap();
            assert_eq!(found, model.elbo_at_mean(&numbers[..], &mut scratch).unwrap());
        }
    }
}

#[test]
fn int8_scores_are_close_to_f32_scores() {
    for (mut file, low, high) in [(varied_model(Precision::F32, 2), -3.0, 3.0), (bernoulli_model(), 0.0, 1.0)] {
        let windows = random_windows(file.mean.len(), low, high);
        let f32_scores = scores(&file, &windows);
        file.precision = Precision::Int8;
        let (mut total, mut different) = (0.0, 0);
        for (int8, f32) in scores(&file, &windows).iter().zip(&f32_scores) {
            different += usize::from(int8.elbo != f32.elbo);
            total += (int8.elbo - f32.elbo).abs() / f32.elbo.abs();
        }
        // Weights and activations err by 1/254 of the largest of their row or vector, at random.
        assert!(total / 50.0 < 0.02, "mean relative shift {}", total / 50.0);
        assert!(different > 40, "int8 computes as f32 does");
    }
}

#[test]
fn decoding_the_mean_gives_the_means_of_the_likelihood() {
    let file = varied_model(Precision::F32, 1);
    let recomputed = Recomputed::read(&safetensors(&file).unwrap());
    let aligned = AlignedFile::new(&file.to_bytes().unwrap());
    let model = aligned.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let z = [0.3, -1.0, 2.0];
    let mut mean = vec![0.0; model.features()];
    model.decode(&z, &mut mean[..], &mut Scratch::new(&mut memory)).unwrap();
    let outputs = recomputed.forward("decoder", z.iter().map(|z| f64::from(*z)).collect());
    for ((found, output), (m, s)) in mean.iter().zip(outputs).zip(file.mean.iter().zip(&file.scale)) {
        let expected = output * f64::from(*s) + f64::from(*m);
        assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} for {expected}");
    }
}
