//! The spectrum of real numbers, in their place.

#[cfg(feature = "spectrum")]
use microfft::Complex32;

/// How many numbers a spectrum can be computed of: powers of two from 2⁴ to 2¹¹.
pub(super) const SPECTRUM: core::ops::RangeInclusive<usize> = 16..=2048;

/// Whether a spectrum can be computed of so many numbers.
pub(super) const fn has_spectrum(len: usize) -> bool {
    cfg!(feature = "spectrum") && len >= *SPECTRUM.start() && len <= *SPECTRUM.end() && len.is_power_of_two()
}

/// The frequencies between the lowest and the highest of N numbers, which are overwritten, in units of the lowest, and their energies `|X|²` under a periodic Hann window.
///
/// The window `½ − ½ cos(2πi/N)` is applied to the spectrum, in which it is `½ Xₖ − ¼ (Xₖ₋₁ + Xₖ₊₁)`: that takes no cosines. None
/// where [`has_spectrum`] says no.
#[cfg(feature = "spectrum")]
pub(super) fn energies(numbers: &mut [f32]) -> Option<impl Iterator<Item = (f32, f32)>> {
    let (ends, rest) = spectrum(numbers)?.split_first()?;
    let behind = rest.iter().skip(1).map(|x| (x.re, x.im)).chain(core::iter::once((ends.im, 0.0)));
    let (mut before, mut frequency) = ((ends.re, 0.0), 0.0);
    Some(rest.iter().zip(behind).map(
        #[inline(always)]
        move |(x, behind)| {
            let re = 0.5 * x.re - 0.25 * (before.0 + behind.0);
            let im = 0.5 * x.im - 0.25 * (before.1 + behind.1);
            before = (x.re, x.im);
            frequency += 1.0;
            (frequency, re * re + im * im)
        },
    ))
}

/// The discrete Fourier transform of N numbers, frequencies 0 to N/2 − 1; the first one's imaginary part is that of N/2, which is real. None
/// where [`has_spectrum`] says no.
#[cfg(feature = "spectrum")]
fn spectrum(numbers: &mut [f32]) -> Option<&mut [Complex32]> {
    use microfft::real::{rfft_16, rfft_32, rfft_64, rfft_128, rfft_256, rfft_512, rfft_1024, rfft_2048};

    macro_rules! transformed {
        ($($size:literal $transform:ident),*) => {
            match numbers.len() {
                $($size => Some($transform(numbers.first_chunk_mut::<$size>()?).as_mut_slice()),)*
                _ => None,
            }
        };
    }
    transformed!(
        16 rfft_16, 32 rfft_32, 64 rfft_64, 128 rfft_128, 256 rfft_256, 512 rfft_512, 1024 rfft_1024, 2048 rfft_2048
    )
}
