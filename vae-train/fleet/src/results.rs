//! Results as files: CSV, JSON lines or Parquet.

use std::{borrow::Cow, io::Write, mem, path::Path, sync::Arc};

use anyhow::{Result, bail};
use datafusion::{
    arrow::{
        array::{ArrayRef, AsArray, RecordBatch, StringArray},
        compute::{cast, is_null, nullif},
        csv::{Writer as CsvWriter, WriterBuilder},
        datatypes::{DataType, Field, Schema, SchemaRef},
        json::LineDelimitedWriter,
    },
    execution::SendableRecordBatchStream,
    parquet::{arrow::ArrowWriter, basic::Compression, file::properties::WriterProperties},
};
use futures::StreamExt;
use tokio::runtime::Runtime;

use crate::words::{
    foreign::guarded,
    output::{Existing, write_file},
};

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A header and rows; a struct's fields are columns, `judged.score`.
    Csv,
    /// An object a line.
    Json,
    /// Parquet, compressed by Snappy.
    Parquet,
}

impl Format {
    /// By the ending of a file's name.
    ///
    /// # Errors
    /// If it is none of `.csv`, `.json`, `.ndjson`, `.jsonl` and `.parquet`.
    pub fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("json" | "ndjson" | "jsonl") => Ok(Self::Json),
            Some("parquet") => Ok(Self::Parquet),
            _ => bail!("{}: results are written as .csv, .json (an object a line) or .parquet", path.display()),
        }
    }
}

/// Writes a stream's rows to a file, which is there once all are written; returns how many there were.
///
/// # Errors
/// If the query fails, or the file exists and must be kept, or cannot be written.
pub fn write(runtime: &Runtime, stream: SendableRecordBatchStream, path: &Path, existing: Existing) -> Result<u64> {
    let format = Format::of(path)?;
    let mut rows = 0;
    write_file(path, existing, |out| {
        rows = write_to(runtime, stream, format, out)?;
        Ok(())
    })?;
    Ok(rows)
}

/// Writes a stream's rows; returns how many there were.
///
/// # Errors
/// If the query fails or nothing can be written.
pub fn write_to(
    runtime: &Runtime,
    mut stream: SendableRecordBatchStream,
    format: Format,
    out: &mut dyn Write,
) -> Result<u64> {
    let mut writer = Writer::new(format, stream.schema(), out)?;
    let mut rows = 0;
    while let Some(batch) = runtime.block_on(stream.next()) {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch)?;
    }
    writer.finish()?;
    Ok(rows)
}

enum Writer<'w> {
    Csv(Box<CsvWriter<&'w mut dyn Write>>),
    Json(LineDelimitedWriter<&'w mut dyn Write>),
    /// What is encoded lies in memory until it is taken from there: Parquet's writer asks for a file that may go to another thread.
    Parquet(Box<ArrowWriter<Vec<u8>>>, &'w mut dyn Write),
}

impl<'w> Writer<'w> {
    fn new(format: Format, schema: SchemaRef, out: &'w mut dyn Write) -> Result<Self> {
        Ok(match format {
            Format::Csv => Self::Csv(Box::new(WriterBuilder::new().build(out))),
            Format::Json => Self::Json(LineDelimitedWriter::new(out)),
            Format::Parquet => {
                let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
                Self::Parquet(Box::new(ArrowWriter::try_new(Vec::new(), schema, Some(properties))?), out)
            }
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Csv(writer) => writer.write(&flat(batch)?)?,
            Self::Json(writer) => writer.write(batch)?,
            Self::Parquet(writer, out) => {
                writer.write(batch)?;
                out.write_all(&mem::take(writer.inner_mut()))?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Csv(_) => {}
            Self::Json(mut writer) => writer.finish()?,
            Self::Parquet(writer, out) => out.write_all(&writer.into_inner()?)?,
        }
        Ok(())
    }
}

/// A batch whose structs are columns of their fields, for CSV has none; no text of it is taken for a formula by a spreadsheet.
fn flat(batch: &RecordBatch) -> Result<RecordBatch> {
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        flatten(field.name(), column, &mut fields, &mut columns)?;
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn flatten(name: &str, column: &ArrayRef, fields: &mut Vec<Field>, columns: &mut Vec<ArrayRef>) -> Result<()> {
    if let Some(structs) = column.as_struct_opt() {
        let is_absent = is_null(structs)?;
        for (field, child) in structs.fields().iter().zip(structs.columns()) {
            // A struct that is null hides its fields' values.
            flatten(&format!("{name}.{}", field.name()), &nullif(child, &is_absent)?, fields, columns)?;
        }
        return Ok(());
    }
    let is_text = match column.data_type() {
        DataType::Dictionary(_, values) => values.is_string(),
        found => found.is_string(),
    };
    let column = if is_text { texts(column)? } else { Arc::clone(column) };
    fields.push(Field::new(guarded(name), column.data_type().clone(), true));
    columns.push(column);
    Ok(())
}

fn texts(column: &ArrayRef) -> Result<ArrayRef> {
    let column = cast(column, &DataType::Utf8)?;
    let texts = column.as_string::<i32>();
    let is_plain = texts.iter().flatten().all(|text| matches!(guarded(text), Cow::Borrowed(_)));
    if is_plain {
        return Ok(column);
    }
    Ok(Arc::new(texts.iter().map(|text| text.map(guarded)).collect::<StringArray>()))
}
