//! Parquet: tables of the Apache Arrow world, with the Cargo feature `parquet`.

use std::{
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
    clock::Times,
    dataset::MAX_FEATURES,
    table::{Table, list},
};

/// Reads a Parquet file, all of whose columns must hold numbers, truth values or times (of milliseconds and microseconds as seconds
/// since 1970); nulls are values that were not observed.
///
/// # Errors
/// Names the columns that hold anything else.
pub fn read_parquet(path: &Path, label: Option<&str>) -> Result<Table> {
    let columns = parquet_columns(path)?;
    let mut values = Vec::new();
    unwound(path, || each_field(path, |_, value| values.push(value as f32)))?;
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

/// The values of one column as times; none for a file without it.
///
/// # Errors
/// If the file cannot be read.
pub fn parquet_times(path: &Path, column: &str) -> Result<Times> {
    let unit = unwound(path, || Ok(unit(open(path)?.metadata().file_metadata().schema(), column)))?;
    let mut values = Vec::new();
    let mut take = |name: &str, value: f64| {
        if name == column {
            values.push(unit.unwrap_or(1.0) * value);
        }
    };
    unwound(path, || each_field(path, &mut take))?;
    Ok(Times { values, seconds: unit.is_some() })
}

/// Seconds in one unit of what [`number`] makes of a column of times; `None` for a column of plain numbers.
fn unit(schema: &SchemaType, column: &str) -> Option<f64> {
    let field = schema.get_fields().iter().find(|field| field.name() == column)?;
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
fn each_field(path: &Path, mut give: impl FnMut(&str, f64)) -> Result<()> {
    let reader = open(path)?;
    let context = |row: usize| format!("{}: row {} cannot be read", path.display(), row + 1);
    for (row, record) in reader.get_row_iter(None).with_context(|| context(0))?.enumerate() {
        let record = record.with_context(|| context(row))?;
        for (name, field) in record.get_column_iter() {
            let value = number(field).with_context(|| {
                format!(
                    "{}: row {}, column `{name}`: {field} is not a number: convert the column",
                    path.display(),
                    row + 1
                )
            })?;
            give(name, value);
        }
    }
    Ok(())
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
        for (column, expected) in [
            ("count", None),
            ("time_ms", None),
            ("none", None),
            ("old_ms", Some(1.0)),
            ("day", Some(1.0)),
            ("micros", Some(1.0)),
            ("nanos", Some(1e-9)),
            ("spark", Some(1.0)),
        ] {
            assert_eq!(unit(&schema, column), expected, "{column}");
        }
    }
}
