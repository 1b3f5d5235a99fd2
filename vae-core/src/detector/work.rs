//! What is left to do for a window between two steps, and what a step works with.

use crate::{
    arithmetic::vector::Samples,
    calibration::{Calibration, channel::ChannelCalibration, score::with_missing},
    detector::{
        channel::{CHANNEL_STATE, Channel, channels},
        verdict::{Anomaly, Assessment},
    },
    front_end::features::Owners,
    inference::{
        estimator::Estimator,
        score_kind::{Estimate, ScoreKind},
        vae::Vae,
    },
    model::Model,
    network::{
        error::InferError,
        input::Seen,
        pass::{Layers, Pass},
        scratch::Buffers,
    },
    probability::likelihood::Costs,
};

/// What is left to do for the window.
#[derive(Clone, Debug)]
pub(crate) enum Work<'m> {
    /// The window is not complete.
    Idle,
    Begin,
    Encode(Pass<'m>, Seen),
    /// For a new baseline: what the features are off, and in how many windows that was measured, with this one.
    MeasureFeatures(Pass<'m>, u32),
    Decode(Pass<'m>, Seen, Estimate),
    BeginAttribution(Assessment),
    Attribute(Pass<'m>, Assessment),
}

/// What a step has led to.
pub(crate) enum Step {
    /// There is more to do.
    Pending,
    /// The features are measured, for a new baseline.
    Measured,
    /// The score is known, how many features were missing, and whether the work's pass is of the posterior's mean, with its last layer's input
    /// in the buffers still.
    Scored(f32, u32, bool),
    /// What is to blame is known.
    Blamed(Anomaly),
}

/// What a step works with.
pub(crate) struct Task<'w, 'm> {
    pub(crate) model: &'w Model<'m>,
    pub(crate) calibration: &'w Calibration<'m>,
    /// With the window's condition.
    pub(crate) vae: Vae<'w>,
    /// The network's halves as the file has them, for what outlives the step.
    pub(crate) encoder: Layers<'m>,
    pub(crate) decoder: Layers<'m>,
    pub(crate) x: Samples<'w>,
    pub(crate) channels: &'w mut [f32],
    /// What features are off, in their units.
    pub(crate) shifts: &'w mut [f32],
    pub(crate) buffers: Buffers<'w>,
    pub(crate) kind: ScoreKind,
    /// Seeds what is drawn.
    pub(crate) seed: u32,
    pub(crate) threshold: f32,
    /// Of the windows in which a new baseline measures the features: which one this is.
    pub(crate) measured: Option<u32>,
}

/// What each channel's features cost, and the feature that costs most.
struct Blame<'w> {
    owners: Owners<'w>,
    states: &'w mut [[f32; CHANNEL_STATE]],
    feature: u32,
    nats: f32,
}

impl Costs for Blame<'_> {
    #[inline(always)] // an alarm waits for it
    fn add(&mut self, feature: usize, nats: f32) {
        if nats > self.nats {
            (self.feature, self.nats) = (feature as u32, nats);
        }
        if let Some(state) = self.states.get_mut(self.owners.of(feature)) {
            *Channel::new(state).nats += nats;
        }
    }
}

impl<'m> Task<'_, 'm> {
    /// Does the next part of the work, at most a layer of the network.
    pub(crate) fn advance(&mut self, work: &mut Work<'m>) -> Result<Step, InferError> {
        let Buffers { posterior, latent, layers } = &mut self.buffers;
        match work {
            Work::Idle | Work::Begin => {
                let mut x = self.vae.observe(self.x)?;
                let pass = x.begin_encoding(self.encoder, layers)?;
                *work = Work::Encode(pass, x.seen());
            }
            Work::Encode(pass, seen) => {
                if !pass.advance(layers)? {
                    let seen = *seen;
                    self.vae.finish_encoding(pass, &mut self.buffers)?;
                    let mut estimate = Estimate::new(self.kind, self.seed, seen.missing > 0, Some(self.threshold));
                    let pass = self.draw(&mut estimate)?;
                    *work = match self.measured {
                        Some(count) => Work::MeasureFeatures(pass, count),
                        None => Work::Decode(pass, seen, estimate),
                    };
                }
            }
            Work::MeasureFeatures(pass, count) => {
                if !pass.advance(layers)? {
                    self.vae.measure_shifts(self.x, pass, layers, *count, self.shifts)?;
                    return Ok(Step::Measured);
                }
            }
            Work::Decode(pass, seen, estimate) => {
                if !pass.advance(layers)? {
                    return self.decoded(pass, *seen, estimate);
                }
            }
            Work::BeginAttribution(assessment) => {
                self.vae.posterior(latent.len(), posterior)?.mean(&mut **latent)?;
                *work = Work::Attribute(self.vae.begin_decoding(self.decoder, latent, layers)?, *assessment);
            }
            Work::Attribute(pass, assessment) => {
                if !pass.advance(layers)? {
                    return Ok(Step::Blamed(self.attributed(pass, *assessment)?));
                }
            }
        }
        Ok(Step::Pending)
    }

    /// Draws the next latent vector and begins to decode it.
    fn draw(&mut self, estimate: &mut Estimate) -> Result<Pass<'m>, InferError> {
        let Buffers { posterior, latent, layers } = &mut self.buffers;
        let posterior = self.vae.posterior(latent.len(), posterior)?;
        estimate.draw(&self.vae, &posterior, latent, layers)?;
        self.vae.begin_decoding(self.decoder, latent, layers)
    }

    /// Finishes the decoder's pass and adds the window's log-likelihood to the estimate.
    fn decoded(&mut self, pass: &mut Pass<'m>, seen: Seen, estimate: &mut Estimate) -> Result<Step, InferError> {
        let x = self.vae.observe(self.x)?.resumed(seen);
        let nats = self.vae.finish_judged(&x, pass, &mut self.buffers.layers)?;
        if estimate.add(nats) {
            *pass = self.draw(estimate)?;
            return Ok(Step::Pending);
        }
        // Relations have a layer of their own, which has overwritten the decoder's.
        let is_left = matches!(estimate, Estimate::AtMean(_)) && !self.vae.is_related();
        let Buffers { posterior, latent, .. } = &mut self.buffers;
        let posterior = self.vae.posterior(latent.len(), posterior)?;
        let score = self.vae.capped(estimate.score(&self.vae, &posterior, latent)?, &x)?;
        let score = with_missing(score, seen.missing, self.calibration, self.model, &self.vae.likelihood, self.x)?;
        Ok(Step::Scored(score, seen.missing, is_left))
    }

    /// Finishes the pass for the attribution, and finds the channel and the feature that cost most.
    fn attributed(&mut self, pass: &mut Pass<'_>, assessment: Assessment) -> Result<Anomaly, InferError> {
        let Self { model, calibration, .. } = *self;
        channels(self.channels, calibration, model.channels()).for_each(|(channel, _)| *channel.nats = 0.0);
        let states = self.channels.as_chunks_mut::<CHANNEL_STATE>().0;
        let mut blame = Blame { owners: model.owners()?, states, feature: 0, nats: 0.0 };
        let Buffers { posterior, latent, layers } = &mut self.buffers;
        let posterior = self.vae.posterior(latent.len(), posterior)?;
        self.vae.finish_attribution(self.x, (&posterior, latent), pass, layers, &mut blame)?;
        let Blame { feature, nats: feature_nats, .. } = blame;
        let excess = |(channel, normal): (Channel<'_>, ChannelCalibration)| *channel.nats - normal.nats;
        let (mut channel, mut channel_nats) = (0, f32::NEG_INFINITY);
        for (index, nats) in (0..).zip(channels(self.channels, calibration, model.channels()).map(excess)) {
            if nats > channel_nats {
                (channel, channel_nats) = (index, nats);
            }
        }
        Ok(Anomaly { assessment, channel, channel_nats, feature, feature_nats })
    }
}
