//! What a fit can be told, as TOML or on the command line.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vae_core::standard_normal;

use crate::{
    model::{
        network::Architecture,
        objective::{Bound, Estimator, Objective},
    },
    weights::family::{HiddenActivation, Likelihood, Posterior},
    words::input::read_text,
};

/// Grey values turned into zeros and ones, each 1 with its value as the probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Binarise {
    /// Once, by the seed.
    Static,
    /// Anew in each epoch; the held-out windows once.
    Dynamic,
}

/// How rows are chosen for validation and calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// The last part, in the order of the file: for streams, whose windows overlap.
    Time,
    /// A random part, chosen by the seed: for independent rows.
    Seeded,
}

/// Least learned variance of a feature by default, in standardised units.
pub const CONTINUOUS_FLOOR: f32 = 0.01;
/// Likewise of a feature that mostly has one value.
pub const DISCRETE_FLOOR: f32 = 0.1;

/// Least variance of the noise on the encoder's inputs by default, in standardised units.
const INPUT_VARIANCE: f32 = 0.09;

/// Widths of the hidden layers of a model that has room for them.
const HIDDEN: [usize; 2] = [128, 64];
/// Width of a hidden layer of the widest models.
const LEAST_HIDDEN: usize = 8;
/// What weights, constants and golden vectors of an int8 model may take: 64 KiB, less prior, card and small layers.
const MODEL_BYTES: usize = 60_000;
/// Bytes of an int8 model per feature beside weights: constants, name, golden vectors.
const BYTES_PER_FEATURE: usize = 40;
/// Passes over the training data by default, and what they may come to in steps.
const EPOCHS: usize = 300;
const LEAST_STEPS: usize = 6000;
const MOST_STEPS: usize = 200_000;
/// Epochs that are always waited for.
const LEAST_PATIENCE: usize = 30;
/// Passes over the largest data.
const LEAST_EPOCHS: usize = 10;

/// Components of the learned prior by default.
const PRIOR_COMPONENTS: usize = 16;

/// The configuration of a fit; the same names serve in `--config vae.toml`. What is left out takes the default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random.
    pub seed: u64,
    /// Column that says 0 normal / 1 anomaly; rows labelled 1 are not trained on.
    pub label: Option<String>,
    /// Samples in a window; 1 for a table of independent rows.
    pub window: usize,
    /// Samples between the starts of successive windows.
    pub hop: usize,
    /// What the model sees of a channel's samples in a window: `raw` (they themselves), `mean`, `statistics` (mean, RMS, peak, crest
    /// factor, kurtosis, zero crossings) or `bands:N` (the energies of N bands of frequencies), of all channels or, as `channel=statistics`,
    /// of one. What is named later counts.
    pub front_end: Vec<String>,
    /// Columns that the model is conditional on, `p(x|c)`: given to encoder and decoder, not modelled. Of a window, the last
    /// sample's values.
    pub condition: Vec<String>,
    /// Columns that are left out, whatever they hold; a clock that no model is conditional on always is.
    pub ignore: Vec<String>,
    /// Turns grey values between 0 and 1 into zeros and ones, for a Bernoulli likelihood.
    pub binarise: Option<Binarise>,
    /// Family of the posterior `q(z|x)`.
    pub posterior: Posterior,
    /// Bound of `ln p(x)` that is maximised.
    pub objective: Bound,
    /// Samples per window and step: L of the ELBO, K of the importance-weighted bound. By default 1, and 4 where the
    /// score-function estimator needs a baseline.
    pub samples: Option<usize>,
    /// How the gradient is estimated; by default reparameterised, and by the score function for Bernoulli latents.
    pub estimator: Option<Estimator>,
    /// Components of the prior `p(z)`, a mixture of Gaussians that is learned with the network; 0 for `N(0, I)`. By default
    /// 16, and 0 where the posterior is not diagonal or free bits are given.
    pub prior: Option<usize>,
    /// Standard deviation of the noise that is added to what the encoder sees while it is trained, in standard deviations of
    /// the feature: the encoder may not rely on details that another window of the same kind would not have. Not for a
    /// Bernoulli likelihood. By default its variance is 0.09 and features per training window more, at most 1 in all: the less
    /// is known of each feature, the less is trusted (as covariances are shrunk, Ledoit & Wolf 2004).
    pub input_noise: Option<f32>,
    /// How far the level of each channel may wander before that is an anomaly: the model is trained, and its threshold chosen,
    /// on copies of the windows that were moved by a normal number of so many [steps](crate::data::drift::level_steps), the
    /// differences between neighbouring eighths of the data. For streams, whose rows are in order of time. 0 for none.
    pub drift: f32,
    /// Weight of the KL in the objective.
    pub beta: f32,
    /// Nats of KL per latent dimension that cost nothing.
    pub free_bits: f32,
    /// Epochs over which the KL's weight rises to `beta`.
    pub warm_up: usize,
    /// Components of the aggregated posterior's mixture to store in the model; 0 for none.
    pub mixture: usize,
    /// Whether to train a second stage on the first one's latent vectors, to generate from.
    pub second_stage: bool,
    /// Likelihood `p(x|z)`.
    pub likelihood: Likelihood,
    /// Variance of the fixed Gaussian likelihood, in standardised units.
    pub variance: f32,
    /// Least variance that the learned Gaussian likelihood may reach, in standardised units. By default 0.01, and 0.1 for
    /// columns that mostly have one value, whose others would otherwise be learned as impossible; of a predicted variance
    /// 0.1 for rows and 0.01 for windows of a stream.
    pub variance_floor: Option<f32>,
    /// Widths of the encoder's hidden layers; the decoder mirrors them. Empty for a linear model. By default 128 and 64, or as
    /// many fewer as keep an int8 model of up to 1,100 features within 64 KiB (less what `calibrate` adds, 36 bytes a channel).
    pub hidden: Option<Vec<usize>>,
    /// Latent dimensions; 0 chooses `min(8, features / 2 + 1)`.
    pub latent: usize,
    /// Activation of the hidden layers.
    pub activation: HiddenActivation,
    /// Most passes over the training data; 0 chooses 300, more for tables so small that these were less than 6,000 steps, fewer
    /// for such that they were more than 200,000.
    pub epochs: usize,
    /// Windows in a batch.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Fraction of the normal windows held out for validation and calibration.
    pub validation: f64,
    /// How they are chosen; by default `time` for windows and `seeded` for rows.
    pub split: Option<Split>,
    /// Epochs without a better validation ELBO before training stops; 0 chooses a tenth of the epochs, at least
    /// 30.
    pub patience: usize,
    /// Epochs of quantisation-aware fine-tuning that follow, from the best epoch's weights.
    pub quantisation_aware: usize,
    /// Fraction of normal windows that the threshold stored in the model calls anomalous.
    pub false_alarms: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            seed: 0,
            label: None,
            window: 1,
            hop: 1,
            front_end: Vec::new(),
            condition: Vec::new(),
            ignore: Vec::new(),
            binarise: None,
            posterior: Posterior::Diagonal,
            objective: Bound::Elbo,
            samples: None,
            estimator: None,
            prior: None,
            input_noise: None,
            drift: 0.0,
            beta: 1.0,
            free_bits: 0.0,
            warm_up: 0,
            mixture: 0,
            second_stage: false,
            likelihood: Likelihood::Gaussian,
            variance: 0.1,
            variance_floor: None,
            hidden: None,
            latent: 0,
            activation: HiddenActivation::Silu,
            epochs: 0,
            batch: 64,
            learning_rate: 1e-3,
            validation: 0.2,
            split: None,
            patience: 0,
            quantisation_aware: 0,
            false_alarms: 0.01,
        }
    }
}

impl Config {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// If it cannot be read or names something unknown.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        toml::from_str(&text).with_context(|| format!("{} is not a valid configuration", path.display()))
    }

    /// Refuses values that no fit can work with.
    ///
    /// # Errors
    /// Names the value and what it may be.
    pub fn check(&self) -> Result<()> {
        let positive = [("window", self.window), ("hop", self.hop), ("batch", self.batch)];
        for (name, value) in positive {
            ensure!(value > 0, "{name} is 0: give at least 1");
        }
        let Objective { samples, estimator, bound, .. } = self.objective();
        ensure!(samples > 0, "samples is 0: give at least 1");
        ensure!(
            !(self.posterior == Posterior::Bernoulli && estimator == Estimator::Reparameterised),
            "Bernoulli latents cannot be reparameterised: leave out --estimator, or give score-function"
        );
        if estimator == Estimator::ScoreFunction {
            ensure!(
                samples > 1,
                "the score-function estimator's baseline needs other samples: give --samples 2 or more"
            );
            ensure!(
                bound == Bound::Elbo && self.posterior != Posterior::Full,
                "the score-function estimator is for the ELBO with diagonal or Bernoulli posteriors: leave out --estimator"
            );
        }
        ensure!(
            bound == Bound::Elbo || (self.beta == 1.0 && self.free_bits == 0.0 && self.warm_up == 0),
            "beta, free_bits and warm_up weigh the ELBO's KL: the importance-weighted bound has none; leave them out, or --objective"
        );
        if let Some(deviation) = self.input_noise {
            ensure!(deviation.is_finite() && deviation >= 0.0, "input_noise {deviation}: give 0 or more");
        }
        ensure!(self.drift.is_finite() && self.drift >= 0.0, "drift {}: give 0 or more", self.drift);
        ensure!(
            self.drift == 0.0 || self.likelihood != Likelihood::Bernoulli,
            "drift moves values, which a Bernoulli likelihood's may not be: leave out --drift"
        );
        ensure!(self.beta.is_finite() && self.beta >= 0.0, "beta {}: give 0 or more", self.beta);
        ensure!(self.free_bits.is_finite() && self.free_bits >= 0.0, "free_bits {}: give 0 or more", self.free_bits);
        ensure!(
            self.prior_components() == 0 || (self.posterior == Posterior::Diagonal && self.free_bits == 0.0),
            "a learned prior needs a diagonal posterior, and has no KL per dimension for free_bits to weigh: leave out --prior"
        );
        ensure!(self.prior_components() <= 1024, "prior {}: give at most 1024 components", self.prior_components());
        ensure!(
            self.binarise.is_none() || self.likelihood == Likelihood::Bernoulli,
            "binarise makes zeros and ones: use it with --likelihood bernoulli"
        );
        ensure!(
            !(self.posterior == Posterior::Bernoulli && (self.second_stage || self.mixture > 0)),
            "mixture and second stage are Gaussian: they do not fit Bernoulli latents; leave out --mixture and --second-stage"
        );
        ensure!(
            !self.hidden.iter().flatten().any(|width| *width == 0),
            "a hidden layer of width 0: leave it out of `hidden` instead"
        );
        if !(self.learning_rate > 0.0 && self.learning_rate < 1.0) {
            bail!("learning rate {}: give a value between 0 and 1, for example 0.001", self.learning_rate);
        }
        if !(self.validation > 0.0 && self.validation <= 0.9) {
            bail!("validation {}: give a fraction above 0, at most 0.9", self.validation);
        }
        if !(self.false_alarms > 0.0 && self.false_alarms < 1.0) {
            bail!("false_alarms {}: give a fraction between 0 and 1", self.false_alarms);
        }
        for (name, variance) in [("variance", self.variance), ("variance_floor", self.variance_floor())] {
            ensure!(
                (1e-6..=100.0).contains(&variance),
                "{name} {variance}: give 1e-6 to 100, in squared standard deviations of the feature"
            );
        }
        Ok(())
    }

    /// What training maximises, once the warm-up is over.
    #[must_use]
    pub fn objective(&self) -> Objective {
        let bernoulli = self.posterior == Posterior::Bernoulli;
        let estimator =
            self.estimator.unwrap_or(if bernoulli { Estimator::ScoreFunction } else { Estimator::Reparameterised });
        let default = if estimator == Estimator::ScoreFunction { 4 } else { 1 };
        Objective {
            bound: self.objective,
            samples: self.samples.unwrap_or(default),
            beta: self.beta,
            free_bits: self.free_bits,
            estimator,
        }
    }

    /// The network that is asked for, for windows of `features` values.
    #[must_use]
    pub fn architecture(&self, features: usize) -> Architecture {
        Architecture {
            features,
            conditions: self.condition.len(),
            hidden: self.hidden_for(features),
            latent: self.latent_for(features),
            prior: self.prior_components(),
            activation: self.activation,
            posterior: self.posterior,
            likelihood: self.likelihood,
            variance: self.variance,
            variance_floor: self.variance_floor(),
            variance_floors: vec![self.variance_floor.unwrap_or(CONTINUOUS_FLOOR); features],
        }
    }

    /// Components of the learned prior; 0 for the standard one.
    #[must_use]
    pub fn prior_components(&self) -> usize {
        let is_standard = self.posterior != Posterior::Diagonal || self.free_bits > 0.0;
        self.prior.unwrap_or(if is_standard { 0 } else { PRIOR_COMPONENTS })
    }

    /// What is added to the encoder's inputs: `count` values, or none.
    pub(crate) fn blur(&self, count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        match self.input_noise {
            Some(deviation) if deviation > 0.0 && self.likelihood != Likelihood::Bernoulli => {
                (0..count).map(|_| deviation * standard_normal(rng)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Least variance of the learned Gaussian, in standardised units.
    #[must_use]
    pub fn variance_floor(&self) -> f32 {
        self.variance_floor.unwrap_or(if self.window > 1 { 0.01 } else { 0.1 })
    }

    /// Fills in what is left to choose, for a model of `features` values that is fitted to so many `windows`.
    pub fn settle(&mut self, features: usize, windows: usize) {
        let steps = windows.div_ceil(self.batch).max(1);
        self.hidden = Some(self.hidden_for(features));
        self.latent = self.latent_for(features);
        self.prior = Some(self.prior_components());
        let share = features as f32 / windows.max(1) as f32;
        self.input_noise.get_or_insert((INPUT_VARIANCE + share).min(1.0).sqrt());
        if self.epochs == 0 {
            self.epochs = EPOCHS.max(LEAST_STEPS.div_ceil(steps)).min(LEAST_EPOCHS.max(MOST_STEPS / steps));
        }
        if self.patience == 0 {
            self.patience = (self.epochs / 10).max(LEAST_PATIENCE);
        }
    }

    /// Widths of the hidden layers for a model of `features` values.
    #[must_use]
    pub fn hidden_for(&self, features: usize) -> Vec<usize> {
        let room = MODEL_BYTES.saturating_sub(BYTES_PER_FEATURE * features) / (2 * (features + HIDDEN[1]));
        // Whole blocks of four rows, as the file has them.
        let first = (room & !3).clamp(LEAST_HIDDEN, HIDDEN[0]);
        self.hidden.clone().unwrap_or_else(|| vec![first, HIDDEN[1].min(first)])
    }

    /// Latent dimensions for a model of `features` values.
    #[must_use]
    pub fn latent_for(&self, features: usize) -> usize {
        if self.latent == 0 { (features / 2 + 1).min(8) } else { self.latent }
    }
}
