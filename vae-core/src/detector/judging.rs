//! The work on one window, at most a layer of the network at a time.

use core::task::Poll;

use crate::{
    arithmetic::vector::Samples,
    detector::{
        Detector,
        adaptation::adapt,
        channel::push,
        error::DetectorError,
        memory::Parts,
        verdict::Verdict,
        work::{Step, Task, Work},
    },
    inference::{score_kind::ScoreKind, vae::Vae},
    network::{error::InferError, scratch::Scratch},
};

/// The work on a window, from [`Detector::judge`]: it borrows the detector and the scratch, in which lies what is done, until there is a verdict.
///
/// Where it is dropped before that, the window is given up. That nobody else uses the scratch meanwhile is seen to by the compiler:
///
/// ```compile_fail,E0499
/// # use vae_core::{Detector, Model, Scratch};
/// # fn between(model: Model<'_>, detector: &mut Detector<'_, '_>, scratch: &mut Scratch<'_>) {
/// let mut judging = detector.judge(scratch);
/// model.elbo_at_mean(&[0.0; 8], scratch); // refused
/// judging.step();
/// # }
/// ```
///
/// ```
/// # use vae_core::{Detector, DetectorError, Model, Scratch, include_model};
/// # const MODEL: Model<'static> = include_model!("../../tests/tiny.vae");
/// # fn main() -> Result<(), DetectorError> {
/// # let (mut memory, mut state) = ([0.0; MODEL.scratch_len()], [0.0; MODEL.state_len()]);
/// # let mut window = heapless::Vec::<f32, { MODEL.window_len() }>::new();
/// let mut scratch = Scratch::new(&mut memory);
/// let mut detector = Detector::new(MODEL, &mut window, &mut state)?;
/// let mut steps = 0;
/// for index in 0..4 {
///     if detector.feed(&[0.1 * index as f32, -0.3])? {
///         let mut judging = detector.judge(&mut scratch);
///         while judging.step()?.is_pending() {
///             steps += 1; // others have their turn
///         }
///     }
/// }
/// assert!(steps >= MODEL.layers().map_err(vae_core::InferError::from)?.count());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Judging<'j, 'm, 'b, 's> {
    detector: &'j mut Detector<'m, 'b>,
    scratch: &'j mut Scratch<'s>,
}

impl Judging<'_, '_, '_, '_> {
    /// Does the next part of the work, as [`Detector::step`] says.
    ///
    /// # Errors
    /// Those of [`Detector::step`]; the window is then given up.
    pub fn step(&mut self) -> Result<Poll<Option<Verdict>>, DetectorError> {
        self.detector.step(self.scratch)
    }
}

impl Drop for Judging<'_, '_, '_, '_> {
    fn drop(&mut self) {
        self.detector.give_up();
    }
}

impl<'m, 'b> Detector<'m, 'b> {
    /// Takes one sample, its channels in the model's order and in physical units, NaN for what was not observed; returns the verdict
    /// on the window that it completes, if it does.
    ///
    /// # Errors
    /// Those of [`Self::feed`] and [`Self::step`].
    pub fn push(&mut self, sample: &[f32], scratch: &mut Scratch<'_>) -> Result<Option<Verdict>, DetectorError> {
        if !self.feed(sample)? {
            return Ok(None);
        }
        loop {
            if let Poll::Ready(verdict) = self.go_on(scratch, true)? {
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
        let (window, has_levels) = (self.model.window() as f32, self.has_levels);
        self.window.make_room();
        for (index, value) in sample.iter().enumerate() {
            self.window.take(push(self.state, &self.calibration, index, *value, window, has_levels));
        }
        let is_complete = self.window.is_complete();
        if is_complete {
            self.work = Work::Begin;
        }
        Ok(is_complete)
    }

    /// Begins, or goes on with, the work on the window that [`Self::feed`] has completed.
    pub fn judge<'j, 's>(&'j mut self, scratch: &'j mut Scratch<'s>) -> Judging<'j, 'm, 'b, 's> {
        Judging { detector: self, scratch }
    }

    pub(crate) fn check_idle(&self) -> Result<(), DetectorError> {
        if matches!(self.work, Work::Idle) { Ok(()) } else { Err(DetectorError::Busy) }
    }

    /// Does a part of what is left to do for a window, at most one layer of the network, so that others get their turn.
    ///
    /// Ready once there is nothing left: with a verdict, or with none where no window is complete or a new baseline is made. Between
    /// the steps for a window `scratch` must be the same, and not be used by others, of which [`Self::judge`] makes sure.
    ///
    /// # Errors
    /// See [`DetectorError`], and [`InferError::BadCondition`] where [`Self::given`] has not been called for a conditional model. The
    /// window is then given up.
    pub fn step(&mut self, scratch: &mut Scratch<'_>) -> Result<Poll<Option<Verdict>>, DetectorError> {
        self.go_on(scratch, false)
    }

    /// Goes on with a window's work: to its end where `is_at_once`, which saves reading the model's header anew for each part.
    fn go_on(&mut self, scratch: &mut Scratch<'_>, is_at_once: bool) -> Result<Poll<Option<Verdict>>, DetectorError> {
        let outcome = self.advance(scratch, is_at_once);
        if outcome.is_err() {
            self.work = Work::Idle;
            // Nor do its samples count for those of the next one.
            self.forget_hop();
        }
        outcome
    }

    /// Gives up the window that is being judged, if one is.
    fn give_up(&mut self) {
        if !matches!(self.work, Work::Idle) {
            self.work = Work::Idle;
            self.forget_hop();
        }
    }

    fn advance(&mut self, scratch: &mut Scratch<'_>, is_at_once: bool) -> Result<Poll<Option<Verdict>>, DetectorError> {
        if matches!(self.work, Work::Idle) {
            return Ok(Poll::Ready(None));
        }
        if matches!(self.work, Work::Begin) {
            if let Some(fault) = self.sensor_fault() {
                // So that what is drawn for a window depends on its place in the stream alone.
                self.running.windows = self.running.windows.wrapping_add(u32::from(!self.running.is_measuring()));
                self.work = Work::Idle;
                return Ok(Poll::Ready(self.conclude_fault(fault)));
            }
            if self.is_measuring_channels() {
                self.work = Work::Idle;
                self.measure_channels();
                return Ok(Poll::Ready(None));
            }
        }
        let vae = Vae::of(&self.model).map_err(InferError::Model)?;
        loop {
            let (mut task, work) = self.task(&vae, scratch)?;
            let mut step = task.advance(work)?;
            while is_at_once && matches!(step, Step::Pending) {
                step = task.advance(work)?;
            }
            let (verdict, is_left) = match step {
                Step::Pending => return Ok(Poll::Pending),
                Step::Measured => {
                    self.running.baseline_done += 1;
                    self.forget_hop();
                    (None, false)
                }
                Step::Scored(score, missing, is_left) => (self.conclude(score, missing), is_left),
                Step::Blamed(anomaly) => (Some(Verdict::Anomalous(anomaly)), false),
            };
            self.work = match (verdict, &self.work) {
                (Some(Verdict::Anomalous(anomaly)), Work::Decode(pass, ..)) if is_left => {
                    Work::Attribute(*pass, anomaly.assessment)
                }
                (Some(Verdict::Anomalous(anomaly)), Work::Decode(..)) => Work::BeginAttribution(anomaly.assessment),
                _ => Work::Idle,
            };
            if matches!(self.work, Work::Idle) {
                return Ok(Poll::Ready(verdict));
            }
            if !is_at_once {
                return Ok(Poll::Pending);
            }
        }
    }

    /// What the next step works with, and what is left to do; a new window is put through the front-ends, if there are any.
    #[inline]
    fn task<'w>(
        &'w mut self,
        vae: &Vae<'m>,
        scratch: &'w mut Scratch<'_>,
    ) -> Result<(Task<'w, 'm>, &'w mut Work<'m>), DetectorError> {
        let is_measuring = self.running.is_before_scores();
        let next = self.running.baseline_done.saturating_add(1);
        let measured = is_measuring.then(|| next.saturating_sub(self.channels_windows()));
        let kind = if is_measuring { ScoreKind::AtMean } else { self.calibration.score_kind() };
        let (threshold, seed) = (self.threshold(), self.running.windows);
        let Self { model, calibration, window, work, .. } = self;
        let Parts { channels, condition, shifts, work: room, features } = Parts::of(self.state, model)?;
        let has_front_end = model.has_front_end();
        if has_front_end && matches!(work, Work::Begin) {
            model.extract(window.values()?, room, features)?;
            adapt(features, shifts);
        }
        if let Some(condition) = condition.iter().position(|value| value.is_nan()) {
            return Err(InferError::BadCondition { condition }.into());
        }
        let x = Samples::F32(if has_front_end { features } else { window.values()? });
        let (encoder, decoder, vae) = (vae.encoder, vae.decoder, vae.given(condition));
        let buffers = scratch.split(model)?;
        let task = Task {
            model,
            calibration,
            vae,
            encoder,
            decoder,
            x,
            channels,
            shifts,
            buffers,
            kind,
            seed,
            threshold,
            measured,
        };
        Ok((task, work))
    }
}
