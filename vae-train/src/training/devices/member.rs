//! One of a list of devices, and what is said of one that is lost.

use std::{fmt, ops::Range, sync::Arc};

use anyhow::Result;
use burn::tensor::Device;

use crate::{
    model::{network::Vae, objective::Objective},
    training::step::{Gradient, HostBatch},
};

/// One of a list of devices.
#[derive(Clone, Debug)]
pub struct Member {
    pub(super) name: String,
    pub(super) place: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Of this machine.
    Here(Device),
    Elsewhere(Arc<dyn Elsewhere>),
}

/// A device that is not of this process.
pub(crate) trait Elsewhere: fmt::Debug + Send + Sync {
    /// This device where it has these windows, so that batches are sent as indices.
    fn with_windows(&self, values: &[f32], inputs: usize) -> Arc<dyn Elsewhere>;

    /// The gradient of a share of a batch, on the device `main`. `indices` are the rows of the batch among the windows that it has, where
    /// they are those.
    ///
    /// # Errors
    /// If the device does not answer, or says that it could not.
    fn gradient(
        &self,
        objective: &Objective,
        network: &Vae,
        batch: HostBatch<'_>,
        indices: Option<&[usize]>,
        share: Range<usize>,
        main: &Device,
    ) -> Result<Gradient>;
}

impl Member {
    /// A device of this machine; `name` is what it is called where it fails.
    #[must_use]
    pub fn here(name: &str, device: Device) -> Self {
        Self { name: name.to_owned(), place: Place::Here(device.inner()) }
    }

    /// A device that another process serves.
    #[cfg_attr(not(any(test, feature = "remote")), expect(dead_code, reason = "there are none without that feature"))]
    pub(crate) fn elsewhere(name: &str, device: Arc<dyn Elsewhere>) -> Self {
        Self { name: name.to_owned(), place: Place::Elsewhere(device) }
    }
}

/// A device that does not answer any more.
#[derive(Debug)]
pub struct Lost {
    /// As it was called.
    pub name: String,
    /// Why it is thought to be lost.
    pub reason: String,
    /// Where it was in the list.
    pub(super) position: usize,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the device {} no longer answers: {}", self.name, self.reason)
    }
}

impl std::error::Error for Lost {}
