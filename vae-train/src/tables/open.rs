//! Tables of numbers, from files of several formats; CSV is read here.

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    tables::{
        clock::{self, Clock, Times},
        format::{TableFile, TableFormat},
        idx::read_idx,
        npy::{npy_columns, npz_columns, read_npy, read_npz},
        table::{MAX_FEATURES, NotNumbers, Table, refuse, reserve},
        wav::{read_wav, wav_columns, wav_rate},
    },
    words::{
        foreign::{excerpt, line, short, unguarded},
        messages::list,
    },
};

/// Most bytes of a row: 256 for each of the columns that a model may have. A quotation mark that is not closed makes one row of a file.
const MOST_ROW_BYTES: u64 = 1 << 24;
/// Most bytes of a column's name.
const MOST_NAME_BYTES: usize = 1024;
/// Most characters that are kept of a field that is no number.
const MOST_KEPT: usize = 200;

/// Bytes between two reports of how much has been read.
const REPORT_BYTES: u64 = 1 << 24;

impl Table {
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
            TableFormat::Parquet => crate::tables::parquet::parquet_columns(&path),
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

    /// What each of these columns says of the time, row by row, in more digits than `f32` has; nothing for a column that the file has not,
    /// and of a format whose columns have no names. The file is read once, for it may have thousands of such columns.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_times(path: &Path, columns: &[impl AsRef<str>]) -> Result<Vec<Times>> {
        let mut times = vec![Times::default(); columns.len()];
        let TableFile { path, format, .. } = TableFile::find(path)?;
        if columns.is_empty() {
            return Ok(times);
        }
        match format {
            TableFormat::Csv => Self::read_fields(&path, columns, |column, field, decimal_comma| {
                let pointed = if decimal_comma { with_point(field) } else { None };
                let (time, is_date) = clock::parse(pointed.as_deref().unwrap_or(field));
                times[column].seconds |= is_date;
                times[column].values.push(time);
            })?,
            #[cfg(feature = "parquet")]
            TableFormat::Parquet => crate::tables::parquet::parquet_times(&path, columns, &mut times)?,
            _ => {}
        }
        Ok(times)
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
            TableFormat::Parquet => crate::tables::parquet::read_parquet(&path, label)?,
            #[cfg(not(feature = "parquet"))]
            TableFormat::Parquet => return Err(no_parquet(&path)),
        };
        Ok((table, Vec::new()))
    }

    /// Gives `take` each field of these columns of a CSV file, row by row: the column's place in the list, the field, and whether numbers
    /// may have a decimal comma. A column that the file has not has no field.
    ///
    /// # Errors
    /// If the file cannot be read.
    fn read_fields(path: &Path, columns: &[impl AsRef<str>], mut take: impl FnMut(usize, &str, bool)) -> Result<()> {
        let (mut reader, decimal_comma) = csv_reader(BufReader::new(open(path)?), path)?;
        let header = header(&mut reader, path)?;
        let places: HashMap<&str, usize> = header.iter().enumerate().map(|(index, name)| (&**name, index)).collect();
        let places = columns.iter().enumerate().filter_map(|(at, name)| Some((at, *places.get(name.as_ref())?)));
        let places: Vec<(usize, usize)> = places.collect();
        let mut record = csv::ByteRecord::new();
        while next_row(&mut reader, &mut record).with_context(|| format!("cannot read {}", path.display()))? {
            for (at, index) in &places {
                take(*at, &text(record.get(*index).unwrap_or_default()), decimal_comma);
            }
        }
        Ok(())
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
        // Where a column's are in it.
        let mut places: Vec<Option<usize>> = vec![None; header.len()];
        let mut record = csv::ByteRecord::new();
        let mut next_report = REPORT_BYTES;
        // The reader is on the next line after LF, but not after the CR of a CRLF.
        let ahead = u64::from(reader.position().line() > 1);
        for row in 1.. {
            let line = reader.position().line();
            match next_row(&mut reader, &mut record) {
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
            reserve(&mut values, header.len(), path)?;
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
                            excerpt(&text(field))
                        ),
                    });
                } else {
                    if value.is_none() {
                        match places[index] {
                            Some(place) => found[place].fields += 1,
                            None => {
                                places[index] = Some(found.len());
                                let first = short(&text(field), MOST_KEPT).into_owned();
                                found.push(NotNumbers { column: header[index].clone(), fields: 1, first, row, line });
                            }
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
}

impl Clock {
    /// The columns of a file that are named like clocks and count up, of which the first tells the rate; read by themselves, as `f32` has
    /// no room for a date. The `label` is the one that the file is read with.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn of_file(path: &Path, label: Option<&str>) -> Result<Vec<Self>> {
        let mut columns = Table::names(path, label)?;
        columns.retain(|name| Self::is_name(name));
        let times = Table::read_times(path, &columns)?;
        Ok(columns.iter().zip(&times).filter_map(|(column, times)| Self::of(column, times)).collect())
    }
}

/// Bytes in a file, at least 1.
fn length(path: &Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len().max(1))
}

fn open(path: &Path) -> Result<File> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(file)
}

/// An input that ends with an error in a row that is too long to be one.
struct Rows<R> {
    input: R,
    /// Bytes that were read since the row began, but for what the CSV reader had read ahead.
    bytes: u64,
}

impl<R: Read> Read for Rows<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes > MOST_ROW_BYTES {
            return Err(io::Error::other(format!(
                "it has more than {MOST_ROW_BYTES} bytes, the most of a row: close the quotation mark that is open, or leave the column out \
                 of the file"
            )));
        }
        let read = self.input.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Reads the next row, if there is one.
fn next_row<R: Read>(reader: &mut csv::Reader<Rows<R>>, record: &mut csv::ByteRecord) -> csv::Result<bool> {
    reader.get_mut().bytes = 0;
    reader.read_byte_record(record)
}

/// A reader by the separator that the header has most of; also whether numbers may have a decimal comma.
fn csv_reader<R: BufRead>(mut input: R, path: &Path) -> Result<(csv::Reader<Rows<R>>, bool)> {
    let beginning = input.fill_buf().with_context(|| format!("cannot read {}", path.display()))?;
    let header = outside_quotation(beginning);
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    // The last of equals is taken.
    let separator = SEPARATORS.into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',');
    let reader = csv::ReaderBuilder::new().flexible(true).delimiter(separator).from_reader(Rows { input, bytes: 0 });
    Ok((reader, separator != b','))
}

/// What may stand between fields.
const SEPARATORS: [u8; 3] = [b'\t', b';', b','];

/// The first line without its quoted fields.
fn outside_quotation(text: &[u8]) -> Vec<u8> {
    let mut outside = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    let mut starts_field = true;
    while let Some(byte) = bytes.next().filter(|byte| *byte != b'\n') {
        if byte == b'"' && starts_field {
            // To the mark that is not doubled.
            while bytes.next().is_some_and(|byte| byte != b'"' || bytes.next_if_eq(&b'"').is_some()) {}
            starts_field = false;
        } else {
            starts_field = SEPARATORS.contains(&byte);
            outside.push(byte);
        }
    }
    outside
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
    let header = match reader.headers() {
        Ok(header) => header,
        Err(error) => bail!("{name}: the header cannot be read, a CSV file in UTF-8 is needed: {error}"),
    };
    ensure!(
        header.len() <= MAX_FEATURES,
        "{name}: the header has {} names: at most {MAX_FEATURES} columns fit into a model; leave out others",
        header.len()
    );
    // A byte-order mark belongs to the file, not to the first name, and an apostrophe before a formula to the format.
    let own = |name: &str| unguarded(name.trim_start_matches('\u{feff}').trim()).into_owned();
    let header: Vec<String> = header.iter().map(own).collect();
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
        bail!(
            "{name}: the first line holds the number `{}` where a column's name belongs: add a header line",
            excerpt(number)
        );
    }
    check_names(&header, path)?;
    Ok(header)
}

fn check_names(columns: &[String], path: &Path) -> Result<()> {
    let name = path.display();
    let mut seen = HashSet::new();
    for column in columns {
        ensure!(!column.is_empty(), "{name}: a column of the header has no name: name every column");
        ensure!(
            column.len() <= MOST_NAME_BYTES,
            "{name}: the name of column `{}` has {} bytes: at most {MOST_NAME_BYTES} are a name; shorten it",
            excerpt(column),
            column.len()
        );
        ensure!(!column.contains('\n'), "{name}: the name of column `{}` spans lines", line(column));
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

#[cfg(test)]
mod tests {
    use super::*;

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
        // What stands in quotation marks separates nothing.
        for (text, columns) in [
            ("\"a;b;c\",d\n1,2\n", ["a;b;c", "d"]),
            ("\"a;\"\"b;\";\"c,,,\"\n1;2\n", ["a;\"b;", "c,,,"]),
            ("a 5\" b,c;\" d\n1,2\n", ["a 5\" b", "c;\" d"]),
            ("\"a;\nb;c\",d\n1,2\n", ["a;", ""]),
        ] {
            match parse_text(text, None) {
                Ok(table) => assert_eq!(table.columns, columns),
                Err(error) => assert!(error.to_string().contains("spans lines"), "{text:?}: {error}"),
            }
        }
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
        let mut fields = Vec::new();
        let take = |column, field: &str, _| fields.push((column, field.to_owned()));
        Table::read_fields(file.path(), &["night", "a", "day"], take).unwrap();
        let expected = [(1, "1"), (2, "2024-05-01"), (1, "off"), (2, "2024-05-02"), (1, ""), (2, "2024-05-03")];
        assert_eq!(fields, expected.map(|(column, field)| (column, field.to_owned())));
    }

    #[test]
    fn times_have_decimal_commas_as_other_numbers_do() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        let times = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            let Times { values, seconds } = Table::read_times(file.path(), &["time"]).unwrap().remove(0);
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

    #[test]
    fn what_is_too_much_is_refused_with_the_limit_and_shown_in_part() {
        let message = |text: &str| format!("{:#}", parse_text(text, None).unwrap_err());
        let wide = |columns: usize| (0..columns).map(|column| format!("c{column}")).collect::<Vec<_>>().join(",");
        assert!(message(&wide(65_537)).contains("the header has 65537 names: at most 65536 columns"));
        let names = wide(65_536);
        let words = message(&format!("{names}\n{}x\n", "x,".repeat(65_535)));
        assert!(words.contains("`x` is not a number (nor are all fields of `c1`, ") && words.len() < 1000, "{words}");
        let (table, found) =
            Table::parse_csv(format!("a,b\n1,{}\n", "é".repeat(1000)).as_bytes(), Path::new("x"), None, |_, _| {})
                .unwrap();
        assert!(table.values[1].is_nan() && found[0].first.chars().count() == MOST_KEPT, "{found:?}");

        let field = message(&format!("a,b\n1,{}\n", "z".repeat(3_000_000)));
        assert!(field.contains(&format!("`{}…` is not a number", "z".repeat(79))) && field.len() < 1000, "{field}");
        let name = message(&format!("a,{}\n1,2\n", "n".repeat(1025)));
        assert!(name.contains("has 1025 bytes: at most 1024 are a name") && name.len() < 300, "{name}");
        // Behind a quotation mark that is not closed, in a row and in the header.
        let rest = "1,2\n".repeat(1 << 23);
        for text in [format!("a,b\n1,\"2\n{rest}"), format!("a,\"b\n{rest}")] {
            let message = message(&text);
            assert!(
                message.contains("it has more than 16777216 bytes, the most of a row: close the quotation"),
                "{message}"
            );
        }
        // Rows of any number.
        assert_eq!(parse_text(&format!("a,b\n{rest}"), None).unwrap().rows(), 1 << 23);
    }

    #[test]
    fn a_name_that_was_guarded_against_spreadsheets_is_read_as_it_was() {
        let table = parse_text("'=A1,''=A1,'plain',a;b\n1,2,3,4\n", None).unwrap();
        assert_eq!(table.columns, ["=A1", "'=A1", "'plain'", "a;b"]);
        assert!(parse_text("'=A1,=A1\n1,2\n", None).unwrap_err().to_string().contains("two columns are named `=A1`"));
    }
}
