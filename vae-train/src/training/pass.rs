//! How an epoch ended.

use crate::training::{devices::Lost, divergence::Divergence};

/// How an epoch ended.
pub(super) enum Pass {
    Whole,
    Interrupted,
    Diverged(Divergence),
    Lost(Lost),
}
