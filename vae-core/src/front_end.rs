//! Features of a channel's samples in a window, in the place of the samples.

mod bands;
pub(crate) mod features;
mod statistics;

use crate::{
    arithmetic::number::finite,
    front_end::{
        bands::{SPECTRUM, bands},
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
    /// about the same number of octaves wide, of the samples less their mean under a Hann window. The window is a power of two of 16
    /// to 2048 samples. Needs the feature `spectrum` of this crate.
    Bands(u8),
}

impl FrontEnd {
    /// As the file's byte says: 0 raw, 1 mean, 2 statistics, n > 2 so many bands.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Raw,
            1 => Self::Mean,
            2 => Self::Statistics,
            bands => Self::Bands(bands),
        }
    }

    /// The file's byte.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Mean => 1,
            Self::Statistics => 2,
            Self::Bands(bands) => bands,
        }
    }

    /// Features of a channel in a window of so many samples.
    #[must_use]
    pub const fn features(self, window: usize) -> usize {
        match self {
            Self::Raw => window,
            Self::Mean => 1,
            Self::Statistics => STATISTICS,
            Self::Bands(bands) => bands as usize,
        }
    }

    /// Whether windows of so many samples can be put through it: it is defined where there are less features than samples and each band
    /// is at least one frequency wide, and bands need the feature `spectrum`.
    #[must_use]
    pub const fn fits(self, window: usize) -> bool {
        match self {
            Self::Raw => true,
            Self::Mean => window > 1,
            Self::Statistics => window > STATISTICS,
            Self::Bands(bands) => {
                cfg!(feature = "spectrum")
                    && window >= *SPECTRUM.start()
                    && window <= *SPECTRUM.end()
                    && window.is_power_of_two()
                    && bands > 2
                    && bands as usize <= window / 4
            }
        }
    }

    /// Writes the features of a channel's `samples` (NaN: not observed) to `features`, [`Self::features`] of them. `samples` is
    /// overwritten. All features are NaN where nothing was observed.
    ///
    /// # Errors
    /// [`InferError::Unsupported`] where [`Self::fits`] says no; [`InferError::WrongLength`].
    pub fn extract(self, samples: &mut [f32], features: &mut [f32]) -> Result<(), InferError> {
        let (needed, found) = (self.features(samples.len()), features.len());
        if needed != found {
            return Err(InferError::WrongLength { needed, found });
        }
        if !self.fits(samples.len()) {
            return Err(InferError::Unsupported);
        }
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
            Self::Raw => Ok(()),
            Self::Mean => {
                features.fill(mean);
                Ok(())
            }
            Self::Statistics => {
                statistics(mean, count, samples, features);
                Ok(())
            }
            Self::Bands(_) => bands(samples, features),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four periods of a sine of amplitude 2 about 5 in 64 samples.
    fn sine() -> [f32; 64] {
        core::array::from_fn(|i| 5.0 + 2.0 * libm::sinf(core::f32::consts::TAU * (i as f32 + 0.5) / 16.0))
    }

    #[test]
    fn statistics_of_a_sine_and_of_a_constant() {
        let mut found = [0.0; 6];
        FrontEnd::Statistics.extract(&mut sine(), &mut found).unwrap();
        // RMS 2/√2; kurtosis of a sine 3/2; its samples reach cos(π/16) of the amplitude; 7 crossings between 63 pairs.
        let peak = 2.0 * libm::cosf(core::f32::consts::PI / 16.0);
        let expected = [5.0, libm::logf(libm::sqrtf(2.0)), libm::logf(peak), peak / libm::sqrtf(2.0), 1.5, 7.0 / 63.0];
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-5, "{found} for {expected}");
        }
        FrontEnd::Statistics.extract(&mut [3.0; 8], &mut found).unwrap();
        assert!(found.iter().all(|value| value.is_finite()) && found[0] == 3.0 && found[3..] == [0.0; 3]);
    }

    #[test]
    fn what_was_not_observed_is_left_out() {
        let (mut whole, mut holes) = ([0.0; 6], [0.0; 6]);
        FrontEnd::Statistics.extract(&mut [1.0, -2.0, 3.0, 0.5, 1.5, 2.5, -1.0], &mut whole).unwrap();
        let mut samples = [1.0, -2.0, f32::NAN, 3.0, 0.5, 1.5, f32::NAN, 2.5, -1.0];
        FrontEnd::Statistics.extract(&mut samples, &mut holes).unwrap();
        assert_eq!(whole, holes);
        FrontEnd::Mean.extract(&mut [2.0, f32::NAN, 3.0], &mut holes[..1]).unwrap();
        assert_eq!(holes[0], 2.5);
        FrontEnd::Statistics.extract(&mut [f32::NAN; 9], &mut holes).unwrap();
        assert!(holes.iter().all(|value| value.is_nan()));
    }

    #[test]
    fn what_f32_cannot_hold_is_far_out_and_no_error() {
        let mut found = [0.0; 6];
        for size in [1e12, 1e25, 3e38] {
            let mut samples = [0.0, size, -1.0, 2.0, size, 1.0, size, 3.0];
            FrontEnd::Statistics.extract(&mut samples, &mut found).unwrap();
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
        ] {
            assert!(!front_end.fits(window), "{front_end:?} {window}");
            let (mut samples, mut features) = ([0.0; 4096], [0.0; 6]);
            let features = &mut features[..front_end.features(window)];
            assert_eq!(front_end.extract(&mut samples[..window], features), Err(InferError::Unsupported));
        }
        for code in 0..=u8::MAX {
            assert_eq!(FrontEnd::from_code(code).code(), code);
        }
    }
}
