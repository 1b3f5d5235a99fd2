//! All that latent vectors of zeros and ones may be.

use crate::weights::family::Posterior;

/// Most latent vectors that are enumerated.
pub(crate) const MOST_STATES: usize = 256;

/// How many latent vectors of `latent` values there are; none of Gaussian latents, and where they are more than can be counted.
pub(crate) fn number_of_states(posterior: Posterior, latent: usize) -> Option<usize> {
    let (latents, states) = posterior.discrete(latent)?;
    states.checked_pow(u32::try_from(latents).ok()?)
}

/// The latent vectors of a discrete posterior, one behind the other; the first latent changes fastest.
pub(crate) fn states(posterior: Posterior, latent: usize) -> Vec<f32> {
    let number = number_of_states(posterior, latent).unwrap_or(0);
    let (latents, states) = posterior.discrete(latent).unwrap_or((1, 1));
    let mut all = vec![0.0; number * latent];
    for (index, z) in all.chunks_exact_mut(latent).enumerate() {
        let mut rest = index;
        for own in z.chunks_exact_mut(latent / latents) {
            // A Bernoulli latent has one value, for the second of its two states.
            if let Some(slot) = (rest % states + own.len()).checked_sub(states).and_then(|value| own.get_mut(value)) {
                *slot = 1.0;
            }
            rest /= states;
        }
    }
    all
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the estimators' variances are figures worth seeing, with --nocapture")]
mod tests {
    use burn::{
        optim::GradientsParams,
        tensor::{Device, Tensor, TensorData},
    };
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use vae_core::Scratch;

    use super::*;
    use crate::{
        cpu::adam::FusedAdam,
        file::model_file::AlignedFile,
        model::{
            baseline::Baseline,
            batch::Batch,
            network::Vae,
            objective::{
                Bound, Objective,
                tests::{X, architecture, check, gradient, gradient_of, log_conditional, one_window, parts, total},
            },
            posterior::Estimator,
        },
        run::screening::model_of_standardised,
    };

    const CATEGORICAL: Posterior = Posterior::Categorical { categories: 3 };

    /// Every latent vector of the test's network, by leaving out what is none of all vectors of zeros and ones.
    fn all(posterior: Posterior) -> Vec<Vec<f64>> {
        let latent = architecture(posterior).latent;
        let vectors = (0..1 << latent).map(|bits| (0..latent).map(|bit| f64::from(bits >> bit & 1)).collect());
        let is_one = |z: &Vec<f64>| posterior != CATEGORICAL || z.chunks(3).all(|own| own.iter().sum::<f64>() == 1.0);
        vectors.filter(is_one).collect()
    }

    /// `ln q(z|x)` from the logits.
    fn log_mass(posterior: Posterior, logits: &[f64], z: &[f64]) -> f64 {
        let chosen: f64 = logits.iter().zip(z).map(|(logit, z)| logit * z).sum();
        let totals = logits.chunks(if posterior == CATEGORICAL { 3 } else { 1 }).map(|own| {
            let rest = if posterior == CATEGORICAL { 0.0 } else { 1.0 };
            (rest + own.iter().map(|logit| logit.exp()).sum::<f64>()).ln()
        });
        chosen - totals.sum::<f64>()
    }

    /// A latent vector, with its chance, `ln p(x|z)` and `ln q(z|x) − ln p(z)`.
    struct State {
        z: Vec<f64>,
        chance: f64,
        conditional: f64,
        divergence: f64,
    }

    /// By enumeration in f64: the gradient of the negative ELBO with respect to the logits, `E_q[ln p(x|z)]` and the KL. As `∂ ln q / ∂l = z − E[z]`,
    /// the gradient of `E_q[f]` is `Σ q (z − E[z]) f`, also of `f = ln q`, whose own gradient is 0 in the mean.
    fn exact(posterior: Posterior) -> (Vec<f64>, f64, f64) {
        let (logits, w, b) = parts(posterior);
        let all = all(posterior);
        let log_prior = -(all.len() as f64).ln();
        let state = |z: Vec<f64>| {
            let log_q = log_mass(posterior, &logits, &z);
            let conditional = log_conditional(&w, &b, &z);
            State { z, chance: log_q.exp(), conditional, divergence: log_q - log_prior }
        };
        let states: Vec<State> = all.into_iter().map(state).collect();
        let mean = |of: &dyn Fn(&State) -> f64| states.iter().map(|state| state.chance * of(state)).sum::<f64>();
        let gradient = (0..logits.len()).map(|axis| {
            let centre = mean(&|state| state.z[axis]);
            mean(&|state| (state.z[axis] - centre) * (state.divergence - state.conditional))
        });
        (gradient.collect(), mean(&|state| state.conditional), mean(&|state| state.divergence))
    }

    #[test]
    fn every_latent_vector_is_enumerated_once() {
        for posterior in [Posterior::Bernoulli, CATEGORICAL] {
            let latent = architecture(posterior).latent;
            let all = all(posterior);
            assert_eq!(number_of_states(posterior, latent), Some(all.len()));
            let found = states(posterior, latent);
            let mut found: Vec<Vec<f64>> =
                found.chunks(latent).map(|z| z.iter().rev().map(|z| f64::from(*z)).collect()).collect();
            found.sort_by(|a, b| a.partial_cmp(b).unwrap());
            let reversed: Vec<Vec<f64>> = all.iter().map(|z| z.iter().rev().copied().collect()).collect();
            assert_eq!(found, reversed, "{posterior:?}");
        }
        assert_eq!(number_of_states(Posterior::Bernoulli, 8), Some(MOST_STATES));
        assert_eq!(number_of_states(Posterior::Categorical { categories: 16 }, 160), Some(1 << 40));
        assert_eq!(number_of_states(Posterior::Bernoulli, 64), None);
        assert_eq!(number_of_states(Posterior::Full, 2), None);
    }

    #[test]
    fn the_score_function_is_unbiased_for_bernoulli_latents_and_the_baseline_pays() {
        let [without, with, learned] = compare_estimators(Posterior::Bernoulli);
        // Four samples alone would bring a factor of four, and the draws of a window differ little beside what it costs at all.
        assert!(without > 6.0 * with && without > 10.0 * learned);
    }

    #[test]
    fn the_score_function_is_unbiased_for_categorical_latents_and_the_baseline_pays() {
        let [without, with, learned] = compare_estimators(CATEGORICAL);
        // Draws differ more here.
        assert!(without > 6.0 * with && without > 3.0 * learned);
    }

    /// Checks gradients by one sample, by four with each other for a baseline, and by one with a learned baseline; returns their variances.
    fn compare_estimators(posterior: Posterior) -> [f64; 3] {
        let (exact, expected, _) = exact(posterior);
        let without = gradient(posterior, Estimator::ScoreFunction, 1);
        let with = gradient(posterior, Estimator::ScoreFunction, 4);
        let (network, found) = with_trained_baseline(posterior);
        // Steps of 10⁻³ leave the baseline where the last few draws, which differ by nats, have moved it.
        assert!((found - expected).abs() < 0.5, "{found} for {expected}");
        let learned = gradient_of(&network, Estimator::ScoreFunction, 1, &Device::flex().autodiff());
        [&without, &with, &learned].into_iter().for_each(|found| check(found, &exact));
        let variances = [without, with, learned].map(|found| total(&found));
        let [without, with, learned] = variances;
        println!(
            "{posterior:?}, variance: one sample {without:.5}, with a learned baseline {learned:.5}; four {with:.5}"
        );
        variances
    }

    /// A network whose baseline alone has been trained on draws for the one window, and what it then expects.
    fn with_trained_baseline(posterior: Posterior) -> (Vae, f64) {
        let device = Device::flex().autodiff();
        let architecture = architecture(posterior);
        let others = Vae::init(&architecture, 3, &device);
        let mut network = others.clone().with_baseline(Baseline::init(&architecture, 5, &device));
        let estimator = Estimator::ScoreFunction;
        let objective = Objective { bound: Bound::Elbo, samples: 1, beta: 1.0, free_bits: 0.0, estimator };
        let (mut optimizer, mut rng) = (FusedAdam::init(), ChaCha8Rng::seed_from_u64(8));
        for _ in 0..1500 {
            let loss = one_window(objective, &network, &mut rng, &device);
            let gradients = GradientsParams::from_grads(loss.surrogate.backward(), &network);
            let baseline = optimizer.step(1e-3, network, gradients).baseline;
            network = others.clone();
            network.baseline = baseline;
        }
        let inputs = Tensor::from_data(TensorData::new(X.to_vec(), [1, 4]), &device);
        let expected = network.baseline.as_ref().unwrap().expected(inputs).into_scalar::<f32>();
        (network, f64::from(expected))
    }

    #[test]
    fn enumeration_is_exact_and_without_variance() {
        for posterior in [Posterior::Bernoulli, CATEGORICAL] {
            let (exact, expected, kl) = exact(posterior);
            let found = gradient(posterior, Estimator::Enumeration, 1);
            for ((found, _), exact) in found.iter().zip(&exact) {
                assert!((found - exact).abs() < 1e-5, "{posterior:?}: {found} for {exact}");
            }
            println!("{posterior:?}, variance: by enumeration {:.1e}", total(&found));
            assert!(total(&found) < 1e-20);

            let architecture = architecture(posterior);
            let network = Vae::init(&architecture, 3, &Device::flex());
            let estimator = Estimator::Enumeration;
            let objective = Objective { bound: Bound::Elbo, samples: 1, beta: 1.0, free_bits: 0.0, estimator };
            let loss = one_window(objective, &network, &mut ChaCha8Rng::seed_from_u64(1), &Device::flex());
            let [bound, reconstruction, found] =
                [loss.bound, loss.reconstruction, loss.kl].map(|value| f64::from(value.into_scalar::<f32>()));
            assert!((reconstruction - expected).abs() < 1e-5 && (found - kl).abs() < 1e-6, "{reconstruction}, {found}");

            // And the core has the same of the same weights.
            let file =
                AlignedFile::new(&model_of_standardised(&architecture, network.weights().unwrap()).to_bytes().unwrap());
            let model = file.model().unwrap();
            let (mut memory, mut work) = (vec![0.0; model.scratch_len()], vec![0.0; architecture.latent]);
            let mut scratch = Scratch::new(&mut memory);
            let mut elbo = 0.0;
            for z in all(posterior) {
                let z: Vec<f32> = z.iter().map(|z| *z as f32).collect();
                let q = model.encode(&X, &mut scratch).unwrap();
                assert!((f64::from(q.kl()) - kl).abs() < 1e-6, "{} for {kl}", q.kl());
                let log_q = f64::from(q.log_density(&z[..], &mut work[..]).unwrap());
                elbo += log_q.exp() * (f64::from(model.log_joint(&X, &z[..], &mut scratch).unwrap()) - log_q);
            }
            assert!((elbo - bound).abs() < 1e-5, "{posterior:?}: {elbo} by the core, {bound}");
        }
    }

    #[test]
    fn a_batch_has_each_windows_own_states() {
        let architecture = architecture(CATEGORICAL);
        let network = Vae::init(&architecture, 3, &Device::flex());
        let estimator = Estimator::Enumeration;
        let objective = Objective { bound: Bound::Elbo, samples: 1, beta: 1.0, free_bits: 0.0, estimator };
        let bound = |x: &[f32]| {
            let noise = objective.noise(&architecture, x.len() / 4, &mut ChaCha8Rng::seed_from_u64(1));
            let noise = Tensor::from_data(TensorData::new(noise, [9 * x.len() / 4, 6]), &Device::flex());
            let batch = Batch::new(x.to_vec(), &architecture, &Device::flex());
            objective.loss(&network, batch, noise).bound.into_scalar::<f32>()
        };
        let other = [-0.5f32, 0.4, 2.0, -1.0];
        let both = bound(&[X, other].concat());
        assert!((both - 0.5 * (bound(&X) + bound(&other))).abs() < 1e-5, "{both}");
    }
}
