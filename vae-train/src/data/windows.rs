//! Windows, cut out of a table.

use anyhow::{Result, ensure};
use vae_core::Window;

use crate::tables::table::{MAX_FEATURES, Table};

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
    /// Cuts a table into windows with the core's own [`Window`]; the table's last `conditions` columns are the condition,
    /// of which a window has the last sample's.
    ///
    /// # Errors
    /// If the window is longer than the table, or too large.
    pub fn cut(table: Table, conditions: usize, window: usize, hop: usize) -> Result<Self> {
        let channels = table.columns.len() - conditions;
        let features = channels.saturating_mul(window);
        ensure!(
            table.rows() >= window,
            "{}: a window of {window} samples is longer than the data ({} rows): give more data, or fit with a shorter --window",
            table.path.display(),
            table.rows()
        );
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
        let mut buffer = Box::new(heapless::Vec::<f32, MAX_FEATURES>::new());
        let mut windows = Window::with_shape(channels, window, hop, &mut *buffer)?;
        let count = (table.rows() - window) / hop + 1;
        let mut values = Vec::new();
        let size = count.checked_mul(features + conditions);
        let room = size.and_then(|size| values.try_reserve_exact(size).ok());
        ensure!(
            room.is_some(),
            "{}: there is no memory for {count} windows of {features} values: give fewer rows or a longer --hop",
            table.path.display()
        );
        let mut cut = Self { features, conditions, values, last_row: Vec::with_capacity(count), labels: None };
        for (row, sample) in table.values.chunks_exact(table.columns.len()).enumerate() {
            let (sample, condition) = sample.split_at(channels);
            if let Some(values) = windows.push(sample)? {
                cut.values.extend_from_slice(values);
                cut.values.extend_from_slice(condition);
                cut.last_row.push(row);
            }
        }
        cut.labels = table
            .labels
            .as_ref()
            .map(|labels| cut.last_row.iter().map(|&last| labels[last + 1 - window..=last].contains(&true)).collect());
        Ok(cut)
    }

    /// Those windows only of which this is true, by their values with their condition and by whether they are labelled anomalies; in their
    /// place, as they may fill half of the memory.
    #[must_use]
    pub fn retain(mut self, is_kept: impl Fn(&[f32], bool) -> bool) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;

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
