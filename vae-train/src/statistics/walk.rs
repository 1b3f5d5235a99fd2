//! How rarely a sum of successive ranks rises far, from how variable such sums are.

use vae_core::ALLOWANCE;

use crate::statistics::pieces::pieces;

/// Ratio of the lengths of sums at which their variance is known.
const STEP: f64 = 1.2;

/// Sums of that length a recording holds at least, for their variance to be taken from it.
const SUMS: usize = 20;

/// Relative variance of the variance of all of a recording's sums of so many independent windows, for each share of it that they take.
const OVERLAPPING: f64 = 4.0 / 3.0;

/// A Gaussian walk whose steps resemble each other as a recording's ranks do.
pub(crate) struct Walk {
    /// Windows in a sum, and the sum's variance.
    sums: Vec<(f64, f64)>,
}

impl Walk {
    /// Learns from p-values in the order of time, of recordings that begin with the first one and with `starts`. The steps are √12 (½ − p), of
    /// variance 1, less [`ALLOWANCE`].
    ///
    /// The variance for each window of a sum changes with the sum's length only where the recordings say so: by more than one standard error.
    /// No sum spans two of them; of those that are longer than a recording it is that of the longest that recordings hold.
    pub(crate) fn of(p_values: &[f64], starts: &[usize]) -> Self {
        let windows = p_values.len();
        let path = std::iter::once(0.0).chain(p_values.iter().scan(0.0, |sum, p| {
            *sum += 12f64.sqrt() * (0.5 - p);
            Some(*sum)
        }));
        let path: Vec<f64> = path.collect();
        let mean = path[windows] / windows as f64;
        let (mut sums, mut length, mut each) = (Vec::new(), 1, None);
        while length <= windows {
            let width = length as f64;
            let long = pieces(starts, windows).filter(|piece| piece.len() >= length);
            if long.clone().map(|piece| piece.len() / length).sum::<usize>() >= SUMS || each.is_none() {
                let sums =
                    long.clone().flat_map(|piece| (piece.start..piece.end - length + 1).step_by((length / 8).max(1)));
                let count = sums.clone().count() as f64;
                let squares = sums.map(|start| (path[start + length] - path[start] - width * mean).powi(2));
                let found = squares.sum::<f64>() / count / width;
                let error = found * (OVERLAPPING * width / long.map(|piece| piece.len()).sum::<usize>() as f64).sqrt();
                each = Some(each.map_or(found, |each: f64| each.clamp(found - error, found + error)));
            }
            sums.push((width, width * each.unwrap_or(1.0)));
            length = (length + 1).max((STEP * width) as usize);
        }
        Self { sums }
    }

    /// By how many nats it is rare that the cumulative sum rises to a height: `min (h + k m)² / 2 v(m)` over the windows m that it takes, of
    /// whose sum v is the variance. For independent windows that is 2 k h.
    ///
    /// # Source
    /// N. G. Duffield & N. O'Connell (1995), *Large deviations and overflow probabilities for the general single-server queue, with
    /// applications*, Mathematical Proceedings of the Cambridge Philosophical Society 118: a queue's content is such a sum.
    pub(crate) fn nats(&self, height: f64) -> f64 {
        let allowance = f64::from(ALLOWANCE);
        let of = |(windows, variance): &(f64, f64)| (height + allowance * windows).powi(2) / (2.0 * variance);
        self.sums.iter().map(of).fold(f64::INFINITY, f64::min)
    }

    /// The height for so many nats; the inverse of [`Self::nats`].
    pub(crate) fn height(&self, nats: f64) -> f64 {
        let mut high = 1.0;
        while self.nats(high) < nats {
            high *= 2.0;
        }
        let mut low = 0.0;
        for _ in 0..50 {
            let middle = 0.5 * (low + high);
            if self.nats(middle) < nats { low = middle } else { high = middle }
        }
        high
    }

    /// By how much peaks above a height exceed it, on average: `∫ exp(nats(height) − nats(x)) dx`.
    pub(crate) fn mean_excess(&self, height: f64) -> f64 {
        let from = self.nats(height);
        let step = (self.height(from + 1.0) - height) / 20.0;
        let chances = (0..).map(|index| from - self.nats(height + (f64::from(index) + 0.5) * step));
        step * chances.take_while(|nats| *nats > -12.0).map(libm::exp).sum::<f64>()
    }

    /// Relative variance of the nats for a height, from a recording of so many windows: of the variance of the sum that rises to it.
    pub(crate) fn variance(height: f64, windows: f64) -> f64 {
        OVERLAPPING * height / f64::from(ALLOWANCE) / windows
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Moving sums of two uniforms, as p-values of variance 1/12: v(m) / m is 1 + 1 · 2 · ½ (1 − 1/m), 2 for long sums.
    fn pairs(windows: usize) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        let steps: Vec<f64> = (0..=windows).map(|_| rng.random::<f64>() - 0.5).collect();
        steps.windows(2).map(|pair| 0.5 + (pair[0] + pair[1]) / 2f64.sqrt()).collect()
    }

    #[test]
    fn independent_windows_rise_exponentially() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let p_values: Vec<f64> = (0..200_000).map(|_| rng.random()).collect();
        let walk = Walk::of(&p_values, &[]);
        // 2 k h is h / 2; lengths 1.2 apart are at most 10 % off the best one, which makes ½ % of it.
        for height in [5.0, 10.0, 20.0] {
            assert!((walk.nats(height) / (0.5 * height) - 1.0).abs() < 0.03, "{height}: {}", walk.nats(height));
            assert!((walk.height(walk.nats(height)) / height - 1.0).abs() < 1e-6);
        }
        assert!((walk.mean_excess(10.0) / 2.0 - 1.0).abs() < 0.05, "{}", walk.mean_excess(10.0));
    }

    #[test]
    fn windows_that_resemble_each_other_rise_further() {
        let walk = Walk::of(&pairs(200_000), &[]);
        let each = |length: f64| walk.sums.iter().find(|sum| sum.0 == length).map(|sum| sum.1 / length);
        for (length, expected) in [(1.0, 1.0), (2.0, 1.5), (4.0, 1.75)] {
            assert!((each(length).unwrap() / expected - 1.0).abs() < 0.02, "{length}: {:?}", each(length));
        }
        // Twice the variance, half the nats: 2 k h / 2.
        assert!((walk.nats(40.0) / 10.0 - 1.0).abs() < 0.05, "{}", walk.nats(40.0));
    }

    #[test]
    fn no_sum_spans_two_recordings() {
        // Recordings of ten windows, high and low in turn: by sums across them they would be told from independent windows by far, as
        // the variance of a sum of twenty would be next to none.
        let level = |window: usize| if (window / 10).is_multiple_of(2) { 0.25 } else { 0.75 };
        let p_values: Vec<f64> = (0..4000).map(level).collect();
        let starts: Vec<usize> = (1..400).map(|piece| 10 * piece).collect();
        let walk = Walk::of(&p_values, &starts);
        // A sum of m windows of a recording is ± m √12 / 4, and of no longer one is anything known.
        for (length, each) in walk.sums.iter().map(|(length, variance)| (*length, variance / length)) {
            assert!((each / (0.75 * length.min(10.0)) - 1.0).abs() < 0.15, "{length}: {each}");
        }
        let across = Walk::of(&p_values, &[]).sums.last().map(|(length, variance)| variance / length);
        assert!(across.unwrap() < 1.0, "{across:?}");
    }

    #[test]
    fn the_variance_is_that_of_repeated_recordings() {
        let found: Vec<f64> = (0..60)
            .map(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(100 + seed);
                Walk::of(&(0..5000).map(|_| rng.random()).collect::<Vec<f64>>(), &[]).nats(10.0).ln()
            })
            .collect();
        let mean = found.iter().sum::<f64>() / 60.0;
        let variance = found.iter().map(|found| (found - mean).powi(2)).sum::<f64>() / 59.0;
        // 40 of 5000 windows: 0.0107, of which the steps of one standard error and the choice of the length leave less.
        let stated = Walk::variance(10.0, 5000.0);
        assert!(
            (stated / 0.010_67 - 1.0).abs() < 0.01 && variance < 1.2 * stated && variance > 0.1 * stated,
            "{variance}"
        );
    }
}
