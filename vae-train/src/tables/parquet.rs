//! Parquet: tables of the Apache Arrow world, with the Cargo feature `parquet`.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

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
    tables::{
        category::Numbering,
        fields::{self, Fields},
        growth::{Expected, reserve},
        origin::Origins,
        packed::check_unpacked,
        reading::Reading,
        recording::{Label, Recording},
        rows::numbered,
        source::Source,
        table::MAX_FEATURES,
        time_unit::is_name,
        times::Times,
    },
    words::{
        foreign::excerpt,
        messages::{list, quoted},
    },
};

/// Values of a column that are read at once.
const BATCH: usize = 8192;

/// Reads a Parquet file, all of whose columns must hold numbers, truth values or times (of milliseconds and microseconds as seconds
/// since 1970), but those of categories, which may hold names; nulls are values that were not observed.
///
/// # Errors
/// Names the columns that hold anything else.
pub(crate) fn read_parquet(source: Source, label: Label<'_>, reading: &Reading) -> Result<Recording> {
    let path = source.name.clone();
    let (file, bytes) = source.into_file()?;
    // The crate panics on some damaged files.
    let read = catch_unwind(AssertUnwindSafe(|| Columns::read(file, bytes, &path, reading)));
    let read = read.unwrap_or_else(|_| bail!("{} cannot be read as Parquet: it is damaged", path.display()))?;
    let Columns { names, mut values, mut origins, times, categories, .. } = read;
    let width = names.len();
    for (column, origins) in origins.iter_mut().enumerate() {
        origins.decide(|row, value| values[row * width + column] = value);
    }
    let origins: Vec<f64> = origins.iter().map(|column| column.of(0)).collect();
    let times = names.iter().cloned().zip(times).filter_map(|(name, times)| Some((name, times?))).collect();
    let recording = Recording::of_columns(&path, names, values, label)?;
    let recording =
        if origins.iter().any(|origin| *origin != 0.0) { recording.with_origins(&origins) } else { recording };
    let categories = categories.into_iter().flatten().map(|numbering| numbering.categories).collect();
    Ok(Recording { times, categories, ..recording })
}

/// What the columns of a file hold.
struct Columns {
    names: Vec<String>,
    /// Row after row.
    values: Vec<f32>,
    /// Of each column its own.
    origins: Vec<Origins>,
    /// Of the columns that are named like clocks.
    times: Vec<Option<Times>>,
    /// Of the columns of names.
    categories: Vec<Option<Numbering>>,
    /// What stands for a missing name.
    fields: Fields,
}

impl Columns {
    /// Reads a file of so many bytes column after column, as the values lie in it, so that a page of one column is in memory at a time.
    fn read(file: File, bytes: u64, path: &Path, reading: &Reading) -> Result<Self> {
        let file =
            SerializedFileReader::new(file).with_context(|| format!("{} cannot be read as Parquet", path.display()))?;
        let schema = file.metadata().file_metadata().schema();
        let names = names(schema, path, &reading.categorical)?;
        check_size(&file, bytes, path)?;
        let clock = |field: &SchemaType| {
            let dates = unit(field).is_some();
            (dates || is_name(field.name())).then(|| Times { seconds: dates, dates, ..Times::default() })
        };
        let times = schema.get_fields().iter().map(|field| clock(field)).collect();
        let origins = vec![Origins::new(1); names.len()];
        let numbering = |field: &SchemaType| is_text(field).then(|| Numbering::of(field.name()));
        let categories = schema.get_fields().iter().map(|field| numbering(field)).collect();
        let fields = Fields::new(false, &reading.missing);
        let mut columns = Self { names, values: Vec::new(), origins, times, categories, fields };
        let rows: usize = file.metadata().row_groups().iter().map(|group| known(group.num_rows()) as usize).sum();
        for group in 0..file.num_row_groups() {
            columns.read_group(&file, group, rows, path)?;
        }
        Ok(columns)
    }

    /// Reads a group of rows, of a table of so many `rows` in all, behind those that are there.
    fn read_group(
        &mut self,
        reader: &SerializedFileReader<File>,
        group: usize,
        rows: usize,
        path: &Path,
    ) -> Result<()> {
        let width = self.names.len();
        let before = self.values.len() / width;
        let context = || format!("{}: the rows from {} on cannot be read", path.display(), before + 1);
        let group = reader.get_row_group(group).with_context(context)?;
        let own = known(group.metadata().num_rows()) as usize;
        reserve(&mut self.values, own * width, || Expected::Count(rows * width), path)?;
        self.values.resize((before + own) * width, f32::NAN);
        for (column, name) in self.names.iter().enumerate() {
            let description = group.metadata().schema_descr().column(column);
            let field = reader.metadata().file_metadata().schema().get_fields();
            let unit = field.get(column).and_then(|field| unit(field)).unwrap_or(1.0);
            let place =
                |row: usize| format!("{}: row {}, column `{}`", path.display(), before + row + 1, excerpt(name));
            ensure!(description.max_rep_level() == 0, "{}: a list is not a number: convert the column", place(0));
            let (values, times, origins) = (&mut self.values, &mut self.times[column], &mut self.origins[column]);
            let (numbering, fields) = (&mut self.categories[column], &self.fields);
            let mut take = |row: usize, field: &Field| -> Result<()> {
                if let (Some(numbering), Field::Str(name)) = (&mut *numbering, field) {
                    let parsed = fields.parse(name.as_bytes());
                    if matches!(parsed, fields::Field::Number(_) | fields::Field::Text) {
                        values[(before + row) * width + column] = numbered(numbering, fields, name.as_bytes(), parsed)?;
                    }
                    return Ok(());
                }
                let value = number(field).with_context(|| {
                    format!("{}: {} is not a number: convert the column", place(row), excerpt(&field.to_string()))
                })?;
                values[(before + row) * width + column] = origins.relative(0, value as f32, || value);
                origins.row_ends(|row, value| values[row * width + column] = value);
                if let Some(times) = times {
                    times.values.push(unit * value);
                }
                Ok(())
            };
            let reader = group.get_column_reader(column).with_context(context)?;
            let wanted = Wanted { description: &description, rows: own, place: &place, take: &mut take };
            let count = each_field(reader, wanted)?;
            ensure!(count == own, "{}: the column ends here, before its {own} rows: the file is damaged", place(count));
        }
        Ok(())
    }
}

/// What is to be done with the fields of a column.
struct Wanted<'a> {
    description: &'a ColumnDescPtr,
    /// How many there are to be.
    rows: usize,
    /// What messages call a row.
    place: &'a dyn Fn(usize) -> String,
    take: &'a mut dyn FnMut(usize, &Field) -> Result<()>,
}

/// Gives each field of a column to who takes them; returns how many there were.
fn each_field(reader: ColumnReader, wanted: Wanted<'_>) -> Result<usize> {
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
    mut reader: ColumnReaderImpl<T>,
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
fn names(schema: &SchemaType, path: &Path, categorical: &[String]) -> Result<Vec<String>> {
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

fn is_text(field: &SchemaType) -> bool {
    field.is_primitive() && field.get_physical_type() == Type::BYTE_ARRAY
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

/// Refuses what would fill the memory: a column of one value takes some bytes, however long it is.
fn check_size(reader: &SerializedFileReader<File>, file: u64, path: &Path) -> Result<()> {
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
fn known(size: i64) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parquet::{
        data_type::{ByteArray, ByteArrayType, DoubleType},
        file::writer::SerializedFileWriter,
        schema::parser::parse_message_type,
    };

    use super::*;

    #[test]
    fn a_column_of_names_is_read_where_it_is_one_of_categories() {
        let schema = "message m { OPTIONAL BYTE_ARRAY state (UTF8); REQUIRED DOUBLE x; }";
        let place = tempfile::NamedTempFile::with_suffix(".parquet").unwrap();
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(place.reopen().unwrap(), schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let names = ["run", "idle", "run", "NA", "on hold"].map(ByteArray::from);
        column.typed::<ByteArrayType>().write_batch(&names, Some(&[1, 1, 0, 1, 1, 1]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();

        let read = |categorical: &[&str]| {
            let categorical = categorical.iter().map(|name| (*name).to_owned()).collect();
            let reading = Reading { categorical, ..Reading::default() };
            read_parquet(Source::open(place.path()).unwrap(), Label::None, &reading)
        };
        let found = read(&["state"]).unwrap();
        assert_eq!(found.categories[0].names, ["run", "idle", "on hold"]);
        let states: Vec<f32> = found.table.values.iter().step_by(2).copied().collect();
        assert!(states[2].is_nan() && states[4].is_nan(), "{states:?}");
        assert_eq!([states[0], states[1], states[3], states[5]], [0.0, 1.0, 0.0, 2.0]);
        let message = read(&[]).unwrap_err().to_string();
        assert!(
            message.contains("1 column(s) hold no numbers: `state`; fit with --column state=categorical"),
            "{message}"
        );
    }

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
