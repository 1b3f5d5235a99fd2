//! Parquet: tables of the Apache Arrow world, with the Cargo feature `parquet`.

use std::{
    collections::HashMap,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type},
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
    schema::types::Type as SchemaType,
};

use crate::{
    tables::{
        clock::Times,
        format::check_unpacked,
        table::{MAX_FEATURES, Table, reserve},
    },
    words::{foreign::excerpt, messages::list},
};

/// Reads a Parquet file, all of whose columns must hold numbers, truth values or times (of milliseconds and microseconds as seconds
/// since 1970); nulls are values that were not observed.
///
/// # Errors
/// Names the columns that hold anything else.
pub fn read_parquet(path: &Path, label: Option<&str>) -> Result<Table> {
    let columns = parquet_columns(path)?;
    let mut values = Vec::new();
    unwound(path, || {
        each_field(path, |_, value| {
            reserve(&mut values, 1, path)?;
            values.push(value as f32);
            Ok(())
        })
    })?;
    Table::of_columns(path, columns, values, label)
}

/// Names of a Parquet file's columns.
///
/// # Errors
/// As [`read_parquet`], as far as the schema tells.
pub fn parquet_columns(path: &Path) -> Result<Vec<String>> {
    unwound(path, || columns(path))
}

/// What `read` gives; an error where it panics, as the crate does on some damaged files.
fn unwound<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| bail!("{} cannot be read as Parquet: it is damaged", path.display()))
}

fn columns(path: &Path) -> Result<Vec<String>> {
    let reader = open(path)?;
    let fields = reader.metadata().file_metadata().schema().get_fields();
    ensure!(
        fields.len() <= MAX_FEATURES,
        "{} has {} columns: at most {MAX_FEATURES} fit into a model",
        path.display(),
        fields.len()
    );
    let is_number = |field: &SchemaType| {
        let physical = field.is_primitive().then(|| field.get_physical_type());
        !matches!(physical, None | Some(Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY))
    };
    let others: Vec<&str> = fields.iter().filter(|field| !is_number(field)).map(|field| field.name()).collect();
    ensure!(
        others.is_empty(),
        "{}: {} column(s) hold no numbers: {}; leave them out when the file is written, and turn each category into a column of 0 \
         and 1",
        path.display(),
        others.len(),
        list(&others)
    );
    Ok(fields.iter().map(|field| field.name().to_owned()).collect())
}

/// The values of these columns as times, behind what `times` has of each; none of a column that the file has not.
///
/// # Errors
/// If the file cannot be read.
pub fn parquet_times(path: &Path, columns: &[impl AsRef<str>], times: &mut [Times]) -> Result<()> {
    unwound(path, || {
        let reader = open(path)?;
        let fields = reader.metadata().file_metadata().schema().get_fields();
        let fields: HashMap<&str, &SchemaType> = fields.iter().map(|field| (field.name(), &**field)).collect();
        // By the column's place in the row.
        let mut places: HashMap<&str, (usize, Option<f64>)> = HashMap::new();
        for (at, column) in columns.iter().map(AsRef::as_ref).enumerate() {
            if let Some(field) = fields.get(column) {
                let unit = unit(field);
                times[at].seconds = unit.is_some();
                places.insert(column, (at, unit));
            }
        }
        each_field(path, |name, value| {
            if let Some((at, unit)) = places.get(name) {
                times[*at].values.push(unit.unwrap_or(1.0) * value);
            }
            Ok(())
        })
    })
}

/// Seconds in one unit of what [`number`] makes of a column of times; `None` for a column of plain numbers.
fn unit(field: &SchemaType) -> Option<f64> {
    let info = field.get_basic_info();
    match info.logical_type_ref() {
        // The reader has no type for them.
        Some(LogicalType::Timestamp(time) | LogicalType::Time(time)) if time.unit == TimeUnit::NANOS => Some(1e-9),
        _ => match info.converted_type() {
            ConvertedType::DATE
            | ConvertedType::TIME_MILLIS
            | ConvertedType::TIME_MICROS
            | ConvertedType::TIMESTAMP_MILLIS
            | ConvertedType::TIMESTAMP_MICROS => Some(1.0),
            _ => (field.is_primitive() && field.get_physical_type() == Type::INT96).then_some(1.0),
        },
    }
}

/// Gives each field, row after row, with its column's name.
fn each_field(path: &Path, mut give: impl FnMut(&str, f64) -> Result<()>) -> Result<()> {
    let reader = open(path)?;
    check_size(&reader, path)?;
    let context = |row: usize| format!("{}: row {} cannot be read", path.display(), row + 1);
    for (row, record) in reader.get_row_iter(None).with_context(|| context(0))?.enumerate() {
        let record = record.with_context(|| context(row))?;
        for (name, field) in record.get_column_iter() {
            let value = number(field).with_context(|| {
                format!(
                    "{}: row {}, column `{}`: {} is not a number: convert the column",
                    path.display(),
                    row + 1,
                    excerpt(name),
                    excerpt(&field.to_string())
                )
            })?;
            give(name, value)?;
        }
    }
    Ok(())
}

/// Refuses what would fill the memory: a column of one value takes some bytes, however long it is.
fn check_size(reader: &SerializedFileReader<File>, path: &Path) -> Result<()> {
    let metadata = reader.metadata();
    let file = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    let known = |size: i64| u64::try_from(size).unwrap_or(u64::MAX);
    let pages = metadata.row_groups().iter().flat_map(|group| group.columns());
    let pages = pages.fold(0u64, |sum, column| sum.saturating_add(known(column.uncompressed_size())));
    let columns = metadata.file_metadata().schema().get_fields().len() as u64;
    let values =
        known(metadata.file_metadata().num_rows()).saturating_mul(columns).saturating_mul(size_of::<f32>() as u64);
    check_unpacked(pages.max(values), file).with_context(|| path.display().to_string())
}

fn number(field: &Field) -> Option<f64> {
    Some(match *field {
        Field::Null => f64::NAN,
        Field::Bool(value) => f64::from(u8::from(value)),
        Field::Byte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::Int(value) => value.into(),
        Field::Long(value) => value as f64,
        Field::UByte(value) => value.into(),
        Field::UShort(value) => value.into(),
        Field::UInt(value) => value.into(),
        Field::ULong(value) => value as f64,
        Field::Float(value) => value.into(),
        Field::Double(value) => value,
        Field::Date(days) => 86_400.0 * f64::from(days),
        Field::TimeMillis(value) => 1e-3 * f64::from(value),
        Field::TimestampMillis(value) => 1e-3 * value as f64,
        Field::TimeMicros(value) | Field::TimestampMicros(value) => 1e-6 * value as f64,
        _ => return None,
    })
}

fn open(path: &Path) -> Result<SerializedFileReader<File>> {
    let context = || format!("{} cannot be read as Parquet", path.display());
    SerializedFileReader::new(File::open(path).with_context(context)?).with_context(context)
}

#[cfg(test)]
mod tests {
    use parquet::schema::parser::parse_message_type;

    use super::*;

    #[test]
    fn times_are_in_seconds_whatever_the_schema_has_them_in() {
        let schema = "message m {
            REQUIRED INT64 count; REQUIRED DOUBLE time_ms; OPTIONAL INT64 old_ms (TIMESTAMP_MILLIS); OPTIONAL INT32 day (DATE);
            REQUIRED INT64 micros (TIMESTAMP(MICROS, true)); REQUIRED INT64 nanos (TIMESTAMP(NANOS, true)); REQUIRED INT96 spark;
        }";
        let schema = parse_message_type(schema).unwrap();
        let unit = |column: &str| unit(schema.get_fields().iter().find(|field| field.name() == column).unwrap());
        for (column, expected) in [
            ("count", None),
            ("time_ms", None),
            ("old_ms", Some(1.0)),
            ("day", Some(1.0)),
            ("micros", Some(1.0)),
            ("nanos", Some(1e-9)),
            ("spark", Some(1.0)),
        ] {
            assert_eq!(unit(column), expected, "{column}");
        }
    }
}
