//! Parquet: tables of the Apache Arrow world, with the Cargo feature `parquet`.

mod field;
pub(crate) mod row_groups;

use std::{
    fs::File,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use parquet::{
    column::reader::ColumnReader,
    file::reader::{FileReader, SerializedFileReader},
    record::Field,
    schema::types::Type as SchemaType,
};

use crate::{
    tables::{
        category::Numbering,
        fields::{self, Fields},
        growth::{Expected, reserve},
        origin::Origins,
        parquet::field::{Wanted, check_size, each_field, is_text, known, names, number, unit},
        reading::Reading,
        recording::{Label, Recording},
        rows::numbered,
        source::Source,
        time_unit::is_name,
        times::Times,
    },
    words::foreign::excerpt,
};

/// Reads a Parquet file, all of whose columns must hold numbers, truth values or times (of milliseconds and microseconds as seconds
/// since 1970), but those of categories, which may hold names; nulls are values that were not observed.
///
/// # Errors
/// Names the columns that hold anything else.
pub(crate) fn read_parquet(source: Source, label: Label<'_>, reading: &Reading) -> Result<Recording> {
    let path = source.name.clone();
    guarded(&path, || {
        let (file, mut columns) = Columns::open(source, reading)?;
        for group in 0..file.num_row_groups() {
            columns.read_group(&file, group)?;
        }
        columns.recording(label)
    })
}

/// Does what reads a file; some damaged files make the crate panic.
pub(super) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let read = catch_unwind(AssertUnwindSafe(read));
    read.unwrap_or_else(|_| bail!("{} cannot be read as Parquet: it is damaged", path.display()))
}

/// What the columns of a file hold.
pub(super) struct Columns {
    path: PathBuf,
    names: Vec<String>,
    /// Rows of the whole file.
    rows: usize,
    /// Rows before those that are here.
    before: usize,
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
    /// Opens a file, whose columns hold nothing yet.
    pub(super) fn open(source: Source, reading: &Reading) -> Result<(SerializedFileReader<File>, Self)> {
        let path = source.name.clone();
        let (file, bytes) = source.into_file()?;
        let file =
            SerializedFileReader::new(file).with_context(|| format!("{} cannot be read as Parquet", path.display()))?;
        let schema = file.metadata().file_metadata().schema();
        let names = names(schema, &path, &reading.categorical)?;
        check_size(&file, bytes, &path)?;
        let clock = |field: &SchemaType| {
            let dates = unit(field).is_some();
            (dates || is_name(field.name())).then(|| Times { seconds: dates, dates, ..Times::default() })
        };
        let times = schema.get_fields().iter().map(|field| clock(field)).collect();
        let origins = vec![Origins::new(1); names.len()];
        let numbering = |field: &SchemaType| is_text(field).then(|| Numbering::of(field.name()));
        let categories = schema.get_fields().iter().map(|field| numbering(field)).collect();
        let fields = Fields::new(false, &reading.missing);
        let rows = file.metadata().row_groups().iter().map(|group| known(group.num_rows()) as usize).sum();
        let columns = Self { path, names, rows, before: 0, values: Vec::new(), origins, times, categories, fields };
        Ok((file, columns))
    }

    /// Reads a group of rows behind those that are there, column after column, as the values lie in it, so that a page of one column is in
    /// memory at a time.
    fn read_group(&mut self, reader: &SerializedFileReader<File>, group: usize) -> Result<()> {
        let context = self.context();
        let group = reader.get_row_group(group).with_context(&context)?;
        let own = known(group.metadata().num_rows()) as usize;
        let first = self.make_room(own)?;
        for column in 0..self.names.len() {
            let mut values = group.get_column_reader(column).with_context(&context)?;
            self.read_column(reader, &mut values, column, first..first + own)?;
        }
        Ok(())
    }

    /// What an error of the next rows is said of.
    pub(super) fn context(&self) -> impl Fn() -> String + use<> {
        let row = self.before + self.here() + 1;
        let path = self.path.clone();
        move || format!("{}: the rows from {row} on cannot be read", path.display())
    }

    /// Room for so many more rows; returns how many there are.
    pub(super) fn make_room(&mut self, more: usize) -> Result<usize> {
        let width = self.names.len();
        let there = self.here();
        let all = (self.rows - self.rows.min(self.before)) * width;
        reserve(&mut self.values, more * width, || Expected::Count(all), &self.path)?;
        self.values.resize((there + more) * width, f32::NAN);
        Ok(there)
    }

    /// Reads these rows of a column, for which there is room, as the next values of its reader.
    pub(super) fn read_column(
        &mut self,
        reader: &SerializedFileReader<File>,
        values: &mut ColumnReader,
        column: usize,
        rows: Range<usize>,
    ) -> Result<()> {
        let metadata = reader.metadata().file_metadata();
        let description = metadata.schema_descr().column(column);
        let unit = metadata.schema().get_fields().get(column).and_then(|field| unit(field)).unwrap_or(1.0);
        let (path, name, width) = (&self.path, &self.names[column], self.names.len());
        let (own, first, before) = (rows.len(), rows.start, self.before + rows.start);
        let place = |row: usize| format!("{}: row {}, column `{}`", path.display(), before + row + 1, excerpt(name));
        ensure!(description.max_rep_level() == 0, "{}: a list is not a number: convert the column", place(0));
        let (read, times, origins) = (&mut self.values, &mut self.times[column], &mut self.origins[column]);
        let (numbering, fields) = (&mut self.categories[column], &self.fields);
        let mut take = |row: usize, field: &Field| -> Result<()> {
            let at = (first + row) * width + column;
            if let (Some(numbering), Field::Str(name)) = (&mut *numbering, field) {
                let parsed = fields.parse(name.as_bytes());
                if matches!(parsed, fields::Field::Number(_) | fields::Field::Text) {
                    read[at] = numbered(numbering, fields, name.as_bytes(), parsed)?;
                }
                return Ok(());
            }
            let value = number(field).with_context(|| {
                format!("{}: {} is not a number: convert the column", place(row), excerpt(&field.to_string()))
            })?;
            read[at] = origins.relative(0, value as f32, || value);
            origins.row_ends(|row, value| read[row * width + column] = value);
            if let Some(times) = times {
                times.values.push(unit * value);
            }
            Ok(())
        };
        let wanted = Wanted { description: &description, rows: own, place: &place, take: &mut take };
        let count = each_field(values, wanted)?;
        ensure!(count == own, "{}: the column ends here, before its {own} rows: the file is damaged", place(count));
        Ok(())
    }

    /// How many rows are here, the last one of the rows before them among them.
    pub(super) fn here(&self) -> usize {
        self.values.len() / self.names.len()
    }

    /// The part of the file's rows that are here or have been.
    pub(super) fn part(&self) -> f64 {
        (self.before + self.here()) as f64 / self.rows.max(1) as f64
    }

    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        self.names.len()
    }

    /// Takes the rows that are here as a recording; the last of them stays, and those behind it come behind it.
    pub(super) fn portion(&mut self, label: Label<'_>) -> Result<Recording> {
        let width = self.names.len();
        for (column, origins) in self.origins.iter_mut().enumerate() {
            let values = &mut self.values;
            origins.decide(|row, value| values[row * width + column] = value);
        }
        let last = self.values.len().saturating_sub(width);
        let next = Self {
            path: self.path.clone(),
            names: self.names.clone(),
            rows: self.rows,
            before: self.before + last / width,
            values: self.values[last..].to_vec(),
            origins: self.origins.clone(),
            times: self.times.iter().map(|times| times.as_ref().map(going_on)).collect(),
            categories: self.categories.clone(),
            fields: self.fields.clone(),
        };
        std::mem::replace(self, next).recording(label)
    }

    fn recording(self, label: Label<'_>) -> Result<Recording> {
        let Self { path, names, mut values, mut origins, times, categories, .. } = self;
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
}

/// The last of these times alone.
fn going_on(times: &Times) -> Times {
    Times { values: times.values.last().copied().into_iter().collect(), question: times.question.clone(), ..*times }
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
}
