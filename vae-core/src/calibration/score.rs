//! The score by which a window is judged, whatever is missing of it.

use crate::{
    arithmetic::vector::{AsWindow, Samples},
    calibration::Calibration,
    format::error::LoadError,
    inference::{
        score_kind::{Estimate, ScoreKind},
        vae::Vae,
    },
    model::Model,
    network::{
        error::InferError,
        scratch::{Buffers, Scratch},
    },
    probability::likelihood::Likelihood,
};

/// What a feature of a channel that the calibration does not know costs in an ordinary window: a Gaussian one, half its variance over its
/// variance.
const ORDINARY: f32 = 0.5;

/// How [`Model::score`] scores a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scoring {
    /// What the score is.
    pub kind: ScoreKind,
    /// An importance-weighted score takes no more samples than make clear on which side of this it is; none: all of them.
    pub threshold: Option<f32>,
    /// Seeds what is drawn; a detector's is the number of windows before this one.
    pub seed: u32,
}

impl Model<'_> {
    /// The score that a [`Detector`](crate::Detector) judges a window by, in nats and with the detector's bits: what `scoring.kind` names, in
    /// which each feature that was not observed (NaN) counts as an ordinary one. `x` is as for [`Self::encode`].
    ///
    /// [`Self::elbo_at_mean`], [`Self::log_likelihood`] and their kin are of the density of what was observed: a probability, but windows of
    /// which different features are missing cannot be compared by it. A density is per unit of each of its features, so that leaving one
    /// out shifts it by the logarithm of a unit. Here a missing feature adds what it adds to an ordinary window: its log normaliser, with
    /// the variance that is predicted for it, if one is, less the nats of its channel in `calibration`
    /// ([`ChannelCalibration::nats`](crate::ChannelCalibration::nats)), of which each of the channel's features has the same share (½
    /// where `calibration` does not know the channel: that of a Gaussian, by the definition of its variance). How far apart two windows
    /// are then does not depend on units, and a window is not the less normal for what it lacks, beyond what the encoder misses of it.
    ///
    /// Where nothing is missing, this is [`Self::elbo_at_mean`], [`Self::elbo`] or [`Self::log_likelihood_by`], bit for bit; of a model with
    /// relations ([`RELATION_CONSTANTS`](crate::format::RELATION_CONSTANTS)) it is at most that. There the log-likelihood of a reconstruction is the
    /// least of that of independent features, that of each feature given all the others, and a ceiling; and the score at most the log-density of
    /// a mixture of the input and, of a window with a value beyond those of the training windows, what the file says. So it is no density any
    /// more, but a number in nats whose tail the calibration knows.
    ///
    /// # Errors
    /// [`InferError::NoSamples`] for a kind of no samples; see [`InferError`].
    pub fn score(
        &self,
        x: &(impl AsWindow + ?Sized),
        calibration: &Calibration<'_>,
        scoring: Scoring,
        scratch: &mut Scratch<'_>,
    ) -> Result<f32, InferError> {
        let Scoring { kind, threshold, seed } = scoring;
        if matches!(kind, ScoreKind::Samples(0) | ScoreKind::Importance(0)) {
            return Err(InferError::NoSamples);
        }
        let (x, vae) = (x.as_window(), Vae::of(self)?);
        let mut observation = vae.observe(x)?;
        let mut buffers = scratch.split(self)?;
        vae.encode(&mut observation, &mut buffers)?;
        let mut estimate = Estimate::new(kind, seed, observation.missing() > 0, threshold);
        let Buffers { posterior, latent: z, mut layers } = buffers;
        let posterior = vae.posterior(z.len(), posterior)?;
        vae.estimate(&posterior, z, &mut layers, &mut estimate, |vae, pass, layers| {
            vae.finish_judged(&observation, pass, layers)
        })?;
        let score = vae.capped(estimate.score(&vae, &posterior, z)?, &observation)?;
        with_missing(score, observation.missing(), calibration, self, &vae.likelihood, x)
    }
}

/// The score of a window of which so many features are missing, from that of what was observed: each counts as an ordinary one.
pub(crate) fn with_missing(
    score: f32,
    missing: u32,
    calibration: &Calibration<'_>,
    model: &Model<'_>,
    likelihood: &Likelihood<'_>,
    x: Samples<'_>,
) -> Result<f32, InferError> {
    let added = match missing {
        0 => 0.0,
        _ => missing_nats(calibration, model, likelihood, x)?,
    };
    let score = score + added;
    if score.is_finite() { Ok(score) } else { Err(InferError::Overflow) }
}

/// What the features that were not observed would have added to the score of an ordinary window.
fn missing_nats(
    calibration: &Calibration<'_>,
    model: &Model<'_>,
    likelihood: &Likelihood<'_>,
    x: Samples<'_>,
) -> Result<f32, LoadError> {
    let mut missing = (0..x.len()).filter(|feature| x.get(*feature).is_nan());
    let mut owners = model.owners()?;
    missing.try_fold(0.0, |sum, feature| {
        let channel = owners.of(feature);
        let cost = calibration.channel(channel).map_or(ORDINARY, |normal| normal.nats / owners.own as f32);
        Ok(sum + likelihood.log_normaliser(feature)? - cost)
    })
}
