//! What a search is made on: rows to train on, and stretches of others to judge by.

use std::ops::Range;

use anyhow::{Context, Result};

use crate::tables::table::Table;

/// Share of the rows, from the first on, that trials are trained on.
const TRAINED_ON: f64 = 0.7;
/// Most rows that trials are trained on, in so many stretches evenly spaced in time.
const MOST_ROWS: usize = 60_000;
const MOST_STRETCHES: usize = 8;
/// Rows of a stretch that is judged, the largest of which there are enough; and how many are judged at most.
const STRETCHES: [usize; 5] = [256, 128, 64, 32, 16];
const ENOUGH_STRETCHES: usize = 24;
const MOST_JUDGED: usize = 64;
/// What a search is made on.
#[derive(Debug)]
pub struct Material {
    /// Trained on.
    pub train: Table,
    /// Judged: stretches of normal rows, one behind the other.
    pub normal: Table,
    /// Rows of a stretch.
    pub rows: usize,
}

impl Material {
    /// Parts of a table's rows, in the order of time: normal ones only, without a break in a stretch that is judged.
    ///
    /// # Errors
    /// If there are too few rows.
    pub fn of(table: &Table) -> Result<Self> {
        let border = (TRAINED_ON * table.rows() as f64) as usize;
        let train = stretches(0..border);
        let is_whole = |range: &Range<usize>| {
            let is_normal = table.labels.as_ref().is_none_or(|labels| !labels[range.clone()].contains(&true));
            is_normal && !table.starts.iter().any(|start| range.start < *start && *start < range.end)
        };
        let whole = |rows: usize| -> Vec<Range<usize>> {
            let starts = (border..table.rows().saturating_sub(rows - 1)).step_by(rows);
            starts.map(|start| start..start + rows).filter(is_whole).collect()
        };
        let found = STRETCHES.map(|rows| (rows, whole(rows)));
        let (rows, judged) = found.into_iter().find(|(_, ranges)| ranges.len() >= ENOUGH_STRETCHES).with_context(|| {
            let least = (ENOUGH_STRETCHES * STRETCHES[STRETCHES.len() - 1]) as f64 / (1.0 - TRAINED_ON);
            format!(
                "{}: {} rows are too few to search for a window: --auto needs {least:.0} normal ones in order of time; give more, or leave \
                 out --auto",
                table.path.display(),
                table.rows()
            )
        })?;
        let used = judged.len().min(MOST_JUDGED);
        let judged: Vec<Range<usize>> = (0..used).map(|index| judged[index * judged.len() / used].clone()).collect();
        Ok(Self { train: rows_of(table, &train), normal: rows_of(table, &judged), rows })
    }
}

/// All of these rows, or stretches of them.
fn stretches(rows: Range<usize>) -> Vec<Range<usize>> {
    if rows.len() <= MOST_ROWS {
        return vec![rows];
    }
    let each = MOST_ROWS / MOST_STRETCHES;
    (0..MOST_STRETCHES)
        .map(|at| at * (rows.len() - each) / (MOST_STRETCHES - 1))
        .map(|start| start..start + each)
        .collect()
}

/// Ranges of a table's rows, one behind the other, each a recording of its own.
fn rows_of(table: &Table, ranges: &[Range<usize>]) -> Table {
    let width = table.columns.len();
    let mut starts = Vec::new();
    let mut before = 0;
    for range in ranges {
        starts.extend((before > 0).then_some(before));
        let inside = table.starts.iter().filter(|start| range.start < **start && **start < range.end);
        starts.extend(inside.map(|start| before + start - range.start));
        before += range.len();
    }
    let values =
        ranges.iter().flat_map(|range| &table.values[range.start * width..range.end * width]).copied().collect();
    let labels = table.labels.as_ref();
    let labels = labels.map(|labels| ranges.iter().flat_map(|range| &labels[range.clone()]).copied().collect());
    Table {
        path: table.path.clone(),
        columns: table.columns.clone(),
        values,
        labels,
        starts,
        origins: table.origins.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize, starts: &[usize], anomalies: &[usize]) -> Table {
        Table {
            path: "t.csv".into(),
            columns: vec!["a".into()],
            values: (0..rows).map(|row| row as f32).collect(),
            labels: (!anomalies.is_empty()).then(|| (0..rows).map(|row| anomalies.contains(&row)).collect()),
            starts: starts.to_vec(),
            origins: Vec::new(),
        }
    }

    #[test]
    fn stretches_are_of_rows_behind_those_trained_on_without_a_break_or_an_anomaly() {
        // 3,000 rows behind 7,000: 46 stretches of 64, 23 of 128.
        let material = Material::of(&table(10_000, &[100, 7100], &[7200])).unwrap();
        assert_eq!((material.train.rows(), &material.train.starts[..], material.rows), (7000, &[100][..], 64));
        // Two of them have a break or an anomaly: 7064 to 7127, 7192 to 7255.
        assert_eq!(material.normal.rows(), 44 * 64);
        let first: Vec<f32> = material.normal.values.iter().copied().step_by(64).take(3).collect();
        assert_eq!((first, material.normal.starts[1]), (vec![7000.0, 7128.0, 7256.0], 128));
        assert!(Material::of(&table(1000, &[], &[])).unwrap_err().to_string().contains("1000 rows are too few"));
    }

    #[test]
    fn of_many_rows_stretches_are_taken_evenly() {
        let material = Material::of(&table(1_000_000, &[3000], &[])).unwrap();
        assert_eq!((material.train.rows(), material.rows, material.normal.rows()), (60_000, 256, 64 * 256));
        assert_eq!((material.train.starts[0], material.train.starts.len()), (3000, 8));
        assert_eq!(material.train.values[59_999], 699_999.0);
    }
}
