//! The caller's buffer that a detector's state lies in.

use crate::{
    detector::{channel::CHANNEL_STATE, error::DetectorError},
    model::Model,
};

impl Model<'_> {
    /// Values (`f32`) that a [`Detector`](crate::Detector)'s state needs for this model.
    #[must_use]
    pub const fn state_len(&self) -> usize {
        let front_end = if self.has_front_end() { self.window() + self.features() } else { 0 };
        CHANNEL_STATE * self.channels() + self.conditions() + self.adaptation_len() + front_end
    }

    /// `f32`s by which a detector adapts features to a machine: one for each that a front-end makes.
    pub(crate) const fn adaptation_len(&self) -> usize {
        if self.has_front_end() { self.features() } else { 0 }
    }
}

/// What a detector's state is divided into.
pub(crate) struct Parts<'s> {
    pub(crate) channels: &'s mut [f32],
    pub(crate) condition: &'s mut [f32],
    /// What features are off, in their units.
    pub(crate) shifts: &'s mut [f32],
    /// A channel's samples, for its front-end.
    pub(crate) work: &'s mut [f32],
    pub(crate) features: &'s mut [f32],
}

impl<'s> Parts<'s> {
    /// Divides the state.
    ///
    /// # Errors
    /// [`DetectorError::StateTooSmall`], which a detector that was made has ruled out.
    pub(crate) fn of(state: &'s mut [f32], model: &Model<'_>) -> Result<Self, DetectorError> {
        let error = DetectorError::StateTooSmall { needed: model.state_len(), found: state.len() };
        let (work, features) = if model.has_front_end() { (model.window(), model.features()) } else { (0, 0) };
        let (channels, rest) = state.split_at_mut_checked(CHANNEL_STATE * model.channels()).ok_or(error)?;
        let (condition, rest) = rest.split_at_mut_checked(model.conditions()).ok_or(error)?;
        let (shifts, rest) = rest.split_at_mut_checked(model.adaptation_len()).ok_or(error)?;
        let (work, rest) = rest.split_at_mut_checked(work).ok_or(error)?;
        Ok(Self { channels, condition, shifts, work, features: rest.get_mut(..features).ok_or(error)? })
    }
}
