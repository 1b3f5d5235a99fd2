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

use heapless::VecView;

use crate::{
    calibration::Calibration,
    detector::{
        alarm::Alarm,
        alarm_rule::AlarmRule,
        alarms::Alarms,
        channel::channels,
        error::DetectorError,
        judging::Work,
        memory::Parts,
        running::Running,
        settings::RATE_TOLERANCE,
        votes::Votes,
        window::{Window, whole},
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
        let slots = Parts::of(self.state, &self.model).condition;
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
        self.forget_all();
        self.set_rule()
    }

    pub(crate) fn forget_all(&mut self) {
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

fn has_levels(model: &Model<'_>) -> Result<bool, DetectorError> {
    Ok(!matches!(Vae::of(model).map_err(InferError::Model)?.likelihood, Likelihood::Bernoulli))
}
