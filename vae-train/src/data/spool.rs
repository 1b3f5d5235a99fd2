//! Rows of numbers in a scratch file.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Values that are read at once where a column is searched.
const CHUNK: usize = 1 << 20;

/// Rows of as many values each in a scratch file, which has no name: nothing of it is left once the process has ended, however it ends.
#[derive(Debug)]
pub struct Spool {
    file: File,
    directory: PathBuf,
    width: usize,
    rows: usize,
}

impl Spool {
    /// A file without rows on the disk that `directory` is, or will be, on.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(directory: &Path, width: usize) -> Result<Self> {
        let there = directory.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("."));
        let file = tempfile::tempfile_in(there)
            .with_context(|| format!("{}: a scratch file cannot be made", there.display()))?;
        Ok(Self { file, directory: there.to_owned(), width, rows: 0 })
    }

    /// Values in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Puts rows behind those that are there.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn append(&mut self, values: &[f32]) -> Result<()> {
        // Reading has moved the place.
        let write = |mut file: &File| {
            file.seek(SeekFrom::End(0))?;
            file.write_all(bytemuck::cast_slice(values))
        };
        write(&self.file).with_context(|| {
            format!(
                "{}: the scratch file ends at {} rows of {} bytes, as there is no room for more: nothing is lost; free some, give an --out on \
                 another disk, or more --memory",
                self.directory.display(),
                self.rows,
                4 * self.width
            )
        })?;
        self.rows += values.len() / self.width;
        Ok(())
    }

    /// Rows that are there, row after row.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        let mut values = vec![0.0; rows.len() * self.width];
        let context = || format!("{}: the scratch file cannot be read", self.directory.display());
        let mut file = &self.file;
        file.seek(SeekFrom::Start(4 * self.width as u64 * rows.start as u64)).with_context(context)?;
        file.read_exact(bytemuck::cast_slice_mut(&mut values)).with_context(context)?;
        Ok(values)
    }

    /// The first row whose value in this column is that; `None` where there is none.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub fn position(&self, column: usize, value: f32) -> Result<Option<usize>> {
        let step = (CHUNK / self.width).max(1);
        for start in (0..self.rows).step_by(step) {
            let values = self.read(start..(start + step).min(self.rows))?;
            if let Some(row) = values.iter().skip(column).step_by(self.width).position(|own| *own == value) {
                return Ok(Some(start + row));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written_and_no_file_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(&place.path().join("not/yet/there"), 3).unwrap();
        let values: Vec<f32> = (0..30).map(|value| value as f32).collect();
        spool.append(&values[..12]).unwrap();
        spool.append(&values[12..]).unwrap();
        assert_eq!(spool.rows(), 10);
        assert_eq!(spool.read(0..10).unwrap(), values);
        assert_eq!(spool.read(3..5).unwrap(), values[9..15]);
        assert!(spool.read(9..11).is_err());
        assert_eq!((spool.position(1, 7.0).unwrap(), spool.position(0, 7.0).unwrap()), (Some(2), None));
        // What is written behind a read lies behind all the same.
        spool.append(&[30.0, 31.0, 32.0]).unwrap();
        assert_eq!(spool.read(9..11).unwrap(), [27.0, 28.0, 29.0, 30.0, 31.0, 32.0]);
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
