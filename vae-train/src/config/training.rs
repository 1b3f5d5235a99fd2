//! How long and in what steps a model is trained.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// Passes over the training data by default, and what they may come to in steps.
const EPOCHS: usize = 300;
const LEAST_STEPS: usize = 6000;
const MOST_STEPS: usize = 200_000;
/// Epochs that are always waited for.
const LEAST_PATIENCE: usize = 30;
/// Passes over the largest data.
const LEAST_EPOCHS: usize = 10;

/// The section `training`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Training")]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Most passes over the training data [default: 300, more for small tables, fewer for large ones].
    ///
    /// More for a table so small that 300 passes are fewer than 6,000 steps, fewer for one so large that they are more than 200,000 steps.
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Windows in a batch.
    #[arg(long, hide_short_help = true, default_value_t = TrainingConfig::default().batch)]
    pub batch: usize,
    /// Adam's step size.
    #[arg(long, hide_short_help = true, default_value_t = TrainingConfig::default().learning_rate)]
    pub learning_rate: f64,
    /// Epochs without a better validation ELBO before training stops [default: a tenth of the epochs, at least 30].
    #[arg(long, hide_short_help = true)]
    pub patience: Option<usize>,
    /// Epochs of quantisation-aware fine-tuning after the training: the weights learn to be rounded to int8.
    #[arg(long, hide_short_help = true, default_value_t = TrainingConfig::default().quantisation_aware)]
    pub quantisation_aware: usize,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self { epochs: None, batch: 64, learning_rate: 1e-3, patience: None, quantisation_aware: 0 }
    }
}

impl TrainingConfig {
    /// Most passes over so many training windows.
    #[must_use]
    pub fn epochs_for(&self, windows: usize) -> usize {
        let steps = windows.div_ceil(self.batch).max(1);
        let chosen = EPOCHS.max(LEAST_STEPS.div_ceil(steps)).min(LEAST_EPOCHS.max(MOST_STEPS / steps));
        self.epochs.unwrap_or(chosen)
    }

    /// Epochs without a better validation ELBO before training on so many windows stops.
    #[must_use]
    pub fn patience_for(&self, windows: usize) -> usize {
        self.patience.unwrap_or((self.epochs_for(windows) / 10).max(LEAST_PATIENCE))
    }

    /// Refuses values that no fit can work with.
    ///
    /// # Errors
    /// Names the value and what it may be.
    pub fn check(&self) -> Result<()> {
        ensure!(self.batch > 0, "batch is 0: give at least 1");
        for (name, given) in [("epochs", self.epochs), ("patience", self.patience)] {
            ensure!(given != Some(0), "{name} is 0: give at least 1, or leave it out");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate < 1.0) {
            bail!("learning rate {}: give a value between 0 and 1, for example 0.001", self.learning_rate);
        }
        Ok(())
    }
}
