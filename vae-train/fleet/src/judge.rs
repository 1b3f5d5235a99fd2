//! The device's detector, owning the memory that it works in.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use self_cell::{MutBorrow, self_cell};
use vae_core::{Alarms, Detector, Scratch, Verdict};

use crate::{
    clock::{Clock, Tick},
    model::LoadedModel,
};

/// What a detector borrows.
struct Memory {
    model: Arc<LoadedModel>,
    window: MutBorrow<Vec<f32>>,
    state: MutBorrow<Vec<f32>>,
    scratch: MutBorrow<Vec<f32>>,
}

struct Device<'a> {
    detector: Detector<'a, 'a>,
    scratch: Scratch<'a>,
}

self_cell!(
    struct Running {
        owner: Memory,
        #[not_covariant]
        dependent: Device,
    }
);

/// What a row has led to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// What its time says: behind a gap the window has begun anew.
    pub tick: Tick,
    /// Of the window that it completes, if it does.
    pub verdict: Option<Verdict>,
    /// Whether the alarm is on.
    pub is_raised: bool,
}

/// One machine's detector, as on its device: the same core, the same bits. Time is an input here, for a history does not come by itself.
pub struct Judge {
    running: Running,
    clock: Clock,
    channels: usize,
}

impl Debug for Judge {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Judge {
    /// A detector that has seen nothing yet, with the threshold of the model's calibration, or with that for `alarms`.
    ///
    /// # Errors
    /// If the model says no sample rate and `alarms` are asked for, or cannot support them.
    pub fn new(model: Arc<LoadedModel>, alarms: Option<Alarms>) -> Result<Self> {
        let view = model.model()?;
        let (channels, rate) = (view.channels(), view.calibration()?.sample_rate());
        let room = |len| MutBorrow::new(vec![0.0; len]);
        let (window, state, scratch) = (room(view.window_len()), room(view.state_len()), room(view.scratch_len()));
        let memory = Memory { model, window, state, scratch };
        let running = Running::try_new(memory, |memory| -> Result<Device<'_>> {
            let Memory { model, window, state, scratch } = memory;
            let detector = Detector::over(model.model()?, window.borrow_mut(), state.borrow_mut())?;
            let detector = match alarms {
                Some(alarms) => detector
                    .alarm_rate(alarms)
                    .with_context(|| format!("{} cannot judge by a rate of alarms", model.path().display()))?,
                None => detector,
            };
            Ok(Device { detector, scratch: Scratch::new(scratch.borrow_mut()) })
        })?;
        Ok(Self { running, clock: Clock::new(rate), channels })
    }

    /// Takes one row: its time in seconds, or NaN; its channels and then its conditions in the model's order and in physical units, NaN for
    /// what was not observed.
    ///
    /// Where rows are missing, the window begins anew, as it does on a device that calls [`Detector::gap`]; votes and averages stay. A row that
    /// is earlier than the one before it is not taken.
    ///
    /// # Errors
    /// If a condition is missing, or the row does not have the model's number of columns.
    pub fn push(&mut self, time: f64, row: &[f32]) -> Result<Judged> {
        let tick = self.clock.tick(time);
        let channels = self.channels;
        self.running.with_dependent_mut(|_, Device { detector, scratch }| {
            let nothing = |detector: &Detector<'_, '_>| Judged { tick, verdict: None, is_raised: detector.is_raised() };
            match tick {
                Tick::Backwards { .. } => return Ok(nothing(detector)),
                Tick::Gap(_) => detector.gap(),
                Tick::Next => {}
            }
            ensure!(row.len() >= channels, "a row of {} values for {channels} channels", row.len());
            let (sample, condition) = row.split_at(channels);
            if !condition.is_empty() {
                detector.given(condition)?;
            }
            let verdict = detector.push(sample, scratch)?;
            Ok(Judged { verdict, ..nothing(detector) })
        })
    }

    /// Begins a baseline of the machine's own, of the next so many windows: [`Detector::rebaseline`].
    ///
    /// # Errors
    /// If they are too few for the model's calibration.
    pub fn rebaseline(&mut self, windows: u32) -> Result<()> {
        let begun = self.running.with_dependent_mut(|_, Device { detector, .. }| detector.rebaseline(windows));
        begun.context("a baseline of its own cannot be learnt")
    }

    /// Whether it is still being learnt.
    #[must_use]
    pub fn is_rebaselining(&self) -> bool {
        self.running.with_dependent(|_, Device { detector, .. }| detector.is_rebaselining())
    }

    /// What the detector remembers, as its device stores it: [`Detector::snapshot`].
    ///
    /// # Errors
    /// Never: the record is as long as it has to be.
    pub fn snapshot(&self) -> Result<Vec<u8>> {
        self.running.with_dependent(|_, Device { detector, .. }| {
            let mut record = vec![0; detector.model().snapshot_len()];
            detector.snapshot(&mut record)?;
            Ok(record)
        })
    }
}
