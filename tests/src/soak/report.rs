//! What a soak came to.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::enclosed::Enclosed;

/// The greatest deviation of a part of the state from the reference, and in units of its bound.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deviation {
    /// In the unit of that part.
    pub greatest: f64,
    /// Of its bound.
    pub share: f64,
    /// The deviation of which that is the share.
    pub share_at: f64,
}

/// What a soak came to.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Complete windows.
    pub windows: u64,
    /// How often what happened, by its name.
    pub counts: BTreeMap<&'static str, u64>,
    /// Decisions within rounding, which were the detector's.
    pub open: u64,
    /// Those of them that it took otherwise than the reference would have.
    pub ties: u64,
    /// Of each part of the state, by its name.
    pub deviations: BTreeMap<&'static str, Deviation>,
    /// Greatest magnitude in the state.
    pub peak: f64,
}

impl Report {
    pub(crate) fn count(&mut self, name: &'static str) {
        *self.counts.entry(name).or_default() += 1;
    }

    pub(crate) fn count_if(&mut self, condition: bool, name: &'static str) {
        if condition {
            self.count(name);
        }
    }

    pub(crate) fn note(&mut self, name: &'static str, found: f64, expected: Enclosed) {
        let deviation = found - expected.value;
        let bound = if deviation > 0.0 { expected.high - expected.value } else { expected.value - expected.low };
        // What has not been rounded yet has a bound of nothing.
        let share = if deviation == 0.0 { 0.0 } else { deviation.abs() / bound };
        let known = self.deviations.entry(name).or_default();
        known.greatest = known.greatest.max(deviation.abs());
        // Not `max`, which ignores what is no number.
        if share > known.share || share.is_nan() {
            (known.share, known.share_at) = (share, deviation.abs());
        }
    }

    /// # Errors
    /// If a part of the state has deviated by more than its bound.
    pub(crate) fn judge(&self) -> Result<()> {
        for (name, Deviation { share, share_at, .. }) in &self.deviations {
            ensure!(*share <= 1.0, "{name} deviates by {share_at:.3e}, {share:.3} of the bound");
        }
        Ok(())
    }
}
