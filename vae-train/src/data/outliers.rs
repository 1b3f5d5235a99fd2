//! Values that outweigh all others of their column.

use std::path::Path;

use anyhow::Result;

use crate::{
    statistics::moments::Moments,
    tables::{long_table::LongTable, table::Table},
    words::{messages::list, numbers::absolute},
};

/// A note on those of a table's first `channels` columns of whose variance in normal rows a single value makes up nearly all.
///
/// # Errors
/// If the table cannot be read.
pub fn outliers(table: &LongTable<'_>, channels: usize) -> Result<Option<String>> {
    let mut moments = vec![Moments::default(); channels];
    for (rows, _) in table.portions(0) {
        let Table { values, columns, labels, .. } = table.read(rows)?;
        let is_normal = |row: usize| labels.as_ref().is_none_or(|labels| !labels[row]);
        let rows = values.chunks_exact(columns.len()).enumerate().filter(|(row, _)| is_normal(*row));
        for (_, values) in rows {
            moments.iter_mut().zip(values).for_each(|(moments, value)| moments.push(f64::from(*value)));
        }
    }
    let mut outliers = Vec::new();
    for (column, moments) in moments.iter().enumerate().filter(|(_, moments)| !moments.is_constant()) {
        if let Some(outlier) = moments.outlier() {
            let row = position_in(table, column, outlier as f32)?;
            let origin = table.origin(column);
            outliers.push(as_outlier(&table.columns()[column], row, outlier, origin));
        }
    }
    Ok(note_on_outliers(table.path(), &outliers))
}

/// The first row of a value in a column of a table of any size.
fn position_in(table: &LongTable<'_>, column: usize, value: f32) -> Result<Option<usize>> {
    for (rows, _) in table.portions(0) {
        let first = rows.start;
        if let Some(row) = position(&table.read(rows)?, column, value) {
            return Ok(Some(first + row));
        }
    }
    Ok(None)
}

/// The first row of a value in a column.
pub(crate) fn position(table: &Table, column: usize, value: f32) -> Option<usize> {
    table.values.iter().skip(column).step_by(table.columns.len()).position(|own| *own == value)
}

/// Column, row and value, less this origin, as a note on outliers has them.
pub(crate) fn as_outlier(column: &str, row: Option<usize>, value: f64, origin: f64) -> String {
    format!("{column}, row {}: {}", row.map_or(0, |row| row + 1), as_it_stands(value, origin))
}

/// A value as the file has it.
fn as_it_stands(value: f64, origin: f64) -> String {
    if origin == 0.0 { format!("{:e}", value as f32) } else { absolute(value as f32, origin).to_string() }
}

/// A note on outliers, each as [`outlier`] has it; none where there are none.
pub(crate) fn note_on_outliers(path: &Path, outliers: &[String]) -> Option<String> {
    (!outliers.is_empty()).then(|| {
        format!(
            "{}: a single value outweighs all others in {} column(s): {}; leave a field empty if the value is missing",
            path.display(),
            outliers.len(),
            list(outliers)
        )
    })
}
