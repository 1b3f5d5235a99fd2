//! Windows, cut out of a table.

use std::path::Path;

use anyhow::{Result, ensure};
use vae_core::Window;

use crate::tables::{
    long_table::count,
    table::{MAX_FEATURES, Table},
};

/// Windows of a table, in order.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Values in a window.
    pub features: usize,
    /// Values of its condition.
    pub conditions: usize,
    /// Window after window, each followed by its condition.
    pub values: Vec<f32>,
    /// For each window, the index of its last row in the table.
    pub last_row: Vec<usize>,
    /// For each window, whether a row in it is labelled an anomaly; `None` for a table without labels.
    pub labels: Option<Vec<bool>>,
}

impl Windows {
    /// Cuts a table into windows with the core's own [`Window`], which starts anew with each of its recordings; the table's last `conditions`
    /// columns are the condition, of which a window has the last sample's.
    ///
    /// # Errors
    /// If the window is longer than each recording, or too large.
    pub fn cut(table: Table, conditions: usize, window: usize, hop: usize) -> Result<Self> {
        let channels = table.columns.len() - conditions;
        let features = channels.saturating_mul(window);
        Lengths::of(&table, window).check(&table.path)?;
        ensure!(
            features <= MAX_FEATURES,
            "{}: {channels} columns × {window} samples are {features} values in a window; at most {MAX_FEATURES} fit into a model: \
             give fewer columns or a shorter --window",
            table.path.display()
        );
        if (window, hop) == (1, 1) {
            let last_row = (0..table.rows()).collect();
            return Ok(Self { features, conditions, values: table.values, last_row, labels: table.labels });
        }
        let mut buffer = Box::new(Buffer::new());
        let count = table.pieces().map(|piece| count(piece.len(), window, hop)).sum::<usize>();
        let mut values = Vec::new();
        let size = count.checked_mul(features + conditions);
        let room = size.and_then(|size| values.try_reserve_exact(size).ok());
        ensure!(
            room.is_some(),
            "{}: there is no memory for {count} windows of {features} values: give fewer rows or a longer --hop",
            table.path.display()
        );
        let mut cut = Self { features, conditions, values, last_row: Vec::with_capacity(count), labels: None };
        Cutter::new(&mut buffer, [channels, conditions], window, hop)?.cut(&table, true, &mut cut)?;
        Ok(cut)
    }

    /// Those windows only of which this is true, by their values with their condition and by whether they are labelled anomalies; in their
    /// place, as they may fill half of the memory.
    #[must_use]
    pub fn retain(mut self, mut is_kept: impl FnMut(&[f32], bool) -> bool) -> Self {
        let width = self.features + self.conditions;
        let is_anomalous = |index: usize| self.labels.as_ref().is_some_and(|labels| labels[index]);
        let kept: Vec<usize> = (0..self.len()).filter(|index| is_kept(self.at(*index), is_anomalous(*index))).collect();
        for (place, index) in kept.iter().enumerate() {
            self.values.copy_within(index * width..(index + 1) * width, place * width);
            self.last_row[place] = self.last_row[*index];
        }
        self.values.truncate(kept.len() * width);
        self.last_row.truncate(kept.len());
        self.labels = self.labels.map(|labels| kept.iter().map(|index| labels[*index]).collect());
        self
    }

    /// Number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.last_row.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.last_row.is_empty()
    }

    /// The window of this index, followed by its condition.
    #[must_use]
    pub fn at(&self, index: usize) -> &[f32] {
        let width = self.features + self.conditions;
        &self.values[index * width..][..width]
    }

    /// The windows, one slice each, with their conditions.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.features + self.conditions)
    }
}

/// Room for a window while it is filled.
pub type Buffer = heapless::Vec<f32, MAX_FEATURES>;

/// Cuts rows into windows with the core's own [`Window`], however many of them come at a time.
pub struct Cutter<'b> {
    windows: Window<'b>,
    channels: usize,
    conditions: usize,
    window: usize,
    /// Rows so far.
    rows: usize,
    /// Rows of the recording since the last one that is labelled an anomaly, that one among them.
    since_anomaly: usize,
}

impl<'b> Cutter<'b> {
    /// Of so many channels and conditions.
    ///
    /// # Errors
    /// If a window is too large.
    pub fn new(buffer: &'b mut Buffer, [channels, conditions]: [usize; 2], window: usize, hop: usize) -> Result<Self> {
        let windows = Window::with_shape(channels, window, hop, buffer)?;
        Ok(Self { windows, channels, conditions, window, rows: 0, since_anomaly: usize::MAX })
    }

    /// Puts the windows that end in the next rows, with the first of which another recording `begins` or not, behind those that are `cut`.
    ///
    /// # Errors
    /// If the rows have other columns.
    pub fn cut(&mut self, table: &Table, begins: bool, cut: &mut Windows) -> Result<()> {
        let mut starts = table.starts.iter().copied().peekable();
        if table.labels.is_some() {
            cut.labels.get_or_insert_default();
        }
        for (row, sample) in table.values.chunks_exact(self.channels + self.conditions).enumerate() {
            if starts.next_if_eq(&row).is_some() || (begins && row == 0) {
                self.windows.clear();
                self.since_anomaly = usize::MAX;
            }
            let is_anomalous = table.labels.as_ref().is_some_and(|labels| labels[row]);
            self.since_anomaly = if is_anomalous { 0 } else { self.since_anomaly.saturating_add(1) };
            let (sample, condition) = sample.split_at(self.channels);
            if let Some(values) = self.windows.push(sample)? {
                cut.values.extend_from_slice(values);
                cut.values.extend_from_slice(condition);
                cut.last_row.push(self.rows);
                cut.labels.iter_mut().for_each(|labels| labels.push(self.since_anomaly < self.window));
            }
            self.rows += 1;
        }
        Ok(())
    }
}

/// How long the recordings are that a table is made of, beside a window.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lengths {
    window: usize,
    rows: usize,
    pieces: usize,
    longest: usize,
    /// Those that are shorter than a window, and their rows.
    short: usize,
    short_rows: usize,
    /// Rows of the one that has not ended yet.
    open: usize,
}

impl Lengths {
    /// Of nothing yet.
    #[must_use]
    pub fn beside(window: usize) -> Self {
        Self { window, ..Self::default() }
    }

    /// Those of a table.
    #[must_use]
    pub fn of(table: &Table, window: usize) -> Self {
        let mut lengths = Self::beside(window);
        lengths.add(table, true);
        lengths.end();
        lengths
    }

    /// Takes the next rows, with the first of which another recording `begins` or not.
    pub fn add(&mut self, table: &Table, begins: bool) {
        for (index, piece) in table.pieces().enumerate() {
            if index > 0 || begins {
                self.end();
            }
            self.open += piece.len();
        }
    }

    /// Takes a whole recording of so many rows.
    pub fn add_piece(&mut self, rows: usize) {
        self.end();
        self.open = rows;
        self.end();
    }

    /// Ends the last recording.
    pub fn end(&mut self) {
        let rows = std::mem::take(&mut self.open);
        if rows == 0 {
            return;
        }
        self.pieces += 1;
        self.rows += rows;
        self.longest = self.longest.max(rows);
        if rows < self.window {
            self.short += 1;
            self.short_rows += rows;
        }
    }

    /// How many recordings have ended.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces
    }

    /// Refuses a table, of this name, in which no recording is as long as a window.
    ///
    /// # Errors
    /// Says how long the longest is.
    pub fn check(&self, name: &Path) -> Result<()> {
        let Self { window, longest, pieces, .. } = self;
        let name = name.display();
        ensure!(
            longest >= window || *pieces > 1,
            "{name}: a window of {window} samples is longer than the data ({longest} rows): give more data, or fit with a shorter --window"
        );
        ensure!(
            longest >= window,
            "{name}: a window of {window} samples is longer than each of the {pieces} pieces that the data are made of (the longest has \
             {longest} rows, and no window spans two): give longer recordings, or fit with a --window of at most {longest}"
        );
        Ok(())
    }

    /// A note on the recordings of a table, of this name, that are shorter than a window; none where there are none.
    #[must_use]
    pub fn note(&self, name: &Path) -> Option<String> {
        let Self { window, rows, pieces, short, short_rows, .. } = self;
        (*short > 0).then(|| {
            format!(
                "{}: {short} of {pieces} pieces, with {short_rows} of {rows} rows, are shorter than a window of {window} samples and give none",
                name.display()
            )
        })
    }
}

/// A note on the recordings of a table that are shorter than a window; none where there are none.
#[must_use]
pub fn note_on_short_pieces(table: &Table, window: usize) -> Option<String> {
    Lengths::of(table, window).note(&table.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One column that counts the rows.
    fn counting(rows: usize, starts: &[usize]) -> Table {
        Table {
            path: "t.csv".into(),
            columns: vec!["x".to_owned()],
            values: (0..rows).map(|row| row as f32).collect(),
            labels: None,
            starts: starts.to_owned(),
            origins: Vec::new(),
        }
    }

    #[test]
    fn no_window_spans_a_start_and_each_piece_has_as_many_as_it_would_by_itself() {
        let starts = [7, 8, 30, 33];
        for (window, hop) in [(4, 1), (4, 3), (4, 6), (2, 2), (1, 3), (7, 7)] {
            let table = counting(50, &starts);
            let windows = Windows::cut(table.clone(), 0, window, hop).unwrap();
            // (n − w) / h + 1 of n rows, and none of fewer than w.
            let expected = [7, 1, 22, 3, 17].map(|n| if n < window { 0 } else { (n - window) / hop + 1 });
            assert_eq!(windows.len(), expected.iter().sum::<usize>(), "{window} {hop}");
            for (values, last) in windows.iter().zip(&windows.last_row) {
                let first = last + 1 - window;
                assert_eq!(values, &table.values[first..=*last]);
                assert!(starts.iter().all(|start| !(first + 1..=*last).contains(start)), "{first} to {last}");
            }
            let alone: Vec<usize> = table
                .pieces()
                .filter(|piece| piece.len() >= window)
                .flat_map(|piece| {
                    let alone = Windows::cut(counting(piece.len(), &[]), 0, window, hop).unwrap().last_row;
                    alone.into_iter().map(move |row| piece.start + row)
                })
                .collect();
            assert_eq!(windows.last_row, alone, "{window} {hop}");
        }
    }

    #[test]
    fn pieces_that_are_too_short_are_counted_and_refused_where_all_are() {
        let table = counting(50, &[7, 8, 30, 33]);
        let note = note_on_short_pieces(&table, 8).unwrap();
        assert_eq!(
            note,
            "t.csv: 3 of 5 pieces, with 11 of 50 rows, are shorter than a window of 8 samples and give none"
        );
        assert_eq!(note_on_short_pieces(&table, 1), None);
        let message = Windows::cut(table, 0, 23, 1).unwrap_err().to_string();
        assert!(message.contains("each of the 5 pieces") && message.contains("the longest has 22 rows"), "{message}");
        assert!(message.ends_with("a --window of at most 22"), "{message}");
    }

    #[test]
    fn windows_that_are_kept_move_up_with_their_rows_and_labels() {
        let windows = Windows {
            features: 1,
            conditions: 1,
            values: (0..10).map(|value| value as f32).collect(),
            last_row: vec![3, 5, 7, 9, 11],
            labels: Some(vec![false, true, false, false, true]),
        };
        let kept = windows.clone().retain(|window, is_anomalous| !is_anomalous && window[0] != 4.0);
        assert_eq!((kept.values, kept.last_row), (vec![0.0, 1.0, 6.0, 7.0], vec![3, 9]));
        assert_eq!(kept.labels, Some(vec![false, false]));
        assert!(windows.retain(|_, _| false).is_empty());
    }
}
