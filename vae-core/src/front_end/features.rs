//! The features of a window, and the channels that they belong to.

use crate::{format::error::LoadError, front_end::FrontEnd, model::Model, network::error::InferError};

impl<'m> Model<'m> {
    /// What the model sees of a channel.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn front_end(&self, channel: usize) -> Result<FrontEnd, LoadError> {
        Ok(FrontEnd::of_record(self.front_ends()?, channel, self.channels()))
    }

    /// The features of a window: its samples as they are for a model without front-end; else channel after channel, each through its
    /// front-end. `samples` holds [`Self::channels`] · [`Self::window`] values, the channels of a sample side by side; `work` has
    /// room for [`Self::window`] values and `features` for [`Self::features`], all of which are written.
    ///
    /// # Errors
    /// See [`FrontEnd::extract`]; [`InferError::Model`] where the channels' front-ends do not make as many features as the model has.
    pub fn extract(&self, samples: &[f32], work: &mut [f32], features: &mut [f32]) -> Result<(), InferError> {
        let (needed, found) = (self.window_len(), samples.len());
        if needed != found {
            return Err(InferError::WrongLength { needed, found });
        }
        let (needed, found) = (self.features(), features.len());
        let mut rest = features.get_mut(..needed).ok_or(InferError::WrongLength { needed, found })?;
        if !self.has_front_end() {
            samples.iter().zip(rest).for_each(|(sample, feature)| *feature = *sample);
            return Ok(());
        }
        let (needed, found) = (self.window(), work.len());
        let work = work.get_mut(..needed).ok_or(InferError::WrongLength { needed, found })?;
        for channel in 0..self.channels() {
            let front_end = self.front_end(channel)?;
            let own = front_end.features(self.window());
            let error = LoadError::Shape { expected: own, found: rest.len() };
            let (features, behind) = rest.split_at_mut_checked(own).ok_or(error)?;
            front_end.extract(samples, (channel, self.channels()), work, features)?;
            rest = behind;
        }
        // What is not written is whatever was there before.
        match rest.len() {
            0 => Ok(()),
            missing => Err(LoadError::Shape { expected: self.features(), found: self.features() - missing }.into()),
        }
    }

    /// The channel that a feature belongs to. Where channels have front-ends all those before it are looked at: for many features there is
    /// [`Self::feature_channels`].
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn channel_of(&self, feature: usize) -> Result<usize, LoadError> {
        Ok(self.owners()?.of(feature))
    }

    /// The channel that each feature belongs to, in order.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn feature_channels(&self) -> Result<impl Iterator<Item = usize> + use<'m>, LoadError> {
        let mut owners = self.owners()?;
        Ok((0..self.features()).map(move |feature| owners.of(feature)))
    }

    pub(crate) fn owners(&self) -> Result<Owners<'m>, LoadError> {
        let record = if self.has_front_end() { Some(self.front_ends()?) } else { None };
        let mut owners =
            Owners { record, channels: self.channels(), window: self.window(), channel: 0, own: 0, end: 0 };
        owners.take();
        Ok(owners)
    }
}

/// Which channels features belong to, asked for in ascending order: all of them together take as many steps as there are channels.
pub(crate) struct Owners<'m> {
    /// None where features are samples.
    record: Option<&'m [u8]>,
    channels: usize,
    window: usize,
    channel: usize,
    /// Features of this channel.
    pub(crate) own: usize,
    /// The first feature behind them.
    end: usize,
}

impl Owners<'_> {
    /// The channel of a feature that is not before the last one asked for.
    #[inline(always)] // asked for each feature while an alarm waits
    pub(crate) fn of(&mut self, feature: usize) -> usize {
        if self.record.is_none() {
            return feature % self.channels.max(1);
        }
        while feature >= self.end && self.channel + 1 < self.channels {
            self.channel += 1;
            self.take();
        }
        self.channel
    }

    fn take(&mut self) {
        let front_end = FrontEnd::of_record(self.record.unwrap_or_default(), self.channel, self.channels);
        self.own = front_end.features(self.window);
        self.end = self.end.saturating_add(self.own);
    }
}
