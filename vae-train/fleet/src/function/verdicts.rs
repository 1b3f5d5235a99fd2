//! Verdicts as values of SQL.

use std::{
    path::Path,
    sync::{Arc, LazyLock},
};

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, AsArray, BooleanBuilder, Float32Builder, IntervalMonthDayNanoArray, StringBuilder,
            StructArray,
        },
        buffer::NullBuffer,
        datatypes::{DataType, Field, Fields, IntervalMonthDayNanoType},
    },
    common::{Result, ScalarValue, exec_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use vae_core::{Anomaly, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict};

use crate::{
    function::{
        of_ours,
        packed::{PACKED, Said},
    },
    model,
};

/// The name of the function that makes structs of packed verdicts; queries do not name it.
pub const UNPACK: &str = "vae_verdict";

pub(super) const VERDICTS: [&str; 4] = ["normal", "anomalous", "sensor fault", "drifting"];
pub(super) const CAUSES: [&str; 8] =
    ["missing", "stuck", "saturated", "out of range", "scores", "spread of scores", "mean", "power"];

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

/// Makes structs of what the window function gives: the model's file, in quotes, and the packed verdicts.
#[must_use]
pub fn unpack() -> ScalarUDF {
    ScalarUDF::from(Unpack { signature: Signature::exact(vec![DataType::Utf8, PACKED], Volatility::Stable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Unpack {
    signature: Signature,
}

impl ScalarUDFImpl for Unpack {
    fn name(&self) -> &str {
        UNPACK
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(fields()))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Scalar(ScalarValue::Utf8(Some(path))), packed] = &arguments.args[..] else {
            return exec_err!("{UNPACK} is not for queries: it makes structs of what vae(…) OVER (…) gives");
        };
        let model = model::open(Path::new(path)).map_err(of_ours)?;
        let packed = packed.to_array(arguments.number_rows)?;
        Ok(ColumnarValue::Array(structs(packed.as_primitive::<IntervalMonthDayNanoType>(), model.channels())?))
    }
}

fn structs(packed: &IntervalMonthDayNanoArray, channels: &[String]) -> Result<ArrayRef> {
    let (mut score, mut p_value) = (Float32Builder::new(), Float32Builder::new());
    let (mut verdict, mut channel, mut cause) = (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut alarm = BooleanBuilder::new();
    for row in packed {
        let said = row.map(Said::unpacked);
        let assessment = said.and_then(|said| said.score_and_p_value);
        score.append_option(assessment.map(|(score, _)| score));
        p_value.append_option(assessment.map(|(_, p_value)| p_value));
        verdict.append_option(said.map(|said| said.verdict));
        channel.append_option(said.and_then(|said| channels.get(said.channel?)));
        cause.append_option(said.and_then(|said| said.cause));
        alarm.append_option(said.map(|said| said.is_raised));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(score.finish()),
        Arc::new(p_value.finish()),
        Arc::new(verdict.finish()),
        Arc::new(channel.finish()),
        Arc::new(cause.finish()),
        Arc::new(alarm.finish()),
    ];
    let nulls: Option<NullBuffer> = packed.nulls().cloned();
    Ok(Arc::new(StructArray::try_new(fields(), columns, nulls)?))
}
