//! Tables whose numbers are in memory already, taken as those of a file are.

use std::path::Path;

use anyhow::{Result, bail};

use crate::tables::{
    origin::Origins,
    recording::{Label, Recording},
    table::Table,
};

/// Rows of so many columns that [`origins_of`] decides by: fewer only where there are no more.
#[must_use]
pub fn deciding_rows(columns: usize) -> usize {
    Origins::new(columns).rows()
}

/// What is to be subtracted from each column in 64 bits before its values become `f32`, decided by the first rows, one behind the other, as it is
/// when a file is read; 0 where nothing is.
#[must_use]
pub fn origins_of(first_rows: &[f64], columns: usize) -> Vec<f64> {
    let mut origins = Origins::new(columns);
    for (index, value) in first_rows.iter().enumerate() {
        origins.relative(index % columns.max(1), *value as f32, || *value);
    }
    origins.decide(|_, _| {});
    (0..columns).map(|column| origins.of(column)).collect()
}

/// A value as it stands in a [`Table`] whose column has this origin.
#[must_use]
pub fn relative(value: f64, origin: f64) -> f32 {
    if origin == 0.0 { value as f32 } else { (value - origin) as f32 }
}

/// A table of values that are [`relative`] to these origins, row after row, NaN for what is missing; `name` is what messages call it, and `first` the
/// row that its first one is, counted from 0.
///
/// # Errors
/// If there are no rows, a name is none, or a value is infinite or beyond the range of `f32`.
pub fn table_of(name: &Path, columns: Vec<String>, values: Vec<f32>, origins: &[f64], first: usize) -> Result<Table> {
    if let Some(index) = values.iter().position(|value| value.is_infinite()) {
        let (row, column) = (first + index / columns.len(), &columns[index % columns.len()]);
        bail!(
            "{}: row {}, column `{column}` is infinite or beyond the range of 32-bit numbers (±3.4e38): rescale the column, or give NaN if \
             the value is missing",
            name.display(),
            row + 1
        );
    }
    let mut table = Recording::of_columns(name, columns, values, Label::None)?.table;
    table.origins = if origins.iter().any(|origin| *origin != 0.0) { origins.to_vec() } else { Vec::new() };
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{open::open, reading::Reading};

    /// Three columns: of small numbers, of small changes beside a large value, and one with gaps.
    fn values(rows: usize) -> Vec<f64> {
        let gap = |row: usize| if row.is_multiple_of(7) { f64::NAN } else { row as f64 };
        (0..rows).flat_map(|row| [(row % 13) as f64 / 13.0, 1e9 + 0.01 * (row % 300) as f64, gap(row)]).collect()
    }

    #[test]
    fn a_table_in_memory_is_what_its_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        for rows in [3, 100, 20_000] {
            let values = values(rows);
            let mut text = "a,b,c\n".to_owned();
            for row in values.chunks(3) {
                text += &format!("{},{},{}\n", row[0], row[1], row[2]);
            }
            std::fs::write(&path, text).unwrap();
            let reading = Reading { keep: vec!["c".to_owned()], ..Reading::default() };
            let expected = open(&path, Label::None, &reading, |_, _| {}).unwrap().table;

            let first = &values[..values.len().min(3 * deciding_rows(3))];
            let origins = origins_of(first, 3);
            let taken = values.iter().enumerate().map(|(index, value)| relative(*value, origins[index % 3]));
            let columns = expected.columns.clone();
            let found = table_of(Path::new("X"), columns, taken.collect(), &origins, 0).unwrap();
            assert_eq!(found.origins, expected.origins);
            let bits = |table: &Table| table.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found), bits(&expected), "{rows} rows");
            assert!(rows < 4 || found.origins[1] != 0.0);
        }
    }

    #[test]
    fn what_no_table_holds_is_named_by_its_row() {
        let columns = vec!["a".to_owned(), "b".to_owned()];
        let table = |values: Vec<f32>| table_of(Path::new("X"), columns.clone(), values, &[], 10);
        let message = table(vec![0.0, 1.0, 2.0, f32::INFINITY]).unwrap_err().to_string();
        assert!(message.starts_with("X: row 12, column `b` is infinite"), "{message}");
        assert!(table(Vec::new()).is_err());
        assert!(table(vec![1.0, f32::NAN]).unwrap().origins.is_empty());
    }
}
