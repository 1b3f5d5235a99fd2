//! One partition's detector.

use std::ops::Range;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray},
        datatypes::{Float32Type, Float64Type, TimestampNanosecondType},
    },
    common::{Result, ScalarValue, exec_err, internal_err},
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
        let time = seconds(times, range.start)?;
        for (slot, column) in self.row.iter_mut().zip(columns) {
            let Some(column) = column.as_primitive_opt::<Float32Type>() else {
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
fn seconds(times: &ArrayRef, row: usize) -> Result<f64> {
    if times.is_null(row) {
        return Ok(f64::NAN);
    }
    if let Some(seconds) = times.as_primitive_opt::<Float64Type>() {
        return Ok(seconds.value(row));
    }
    match times.as_primitive_opt::<TimestampNanosecondType>() {
        Some(nanoseconds) => Ok(nanoseconds.value(row) as f64 / 1e9),
        None => internal_err!("{NAME}: the time is of type {}", times.data_type()),
    }
}
