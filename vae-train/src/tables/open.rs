//! Opening a file that holds a table.

use std::path::Path;

use anyhow::Result;
#[cfg(not(feature = "parquet"))]
use anyhow::bail;

#[cfg(feature = "parquet")]
use crate::tables::parquet::read_parquet;
use crate::tables::{
    csv::read_csv,
    format::TableFormat,
    idx::read_idx,
    npy::read_npy,
    npz::read_npz,
    reading::Reading,
    recording::{Label, Recording},
    roles::examined,
    source::Source,
    table::Table,
    wav::read_wav,
};

/// Reads a file of any format, once from its beginning to its end; `-` is standard input. A text has a header, perhaps behind other lines, then
/// rows of numbers, separated by commas, semicolons, tabs, bars or blanks; fields may be quoted, and without commas between them have a
/// decimal comma. An empty field, `NaN`, `NA` and their like are missing values, as are fields that are no numbers; which columns have such
/// fields is kept. `watch` is told now and then how many rows, and what part of the file, have been read; no part of a pipe.
///
/// # Errors
/// Names the file, and for a bad row or label its place.
pub fn open(
    path: &Path,
    label: Label<'_>,
    reading: &Reading,
    watch: impl FnMut(usize, Option<f64>),
) -> Result<Recording> {
    examined(read(Source::open(path)?, label, reading, watch)?, reading)
}

/// Reads all of a source, before it is known what its columns are for.
pub(crate) fn read(
    source: Source,
    label: Label<'_>,
    reading: &Reading,
    watch: impl FnMut(usize, Option<f64>),
) -> Result<Recording> {
    match source.format {
        TableFormat::Csv => read_csv(source, label, reading, watch),
        TableFormat::Idx => read_idx(source),
        TableFormat::Npy => read_npy(source, label),
        TableFormat::Npz => read_npz(source, label),
        TableFormat::Wav => read_wav(source, label),
        #[cfg(feature = "parquet")]
        TableFormat::Parquet => read_parquet(source, label, reading),
        #[cfg(not(feature = "parquet"))]
        TableFormat::Parquet => bail!(
            "{} is Parquet, which this program was built without: build it with `cargo build --release -p vae-train --features parquet`, \
             or save the table as CSV",
            source.name.display()
        ),
    }
}

impl Table {
    /// Reads a table, all of whose fields are numbers or missing.
    ///
    /// # Errors
    /// If the file cannot be read as a table, or a field is no number: names the first one.
    pub fn read(path: &Path, label: Option<&str>) -> Result<Self> {
        open(path, label.into(), &Reading::default(), |_, _| {})?.numbers()
    }
}
