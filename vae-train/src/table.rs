//! Tables of numbers, from files of several formats; CSV is read here.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::{
    clock::{self, Times},
    idx::read_idx,
    npy::{npy_columns, npz_columns, read_npy, read_npz},
    table_format::{TableFile, TableFormat},
    wav::{read_wav, wav_columns, wav_rate},
};

/// The name that a label column has unless another is given.
pub const LABEL: &str = "label";

/// Bytes between two reports of how much has been read.
const REPORT_BYTES: u64 = 1 << 24;

/// A table of `f32`: named columns, rows in the order of the file. NaN stands for a value that is missing.
#[derive(Clone, Debug)]
pub struct Table {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// Names of the columns, without the label.
    pub columns: Vec<String>,
    /// Row-major values, `columns.len()` a row.
    pub values: Vec<f32>,
    /// One a row: whether it is labelled an anomaly; `None` for a table without labels.
    pub labels: Option<Vec<bool>>,
}

impl Table {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    /// Reads a table, all of whose fields are numbers or missing.
    ///
    /// # Errors
    /// See [`Self::read_leniently`]; names the first field that is no number.
    pub fn read(path: &Path, label: Option<&str>) -> Result<Self> {
        Self::read_watched(path, label, |_, _| {})
    }

    /// Like [`Self::read`]; tells `watch` now and then how many rows, and what fraction of a CSV file, have been read.
    ///
    /// # Errors
    /// Likewise.
    pub fn read_watched(path: &Path, label: Option<&str>, watch: impl FnMut(usize, f64)) -> Result<Self> {
        let (table, found) = Self::read_leniently(path, label, watch)?;
        refuse(path, &found)?;
        Ok(table)
    }

    /// Reads these columns in this order; also the names of the file's other columns, whatever they hold.
    ///
    /// # Errors
    /// See [`Self::read_leniently`]; for a column that is not there, and for a field of these columns that is no number.
    pub fn read_columns(
        path: &Path,
        label: Option<&str>,
        names: &[impl AsRef<str>],
        watch: impl FnMut(usize, f64),
    ) -> Result<(Self, Vec<String>)> {
        let (table, found) = Self::read_leniently(path, label, watch)?;
        table.select_numbers(found, names)
    }

    /// As [`Self::select`], of a table with these fields that are no numbers.
    ///
    /// # Errors
    /// Likewise, and if such a field is in one of the columns.
    pub fn select_numbers(self, mut found: Vec<NotNumbers>, names: &[impl AsRef<str>]) -> Result<(Self, Vec<String>)> {
        let selected = self.select(names)?;
        found.retain(|found| names.iter().any(|name| name.as_ref() == found.column));
        refuse(&selected.0.path, &found)?;
        Ok(selected)
    }

    /// Names of all columns, the label's among them, by the file's header; none of a file of images. Of several arrays, the one
    /// named `label` is not the table.
    ///
    /// # Errors
    /// If the file or its header cannot be read.
    pub fn names(path: &Path, label: Option<&str>) -> Result<Vec<String>> {
        let TableFile { path, format, array } = TableFile::find(path)?;
        match format {
            TableFormat::Csv => header(&mut csv_reader(BufReader::new(open(&path)?), &path)?.0, &path),
            TableFormat::Idx => Ok(Vec::new()),
            TableFormat::Npy => npy_columns(&path),
            TableFormat::Npz => npz_columns(&path, array.as_deref(), label),
            TableFormat::Wav => wav_columns(&path),
            #[cfg(feature = "parquet")]
            TableFormat::Parquet => crate::parquet::parquet_columns(&path),
            #[cfg(not(feature = "parquet"))]
            TableFormat::Parquet => Err(no_parquet(&path)),
        }
    }

    /// Whether the file has a column of this name.
    ///
    /// # Errors
    /// If the file or its header cannot be read.
    pub fn has_column(path: &Path, column: &str) -> Result<bool> {
        Ok(Self::names(path, None)?.iter().any(|name| name == column))
    }

    /// Rows a second, where the file says so itself, as a recording of sound does.
    ///
    /// # Errors
    /// If the file or its header cannot be read.
    pub fn sample_rate(path: &Path) -> Result<Option<f64>> {
        let TableFile { path, format, .. } = TableFile::find(path)?;
        (format == TableFormat::Wav).then(|| wav_rate(&path)).transpose()
    }

    /// What a column says of the time, row by row, in more digits than `f32` has; nothing for a file without this column, or of a format
    /// whose columns have no names.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_times(path: &Path, column: &str) -> Result<Times> {
        let TableFile { path, format, .. } = TableFile::find(path)?;
        match format {
            TableFormat::Csv => {
                let mut seconds = false;
                let values = Self::read_fields(&path, column, |field, decimal_comma| {
                    let pointed = if decimal_comma { with_point(field) } else { None };
                    let (time, is_date) = clock::parse(pointed.as_deref().unwrap_or(field));
                    seconds |= is_date;
                    time
                })?;
                Ok(Times { values: values.unwrap_or_default(), seconds })
            }
            #[cfg(feature = "parquet")]
            TableFormat::Parquet => crate::parquet::parquet_times(&path, column),
            _ => Ok(Times::default()),
        }
    }

    /// A table of named columns: finite values row after row, NaN for what is missing, and the column named `label` kept apart.
    pub(crate) fn of_columns(path: &Path, columns: Vec<String>, values: Vec<f32>, label: Option<&str>) -> Result<Self> {
        let name = path.display();
        let Some(label) = label else { return Self { path: path.to_owned(), columns, values, labels: None }.checked() };
        let Some(index) = columns.iter().position(|column| column == label) else {
            bail!("{name} has no column `{label}`: its columns are {}", list(&columns));
        };
        let labels: Vec<f32> = values.iter().skip(index).step_by(columns.len()).copied().collect();
        ensure!(columns.len() > 1, "{name} has no column of data beside its label");
        let others: Vec<String> = columns.iter().filter(|column| *column != label).cloned().collect();
        let (table, _) = Self { path: path.to_owned(), columns, values, labels: None }.select(&others)?;
        Self::of_labelled(path, table.columns, table.values, label, &labels)
    }

    /// Likewise, with labels of their own, one a row: 0 or 1.
    pub(crate) fn of_labelled(
        path: &Path,
        columns: Vec<String>,
        values: Vec<f32>,
        label: &str,
        labels: &[f32],
    ) -> Result<Self> {
        let labels = labels.iter().enumerate().map(|(row, value)| match *value {
            0.0 => Ok(false),
            1.0 => Ok(true),
            value => bail!(
                "{}: row {}, column `{label}`: the label is {value} where 0 (normal) or 1 (anomaly) belongs",
                path.display(),
                row + 1
            ),
        });
        let labels = Some(labels.collect::<Result<_>>()?);
        Self { path: path.to_owned(), columns, values, labels }.checked()
    }

    /// Refuses infinite values, tables without rows, and names that no header of CSV may have.
    fn checked(self) -> Result<Self> {
        let name = self.path.display();
        ensure!(!self.values.is_empty(), "{name} has no rows");
        check_names(&self.columns, &self.path)?;
        if let Some(index) = self.values.iter().position(|value| value.is_infinite()) {
            let (row, column) = (index / self.columns.len(), index % self.columns.len());
            bail!(
                "{name}: row {}, column `{}` is infinite or beyond the range of 32-bit numbers (±3.4e38): rescale the column, or \
                 write NaN if the value is missing",
                row + 1,
                self.columns[column]
            );
        }
        Ok(self)
    }

    /// Reads a file of any [`TableFormat`]. CSV has a header, then rows of numbers, separated by commas, or by semicolons or tabs, whichever
    /// the header has more of; fields may be quoted, and without commas between them have a decimal comma. An empty
    /// field, `NaN` and `NA` are missing values, as are fields that are no numbers; which columns have such fields is told. The
    /// column named `label`, where given, holds 0 (normal) or 1 (anomaly) and is kept apart.
    ///
    /// # Errors
    /// Names the file, and for a bad row or label its place.
    pub fn read_leniently(
        path: &Path,
        label: Option<&str>,
        mut watch: impl FnMut(usize, f64),
    ) -> Result<(Self, Vec<NotNumbers>)> {
        let TableFile { path, format, array } = TableFile::find(path)?;
        let table = match format {
            TableFormat::Csv => {
                let (file, bytes) = (open(&path)?, length(&path)?);
                let watch = |rows, position| watch(rows, position as f64 / bytes as f64);
                return Self::parse_csv(BufReader::new(file), &path, label, watch);
            }
            TableFormat::Idx => read_idx(&path)?,
            TableFormat::Npy => read_npy(&path, label)?,
            TableFormat::Npz => read_npz(&path, array.as_deref(), label)?,
            TableFormat::Wav => read_wav(&path, label)?,
            #[cfg(feature = "parquet")]
            TableFormat::Parquet => crate::parquet::read_parquet(&path, label)?,
            #[cfg(not(feature = "parquet"))]
            TableFormat::Parquet => return Err(no_parquet(&path)),
        };
        Ok((table, Vec::new()))
    }

    /// What `parse` makes of each field of one column of a CSV file, row by row, told whether numbers may have a decimal comma; `None` for
    /// a file without this column.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn read_fields<T>(path: &Path, column: &str, mut parse: impl FnMut(&str, bool) -> T) -> Result<Option<Vec<T>>> {
        let (mut reader, decimal_comma) = csv_reader(BufReader::new(open(path)?), path)?;
        let Some(index) = header(&mut reader, path)?.iter().position(|name| name == column) else { return Ok(None) };
        let mut fields = Vec::new();
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record).with_context(|| format!("cannot read {}", path.display()))? {
            fields.push(parse(&text(record.get(index).unwrap_or_default()), decimal_comma));
        }
        Ok(Some(fields))
    }

    fn parse_csv(
        input: impl BufRead,
        path: &Path,
        label: Option<&str>,
        mut watch: impl FnMut(usize, u64),
    ) -> Result<(Self, Vec<NotNumbers>)> {
        let name = path.display();
        let (mut reader, decimal_comma) = csv_reader(input, path)?;
        let header = header(&mut reader, path)?;
        let label_index = match label {
            None => None,
            Some(label) => match header.iter().position(|column| column == label) {
                Some(index) => Some(index),
                None => bail!("{name} has no column `{label}`: its columns are {}", list(&header)),
            },
        };
        let mut values = Vec::new();
        let mut labels = Vec::new();
        let mut found: Vec<NotNumbers> = Vec::new();
        let mut record = csv::ByteRecord::new();
        let mut next_report = REPORT_BYTES;
        // The reader is on the next line after LF, but not after the CR of a CRLF.
        let ahead = u64::from(reader.position().line() > 1);
        for row in 1.. {
            let line = reader.position().line();
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => bail!("{name}: row {row} (near line {line}) cannot be read: {error}"),
            }
            // The record's own position is before the blank lines above it.
            let line = line.max(reader.position().line() - ahead);
            if record.len() != header.len() {
                bail!(
                    "{name}: row {row} (line {line}) has {} fields where the header has {}: mend or remove the row",
                    record.len(),
                    header.len()
                );
            }
            for (index, field) in record.iter().enumerate() {
                let value = parse(field, decimal_comma);
                if Some(index) == label_index {
                    labels.push(match value {
                        Some(0.0) => false,
                        Some(1.0) => true,
                        _ => bail!(
                            "{name}: row {row} (line {line}), column `{}`: the label is `{}` where 0 (normal) or 1 (anomaly) \
                             belongs",
                            header[index],
                            text(field)
                        ),
                    });
                } else {
                    if value.is_none() {
                        let column = &header[index];
                        match found.iter_mut().find(|found| found.column == *column) {
                            Some(found) => found.fields += 1,
                            None => found.push(NotNumbers {
                                column: column.clone(),
                                fields: 1,
                                first: text(field).into_owned(),
                                row,
                                line,
                            }),
                        }
                    }
                    values.push(value.unwrap_or(f32::NAN));
                }
            }
            if reader.position().byte() >= next_report {
                watch(row, reader.position().byte());
                next_report = reader.position().byte() + REPORT_BYTES;
            }
        }
        let columns: Vec<String> =
            header.into_iter().enumerate().filter(|(i, _)| Some(*i) != label_index).map(|(_, name)| name).collect();
        ensure!(!columns.is_empty(), "{name} has no column of data beside its label: give measured values");
        ensure!(!values.is_empty(), "{name} has a header and no rows: give a row of numbers for each sample");
        Ok((Self { path: path.to_owned(), columns, values, labels: label_index.map(|_| labels) }, found))
    }

    /// The table with these columns only, in this order; also the names of the columns that are left out.
    ///
    /// # Errors
    /// Lists the columns that the table does not have.
    pub fn select(mut self, names: &[impl AsRef<str>]) -> Result<(Self, Vec<String>)> {
        let positions: HashMap<&str, usize> =
            self.columns.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        let mut indices = Vec::new();
        let mut absent = Vec::new();
        let mut seen = HashSet::new();
        for name in names.iter().map(AsRef::as_ref) {
            ensure!(seen.insert(name), "{}: column `{name}` is asked for twice", self.path.display());
            match positions.get(name) {
                Some(index) => indices.push(*index),
                None => absent.push(name.to_owned()),
            }
        }
        if !absent.is_empty() {
            bail!(
                "{} lacks {} of the model's {} columns: {}; its own are {}",
                self.path.display(),
                absent.len(),
                names.len(),
                list(&absent),
                list(&self.columns)
            );
        }
        let left_out = self.columns.iter().filter(|name| !seen.contains(name.as_str())).cloned().collect();
        // In place, as a table may fill half of the memory: a row never grows.
        let (rows, width) = (self.rows(), self.columns.len());
        let mut chosen = Vec::with_capacity(indices.len());
        for row in 0..rows {
            chosen.clear();
            chosen.extend(indices.iter().map(|index| self.values[row * width + index]));
            self.values[row * indices.len()..][..indices.len()].copy_from_slice(&chosen);
        }
        self.values.truncate(rows * indices.len());
        self.columns = names.iter().map(|name| name.as_ref().to_owned()).collect();
        Ok((self, left_out))
    }
}

/// Fields of one column that are no numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotNumbers {
    /// Its name.
    pub column: String,
    /// How many they are.
    pub fields: usize,
    /// The first of them.
    pub first: String,
    /// The first one's row, counted from 1.
    pub row: usize,
    /// The first one's line in the file, counted from 1.
    pub line: u64,
}

/// Refuses a table with fields that are no numbers.
///
/// # Errors
/// Names the first of them and what to do about it.
pub fn refuse(path: &Path, found: &[NotNumbers]) -> Result<()> {
    let Some(NotNumbers { column, first, row, line, .. }) = found.iter().min_by_key(|found| found.row) else {
        return Ok(());
    };
    let place = format!("{}: row {row} (line {line}), column `{column}`: `{first}`", path.display());
    if first.parse::<f32>().is_ok() {
        bail!(
            "{place} is beyond the range of 32-bit numbers (±3.4e38): rescale the column, or leave the field empty if the value is \
             missing"
        );
    }
    let also: Vec<&String> = found.iter().map(|found| &found.column).filter(|also| *also != column).collect();
    let also = if also.is_empty() { String::new() } else { format!(" (nor are all fields of {})", list(&also)) };
    bail!(
        "{place} is not a number{also}; leave a missing value empty, turn each category into a column of 0 and 1, and leave columns of \
         names out (`fit --ignore {}`)",
        quoted(column)
    )
}

/// Bytes in a file, at least 1.
fn length(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len().max(1))
}

fn open(path: &Path) -> Result<File> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(file)
}

/// A reader by the separator that the header has most of; also whether numbers may have a decimal comma.
fn csv_reader<R: BufRead>(mut input: R, path: &Path) -> Result<(csv::Reader<R>, bool)> {
    let beginning = input.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    let header = beginning.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    // The last of equals is taken.
    let separator = [b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',');
    let reader = csv::ReaderBuilder::new().flexible(true).delimiter(separator).from_reader(input);
    Ok((reader, separator != b','))
}

#[cfg(not(feature = "parquet"))]
fn no_parquet(path: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "{} is Parquet, which this program was built without: build it with `cargo build --release -p vae-train --features parquet`, or \
         save the table as CSV",
        path.display()
    )
}

/// The names of the columns, all different.
fn header(reader: &mut csv::Reader<impl Read>, path: &Path) -> Result<Vec<String>> {
    let name = path.display();
    let header: Vec<String> = match reader.headers() {
        // A byte-order mark belongs to the file, not to the first name.
        Ok(header) => header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect(),
        Err(error) => bail!("{name}: the header cannot be read, a CSV file in UTF-8 is needed: {error}"),
    };
    ensure!(
        !header.iter().any(|column| column.contains('\0')),
        "{name} is not text: a CSV file is needed, or images as IDX bytes"
    );
    ensure!(!header.iter().all(String::is_empty), "{name} is empty: a CSV file with a header line is needed");
    if let [only] = &header[..]
        && only.contains('|')
    {
        bail!("{name}: the header is one name with `|` in it: separate fields by commas, semicolons or tabs");
    }
    if let Some(number) = header.iter().find(|name| name.parse::<f64>().is_ok()) {
        bail!("{name}: the first line holds the number `{number}` where a column's name belongs: add a header line");
    }
    check_names(&header, path)?;
    Ok(header)
}

fn check_names(columns: &[String], path: &Path) -> Result<()> {
    let name = path.display();
    let mut seen = HashSet::new();
    for column in columns {
        ensure!(!column.is_empty(), "{name}: a column of the header has no name: name every column");
        ensure!(!column.contains('\n'), "{name}: the name of column `{}` spans lines", column.escape_debug());
        ensure!(seen.insert(column), "{name}: two columns are named `{column}`: rename one");
    }
    Ok(())
}

/// A finite number, or NaN for a missing value.
fn parse(field: &[u8], decimal_comma: bool) -> Option<f32> {
    let field = field.trim_ascii();
    if field.is_empty() || field.eq_ignore_ascii_case(b"nan") || field.eq_ignore_ascii_case(b"na") {
        return Some(f32::NAN);
    }
    let number = std::str::from_utf8(field).ok()?;
    let value = number.parse().ok().or_else(|| if decimal_comma { with_point(number) } else { None }?.parse().ok());
    value.filter(|value: &f32| value.is_finite())
}

/// A number's decimal comma as a point; `None` for no comma, and for thousands, whose points would be read as decimal ones.
fn with_point(number: &str) -> Option<String> {
    let (whole, fraction) = number.split_once(',')?;
    (!number.contains('.')).then(|| format!("{whole}.{fraction}"))
}

fn text(field: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(field.trim_ascii())
}

/// The first names of a list, for a message.
pub fn list(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", name.as_ref())).collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n > SHOWN => format!("{} and {} more", shown.join(", "), n - SHOWN),
        _ => shown.join(", "),
    }
}

/// What a user would type for a word in a shell: the word, or in quotes where it holds what a shell takes for something else.
pub fn quoted(word: impl std::fmt::Display) -> String {
    let word = word.to_string();
    // Not `~`, which is a home directory where it comes first.
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:,+=@%".contains(c) || (cfg!(windows) && c == '\\');
    match (word.chars().all(is_plain) && !word.is_empty(), cfg!(windows)) {
        (true, _) => word,
        (false, true) => format!("\"{word}\""),
        (false, false) => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, expected) in [
            ("runs/a_1.csv", "runs/a_1.csv"),
            ("Zustände", "Zustände"),
            ("a,b", "a,b"),
            ("machine state", "'machine state'"),
            ("P (bar)", "'P (bar)'"),
            ("~", "'~'"),
            ("", "''"),
            ("operator's $x", r"'operator'\''s $x'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }

    fn parse_text(text: &str, label: Option<&str>) -> Result<Table> {
        let path = Path::new("x.csv");
        let (table, found) = Table::parse_csv(text.as_bytes(), path, label, |_, _| {})?;
        refuse(path, &found)?;
        Ok(table)
    }

    #[test]
    fn semicolons_and_tabs_separate_and_leave_the_comma_to_decimals() {
        let table = parse_text("a;\"b, c\";d\n1,5;-0,25;\n2.5;1e3;3\n", None).unwrap();
        assert_eq!(table.columns, ["a", "b, c", "d"]);
        assert_eq!(table.values[..2], [1.5, -0.25]);
        assert!(table.values[2].is_nan());
        assert_eq!(table.values[3..], [2.5, 1000.0, 3.0]);
        assert_eq!(parse_text("a\tb\n1\t2,5\n", None).unwrap().values, [1.0, 2.5]);
        for number in ["1.234,5", "1,2,3", "1,234.5"] {
            let message = format!("{:#}", parse_text(&format!("a;b\n1;{number}\n"), None).unwrap_err());
            assert!(message.contains(&format!("`{number}` is not a number")), "{message}");
        }
        assert!(parse_text("a,b\n1,\"2,5\"\n", None).is_err());
    }

    #[test]
    fn reads_quoted_fields_missing_values_and_a_label_anywhere() {
        let table =
            parse_text("\u{feff}a,label,\"b, c\"\r\n1,0,\"2.5\"\n,1,-1e3\n NaN ,0, NA \n", Some("label")).unwrap();
        assert_eq!(table.columns, ["a", "b, c"]);
        assert_eq!(table.labels, Some(vec![false, true, false]));
        assert_eq!(table.values[..2], [1.0, 2.5]);
        assert!(table.values[2].is_nan() && table.values[3] == -1000.0 && table.values[4].is_nan());
        let (selected, left_out) = table.select(&["b, c"]).unwrap();
        assert_eq!(selected.values.len(), 3);
        assert_eq!((selected.values[1], left_out), (-1000.0, vec!["a".to_owned()]));
    }

    #[test]
    fn lenient_reading_counts_what_is_no_number() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(file.path(), "day,a,label\n2024-05-01,1,0\n2024-05-02,off,0\n2024-05-03,,1\n").unwrap();
        let (table, found) = Table::read_leniently(file.path(), Some("label"), |_, _| {}).unwrap();
        let expected = [("day", 3, "2024-05-01", 1), ("a", 1, "off", 2)].map(|(column, fields, first, row)| {
            NotNumbers { column: column.to_owned(), fields, first: first.to_owned(), row, line: row as u64 + 1 }
        });
        assert_eq!(found, expected);
        assert_eq!((table.rows(), table.values[1], table.labels), (3, 1.0, Some(vec![false, false, true])));
        let days = Table::read_fields(file.path(), "day", |field, _| field[8..].parse::<u8>().unwrap()).unwrap();
        assert_eq!(days, Some(vec![1, 2, 3]));
        assert_eq!(Table::read_fields(file.path(), "night", |_, _| ()).unwrap(), None);
    }

    #[test]
    fn times_have_decimal_commas_as_other_numbers_do() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        let times = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            let Times { values, seconds } = Table::read_times(file.path(), "time").unwrap();
            (values.iter().map(f64::to_string).collect::<Vec<_>>().join(" "), seconds)
        };
        assert_eq!(times("time;x\n0,5;1\n1;1\n1.5;1\n1.234,5;1\n"), ("0.5 1 1.5 NaN".to_owned(), false));
        assert_eq!(times("time,x\n\"0,5\",1\n2,1\n"), ("NaN 2".to_owned(), false));
        assert_eq!(times("time;x\n1970-01-01 00:01:00,25;1\n5;\n"), ("60.25 5".to_owned(), true));
        assert_eq!(times("x\n1\n"), (String::new(), false));
    }

    #[test]
    fn messages_name_the_place_and_the_way_out() {
        let cases = [
            ("", None, "is empty"),
            ("1,2\n3,4\n", None, "add a header"),
            ("a|b\n1|2\n", None, "one name with `|` in it: separate fields by commas"),
            ("a,b\n1,2\n3\n", None, "row 2 (line 3) has 1 fields where the header has 2"),
            ("a,b\n1,2\n3,on\n", None, "row 2 (line 3), column `b`: `on` is not a number"),
            ("a,b\n1,2\n3,on", None, "row 2 (line 3)"),
            ("a,b\r\n1,2\r\n3,on\r\n5,6\r\n", None, "row 2 (line 3)"),
            ("a,b\n1,2\n\n\n3,on\n", None, "row 2 (line 5)"),
            ("a,b\r\n1,2\r\n\r\n\r\n3\r\n", None, "row 2 (line 5)"),
            ("d,a,b\n2024-01-01,1,on\n", None, "column `d`: `2024-01-01` is not a number (nor are all fields of `b`)"),
            ("a,b\n1,1e99\n", None, "column `b`: `1e99` is beyond the range"),
            ("a,y\n1,\n", Some("y"), "the label is `` where 0"),
            ("a,y\n1,yes\n", Some("y"), "the label is `yes` where 0"),
            ("a,a\n1,2\n", None, "two columns are named `a`"),
            ("a,b\n1,2\n", Some("y"), "no column `y`: its columns are `a`, `b`"),
            ("a,y\n1,2\n", Some("y"), "the label is `2` where 0"),
            ("y\n1\n", Some("y"), "no column of data"),
            ("a,b\n", None, "no rows"),
        ];
        for (text, label, expected) in cases {
            let message = format!("{:#}", parse_text(text, label).unwrap_err());
            assert!(message.contains("x.csv") && message.contains(expected), "{text:?}: {message}");
        }
        let message = format!("{:#}", parse_text("a\n1\n", None).unwrap().select(&["a", "b"]).unwrap_err());
        assert!(message.contains("lacks 1 of the model's 2 columns: `b`"), "{message}");
    }
}
