//! How long and in what steps a model is trained.

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// Passes over the training data by default, and what they may come to in steps.
const EPOCHS: usize = 300;
const LEAST_STEPS: usize = 6000;
const MOST_STEPS: usize = 200_000;
/// Steps of a model of densities by default, and the most passes that they may be.
const DENSITY_STEPS: usize = 40_000;
const MOST_DENSITY_EPOCHS: usize = 2000;
/// Epochs that are always waited for.
const LEAST_PATIENCE: usize = 30;
/// Passes over the largest data.
const LEAST_EPOCHS: usize = 10;

/// The section `training`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Training")]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Most passes over the training data [default: 300, more for small tables, fewer for large ones; for densities 40,000 steps].
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
    /// Adam's step size in the last epoch, to which it falls along half a cosine [default: --learning-rate; for densities a 200th of it].
    #[arg(long, hide_short_help = true)]
    pub last_rate: Option<f64>,
    /// Epochs without a better validation ELBO before training stops [default: a tenth of the epochs, at least 30; all where the step size falls].
    #[arg(long, hide_short_help = true)]
    pub patience: Option<usize>,
    /// Epochs of quantisation-aware fine-tuning after the training: the weights learn to be rounded to int8.
    #[arg(long, hide_short_help = true, default_value_t = TrainingConfig::default().quantisation_aware)]
    pub quantisation_aware: usize,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self { epochs: None, batch: 64, learning_rate: 1e-3, last_rate: None, patience: None, quantisation_aware: 0 }
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

    /// Passes over so many training windows of a model of densities by default.
    #[must_use]
    pub fn epochs_for_densities(&self, windows: usize) -> usize {
        let steps = windows.div_ceil(self.batch).max(1);
        (DENSITY_STEPS / steps).clamp(LEAST_EPOCHS, MOST_DENSITY_EPOCHS)
    }

    /// Epochs without a better validation ELBO before training on so many windows stops: where the step size falls, all, as most is learnt at the end.
    #[must_use]
    pub fn patience_for(&self, windows: usize) -> usize {
        let epochs = self.epochs_for(windows);
        let usual = if self.last_rate.is_some() { epochs } else { (epochs / 10).max(LEAST_PATIENCE) };
        self.patience.unwrap_or(usual)
    }

    /// Adam's step size in an epoch, counted from 1, of so many: from `learning_rate` in the first to `last_rate` in the last.
    ///
    /// # Source
    /// Loshchilov & Hutter (2017), *SGDR: stochastic gradient descent with warm restarts*, equation 5, without restarts.
    #[must_use]
    pub fn rate_of(&self, epoch: usize, epochs: usize) -> f64 {
        let last = self.last_rate.unwrap_or(self.learning_rate);
        let passed = epoch.saturating_sub(1) as f64 / epochs.saturating_sub(1).max(1) as f64;
        last + 0.5 * (self.learning_rate - last) * (1.0 + libm::cos(std::f64::consts::PI * passed.min(1.0)))
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
        if let Some(last) = self.last_rate.filter(|last| !(*last > 0.0 && *last <= self.learning_rate)) {
            bail!("last rate {last}: give a value above 0, at most the learning rate of {}", self.learning_rate);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_size_falls_along_half_a_cosine_or_stays() {
        let mut config = TrainingConfig { learning_rate: 0.01, last_rate: Some(1e-4), ..TrainingConfig::default() };
        let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-15, "{found} for {expected}");
        close(config.rate_of(1, 101), 0.01);
        close(config.rate_of(51, 101), 0.5 * (0.01 + 1e-4));
        close(config.rate_of(101, 101), 1e-4);
        // A third of the way, cos 60° = ½.
        close(config.rate_of(4, 10), 1e-4 + 0.75 * (0.01 - 1e-4));
        close(config.rate_of(1, 1), 0.01);
        assert_eq!((config.patience_for(1000), config.epochs_for(1000)), (375, 375));
        config.last_rate = None;
        assert!((1..=300).all(|epoch| config.rate_of(epoch, 300) == 0.01));
        assert_eq!(config.patience_for(1000), 37);
    }
}
