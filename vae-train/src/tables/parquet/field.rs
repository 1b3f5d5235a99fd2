//! Fields of a Parquet file: which columns hold numbers, and what each field is as one.

use std::{fs::File, path::Path};

use anyhow::{Context, Result, bail, ensure};
use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::DataType,
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
    schema::types::{ColumnDescPtr, Type as SchemaType},
};

use crate::{
    tables::{packed::check_unpacked, table::MAX_FEATURES},
    words::messages::{list, quoted},
};

/// Values of a column that are read at once.
const BATCH: usize = 8192;

/// What is to be done with the fields of a column.
pub(super) struct Wanted<'a> {
    pub(super) description: &'a ColumnDescPtr,
    /// How many there are to be.
    pub(super) rows: usize,
    /// What messages call a row.
    pub(super) place: &'a dyn Fn(usize) -> String,
    pub(super) take: &'a mut dyn FnMut(usize, &Field) -> Result<()>,
}

/// Gives each field of a column to who takes them; returns how many there were.
pub(super) fn each_field(reader: &mut ColumnReader, wanted: Wanted<'_>) -> Result<usize> {
    match reader {
        ColumnReader::BoolColumnReader(reader) => each_value(reader, wanted, Field::convert_bool),
        ColumnReader::Int32ColumnReader(reader) => each_value(reader, wanted, Field::convert_int32),
        ColumnReader::Int64ColumnReader(reader) => each_value(reader, wanted, Field::convert_int64),
        ColumnReader::Int96ColumnReader(reader) => each_value(reader, wanted, Field::convert_int96),
        ColumnReader::FloatColumnReader(reader) => each_value(reader, wanted, Field::convert_float),
        ColumnReader::DoubleColumnReader(reader) => each_value(reader, wanted, Field::convert_double),
        // What is no UTF-8 is refused, as are all bytes that are not said to be text.
        ColumnReader::ByteArrayColumnReader(reader) => each_value(reader, wanted, |description, value| {
            Field::convert_byte_array(description, value.clone()).unwrap_or(Field::Bytes(value))
        }),
        ColumnReader::FixedLenByteArrayColumnReader(_) => bail!("{}: bytes are no numbers", (wanted.place)(0)),
    }
}

/// Does for a column of one Parquet type what [`each_field`] does for any column.
fn each_value<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    wanted: Wanted<'_>,
    field: fn(&ColumnDescPtr, T::T) -> Field,
) -> Result<usize> {
    let Wanted { description, rows, place, take } = wanted;
    let (mut values, mut levels) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    let is_optional = description.max_def_level() > 0;
    let mut row = 0;
    while row < rows {
        values.clear();
        levels.clear();
        let most = BATCH.min(rows - row);
        let (read, ..) = reader
            .read_records(most, is_optional.then_some(&mut levels), None, &mut values)
            .with_context(|| format!("{} cannot be read", place(row)))?;
        if read == 0 {
            break;
        }
        let mut present = values.drain(..);
        for index in 0..read {
            let is_present = !is_optional || levels.get(index) == Some(&description.max_def_level());
            let value = if is_present { present.next() } else { None };
            take(row + index, &value.map_or(Field::Null, |value| field(description, value)))?;
        }
        row += read;
    }
    Ok(row)
}

/// The names of the columns, which must hold numbers, or the names of categories.
pub(super) fn names(schema: &SchemaType, path: &Path, categorical: &[String]) -> Result<Vec<String>> {
    let fields = schema.get_fields();
    ensure!(
        fields.len() <= MAX_FEATURES,
        "{} has {} columns: at most {MAX_FEATURES} fit into a model",
        path.display(),
        fields.len()
    );
    let is_read = |field: &SchemaType| match field.is_primitive().then(|| field.get_physical_type()) {
        None | Some(Type::FIXED_LEN_BYTE_ARRAY) => false,
        Some(Type::BYTE_ARRAY) => categorical.iter().any(|name| name == field.name()),
        Some(_) => true,
    };
    let others: Vec<&str> = fields.iter().filter(|field| !is_read(field)).map(|field| field.name()).collect();
    ensure!(
        others.is_empty(),
        "{}: {} column(s) hold no numbers: {}; fit with --column {} if they are categories, else leave them out when the \
         file is written",
        path.display(),
        others.len(),
        list(&others),
        quoted(format!("{}=categorical", others.first().unwrap_or(&"")))
    );
    ensure!(!fields.is_empty(), "{} has no columns", path.display());
    Ok(fields.iter().map(|field| field.name().to_owned()).collect())
}

pub(super) fn is_text(field: &SchemaType) -> bool {
    field.is_primitive() && field.get_physical_type() == Type::BYTE_ARRAY
}

/// Seconds in one unit of what [`number`] makes of a column of times; `None` for a column of plain numbers.
pub(super) fn unit(field: &SchemaType) -> Option<f64> {
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

/// Refuses what would fill the memory: a column of one value takes some bytes, however long it is.
pub(super) fn check_size(reader: &SerializedFileReader<File>, file: u64, path: &Path) -> Result<()> {
    let metadata = reader.metadata();
    let sum = |sizes: &mut dyn Iterator<Item = i64>| sizes.fold(0u64, |sum, size| sum.saturating_add(known(size)));
    let groups = metadata.row_groups();
    let pages = sum(&mut groups.iter().flat_map(|group| group.columns()).map(|column| column.uncompressed_size()));
    let rows = sum(&mut groups.iter().map(|group| group.num_rows())).max(known(metadata.file_metadata().num_rows()));
    let columns = metadata.file_metadata().schema().get_fields().len() as u64;
    let values = rows.saturating_mul(columns).saturating_mul(size_of::<f32>() as u64);
    check_unpacked(pages.max(values), file).with_context(|| path.display().to_string())
}

/// A size that a file states; more than any has for a negative one.
pub(super) fn known(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

pub(super) fn number(field: &Field) -> Option<f64> {
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
