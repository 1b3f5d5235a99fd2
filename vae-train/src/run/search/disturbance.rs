//! What normal data are changed by, so that a search without labels has something to find: a fixed family of small changes.

use std::f64::consts::TAU;

use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

/// A change of a stretch of rows. Deviations are those of a channel in the data that are trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Disturbance {
    /// One channel's level moves by so many deviations.
    Level(f32),
    /// One channel's values are so many times as far from their mean.
    Scale(f32),
    /// All channels' values are.
    ScaleOfAll(f32),
    /// One channel has noise of so many deviations on top.
    Noise(f32),
    /// One channel has a sine of this amplitude, in deviations, and of five rows a period on top.
    Tone(f32),
    /// One channel repeats its first value.
    Stuck,
    /// One channel is that of another time.
    Foreign,
    /// One channel is so many rows late.
    Late(usize),
    /// Time goes so many times as fast.
    Faster(f32),
    /// Each value is the mean of three.
    Smooth,
    /// Time goes backwards.
    Reversed,
}

/// What a disturbance is like, for those that count: each kind counts the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A level moves.
    Level,
    /// Channels do not belong together.
    Relation,
    /// There is more of something.
    More,
}

/// The family. Those without a kind do not count: what makes data quieter is more likely to any density of samples, a channel that repeats
/// its value is found by the detector itself, and data at another speed are told best by what tells little else. A study of the measure has
/// tried them.
pub const FAMILY: [(&str, Disturbance, Option<Kind>); 16] = [
    ("level +0.5", Disturbance::Level(0.5), Some(Kind::Level)),
    ("level -1", Disturbance::Level(-1.0), Some(Kind::Level)),
    ("foreign", Disturbance::Foreign, Some(Kind::Relation)),
    ("late", Disturbance::Late(4), Some(Kind::Relation)),
    ("scale 1.4", Disturbance::Scale(1.4), Some(Kind::More)),
    ("all 1.2", Disturbance::ScaleOfAll(1.2), Some(Kind::More)),
    ("noise 0.3", Disturbance::Noise(0.3), Some(Kind::More)),
    ("noise 0.7", Disturbance::Noise(0.7), Some(Kind::More)),
    ("tone 0.5", Disturbance::Tone(0.5), Some(Kind::More)),
    ("scale 0.7", Disturbance::Scale(0.7), None),
    ("all 0.85", Disturbance::ScaleOfAll(0.85), None),
    ("stuck", Disturbance::Stuck, None),
    ("faster", Disturbance::Faster(1.15), None),
    ("slower", Disturbance::Faster(0.87), None),
    ("smooth", Disturbance::Smooth, None),
    ("reversed", Disturbance::Reversed, None),
];

/// The measure of a setting: of the chances that a disturbed stretch scores stranger than another, the mean over the kinds that count of the mean
/// over the disturbances of a kind. A chance below one half counts as one half: it tells nothing.
#[must_use]
pub fn measure(aurocs: &[(&str, f64)]) -> f64 {
    let of_kind = |kind: Kind| {
        let is_of_kind = |name: &str| FAMILY.iter().any(|(known, _, of)| *known == name && *of == Some(kind));
        let found: Vec<f64> =
            aurocs.iter().filter(|(name, _)| is_of_kind(name)).map(|(_, auroc)| auroc.max(0.5)).collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    };
    let kinds: Vec<f64> = [Kind::Level, Kind::Relation, Kind::More].into_iter().filter_map(of_kind).collect();
    kinds.iter().sum::<f64>() / kinds.len().max(1) as f64
}

/// A stretch of rows: the channels, then the conditions, which no change touches.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Row after row.
    pub values: Vec<f32>,
    /// Values in a row.
    pub width: usize,
    /// Channels among them.
    pub channels: usize,
}

impl Stretch {
    fn rows(&self) -> usize {
        self.values.len() / self.width
    }

    fn column(&self, channel: usize) -> Vec<f32> {
        self.values.iter().skip(channel).step_by(self.width).copied().collect()
    }

    fn set(&mut self, channel: usize, column: impl IntoIterator<Item = f32>) {
        let places = self.values.iter_mut().skip(channel).step_by(self.width);
        places.zip(column).for_each(|(place, value)| *place = value);
    }
}

impl Disturbance {
    /// Whether it changes anything of a stretch of so many channels and rows.
    #[must_use]
    pub fn applies(self, channels: usize, rows: usize) -> bool {
        let is_of_several = matches!(self, Self::Foreign | Self::Late(_));
        let is_still_in_a_row = matches!(
            self,
            Self::Scale(_)
                | Self::ScaleOfAll(_)
                | Self::Tone(_)
                | Self::Stuck
                | Self::Late(_)
                | Self::Faster(_)
                | Self::Smooth
                | Self::Reversed
        );
        (channels > 1 || !is_of_several) && (rows > 1 || !is_still_in_a_row)
    }

    /// So many times as large a change; `None` where it has no size.
    #[must_use]
    pub fn times(self, by: f32) -> Option<Self> {
        match self {
            Self::Level(size) => Some(Self::Level(by * size)),
            Self::Scale(factor) => Some(Self::Scale(1.0 + by * (factor - 1.0))),
            Self::ScaleOfAll(factor) => Some(Self::ScaleOfAll(1.0 + by * (factor - 1.0))),
            Self::Noise(size) => Some(Self::Noise(by * size)),
            Self::Tone(size) => Some(Self::Tone(by * size)),
            _ => None,
        }
    }

    /// The stretch with this change, of one `channel` where it is of one. `other` is another stretch, and `deviations` are the channels'.
    #[must_use]
    pub fn of(
        self,
        stretch: &Stretch,
        channel: usize,
        other: &Stretch,
        deviations: &[f32],
        rng: &mut ChaCha8Rng,
    ) -> Stretch {
        let mut changed = stretch.clone();
        let (own, deviation) = (stretch.column(channel), deviations.get(channel).copied().unwrap_or(1.0));
        match self {
            Self::Level(by) => changed.set(channel, own.iter().map(|x| x + by * deviation)),
            Self::Scale(by) => changed.set(channel, scaled(&own, by)),
            Self::ScaleOfAll(by) => {
                (0..stretch.channels).for_each(|channel| changed.set(channel, scaled(&stretch.column(channel), by)));
            }
            Self::Noise(by) => changed.set(channel, own.iter().map(|x| x + by * deviation * standard_normal(rng))),
            Self::Tone(by) => {
                let sine = |row: usize| libm::sin(TAU * row as f64 / 5.0) as f32;
                changed.set(channel, own.iter().enumerate().map(|(row, x)| x + by * deviation * sine(row)));
            }
            Self::Stuck => changed.set(channel, own.iter().map(|_| own[0])),
            Self::Foreign => changed.set(channel, other.column(channel)),
            Self::Late(rows) => {
                let late = (0..own.len()).map(|row| own[row.saturating_sub(rows)]);
                changed.set(channel, late.collect::<Vec<_>>());
            }
            Self::Faster(by) => {
                (0..stretch.channels).for_each(|channel| changed.set(channel, resampled(&stretch.column(channel), by)));
            }
            Self::Smooth => {
                (0..stretch.channels).for_each(|channel| changed.set(channel, smoothed(&stretch.column(channel))));
            }
            Self::Reversed => {
                for channel in 0..stretch.channels {
                    changed.set(channel, stretch.column(channel).into_iter().rev());
                }
            }
        }
        debug_assert_eq!(changed.rows(), stretch.rows());
        changed
    }
}

fn scaled(values: &[f32], by: f32) -> Vec<f32> {
    let present: Vec<f32> = values.iter().copied().filter(|x| !x.is_nan()).collect();
    let mean = present.iter().sum::<f32>() / present.len().max(1) as f32;
    values.iter().map(|x| mean + by * (x - mean)).collect()
}

/// The values at times that lie `by` rows apart, linearly interpolated; forth and back where they do not suffice.
fn resampled(values: &[f32], by: f32) -> Vec<f32> {
    let last = values.len() - 1;
    let at = |row: usize| {
        let place = row % (2 * last.max(1));
        values[if place > last { 2 * last - place } else { place }]
    };
    let value = |row: usize| {
        let time = row as f32 * by;
        let (before, share) = (time.floor() as usize, time.fract());
        at(before) + (at(before + 1) - at(before)) * share
    };
    (0..values.len()).map(value).collect()
}

fn smoothed(values: &[f32]) -> Vec<f32> {
    let at = |row: usize| values[row.min(values.len() - 1)];
    (0..values.len()).map(|row| (at(row.saturating_sub(1)) + at(row) + at(row + 1)) / 3.0).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// Two channels and a condition.
    fn stretch(first: &[f32], second: &[f32]) -> Stretch {
        let values = first.iter().zip(second).flat_map(|(a, b)| [*a, *b, 7.0]).collect();
        Stretch { values, width: 3, channels: 2 }
    }

    fn changed(disturbance: Disturbance) -> [Vec<f32>; 2] {
        let own = stretch(&[1.0, 2.0, 3.0, 6.0], &[0.0, 1.0, 0.0, -1.0]);
        let other = stretch(&[9.0, 8.0, 7.0, 6.0], &[5.0; 4]);
        let found = disturbance.of(&own, 0, &other, &[2.0, 1.0], &mut ChaCha8Rng::seed_from_u64(1));
        assert_eq!(found.column(2), [7.0; 4], "a condition stays");
        [found.column(0), found.column(1)]
    }

    #[test]
    fn each_kind_counts_the_same_and_what_tells_nothing_is_one_half() {
        let found = [("level +0.5", 0.8), ("level -1", 1.0), ("late", 0.3), ("noise 0.3", 0.7), ("stuck", 1.0)];
        assert!((measure(&found) - (0.9 + 0.5 + 0.7) / 3.0).abs() < 1e-12);
        // Of one channel nothing can be said of relations.
        assert!((measure(&found[..2]) - 0.9).abs() < 1e-12);
    }

    #[test]
    fn each_change_is_what_it_says() {
        let second = vec![0.0, 1.0, 0.0, -1.0];
        assert_eq!(changed(Disturbance::Level(0.5)), [vec![2.0, 3.0, 4.0, 7.0], second.clone()]);
        assert_eq!(changed(Disturbance::Scale(2.0)), [vec![-1.0, 1.0, 3.0, 9.0], second.clone()]);
        assert_eq!(changed(Disturbance::ScaleOfAll(2.0))[1], [0.0, 2.0, 0.0, -2.0]);
        assert_eq!(changed(Disturbance::Stuck), [vec![1.0; 4], second.clone()]);
        assert_eq!(changed(Disturbance::Foreign), [vec![9.0, 8.0, 7.0, 6.0], second.clone()]);
        assert_eq!(changed(Disturbance::Late(1)), [vec![1.0, 1.0, 2.0, 3.0], second]);
        assert_eq!(changed(Disturbance::Reversed), [vec![6.0, 3.0, 2.0, 1.0], vec![-1.0, 0.0, 1.0, 0.0]]);
        assert_eq!(changed(Disturbance::Faster(0.5)), [vec![1.0, 1.5, 2.0, 2.5], vec![0.0, 0.5, 1.0, 0.5]]);
        assert_eq!(changed(Disturbance::Faster(2.0))[0], [1.0, 3.0, 3.0, 1.0]);
        assert_eq!(changed(Disturbance::Smooth)[0], [4.0 / 3.0, 2.0, 11.0 / 3.0, 5.0]);
        assert!(!Disturbance::Foreign.applies(1, 4) && Disturbance::Stuck.applies(1, 4));
    }

    #[test]
    fn what_is_said_to_change_a_single_row_does_and_the_rest_leaves_it() {
        let own = Stretch { values: vec![1.0, 2.0], width: 2, channels: 2 };
        let other = Stretch { values: vec![3.0, 4.0], width: 2, channels: 2 };
        for (name, disturbance, _) in FAMILY.into_iter().filter(|(_, _, kind)| kind.is_some()) {
            let found = disturbance.of(&own, 0, &other, &[2.0, 1.0], &mut ChaCha8Rng::seed_from_u64(1));
            assert_eq!(found.values != own.values, disturbance.applies(2, 1), "{name}");
        }
    }

    #[test]
    fn a_change_twice_as_large_is_off_by_twice_as_much() {
        assert_eq!(Disturbance::Level(-1.0).times(2.0), Some(Disturbance::Level(-2.0)));
        assert_eq!(Disturbance::Scale(1.5).times(2.0), Some(Disturbance::Scale(2.0)));
        assert_eq!(Disturbance::Foreign.times(2.0), None);
    }
}
