//! A machine's rows as a table that `vae-train` reads.

use std::{io::Write, ops::Range};

use anyhow::{Context, Result};
use futures::StreamExt;
use tokio::runtime::Runtime;

use datafusion::execution::context::SessionState;

use crate::{
    fit::census::Member,
    history::{
        order::{Select, rows},
        rows::Rows,
        scan::Wanted,
    },
    words::output::Csv,
};

/// The columns of machine and time in such a table.
pub const MACHINE: &str = "machine";
/// The time, in seconds.
pub const TIME: &str = "time";

/// Writes the header of a table: machine, time, and the history's columns.
///
/// # Errors
/// If it cannot be written.
pub fn begin<W: Write>(wanted: &Wanted, out: W) -> Result<Csv<W>> {
    Csv::under([MACHINE, TIME].into_iter().chain(wanted.columns.iter().map(String::as_str)), out)
}

/// Writes the rows of a machine whose places in the order of time are in this range, missing values as empty fields.
///
/// # Errors
/// If they cannot be read or written.
pub fn write_rows<W: Write>(
    (runtime, state): (&Runtime, &SessionState),
    wanted: &Wanted,
    member: &Member,
    range: Range<u64>,
    out: &mut Csv<W>,
) -> Result<()> {
    let select = Select { order: member.order, machine: wanted.by.is_some().then_some(&*member.name) };
    let mut stream = runtime.block_on(rows(state, &member.scans, wanted, select))?;
    let mut values = vec![f32::NAN; wanted.columns.len()];
    let mut place = 0;
    while let Some(batch) = runtime.block_on(stream.next()) {
        let batch = batch.with_context(|| format!("machine {}", member.name))?;
        let rows = Rows::of(&batch, wanted)?;
        for row in 0..batch.num_rows() {
            if range.contains(&place) {
                write_row(&rows, row, (&*member.name, &mut values[..]), out)?;
            }
            place += 1;
        }
        if place >= range.end {
            break;
        }
    }
    Ok(())
}

/// Writes a row of a machine by way of `values`, which has a place for each column.
///
/// # Errors
/// If it cannot be written.
pub fn write_row<W: Write>(
    rows: &Rows<'_>,
    row: usize,
    (machine, values): (&str, &mut [f32]),
    out: &mut Csv<W>,
) -> Result<()> {
    let text = |value: f64, digits: &dyn ToString| if value.is_nan() { String::new() } else { digits.to_string() };
    rows.read(row, values);
    let time = rows.time(row);
    let numbers = values.iter().map(|value| text(f64::from(*value), value));
    out.write_record([machine.to_owned(), text(time, &time)].into_iter().chain(numbers))
}
