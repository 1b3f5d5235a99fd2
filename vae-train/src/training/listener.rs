//! Who is told how a fit goes.

use crate::training::{
    checkpoint::{Checkpoint, EpochMetrics},
    devices::{Devices, Lost},
    divergence::Divergence,
};

/// Who is told how a fit goes, and may stop it. `()` listens to nothing.
pub trait Listener {
    /// Something that the user should know.
    fn note(&mut self, _message: &str) {}

    /// Training goes on.
    fn progress(&mut self, _progress: Progress<'_>) {}

    /// Whether training is to stop; asked before each step.
    fn is_stopped(&self) -> bool {
        false
    }
}

impl Listener for () {}

/// Stops where the other one does, and tells it nothing.
pub(crate) struct Quiet<'a>(pub(crate) &'a dyn Listener);

impl Listener for Quiet<'_> {
    fn is_stopped(&self) -> bool {
        self.0.is_stopped()
    }
}

/// What a fit says while it runs.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// Training begins, or goes on after a checkpoint.
    Begun {
        /// Most epochs, those of fine-tuning among them.
        epochs: usize,
    },
    /// A step is done.
    Step {
        /// Counted from 1.
        epoch: usize,
        /// Windows of the epoch that are done.
        windows: usize,
        /// Windows in the epoch.
        of: usize,
        /// Mean bound of those that are done.
        elbo: f64,
    },
    /// An epoch is done: its metrics are the checkpoint's last.
    Epoch(&'a EpochMetrics, &'a Checkpoint),
    /// An epoch is taken back, and tried again at half the rate.
    TakenBack(&'a Divergence),
    /// An epoch is taken back, as a device was lost in it, and goes on with these.
    Lost(&'a Lost, &'a Devices),
    /// Training is over, or has failed.
    Ended,
}
