//! Rows of numbers in a scratch file.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
    marker::PhantomData,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use bytemuck::Pod;

/// Values that are read at once where a column is searched.
const CHUNK: usize = 1 << 20;

/// Rows of as many values each in a scratch file, which has no name: nothing of it is left once the process has ended, however it ends.
#[derive(Debug)]
pub struct Spool<T = f32> {
    file: File,
    /// Where it is, for messages.
    place: PathBuf,
    /// What to do where its disk is full.
    remedy: &'static str,
    /// Bytes of the file before the first row.
    begin: u64,
    width: usize,
    rows: usize,
    values: PhantomData<T>,
}

impl<T: Pod + PartialEq> Spool<T> {
    /// A file without rows on the disk that `directory` is, or will be, on; a message that the disk is full ends with the `remedy`.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(directory: &Path, width: usize, remedy: &'static str) -> Result<Self> {
        let there = directory.ancestors().find(|ancestor| ancestor.is_dir()).unwrap_or(Path::new("."));
        let file = tempfile::tempfile_in(there)
            .with_context(|| format!("{}: a scratch file cannot be made", there.display()))?;
        Ok(Self { file, place: there.to_owned(), remedy, begin: 0, width, rows: 0, values: PhantomData })
    }

    /// So many rows of a file, which lie behind its first `begin` bytes; to be read only.
    #[must_use]
    pub fn within(file: File, path: &Path, begin: u64, width: usize, rows: usize) -> Self {
        Self { file, place: path.to_owned(), remedy: "", begin, width, rows, values: PhantomData }
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
    pub fn append(&mut self, values: &[T]) -> Result<()> {
        // Reading has moved the place.
        let write = |mut file: &File| {
            file.seek(SeekFrom::End(0))?;
            file.write_all(bytemuck::cast_slice(values))
        };
        write(&self.file).with_context(|| {
            format!(
                "{}: the scratch file ends at {} rows of {} bytes, as there is no room for more: nothing is lost; {}",
                self.place.display(),
                self.rows,
                size_of::<T>() * self.width,
                self.remedy
            )
        })?;
        self.rows += values.len() / self.width;
        Ok(())
    }

    /// Rows that are there, row after row.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(&self, rows: Range<usize>) -> Result<Vec<T>> {
        let mut values = vec![T::zeroed(); rows.len() * self.width];
        let first = (size_of::<T>() * self.width) as u64 * rows.start as u64;
        read_at(&self.file, bytemuck::cast_slice_mut(&mut values), self.begin + first)
            .with_context(|| format!("{}: rows that were put there cannot be read", self.place.display()))?;
        Ok(values)
    }

    /// The first row whose value in this column is that; `None` where there is none.
    ///
    /// # Errors
    /// If the rows cannot be read.
    pub fn position(&self, column: usize, value: T) -> Result<Option<usize>> {
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

/// A folder for scratch files where the user has named none: what `TMPDIR` says, else one that is on a disk and not in memory, where there is such.
#[must_use]
pub fn scratch_directory() -> PathBuf {
    let of_disk = || Some(PathBuf::from("/var/tmp")).filter(|directory| directory.is_dir());
    std::env::var_os("TMPDIR").map(PathBuf::from).or_else(of_disk).unwrap_or_else(std::env::temp_dir)
}

/// Fills the bytes from a place in a file, wherever others are reading.
#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (bytes, at) = (&mut bytes[read..], at + read as u64),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written_and_no_file_is_seen() {
        let place = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(&place.path().join("not/yet/there"), 3, "").unwrap();
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

    #[test]
    fn rows_within_a_file_lie_behind_what_begins_it() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7, 1, 2, 3, 4, 5, 6, 7]).unwrap();
        let rows = Spool::<u8>::within(file, Path::new("x"), 1, 3, 2);
        assert_eq!((rows.read(0..2).unwrap(), rows.read(1..2).unwrap()), (vec![1, 2, 3, 4, 5, 6], vec![4, 5, 6]));
    }
}
