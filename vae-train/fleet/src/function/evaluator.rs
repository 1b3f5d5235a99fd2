//! One partition's detector.

use std::{any::Any, ops::Range};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, Float32Array, Float64Array, TimestampNanosecondArray},
        datatypes::DataType,
    },
    common::{Result, ScalarValue, exec_datafusion_err, exec_err, internal_err},
    logical_expr::PartitionEvaluator,
};

use crate::{
    clock::Tick,
    function::{
        NAME, of_ours,
        packed::{Said, nothing},
    },
    judge::{Judge, Judged},
};

/// Judges a partition's rows one after the other, in constant memory.
#[derive(Debug)]
pub(super) struct Evaluator {
    judge: Judge,
    row: Vec<f32>,
    /// Rows so far.
    rows: u64,
}

impl Evaluator {
    pub(super) fn new(judge: Judge, columns: usize) -> Self {
        Self { judge, row: vec![f32::NAN; columns], rows: 0 }
    }
}

impl PartitionEvaluator for Evaluator {
    /// Takes the row at the range's start. `values` are the time and the model's columns.
    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        let Some((times, columns)) = values.split_first() else {
            return internal_err!("{NAME}: no columns");
        };
        let time = seconds(times.as_ref(), range.start)?;
        for (slot, column) in self.row.iter_mut().zip(columns) {
            let Some(column) = (column.as_ref() as &dyn Any).downcast_ref::<Float32Array>() else {
                return internal_err!("{NAME}: a channel is of type {}", column.data_type());
            };
            *slot = if column.is_null(range.start) { f32::NAN } else { column.value(range.start) };
        }
        self.rows += 1;
        let rows = self.rows;
        let judged = self.judge.push(time, &self.row);
        let Judged { tick, verdict, is_raised } = judged
            .map_err(|error| of_ours(error.context(format!("{NAME}: row {rows} of a partition cannot be judged"))))?;
        if let Tick::Backwards { before } = tick {
            return exec_err!(
                "{NAME}: row {rows} of a partition is at {time} s, before the row that it follows, at {before} s: ORDER BY the time, and declare an \
                 order (WITH ORDER) only of files that have it"
            );
        }
        match verdict {
            Some(verdict) => Ok(Said::of(&verdict, is_raised).packed()),
            None => Ok(nothing()),
        }
    }

    // Without these two the engine would hold all rows of all machines in memory.
    fn supports_bounded_execution(&self) -> bool {
        true
    }

    fn is_causal(&self) -> bool {
        true
    }
}

/// A time in seconds; NaN where there is none.
fn seconds(times: &dyn Array, row: usize) -> Result<f64> {
    if times.is_null(row) {
        return Ok(f64::NAN);
    }
    let found = times.data_type();
    let wrong = || exec_datafusion_err!("{NAME}: the time is of type {found}");
    match found {
        DataType::Float64 => Ok((times as &dyn Any).downcast_ref::<Float64Array>().ok_or_else(wrong)?.value(row)),
        _ => {
            let nanoseconds = (times as &dyn Any).downcast_ref::<TimestampNanosecondArray>().ok_or_else(wrong)?;
            Ok(nanoseconds.value(row) as f64 / 1e9)
        }
    }
}
