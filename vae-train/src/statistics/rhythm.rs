//! How steady a recording is: what comes in stretches tells less than as much that does not, and what is slow cannot be known from it.

/// Parts of a recording from which the scatter of its counts is learned.
const PARTS: usize = 10;

/// What makes a variance of so few parts as cautious as one that is known, at a confidence of 90 %: the square of Student's quantile over
/// the normal distribution's, for nine degrees of freedom.
const CAUTION: f64 = 1.24;

/// Fewer and more parts of a recording whose means are compared.
const BLOCKS: (usize, usize) = (8, 64);

/// Variance of the events in a tenth of a recording for each one of a Poisson's, and at least that.
///
/// It holds for whatever makes events come together within less than a tenth of the recording. A rhythm of which tenths hold whole cycles
/// adds nothing: as many of its events are in each.
pub(crate) fn dispersion<T>(recording: &[T], events: impl Fn(&[T]) -> usize) -> f64 {
    let parts = recording.chunks_exact(part_length(recording.len()));
    dispersion_of_counts(&parts.map(|part| events(part) as f64).collect::<Vec<_>>())
}

/// Values of each of the parts in which [`dispersion`] counts events.
pub(crate) fn part_length(values: usize) -> usize {
    (values / PARTS).max(1)
}

/// [`dispersion`] of the events in all whole parts.
pub(crate) fn dispersion_of_counts(counts: &[f64]) -> f64 {
    let mean = counts.iter().sum::<f64>() / counts.len() as f64;
    // At least 1, and not a number for a recording without events.
    (CAUTION * variance(counts) / mean).max(1.0)
}

/// How many times further apart the means of a recording's eighths are than those of its 64ths let expect, in variances.
///
/// It is 1 on average for what resembles itself over much less than a 64th, and then above 4 once in a thousand recordings; with a drift, or
/// a rhythm that is longer than about a fifth of the recording, it is large.
///
/// # Source
/// G. W. Snedecor's F, of 7 and 63 degrees of freedom, on batch means (see [`crate::statistics::dependence`]).
pub(crate) struct Slowness([Means; 2]);

impl Slowness {
    /// Of a recording of so many values, none of which has come yet.
    pub(crate) fn of(values: usize) -> Self {
        Self([BLOCKS.0, BLOCKS.1].map(|blocks| Means::of((values / blocks).max(1))))
    }

    /// Takes the next value.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.iter_mut().for_each(|means| means.push(value));
    }

    /// What the values come to.
    pub(crate) fn found(&self) -> f64 {
        let [few, many] = self.0.each_ref().map(|means| means.size as f64 * variance(&means.whole));
        // Nothing that varies is nothing slow.
        if many > 0.0 { few / many } else { 0.0 }
    }
}

/// Means of blocks of values that come one after the other.
struct Means {
    size: usize,
    sum: f64,
    here: usize,
    /// Of the blocks that are complete.
    whole: Vec<f64>,
}

impl Means {
    fn of(size: usize) -> Self {
        Self { size, sum: 0.0, here: 0, whole: Vec::new() }
    }

    fn push(&mut self, value: f64) {
        self.sum += value;
        self.here += 1;
        if self.here == self.size {
            self.whole.push(self.sum / self.size as f64);
            (self.sum, self.here) = (0.0, 0);
        }
    }
}

/// Sample variance.
pub(crate) fn variance(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (values.len() as f64 - 1.0)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn slowness(values: &[f64]) -> f64 {
        let mut slowness = Slowness::of(values.len());
        values.iter().for_each(|value| slowness.push(*value));
        slowness.found()
    }

    fn count(part: &[bool]) -> usize {
        part.iter().filter(|event| **event).count()
    }

    fn events(seed: u64, windows: usize, chance: impl Fn(f64) -> f64) -> Vec<bool> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..windows).map(|index| rng.random::<f64>() < chance(index as f64 / windows as f64)).collect()
    }

    #[test]
    fn events_in_pairs_have_twice_the_variance() {
        let of = |seed| {
            let single = events(seed, 50_000, |_| 0.01);
            let pairs: Vec<bool> = single.iter().flat_map(|event| [*event; 2]).collect();
            (dispersion(&single, count), dispersion(&pairs, count))
        };
        let (singles, pairs): (Vec<f64>, Vec<f64>) = (0..100).map(of).unzip();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // By scipy, of 1.24 χ²₉ / 9: 1.43 on average where what is below 1 is 1. Twice that is below 1 in a twentieth of all recordings.
        assert!((mean(&singles) / 1.43 - 1.0).abs() < 0.1, "{}", mean(&singles));
        assert!((mean(&pairs) / 2.48 - 1.0).abs() < 0.15, "{}", mean(&pairs));
        assert_eq!(dispersion(&[false; 100], count), 1.0);
    }

    #[test]
    fn whole_cycles_in_each_tenth_add_nothing_and_half_cycles_do() {
        let rhythm = |cycles: f64| events(3, 200_000, |at| 0.01 * (1.0 + (std::f64::consts::TAU * cycles * at).sin()));
        assert!(dispersion(&rhythm(20.0), count) < 3.0);
        assert!(dispersion(&rhythm(2.0), count) > 20.0);
    }

    #[test]
    fn the_slow_is_told_from_the_quick() {
        let wave = |cycles: f64, at: f64| (std::f64::consts::TAU * cycles * at).sin();
        let noisy = |seed, slow: &dyn Fn(f64) -> f64| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let values: Vec<f64> =
                (0..20_000).map(|index| rng.random::<f64>() + 0.1 * slow(f64::from(index) / 20_000.0)).collect();
            slowness(&values)
        };
        // By scipy, f.sf(4, 7, 63) = 0.0011.
        let high = (0..1000).filter(|seed| noisy(*seed, &|_| 0.0) > 4.0).count();
        assert!(high <= 5, "{high}");
        for cycles in [0.5, 1.0, 3.0] {
            assert!(noisy(1, &|at| wave(cycles, at)) > 4.0, "{cycles}");
        }
        for cycles in [10.0, 20.0, 64.0] {
            assert!(noisy(1, &|at| wave(cycles, at)) < 4.0, "{cycles}: {}", noisy(1, &|at| wave(cycles, at)));
        }
        assert_eq!((slowness(&[1.0; 1000]), slowness(&[])), (0.0, 0.0));
    }
}
