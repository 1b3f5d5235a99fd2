//! What a fit can be told, as TOML or on the command line.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use vae_core::{Activation, format::LikelihoodKind};

/// Likelihood `p(x|z)` of the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Likelihood {
    /// Gaussian with a learned variance per feature.
    Gaussian,
    /// Gaussian with one fixed variance, in standardised units.
    GaussianFixed,
    /// Bernoulli, for data between 0 and 1; nothing is standardised.
    Bernoulli,
}

impl Likelihood {
    /// The family's name in the model file.
    #[must_use]
    pub fn kind(self) -> LikelihoodKind {
        match self {
            Self::Gaussian => LikelihoodKind::GaussianPerFeature,
            Self::GaussianFixed => LikelihoodKind::GaussianFixed,
            Self::Bernoulli => LikelihoodKind::Bernoulli,
        }
    }
}

/// Activation of the hidden layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum HiddenActivation {
    /// None: a linear model.
    Identity,
    /// max(v, 0)
    Relu,
    /// v, or 0.01 v where negative
    LeakyRelu,
    /// Hyperbolic tangent
    Tanh,
    /// v · sigmoid(v)
    Silu,
    /// 1 / (1 + e⁻ᵛ)
    Sigmoid,
    /// ln(1 + eᵛ)
    Softplus,
}

impl HiddenActivation {
    /// The activation as the core applies it.
    #[must_use]
    pub fn core(self) -> Activation {
        match self {
            Self::Identity => Activation::Identity,
            Self::Relu => Activation::Relu,
            Self::LeakyRelu => Activation::LeakyRelu(0.01),
            Self::Tanh => Activation::Tanh,
            Self::Silu => Activation::Silu,
            Self::Sigmoid => Activation::Sigmoid,
            Self::Softplus => Activation::Softplus,
        }
    }
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
    /// Likelihood `p(x|z)`.
    pub likelihood: Likelihood,
    /// Variance of the fixed Gaussian likelihood, in standardised units.
    pub variance: f32,
    /// Least variance that the learned Gaussian likelihood may reach, in standardised units. By default 0.1 for rows, whose
    /// discrete or rare values would otherwise be learned as certain, and 0.01 for windows of a stream.
    pub variance_floor: Option<f32>,
    /// Widths of the encoder's hidden layers; the decoder mirrors them. Empty for a linear model.
    pub hidden: Vec<usize>,
    /// Latent dimensions; 0 chooses `min(8, features / 2 + 1)`.
    pub latent: usize,
    /// Activation of the hidden layers.
    pub activation: HiddenActivation,
    /// Most passes over the training data.
    pub epochs: usize,
    /// Windows in a batch.
    pub batch: usize,
    /// Adam's step size.
    pub learning_rate: f64,
    /// Fraction of the normal windows held out for validation and calibration.
    pub validation: f64,
    /// How they are chosen; by default `time` for windows and `seeded` for rows.
    pub split: Option<Split>,
    /// Epochs without a better validation ELBO before training stops.
    pub patience: usize,
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
            likelihood: Likelihood::Gaussian,
            variance: 0.1,
            variance_floor: None,
            hidden: vec![64, 32],
            latent: 0,
            activation: HiddenActivation::Silu,
            epochs: 300,
            batch: 64,
            learning_rate: 1e-3,
            validation: 0.2,
            split: None,
            patience: 30,
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
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not a valid configuration", path.display()))
    }

    /// Refuses values that no fit can work with.
    ///
    /// # Errors
    /// Names the value and what it may be.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("window", self.window),
            ("hop", self.hop),
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("patience", self.patience),
        ];
        for (name, value) in positive {
            ensure!(value > 0, "{name} is 0: give at least 1");
        }
        ensure!(!self.hidden.contains(&0), "a hidden layer of width 0: leave it out of `hidden` instead");
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

    /// Least variance of the learned Gaussian, in standardised units.
    #[must_use]
    pub fn variance_floor(&self) -> f32 {
        self.variance_floor.unwrap_or(if self.window > 1 { 0.01 } else { 0.1 })
    }

    /// Latent dimensions for a model of `features` values.
    #[must_use]
    pub fn latent_for(&self, features: usize) -> usize {
        if self.latent == 0 { (features / 2 + 1).min(8) } else { self.latent }
    }
}
