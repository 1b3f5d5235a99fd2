//! What a detector says about a window.

use core::fmt;

/// What a detector says about a window.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// A window's score.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Assessment {
    /// ELBO or log-likelihood, in nats: [`Calibration::score_kind`](crate::Calibration::score_kind). Features that were not observed
    /// count as ordinary ones.
    pub score: f32,
    /// The chance that a normal window scores as low or lower.
    pub p_value: f32,
    /// Features that were not observed.
    pub missing: u32,
}

/// Why an alarm is raised.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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

/// Which sensor is not to be believed, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SensorFault {
    /// The first such channel, in the model's order.
    pub channel: u32,
    /// What is wrong with it.
    pub kind: SensorFaultKind,
}

/// What is wrong with a sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        let what = match self.kind {
            SensorFaultKind::Missing => "gives no values",
            SensorFaultKind::Stuck => "repeats one value",
            SensorFaultKind::Saturated => "stays at an end of its range",
            SensorFaultKind::OutOfRange => "gives values outside its range",
        };
        write!(f, "the sensor of channel {} {what}", self.channel)
    }
}

/// What has moved slowly.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Drift {
    /// Of the window.
    pub assessment: Assessment,
    /// What has moved furthest, relative to its limit.
    pub kind: DriftKind,
}

/// What has moved slowly.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum DriftKind {
    /// The scores: their p-values, ½ on average, come to this.
    Score(f32),
    /// A channel's mean, by so much of the channel's unit.
    Mean {
        /// In the model's order.
        channel: u32,
        /// Its mean less that of the calibration.
        shift: f32,
    },
    /// A channel's power (its mean squared distance from the calibration's mean), by this factor.
    Power {
        /// In the model's order.
        channel: u32,
        /// Its power, in units of the calibration's.
        factor: f32,
    },
}
