//! Files of any size, read once: what they say beside their rows, and the rows where they may be read again.

use std::path::Path;

use anyhow::{Context, Result};

use crate::tables::{
    long_table::LongTable,
    portions::{Portion, Portions},
    recording::Recording,
    table::Table,
};

/// Files as one recording.
#[derive(Debug)]
pub struct LongRecording {
    /// What is known of them beside the rows, which it has not: of columns what the first rows of each file say, of clocks and of fields that are no
    /// numbers what all say.
    pub head: Recording,
    /// All rows, of the columns that were chosen.
    pub table: LongTable<'static>,
}

impl LongRecording {
    /// Reads all portions. Of each, `choose` makes the table of the columns that are wanted, which are as many each time; what is more than one portion
    /// goes to a scratch file on the disk that `directory` is on. `watch` is told as [`Portions::next`] tells it.
    ///
    /// # Errors
    /// If a file is bad, or there is no room for the rows.
    pub fn read(
        mut portions: Portions<'_>,
        directory: &Path,
        watch: &mut dyn FnMut(usize, Option<f64>),
        mut choose: impl FnMut(Recording) -> Result<Table>,
    ) -> Result<Self> {
        let mut so_far = None;
        while let Some(Portion { mut recording, begins, first_row, .. }) = portions.next(watch)? {
            if first_row == 0 {
                recording.check_shape()?;
            }
            let (rows, beside) = (recording.table.rows(), without_rows(&mut recording));
            let table = choose(recording)?;
            so_far = Some(match so_far.take() {
                None => Self { head: beside, table: table.into() },
                Some(Self { mut head, table: mut before }) => {
                    head.append_beside_rows(beside, first_row == 0, [before.rows(), rows]);
                    before.to_file(directory, REMEDY)?;
                    before.append(&rebased(table, &before), begins)?;
                    Self { head, table: before }
                }
            });
        }
        let Self { mut head, table } = so_far.context("the files hold no rows")?;
        head.table.path = portions.name(table.pieces().len());
        Ok(Self { table: table.named(head.table.path.clone()), head })
    }
}

/// What to do where the disk is full.
const REMEDY: &str = "free some";

/// The recording without its rows, which it keeps.
fn without_rows(recording: &mut Recording) -> Recording {
    let (values, labels) = (std::mem::take(&mut recording.table.values), recording.table.labels.take());
    let beside = recording.clone();
    (recording.table.values, recording.table.labels) = (values, labels);
    beside
}

/// As those rows are that it is to be put behind.
fn rebased(mut table: Table, before: &LongTable<'_>) -> Table {
    table.rebase(before.origins());
    table
}
