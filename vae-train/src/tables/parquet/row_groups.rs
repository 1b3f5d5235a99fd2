//! A Parquet file that is read some rows at a time, whatever the size of its groups of rows.

use std::{fs::File, path::PathBuf};

use anyhow::{Context, Result};
use parquet::{
    column::reader::ColumnReader,
    file::reader::{FileReader, SerializedFileReader},
};

use crate::tables::{
    parquet::{Columns, field::known, guarded},
    reading::Reading,
    recording::{Label, Recording},
    source::Source,
};

/// A file that is read from row to row: of each column a page is in memory.
pub(crate) struct RowGroups {
    path: PathBuf,
    file: SerializedFileReader<File>,
    columns: Columns,
    /// The group that is read next.
    group: usize,
    /// The columns of the group that is being read, and how many rows of it are left.
    open: Vec<ColumnReader>,
    left: usize,
}

impl RowGroups {
    /// Opens a file.
    ///
    /// # Errors
    /// Names the columns that hold no numbers.
    pub(crate) fn open(source: Source, reading: &Reading) -> Result<Self> {
        let path = source.name.clone();
        let (file, columns) = guarded(&path, || Columns::open(source, reading))?;
        Ok(Self { path, file, columns, group: 0, open: Vec::new(), left: 0 })
    }

    /// How many columns there are.
    pub(crate) fn width(&self) -> usize {
        self.columns.width()
    }

    /// Reads at most so many of the next rows; whether there may be more.
    ///
    /// # Errors
    /// Names the place of what is no number.
    pub(crate) fn take(&mut self, most: usize) -> Result<bool> {
        let path = self.path.clone();
        guarded(&path, || {
            let mut wanted = most;
            while wanted > 0 {
                if self.left == 0 && !self.next_group()? {
                    return Ok(false);
                }
                let count = wanted.min(self.left);
                let first = self.columns.make_room(count)?;
                for (column, values) in self.open.iter_mut().enumerate() {
                    self.columns.read_column(&self.file, values, column, first..first + count)?;
                }
                wanted -= count;
                self.left -= count;
            }
            Ok(true)
        })
    }

    /// Opens the next group that has rows; whether there is one.
    fn next_group(&mut self) -> Result<bool> {
        while self.group < self.file.num_row_groups() {
            let context = self.columns.context();
            let group = self.file.get_row_group(self.group).with_context(&context)?;
            self.group += 1;
            self.left = known(group.metadata().num_rows()) as usize;
            if self.left > 0 {
                let readers = (0..self.width()).map(|column| group.get_column_reader(column));
                self.open = readers.collect::<Result<_, _>>().with_context(&context)?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// How many rows have been read and not been taken as a portion, the last of the portion before among them.
    pub(crate) fn here(&self) -> usize {
        self.columns.here()
    }

    /// The part of the file's rows that has been read, from 0 to 1.
    pub(crate) fn part(&self) -> f64 {
        self.columns.part()
    }

    /// The rows that have been read; behind the first portion, the first of them is the last of the portion before.
    ///
    /// # Errors
    /// If a value is infinite, or the label is none.
    pub(crate) fn portion(&mut self, label: Label<'_>) -> Result<Recording> {
        self.columns.portion(label)
    }
}
