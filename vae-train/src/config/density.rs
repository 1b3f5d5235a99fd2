//! What a model is told by default that is to say how likely values are.

use crate::{
    config::Config,
    model::{
        objective::{Bound, Objective},
        posterior::Estimator,
    },
    weights::family::Likelihood,
};

/// Components of the learned prior.
pub(super) const DENSITY_COMPONENTS: usize = 64;
/// First step size, and the share of it that is left in the last epoch.
const RATE: f64 = 2e-3;
const LAST: f64 = 0.005;
const BATCH: usize = 128;
/// One of so many epochs passes in the warm-up: of the ELBO, and of the importance-weighted bound, which is kept from collapsing by a short one, and a longer one
/// leaves it worse.
const WARM_UP: [usize; 2] = [4, 100];
/// Samples of the importance-weighted bound.
const SAMPLES: usize = 8;

impl Config {
    /// The settings that have a value from the start.
    pub(super) fn choose_for_densities(&mut self) {
        self.model.likelihood = Likelihood::GaussianPredicted;
        self.model.relations = false;
        self.training.batch = BATCH;
        self.training.learning_rate = RATE;
    }

    /// What is left to choose of a model that is fitted to so many `windows`.
    pub(super) fn settle_for_densities(&mut self, windows: usize) {
        self.model.variance_floor = Some(self.variance_floor());
        self.objective.input_noise.get_or_insert(0.0);
        let epochs = *self.training.epochs.get_or_insert(self.training.epochs_for_densities(windows));
        self.training.last_rate.get_or_insert(LAST * self.training.learning_rate);
        let Objective { estimator, .. } = self.objective();
        let is_importance = estimator == Estimator::Reparameterised && !self.objective.is_weighted();
        let bound = if is_importance { Bound::Importance } else { Bound::Elbo };
        let [of_elbo, of_importance] = WARM_UP.map(|share| epochs / share);
        match *self.objective.objective.get_or_insert(bound) {
            Bound::Elbo => _ = self.objective.warm_up.get_or_insert(of_elbo),
            Bound::Importance => {
                self.objective.samples.get_or_insert(SAMPLES);
                self.objective.warm_up.get_or_insert(of_importance);
            }
        }
    }
}
