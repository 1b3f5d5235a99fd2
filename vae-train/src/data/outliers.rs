//! Values that outweigh all others of their column.

use std::path::Path;

use crate::{
    statistics::moments::Moments,
    tables::table::Table,
    words::{messages::list, numbers::absolute},
};

/// A note on those of a table's first `channels` columns of whose variance in normal rows a single value makes up nearly all.
#[must_use]
pub fn outliers(table: &Table, channels: usize) -> Option<String> {
    let is_normal = |row: usize| table.labels.as_ref().is_none_or(|labels| !labels[row]);
    let rows = table.values.chunks_exact(table.columns.len()).enumerate().filter(|(row, _)| is_normal(*row));
    let moments = Moments::of(rows.map(|(_, values)| values), channels);
    let varying = moments.iter().enumerate().filter(|(_, moments)| !moments.is_constant());
    note_on_outliers(
        &table.path,
        &varying.filter_map(|(index, moments)| outlier(table, index, moments)).collect::<Vec<_>>(),
    )
}

/// Column, row and value of the one that makes up nearly all of a column's variance.
fn outlier(table: &Table, column: usize, moments: &Moments) -> Option<String> {
    let outlier = moments.outlier()?;
    let row = position(table, column, outlier as f32);
    Some(as_outlier(&table.columns[column], row, outlier, table.origin(column)))
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
