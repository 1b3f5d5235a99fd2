//! Features of a channel's samples in a window, in the place of the samples.

use crate::{InferError, LoadError, Model, likelihood::clamp};

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

/// Numbers that [`FrontEnd::Statistics`] makes.
const STATISTICS: usize = 6;

/// Windows whose spectrum can be computed: powers of two from 2⁴ to 2¹¹ samples.
const SPECTRUM: core::ops::RangeInclusive<usize> = 16..=2048;

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
        let mean = held(sum / count);
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

/// A feature, which f32 may not hold: it is then far from everything ordinary, and no reason to give the window up. So is NaN, a quotient
/// of such.
fn held(feature: f32) -> f32 {
    if feature.is_nan() { f32::MAX } else { clamp(feature, (f32::MIN, f32::MAX)) }
}

/// [`FrontEnd::Statistics`] of distances from the mean, of which `count` were observed.
fn statistics(mean: f32, count: f32, distances: &[f32], features: &mut [f32]) {
    let (mut squares, mut fourths, mut peak, mut crossings) = (0.0, 0.0, 0.0, 0.0);
    let mut last = 0.0;
    for &distance in distances {
        let square = distance * distance;
        squares += square;
        fourths += square * square;
        peak = if distance.abs() > peak { distance.abs() } else { peak };
        if distance * last < 0.0 {
            crossings += 1.0;
        }
        // A sample on the mean itself is on no side of it.
        last = if distance == 0.0 { last } else { distance };
    }
    let power = squares / count;
    let rms = libm::sqrtf(power);
    let (crest, kurtosis) = if power > 0.0 { (peak / rms, fourths / count / (power * power)) } else { (0.0, 0.0) };
    let log = |value: f32| libm::logf(value.max(f32::MIN_POSITIVE));
    let values = [mean, log(rms), log(peak), crest, kurtosis, crossings / (count - 1.0).max(1.0)];
    features.iter_mut().zip(values).for_each(|(feature, value)| *feature = held(value));
}

#[cfg(not(feature = "spectrum"))]
fn bands(_: &mut [f32], _: &mut [f32]) -> Result<(), InferError> {
    Err(InferError::Unsupported)
}

/// [`FrontEnd::Bands`] of distances from the mean.
#[cfg(feature = "spectrum")]
fn bands(distances: &mut [f32], features: &mut [f32]) -> Result<(), InferError> {
    use microfft::real::{rfft_16, rfft_32, rfft_64, rfft_128, rfft_256, rfft_512, rfft_1024, rfft_2048};

    let len = distances.len() as f32;
    for (index, distance) in distances.iter_mut().enumerate() {
        let phase = core::f32::consts::TAU * (index as f32 + 0.5) / len;
        *distance *= 0.5 - 0.5 * libm::cosf(phase);
    }
    macro_rules! spectrum {
        ($($size:literal $transform:ident),*) => {
            match distances.len() {
                $($size => match distances.first_chunk_mut::<$size>() {
                    Some(samples) => $transform(samples).as_mut_slice(),
                    None => return Err(InferError::Unsupported),
                },)*
                _ => return Err(InferError::Unsupported),
            }
        };
    }
    let spectrum = spectrum!(
        16 rfft_16, 32 rfft_32, 64 rfft_64, 128 rfft_128, 256 rfft_256, 512 rfft_512, 1024 rfft_1024, 2048 rfft_2048
    );
    // The first holds the mean, and in its imaginary part the highest frequency; neither counts.
    let frequencies = spectrum.get(1..).unwrap_or_default();
    let bands = features.len();
    let mut start = 0;
    for (band, feature) in features.iter_mut().enumerate() {
        let end = band_end(band, bands, frequencies.len()).max(start + 1);
        let energy = frequencies
            .get(start..end)
            .unwrap_or_default()
            .iter()
            .fold(0.0, |sum, x| sum + (x.re * x.re + x.im * x.im));
        *feature = libm::logf(held(energy / len).max(f32::MIN_POSITIVE));
        start = end;
    }
    Ok(())
}

/// The frequency behind a band's last: `frequencies^((band + 1) / bands)`, where that leaves one for each of the others.
#[cfg(feature = "spectrum")]
fn band_end(band: usize, bands: usize, frequencies: usize) -> usize {
    let place = libm::powf(frequencies as f32, (band + 1) as f32 / bands as f32);
    (libm::roundf(place) as usize).clamp(band + 1, frequencies.saturating_sub(bands - band - 1).max(band + 1))
}

impl<'m> Model<'m> {
    /// Whether the model sees features of the samples rather than the samples.
    #[must_use]
    pub const fn has_front_end(&self) -> bool {
        self.features() != self.window_len()
    }

    /// What the model sees of a channel.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn front_end(&self, channel: usize) -> Result<FrontEnd, LoadError> {
        Ok(self.front_ends()?.get(channel).map_or(FrontEnd::Raw, |code| FrontEnd::from_code(*code)))
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
            for (slot, sample) in work.iter_mut().zip(samples.iter().skip(channel).step_by(self.channels())) {
                *slot = *sample;
            }
            let own = front_end.features(self.window());
            let error = LoadError::Shape { expected: own, found: rest.len() };
            let (features, behind) = rest.split_at_mut_checked(own).ok_or(error)?;
            front_end.extract(work, features)?;
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
    #[must_use]
    pub fn channel_of(&self, feature: usize) -> usize {
        self.owners().of(feature)
    }

    /// The channel that each feature belongs to, in order.
    pub fn feature_channels(&self) -> impl Iterator<Item = usize> + use<'m> {
        let mut owners = self.owners();
        (0..self.features()).map(move |feature| owners.of(feature))
    }

    pub(crate) fn owners(&self) -> Owners<'m> {
        let codes = self.has_front_end().then(|| self.front_ends().unwrap_or_default());
        let mut owners = Owners { codes, channels: self.channels(), window: self.window(), channel: 0, own: 0, end: 0 };
        owners.take();
        owners
    }
}

/// Which channels features belong to, asked for in ascending order: all of them together take as many steps as there are channels.
pub(crate) struct Owners<'m> {
    /// None where features are samples.
    codes: Option<&'m [u8]>,
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
    pub(crate) fn of(&mut self, feature: usize) -> usize {
        if self.codes.is_none() {
            return feature % self.channels.max(1);
        }
        while feature >= self.end && self.channel + 1 < self.channels {
            self.channel += 1;
            self.take();
        }
        self.channel
    }

    fn take(&mut self) {
        let code = self.codes.and_then(|codes| codes.get(self.channel));
        self.own = code.map_or(FrontEnd::Raw, |code| FrontEnd::from_code(*code)).features(self.window);
        self.end = self.end.saturating_add(self.own);
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

    #[cfg(feature = "spectrum")]
    #[test]
    fn bands_hold_the_energy_of_their_frequencies() {
        for (window, bands) in [(16usize, 4usize), (64, 7), (256, 16), (2048, 32)] {
            let samples =
                |i: usize| libm::sin(0.7 * i as f64) + 0.3 * libm::cos(2.9 * i as f64) + 0.01 * (i % 5) as f64;
            let mean = (0..window).map(samples).sum::<f64>() / window as f64;
            let hann = |i: usize| 0.5 - 0.5 * libm::cos(core::f64::consts::TAU * (i as f64 + 0.5) / window as f64);
            let energy = |frequency: usize| {
                let (mut re, mut im) = (0.0, 0.0);
                for i in 0..window {
                    let phase = core::f64::consts::TAU * (i * frequency % window) as f64 / window as f64;
                    re += (samples(i) - mean) * hann(i) * libm::cos(phase);
                    im -= (samples(i) - mean) * hann(i) * libm::sin(phase);
                }
                (re * re + im * im) / window as f64
            };
            let mut found = [0.0; 32];
            let found = &mut found[..bands];
            let mut x = [0.0; 2048];
            (0..window).for_each(|i| x[i] = samples(i) as f32);
            FrontEnd::Bands(bands as u8).extract(&mut x[..window], found).unwrap();
            let (mut start, frequencies) = (1, window / 2 - 1);
            for (band, found) in found.iter().enumerate() {
                let end = band_end(band, bands, frequencies) + 1;
                assert!(end > start, "band {band} of {bands} is empty");
                let (expected, total) =
                    ((start..end).map(energy).sum::<f64>(), (1..window / 2).map(energy).sum::<f64>());
                // f32 resolves a millionth of the largest amplitude, and energies its square.
                let found = libm::exp(f64::from(*found));
                assert!(
                    (found - expected).abs() < 1e-3 * expected + 1e-12 * total,
                    "{window} {band}: {found} for {expected}"
                );
                start = end;
            }
            // The last band ends where the frequencies do.
            assert_eq!(start, window / 2);
        }
    }
}
