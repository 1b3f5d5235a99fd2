//! Windows over a stream of samples.

use heapless::VecView;

use crate::{model::Model, network::error::InferError};

/// Cuts a stream of samples into overlapping windows, in a buffer of the caller.
///
/// The trainer cuts its training data with this same code.
///
/// ```
/// use vae_core::Window;
///
/// let mut buffer = heapless::Vec::<f32, 6>::new();
/// let mut windows = Window::with_shape(2, 3, 1, &mut buffer)?; // three samples of two channels, a window for each sample
/// assert_eq!(windows.push(&[1.0, 10.0])?, None);
/// assert_eq!(windows.push(&[2.0, 20.0])?, None);
/// assert_eq!(windows.push(&[3.0, 30.0])?, Some(&[1.0, 10.0, 2.0, 20.0, 3.0, 30.0][..]));
/// # Ok::<(), vae_core::InferError>(())
/// ```
#[derive(Debug)]
pub struct Window<'b> {
    buffer: &'b mut [f32],
    /// Values of the buffer that have been taken.
    taken: usize,
    channels: usize,
    len: usize,
    hop: usize,
    /// Values still to be passed over before the next window starts, where the hop is longer than the window.
    skip: usize,
}

impl<'b> Window<'b> {
    /// Windows as `model` was trained on. `buffer` is a [`heapless::Vec`] with room for [`Model::window_len`] values; what is in
    /// it does not matter.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if the buffer is too small.
    pub fn new(model: &Model<'_>, buffer: &'b mut VecView<f32>) -> Result<Self, InferError> {
        Self::with_shape(model.channels(), model.window(), model.hop(), buffer)
    }

    /// Windows of `window` samples of `channels` values, a new one every `hop` samples.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if a size is zero or the buffer is too small.
    pub fn with_shape(
        channels: usize,
        window: usize,
        hop: usize,
        buffer: &'b mut VecView<f32>,
    ) -> Result<Self, InferError> {
        Self::over(channels, window, hop, whole(buffer))
    }

    /// Windows of this shape in a slice, as [`Self::with_shape`] has them in a vector.
    pub(crate) fn over(channels: usize, window: usize, hop: usize, buffer: &'b mut [f32]) -> Result<Self, InferError> {
        let mut windows = Self { buffer, taken: 0, channels, len: 0, hop: 0, skip: 0 };
        windows.reshape(channels, window, hop)?;
        Ok(windows)
    }

    /// Takes one sample (its channels in the model's order) and returns the window that it completes, if it does.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if the sample does not have the window's number of channels; it is then ignored.
    pub fn push(&mut self, sample: &[f32]) -> Result<Option<&[f32]>, InferError> {
        if sample.len() != self.channels {
            return Err(InferError::WrongLength { needed: self.channels, found: sample.len() });
        }
        self.make_room();
        sample.iter().for_each(|value| self.take(*value));
        Ok(if self.is_complete() { Some(self.values()?) } else { None })
    }

    /// Prepares for a sample, of which each value then goes to [`Self::take`].
    pub(crate) fn make_room(&mut self) {
        if self.taken == self.len {
            // The window that was returned last has been read: make room for what comes behind it.
            let kept = self.len.saturating_sub(self.hop);
            self.skip = self.hop.saturating_sub(self.len);
            if let Some(window) = self.buffer.get_mut(..self.len) {
                window.copy_within(self.len - kept.., 0);
            }
            self.taken = kept;
        }
    }

    /// Takes a sample's next value.
    pub(crate) fn take(&mut self, value: f32) {
        if self.skip > 0 {
            self.skip -= 1;
        } else if let Some(slot) = self.buffer.get_mut(self.taken) {
            // There is room: the buffer holds whole samples, and fewer than a window's.
            *slot = value;
            self.taken += 1;
        }
    }

    /// Whether a window is complete, once a sample's values have been taken.
    pub(crate) fn is_complete(&self) -> bool {
        self.taken == self.len
    }

    /// What has been taken of the window.
    ///
    /// # Errors
    /// [`InferError::WrongLength`] if that does not fit into the buffer, which [`Self::reshape`] has ruled out.
    pub(crate) fn values(&self) -> Result<&[f32], InferError> {
        let (needed, found) = (self.taken, self.buffer.len());
        self.buffer.get(..needed).ok_or(InferError::WrongLength { needed, found })
    }

    /// Starts anew, as after a gap in the stream.
    pub fn clear(&mut self) {
        (self.taken, self.skip) = (0, 0);
    }

    /// Takes windows of this shape from now on, in the same buffer.
    pub(crate) fn reshape(&mut self, channels: usize, window: usize, hop: usize) -> Result<(), InferError> {
        let len = channels.saturating_mul(window);
        if len == 0 || hop == 0 || self.buffer.len() < len {
            return Err(InferError::WrongLength { needed: len.max(1), found: self.buffer.len() });
        }
        (self.channels, self.len, self.hop) = (channels, len, hop.saturating_mul(channels));
        self.clear();
        Ok(())
    }
}

/// All of a vector's memory.
pub(crate) fn whole(vector: &mut VecView<f32>) -> &mut [f32] {
    let capacity = vector.capacity();
    // It has room for its capacity.
    let _ = vector.resize(capacity, 0.0);
    vector
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first values of the windows over samples `(0, 0.5), (1, 1.5) …`, and their lengths checked.
    fn starts<const N: usize>(window: usize, hop: usize, samples: usize) -> heapless::Vec<f32, 16> {
        let mut buffer = heapless::Vec::<f32, N>::new();
        let mut windows = Window::with_shape(2, window, hop, &mut buffer).unwrap();
        let mut starts = heapless::Vec::new();
        for sample in 0..samples {
            let sample = sample as f32;
            if let Some(values) = windows.push(&[sample, sample + 0.5]).unwrap() {
                let start = values[0];
                starts.push(start).unwrap();
                let expected = (0..2 * window).map(|i| start + 0.5 * i as f32);
                assert!(values.iter().copied().eq(expected), "{values:?}");
            }
        }
        starts
    }

    #[test]
    fn windows_start_every_hop() {
        assert_eq!(starts::<8>(4, 2, 11), [0.0, 2.0, 4.0, 6.0]);
        assert_eq!(starts::<8>(4, 4, 12), [0.0, 4.0, 8.0]);
        assert_eq!(starts::<9>(4, 1, 6), [0.0, 1.0, 2.0]);
        assert_eq!(starts::<4>(2, 5, 13), [0.0, 5.0, 10.0]);
        assert_eq!(starts::<2>(1, 1, 3), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let mut buffer = heapless::Vec::<f32, 8>::new();
        assert!(Window::with_shape(3, 3, 1, &mut buffer).is_err());
        assert!(Window::with_shape(2, 4, 0, &mut buffer).is_err());
        let mut windows = Window::with_shape(2, 4, 1, &mut buffer).unwrap();
        assert_eq!(windows.push(&[1.0]), Err(InferError::WrongLength { needed: 2, found: 1 }));
    }
}
