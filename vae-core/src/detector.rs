//! From a stream of samples to verdicts.

pub(crate) mod adaptation;
pub(crate) mod alarm;
pub(crate) mod alarm_rule;
pub(crate) mod alarms;
pub(crate) mod baseline;
pub(crate) mod channel;
pub(crate) mod conclusion;
pub(crate) mod error;
pub(crate) mod judging;
pub(crate) mod memory;
pub(crate) mod running;
pub(crate) mod settings;
pub(crate) mod snapshot;
pub(crate) mod verdict;
pub(crate) mod votes;
pub(crate) mod window;
pub(crate) mod work;

use heapless::VecView;

use crate::{
    calibration::Calibration,
    detector::{
        alarm::Alarm,
        alarm_rule::AlarmRule,
        alarms::Alarms,
        channel::channels,
        error::DetectorError,
        memory::Parts,
        running::Running,
        settings::{RATE_TOLERANCE, Settings},
        votes::Votes,
        window::{Window, whole},
        work::Work,
    },
    format::error::LoadError,
    inference::vae::Vae,
    model::Model,
    network::{error::InferError, scratch::Scratch},
    probability::likelihood::Likelihood,
};

/// Judges a stream of samples: cuts it into windows, scores each, and says whether the machine is as it was, behaves unlike itself, or
/// moves slowly away, and whether a sensor is to be believed at all.
///
/// It works in buffers of the caller; everything that it remembers fits into a [snapshot](Self::snapshot). The sizes:
/// `heapless::Vec<f32, { MODEL.window_len() }>` for the window, `[f32; MODEL.state_len()]` for the state.
///
/// # What a verdict is
/// 1. A window that contains samples of a sensor that is not to be believed is a [`Verdict::SensorFault`](crate::Verdict::SensorFault) and not scored. So is a
///    window that is unlikely while a sensor repeats its value for longer than in normal data.
/// 2. [`Alarm`] says when an alarm is raised and cleared: m votes of the last n windows raise it, or the sum of many scores that are each
///    a little low. While it is raised, windows are [`Verdict::Anomalous`](crate::Verdict::Anomalous).
/// 3. Averages follow the scores, and each channel's level and power, slowly: [`Verdict::Drifting`](crate::Verdict::Drifting) where one is beyond what it
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
    settings: Settings,
    /// Whether values have levels that may drift; zeros and ones have none.
    has_levels: bool,
    running: Running,
    work: Work<'m>,
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

    /// A detector as [`Self::new`] makes it, with a slice of [`Model::window_len`] values for the window: where the model, and so the capacity of a vector,
    /// is not known while the program is compiled.
    ///
    /// # Errors
    /// If the model is faulty or not calibrated, or a buffer too small.
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
            settings: Settings {
                alarms: None,
                sample_rate: calibration.sample_rate().unwrap_or(0.0),
                is_locked: false,
            },
            has_levels: has_levels(&model)?,
            running: Running::new(&calibration),
            work: Work::Idle,
        };
        Parts::of(detector.state, &detector.model)?.condition.fill(f32::NAN);
        detector.forget_all()?;
        detector.set_rule()?;
        Ok(detector)
    }

    /// Checks what a model asks of a detector.
    pub(crate) fn fits(model: &Model<'_>, calibration: &Calibration<'_>, state: usize) -> Result<Votes, DetectorError> {
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
        self.settings.alarms = Some(alarms);
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
        self.settings.sample_rate = hz;
        self.set_rule()?;
        Ok(self)
    }

    /// Locks what has been learned of the machine, for as long as the detector lives: [`Self::rebaseline`], [`Self::forget`] and
    /// [`Self::restore`] are refused from now on, and scores are no longer compensated for drift, which is still reported. To be called
    /// after a snapshot was restored, where rules for safety ask that a machine is judged as it was accepted.
    pub fn lock(&mut self) {
        self.settings.is_locked = true;
        self.rule = self.rule.without_compensation();
        self.alarm.forget_drift();
    }

    /// Whether [`Self::lock`] has been called.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.settings.is_locked
    }

    pub(crate) fn check_unlocked(&self) -> Result<(), DetectorError> {
        if self.settings.is_locked { Err(DetectorError::Locked) } else { Ok(()) }
    }

    /// By what is calibrated, asked for, and known of the baseline.
    pub(crate) fn set_rule(&mut self) -> Result<(), DetectorError> {
        let adapts = self.adapts_features();
        let Self { model, calibration, alarm, running, .. } = self;
        self.rule = self.settings.rule(model, calibration, alarm.votes(), running, adapts)?;
        Ok(())
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

    /// The model.
    #[must_use]
    pub fn model(&self) -> &Model<'m> {
        &self.model
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
        let slots = Parts::of(self.state, &self.model)?.condition;
        slots.iter_mut().zip(condition).for_each(|(slot, value)| *slot = *value);
        Ok(())
    }

    /// Says that samples are missing between the last one and the next: the window starts anew, so that none spans the gap.
    pub fn gap(&mut self) {
        self.work = Work::Idle;
        self.window.clear();
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, _)| channel.forget_samples());
    }

    /// Goes back to the model's own calibration, as if nothing had been seen: no baseline, no drift, no alarm.
    ///
    /// # Errors
    /// [`DetectorError::Locked`] after [`Self::lock`].
    pub fn forget(&mut self) -> Result<(), DetectorError> {
        self.check_unlocked()?;
        self.forget_all()?;
        self.set_rule()
    }

    pub(crate) fn forget_all(&mut self) -> Result<(), DetectorError> {
        self.work = Work::Idle;
        self.window.clear();
        self.alarm.reset();
        self.running = Running::new(&self.calibration);
        Parts::of(self.state, &self.model)?.shifts.fill(0.0);
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, normal)| channel.reset(&normal));
        Ok(())
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
        // All of it is made before any of it is assigned.
        let (alarm, running) = (Alarm::new(votes), Running::new(&calibration));
        let settings = Settings { sample_rate: self.settings.rate_for(&calibration)?, ..self.settings };
        let rule = settings.rule(&model, &calibration, alarm.votes(), &running, has_levels && model.has_front_end())?;
        self.window.reshape(model.channels(), model.window(), model.hop())?;
        (self.model, self.calibration, self.has_levels) = (model, calibration, has_levels);
        (self.alarm, self.running, self.settings, self.rule) = (alarm, running, settings, rule);
        self.forget_all()
    }
}

fn has_levels(model: &Model<'_>) -> Result<bool, DetectorError> {
    Ok(!matches!(Vae::of(model).map_err(InferError::Model)?.likelihood, Likelihood::Bernoulli(_)))
}
