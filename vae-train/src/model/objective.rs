//! What training maximises, and how its gradient is estimated.

pub(crate) mod discrete;

use burn::tensor::Tensor;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vae_core::fill_standard_normal;

use crate::{
    cpu::elementwise::{exp, ln},
    model::{
        architecture::Architecture,
        batch::Batch,
        layers::join,
        network::Vae,
        objective::discrete::{number_of_states, states},
        posterior::{Estimator, Samples, kl_per_dimension, kl_to_mixture, log_prior, sample},
    },
    weights::family::Posterior,
};

/// Bound of `ln p(x)` that training maximises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The evidence lower bound, with L samples.
    Elbo,
    /// The importance-weighted bound, with K samples.
    Importance,
}

/// A bound of `ln p(x)` and the way to its gradient.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// The bound.
    pub bound: Bound,
    /// Samples per window: L of the ELBO, K of the importance-weighted bound.
    pub samples: usize,
    /// Weight of the KL, and of `ln p(z) − ln q(z|x)` in importance weights.
    pub beta: f32,
    /// Nats of KL per latent dimension that cost nothing.
    pub free_bits: f32,
    /// How the gradient passes the sampling.
    pub estimator: Estimator,
}

/// The loss of a batch and its parts, each the mean over the batch, in nats of standardised units.
#[derive(Debug)]
pub struct Loss {
    /// What is minimised: its gradient is an unbiased estimate of the negative bound's.
    pub surrogate: Tensor<1>,
    /// The bound, without β and free bits.
    pub bound: Tensor<1>,
    /// `E_q[ln p(x|z)]`
    pub reconstruction: Tensor<1>,
    /// `KL(q(z|x) ‖ p(z))`
    pub kl: Tensor<1>,
}

impl Objective {
    /// The plain bound that this objective maximises, to compare epochs by.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { beta: 1.0, free_bits: 0.0, ..self }
    }

    /// This objective while the KL, and in the importance weights `p(z) / q(z|x)`, weighs only this share, so that the latents are used before they are paid for.
    #[must_use]
    pub fn warming_up(self, share: f32) -> Self {
        Self { beta: share * self.beta, ..self }
    }

    /// Whether the gradient needs a baseline that is learned: a single sample has no others to be compared with.
    #[must_use]
    pub fn has_learned_baseline(&self) -> bool {
        self.estimator == Estimator::ScoreFunction && self.samples == 1
    }

    /// Latent vectors that are decoded of each window: the samples, or all that there are.
    #[must_use]
    pub fn draws(&self, architecture: &Architecture) -> usize {
        match self.estimator {
            Estimator::Enumeration => number_of_states(architecture.posterior, architecture.latent).unwrap_or(0),
            Estimator::Reparameterised | Estimator::ScoreFunction => self.samples,
        }
    }

    /// Noise for a batch: `windows · draws · latent` values, normal or (for discrete latents) uniform; by enumeration the latent vectors themselves.
    #[must_use]
    pub fn noise(&self, architecture: &Architecture, windows: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let count = windows * self.samples * architecture.latent;
        match architecture.posterior {
            Posterior::Diagonal | Posterior::Full => {
                let mut noise = vec![0.0; count];
                fill_standard_normal(&mut noise, rng);
                noise
            }
            _ if self.estimator == Estimator::Enumeration => {
                let states = states(architecture.posterior, architecture.latent);
                states.chunks_exact(architecture.latent).flat_map(|state| state.repeat(windows)).collect()
            }
            Posterior::Bernoulli | Posterior::Categorical { .. } => {
                (0..count).map(|_| rand::RngExt::random::<f32>(rng)).collect()
            }
        }
    }

    /// The loss of a batch with `noise` `[draws · windows, latent]`, all windows of the first draw first.
    ///
    /// # Source
    /// ELBO: Kingma & Welling (2014), equation 10. Importance-weighted bound: Burda, Grosse & Salakhutdinov (2016),
    /// equation 8. Score function: Williams (1992), seed text "Variational autoencoders", "REINFORCE"; the baseline of each
    /// sample is the mean of the others (Kool, van Hoof & Welling 2019), and of a single one a network's (Mnih & Gregor 2014). β: Higgins et al. (2017). Free bits: Kingma et al.
    /// (2016), appendix C.8.
    #[must_use]
    pub fn loss(&self, network: &Vae, batch: Batch, noise: Tensor<2>) -> Loss {
        let architecture = network.architecture();
        let [windows, _] = batch.x.dims();
        let samples = self.draws(architecture);
        let parameters = network.encode(&batch);
        let kl_each = match &network.prior {
            None => kl_per_dimension(architecture, parameters.clone()),
            Some(prior) => kl_to_mixture(prior, architecture, parameters.clone()),
        };
        let repeated = repeat(parameters, samples);
        let baseline = network.baseline.as_ref().filter(|_| self.has_learned_baseline());
        let expected = baseline.map(|baseline| (baseline, baseline.expected(join(batch.x.clone(), &batch.condition))));
        let batch = Batch {
            x: repeat(batch.x, samples),
            observed: batch.observed.map(|observed| repeat(observed, samples)),
            condition: batch.condition.map(|condition| repeat(condition, samples)),
            blurred: None,
        };
        let Samples { z, log_density } = sample(architecture, self.estimator, repeated, noise);
        let conditional = network.log_conditional(batch, z.clone());

        let scale = 1.0 / windows as f32;
        let mean = |values: Tensor<2>| values.sum().mul_scalar(scale / samples as f32);
        let kl = kl_each.clone().sum().mul_scalar(scale);
        let reconstruction = match self.estimator {
            Estimator::Enumeration => (exp(log_density.clone()) * conditional.clone()).sum().mul_scalar(scale),
            Estimator::Reparameterised | Estimator::ScoreFunction => mean(conditional.clone()),
        };
        match self.bound {
            Bound::Elbo => {
                let paid = if self.free_bits > 0.0 {
                    // On the mean over the batch, as in the paper.
                    kl_each.sum_dim(0).mul_scalar(scale).clamp_min(self.free_bits).sum()
                } else {
                    kl.clone()
                };
                let mut surrogate = paid.mul_scalar(self.beta) - reconstruction.clone();
                if self.estimator == Estimator::ScoreFunction {
                    let found = conditional.detach();
                    let advantage = match expected {
                        None => leave_one_out(found, windows, samples),
                        Some((baseline, expected)) => {
                            surrogate = surrogate + baseline.loss(expected.clone(), found.clone());
                            found - expected.detach()
                        }
                    };
                    // Its value is that of the terms left out of the graph; only its gradient matters.
                    surrogate = surrogate - mean(advantage * log_density);
                }
                Loss { surrogate, bound: reconstruction.clone() - kl.clone(), reconstruction, kl }
            }
            Bound::Importance => {
                let log_prior = match &network.prior {
                    None => log_prior(architecture, z),
                    Some(prior) => prior.log_density(z.clone(), z.clone() * z),
                };
                let paid = log_prior - log_density;
                let weighted = |beta: f32| {
                    let log_weight = (conditional.clone() + paid.clone().mul_scalar(beta)).reshape([samples, windows]);
                    let largest = log_weight.clone().detach().max_dim(0);
                    let sum = ln(exp(log_weight - largest.clone()).sum_dim(0)) + largest;
                    sum.sub_scalar(libm::logf(samples as f32)).sum().mul_scalar(scale)
                };
                let bound = weighted(1.0);
                let surrogate = if self.beta == 1.0 { bound.clone() } else { weighted(self.beta) };
                Loss { surrogate: surrogate.neg(), bound, reconstruction, kl }
            }
        }
    }
}

/// Each sample's value less the mean of the window's other samples: a baseline that does not depend on the sample, so that
/// the estimate stays unbiased. A single sample has none.
fn leave_one_out(values: Tensor<2>, windows: usize, samples: usize) -> Tensor<2> {
    if samples == 1 {
        return values;
    }
    let by_sample = values.reshape([samples, windows]);
    let mean = by_sample.clone().mean_dim(0);
    // v − (S m − v) / (S − 1) = (v − m) S / (S − 1)
    (by_sample - mean).mul_scalar(samples as f32 / (samples - 1) as f32).reshape([samples * windows, 1])
}

fn repeat(values: Tensor<2>, samples: usize) -> Tensor<2> {
    if samples == 1 { values } else { values.repeat_dim(0, samples) }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the estimators' variances are figures worth seeing, with --nocapture")]
mod tests {
    use burn::tensor::{Device, TensorData};
    use rand::SeedableRng;
    use vae_core::Activation;

    use super::*;
    use crate::{
        cpu::tensor::read,
        weights::family::{HiddenActivation, Likelihood},
    };

    pub(super) const X: [f32; 4] = [0.7, -1.2, 0.3, 1.0];
    const REPEATS: usize = 3000;

    pub(super) fn architecture(posterior: Posterior) -> Architecture {
        Architecture {
            features: 4,
            conditions: 0,
            hidden: Vec::new(),
            latent: if let Posterior::Categorical { categories } = posterior { 2 * categories } else { 2 },
            prior: 0,
            activation: HiddenActivation::Identity,
            posterior,
            likelihood: Likelihood::GaussianFixed,
            variance: 0.5,
            variance_floor: 0.1,
            covariance_rank: 0,
            variance_floors: vec![0.1; 4],
            families: Vec::new(),
        }
    }

    /// Mean and variance of the gradient of the negative ELBO with respect to the posterior's parameters, which for one
    /// window are the encoder's bias, over many repeats.
    pub(super) fn gradient(posterior: Posterior, estimator: Estimator, samples: usize) -> Vec<(f64, f64)> {
        let device = Device::flex().autodiff();
        gradient_of(&Vae::init(&architecture(posterior), 3, &device), estimator, samples, &device)
    }

    /// The loss of the one window by drawn noise.
    pub(super) fn one_window(objective: Objective, network: &Vae, rng: &mut ChaCha8Rng, device: &Device) -> Loss {
        let architecture = network.architecture();
        let noise = objective.noise(architecture, 1, rng);
        let noise = TensorData::new(noise, [objective.draws(architecture), architecture.latent]);
        objective.loss(network, Batch::new(X.to_vec(), architecture, device), Tensor::from_data(noise, device))
    }

    pub(super) fn gradient_of(network: &Vae, estimator: Estimator, samples: usize, device: &Device) -> Vec<(f64, f64)> {
        let objective = Objective { bound: Bound::Elbo, samples, beta: 1.0, free_bits: 0.0, estimator };
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let gradients: Vec<Vec<f32>> = (0..REPEATS)
            .map(|_| {
                let loss = one_window(objective, network, &mut rng, device);
                let bias = network.encoder[0].bias.as_ref().unwrap().val();
                let gradient = bias.grad(&loss.surrogate.backward()).unwrap();
                read(gradient).unwrap()
            })
            .collect();
        (0..gradients[0].len())
            .map(|index| {
                let values = || gradients.iter().map(|gradient| f64::from(gradient[index]));
                let mean = values().sum::<f64>() / REPEATS as f64;
                (mean, values().map(|v| (v - mean).powi(2)).sum::<f64>() / (REPEATS - 1) as f64)
            })
            .collect()
    }

    /// The network's posterior parameters for `X`, and its decoder's weights by row, and bias, in f64.
    pub(super) fn parts(posterior: Posterior) -> (Vec<f64>, Vec<Vec<f64>>, Vec<f64>) {
        let architecture = architecture(posterior);
        let weights = Vae::init(&architecture, 3, &Device::flex()).weights().unwrap();
        assert!(weights.encoder.len() == 1 && weights.decoder[0].activation == Activation::Identity);
        let rows = |layer: &crate::weights::dense::Dense| -> Vec<Vec<f64>> {
            layer.weights.chunks(layer.columns).map(|row| row.iter().map(|w| f64::from(*w)).collect()).collect()
        };
        let (encoder, decoder) = (&weights.encoder[0], &weights.decoder[0]);
        let encoder_rows = rows(encoder);
        let outputs = encoder_rows
            .iter()
            .zip(&encoder.bias)
            .map(|(row, bias)| row.iter().zip(X).map(|(w, x)| w * f64::from(x)).sum::<f64>() + f64::from(*bias));
        (outputs.collect(), rows(decoder), decoder.bias.iter().map(|b| f64::from(*b)).collect())
    }

    pub(super) fn log_conditional(w: &[Vec<f64>], b: &[f64], z: &[f64]) -> f64 {
        let terms = w.iter().zip(b).zip(X).map(|((row, b), x)| {
            let mean = b + row.iter().zip(z).map(|(w, z)| w * z).sum::<f64>();
            -0.5 * ((f64::from(x) - mean).powi(2) / 0.5 + (std::f64::consts::TAU * 0.5).ln())
        });
        terms.sum()
    }

    /// Each estimate must lie within five of its standard errors of the exact gradient.
    pub(super) fn check(found: &[(f64, f64)], exact: &[f64]) {
        for ((mean, variance), exact) in found.iter().zip(exact) {
            let allowed = 5.0 * (variance / REPEATS as f64).sqrt() + 1e-6;
            assert!((mean - exact).abs() < allowed, "{mean} for {exact} ± {allowed}");
        }
    }

    pub(super) fn total(gradient: &[(f64, f64)]) -> f64 {
        gradient.iter().map(|(_, variance)| variance).sum()
    }

    #[test]
    fn both_estimators_are_unbiased_and_the_reparameterised_one_varies_less() {
        let (parameters, w, b) = parts(Posterior::Diagonal);
        let (mean, log_variance) = parameters.split_at(2);
        // ELBO = ln p(x|μ) − ½ Σ σⱼ² |wⱼ|² / s² − KL, with wⱼ the columns of W and s² = 0.5.
        let exact: Vec<f64> = (0..4)
            .map(|index| {
                let axis = index % 2;
                let norm: f64 = w.iter().map(|row| row[axis] * row[axis]).sum();
                let variance = log_variance[axis].exp();
                if index < 2 {
                    let residual = w.iter().zip(&b).zip(X).map(|((row, b), x)| {
                        row[axis] * (f64::from(x) - b - row.iter().zip(mean).map(|(w, m)| w * m).sum::<f64>())
                    });
                    mean[axis] - residual.sum::<f64>() / 0.5
                } else {
                    0.5 * variance * norm / 0.5 + 0.5 * (variance - 1.0)
                }
            })
            .collect();
        let reparameterised = gradient(Posterior::Diagonal, Estimator::Reparameterised, 4);
        let score = gradient(Posterior::Diagonal, Estimator::ScoreFunction, 4);
        check(&reparameterised, &exact);
        check(&score, &exact);
        println!("variance: reparameterised {:.5}, score function {:.5}", total(&reparameterised), total(&score));
        assert!(total(&score) > 2.0 * total(&reparameterised));
    }

    #[test]
    fn the_importance_bound_of_one_sample_is_the_elbo_in_expectation_and_more_are_tighter() {
        let architecture = architecture(Posterior::Full);
        let network = Vae::init(&architecture, 3, &Device::flex());
        let mean = |bound, samples: usize| {
            let objective =
                Objective { bound, samples, beta: 1.0, free_bits: 0.0, estimator: Estimator::Reparameterised };
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            let windows = 4000;
            let noise = objective.noise(&architecture, windows, &mut rng);
            let noise = Tensor::from_data(TensorData::new(noise, [windows * samples, 2]), &Device::flex());
            let batch = Batch::new(X.repeat(windows), &architecture, &Device::flex());
            f64::from(objective.loss(&network, batch, noise).bound.into_scalar::<f32>())
        };
        let elbo = mean(Bound::Elbo, 1);
        let [one, eight] = [1, 8].map(|samples| mean(Bound::Importance, samples));
        // The standard deviation of ln w is near 1 here: 4000 windows have a standard error near 0.02.
        assert!((one - elbo).abs() < 0.1, "{one} and {elbo}");
        assert!(eight > one + 0.1, "{eight} over {one}");
    }

    #[test]
    fn beta_weighs_what_importance_weights_pay_and_not_what_is_reported() {
        let architecture = architecture(Posterior::Diagonal);
        let network = Vae::init(&architecture, 3, &Device::flex());
        let loss = |bound, samples, beta| {
            let objective = Objective { bound, samples, beta, free_bits: 0.0, estimator: Estimator::Reparameterised };
            let noise: Vec<f32> = (0..2 * samples).map(|index| (index as f32 * 1.7).sin()).collect();
            let noise = Tensor::from_data(TensorData::new(noise, [samples, 2]), &Device::flex());
            let loss = objective.loss(&network, Batch::new(X.to_vec(), &architecture, &Device::flex()), noise);
            [loss.surrogate, loss.bound, loss.reconstruction].map(|value| value.into_scalar::<f32>())
        };
        // Of one sample it is linear in β, and at 0 the log-likelihood of the sample alone.
        let [none, half, whole] = [0.0, 0.5, 1.0].map(|beta| loss(Bound::Importance, 1, beta));
        assert!((half[0] - 0.5 * (none[0] + whole[0])).abs() < 1e-5, "{half:?} between {none:?} and {whole:?}");
        assert!((none[0] + none[2]).abs() < 1e-5 && (whole[0] + whole[1]).abs() < 1e-6, "{none:?} {whole:?}");
        assert!(none[1] == whole[1] && (none[0] - whole[0]).abs() > 0.1);
        // Of eight, at 0, their likelihoods' mean is between their logarithms' mean and that of the best.
        let [surrogate, bound, reconstruction] = loss(Bound::Importance, 8, 0.0);
        assert!(-surrogate > reconstruction && -surrogate < reconstruction + 8f32.ln() && bound != -surrogate);
    }

    #[test]
    fn free_bits_and_beta_change_what_is_paid_and_not_what_is_reported() {
        let architecture = architecture(Posterior::Diagonal);
        let network = Vae::init(&architecture, 3, &Device::flex());
        let loss = |beta, free_bits| {
            let estimator = Estimator::Reparameterised;
            let objective = Objective { bound: Bound::Elbo, samples: 1, beta, free_bits, estimator };
            let noise = Tensor::from_data(TensorData::new(vec![0.1f32, -0.4], [1, 2]), &Device::flex());
            let batch = Batch::new(X.to_vec(), &architecture, &Device::flex());
            let loss = objective.loss(&network, batch, noise);
            [loss.surrogate, loss.bound, loss.reconstruction, loss.kl].map(|value| value.into_scalar::<f32>())
        };
        let [plain, bound, reconstruction, kl] = loss(1.0, 0.0);
        assert!((plain + bound).abs() < 1e-6 && (bound - (reconstruction - kl)).abs() < 1e-5);
        let [doubled, same, ..] = loss(2.0, 0.0);
        assert!((doubled - (plain + kl)).abs() < 1e-5 && same == bound);
        // Five nats a dimension are more than either has: both are paid as five.
        let [floored, ..] = loss(1.0, 5.0);
        assert!((floored - (10.0 - reconstruction)).abs() < 1e-5);
    }
}
