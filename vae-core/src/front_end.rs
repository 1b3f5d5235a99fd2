//! Features of a channel's samples in a window, in the place of the samples.

mod bands;
pub(crate) mod features;
mod mel;
mod record;
mod spectrum;
mod statistics;

#[cfg(feature = "spectrum")]
use crate::front_end::{bands::bands, mel::mel};
use crate::{
    arithmetic::number::finite,
    front_end::{
        mel::frame_len,
        spectrum::has_spectrum,
        statistics::{STATISTICS, statistics},
    },
    network::error::InferError,
};

/// What the model sees of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FrontEnd {
    /// Its samples.
    Raw,
    /// Their mean, for levels that matter more than what they do within a window.
    Mean,
    /// Six numbers: mean, `ln` RMS about it, `ln` of the peak (largest distance from it), crest factor (peak / RMS), kurtosis
    /// (mean fourth power / RMS⁴; 3 for Gaussian noise), and the share of successive samples between which the mean is crossed.
    ///
    /// # Source
    /// Randall (2011), *Vibration-based Condition Monitoring*, sections 5.2 and 5.3.
    Statistics,
    /// The `ln` of the energy in so many bands between the lowest frequency that the window resolves and half the sample rate, each
    /// about the same number of octaves wide, of the samples less their mean under a periodic Hann window. The window is a power of two of 16
    /// to 2048 samples. Needs the feature `spectrum` of this crate.
    Bands(u8),
    /// Log-mel energies, frame after frame, as detectors of strange machine sounds have them: the `ln` of the energy in bands of equal width on
    /// Slaney's mel scale from 0 to half the sample rate. Needs the feature `spectrum` of this crate.
    ///
    /// The window is cut into half overlapping frames of `2 · window / (frames + 1)` samples, a power of two of 16 to 2048, which have at most
    /// half as many bands. A frame's samples as they are (their mean is not subtracted) are under a periodic Hann window
    /// `½ − ½ cos(2πi/N)`; a band's energy is `Σ wₖ |Xₖ|²`, where `wₖ` is a triangle over the band and half of each neighbour, whose area over the
    /// frequencies in Hz is 1. So `Mel { bands: 128, frames: 5, rate: 16_000 }` of 3072 samples are five successive frames of
    /// `librosa.feature.melspectrogram(sr=16000, n_fft=1024, hop_length=512, n_mels=128, center=False)`, in `ln` where librosa's decibels are
    /// `10 log₁₀`: a factor, which a standardiser takes out. An energy below the least normal `f32` counts as that.
    ///
    /// # Source
    /// Slaney (1998), *Auditory Toolbox*; McFee et al., *librosa*, `filters.mel` with its defaults.
    Mel {
        /// Energies of a frame.
        bands: u8,
        /// Frames in a window.
        frames: u8,
        /// Samples a second.
        rate: u32,
    },
}

impl FrontEnd {
    /// Features of a channel in a window of so many samples.
    #[must_use]
    pub const fn features(self, window: usize) -> usize {
        match self {
            Self::Raw => window,
            Self::Mean => 1,
            Self::Statistics => STATISTICS,
            Self::Bands(bands) => bands as usize,
            Self::Mel { bands, frames, .. } => bands as usize * frames as usize,
        }
    }

    /// Whether windows of so many samples can be put through it: it is defined where there are less features than samples and each of
    /// [`Self::Bands`] is at least one frequency wide, and spectra need the feature `spectrum`.
    #[must_use]
    pub const fn fits(self, window: usize) -> bool {
        match self {
            Self::Raw => true,
            Self::Mean => window > 1,
            Self::Statistics => window > STATISTICS,
            Self::Bands(bands) => has_spectrum(window) && bands > 2 && bands as usize <= window / 4,
            Self::Mel { bands, frames, rate } => match frame_len(window, frames) {
                Some(len) => has_spectrum(len) && rate > 0 && bands > 0 && bands as usize <= len / 2,
                None => false,
            },
        }
    }

    /// The frequencies that a feature is of, least and largest, in cycles a sample: times the sample rate they are in Hz. `None` for features that
    /// are not of a band, and without the feature `spectrum`.
    #[must_use]
    pub fn band_edges(self, window: usize, feature: usize) -> Option<(f32, f32)> {
        if feature >= self.features(window) || !self.fits(window) {
            return None;
        }
        match self {
            #[cfg(feature = "spectrum")]
            Self::Bands(count) => Some(bands::edges(feature, usize::from(count), window)),
            #[cfg(feature = "spectrum")]
            Self::Mel { bands, rate, .. } => {
                let bands = usize::from(bands);
                Some(mel::edges(feature.checked_rem(bands)?, bands, rate))
            }
            _ => None,
        }
    }

    /// Writes what it makes of a channel's samples to `features`, [`Self::features`] of them. `samples` are a window's, the `channels` of a sample
    /// side by side (NaN: not observed); `work` has room for as many values as samples of one channel are to be taken, the window's.
    /// All features are NaN where nothing was observed, those of a frame where nothing of it was.
    ///
    /// # Errors
    /// [`InferError::Unsupported`] where [`Self::fits`] says no; [`InferError::WrongLength`] for another number of features, or of samples.
    pub fn extract(
        self,
        samples: &[f32],
        (channel, channels): (usize, usize),
        work: &mut [f32],
        features: &mut [f32],
    ) -> Result<(), InferError> {
        let window = work.len();
        let (needed, found) = (window.saturating_mul(channels), samples.len());
        if needed != found || channel >= channels {
            return Err(InferError::WrongLength { needed, found });
        }
        let (needed, found) = (self.features(window), features.len());
        if needed != found {
            return Err(InferError::WrongLength { needed, found });
        }
        if !self.fits(window) {
            return Err(InferError::Unsupported);
        }
        let own = samples.get(channel..).unwrap_or_default();
        #[cfg(feature = "spectrum")]
        if let Self::Mel { bands, frames, rate } = self {
            let frame = frame_len(window, frames).and_then(|len| work.get_mut(..len)).ok_or(InferError::Unsupported)?;
            let hop = frame.len() / 2 * channels;
            return features.chunks_mut(usize::from(bands.max(1))).enumerate().try_for_each(|(index, features)| {
                take(own.get(index * hop..).unwrap_or_default(), channels, frame);
                mel(frame, rate, features)
            });
        }
        take(own, channels, work);
        self.extract_of_copy(work, features)
    }

    /// The features of `samples`, which are overwritten and fit; all but [`Self::Mel`].
    fn extract_of_copy(self, samples: &mut [f32], features: &mut [f32]) -> Result<(), InferError> {
        if self == Self::Raw {
            samples.iter().zip(features).for_each(|(sample, feature)| *feature = *sample);
            return Ok(());
        }
        let (mut sum, mut count) = (0.0, 0.0);
        for sample in samples.iter().filter(|sample| !sample.is_nan()) {
            sum += sample;
            count += 1.0;
        }
        if count == 0.0 {
            features.fill(f32::NAN);
            return Ok(());
        }
        let mean = finite(sum / count);
        for sample in samples.iter_mut() {
            *sample = if sample.is_nan() { 0.0 } else { *sample - mean };
        }
        match self {
            Self::Mean => features.fill(mean),
            Self::Statistics => statistics(mean, count, samples, features),
            #[cfg(feature = "spectrum")]
            Self::Bands(_) => return bands(samples, features),
            _ => return Err(InferError::Unsupported),
        }
        Ok(())
    }
}

/// Fills `slots` with the first channel's values of samples that have so many channels.
fn take(samples: &[f32], channels: usize, slots: &mut [f32]) {
    for (slot, sample) in slots.iter_mut().zip(samples.iter().step_by(channels.max(1))) {
        *slot = *sample;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a front-end makes of samples.
    fn extracted<const N: usize>(front_end: FrontEnd, samples: &[f32]) -> Result<[f32; N], InferError> {
        let (mut work, mut features) = ([0.0; 4096], [0.0; N]);
        front_end.extract(samples, (0, 1), &mut work[..samples.len()], &mut features).map(|()| features)
    }

    /// Four periods of a sine of amplitude 2 about 5 in 64 samples.
    fn sine() -> [f32; 64] {
        core::array::from_fn(|i| 5.0 + 2.0 * libm::sinf(core::f32::consts::TAU * (i as f32 + 0.5) / 16.0))
    }

    #[test]
    fn statistics_of_a_sine_and_of_a_constant() {
        let found: [f32; 6] = extracted(FrontEnd::Statistics, &sine()).unwrap();
        // RMS 2/√2; kurtosis of a sine 3/2; its samples reach cos(π/16) of the amplitude; 7 crossings between 63 pairs.
        let peak = 2.0 * libm::cosf(core::f32::consts::PI / 16.0);
        let expected = [5.0, libm::logf(libm::sqrtf(2.0)), libm::logf(peak), peak / libm::sqrtf(2.0), 1.5, 7.0 / 63.0];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
        let found: [f32; 6] = extracted(FrontEnd::Statistics, &[3.0; 8]).unwrap();
        assert!(found.iter().all(|value| value.is_finite()) && found[0] == 3.0 && found[3..] == [0.0; 3]);
    }

    #[test]
    fn what_was_not_observed_is_left_out() {
        let found = |samples: &[f32]| extracted::<6>(FrontEnd::Statistics, samples).unwrap();
        let whole = found(&[1.0, -2.0, 3.0, 0.5, 1.5, 2.5, -1.0]);
        assert_eq!(whole, found(&[1.0, -2.0, f32::NAN, 3.0, 0.5, 1.5, f32::NAN, 2.5, -1.0]));
        assert_eq!(extracted(FrontEnd::Mean, &[2.0, f32::NAN, 3.0]), Ok([2.5]));
        assert!(found(&[f32::NAN; 9]).iter().all(|value| value.is_nan()));
    }

    #[test]
    fn what_f32_cannot_hold_is_far_out_and_no_error() {
        for size in [1e12, 1e25, 3e38] {
            let samples = [0.0, size, -1.0, 2.0, size, 1.0, size, 3.0];
            let found: [f32; 6] = extracted(FrontEnd::Statistics, &samples).unwrap();
            assert!(found.iter().all(|value| value.is_finite()) && found[0] > 1e11, "{found:?}");
        }
    }

    #[test]
    fn windows_that_a_front_end_is_not_defined_for_are_refused() {
        for (front_end, window) in [
            (FrontEnd::Mean, 1),
            (FrontEnd::Statistics, 6),
            (FrontEnd::Bands(4), 48),
            (FrontEnd::Bands(5), 16),
            (FrontEnd::Bands(4), 8),
            (FrontEnd::Bands(4), 4096),
            (FrontEnd::Mel { bands: 4, frames: 0, rate: 8000 }, 16),
            (FrontEnd::Mel { bands: 4, frames: 1, rate: 0 }, 16),
            (FrontEnd::Mel { bands: 9, frames: 1, rate: 8000 }, 16),
            (FrontEnd::Mel { bands: 4, frames: 1, rate: 8000 }, 8),
            (FrontEnd::Mel { bands: 4, frames: 1, rate: 8000 }, 4096),
            (FrontEnd::Mel { bands: 4, frames: 5, rate: 8000 }, 47),
            (FrontEnd::Mel { bands: 4, frames: 5, rate: 8000 }, 54),
            (FrontEnd::Mel { bands: 4, frames: 5, rate: 8000 }, usize::MAX),
        ] {
            assert!(!front_end.fits(window), "{front_end:?} {window}");
            let (samples, mut work, mut features) = ([0.0; 4096], [0.0; 4096], [0.0; 20]);
            let features = &mut features[..front_end.features(window)];
            if let Some(samples) = samples.get(..window) {
                let found = front_end.extract(samples, (0, 1), &mut work[..window], features);
                assert_eq!(found, Err(InferError::Unsupported));
            }
        }
    }

    #[test]
    fn other_lengths_are_refused() {
        let found = |samples: usize, of: (usize, usize), features: usize| {
            FrontEnd::Statistics.extract(&[0.0; 17][..samples], of, &mut [0.0; 8], &mut [0.0; 7][..features])
        };
        assert_eq!(found(16, (1, 2), 6), Ok(()));
        for samples in [15, 17] {
            assert_eq!(found(samples, (0, 2), 6), Err(InferError::WrongLength { needed: 16, found: samples }));
        }
        assert!(found(16, (2, 2), 6).is_err() && found(0, (0, 0), 6).is_err());
        for features in [5, 7] {
            assert_eq!(found(16, (0, 2), features), Err(InferError::WrongLength { needed: 6, found: features }));
        }
    }
}
