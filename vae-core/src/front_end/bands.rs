//! The energy of a channel's samples in bands of frequencies.

#[cfg(feature = "spectrum")]
use crate::{arithmetic::number::finite, front_end::spectrum::energies, network::error::InferError};

/// [`FrontEnd::Bands`](super::FrontEnd::Bands) of distances from the mean.
#[cfg(feature = "spectrum")]
pub(super) fn bands(distances: &mut [f32], features: &mut [f32]) -> Result<(), InferError> {
    let len = distances.len() as f32;
    let count = (distances.len() / 2).saturating_sub(1);
    let mut energies = energies(distances).ok_or(InferError::Unsupported)?.map(|(_, energy)| energy);
    let bands = features.len();
    let mut start = 0;
    for (band, feature) in features.iter_mut().enumerate() {
        let end = band_end(band, bands, count).max(start + 1);
        let energy = energies.by_ref().take(end - start).fold(0.0, |sum, energy| sum + energy);
        *feature = libm::logf(finite(energy / len).max(f32::MIN_POSITIVE));
        start = end;
    }
    Ok(())
}

/// The edges of a band in cycles a sample: half way between the frequencies on both sides of them, whose distance is `1 / window`.
#[cfg(feature = "spectrum")]
pub(super) fn edges(band: usize, bands: usize, window: usize) -> (f32, f32) {
    let count = (window / 2).saturating_sub(1);
    let end = |band: usize| (0..=band).fold(0, |start, band| band_end(band, bands, count).max(start + 1));
    let start = band.checked_sub(1).map_or(0, end);
    ((start as f32 + 0.5) / window as f32, (end(band) as f32 + 0.5) / window as f32)
}

/// The frequency behind a band's last: `frequencies^((band + 1) / bands)`, where that leaves one for each of the others.
#[cfg(feature = "spectrum")]
fn band_end(band: usize, bands: usize, frequencies: usize) -> usize {
    let place = libm::powf(frequencies as f32, (band + 1) as f32 / bands as f32);
    (libm::roundf(place) as usize).clamp(band + 1, frequencies.saturating_sub(bands - band - 1).max(band + 1))
}

#[cfg(test)]
#[cfg(feature = "spectrum")]
mod tests {
    use super::*;
    use crate::front_end::FrontEnd;

    #[cfg(feature = "spectrum")]
    #[test]
    fn bands_hold_the_energy_of_their_frequencies() {
        for (window, bands) in [(16usize, 4usize), (64, 7), (256, 16), (2048, 32)] {
            let samples =
                |i: usize| libm::sin(0.7 * i as f64) + 0.3 * libm::cos(2.9 * i as f64) + 0.01 * (i % 5) as f64;
            let mean = (0..window).map(samples).sum::<f64>() / window as f64;
            let hann = |i: usize| 0.5 - 0.5 * libm::cos(core::f64::consts::TAU * i as f64 / window as f64);
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
            let x: [f32; 2048] = core::array::from_fn(|i| samples(i) as f32);
            FrontEnd::Bands(bands as u8).extract(&x[..window], (0, 1), &mut [0.0; 2048][..window], found).unwrap();
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
            // The edges are between the last frequency of one band and the first of the next.
            let edge = |frequency: usize| (frequency as f32 - 0.5) / window as f32;
            let found = |band: usize| FrontEnd::Bands(bands as u8).band_edges(window, band);
            assert_eq!(found(0).map(|edges| edges.0), Some(edge(1)));
            assert_eq!(found(bands - 1).map(|edges| edges.1), Some(edge(window / 2)));
            assert!((1..bands).all(|band| found(band).map(|edges| edges.0) == found(band - 1).map(|edges| edges.1)));
            assert_eq!(found(bands), None);
            // The last band ends where the frequencies do.
            assert_eq!(start, window / 2);
        }
    }
}
