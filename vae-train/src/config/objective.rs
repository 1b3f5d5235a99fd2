//! What training maximises.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::model::{objective::Bound, posterior::Estimator};

/// The section `objective`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Objective")]
#[serde(default, deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Bound of `ln p(x)` that is maximised [default: elbo; for densities importance, where nothing else that is given is the ELBO's].
    #[arg(long, hide_short_help = true, value_enum)]
    pub objective: Option<Bound>,
    /// Samples per window and step: L of the ELBO, K of the importance-weighted bound [default: 1; 4 for score-function; 8 for densities' importance].
    ///
    /// Of the score function's, each is compared with the others of its window; a single one with what a network, learned beside, expects.
    #[arg(long, hide_short_help = true)]
    pub samples: Option<usize>,
    /// How the gradient passes the sampling [default: reparameterised; score-function for discrete latents].
    ///
    /// `enumeration` has no sampling noise, and a step takes as long as with so many samples as there are latent vectors.
    #[arg(long, hide_short_help = true)]
    pub estimator: Option<Estimator>,
    /// Noise added to what the encoder sees in training, in standard deviations of each feature; 0 for none [default: 0.3 and more].
    ///
    /// The encoder then cannot rely on details that another window of the same kind would not have. A Bernoulli likelihood has no such noise. By
    /// default its variance is 0.09 + features / training windows, at most 1: with fewer windows for each feature, the encoder trusts each less
    /// (as covariances are shrunk, Ledoit & Wolf 2004).
    #[arg(long, hide_short_help = true)]
    pub input_noise: Option<f32>,
    /// Weight of the KL.
    #[arg(long, hide_short_help = true, default_value_t = ObjectiveConfig::default().beta)]
    pub beta: f32,
    /// Nats of KL per latent dimension (per latent, of categorical ones) that cost nothing.
    #[arg(long, hide_short_help = true, default_value_t = ObjectiveConfig::default().free_bits)]
    pub free_bits: f32,
    /// Epochs over which the KL's weight rises to --beta [default: 0; for densities 96 steps, of the ELBO a quarter of the epochs].
    ///
    /// Of the importance-weighted bound it is that of `ln p(z) - ln q(z|x)` in its weights.
    #[arg(long, hide_short_help = true)]
    pub warm_up: Option<usize>,
}

impl Default for ObjectiveConfig {
    fn default() -> Self {
        Self {
            objective: None,
            samples: None,
            estimator: None,
            input_noise: None,
            beta: 1.0,
            free_bits: 0.0,
            warm_up: None,
        }
    }
}

impl ObjectiveConfig {
    /// Whether the KL is not what it weighs in the ELBO.
    pub(super) fn is_weighted(&self) -> bool {
        self.beta != 1.0 || self.free_bits > 0.0
    }

    /// Refuses values that no fit can work with.
    ///
    /// # Errors
    /// Names the value and what it may be.
    pub fn check(&self) -> Result<()> {
        ensure!(self.samples != Some(0), "samples is 0: give at least 1");
        ensure!(
            self.objective != Some(Bound::Importance) || !self.is_weighted(),
            "beta and free_bits weigh the ELBO's KL, and the importance-weighted bound has no KL: leave them out, or leave out --objective"
        );
        if let Some(deviation) = self.input_noise {
            ensure!(deviation.is_finite() && deviation >= 0.0, "input_noise {deviation}: give 0 or more");
        }
        ensure!(self.beta.is_finite() && self.beta >= 0.0, "beta {}: give 0 or more", self.beta);
        ensure!(self.free_bits.is_finite() && self.free_bits >= 0.0, "free_bits {}: give 0 or more", self.free_bits);
        Ok(())
    }
}
