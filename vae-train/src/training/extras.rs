//! What a run learns after its model: the aggregated posterior, a second stage, and attributes.

use anyhow::{Result, ensure};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    data::part::Part,
    model::architecture::Architecture,
    statistics::two_sample::{Discrepancy, Gain},
    training::{
        aggregate::{encode, mixture},
        checkpoint::Checkpoint,
        listener::Listener,
        second_stage::{self, Trained},
    },
    weights::{
        attribute::Attribute, mixture::Mixture, posteriors::Posteriors, relations::Relations, second_stage::SecondStage,
    },
};

/// Learned after the model, kept beside the checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Extras {
    /// The aggregated posterior, as a mixture of few Gaussians.
    pub mixture: Option<Mixture>,
    /// The aggregated posterior by its definition, of some of the training windows.
    pub posteriors: Option<Posteriors>,
    /// A second stage, if it is of use.
    pub second_stage: Option<SecondStage>,
    /// What was found of the second stage, whether it is there or was left out; none where none was asked for.
    pub judgement: Option<SecondStageJudgement>,
    /// How features go together; none yet, or that there is nothing to relate.
    pub relations: Option<Option<Relations>>,
    /// Named directions.
    pub attributes: Vec<Attribute>,
}

/// How well a second stage draws latent vectors: as those of held-out windows are, drawn from their posteriors?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecondStageJudgement {
    /// Share of Var(z) that it explains: one less the mean over the dimensions of `Var(z|u) / Var(z)`.
    pub explained: f64,
    /// Held-out windows without missing values, of which the latent vectors are that its own are compared with.
    pub windows: usize,
    /// Of its vectors.
    pub second_stage: Discrepancy,
    /// Of those of the model's prior, by which it generates without a second stage.
    pub prior: Discrepancy,
    /// Of those of N(0, I), where the prior is a learned one.
    pub standard_normal: Option<Discrepancy>,
    /// How much nearer it is than the model's prior.
    pub gain: Gain,
    /// Whether the model has it: only if it is nearer than the prior.
    pub is_stored: bool,
}

impl Extras {
    /// Whether all that `config` asks for has been learned.
    #[must_use]
    pub fn fulfil(&self, config: &Config) -> bool {
        self.relations.is_some()
            && (config.model.mixture == 0 || self.mixture.is_some())
            && (config.model.posteriors == 0 || self.posteriors.is_some())
            && (!config.model.second_stage || self.judgement.is_some())
    }

    /// Learns what `config` asks for from the best network and the standardised training windows; `None` if the listener stops it. With the
    /// share of Var(z) that the second stage explains, which still has to be judged.
    ///
    /// # Errors
    /// If the checkpoint is damaged or the second stage diverges.
    pub fn learn(
        config: &Config,
        architecture: &Architecture,
        checkpoint: &Checkpoint,
        train: Part<'_>,
        device: &Device,
        listener: &dyn Listener,
    ) -> Result<Option<(Self, Option<f64>)>> {
        let (mut extras, mut explains) = (Self::default(), None);
        if config.model.mixture == 0 && config.model.posteriors == 0 && !config.model.second_stage {
            return Ok(Some((extras, explains)));
        }
        let network = checkpoint.best_network(architecture, device)?;
        let posteriors = encode(&network, train, device)?;
        if config.model.mixture > 0 {
            ensure!(
                config.model.mixture <= posteriors.count(),
                "a mixture of {} components for {} windows",
                config.model.mixture,
                posteriors.count()
            );
            extras.mixture = Some(mixture(&posteriors, config.model.mixture, config.seed));
        }
        if config.model.second_stage {
            match second_stage::train(config, architecture, &posteriors, train, device, listener)? {
                Some(Trained { stage, explained }) => {
                    extras.second_stage = Some(stage);
                    explains = Some(explained);
                }
                None => return Ok(None),
            }
        }
        extras.posteriors = (config.model.posteriors > 0).then(|| posteriors.thinned(config.model.posteriors));
        Ok(Some((extras, explains)))
    }
}
