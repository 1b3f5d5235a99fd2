//! What a detector says about a window.

use core::fmt;

/// What a detector says about a window.
///
/// `Display` and `defmt::Format` print the line that `vae-train watch` reads, defmt with all digits:
///
/// ```text
/// normal        412.345 nats, p = 0.226
/// drifting      409.100 nats, p = 0.412, 2 missing, mean of channel 1 off by -7.42e-2
/// SENSOR FAULT  the sensor of channel 0 repeats one value
/// ANOMALOUS     114.554 nats, p = 7.1e-17, channel 1 costs 211.4, feature 40 costs 33.0
/// ```
///
/// Other drifts are `power of channel 1 times 1.203`, `scores lower by 12.345 nats` and `spread of scores times 1.412`. Before it may stand a time and what else the firmware likes,
/// as in `12.00 s  normal …`; the level that scores are compared with is printed as `threshold 371.200 nats`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// No alarm. The window by itself may still be unlikely: one vote of several.
    Normal(Assessment),
    /// The alarm is raised: the machine behaves unlike itself.
    Anomalous(Anomaly),
    /// A sensor of the window is not to be believed; the window was not judged.
    SensorFault(SensorFault),
    /// No alarm, but the inputs or their scores have moved slowly away from what they were in the calibration.
    Drifting(Drift),
}

impl Verdict {
    /// The score and its p-value; none where a sensor failed.
    #[must_use]
    pub fn assessment(&self) -> Option<Assessment> {
        match self {
            Self::Normal(assessment)
            | Self::Anomalous(Anomaly { assessment, .. })
            | Self::Drifting(Drift { assessment, .. }) => Some(*assessment),
            Self::SensorFault(_) => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Normal(assessment) => write!(f, "normal        {assessment}"),
            Self::Anomalous(anomaly) => write!(f, "ANOMALOUS     {anomaly}"),
            Self::SensorFault(fault) => write!(f, "SENSOR FAULT  {fault}"),
            Self::Drifting(drift) => write!(f, "drifting      {drift}"),
        }
    }
}

/// A window's score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assessment {
    /// ELBO or log-likelihood, in nats: [`Calibration::score_kind`](crate::Calibration::score_kind). Features that were not observed
    /// count as ordinary ones.
    pub score: f32,
    /// The chance that a normal window scores as low or lower.
    pub p_value: f32,
    /// Features that were not observed.
    pub missing: u32,
}

impl fmt::Display for Assessment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { score, p_value, missing } = self;
        write!(f, "{score:.3} nats, p = ")?;
        if *p_value < 1e-3 {
            write!(f, "{p_value:.1e}")?
        } else {
            write!(f, "{p_value:.3}")?
        }
        if *missing > 0 { write!(f, ", {missing} missing") } else { Ok(()) }
    }
}

/// Why an alarm is raised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anomaly {
    /// Of the window.
    pub assessment: Assessment,
    /// The channel that is most to blame, in the model's order.
    pub channel: u32,
    /// The nats that its features cost above those of an ordinary window.
    pub channel_nats: f32,
    /// The feature that costs most.
    pub feature: u32,
    /// The nats that it costs; about ½ for an ordinary one.
    pub feature_nats: f32,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { assessment, channel, channel_nats, feature, feature_nats } = self;
        write!(f, "{assessment}, channel {channel} costs {channel_nats:.1}, feature {feature} costs {feature_nats:.1}")
    }
}

/// Which sensor is not to be believed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorFault {
    /// The first such channel, in the model's order.
    pub channel: u32,
    /// What is wrong with it.
    pub kind: SensorFaultKind,
}

/// What is wrong with a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SensorFaultKind {
    /// It gave no value (NaN) for longer than it did in normal data.
    Missing,
    /// It repeats one value for longer than it did in normal data.
    Stuck,
    /// It stays at an end of its range.
    Saturated,
    /// It gave a value outside its range, or an infinite one.
    OutOfRange,
}

impl fmt::Display for SensorFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sensor of channel {} {}", self.channel, self.kind)
    }
}

impl fmt::Display for SensorFaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "gives no values",
            Self::Stuck => "repeats one value",
            Self::Saturated => "stays at an end of its range",
            Self::OutOfRange => "gives values outside its range",
        })
    }
}

/// What has moved slowly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// Of the window.
    pub assessment: Assessment,
    /// What has moved furthest, relative to its limit.
    pub kind: DriftKind,
}

/// What has moved slowly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DriftKind {
    /// The scores: they are lower by so many nats.
    Score(f32),
    /// The spread of the scores, by this factor.
    Spread(f32),
    /// A channel's mean, by so much of the channel's unit.
    Mean {
        /// In the model's order.
        channel: u32,
        /// Its mean less that of the baseline, which is the calibration's until a new one is made.
        shift: f32,
    },
    /// A channel's power (its mean squared distance from the baseline's mean), by this factor.
    Power {
        /// In the model's order.
        channel: u32,
        /// Its power, in units of the baseline's.
        factor: f32,
    },
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.assessment, self.kind)
    }
}

impl fmt::Display for DriftKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Score(shift) => write!(f, "scores lower by {shift:.3} nats"),
            Self::Spread(factor) => write!(f, "spread of scores times {factor:.3}"),
            Self::Mean { channel, shift } => write!(f, "mean of channel {channel} off by {shift:.2e}"),
            Self::Power { channel, factor } => write!(f, "power of channel {channel} times {factor:.3}"),
        }
    }
}

/// The lines of `Display`, of which the device sends the numbers alone.
#[cfg(feature = "defmt")]
mod with_defmt {
    use defmt::{Format, Formatter, write};

    use crate::detector::verdict::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict};

    impl Format for Verdict {
        fn format(&self, f: Formatter<'_>) {
            match self {
                Self::Normal(assessment) => write!(f, "normal        {}", assessment),
                Self::Anomalous(anomaly) => write!(f, "ANOMALOUS     {}", anomaly),
                Self::SensorFault(fault) => write!(f, "SENSOR FAULT  {}", fault),
                Self::Drifting(drift) => write!(f, "drifting      {}", drift),
            }
        }
    }

    impl Format for Assessment {
        fn format(&self, f: Formatter<'_>) {
            let Self { score, p_value, missing } = *self;
            match missing {
                0 => write!(f, "{=f32} nats, p = {=f32}", score, p_value),
                _ => write!(f, "{=f32} nats, p = {=f32}, {=u32} missing", score, p_value, missing),
            }
        }
    }

    impl Format for Anomaly {
        fn format(&self, f: Formatter<'_>) {
            let Self { assessment, channel, channel_nats, feature, feature_nats } = *self;
            write!(
                f,
                "{}, channel {=u32} costs {=f32}, feature {=u32} costs {=f32}",
                assessment, channel, channel_nats, feature, feature_nats
            );
        }
    }

    impl Format for SensorFault {
        fn format(&self, f: Formatter<'_>) {
            write!(f, "the sensor of channel {=u32} {}", self.channel, self.kind);
        }
    }

    impl Format for SensorFaultKind {
        fn format(&self, f: Formatter<'_>) {
            match self {
                Self::Missing => write!(f, "gives no values"),
                Self::Stuck => write!(f, "repeats one value"),
                Self::Saturated => write!(f, "stays at an end of its range"),
                Self::OutOfRange => write!(f, "gives values outside its range"),
            }
        }
    }

    impl Format for Drift {
        fn format(&self, f: Formatter<'_>) {
            write!(f, "{}, {}", self.assessment, self.kind);
        }
    }

    impl Format for DriftKind {
        fn format(&self, f: Formatter<'_>) {
            match *self {
                Self::Score(shift) => write!(f, "scores lower by {=f32} nats", shift),
                Self::Spread(factor) => write!(f, "spread of scores times {=f32}", factor),
                Self::Mean { channel, shift } => write!(f, "mean of channel {=u32} off by {=f32}", channel, shift),
                Self::Power { channel, factor } => write!(f, "power of channel {=u32} times {=f32}", channel, factor),
            }
        }
    }
}
