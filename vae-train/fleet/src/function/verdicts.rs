//! Verdicts as values of SQL.

use std::sync::{Arc, LazyLock};

use datafusion::{
    arrow::{
        array::{ArrayRef, BooleanArray, Float32Array, StringArray, StructArray},
        datatypes::{DataType, Field, Fields},
    },
    common::{Result, ScalarValue},
};
use vae_core::{Anomaly, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict};

static FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Fields::from(vec![
        field("score", DataType::Float32),
        field("p_value", DataType::Float32),
        field("verdict", DataType::Utf8),
        field("channel", DataType::Utf8),
        field("cause", DataType::Utf8),
        field("alarm", DataType::Boolean),
    ])
});

/// Fields of the struct: `score` in nats and `p_value`, null where a sensor failed; `verdict`, as [`verdict`] names it; the `channel` to blame
/// and the `cause`, null where there are none; `alarm`, whether it is on.
#[must_use]
pub fn fields() -> Fields {
    FIELDS.clone()
}

/// `normal`, `anomalous`, `sensor fault` or `drifting`.
#[must_use]
pub const fn verdict(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Normal(_) => "normal",
        Verdict::Anomalous(_) => "anomalous",
        Verdict::SensorFault(_) => "sensor fault",
        Verdict::Drifting(_) => "drifting",
    }
}

/// What is wrong, where the verdict says: `missing`, `stuck`, `saturated` or `out of range` of a sensor; `scores`, `spread of scores`, `mean` or
/// `power` of a drift.
#[must_use]
pub const fn cause(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Normal(_) | Verdict::Anomalous(_) => None,
        Verdict::SensorFault(SensorFault { kind, .. }) => Some(match kind {
            SensorFaultKind::Missing => "missing",
            SensorFaultKind::Stuck => "stuck",
            SensorFaultKind::Saturated => "saturated",
            SensorFaultKind::OutOfRange => "out of range",
        }),
        Verdict::Drifting(Drift { kind, .. }) => Some(match kind {
            DriftKind::Score(_) => "scores",
            DriftKind::Spread(_) => "spread of scores",
            DriftKind::Mean { .. } => "mean",
            DriftKind::Power { .. } => "power",
        }),
    }
}

/// The channel to blame, by its place in the model.
#[must_use]
pub const fn channel(verdict: &Verdict) -> Option<usize> {
    match verdict {
        Verdict::Anomalous(Anomaly { channel, .. })
        | Verdict::SensorFault(SensorFault { channel, .. })
        | Verdict::Drifting(Drift {
            kind: DriftKind::Mean { channel, .. } | DriftKind::Power { channel, .. }, ..
        }) => Some(*channel as usize),
        Verdict::Normal(_) | Verdict::Drifting(_) => None,
    }
}

/// The struct of a verdict.
pub(super) fn value(judged: &Verdict, is_raised: bool, channels: &[String]) -> Result<ScalarValue> {
    let assessment = judged.assessment();
    let text = |text: Option<&str>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let number = |value: Option<f32>| Arc::new(Float32Array::from(vec![value])) as ArrayRef;
    let columns = vec![
        number(assessment.map(|assessment| assessment.score)),
        number(assessment.map(|assessment| assessment.p_value)),
        text(Some(verdict(judged))),
        text(channel(judged).and_then(|channel| channels.get(channel)).map(String::as_str)),
        text(cause(judged)),
        Arc::new(BooleanArray::from(vec![is_raised])),
    ];
    Ok(ScalarValue::Struct(Arc::new(StructArray::try_new(fields(), columns, None)?)))
}

/// The struct of a row that completes no window.
pub(super) fn nothing() -> ScalarValue {
    ScalarValue::Struct(Arc::new(StructArray::new_null(fields(), 1)))
}
