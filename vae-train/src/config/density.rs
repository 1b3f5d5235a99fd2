//! What a model is told by default that is to say how likely values are.

use crate::{
    config::{model::ModelConfig, objective::ObjectiveConfig, training::TrainingConfig},
    model::{objective::Bound, posterior::Estimator},
    weights::family::Likelihood,
};

/// Components of the learned prior.
pub(super) const DENSITY_COMPONENTS: usize = 64;
/// First step size, and the share of it that is left in the last epoch.
const RATE: f64 = 2e-3;
const LAST: f64 = 0.005;
const BATCH: usize = 128;
/// One of so many epochs passes in the warm-up of the ELBO.
const WARM_UP: usize = 4;
/// Steps of the importance-weighted bound's warm-up, at the least: so many keep it from collapsing, and more leave it worse.
const WARM_UP_STEPS: usize = 96;
/// Samples of the importance-weighted bound.
const SAMPLES: usize = 8;

/// The settings that have a value from the start.
pub(super) fn choose(model: &mut ModelConfig, training: &mut TrainingConfig) {
    model.likelihood = Likelihood::GaussianPredicted;
    model.relations = false;
    training.batch = BATCH;
    training.learning_rate = RATE;
}

/// What is left to choose of a model that is fitted to so many `windows`.
pub(super) fn settle(
    objective: &mut ObjectiveConfig,
    training: &mut TrainingConfig,
    estimator: Estimator,
    windows: usize,
) {
    objective.input_noise.get_or_insert(0.0);
    let epochs = *training.epochs.get_or_insert(training.epochs_for_densities(windows));
    training.last_rate.get_or_insert(LAST * training.learning_rate);
    let is_importance = estimator == Estimator::Reparameterised && !objective.is_weighted();
    let bound = if is_importance { Bound::Importance } else { Bound::Elbo };
    match *objective.objective.get_or_insert(bound) {
        Bound::Elbo => _ = objective.warm_up.get_or_insert(epochs / WARM_UP),
        Bound::Importance => {
            objective.samples.get_or_insert(SAMPLES);
            let steps = windows.div_ceil(training.batch.max(1)).max(1);
            objective.warm_up.get_or_insert(WARM_UP_STEPS.div_ceil(steps));
        }
    }
}
