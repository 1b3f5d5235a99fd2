//! The energy of a channel's samples in bands of equal width in mel, frame by frame.

#[cfg(feature = "spectrum")]
use crate::{arithmetic::number::finite, front_end::spectrum::energies, network::error::InferError};

/// Samples in each of so many half overlapping frames that a window is cut into: `2 · window / (frames + 1)`. None where that is no even number,
/// or there are no frames.
pub(super) const fn frame_len(window: usize, frames: u8) -> Option<usize> {
    let halves = frames as usize + 1;
    // No more than the window: there are at least two halves.
    if frames > 0 && window.is_multiple_of(halves) { Some(window / halves * 2) } else { None }
}

/// [`FrontEnd::Mel`](super::FrontEnd::Mel) of a frame's samples, which are overwritten, at so many a second; one feature a band.
#[cfg(feature = "spectrum")]
pub(super) fn mel(frame: &mut [f32], rate: u32, features: &mut [f32]) -> Result<(), InferError> {
    if !fill_gaps(frame) {
        features.fill(f32::NAN);
        return Ok(());
    }
    let len = frame.len() as f32;
    let (width, scale) = (rate as f32 / len, Scale::of(rate, features.len()));
    let mut energies = energies(frame).ok_or(InferError::Unsupported)?.peekable();
    // Between two edges one triangle rises and the one before it falls: each frequency is looked at once. Edges are in frequencies.
    let (mut last, mut low, mut rising) = (0.0, 0.0, 0.0);
    for edge in 0..=features.len() {
        let high = scale.edge(edge + 1) / width;
        let (mut up, mut down) = (0.0, 0.0);
        while let Some((frequency, energy)) = energies.next_if(|(frequency, _)| *frequency < high) {
            up += energy * (frequency - low);
            down += energy * (high - frequency);
        }
        if let Some(feature) = edge.checked_sub(1).and_then(|band| features.get_mut(band)) {
            let energy = (rising + down / (high - low)) * 2.0 / ((high - last) * width);
            *feature = libm::logf(finite(energy).max(f32::MIN_POSITIVE));
        }
        (last, low, rising) = (low, high, up / (high - low));
    }
    Ok(())
}

/// The frequencies between which a band's triangle stands, in cycles a sample.
#[cfg(feature = "spectrum")]
pub(super) fn edges(band: usize, bands: usize, rate: u32) -> (f32, f32) {
    let scale = Scale::of(rate, bands);
    (scale.edge(band) / rate as f32, scale.edge(band + 2) / rate as f32)
}

/// Puts the mean of what was observed in the place of what was not; returns whether anything was.
#[cfg(feature = "spectrum")]
fn fill_gaps(frame: &mut [f32]) -> bool {
    let (mut sum, mut count) = (0.0, 0usize);
    for sample in frame.iter().filter(|sample| !sample.is_nan()) {
        sum += sample;
        count += 1;
    }
    if count < frame.len() {
        let mean = finite(sum / count as f32);
        frame.iter_mut().filter(|sample| sample.is_nan()).for_each(|sample| *sample = mean);
    }
    count > 0
}

/// Edges of bands at equal distances in mel, from 0 to half the sample rate.
///
/// # Source
/// Slaney (1998), *Auditory Toolbox* (Interval Research Technical Report 1998-010), whose scale librosa's `mel_frequencies` has: 3 mel each
/// 200 Hz up to 1000 Hz, and 27 for each factor of 6.4 from there on.
#[cfg(feature = "spectrum")]
struct Scale {
    /// Mel between two edges.
    step: f32,
}

#[cfg(feature = "spectrum")]
impl Scale {
    const MEL_PER_HERTZ: f32 = 0.015;
    /// Where the scale turns from linear to logarithmic.
    const TURN: (f32, f32) = (1000.0, 15.0);
    /// ln 6.4 / 27.
    const LN_PER_MEL: f32 = 0.068_751_78;

    fn of(rate: u32, bands: usize) -> Self {
        let (highest, (turn, mel)) = (0.5 * rate as f32, Self::TURN);
        let highest = if highest < turn {
            highest * Self::MEL_PER_HERTZ
        } else {
            mel + libm::logf(highest / turn) / Self::LN_PER_MEL
        };
        Self { step: highest / (bands + 1) as f32 }
    }

    /// In Hz.
    fn edge(&self, index: usize) -> f32 {
        let (at, (turn, mel)) = (self.step * index as f32, Self::TURN);
        if at < mel { at / Self::MEL_PER_HERTZ } else { turn * libm::expf(Self::LN_PER_MEL * (at - mel)) }
    }
}

#[cfg(test)]
#[cfg(feature = "spectrum")]
mod tests {
    use core::f64::consts::TAU;

    use super::*;
    use crate::front_end::FrontEnd;

    const LN_PER_MEL: f64 = 0.068_751_777_420_949_12;

    /// The edge of a band in Hz, by Slaney's formulas in f64.
    fn edge(index: usize, bands: usize, rate: f64) -> f64 {
        let highest = match rate / 2.0 {
            high if high < 1000.0 => high * 3.0 / 200.0,
            high => 15.0 + libm::log(high / 1000.0) / LN_PER_MEL,
        };
        match highest * index as f64 / (bands + 1) as f64 {
            mel if mel < 15.0 => mel * 200.0 / 3.0,
            mel => 1000.0 * libm::exp(LN_PER_MEL * (mel - 15.0)),
        }
    }

    /// The energies of a frame by their definition, in f64, and the sum of all frequencies'.
    fn expected(frame: &[f64], bands: usize, rate: f64) -> ([f64; 128], f64) {
        let len = frame.len();
        let edges: [f64; 130] = core::array::from_fn(|index| edge(index, bands, rate));
        let cosines: [f64; 2048] = core::array::from_fn(|i| libm::cos(TAU * i as f64 / len as f64));
        let (mut energies, mut total) = ([0.0; 128], 0.0);
        for frequency in 0..=len / 2 {
            let (mut re, mut im) = (0.0, 0.0);
            for (i, x) in frame.iter().enumerate() {
                let (x, phase) = (x * (0.5 - 0.5 * cosines[i]), i * frequency % len);
                re += x * cosines[phase];
                im -= x * cosines[(phase + 3 * len / 4) % len];
            }
            let (energy, hertz) = (re * re + im * im, frequency as f64 * rate / len as f64);
            total += energy;
            for (band, sum) in energies[..bands].iter_mut().enumerate() {
                let [low, mid, high] = [0, 1, 2].map(|more| edges[band + more]);
                let triangle = ((hertz - low) / (mid - low)).min((high - hertz) / (high - mid)).max(0.0);
                *sum += energy * triangle * 2.0 / (high - low);
            }
        }
        (energies, total)
    }

    #[test]
    fn edges_are_librosas() {
        // The example of `librosa.mel_frequencies(n_mels=40)` in librosa's documentation: up to 11,025 Hz.
        let documented = [
            0.0, 85.317, 170.635, 255.952, 341.269, 426.586, 511.904, 597.221, 682.538, 767.855, 853.173, 938.49,
            1024.856, 1119.114, 1222.042, 1334.436, 1457.167, 1591.187, 1737.532, 1897.337, 2071.84, 2262.393, 2470.47,
            2697.686, 2945.799, 3216.731, 3512.582, 3835.643, 4188.417, 4573.636, 4994.285, 5453.621, 5955.205,
            6502.92, 7101.009, 7754.107, 8467.272, 9246.028, 10096.408, 11025.0,
        ];
        let scale = Scale::of(22_050, 38);
        for (index, documented) in documented.into_iter().enumerate() {
            let found = scale.edge(index);
            assert!((found - documented).abs() < 6e-4 + 1e-6 * documented, "{index}: {found} for {documented}");
        }
        let found = FrontEnd::Mel { bands: 38, frames: 3, rate: 22_050 }.band_edges(2 * 2048, 38 + 5).unwrap();
        assert!(
            (found.0 * 22_050.0 - 426.586).abs() < 1e-2 && (found.1 * 22_050.0 - 597.221).abs() < 1e-2,
            "{found:?}"
        );
        // Up to where the scale is linear.
        let scale = Scale::of(1600, 7);
        (0..9).for_each(|index| assert!((scale.edge(index) - 100.0 * index as f32).abs() < 1e-4));
    }

    #[test]
    fn tones_have_the_weights_of_librosas_filters() {
        // Of `librosa.filters.mel(sr=16000, n_fft=1024, n_mels=128)`: band, its first frequency but one, and three weights from the first on.
        for (band, frequency, weights) in [
            (64usize, 108usize, [0.001_910_41, 0.011_216_71, 0.020_523]),
            (127, 489, [4.764_13e-5, 4.935_307e-4, 9.394_2e-4]),
        ] {
            let tone: [f32; 1024] =
                core::array::from_fn(|i| libm::cos(TAU * (i * frequency % 1024) as f64 / 1024.0) as f32);
            let mut found = [0.0; 128];
            let front_end = FrontEnd::Mel { bands: 128, frames: 1, rate: 16_000 };
            front_end.extract(&tone, (0, 1), &mut [0.0; 1024], &mut found).unwrap();
            // Hann's window makes half as much of a tone, N/4, and half of that of its neighbours.
            let energy = 256.0 * 256.0 * (weights[1] + 0.25 * (weights[0] + weights[2]));
            let relative = libm::expf(found[band]) / energy - 1.0;
            // Edges are known to 3e-7 of themselves, and the nearest one is 1.1 frequencies off.
            assert!(relative.abs() < 3e-7 * frequency as f32 / 1.1 + 1e-5, "{band}: off by {relative}");
        }
    }

    #[test]
    fn frames_are_what_their_definition_says() {
        for (bands, frames, rate, len) in [
            (8u8, 1u8, 8000u32, 16usize),
            (16, 3, 8000, 128),
            (128, 5, 16_000, 1024),
            (40, 1, 44_100, 2048),
            (5, 4, 100, 32),
        ] {
            let samples =
                |i: usize| 0.4 + libm::sin(0.7 * i as f64) + 0.1 * libm::cos(2.9 * i as f64) + 0.01 * (i % 5) as f64;
            let window = len / 2 * (usize::from(frames) + 1);
            let front_end = FrontEnd::Mel { bands, frames, rate };
            let (mut work, mut found) = ([0.0; 3072], [0.0; 640]);
            let found = &mut found[..front_end.features(window)];
            let x: [f32; 3072] = core::array::from_fn(|i| samples(i) as f32);
            front_end.extract(&x[..window], (0, 1), &mut work[..window], found).unwrap();
            // Of a channel beside another one they are the same.
            let (mut both, mut found_of_both) = ([0.5; 6144], [0.0; 640]);
            both.iter_mut().skip(1).step_by(2).zip(x).for_each(|(slot, x)| *slot = x);
            let found_of_both = &mut found_of_both[..found.len()];
            front_end.extract(&both[..2 * window], (1, 2), &mut work[..window], found_of_both).unwrap();
            assert_eq!(found, found_of_both);
            for (frame, found) in found.chunks(bands.into()).enumerate() {
                let mut x = [0.0; 2048];
                (0..len).for_each(|i| x[i] = f64::from(samples(frame * len / 2 + i) as f32));
                let (expected, total) = expected(&x[..len], bands.into(), rate.into());
                for (band, (found, expected)) in found.iter().zip(expected).enumerate() {
                    // An amplitude Y is known to δ = 4e-7 of all: 2Yδ + δ² is at most a thousandth of Y² and 1001 δ². Weights, at most 2 over the
                    // width of a frequency, are known better.
                    let most = 2.0 * len as f64 / f64::from(rate) * total;
                    let (found, tolerance) = (libm::exp(f64::from(*found)), 1e-3 * expected + 1.6e-10 * most);
                    assert!((found - expected).abs() < tolerance, "{len} {frame} {band}: {found} for {expected}");
                }
            }
        }
    }

    #[test]
    fn what_was_not_observed_is_the_mean_of_its_frame() {
        const MEL: FrontEnd = FrontEnd::Mel { bands: 4, frames: 3, rate: 8000 };
        let extract = |samples: [f32; 64]| {
            let mut found = [0.0; 12];
            MEL.extract(&samples, (0, 1), &mut [0.0; 64], &mut found).unwrap();
            found
        };
        let whole: [f32; 64] = core::array::from_fn(|i| libm::sinf(i as f32));
        // The first frame has nothing, of the second one half is the mean of the other.
        let mut holes = whole;
        holes[..32].fill(f32::NAN);
        let found = extract(holes);
        assert!(found[..4].iter().all(|x| x.is_nan()) && found[4..].iter().all(|x| x.is_finite()));
        assert_eq!(found[8..], extract(whole)[8..]);
        let mean = holes[32..48].iter().sum::<f32>() / 16.0;
        holes[16..32].fill(mean);
        assert_eq!(found[4..8], extract(holes)[4..8]);
        assert!(extract([f32::NAN; 64]).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn what_f32_cannot_hold_is_far_out_and_no_error() {
        for rate in [1, 999, 2000, 2001, 16_000, u32::MAX] {
            for (bands, frames, len) in [(255, 1, 2048), (8, 1, 16), (1, 3, 32)] {
                for size in [0.0, 1e-45, 1e-20, 1.0, 1e12, 1e25, 3e38, f32::INFINITY] {
                    let front_end = FrontEnd::Mel { bands, frames, rate };
                    let (mut work, mut found) = ([0.0; 2048], [0.0; 255]);
                    let found = &mut found[..usize::from(bands) * usize::from(frames)];
                    let samples: [f32; 2048] = core::array::from_fn(|i| if i % 3 == 0 { size } else { -size });
                    let window = len / 2 * (usize::from(frames) + 1);
                    front_end.extract(&samples[..window], (0, 1), &mut work[..window], found).unwrap();
                    assert!(found.iter().all(|x| x.is_finite()), "{rate} {bands} {size}: {found:?}");
                    // Some of the lowest bands may hold no frequency.
                    assert!(found[found.len() - 1] > 80.0 || size < 1e25, "{rate} {bands} {size}: {found:?}");
                }
            }
        }
    }
}
