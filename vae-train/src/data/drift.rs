//! Slow drift: how far the level of a stream's channels wanders, and windows that are carried off as far.
//!
//! A temperature that still rises at the end of the training data will be elsewhere an hour later, and a model of the levels
//! that were seen calls that an anomaly. How much of a channel is wander shows in the training data themselves: white noise
//! averages out over an eighth of them, a random walk or a trend does not. A model trained on windows whose levels were moved
//! by as much judges a channel by its level only as far as that level was steady.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

use crate::data::windows::Windows;

/// The data are taken in stretches of one part in so many.
const STRETCHES: usize = 8;

/// Copies of a window, each carried off by itself, where there are few of them.
const COPIES: usize = 10;
/// Windows beyond which there are no more copies.
const ENOUGH: usize = 10_000;

/// For each channel, the root mean square of the difference between its means over two neighbouring stretches of an eighth of
/// the windows, taken at every place: the overlapped Allan deviation, times √2. `chosen` are windows in order of time; missing
/// values are passed over. Stretches may be of several recordings: how far the level is off in the next one is wander, too.
///
/// White noise of standard deviation σ has σ √(2 / n) for stretches of n values, a random walk with steps of q has
/// q √(2 n / 3), a slope of s per value has s n.
///
/// # Source
/// Riley, *Handbook of Frequency Stability Analysis*, NIST SP 1065 (2008), section 5.2.4.
#[must_use]
pub fn level_steps(windows: &Windows, chosen: &[usize], channels: usize) -> Vec<f64> {
    let width = windows.features + windows.conditions;
    let stretch = (chosen.len() / STRETCHES).max(1);
    let step = |channel: usize| {
        let values = |window: &usize| {
            let x = &windows.values[window * width..][..windows.features];
            x.iter().skip(channel).step_by(channels).filter(|value| !value.is_nan()).map(|value| f64::from(*value))
        };
        // From the first value on, so that a small wander about a large level is not lost in the sums.
        let origin = chosen.iter().flat_map(values).next().unwrap_or(0.0);
        // Sums and counts of all windows before each.
        let mut before = vec![(0.0, 0.0)];
        let (mut sum, mut count) = (0.0, 0.0);
        for window in chosen {
            for value in values(window) {
                sum += value - origin;
                count += 1.0;
            }
            before.push((sum, count));
        }
        let mean = |from: usize| {
            let ((start, n), (end, m)) = (before[from], before[from + stretch]);
            (m > n).then(|| (end - start) / (m - n))
        };
        let places = (chosen.len() + 1).saturating_sub(2 * stretch);
        let squares: Vec<f64> =
            (0..places).filter_map(|place| Some((mean(place + stretch)? - mean(place)?).powi(2))).collect();
        (squares.iter().sum::<f64>() / squares.len().max(1) as f64).sqrt()
    };
    (0..channels).map(step).collect()
}

/// Copies of the `chosen` windows, in their order and with their conditions; each channel of a copy is moved as a whole, by a
/// normal number of standard deviation `reach` for that channel. Ten of each window, fewer where these were more than 10,000,
/// at least one.
#[must_use]
pub fn carried(windows: &Windows, chosen: &[usize], reach: &[f64], seed: u64) -> Windows {
    let (width, channels) = (windows.features + windows.conditions, reach.len());
    let copies = copies(chosen.len());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::with_capacity(chosen.len() * copies * width);
    let mut offsets = vec![0.0; channels];
    for window in chosen {
        let (x, condition) = windows.values[window * width..][..width].split_at(windows.features);
        for _ in 0..copies {
            offsets
                .iter_mut()
                .zip(reach)
                .for_each(|(offset, reach)| *offset = *reach as f32 * standard_normal(&mut rng));
            values.extend(x.iter().zip(offsets.iter().cycle()).map(|(value, offset)| value + offset));
            values.extend_from_slice(condition);
        }
    }
    let repeated = |index: &usize| std::iter::repeat_n(windows.last_row[*index], copies);
    let last_row = chosen.iter().flat_map(repeated).collect();
    Windows { features: windows.features, conditions: windows.conditions, values, last_row, labels: None }
}

/// Copies of each of so many windows.
#[must_use]
pub fn copies(windows: usize) -> usize {
    (ENOUGH / windows.max(1)).clamp(1, COPIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(window: usize, columns: Vec<Vec<f32>>) -> Windows {
        let channels = columns.len();
        let rows = columns[0].len();
        let values = (0..rows).flat_map(|row| columns.iter().map(move |column| column[row])).collect();
        let last_row = (0..rows / window).map(|index| (index + 1) * window - 1).collect();
        Windows { features: channels * window, conditions: 0, values, last_row, labels: None }
    }

    /// Of 4,000 values in stretches of 500.
    #[test]
    fn steps_tell_wander_from_noise() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<f32> = (0..4000).map(|_| 1000.0 + 3.0 * standard_normal(&mut rng)).collect();
        let slope: Vec<f32> = (0..4000).map(|row| 20.0 - 0.01 * row as f32).collect();
        let mut gaps = slope.clone();
        gaps.iter_mut().step_by(3).for_each(|value| *value = f32::NAN);
        let constant = vec![7.0; 4000];
        for window in [1, 10] {
            let windows = windows(window, vec![noise.clone(), slope.clone(), gaps.clone(), constant.clone()]);
            let chosen: Vec<usize> = (0..windows.len()).collect();
            let [noise, slope, gaps, constant] = level_steps(&windows, &chosen, 4)[..] else { panic!() };
            let expected = 3.0 * (2.0f64 / 500.0).sqrt();
            assert!((noise / expected - 1.0).abs() < 0.3, "{noise} {expected}");
            assert!((slope - 5.0).abs() < 1e-3 && (gaps - 5.0).abs() < 0.02, "{slope} {gaps}");
            assert_eq!(constant, 0.0);
        }
    }

    #[test]
    fn steps_of_random_walks_are_as_the_formula_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let walk = |_| {
            let steps = (0..800).map(|_| 0.5 * standard_normal(&mut rng));
            steps
                .scan(0.0f32, |level, step| {
                    *level += step;
                    Some(*level)
                })
                .collect()
        };
        let windows = windows(1, (0..200).map(walk).collect());
        let steps = level_steps(&windows, &(0..800).collect::<Vec<_>>(), 200);
        let mean = steps.iter().map(|step| step * step).sum::<f64>() / 200.0;
        let expected = 0.25 * 2.0 / 3.0 * 100.0;
        assert!((mean / expected - 1.0).abs() < 0.1, "{mean} {expected}");
    }

    #[test]
    fn copies_are_moved_as_wholes_by_their_channels_reach() {
        let ramp = |from: f32| (0..2000).map(|row| from + row as f32).collect::<Vec<f32>>();
        let windows = windows(2, vec![ramp(0.0), ramp(10_000.0)]);
        let chosen: Vec<usize> = (0..1000).rev().collect();
        let carried = carried(&windows, &chosen, &[0.0, 8.0], 3);
        assert_eq!((carried.len(), carried.last_row[0], carried.last_row[9999]), (10_000, 1999, 1));
        let mut squares = 0.0;
        for (index, x) in carried.iter().enumerate() {
            let original = &windows.values[4 * chosen[index / 10]..][..4];
            assert_eq!((x[0], x[2]), (original[0], original[2]));
            let offset = x[1] - original[1];
            assert!((x[3] - original[3] - offset).abs() < 0.01, "{x:?}");
            squares += f64::from(offset).powi(2);
        }
        assert!((squares / 10_000.0 / 64.0 - 1.0).abs() < 0.05, "{squares}");
        assert_eq!([0, 999, 2500, 1_000_000].map(copies), [10, 10, 4, 1]);
    }
}
