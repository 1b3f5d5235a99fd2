//! How a channel behaves in normal data.

/// `f32`s of the calibration for each channel.
pub(crate) const CHANNEL_CONSTANTS: usize = 13;

/// An average moves by at most so many standard deviations in a memory.
pub const REACH: f32 = 1.25;

/// How a channel behaves in normal data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelCalibration {
    /// Least and largest value that the sensor can give, in the channel's unit.
    pub range: (f32, f32),
    /// Most successive samples of the same value.
    pub longest_run: f32,
    /// Most successive samples that were not observed.
    pub longest_gap: f32,
    /// Nats that its features cost in an ordinary window: half their squared distance from the reconstruction, in variances.
    pub nats: f32,
    /// Mean, in the channel's unit.
    pub mean: f32,
    /// Mean square of the distance from `mean`.
    pub power: f32,
    /// Of a hop's mean, less `mean`, in the channel's unit.
    pub level: Location,
    /// Of a hop's mean square of the distance from `mean`, in units of `power`.
    pub strength: Location,
}

/// Where a statistic of a hop ordinarily lies, by a robust average that takes a memory to follow a change.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Location {
    /// The average over the recording.
    pub centre: f32,
    /// Standard deviation of a single hop's.
    pub spread: f32,
    /// How far from `centre` the average may be.
    pub limit: f32,
}

impl Location {
    /// Of a statistic of which nothing is known: nothing of it is out of the ordinary.
    pub const UNKNOWN: Self = Self { centre: 0.0, spread: 0.0, limit: f32::MAX };
}

impl ChannelCalibration {
    /// A channel of which nothing is known: no value, run or mean of it is out of the ordinary.
    pub const UNKNOWN: Self = Self {
        range: (f32::MIN, f32::MAX),
        longest_run: f32::MAX,
        longest_gap: f32::MAX,
        nats: 0.0,
        mean: 0.0,
        power: 1.0,
        level: Location::UNKNOWN,
        strength: Location { centre: 1.0, ..Location::UNKNOWN },
    };

    #[inline(always)] // of which little is used for each sample
    pub(crate) fn new(constants: &[f32; CHANNEL_CONSTANTS]) -> Self {
        let [low, high, longest_run, longest_gap, nats, mean, power, locations @ ..] = *constants;
        let [level, strength] = {
            let [a, b, c, d, e, f] = locations;
            [[a, b, c], [d, e, f]].map(|[centre, spread, limit]| Location { centre, spread, limit })
        };
        Self { range: (low, high), longest_run, longest_gap, nats, mean, power, level, strength }
    }
}
