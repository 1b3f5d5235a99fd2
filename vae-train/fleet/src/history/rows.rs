//! A batch of rows, and the runs in it that are of one machine.

use std::ops::Range;

use anyhow::{Context, Result};
use datafusion::arrow::{
    array::{Array, Float32Array, Float64Array, RecordBatch, StringArray},
    compute::partition,
};

use crate::history::scan::Wanted;

/// A batch as a scan gives it.
#[derive(Debug)]
pub struct Rows<'b> {
    machines: Option<&'b StringArray>,
    times: &'b Float64Array,
    columns: Vec<&'b Float32Array>,
    batch: &'b RecordBatch,
}

impl<'b> Rows<'b> {
    /// Views a batch.
    ///
    /// # Errors
    /// If it is of other types than a scan gives: a defect of this program.
    pub fn of(batch: &'b RecordBatch, wanted: &Wanted) -> Result<Self> {
        let is_named = usize::from(wanted.by.is_some());
        let machines = match is_named {
            1 => Some(column::<StringArray>(batch, 0)?),
            _ => None,
        };
        let times = column::<Float64Array>(batch, is_named)?;
        let columns = (is_named + 1..batch.num_columns()).map(|index| column::<Float32Array>(batch, index));
        Ok(Self { machines, times, columns: columns.collect::<Result<_>>()?, batch })
    }

    /// Rows that follow each other and are of one machine, and its name; none where the batch does not say. A row whose machine is null is nobody's.
    ///
    /// # Errors
    /// If the engine cannot compare them.
    pub fn runs(&self) -> Result<Vec<(Option<&'b str>, Range<usize>)>> {
        let Some(machines) = self.machines else { return Ok(vec![(None, 0..self.batch.num_rows())]) };
        let runs = partition(&self.batch.columns()[..1])?.ranges();
        let named = runs.into_iter().filter(|run| !machines.is_null(run.start));
        Ok(named.map(|run| (Some(machines.value(run.start)), run)).collect())
    }

    /// A row's time in seconds, NaN where it is missing.
    #[must_use]
    pub fn time(&self, row: usize) -> f64 {
        if self.times.is_null(row) { f64::NAN } else { self.times.value(row) }
    }

    /// Copies a row's values, NaN where one is missing.
    pub fn read(&self, row: usize, into: &mut [f32]) {
        for (slot, column) in into.iter_mut().zip(&self.columns) {
            *slot = if column.is_null(row) { f32::NAN } else { column.value(row) };
        }
    }
}

fn column<T: Array + 'static>(batch: &RecordBatch, index: usize) -> Result<&T> {
    let found = batch.columns().get(index).and_then(|column| column.as_any().downcast_ref::<T>());
    found.with_context(|| format!("column {index} of a scan is of another type than was asked for: {}", batch.schema()))
}
