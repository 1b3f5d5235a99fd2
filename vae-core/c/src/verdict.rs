//! What a detector says, for C.

use vae_core::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict};

/// What a detector says about a window.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum vae_kind {
    /// No window is complete, or a new baseline is being made.
    VAE_NONE = 0,
    /// Of vae_detector_step alone: there is more to do for the window.
    VAE_PENDING = 1,
    /// No alarm. The window by itself may still be unlikely: one vote of several.
    VAE_NORMAL = 2,
    /// The alarm is raised: the machine behaves unlike itself.
    VAE_ANOMALOUS = 3,
    /// A sensor of the window is not to be believed; the window was not judged.
    VAE_SENSOR_FAULT = 4,
    /// No alarm, but the inputs or their scores have moved slowly away from what they were in the calibration.
    VAE_DRIFTING = 5,
}

/// What is wrong with a sensor.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum vae_sensor_fault {
    /// Nothing.
    VAE_NO_FAULT = 0,
    /// It gave no value (NaN) for longer than it did in normal data.
    VAE_MISSING = 1,
    /// It repeats one value for longer than it did in normal data.
    VAE_STUCK = 2,
    /// It stays at an end of its range.
    VAE_SATURATED = 3,
    /// It gave a value outside its range, or an infinite one.
    VAE_OUT_OF_RANGE = 4,
}

/// What has moved slowly.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum vae_drift {
    /// Nothing.
    VAE_NO_DRIFT = 0,
    /// The scores: drift_value is by how many nats they are lower.
    VAE_DRIFT_SCORE = 1,
    /// The channel's mean: drift_value is by how much, in its unit.
    VAE_DRIFT_MEAN = 2,
    /// The channel's power: drift_value is by which factor.
    VAE_DRIFT_POWER = 3,
    /// The spread of the scores: drift_value is by which factor.
    VAE_DRIFT_SPREAD = 4,
}

/// What a detector says. Fields that the kind does not speak of are 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vae_verdict {
    /// What the fields below mean.
    kind: vae_kind,
    /// VAE_NORMAL, VAE_ANOMALOUS, VAE_DRIFTING: the window's score, in nats.
    score: f32,
    /// VAE_NORMAL, VAE_ANOMALOUS, VAE_DRIFTING: the chance that a normal window scores as low or lower.
    p_value: f32,
    /// VAE_NORMAL, VAE_ANOMALOUS, VAE_DRIFTING: the number of features that were not observed.
    missing: u32,
    /// VAE_ANOMALOUS: the channel that is most to blame. VAE_SENSOR_FAULT: the sensor's. VAE_DRIFT_MEAN, VAE_DRIFT_POWER: what drifts.
    channel: u32,
    /// VAE_ANOMALOUS: the nats that the channel costs above those of an ordinary window.
    channel_nats: f32,
    /// VAE_ANOMALOUS: the feature that costs most.
    feature: u32,
    /// VAE_ANOMALOUS: the nats that it costs; about 1/2 for an ordinary one.
    feature_nats: f32,
    /// VAE_SENSOR_FAULT: what is wrong with the sensor.
    fault: vae_sensor_fault,
    /// VAE_DRIFTING: what has moved.
    drift: vae_drift,
    /// VAE_DRIFTING: how far.
    drift_value: f32,
}

impl vae_verdict {
    fn of(kind: vae_kind) -> Self {
        Self {
            kind,
            score: 0.0,
            p_value: 0.0,
            missing: 0,
            channel: 0,
            channel_nats: 0.0,
            feature: 0,
            feature_nats: 0.0,
            fault: vae_sensor_fault::VAE_NO_FAULT,
            drift: vae_drift::VAE_NO_DRIFT,
            drift_value: 0.0,
        }
    }

    fn scored(kind: vae_kind, assessment: Assessment) -> Self {
        let Assessment { score, p_value, missing } = assessment;
        Self { score, p_value, missing, ..Self::of(kind) }
    }

    pub(crate) fn pending() -> Self {
        Self::of(vae_kind::VAE_PENDING)
    }
}

impl From<Option<Verdict>> for vae_verdict {
    fn from(verdict: Option<Verdict>) -> Self {
        match verdict {
            None => Self::of(vae_kind::VAE_NONE),
            Some(Verdict::Normal(assessment)) => Self::scored(vae_kind::VAE_NORMAL, assessment),
            Some(Verdict::Anomalous(Anomaly { assessment, channel, channel_nats, feature, feature_nats })) => Self {
                channel,
                channel_nats,
                feature,
                feature_nats,
                ..Self::scored(vae_kind::VAE_ANOMALOUS, assessment)
            },
            Some(Verdict::SensorFault(SensorFault { channel, kind })) => {
                let fault = match kind {
                    SensorFaultKind::Missing => vae_sensor_fault::VAE_MISSING,
                    SensorFaultKind::Stuck => vae_sensor_fault::VAE_STUCK,
                    SensorFaultKind::Saturated => vae_sensor_fault::VAE_SATURATED,
                    SensorFaultKind::OutOfRange => vae_sensor_fault::VAE_OUT_OF_RANGE,
                };
                Self { channel, fault, ..Self::of(vae_kind::VAE_SENSOR_FAULT) }
            }
            Some(Verdict::Drifting(Drift { assessment, kind })) => {
                let (drift, channel, drift_value) = match kind {
                    DriftKind::Score(shift) => (vae_drift::VAE_DRIFT_SCORE, 0, shift),
                    DriftKind::Spread(factor) => (vae_drift::VAE_DRIFT_SPREAD, 0, factor),
                    DriftKind::Mean { channel, shift } => (vae_drift::VAE_DRIFT_MEAN, channel, shift),
                    DriftKind::Power { channel, factor } => (vae_drift::VAE_DRIFT_POWER, channel, factor),
                };
                Self { drift, channel, drift_value, ..Self::scored(vae_kind::VAE_DRIFTING, assessment) }
            }
        }
    }
}
