//! From a stream of samples to verdicts.

use core::task::Poll;

use heapless::VecView;
use rand_pcg::{Pcg32, rand_core::SeedableRng};

use crate::{
    Alarm, AlarmRule, Alarms, Anomaly, Assessment, Calibration, ChannelCalibration, DetectorError, Drift, DriftKind,
    InferError, LoadError, Model, Samples, ScoreKind, Scratch, SensorFault, SensorFaultKind, Verdict, Votes, Window,
    adaptation::adapt,
    channel::{CHANNEL_STATE, Channel, channels, held},
    importance::LogMeanExp,
    likelihood::Likelihood,
    model::{Network, Pass},
    scratch::Buffers,
    window::whole,
};

/// A detector takes an importance-weighted score for decided once it is so many standard errors away from the threshold, and draws no more.
pub const DECIDED: f32 = 3.0;

/// Two sample rates are the same if they differ by less than this share.
const RATE_TOLERANCE: f32 = 0.01;

/// A new baseline widens the scores' spread at most by the inverse of this.
const LEAST_FACTOR: f32 = 0.25;

/// −scores that are further apart than so many of the calibration's spreads are not of one normal machine.
const ABSURD: f32 = 64.0;

/// Fewest windows of a new baseline, and fewest independent ones' worth of them.
pub const LEAST_BASELINE: u32 = 32;

/// Judges a stream of samples: cuts it into windows, scores each, and says whether the machine is as it was, behaves unlike itself, or
/// moves slowly away, and whether a sensor is to be believed at all.
///
/// It works in buffers of the caller; everything that it remembers fits into a [snapshot](Self::snapshot). The sizes:
/// `heapless::Vec<f32, { MODEL.window_len() }>` for the window, `[f32; MODEL.state_len()]` for the state.
///
/// # What a verdict is
/// 1. A window that contains samples of a sensor that is not to be believed is a [`Verdict::SensorFault`] and not scored. So is a
///    window that is unlikely while a sensor repeats its value for longer than in normal data.
/// 2. [`Alarm`] says when an alarm is raised and cleared: m votes of the last n windows raise it, or the sum of many scores that are each
///    a little low. While it is raised, windows are [`Verdict::Anomalous`].
/// 3. Averages follow the scores, and each channel's level and power, slowly: [`Verdict::Drifting`] where one is beyond what it
///    ordinarily is. They stand still while an alarm is raised or in doubt, so that a fault is not taken for the machine's new nature.
#[derive(Debug)]
pub struct Detector<'m, 'b> {
    model: Model<'m>,
    calibration: Calibration<'m>,
    window: Window<'b>,
    /// Channels' states, then the condition, then, where there is a front-end, what features are off, and room for samples and features.
    state: &'b mut [f32],
    alarm: Alarm,
    rule: AlarmRule,
    alarms: Option<Alarms>,
    /// Whether values have levels that may drift; zeros and ones have none.
    has_levels: bool,
    /// Samples a second; 0 where not known.
    sample_rate: f32,
    /// Whether what has been learned of the machine may not be changed any more.
    is_locked: bool,
    running: Running,
    work: Work<'m>,
}

/// What a snapshot holds beside channels and votes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Running {
    /// Windows so far: seeds what is drawn for the next one.
    pub(crate) windows: u32,
    pub(crate) is_drifting: bool,
    /// Maps −scores to those of the calibration: `centre + factor · (s − own centre)`.
    pub(crate) score_centre: f32,
    pub(crate) score_factor: f32,
    /// Windows that a new baseline is made from, and those that it has; 0 where none is made.
    pub(crate) baseline_windows: u32,
    pub(crate) baseline_done: u32,
    /// Windows that the channels' baseline was averaged over; 0 for the calibration's.
    pub(crate) baseline_size: u32,
    /// Mean and mean square deviation of the new baseline's −scores.
    pub(crate) baseline_mean: f32,
    pub(crate) baseline_variance: f32,
}

/// What is left to do for the window.
#[derive(Clone, Debug)]
enum Work<'m> {
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
struct Seen {
    careful: bool,
    missing: u32,
}

/// A score in the making.
#[derive(Clone, Debug)]
pub(crate) struct Estimate {
    rng: Pcg32,
    /// Whether features of the window are.
    is_missing: bool,
    /// `ln p(z) − ln q(z|x)` of the sample that is being decoded.
    log_ratio: f32,
    /// Of the log-likelihoods so far.
    mean: f32,
    weights: LogMeanExp,
}

impl<'m, 'b> Detector<'m, 'b> {
    /// A detector for `model` that has seen nothing yet, with the threshold and votes of the model's calibration.
    ///
    /// `window` has room for [`Model::window_len`] values, `state` for [`Model::state_len`].
    ///
    /// # Errors
    /// If the model is faulty or not calibrated, or a buffer too small.
    pub fn new(model: Model<'m>, window: &'b mut VecView<f32>, state: &'b mut [f32]) -> Result<Self, DetectorError> {
        Self::over(model, whole(window), state)
    }

    /// As [`Self::new`], with a slice of [`Model::window_len`] values for the window: where the model, and so the capacity of a vector,
    /// is not known while the program is compiled.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn over(model: Model<'m>, window: &'b mut [f32], state: &'b mut [f32]) -> Result<Self, DetectorError> {
        let calibration = model.calibration().map_err(InferError::Model)?;
        let alarm = Alarm::new(Self::fits(&model, &calibration, state.len())?);
        let mut detector = Self {
            model,
            calibration,
            window: Window::over(model.channels(), model.window(), model.hop(), window)?,
            state,
            alarm,
            rule: AlarmRule::new(&calibration, -calibration.threshold(), 0.0),
            alarms: None,
            has_levels: has_levels(&model)?,
            sample_rate: calibration.sample_rate().unwrap_or(0.0),
            is_locked: false,
            running: Running::new(&calibration),
            work: Work::Idle,
        };
        Parts::of(detector.state, &detector.model).condition.fill(f32::NAN);
        detector.forget_all();
        detector.set_rule()?;
        Ok(detector)
    }

    /// Checks what a model asks of a detector.
    fn fits(model: &Model<'_>, calibration: &Calibration<'_>, state: usize) -> Result<Votes, DetectorError> {
        let needed = model.state_len();
        if state < needed {
            return Err(DetectorError::StateTooSmall { needed, found: state });
        }
        if calibration.scores() == 0 {
            return Err(DetectorError::NotCalibrated);
        }
        let mut found = 0;
        for channel in 0..model.channels() {
            let front_end = model.front_end(channel).map_err(InferError::Model)?;
            if !front_end.fits(model.window()) {
                return Err(InferError::Unsupported.into());
            }
            found = front_end.features(model.window()).saturating_add(found);
        }
        let expected = model.features();
        if expected != found {
            return Err(InferError::Model(LoadError::Shape { expected, found }).into());
        }
        let (needed, of) = calibration.votes();
        Votes::new(needed, of).ok_or(DetectorError::Votes { needed, of })
    }

    /// Raises at most so many false alarms, by the tails of alarms in the model's calibration.
    ///
    /// # Errors
    /// [`DetectorError::NoSampleRate`] where neither the model nor [`Self::sample_rate`] says how fast samples come;
    /// [`DetectorError::NotCalibrated`] where the calibration holds no tail of alarms, or `alarms` is no positive rate.
    pub fn alarm_rate(mut self, alarms: Alarms) -> Result<Self, DetectorError> {
        self.alarms = Some(alarms);
        self.set_rule()?;
        Ok(self)
    }

    /// Raises an alarm when `needed` of the last `of` windows are below the threshold.
    ///
    /// With other votes than those that the alarms were calibrated with, [`Self::alarm_rate`] keeps what it promises by the least that
    /// is certain: an alarm takes `needed` votes, so that there are at most as many alarms as votes divided by `needed`.
    ///
    /// # Errors
    /// [`DetectorError::Votes`] unless `1 ≤ needed ≤ of ≤ 32`.
    pub fn votes(mut self, needed: u32, of: u32) -> Result<Self, DetectorError> {
        self.alarm = Alarm::new(Votes::new(needed, of).ok_or(DetectorError::Votes { needed, of })?);
        self.set_rule()?;
        Ok(self)
    }

    /// Says how many samples come each second, in Hz.
    ///
    /// # Errors
    /// [`DetectorError::SampleRate`] if the model was trained at a rate that differs by more than a hundredth, or `hz` is no rate.
    pub fn sample_rate(mut self, hz: f32) -> Result<Self, DetectorError> {
        let model = self.calibration.sample_rate().unwrap_or(hz);
        if !(hz > 0.0 && hz.is_finite() && (hz / model - 1.0).abs() <= RATE_TOLERANCE) {
            return Err(DetectorError::SampleRate { model, found: hz });
        }
        self.sample_rate = hz;
        self.set_rule()?;
        Ok(self)
    }

    /// Locks what has been learned of the machine, for as long as the detector lives: [`Self::rebaseline`], [`Self::forget`] and
    /// [`Self::restore`] are refused from now on, and scores are no longer compensated for drift, which is still reported. To be called
    /// after a snapshot was restored, where rules for safety ask that a machine is judged as it was accepted.
    pub fn lock(&mut self) {
        self.is_locked = true;
        self.rule = self.rule.without_compensation();
        self.alarm.forget_drift();
    }

    /// Whether [`Self::lock`] has been called.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    fn check_unlocked(&self) -> Result<(), DetectorError> {
        if self.is_locked { Err(DetectorError::Locked) } else { Ok(()) }
    }

    /// By what is calibrated, asked for, and known of the baseline.
    fn set_rule(&mut self) -> Result<(), DetectorError> {
        let (threshold, per_window) = self.threshold_for_alarms()?;
        let rule = AlarmRule::new(&self.calibration, threshold, per_window);
        let rule = match self.running.baseline_size {
            0 => rule,
            windows => {
                let scores = if self.adapts_features() { windows.saturating_mul(2) } else { windows };
                rule.on_baseline(scores, self.running.width(&self.calibration), self.calibration.dependence())
            }
        };
        self.rule = if self.is_locked { rule.without_compensation() } else { rule };
        Ok(())
    }

    /// The −score above which windows vote, and the false alarms per window that there then are; 0 where they are not known.
    fn threshold_for_alarms(&self) -> Result<(f32, f32), DetectorError> {
        let (needed, of) = self.alarm.votes().rule();
        let is_calibrated = (needed, of) == self.calibration.votes();
        let Some(alarms) = self.alarms else {
            let per_window = if is_calibrated { self.calibration.alarms_per_window() } else { None };
            return Ok((-self.calibration.threshold(), per_window.unwrap_or(0.0)));
        };
        if self.sample_rate == 0.0 {
            return Err(DetectorError::NoSampleRate);
        }
        let per_window = alarms.per_second() * self.model.hop() as f32 / self.sample_rate;
        let by_votes = per_window * self.calibration.votes_share();
        let (tail, rate) = if is_calibrated {
            (self.calibration.alarm_tail(), by_votes)
        } else {
            (self.calibration.tail(), by_votes * needed as f32)
        };
        let is_usable = tail.rate > 0.0 && per_window > 0.0;
        if is_usable { Ok((tail.level(rate), per_window)) } else { Err(DetectorError::NotCalibrated) }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// The score below which a window votes for an alarm, in nats; on a new baseline, where its scores have it.
    #[must_use]
    pub fn threshold(&self) -> f32 {
        let Running { score_centre, score_factor, .. } = self.running;
        if self.is_on_own_scale() {
            return -self.rule.threshold;
        }
        -(score_centre + (self.rule.threshold - self.calibration.location_and_scale().0) / score_factor)
    }

    /// Whether the alarm is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.alarm.is_raised()
    }

    /// Clears the alarm: somebody has seen it, and the fault is mended. If the machine goes on as it was, the alarm is raised again.
    pub fn acknowledge(&mut self) {
        self.alarm.clear();
    }

    /// The condition of a conditional model for the windows from now on, in physical units; until it is given no window is judged.
    ///
    /// # Errors
    /// [`DetectorError::Busy`] while a window is being judged; [`InferError::WrongCondition`] or [`InferError::BadCondition`].
    pub fn given(&mut self, condition: &[f32]) -> Result<(), DetectorError> {
        self.check_idle()?;
        self.model.given(condition)?;
        let slots = Parts::of(self.state, &self.model).condition;
        slots.iter_mut().zip(condition).for_each(|(slot, value)| *slot = *value);
        Ok(())
    }

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

    fn check_idle(&self) -> Result<(), DetectorError> {
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
        let unconditional = self.model.network().map_err(InferError::Model)?;
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
        let network = Network { condition: parts.condition, ..unconditional };
        let mut buffers = scratch.split(&self.model)?;
        self.work = match work {
            Work::Idle => Work::Idle,
            Work::Begin => {
                let mut x = network.observe(x)?;
                let pass = x.begin_encoding(unconditional.encoder, &mut buffers.layers)?;
                Work::Encode(pass, Seen { careful: x.is_careful(), missing: x.missing() })
            }
            Work::Encode(mut pass, seen) => {
                if pass.advance(&mut buffers.layers)? {
                    Work::Encode(pass, seen)
                } else {
                    network.finish_encoding(pass, &mut buffers)?;
                    let mut estimate = Estimate::new(self.running.windows, seen.missing > 0);
                    estimate.draw(kind, &network, &mut buffers)?;
                    let pass = network.begin_decoding(unconditional.decoder, buffers.latent, &mut buffers.layers)?;
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
                    let x = network.observe(x)?.resumed(seen.careful, seen.missing);
                    let density = network.finish_log_conditional(&x, pass, &mut buffers.layers)?;
                    if estimate.add(density.nats()? + density.missing_nats(), kind, threshold) {
                        estimate.draw(kind, &network, &mut buffers)?;
                        let pass =
                            network.begin_decoding(unconditional.decoder, buffers.latent, &mut buffers.layers)?;
                        Work::Decode(pass, seen, estimate)
                    } else {
                        let score = estimate.score(kind, &network, &mut buffers)?;
                        let missing = match seen.missing {
                            0 => 0.0,
                            _ => self.calibration.missing_nats(&self.model, &network.likelihood, Samples::F32(values)),
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
                network.posterior(buffers.latent.len(), buffers.posterior)?.mean(buffers.latent)?;
                let pass = network.begin_decoding(unconditional.decoder, buffers.latent, &mut buffers.layers)?;
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
    fn suspicion(&mut self) -> Option<SensorFault> {
        let mut channels = (0..).zip(channels(self.state, &self.calibration, self.model.channels()));
        let (channel, _) = channels.find(|(_, (state, normal))| state.is_suspicious(normal))?;
        Some(SensorFault { channel, kind: SensorFaultKind::Stuck })
    }

    fn conclude_fault(&mut self, fault: SensorFault) -> Option<Verdict> {
        self.forget_hop();
        Some(Verdict::SensorFault(fault))
    }

    /// Drops the samples since the last window.
    fn forget_hop(&mut self) {
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, _)| channel.forget_hop());
    }

    /// Whether scores are those of the calibration, which are then kept bit for bit.
    fn is_on_own_scale(&self) -> bool {
        self.running.score_factor == 1.0 && self.running.score_centre == self.calibration.location_and_scale().0
    }

    /// A −score on the calibration's scale.
    fn on_calibration(&self, nats: f32) -> f32 {
        if self.is_on_own_scale() {
            return nats;
        }
        let Running { score_centre, score_factor, .. } = self.running;
        self.calibration.location_and_scale().0 + score_factor * (nats - score_centre)
    }

    /// The rule on the baseline that was just made.
    fn rebase_rule(&mut self) {
        // What is asked for was possible when it was set.
        let _ = self.set_rule();
    }

    /// The verdict on a window with this score; none while a new baseline is made.
    fn conclude(&mut self, score: f32, missing: u32) -> Option<Verdict> {
        self.running.windows = self.running.windows.wrapping_add(1);
        if self.running.is_measuring() {
            self.forget_hop();
            if self.running.measure_score(-score, &self.calibration) {
                self.alarm.reset();
                self.rebase_rule();
            }
            return None;
        }
        let nats = self.on_calibration(-score);
        let assessment = Assessment { score, p_value: self.calibration.p_value(-nats), missing };
        if self.alarm.is_vote(nats, &self.rule, &self.calibration)
            && let Some(fault) = self.suspicion()
        {
            return self.conclude_fault(fault);
        }
        let is_raised = self.alarm.push(nats, &self.rule, &self.calibration);
        let memory = self.calibration.drift_memory();
        if memory > 0.0 && self.alarm.is_learning(&self.rule) {
            channels(self.state, &self.calibration, self.model.channels())
                .for_each(|(mut channel, normal)| channel.follow(memory, &normal));
        } else {
            self.forget_hop();
        }
        Some(if is_raised {
            // Who is to blame is found out next.
            let (channel, channel_nats, feature, feature_nats) = (0, 0.0, 0, 0.0);
            Verdict::Anomalous(Anomaly { assessment, channel, channel_nats, feature, feature_nats })
        } else if let Some(kind) = self.drift() {
            Verdict::Drifting(Drift { assessment, kind })
        } else {
            Verdict::Normal(assessment)
        })
    }

    /// What has moved furthest beyond its limit.
    fn drift(&mut self) -> Option<DriftKind> {
        // Once reported, it ends at half its limits.
        let (mut furthest, mut drift) = (if self.running.is_drifting { 0.5 } else { 1.0 }, None);
        let mut consider = |extent: f32, kind| {
            // What f32 cannot hold is not known to drift.
            if extent > furthest && extent.is_finite() {
                (furthest, drift) = (extent, Some(kind));
            }
        };
        let (shift, widening) = self.alarm.drift();
        let [shift_extent, widening_extent] = self.rule.extents(shift, widening);
        consider(shift_extent, DriftKind::Score(shift / self.running.score_factor));
        consider(widening_extent, DriftKind::Spread(widening));
        let width = self.running.width(&self.calibration);
        for (channel, (state, normal)) in (0..).zip(channels(self.state, &self.calibration, self.model.channels())) {
            let [level, power] = state.drift(&normal, width);
            consider(level, DriftKind::Mean { channel, shift: *state.shift / *state.gain });
            consider(power, DriftKind::Power { channel, factor: state.factor(&normal) });
        }
        self.running.is_drifting = drift.is_some();
        drift
    }

    /// Makes the next `windows` windows the new normal: the mean and scale of each channel from the first half of them, the location
    /// and scale of the scores, and with them quantiles, threshold and limits, from the second. Of a model with front-ends, the first
    /// quarter gives the means of the channels, whose scales stay, and the second quarter what each feature is off what the model makes of
    /// it, which is subtracted from then on: bands in which this machine is louder than others of its kind. There are no verdicts meanwhile
    /// but [`Verdict::SensorFault`]; windows of such sensors do not count.
    ///
    /// To be called when the machine is known to be healthy, as after a repair or the replacement of a sensor, or when a model that was
    /// trained on one machine is put to another of the same kind (`docs/calibration.md` says what that gives), for as long as shows what
    /// it ordinarily does. A scale is changed only where it differs by what would be a drift, and scores are never given a narrower
    /// spread than they had in the calibration. The limits of drift are widened by what so many windows leave uncertain. [`Self::forget`]
    /// goes back to the calibration, and a [snapshot](Self::snapshot) that was taken before to what it was taken of.
    ///
    /// One absurd value that lies within a sensor's range does no harm: of each channel the hop with the greatest power is left out,
    /// features are moved by at most four standard deviations for each window, over the number of windows and twice that, and left out are
    /// scores 64 of the calibration's spreads below the others (for which it takes at most as many windows more). Features off by more than
    /// `8 ln(1 + windows / 32)` standard deviations of what the model leaves unexplained are not followed to the end.
    ///
    /// # Errors
    /// [`DetectorError::ShortBaseline`] for fewer windows than [`LEAST_BASELINE`] times [`Calibration::dependence`];
    /// [`DetectorError::Alarmed`] while an alarm is raised, which somebody has to [acknowledge](Self::acknowledge) first;
    /// [`DetectorError::Locked`] after [`Self::lock`].
    pub fn rebaseline(&mut self, windows: u32) -> Result<(), DetectorError> {
        self.check_unlocked()?;
        let needed = libm::ceilf(LEAST_BASELINE as f32 * self.calibration.dependence().max(1.0)) as u32;
        if windows < needed {
            return Err(DetectorError::ShortBaseline { needed, found: windows });
        }
        if self.is_raised() {
            return Err(DetectorError::Alarmed);
        }
        self.forget_all();
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, _)| channel.begin_measuring());
        self.running.baseline_windows = windows;
        Ok(())
    }

    /// Whether a new baseline is being made.
    #[must_use]
    pub fn is_rebaselining(&self) -> bool {
        self.running.is_measuring()
    }

    /// Whether features are adapted to the machine, and not only channels.
    fn adapts_features(&self) -> bool {
        self.has_levels && self.model.has_front_end()
    }

    /// Of a new baseline's windows, those that channels are measured in.
    fn channels_windows(&self) -> u32 {
        self.running.baseline_windows / if self.adapts_features() { 4 } else { 2 }
    }

    fn is_measuring_channels(&self) -> bool {
        self.running.baseline_done < self.channels_windows()
    }

    /// Averages a window's channels into the new baseline.
    fn measure_channels(&mut self) {
        self.running.baseline_done += 1;
        let done = self.running.baseline_done;
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, normal)| channel.measure(done, &normal));
        if !self.is_measuring_channels() {
            self.running.baseline_size = self.running.baseline_done;
            // Where features follow the machine, by what the model tells of its load, a channel's scale does not, which its load changes.
            let width = if self.adapts_features() { f32::INFINITY } else { self.running.width(&self.calibration) };
            channels(self.state, &self.calibration, self.model.channels())
                .for_each(|(mut channel, normal)| channel.rebase(&normal, width));
            self.window.clear();
        }
    }

    /// Says that samples are missing between the last one and the next: the window starts anew, so that none spans the gap.
    pub fn gap(&mut self) {
        self.work = Work::Idle;
        self.window.clear();
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, _)| channel.forget_samples());
    }

    /// What a snapshot holds: also the channels' states, and what features are off.
    pub(crate) fn remembered(&self) -> (&Running, &Alarm, impl Iterator<Item = &f32>) {
        let (channels, rest) = self.state.split_at_checked(CHANNEL_STATE * self.model.channels()).unwrap_or_default();
        let shifts = rest.iter().skip(self.model.conditions()).take(self.model.adaptation_len());
        (&self.running, &self.alarm, channels.iter().chain(shifts))
    }

    /// Takes what a snapshot held.
    ///
    /// # Errors
    /// [`DetectorError::Locked`].
    pub(crate) fn recall(
        &mut self,
        running: Running,
        alarm: Alarm,
        channels_and_shifts: impl Iterator<Item = f32>,
    ) -> Result<(), DetectorError> {
        self.check_unlocked()?;
        // Votes by another rule than today's count for nothing, nor does an alarm that they raised.
        let rule = *self.alarm.votes();
        self.alarm = alarm;
        if alarm.votes().rule() != rule.rule() {
            self.alarm.votes = rule;
            self.alarm.clear();
        }
        self.running = running;
        self.set_rule()?;
        let Parts { channels, shifts, .. } = Parts::of(self.state, &self.model);
        for (slot, value) in channels.iter_mut().chain(shifts).zip(channels_and_shifts) {
            *slot = value;
        }
        self.gap();
        Ok(())
    }

    /// Goes back to the model's own calibration, as if nothing had been seen: no baseline, no drift, no alarm.
    ///
    /// # Errors
    /// [`DetectorError::Locked`] after [`Self::lock`].
    pub fn forget(&mut self) -> Result<(), DetectorError> {
        self.check_unlocked()?;
        self.forget_all();
        self.set_rule()
    }

    fn forget_all(&mut self) {
        self.work = Work::Idle;
        self.window.clear();
        self.alarm.reset();
        self.running = Running::new(&self.calibration);
        Parts::of(self.state, &self.model).shifts.fill(0.0);
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, normal)| channel.reset(&normal));
    }

    /// Goes on with another model, such as one received over the air, once it has passed its self-test. Alarm rate and sample rate are
    /// kept, votes are those of the new model, and what was seen is forgotten.
    ///
    /// # Errors
    /// [`DetectorError::Busy`] while a window is being judged. If it fails its self-test, has other channels (by number, name and order)
    /// or conditions, another sample rate, is not calibrated, or does not fit into the buffers. The detector then goes on with the model
    /// that it has, as if nothing had happened.
    pub fn replace(&mut self, model: Model<'m>, scratch: &mut Scratch<'_>) -> Result<(), DetectorError> {
        self.check_idle()?;
        model.self_test(scratch)?;
        let (old, new) = (self.model.card().map_err(InferError::Model)?, model.card().map_err(InferError::Model)?);
        if (old.channels, old.conditions) != (new.channels, new.conditions) {
            return Err(DetectorError::OtherChannels { model: self.model.channels(), found: model.channels() });
        }
        let calibration = model.calibration().map_err(InferError::Model)?;
        let votes = Self::fits(&model, &calibration, self.state.len())?;
        let has_levels = has_levels(&model)?;
        let was = (self.model, self.calibration, self.alarm, self.rule, self.running);
        (self.model, self.calibration, self.alarm) = (model, calibration, Alarm::new(votes));
        self.running = Running::new(&calibration);
        let rate = calibration.sample_rate().unwrap_or(self.sample_rate);
        let outcome = if self.sample_rate != 0.0 && (rate / self.sample_rate - 1.0).abs() > RATE_TOLERANCE {
            Err(DetectorError::SampleRate { model: rate, found: self.sample_rate })
        } else {
            self.set_rule()
        };
        let outcome = outcome.and_then(|()| {
            let shape = self.window.reshape(model.channels(), model.window(), model.hop());
            shape.map_err(DetectorError::from)
        });
        match outcome {
            Ok(()) => {
                (self.has_levels, self.sample_rate) = (has_levels, rate);
                self.forget_all();
            }
            Err(_) => (self.model, self.calibration, self.alarm, self.rule, self.running) = was,
        }
        outcome
    }
}

/// What a detector's state is divided into.
#[derive(Default)]
struct Parts<'s> {
    channels: &'s mut [f32],
    condition: &'s mut [f32],
    /// What features are off, in their units.
    shifts: &'s mut [f32],
    /// A channel's samples, for its front-end.
    work: &'s mut [f32],
    features: &'s mut [f32],
}

impl<'s> Parts<'s> {
    /// All of them empty where the state is too small, which `Detector::fits` has refused.
    fn of(state: &'s mut [f32], model: &Model<'_>) -> Self {
        let (work, features) = if model.has_front_end() { (model.window(), model.features()) } else { (0, 0) };
        let (channels, rest) = state.split_at_mut_checked(CHANNEL_STATE * model.channels()).unwrap_or_default();
        let (condition, rest) = rest.split_at_mut_checked(model.conditions()).unwrap_or_default();
        let (shifts, rest) = rest.split_at_mut_checked(model.adaptation_len()).unwrap_or_default();
        let (work, rest) = rest.split_at_mut_checked(work).unwrap_or_default();
        Self { channels, condition, shifts, work, features: rest.get_mut(..features).unwrap_or_default() }
    }
}

impl Estimate {
    pub(crate) fn new(seed: u32, is_missing: bool) -> Self {
        let rng = Pcg32::seed_from_u64(seed.into());
        Self { rng, is_missing, log_ratio: 0.0, mean: 0.0, weights: LogMeanExp::EMPTY }
    }

    /// Writes the sample of the latent vector that is to be decoded next.
    pub(crate) fn draw(
        &mut self,
        kind: ScoreKind,
        network: &Network<'_>,
        buffers: &mut Buffers<'_>,
    ) -> Result<(), InferError> {
        let posterior = network.posterior(buffers.latent.len(), buffers.posterior)?;
        match kind {
            ScoreKind::AtMean => posterior.mean(buffers.latent)?,
            ScoreKind::Samples(_) => posterior.sample(&mut self.rng, buffers.latent)?,
            ScoreKind::Importance(_) => self.log_ratio = network.propose(self.is_missing, &mut self.rng, buffers)?,
        }
        Ok(())
    }

    /// Adds the log-likelihood of the sample that was decoded; returns whether another one is needed to know on which side of
    /// `threshold` the score is.
    pub(crate) fn add(&mut self, nats: f32, kind: ScoreKind, threshold: f32) -> bool {
        self.weights.add(nats + self.log_ratio);
        self.mean += (nats - self.mean) / self.weights.count as f32;
        match kind {
            ScoreKind::AtMean => false,
            ScoreKind::Samples(samples) => self.weights.count < samples,
            ScoreKind::Importance(samples) => {
                self.weights.count < samples && !self.weights.is_decided((threshold, DECIDED))
            }
        }
    }

    /// The score, of this kind.
    pub(crate) fn score(
        &self,
        kind: ScoreKind,
        network: &Network<'_>,
        buffers: &mut Buffers<'_>,
    ) -> Result<f32, InferError> {
        let score = match kind {
            ScoreKind::AtMean | ScoreKind::Samples(_) => {
                let posterior = network.posterior(buffers.latent.len(), buffers.posterior)?;
                self.mean - network.prior.kl(&posterior, buffers.latent)
            }
            ScoreKind::Importance(_) => self.weights.estimate().value,
        };
        if score.is_finite() { Ok(score) } else { Err(InferError::Overflow) }
    }
}

/// What maps scores of this variance to the calibration's spread, within [`LEAST_FACTOR`] and 1; the least of them where neither varies.
fn factor(spread: f32, variance: f32) -> f32 {
    let factor = spread / libm::sqrtf(variance.max(0.0));
    if factor > LEAST_FACTOR { factor.min(1.0) } else { LEAST_FACTOR }
}

fn has_levels(model: &Model<'_>) -> Result<bool, DetectorError> {
    Ok(!matches!(model.network().map_err(InferError::Model)?.likelihood, Likelihood::Bernoulli))
}

impl Running {
    fn new(calibration: &Calibration<'_>) -> Self {
        Self {
            windows: 0,
            is_drifting: false,
            score_centre: calibration.location_and_scale().0,
            score_factor: 1.0,
            baseline_windows: 0,
            baseline_done: 0,
            baseline_size: 0,
            baseline_mean: 0.0,
            baseline_variance: 0.0,
        }
    }

    /// What multiplies the drift's limits: averages over its memory are compared with a baseline that is an average itself.
    fn width(&self, calibration: &Calibration<'_>) -> f32 {
        match self.baseline_size {
            0 => 1.0,
            windows => libm::sqrtf(1.0 + 2.0 * calibration.drift_memory() / windows as f32),
        }
    }

    /// Whether a detector can have left this behind.
    pub(crate) fn is_sound(&self) -> bool {
        let Self { score_centre, baseline_mean, baseline_variance, .. } = *self;
        [score_centre, baseline_mean, baseline_variance].iter().all(|value| value.is_finite())
            && (LEAST_FACTOR..=1.0).contains(&self.score_factor)
            && self.baseline_done <= self.baseline_windows
    }

    fn is_measuring(&self) -> bool {
        self.baseline_done < self.baseline_windows
    }

    /// Whether a new baseline is being made, and no score is measured yet.
    fn is_before_scores(&self) -> bool {
        self.baseline_done < self.baseline_windows / 2
    }

    /// Takes a −score into the new baseline; returns whether it is the last. Scores too far apart to be of one normal machine are no
    /// part of one baseline: the likelier ones are taken.
    fn measure_score(&mut self, nats: f32, calibration: &Calibration<'_>) -> bool {
        let half = self.baseline_windows / 2;
        let (_, spread) = calibration.location_and_scale();
        let apart = ABSURD * spread.max(1.0);
        // So that it comes to an end, whatever the scores are.
        if self.baseline_done > half && self.windows <= self.baseline_windows {
            if nats - self.baseline_mean > apart {
                return false;
            }
            if self.baseline_mean - nats > apart {
                (self.baseline_done, self.baseline_mean, self.baseline_variance) = (half, 0.0, 0.0);
            }
        }
        self.baseline_done += 1;
        let count = (self.baseline_done - half) as f32;
        // Welford (1962), of the mean square deviation.
        let distance = nats - self.baseline_mean;
        self.baseline_mean = held(self.baseline_mean, self.baseline_mean + distance / count);
        let change = (distance * (nats - self.baseline_mean) - self.baseline_variance) / count;
        self.baseline_variance = held(self.baseline_variance, self.baseline_variance + change);
        if self.is_measuring() {
            return false;
        }
        self.score_centre = self.baseline_mean;
        self.score_factor = factor(spread, self.baseline_variance);
        (self.baseline_windows, self.baseline_done) = (0, 0);
        true
    }
}
