//! Rows of many machines that a column names, taken apart in one pass over the history: a table for each of the parts that are wanted.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use datafusion::execution::context::SessionState;
use futures::StreamExt;
use tokio::runtime::Runtime;

use crate::{
    fit::{
        census::Member,
        extract::{begin, write_row},
    },
    history::{
        order::{Order, Select, rows},
        rows::Rows,
        scan::Wanted,
    },
    words::output::Csv,
};

/// Rows of a machine that are to be a table: those whose places in the order of time are in this range.
#[derive(Clone, Debug)]
pub struct Part<'m> {
    /// The machine.
    pub member: &'m Member,
    /// The places.
    pub range: Range<u64>,
    /// The table.
    pub path: PathBuf,
}

/// Appends to a file that is open only meanwhile, for there are more machines than a process may have files open.
#[derive(Debug)]
struct Appended(PathBuf);

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OpenOptions::new().append(true).create(true).open(&self.0)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A table that is being written.
struct Table<'p> {
    part: &'p Part<'p>,
    out: Csv<Appended>,
}

/// Writes all parts' tables, the rows of each in the order of time, and reads the history once; sorted, where one of the machines needs it.
///
/// # Errors
/// If rows cannot be read, or tables not written.
pub fn split((runtime, state): (&Runtime, &SessionState), wanted: &Wanted, parts: &[Part<'_>]) -> Result<()> {
    let Some(first) = parts.first() else { return Ok(()) };
    let mut tables = HashMap::<&str, (u64, Vec<Table<'_>>)>::new();
    for part in parts {
        let out = begin(wanted, Appended(part.path.clone())).with_context(|| cannot_write(&part.path))?;
        tables.entry(part.member.name.as_str()).or_default().1.push(Table { part, out });
    }
    let needs_sorting = parts.iter().any(|part| part.member.order == Order::Sorted);
    let order = if needs_sorting { Order::Sorted } else { Order::AsTheyLie };
    let mut stream = runtime.block_on(rows(state, &first.member.scans, wanted, Select { order, machine: None }))?;
    let mut values = vec![f32::NAN; wanted.columns.len()];
    while let Some(batch) = runtime.block_on(stream.next()) {
        let batch = batch?;
        let rows = Rows::of(&batch, wanted)?;
        for (name, range) in rows.runs()? {
            let Some((place, tables)) = name.and_then(|name| tables.get_mut(name)) else { continue };
            for row in range {
                for table in tables.iter_mut().filter(|table| table.part.range.contains(&*place)) {
                    write_row(&rows, row, (&*table.part.member.name, &mut values[..]), &mut table.out)
                        .with_context(|| cannot_write(&table.part.path))?;
                }
                *place += 1;
            }
        }
    }
    for table in tables.values_mut().flat_map(|(_, tables)| tables) {
        table.out.flush().with_context(|| cannot_write(&table.part.path))?;
    }
    Ok(())
}

/// Puts parts' tables into one, in their order, under one header.
///
/// # Errors
/// If they cannot be read, or it not written.
pub fn join(parts: &[Part<'_>], path: &Path) -> Result<()> {
    let mut out = File::create_new(path).with_context(|| cannot_write(path))?;
    for (index, part) in parts.iter().enumerate() {
        let context = || format!("cannot read {}", part.path.display());
        let mut table = BufReader::new(File::open(&part.path).with_context(context)?);
        if index > 0 {
            table.skip_until(b'\n').with_context(context)?;
        }
        io::copy(&mut table, &mut out).with_context(|| cannot_write(path))?;
    }
    out.flush().with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}
