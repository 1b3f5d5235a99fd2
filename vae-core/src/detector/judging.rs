//! The work on one window.

use core::task::Poll;

use crate::{
    arithmetic::vector::Samples,
    calibration::channel::ChannelCalibration,
    detector::{
        Detector,
        adaptation::adapt,
        channel::{CHANNEL_STATE, Channel, channels},
        error::DetectorError,
        memory::Parts,
        verdict::{Anomaly, Assessment, SensorFault, SensorFaultKind, Verdict},
    },
    inference::{
        estimate::{Estimate, ScoreKind},
        vae::Vae,
    },
    network::{error::InferError, input::Condition, pass::Pass, scratch::Scratch},
};

/// What is left to do for the window.
#[derive(Clone, Debug)]
pub(crate) enum Work<'m> {
    /// The window is not complete.
    Idle,
    Begin,
    Encode(Pass<'m>, Seen),
    /// For a new baseline: what the features are off.
    MeasureFeatures(Pass<'m>),
    Decode(Pass<'m>, Seen, Estimate),
    BeginAttribution(Assessment),
    Attribute(Pass<'m>, Assessment),
}

/// What encoding the window has found out about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    careful: bool,
    missing: u32,
}

impl Detector<'_, '_> {
    /// Takes one sample, its channels in the model's order and in physical units, NaN for what was not observed; returns the verdict
    /// on the window that it completes, if it does.
    ///
    /// # Errors
    /// As [`Self::feed`] and [`Self::step`].
    pub fn push(&mut self, sample: &[f32], scratch: &mut Scratch<'_>) -> Result<Option<Verdict>, DetectorError> {
        if !self.feed(sample)? {
            return Ok(None);
        }
        loop {
            if let Poll::Ready(verdict) = self.step(scratch)? {
                return Ok(verdict);
            }
        }
    }

    /// Takes one sample as [`Self::push`] does, without judging yet; returns whether it completes a window.
    ///
    /// # Errors
    /// [`DetectorError::Busy`] if the window before has not been judged yet; [`InferError::WrongLength`] if the sample does not have the
    /// model's number of channels. The sample is then not taken.
    pub fn feed(&mut self, sample: &[f32]) -> Result<bool, DetectorError> {
        self.check_idle()?;
        let (needed, found) = (self.model.channels(), sample.len());
        if needed != found {
            return Err(InferError::WrongLength { needed, found }.into());
        }
        let window = self.model.window() as f32;
        let has_levels = self.has_levels;
        let channels = channels(self.state, &self.calibration, self.model.channels());
        let seen = channels
            .zip(sample)
            .map(|((mut channel, normal), value)| channel.push(*value, &normal, window, has_levels));
        let is_complete = self.window.push_values(seen);
        if is_complete {
            self.work = Work::Begin;
        }
        Ok(is_complete)
    }

    pub(crate) fn check_idle(&self) -> Result<(), DetectorError> {
        if matches!(self.work, Work::Idle) { Ok(()) } else { Err(DetectorError::Busy) }
    }

    /// Does a part of what is left to do for a window, at most one layer of the network, so that others get their turn.
    ///
    /// Ready once there is nothing left: with a verdict, or with none where no window is complete or a new baseline is made. Between
    /// the steps for a window `scratch` must be the same, and not be used by others.
    ///
    /// # Errors
    /// See [`DetectorError`], and [`InferError::BadCondition`] where [`Self::given`] has not been called for a conditional model. The
    /// window is then given up.
    pub fn step(&mut self, scratch: &mut Scratch<'_>) -> Result<Poll<Option<Verdict>>, DetectorError> {
        let outcome = self.advance(scratch);
        if outcome.is_err() {
            // Nor do its samples count for those of the next one.
            self.forget_hop();
        }
        outcome
    }

    fn advance(&mut self, scratch: &mut Scratch<'_>) -> Result<Poll<Option<Verdict>>, DetectorError> {
        let work = core::mem::replace(&mut self.work, Work::Idle);
        match work {
            Work::Idle => return Ok(Poll::Ready(None)),
            Work::Begin => {
                if let Some(fault) = self.sensor_fault() {
                    // So that what is drawn for a window depends on its place in the stream alone.
                    self.running.windows = self.running.windows.wrapping_add(u32::from(!self.running.is_measuring()));
                    return Ok(Poll::Ready(self.conclude_fault(fault)));
                }
                if self.is_measuring_channels() {
                    self.measure_channels();
                    return Ok(Poll::Ready(None));
                }
            }
            _ => {}
        }
        let unconditional = Vae::of(&self.model).map_err(InferError::Model)?;
        let is_measuring_features = self.running.is_before_scores();
        let kind = if is_measuring_features { ScoreKind::AtMean } else { self.calibration.score_kind() };
        let (threshold, channels_windows) = (self.threshold(), self.channels_windows());
        let parts = Parts::of(self.state, &self.model);
        if self.model.has_front_end() && matches!(work, Work::Begin) {
            self.model.extract(self.window.values(), parts.work, parts.features)?;
            adapt(parts.features, parts.shifts);
        }
        let values = if self.model.has_front_end() { &*parts.features } else { self.window.values() };
        let x = Samples::F32(values);
        if let Some(condition) = parts.condition.iter().position(|value| value.is_nan()) {
            return Err(InferError::BadCondition { condition }.into());
        }
        let vae = Vae { condition: Condition { values: parts.condition, ..unconditional.condition }, ..unconditional };
        let mut buffers = scratch.split(&self.model)?;
        self.work = match work {
            Work::Idle => Work::Idle,
            Work::Begin => {
                let mut x = vae.observe(x)?;
                let pass = x.begin_encoding(unconditional.encoder, &mut buffers.layers)?;
                Work::Encode(pass, Seen { careful: x.is_careful(), missing: x.missing() })
            }
            Work::Encode(mut pass, seen) => {
                if pass.advance(&mut buffers.layers)? {
                    Work::Encode(pass, seen)
                } else {
                    vae.finish_encoding(pass, &mut buffers)?;
                    let mut estimate = Estimate::new(self.running.windows, seen.missing > 0);
                    estimate.draw(kind, &vae, &mut buffers)?;
                    let pass = vae.begin_decoding(unconditional.decoder, buffers.latent, &mut buffers.layers)?;
                    if is_measuring_features { Work::MeasureFeatures(pass) } else { Work::Decode(pass, seen, estimate) }
                }
            }
            Work::MeasureFeatures(mut pass) => {
                if pass.advance(&mut buffers.layers)? {
                    Work::MeasureFeatures(pass)
                } else {
                    let done = self.running.baseline_done + 1;
                    let count = done.saturating_sub(channels_windows);
                    unconditional.measure_shifts(x, pass, &mut buffers.layers, count, parts.shifts)?;
                    self.running.baseline_done = done;
                    self.forget_hop();
                    return Ok(Poll::Ready(None));
                }
            }
            Work::Decode(mut pass, seen, mut estimate) => {
                if pass.advance(&mut buffers.layers)? {
                    Work::Decode(pass, seen, estimate)
                } else {
                    let x = vae.observe(x)?.resumed(seen.careful, seen.missing);
                    let density = vae.finish_log_conditional(&x, pass, &mut buffers.layers)?;
                    if estimate.add(density.nats()? + density.missing_nats(), kind, threshold) {
                        estimate.draw(kind, &vae, &mut buffers)?;
                        let pass = vae.begin_decoding(unconditional.decoder, buffers.latent, &mut buffers.layers)?;
                        Work::Decode(pass, seen, estimate)
                    } else {
                        let score = estimate.score(kind, &vae, &mut buffers)?;
                        let missing = match seen.missing {
                            0 => 0.0,
                            _ => self.calibration.missing_nats(&self.model, &vae.likelihood, Samples::F32(values)),
                        };
                        let score = score + missing;
                        if !score.is_finite() {
                            return Err(InferError::Overflow.into());
                        }
                        match self.conclude(score, seen.missing) {
                            Some(Verdict::Anomalous(anomaly)) => Work::BeginAttribution(anomaly.assessment),
                            verdict => return Ok(Poll::Ready(verdict)),
                        }
                    }
                }
            }
            Work::BeginAttribution(assessment) => {
                vae.posterior(buffers.latent.len(), buffers.posterior)?.mean(buffers.latent)?;
                let pass = vae.begin_decoding(unconditional.decoder, buffers.latent, &mut buffers.layers)?;
                Work::Attribute(pass, assessment)
            }
            Work::Attribute(mut pass, assessment) => {
                if pass.advance(&mut buffers.layers)? {
                    Work::Attribute(pass, assessment)
                } else {
                    let (mut feature, mut feature_nats) = (0, 0.0);
                    channels(parts.channels, &self.calibration, self.model.channels())
                        .for_each(|(channel, _)| *channel.nats = 0.0);
                    let states = parts.channels.as_chunks_mut::<CHANNEL_STATE>().0;
                    let mut owners = self.model.owners();
                    unconditional.finish_attribution(x, pass, &mut buffers.layers, &mut |index, nats| {
                        if nats > feature_nats {
                            (feature, feature_nats) = (index as u32, nats);
                        }
                        if let Some(state) = states.get_mut(owners.of(index)) {
                            *Channel::new(state).nats += nats;
                        }
                    })?;
                    let excess = |(channel, normal): (Channel<'_>, ChannelCalibration)| *channel.nats - normal.nats;
                    let (mut channel, mut channel_nats) = (0, f32::NEG_INFINITY);
                    for (index, nats) in
                        (0..).zip(channels(parts.channels, &self.calibration, self.model.channels()).map(excess))
                    {
                        if nats > channel_nats {
                            (channel, channel_nats) = (index, nats);
                        }
                    }
                    let anomaly = Anomaly { assessment, channel, channel_nats, feature, feature_nats };
                    return Ok(Poll::Ready(Some(Verdict::Anomalous(anomaly))));
                }
            }
        };
        Ok(Poll::Pending)
    }

    /// The first sensor of the window that is not to be believed.
    fn sensor_fault(&mut self) -> Option<SensorFault> {
        let window = self.model.window() as f32;
        let mut faults = (0..).zip(channels(self.state, &self.calibration, self.model.channels()));
        faults.find_map(|(channel, (state, _))| Some(SensorFault { channel, kind: state.fault(window)? }))
    }

    /// The first sensor that repeats its value for longer than in normal data.
    pub(crate) fn suspicion(&mut self) -> Option<SensorFault> {
        let mut channels = (0..).zip(channels(self.state, &self.calibration, self.model.channels()));
        let (channel, _) = channels.find(|(_, (state, normal))| state.is_suspicious(normal))?;
        Some(SensorFault { channel, kind: SensorFaultKind::Stuck })
    }

    pub(crate) fn conclude_fault(&mut self, fault: SensorFault) -> Option<Verdict> {
        self.forget_hop();
        Some(Verdict::SensorFault(fault))
    }

    /// Drops the samples since the last window.
    pub(crate) fn forget_hop(&mut self) {
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, _)| channel.forget_hop());
    }
}
