//! How strong the samples of a channel are, how many are clipped, and their spectrum.

use std::collections::VecDeque;

use microfft::{
    Complex32,
    real::{rfft_64, rfft_256, rfft_1024},
};
use serde::Serialize;

use crate::statistics::moments::Moments;

/// Samples that are kept of a channel for what it is like now.
const RECENT: usize = 1024;

/// What a channel's samples have been like so far.
#[derive(Clone)]
pub struct Level {
    all: Moments,
    clipped: u64,
    /// Since the last gap, at most [`RECENT`].
    recent: VecDeque<f32>,
}

/// A channel in numbers, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Strength {
    /// The arithmetic mean.
    pub mean: f64,
    /// The standard deviation: the root mean square of what varies about the mean.
    pub deviation: f64,
    /// The least value.
    pub least: f64,
    /// The largest value.
    pub largest: f64,
}

impl Strength {
    fn of(moments: &Moments) -> Self {
        let Moments { mean, least, largest, .. } = *moments;
        Self { mean, deviation: moments.deviation(), least, largest }
    }

    /// The largest magnitude.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.largest.max(-self.least)
    }
}

impl Default for Level {
    fn default() -> Self {
        Self { all: Moments::default(), clipped: 0, recent: VecDeque::with_capacity(RECENT) }
    }
}

impl Level {
    /// Takes a sample of a sensor whose scale ends at ± `full_scale`, which is 0 if that is not known.
    pub fn push(&mut self, value: f32, full_scale: f32) {
        self.all.push(value.into());
        self.clipped += u64::from(full_scale > 0.0 && value.abs() >= full_scale);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(value);
    }

    /// Samples are missing here: those before do not belong to those that follow.
    pub fn gap(&mut self) {
        self.recent.clear();
    }

    /// Of all samples, of which there must be one.
    #[must_use]
    pub fn overall(&self) -> Strength {
        Strength::of(&self.all)
    }

    /// Of the last samples; none right behind a gap.
    #[must_use]
    pub fn now(&self) -> Option<Strength> {
        let mut moments = Moments::default();
        self.recent.iter().for_each(|value| moments.push((*value).into()));
        (!self.recent.is_empty()).then(|| Strength::of(&moments))
    }

    /// Samples at the end of the sensor's scale.
    #[must_use]
    pub fn clipped(&self) -> u64 {
        self.clipped
    }

    /// Frequencies, in parts of the sample rate, and the amplitudes of sines there, in the channel's unit: of the last 1024, 256 or 64 samples,
    /// as many as there are; nothing of fewer. Their mean is taken away.
    ///
    /// # Source
    /// The discrete Fourier transform under a periodic Hann window `w`, amplitude `2 |X| / Σ w`: F. J. Harris, On the use of windows for harmonic
    /// analysis with the discrete Fourier transform, Proceedings of the IEEE 66 (1), 1978.
    #[must_use]
    pub fn spectrum(&self) -> Vec<(f64, f64)> {
        let count = [1024, 256, 64].into_iter().find(|count| self.recent.len() >= *count);
        let Some(count) = count else { return Vec::new() };
        let latest = self.recent.iter().skip(self.recent.len() - count);
        let mean = latest.clone().map(|value| f64::from(*value)).sum::<f64>() / count as f64;
        let mut numbers: Vec<f32> = latest
            .enumerate()
            .map(|(index, value)| {
                let phase = std::f64::consts::TAU * index as f64 / count as f64;
                ((f64::from(*value) - mean) * (0.5 - 0.5 * libm::cos(phase))) as f32
            })
            .collect();
        // The sum of the window is half of its length.
        let amplitude = |x: &Complex32| 4.0 * libm::sqrt(f64::from(x.re * x.re + x.im * x.im)) / count as f64;
        let lines = transformed(&mut numbers).iter().enumerate().skip(1);
        lines.map(|(line, x)| (line as f64 / count as f64, amplitude(x))).collect()
    }
}

/// The discrete Fourier transform of 1024, 256 or 64 numbers, frequencies 0 to N/2 − 1; nothing of other counts.
fn transformed(numbers: &mut [f32]) -> &[Complex32] {
    match numbers.len() {
        1024 => numbers.first_chunk_mut().map_or(&[], |numbers| &rfft_1024(numbers)[..]),
        256 => numbers.first_chunk_mut().map_or(&[], |numbers| &rfft_256(numbers)[..]),
        64 => numbers.first_chunk_mut().map_or(&[], |numbers| &rfft_64(numbers)[..]),
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(values: impl Iterator<Item = f32>, full_scale: f32) -> Level {
        let mut level = Level::default();
        values.for_each(|value| level.push(value, full_scale));
        level
    }

    #[test]
    fn a_sine_is_where_it_is_and_as_high_as_it_is() {
        for (count, line) in [(1024usize, 100usize), (300, 40), (64, 9)] {
            let used = [1024, 256, 64].into_iter().find(|used| *used <= count).unwrap();
            let sine = |index: usize| 3.0 + 0.5 * (std::f64::consts::TAU * (line * index) as f64 / used as f64).sin();
            let spectrum = level((0..count).map(|index| sine(index) as f32), 0.0).spectrum();
            assert_eq!(spectrum.len(), used / 2 - 1);
            for (index, (frequency, amplitude)) in spectrum.iter().enumerate().map(|(index, line)| (index + 1, line)) {
                assert!((frequency - index as f64 / used as f64).abs() < 1e-12);
                // A Hann window has half the height beside the line, and nothing beyond.
                let expected = match index.abs_diff(line) {
                    0 => 0.5,
                    1 => 0.25,
                    _ => 0.0,
                };
                assert!((amplitude - expected).abs() < 1e-4, "{count}, {index}: {amplitude}");
            }
        }
        assert!(level((0..63).map(|index| index as f32), 0.0).spectrum().is_empty());
    }

    #[test]
    fn what_reaches_the_end_of_the_scale_is_clipped() {
        let values = [7.9, 8.0, -8.0, -8.5, 0.0];
        assert_eq!(level(values.into_iter(), 8.0).clipped(), 3);
        assert_eq!(level(values.into_iter(), 0.0).clipped(), 0, "where the end is not known");
    }

    #[test]
    fn what_is_now_is_of_the_last_samples_and_not_over_a_gap() {
        let mut level = level((0..5000).map(|index| if index < 3000 { 100.0 } else { 1.0 - (index % 2) as f32 }), 0.0);
        let now = level.now().unwrap();
        assert!((now.mean - 0.5).abs() < 1e-12 && (now.deviation - 0.5).abs() < 1e-12, "{now:?}");
        assert_eq!((now.least, now.largest), (0.0, 1.0));
        assert_eq!(level.overall().peak(), 100.0);
        level.gap();
        assert!(level.now().is_none() && level.spectrum().is_empty());
        assert_eq!(level.overall().least, 0.0);
    }
}
