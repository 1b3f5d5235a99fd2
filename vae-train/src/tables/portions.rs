//! Files of any size as one table, of which some rows at a time are in memory.
//!
//! What a file's columns are for, what is subtracted from them, and which word of the label marks an anomaly is told by its first portion. Where
//! recordings end is told in each: a gap is what is long beside the intervals of the portion that it is in.

use std::{
    path::{Path, PathBuf},
    vec,
};

use anyhow::{Result, bail};

#[cfg(feature = "parquet")]
use crate::tables::parquet::row_groups::RowGroups;
use crate::tables::{
    csv_text::Text,
    format::TableFormat,
    labels::LabelColumn,
    meant::meant,
    open::read,
    origin::Origins,
    reading::Reading,
    recording::{Label, Recording},
    roles::{Roles, examined},
    several::{Head, name_the_file},
    source::Source,
};

/// Fewest and most rows of a portion.
const ROWS: [usize; 2] = [1 << 10, 1 << 20];

/// Some rows of a file, one behind the other.
#[derive(Clone, Debug)]
pub struct Portion {
    /// Them, with what is known of the file; no recording is said to begin with the first of them.
    pub recording: Recording,
    /// Whether one does, as with the first row of each file.
    pub begins: bool,
    /// The row of the file that the first of them is, counted from 0.
    pub first_row: usize,
    /// The part of the file that has been read, from 0 to 1; `None` for a pipe.
    pub part: Option<f64>,
}

/// Files as one table, read portion by portion.
pub struct Portions<'a> {
    given: Vec<PathBuf>,
    files: usize,
    paths: vec::IntoIter<PathBuf>,
    label: Label<'a>,
    reading: Reading,
    bytes: usize,
    /// What the first file began with.
    head: Option<Head>,
    open: Option<Open>,
}

impl<'a> Portions<'a> {
    /// What a user gives, as [`open_all`](crate::tables::several::open_all) has it; the values of a portion take about so many `bytes`. Files other
    /// than texts and Parquet are one portion, as are all where the reading needs to see all rows: for groups, which may be mixed, and intervals
    /// of a clock.
    ///
    /// # Errors
    /// If there are no such files.
    pub fn open(given: &[PathBuf], label: Label<'a>, reading: &Reading, bytes: usize) -> Result<Self> {
        let paths = meant(given)?;
        if paths.is_empty() {
            bail!("no file is given");
        }
        Ok(Self {
            given: given.to_owned(),
            files: paths.len(),
            paths: paths.into_iter(),
            label,
            reading: reading.clone(),
            bytes,
            head: None,
            open: None,
        })
    }

    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// What messages call the files, of so many pieces; the file itself where there is one.
    #[must_use]
    pub fn name(&self, pieces: usize) -> PathBuf {
        match (self.files, &self.head) {
            (1, Some(head)) => head.path().to_owned(),
            _ => crate::tables::several::name(&self.given, self.files, pieces),
        }
    }

    /// Whether the first file is one portion, whatever its size.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn is_read_whole(&mut self) -> Result<bool> {
        if self.open.is_none() && self.head.is_none() {
            self.open_next()?;
        }
        Ok(self.open.as_ref().is_some_and(|open| matches!(open.input, Input::Whole(_))))
    }

    /// Opens the next file; whether there is one.
    fn open_next(&mut self) -> Result<bool> {
        let path = self.paths.next();
        self.open = path.map(|path| Open::new(&path, self.label, &self.reading)).transpose()?;
        Ok(self.open.is_some())
    }

    /// The next rows; `None` behind the last of the last file. `watch` is told now and then how many rows, and what part of the file, have been
    /// read.
    ///
    /// # Errors
    /// If a file cannot be read, or does not belong to those before it: names the file, and the place.
    pub fn next(&mut self, watch: &mut dyn FnMut(usize, Option<f64>)) -> Result<Option<Portion>> {
        loop {
            let Some(open) = &mut self.open else {
                if self.open_next()? {
                    continue;
                }
                return Ok(None);
            };
            let Some(mut portion) = open.next(self.label, &self.reading, self.bytes, watch)? else {
                self.open = None;
                continue;
            };
            if portion.first_row == 0 {
                match &self.head {
                    Some(head) => head.check(&portion.recording)?,
                    None => self.head = Some(Head::of(&portion.recording)),
                }
            }
            if self.files > 1 {
                name_the_file(&mut portion.recording);
            }
            return Ok(Some(portion));
        }
    }
}

/// A file that is being read.
struct Open {
    input: Input,
    /// What its columns are for; none before the first portion.
    roles: Option<Roles>,
    /// Rows that have been read.
    rows: usize,
    is_at_end: bool,
}

enum Input {
    /// With the origins that its first rows have told.
    Text(Box<Text>, Option<Origins>),
    #[cfg(feature = "parquet")]
    RowGroups(Box<RowGroups>),
    /// All of it is one portion.
    Whole(Option<Source>),
}

impl Open {
    fn new(path: &Path, label: Label<'_>, reading: &Reading) -> Result<Self> {
        let source = Source::open(path)?;
        let needs_all = reading.group.is_some() || reading.label_intervals.is_some();
        let input = match source.format {
            _ if needs_all => Input::Whole(Some(source)),
            TableFormat::Csv => Input::Text(Box::new(Text::open(source, label, reading)?), None),
            #[cfg(feature = "parquet")]
            TableFormat::Parquet => Input::RowGroups(Box::new(RowGroups::open(source, reading)?)),
            _ => Input::Whole(Some(source)),
        };
        Ok(Self { input, roles: None, rows: 0, is_at_end: false })
    }

    fn next(
        &mut self,
        label: Label<'_>,
        reading: &Reading,
        bytes: usize,
        watch: &mut dyn FnMut(usize, Option<f64>),
    ) -> Result<Option<Portion>> {
        if self.is_at_end {
            return Ok(None);
        }
        let is_first = self.roles.is_none();
        let Some(mut recording) = self.read(label, reading, bytes, watch)? else { return Ok(None) };
        let begins = match &self.roles {
            None => {
                let said = recording.labels.as_ref().map(LabelColumn::words);
                recording = examined(recording, reading)?;
                self.roles = Some(Roles::of(&recording, said, reading));
                true
            }
            Some(roles) => {
                recording = roles.examined(recording)?;
                without_first_row(&mut recording)
            }
        };
        let first_row = self.rows;
        self.rows += recording.table.rows();
        if is_first && !self.is_at_end {
            recording.notes.push(format!(
                "{}: what its columns are for is told by its first {} rows",
                recording.table.path.display(),
                recording.table.rows()
            ));
        }
        Ok(Some(Portion { recording, begins, first_row, part: self.part() }))
    }

    /// The next rows, behind the first portion with the last row before them; `None` where there are no others.
    fn read(
        &mut self,
        label: Label<'_>,
        reading: &Reading,
        bytes: usize,
        watch: &mut dyn FnMut(usize, Option<f64>),
    ) -> Result<Option<Recording>> {
        let is_first = self.roles.is_none();
        let most = |width: usize| (bytes / (size_of::<f32>() * width)).clamp(ROWS[0], ROWS[1]);
        match &mut self.input {
            Input::Text(text, origins) => {
                let reading = self.roles.as_ref().map_or(reading, |roles| &roles.reading);
                let mut rows = text.rows(reading);
                if let Some(origins) = origins {
                    rows = rows.with_origins(origins.clone());
                    text.take_again(&mut rows)?;
                }
                self.is_at_end = !text.take(&mut rows, most(text.names.len()), watch)?;
                if !is_first && rows.count() == 1 {
                    return Ok(None);
                }
                *origins = Some(rows.origins());
                rows.recording(reading, std::mem::take(&mut text.notes), text.take_repeated()).map(Some)
            }
            #[cfg(feature = "parquet")]
            Input::RowGroups(groups) => {
                self.is_at_end = !groups.take(most(groups.width()))?;
                if !is_first && groups.here() == 1 {
                    return Ok(None);
                }
                groups.portion(label).map(Some)
            }
            Input::Whole(source) => {
                self.is_at_end = true;
                source.take().map(|source| read(source, label, reading, watch)).transpose()
            }
        }
    }

    fn part(&self) -> Option<f64> {
        match &self.input {
            Input::Text(text, _) => text.part(),
            #[cfg(feature = "parquet")]
            Input::RowGroups(groups) => Some(groups.part()),
            Input::Whole(_) => Some(1.0),
        }
    }
}

/// Leaves out the first row, which the portion before had last; whether another recording begins with the next.
fn without_first_row(recording: &mut Recording) -> bool {
    let table = &mut recording.table;
    table.values.drain(..table.columns.len());
    table.labels.iter_mut().for_each(|labels| drop(labels.drain(..1)));
    table.starts.iter_mut().for_each(|start| *start -= 1);
    let begins = table.starts.first() == Some(&0);
    table.starts.drain(..usize::from(begins));
    begins
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::tables::{several::open_all, table::Table};

    /// The rows of all portions as one table, and how many portions they were.
    fn joined(paths: &[PathBuf], label: Label<'_>, reading: &Reading) -> Result<(Table, usize)> {
        let mut portions = Portions::open(paths, label, reading, 1)?;
        let (mut whole, mut count) = (Table::default(), 0);
        while let Some(Portion { recording, begins, first_row, .. }) = portions.next(&mut |_, _| {})? {
            let table = recording.numbers()?;
            let rows = if count == 0 { 0 } else { whole.rows() };
            count += 1;
            if begins && rows > 0 {
                assert_eq!(first_row, 0, "no piece begins with a portion here");
                whole.starts.push(rows);
            }
            whole.starts.extend(table.starts.iter().map(|start| rows + start));
            whole.values.extend(&table.values);
            if let Some(labels) = table.labels {
                whole.labels.get_or_insert_default().extend(labels);
            }
            assert!(whole.columns.is_empty() || whole.origins == table.origins);
            (whole.columns, whole.origins) = (table.columns, table.origins);
        }
        Ok((whole, count))
    }

    /// A logger's rows, with a gap behind each 700, a header that comes again behind row 1,500, fillers, and a pressure that hardly changes.
    fn log(rows: usize) -> String {
        let mut text = String::from("time,pressure,flow,fault\n");
        for row in 0..rows {
            if row == 1500 {
                text += "time,pressure,flow,fault\n";
            }
            let time = 0.5 * row as f64 + if row >= 700 { 60.0 * (row / 700) as f64 } else { 0.0 };
            let flow = if row % 97 == 3 { "off".to_owned() } else { format!("{}", row * 37 % 101) };
            let fault = u8::from(row % 400 == 399);
            writeln!(text, "{time},{:.3},{flow},{fault}", 1e7 + 0.001 * (row * 31 % 57) as f64).unwrap();
        }
        text
    }

    #[test]
    fn portions_one_behind_the_other_are_the_table_that_is_read_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
        // Two files, whose portions are of 1,024 rows; the second ends with one.
        for (path, rows) in paths.iter().zip([5000, 2048]) {
            std::fs::write(path, log(rows)).unwrap();
        }
        let reading = Reading { missing: vec!["off".to_owned()], ..Reading::default() };
        let label = Label::Column("fault");
        for (paths, portions, pieces) in [(&paths[..1], 5, 9), (&paths[..], 7, 13)] {
            let (whole, count) = joined(paths, label, &reading).unwrap();
            let (expected, _) = open_all(paths, label, &reading, |_| |_, _| {}).unwrap();
            let expected = expected.table;
            assert_eq!((count, whole.pieces().len(), &whole.starts), (portions, pieces, &expected.starts));
            let bits = |table: &Table| table.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert!(bits(&whole) == bits(&expected) && whole.origins == expected.origins, "{:?}", whole.origins);
            assert_eq!(whole.labels, expected.labels);
        }
    }

    #[test]
    fn later_rows_are_judged_by_what_the_first_say_and_bad_ones_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = [folder.path().join("a.csv")];
        let with = |bad: &str| {
            let rows = (0..3000).map(|row| if row == 2500 { format!("{bad}\n") } else { format!("{},0\n", row % 7) });
            std::fs::write(&path[0], format!("x,label\n{}", rows.collect::<String>())).unwrap();
            joined(&path, Label::Usual, &Reading::default()).map_err(|error| error.to_string())
        };
        assert_eq!(with("1,1").unwrap().0.labels.unwrap().iter().filter(|label| **label).count(), 1);
        assert!(with("on,0").unwrap_err().contains("row 2501 (line 2502), column `x`: `on`"));
        assert!(with("1").unwrap_err().contains("row 2501 (line 2502) has 1 fields where the header has 2"));
        assert!(with("1,fault").unwrap_err().contains("row 2501"));
        // Of a label that was 1 only -1 is not known to be a fault, or to be none.
        let rows: String = (0..3000).map(|row| format!("{row},{}\n", if row == 2000 { -1 } else { 1 })).collect();
        std::fs::write(&path[0], format!("x,label\n{rows}")).unwrap();
        let message = joined(&path, Label::Usual, &Reading::default()).unwrap_err().to_string();
        assert!(message.contains("say with --anomaly-label"), "{message}");
    }

    #[cfg(feature = "parquet")]
    #[test]
    fn groups_of_rows_of_any_size_are_read_in_portions() {
        use std::sync::Arc;

        use parquet::{
            data_type::{DoubleType, Int64Type},
            file::writer::SerializedFileWriter,
            schema::parser::parse_message_type,
        };

        let file = tempfile::NamedTempFile::with_suffix(".parquet").unwrap();
        let schema = "message m { REQUIRED INT64 time (TIMESTAMP(MILLIS, true)); OPTIONAL DOUBLE x; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut writer = SerializedFileWriter::new(file.reopen().unwrap(), schema, Arc::default()).unwrap();
        let mut row = 0i64;
        for rows in [10, 3000, 0, 700, 1] {
            let mut group = writer.next_row_group().unwrap();
            let times: Vec<i64> = (row..row + rows).map(|row| 10 * row + 5000 * (row / 1200)).collect();
            let known: Vec<i16> = (row..row + rows).map(|row| i16::from(row % 50 != 7)).collect();
            let values: Vec<f64> =
                (row..row + rows).filter(|row| row % 50 != 7).map(|row| 1e9 + 0.01 * (row * 37 % 100) as f64).collect();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<Int64Type>().write_batch(&times, None, None).unwrap();
            column.close().unwrap();
            let mut column = group.next_column().unwrap().unwrap();
            column.typed::<DoubleType>().write_batch(&values, Some(&known), None).unwrap();
            column.close().unwrap();
            group.close().unwrap();
            row += rows;
        }
        writer.close().unwrap();
        let paths = [file.path().to_owned()];
        let (whole, count) = joined(&paths, Label::None, &Reading::default()).unwrap();
        let (expected, _) = open_all(&paths, Label::None, &Reading::default(), |_| |_, _| {}).unwrap();
        assert_eq!((count, whole.rows(), &whole.starts), (4, 3711, &vec![1200, 2400, 3600]));
        assert_eq!(whole.starts, expected.table.starts);
        let bits = |table: &Table| table.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert!(bits(&whole) == bits(&expected.table) && whole.origins == expected.table.origins);
        assert!((whole.origins[1] - 1e9).abs() <= 1.0, "{:?}", whole.origins);
    }
}
