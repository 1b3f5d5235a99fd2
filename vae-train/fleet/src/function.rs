//! The device's detector as a window function of SQL: `vae('pump.vae', time, x, y, z) OVER (PARTITION BY machine ORDER BY time)`.

mod evaluator;
mod packed;
mod planner;
pub mod verdicts;

use std::{path::PathBuf, sync::Arc};

use datafusion::{
    arrow::datatypes::{DataType, Field, FieldRef, TimeUnit},
    common::{DataFusionError, Result, ScalarValue, exec_err, plan_err},
    execution::FunctionRegistry,
    logical_expr::{
        PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
        function::{ExpressionArgs, PartitionEvaluatorArgs, WindowUDFFieldArgs},
    },
    physical_expr::{PhysicalExpr, expressions::Literal},
    prelude::SessionContext,
};
use vae_core::Alarms;

use crate::{
    function::{evaluator::Evaluator, packed::PACKED, planner::Planner, verdicts::unpack},
    judge::Judge,
    model,
    words::rates::parse_alarms,
};

/// Its name in SQL.
pub const NAME: &str = "vae";

/// Makes a session know the function.
///
/// # Errors
/// If the session takes no functions.
pub fn register(context: &mut SessionContext) -> Result<()> {
    context.register_udwf(Arc::new(vae()))?;
    context.register_udf(Arc::new(unpack()))?;
    context.register_expr_planner(Arc::new(Planner::new()))
}

/// The window function, which gives packed verdicts: for whoever runs plans and does not make them, together with [`verdicts::unpack`].
#[must_use]
pub fn vae() -> WindowUDF {
    WindowUDF::from(Vae { signature: Signature::user_defined(Volatility::Stable) })
}

/// `vae(model, [alarms,] time, channel, …, condition, …)`: null but for rows that complete a window.
///
/// `model` and `alarms` (`'1/week'`) are literals. `time` is a timestamp, a date, or a number of seconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Vae {
    signature: Signature,
}

impl WindowUDFImpl for Vae {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Time as nanoseconds or seconds, channels as the device has them; 64-bit numbers are rounded to the nearest.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let literals = literals(types.iter());
        if literals == 0 || types.len() < literals + 2 {
            return plan_err!("{USAGE}");
        }
        let coerced = types.iter().enumerate().map(|(index, found)| match index.cmp(&literals) {
            std::cmp::Ordering::Less => Ok(found.clone()),
            std::cmp::Ordering::Equal => time(found),
            std::cmp::Ordering::Greater => channel(index - literals, found),
        });
        coerced.collect()
    }

    fn field(&self, arguments: WindowUDFFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(arguments.name(), PACKED, true)))
    }

    /// Without the literals: they would be made into a column of copies for each batch.
    fn expressions(&self, arguments: ExpressionArgs<'_>) -> Vec<Arc<dyn PhysicalExpr>> {
        let literals = literals(arguments.input_fields().iter().map(|field| field.data_type()));
        arguments.input_exprs().iter().skip(literals).cloned().collect()
    }

    fn partition_evaluator(&self, arguments: PartitionEvaluatorArgs<'_>) -> Result<Box<dyn PartitionEvaluator>> {
        let types = || arguments.input_fields().iter().map(|field| field.data_type());
        let literals = literals(types());
        let Some(path) = arguments.input_exprs().first().and_then(text) else {
            return plan_err!(
                "{NAME}: the model is to be the name of a file in quotes, as in {NAME}('pump.vae', time, x, y, z)"
            );
        };
        let alarms = match arguments.input_exprs().get(1).filter(|_| literals == 2) {
            Some(alarms) => Some(rate(alarms)?),
            None => None,
        };
        let model = model::open(&PathBuf::from(path)).map_err(of_ours)?;
        let (found, needed) = (types().count().saturating_sub(literals + 1), model.columns().count());
        if found != needed {
            let columns = model.columns().collect::<Vec<_>>().join(", ");
            return plan_err!(
                "{NAME}: {} takes {needed} columns behind the time ({columns}), and there are {found}",
                model.path().display()
            );
        }
        let judge = Judge::new(model, alarms).map_err(of_ours)?;
        Ok(Box::new(Evaluator::new(judge, needed)))
    }
}

const USAGE: &str = "vae takes a model's file in quotes, perhaps a rate of alarms in quotes, the time, and the model's channels: \
                     vae('pump.vae', time, x, y, z) OVER (PARTITION BY machine ORDER BY time)";

/// An error of this crate, with its causes, as one of the engine's.
pub(crate) fn of_ours(error: anyhow::Error) -> DataFusionError {
    DataFusionError::External(format!("{error:#}").into())
}

/// Leading arguments that are texts: the model, and perhaps a rate of alarms.
fn literals<'t>(types: impl Iterator<Item = &'t DataType>) -> usize {
    types.take(2).take_while(|found| found.is_string()).count()
}

fn time(found: &DataType) -> Result<DataType> {
    match found {
        DataType::Timestamp(_, zone) => Ok(DataType::Timestamp(TimeUnit::Nanosecond, zone.clone())),
        DataType::Date32 | DataType::Date64 => Ok(DataType::Timestamp(TimeUnit::Nanosecond, None)),
        number if number.is_numeric() => Ok(DataType::Float64),
        other => plan_err!("{NAME}: the time is of type {other}: give a timestamp, or a number of seconds"),
    }
}

fn channel(index: usize, found: &DataType) -> Result<DataType> {
    match found {
        number if number.is_numeric() || matches!(number, DataType::Boolean | DataType::Null) => Ok(DataType::Float32),
        other => plan_err!("{NAME}: column {index} behind the time is of type {other}: a model takes numbers"),
    }
}

/// The text of a literal.
fn text(expression: &Arc<dyn PhysicalExpr>) -> Option<&str> {
    let literal = expression.downcast_ref::<Literal>()?;
    match literal.value() {
        ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => text.as_deref(),
        _ => None,
    }
}

fn rate(expression: &Arc<dyn PhysicalExpr>) -> Result<Alarms> {
    match text(expression) {
        Some(text) => parse_alarms(text).map_err(of_ours),
        None => exec_err!("{NAME}: the rate of alarms is to be a text in quotes, as in '1/week'"),
    }
}
