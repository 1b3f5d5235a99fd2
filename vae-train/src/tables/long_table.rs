//! A table of any size, of which some rows at a time are in memory.

use std::{
    borrow::Cow,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::Result;

use crate::{
    statistics::pieces::pieces,
    tables::{spool::Spool, table::Table},
};

/// Bytes of rows that are read at once, about.
const BYTES: usize = 1 << 22;

/// A table whose rows are in memory, or in a file and read some at a time.
#[derive(Debug)]
pub struct LongTable<'t> {
    /// All but values and labels, and also these where they are in memory.
    head: Cow<'t, Table>,
    file: Option<Rows>,
}

/// Values, and labels where there are some, in a file.
#[derive(Debug)]
struct Rows {
    values: Spool,
    /// 1 for what is labelled an anomaly, one a row.
    labels: Option<Spool<u8>>,
}

impl From<Table> for LongTable<'_> {
    /// In memory.
    fn from(table: Table) -> Self {
        Self { head: Cow::Owned(table), file: None }
    }
}

impl<'t> From<&'t Table> for LongTable<'t> {
    /// In memory.
    fn from(table: &'t Table) -> Self {
        Self { head: Cow::Borrowed(table), file: None }
    }
}

impl LongTable<'_> {
    /// Without rows yet, of the columns, the origins and the kind of labels of `head`, in a scratch file on the disk that `directory` is on; a
    /// message that the disk is full ends with the `remedy`.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(head: &Table, directory: &Path, remedy: &'static str) -> Result<Self> {
        let labels = head.labels.as_ref().map(|_| Spool::create(directory, 1, remedy)).transpose()?;
        let values = Spool::create(directory, head.columns.len(), remedy)?;
        let head = Table {
            path: head.path.clone(),
            columns: head.columns.clone(),
            origins: head.origins.clone(),
            ..Table::default()
        };
        Ok(Self { head: Cow::Owned(head), file: Some(Rows { values, labels }) })
    }

    /// Puts its rows into a scratch file, as [`Self::create`] makes it, where they are in memory.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn to_file(&mut self, directory: &Path, remedy: &'static str) -> Result<()> {
        if self.file.is_none() {
            let mut stored = Self::create(&self.head, directory, remedy)?;
            let head: Cow<'_, Table> = std::mem::take(&mut self.head);
            stored.append(&head, true)?;
            *self = stored;
        }
        Ok(())
    }

    /// Of values, and labels where there are some, that lie in a file; `head` has all else.
    pub(crate) fn within(head: Table, values: Spool, labels: Option<Spool<u8>>) -> Self {
        Self { head: Cow::Owned(head), file: Some(Rows { values, labels }) }
    }

    /// Takes the next rows, with the first of which another recording `begins` or not. They have the columns and the origins of the first.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn append(&mut self, table: &Table, begins: bool) -> Result<()> {
        let rows = self.rows();
        let (head, file) = (self.head.to_mut(), &mut self.file);
        head.starts.extend((begins && rows > 0).then_some(rows));
        head.starts.extend(table.starts.iter().map(|start| rows + start));
        match file {
            Some(Rows { values, labels }) => {
                values.append(&table.values)?;
                if let Some((spool, labels)) = labels.as_mut().zip(table.labels.as_ref()) {
                    spool.append(&labels.iter().map(|label| u8::from(*label)).collect::<Vec<_>>())?;
                }
            }
            None => {
                head.values.extend_from_slice(&table.values);
                if let Some((own, labels)) = head.labels.as_mut().zip(table.labels.as_ref()) {
                    own.extend_from_slice(labels);
                }
            }
        }
        Ok(())
    }

    /// Itself under another name, as of several files.
    #[must_use]
    pub fn named(mut self, path: PathBuf) -> Self {
        self.head.to_mut().path = path;
        self
    }

    /// Where it came from, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.head.path
    }

    /// Names of the columns, without the label.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.head.columns
    }

    /// As in [`Table::origins`].
    #[must_use]
    pub fn origins(&self) -> &[f64] {
        &self.head.origins
    }

    /// As in [`Table::starts`].
    #[must_use]
    pub fn starts(&self) -> &[usize] {
        &self.head.starts
    }

    /// Whether its rows have labels.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.file.as_ref().map_or(self.head.labels.is_some(), |rows| rows.labels.is_some())
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.file.as_ref().map_or_else(|| self.head.rows(), |rows| rows.values.rows())
    }

    /// The recordings that it is made of, one behind the other.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + '_ {
        pieces(&self.head.starts, self.rows())
    }

    /// The last row of each window of so many rows, one every `hop`, with the first row of its recording.
    pub fn windows(&self, window: usize, hop: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.pieces().flat_map(move |piece| {
            let of_piece = 0..count(piece.len(), window, hop);
            of_piece.map(move |index| (piece.start, piece.start + window - 1 + index * hop))
        })
    }

    /// Some of its rows, without what is said of where another recording begins with the first of them.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn read(&self, rows: Range<usize>) -> Result<Table> {
        let Table { path, columns, starts, origins, .. } = &*self.head;
        let [first, end] = [rows.start + 1, rows.end].map(|row| starts.partition_point(|start| *start < row));
        let labels = self.labels(rows.clone())?;
        let values = match &self.file {
            Some(file) => file.values.read(rows.clone())?,
            None => self.head.values[rows.start * columns.len()..rows.end * columns.len()].to_vec(),
        };
        Ok(Table {
            path: path.clone(),
            columns: columns.clone(),
            values,
            labels,
            starts: starts[first..end.max(first)].iter().map(|start| start - rows.start).collect(),
            origins: origins.clone(),
        })
    }

    /// One column of some rows.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn column(&self, column: usize, rows: Range<usize>) -> Result<Vec<f32>> {
        let width = self.head.columns.len();
        let of = |values: &[f32]| values.iter().skip(column).step_by(width).copied().collect();
        match &self.file {
            Some(file) => file.values.read(rows).map(|values| of(&values)),
            None => Ok(of(&self.head.values[rows.start * width..rows.end * width])),
        }
    }

    /// Which of some rows are labelled anomalies; `None` without labels.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn labels(&self, rows: Range<usize>) -> Result<Option<Vec<bool>>> {
        match &self.file {
            Some(Rows { labels, .. }) => {
                let labels = labels.as_ref().map(|labels| labels.read(rows)).transpose()?;
                Ok(labels.map(|labels| labels.iter().map(|label| *label != 0).collect()))
            }
            None => Ok(self.head.labels.as_ref().map(|labels| labels[rows].to_vec())),
        }
    }

    /// Whether its rows are in a file.
    #[must_use]
    pub fn is_in_file(&self) -> bool {
        self.file.is_some()
    }

    /// What was subtracted from the values of this column.
    #[must_use]
    pub fn origin(&self, column: usize) -> f64 {
        self.head.origin(column)
    }

    /// All rows, some at a time; of each portion the rows, and whether another recording begins with the first of them. `beside` is how many times
    /// their bytes what is made of them takes.
    pub fn portions(&self, beside: usize) -> impl Iterator<Item = (Range<usize>, bool)> + '_ {
        let step = (BYTES / (1 + beside) / (size_of::<f32>() * self.head.columns.len())).max(1 << 10);
        let rows = self.rows();
        (0..rows).step_by(step).map(move |first| {
            let begins = first == 0 || self.head.starts.binary_search(&first).is_ok();
            (first..(first + step).min(rows), begins)
        })
    }
}

/// Windows of a recording of so many rows.
pub(crate) fn count(rows: usize, window: usize, hop: usize) -> usize {
    rows.checked_sub(window).map_or(0, |more| more / hop + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize) -> Table {
        Table {
            path: "t.csv".into(),
            columns: vec!["a".to_owned(), "b".to_owned()],
            values: (0..2 * rows).map(|value| value as f32).collect(),
            labels: Some((0..rows).map(|row| row % 3 == 1).collect()),
            starts: vec![4, 5, 11],
            origins: vec![0.0, 7.0],
        }
    }

    #[test]
    fn rows_are_the_same_from_memory_and_from_a_file() {
        let whole = table(20);
        let mut stored = LongTable::create(&whole, &std::env::temp_dir(), "").unwrap();
        let memory = LongTable::from(whole.clone());
        for (rows, begins) in [(0..5, true), (5..6, true), (6..20, false)] {
            stored.append(&memory.read(rows).unwrap(), begins).unwrap();
        }
        assert_eq!((stored.starts(), stored.rows(), stored.pieces().len()), (&whole.starts[..], 20, 4));
        for rows in [0..20, 3..12, 4..5, 5..11, 19..20] {
            let [a, b] = [&stored, &memory].map(|table| table.read(rows.clone()).unwrap());
            assert_eq!((&a.values, &a.labels, &a.starts, &a.origins), (&b.values, &b.labels, &b.starts, &b.origins));
            assert_eq!(a.values, whole.values[2 * rows.start..2 * rows.end]);
        }
        assert_eq!(stored.read(3..12).unwrap().starts, [1, 2, 8]);
        assert!(stored.read(4..5).unwrap().starts.is_empty());
        assert_eq!(stored.column(1, 2..4).unwrap(), [5.0, 7.0]);
    }

    #[test]
    fn windows_end_one_every_hop_in_each_recording() {
        let long = LongTable::from(table(20));
        let ends = |window, hop| long.windows(window, hop).collect::<Vec<_>>();
        assert_eq!(ends(4, 2), [(0, 3), (5, 8), (5, 10), (11, 14), (11, 16), (11, 18)]);
        assert_eq!(ends(5, 9), [(5, 9), (11, 15)]);
        assert!(ends(1, 1).into_iter().map(|(_, last)| last).eq(0..20));
    }
}
