//! Quantisation-aware fine-tuning: training goes on with weights that are rounded as int8 rounds them.

use anyhow::{Result, bail};

use crate::{
    cpu::adam::FusedAdam,
    model::network::Vae,
    training::{
        Training,
        checkpoint::{FineTuning, load, record, record_optimizer},
    },
};

/// Learning rate, as a share of the fit's.
const FINE_TUNING_RATE: f64 = 0.1;

impl Training<'_> {
    /// Goes back to the best epoch's weights, with a fresh optimiser.
    pub(super) fn start_fine_tuning(&mut self) -> Result<()> {
        let baseline = self.network.baseline.take();
        self.network = load(self.network.clone(), &self.checkpoint.best)?;
        self.network.baseline = baseline;
        self.optimizer = FusedAdam::init();
        let start = FineTuning {
            after: self.checkpoint.metrics.len(),
            elbo: match self.validate(&self.network.quantised()?)? {
                Ok(bound) => bound,
                Err(divergence) => bail!("the rounded weights cannot be fine-tuned: {divergence}"),
            },
        };
        self.checkpoint.last = record(&self.network)?;
        self.checkpoint.optimizer = record_optimizer(&self.optimizer)?;
        self.checkpoint.fine_tuning = Some(start);
        Ok(())
    }

    /// Whether the weights are being fine-tuned for int8.
    pub(super) fn is_fine_tuning(&self) -> bool {
        self.checkpoint.fine_tuning.is_some()
    }

    /// Adam's step size now.
    pub(super) fn learning_rate(&self) -> f64 {
        if self.is_fine_tuning() {
            return FINE_TUNING_RATE * self.checkpoint.learning_rate(self.config);
        }
        let training = &self.config.training;
        let share = training.rate_of(self.checkpoint.metrics.len() + 1, self.epochs) / training.learning_rate;
        self.checkpoint.learning_rate(self.config) * share
    }

    /// What computes and is judged: in fine-tuning the rounded weights, whose gradient goes straight to the others.
    pub(super) fn judged(&self, network: &Vae) -> Result<Vae> {
        if self.is_fine_tuning() { network.quantised() } else { Ok(network.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{
        config::{Config, model::ModelConfig, training::TrainingConfig},
        data::part::Part,
        model::{batch::Batch, network::Weights},
        training::{
            Ending,
            checkpoint::Checkpoint,
            listener::{Listener, Progress},
        },
        weights::family::Likelihood,
    };

    #[test]
    fn training_rounds_weights_as_the_model_file_does() {
        let mut config = Config::default();
        config.model = ModelConfig { hidden: Some(vec![9, 5]), latent: Some(2), ..config.model };
        let architecture = config.architecture(7);
        let network = Vae::init(&architecture, 3, &Device::flex());
        let (exact, rounded) = (network.weights().unwrap(), network.quantised().unwrap());
        let rounded = rounded.weights().unwrap();
        let pairs = exact.encoder.iter().zip(&rounded.encoder).chain(exact.decoder.iter().zip(&rounded.decoder));
        for (exact, rounded) in pairs {
            assert_eq!(rounded.weights, exact.quantise().dequantise());
            assert_eq!((&rounded.bias, rounded.rows), (&exact.bias, exact.rows));
            assert_ne!(rounded.weights, exact.weights);
        }
    }

    /// Windows of a plane in four dimensions.
    fn plane(windows: usize, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = |width: f32| rng.random_range(-width..width);
        let point = |_| {
            let (s, t) = (uniform(1.7), uniform(1.7));
            [s, t, s - t, 0.5 * s + t].map(|x| x + uniform(0.01))
        };
        (0..windows).flat_map(point).collect()
    }

    /// Stops a fit after so many epochs.
    struct Stop {
        after: usize,
        is_due: bool,
    }

    impl Listener for Stop {
        fn progress(&mut self, progress: Progress<'_>) {
            if let Progress::Epoch(_, checkpoint) = progress {
                self.is_due = checkpoint.metrics.len() == self.after;
            }
        }

        fn is_stopped(&self) -> bool {
            self.is_due
        }
    }

    /// Fits; stops after `epochs`, if so many are needed.
    fn fit(config: &Config, checkpoint: Option<Checkpoint>, epochs: usize) -> (Checkpoint, Ending) {
        let architecture = config.architecture(4);
        let values = [plane(600, 1), plane(200, 2)].concat();
        let rows: Vec<usize> = (0..800).collect();
        let part = |chosen| Part { values: &values, chosen, last_row: &rows };
        let (train, validation) = (part(&rows[..600]), part(&rows[600..]));
        let training = Training::new(config, &architecture, train, validation, &Device::flex(), checkpoint).unwrap();
        training.run(&mut Stop { after: epochs, is_due: false }, |_| Ok(())).unwrap()
    }

    /// A likelihood with a hundredth of the data's spread as its standard deviation: sharper than int8 likes.
    fn sharp(quantisation_aware: usize) -> Config {
        Config {
            model: ModelConfig {
                hidden: Some(vec![16]),
                latent: Some(2),
                likelihood: Likelihood::GaussianFixed,
                variance: 1e-4,
                ..ModelConfig::default()
            },
            training: TrainingConfig {
                epochs: Some(40),
                batch: 20,
                learning_rate: 0.005,
                patience: Some(30),
                quantisation_aware,
                ..TrainingConfig::default()
            },
            ..Config::default()
        }
    }

    fn weights(checkpoint: &Checkpoint) -> Weights {
        let architecture = sharp(0).architecture(4);
        checkpoint.best_network(&architecture, &Device::flex()).unwrap().weights().unwrap()
    }

    #[test]
    fn fine_tuning_improves_the_rounded_model() {
        let (checkpoint, ending) = fit(&sharp(20), None, 0);
        assert_eq!((checkpoint.metrics.len(), ending), (60, Ending::Done));
        // Without fine-tuning the same fit, whose weights are rounded afterwards.
        let (plain, _) = fit(&sharp(0), None, 0);
        assert_eq!(checkpoint.metrics[..40], plain.metrics);
        let (tuned, fitted) = (weights(&checkpoint), weights(&plain));
        for (tuned, fitted) in
            tuned.encoder.iter().zip(&fitted.encoder).chain(tuned.decoder.iter().zip(&fitted.decoder))
        {
            // Unrounded, as what is fitted.
            assert!(tuned.weights != fitted.weights && tuned.weights != tuned.quantise().dequantise());
        }
        let device = Device::flex();
        let config = sharp(0);
        let architecture = config.architecture(4);
        let elbo = |checkpoint: &Checkpoint| {
            let network = checkpoint.best_network(&architecture, &device).unwrap().quantised().unwrap();
            let batch = || Batch::new(plane(200, 3), &architecture, &device);
            let mean = network.encode(&batch()).narrow(1, 0, 2);
            network.log_conditional(batch(), mean).mean().into_scalar::<f32>()
        };
        let (before, after) = (elbo(&plain), elbo(&checkpoint));
        assert!(checkpoint.best_epoch > 40 && after > before + 0.5, "{before} to {after} nats");
    }

    #[test]
    fn interrupted_fine_tuning_resumes_to_the_same_model() {
        let mut config = sharp(4);
        config.training.epochs = Some(4);
        let (whole, _) = fit(&config, None, 0);
        for epochs in 3..8 {
            let (checkpoint, ending) = fit(&config, None, epochs);
            assert_eq!((checkpoint.metrics.len(), ending), (epochs, Ending::Interrupted));
            let (resumed, _) = fit(&config, Some(checkpoint), 0);
            assert_eq!(resumed.metrics, whole.metrics, "interrupted after {epochs}");
            let (resumed, whole) = (weights(&resumed), weights(&whole));
            assert!(resumed.encoder == whole.encoder && resumed.decoder == whole.decoder, "interrupted after {epochs}");
        }
    }
}
