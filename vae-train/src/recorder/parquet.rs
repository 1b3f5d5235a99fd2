//! A recording as Parquet, with the Cargo feature `parquet`: the time as a double, the channels as floats.

use std::{path::Path, sync::Arc};

use anyhow::Result;
use parquet::{
    basic::{Compression, Repetition, Type as Physical},
    data_type::{DoubleType, FloatType},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::Type,
};

use crate::{
    recorder::rows::{Rows, TIME},
    words::output::{Existing, Pending},
};

/// Rows that are held in memory and written as a group.
const GROUP: usize = 1 << 16;

/// Writes the rows of `part` as Parquet.
///
/// # Errors
/// If the file exists and must be kept, or cannot be written.
pub(super) fn write_parquet(part: &Path, path: &Path, existing: Existing) -> Result<()> {
    let mut rows = Rows::open(part)?;
    let names = rows.names()?;
    let field = |name: &str, of: Physical| {
        Type::primitive_type_builder(name, of).with_repetition(Repetition::REQUIRED).build().map(Arc::new)
    };
    let mut fields = vec![field(TIME, Physical::DOUBLE)?];
    for name in &names {
        fields.push(field(name, Physical::FLOAT)?);
    }
    let schema = Arc::new(Type::group_type_builder("recording").with_fields(fields).build()?);
    let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
    let pending = Pending::write_to(path, existing, |out| {
        let mut writer = SerializedFileWriter::new(out, schema, properties)?;
        let mut row = Vec::new();
        loop {
            let (mut times, mut columns) = (Vec::new(), vec![Vec::new(); names.len()]);
            while times.len() < GROUP
                && let Some(time) = rows.next(&mut row)?
            {
                times.push(time);
                columns.iter_mut().zip(&row).for_each(|(column, value)| column.push(*value));
            }
            if times.is_empty() {
                break;
            }
            let mut group = writer.next_row_group()?;
            write_columns(&mut group, &times, &columns)?;
            group.close()?;
        }
        writer.close()?;
        Ok(())
    })?;
    pending.publish()
}

fn write_columns<W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    times: &[f64],
    columns: &[Vec<f32>],
) -> Result<()> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<DoubleType>().write_batch(times, None, None)?;
        column.close()?;
    }
    for values in columns {
        if let Some(mut column) = group.next_column()? {
            column.typed::<FloatType>().write_batch(values, None, None)?;
            column.close()?;
        }
    }
    Ok(())
}
