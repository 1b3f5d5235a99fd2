//! Six numbers of a channel's samples.

use crate::arithmetic::number::finite;

/// Numbers that [`FrontEnd::Statistics`] makes.
pub(super) const STATISTICS: usize = 6;

/// [`FrontEnd::Statistics`] of distances from the mean, of which `count` were observed.
pub(super) fn statistics(mean: f32, count: f32, distances: &[f32], features: &mut [f32]) {
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
    features.iter_mut().zip(values).for_each(|(feature, value)| *feature = finite(value));
}
