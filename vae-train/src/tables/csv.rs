//! CSV: a header, then rows of numbers.

use std::{
    borrow::Cow,
    io::{self, Read},
    path::PathBuf,
};

use anyhow::{Result, bail, ensure};

use crate::{
    tables::{
        clock::{self, Clock, Times},
        growth::{Expected, reserve},
        header::{header, separator},
        reading::Reading,
        recording::{Label, Recording},
        source::Source,
        table::{NotNumbers, Table},
    },
    words::foreign::{excerpt, short},
};

/// Most bytes of a row: 256 for each of the columns that a model may have. A quotation mark that is not closed makes one row of a file.
const MOST_ROW_BYTES: u64 = 1 << 24;
/// Most characters that are kept of a field that is no number.
const MOST_KEPT: usize = 200;
/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;
/// Bytes between two reports of how much has been read.
const REPORT_BYTES: u64 = 1 << 24;

/// Reads a CSV file, as [`open`](crate::tables::open::open) says.
///
/// # Errors
/// Names the file, and for a bad row or label its place.
pub(crate) fn read_csv(
    source: Source,
    label: Label<'_>,
    _reading: &Reading,
    mut watch: impl FnMut(usize, Option<f64>),
) -> Result<Recording> {
    let path = source.name.clone();
    let name = path.display();
    let separator = separator(source.start());
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .delimiter(separator)
        .buffer_capacity(BUFFER)
        .from_reader(Rows { source, bytes: 0 });
    let header = header(&mut reader, &path)?;
    let label = label.position(&header, &path)?;
    let mut fields = Fields::new(path.clone(), header, label, separator != b',');
    let mut record = csv::ByteRecord::new();
    let mut next_report = REPORT_BYTES;
    // The reader is on the next line after LF, but not after the CR of a CRLF.
    let ahead = u64::from(reader.position().line() > 1);
    for row in 1.. {
        let line = reader.position().line();
        reader.get_mut().bytes = 0;
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => bail!("{name}: row {row} (near line {line}) cannot be read: {error}"),
        }
        // The record's own position is before the blank lines above it.
        let line = line.max(reader.position().line() - ahead);
        let expected = || Expected::from_part(reader.get_ref().source.part_read());
        fields.take(&record, (row, line), &expected)?;
        if reader.position().byte() >= next_report {
            watch(row, reader.get_ref().source.part_read());
            next_report = reader.position().byte() + REPORT_BYTES;
        }
    }
    fields.recording()
}

/// A source that ends with an error in a row that is too long to be one.
struct Rows {
    source: Source,
    /// Bytes that were read since the row began, but for what the CSV reader had read ahead.
    bytes: u64,
}

impl Read for Rows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes > MOST_ROW_BYTES {
            return Err(io::Error::other(format!(
                "it has more than {MOST_ROW_BYTES} bytes, the most of a row: close the quotation mark that is open, or leave the column out \
                 of the file"
            )));
        }
        let read = self.source.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// What a column is read as, beside the times that it may tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Values,
    Label,
}

/// What the rows read so far hold.
struct Fields {
    path: PathBuf,
    header: Vec<String>,
    /// By column.
    roles: Vec<Role>,
    /// Whether numbers may have a decimal comma.
    decimal_comma: bool,
    values: Vec<f32>,
    labels: Vec<bool>,
    /// The columns that are named like clocks, and their times.
    times: Vec<(usize, Times)>,
    not_numbers: Vec<NotNumbers>,
    /// Where a column's are among these.
    places: Vec<Option<usize>>,
}

impl Fields {
    fn new(path: PathBuf, header: Vec<String>, label: Option<usize>, decimal_comma: bool) -> Self {
        let role = |index| if Some(index) == label { Role::Label } else { Role::Values };
        let clocks = header.iter().enumerate().filter(|(_, name)| Clock::is_name(name));
        Self {
            path,
            roles: (0..header.len()).map(role).collect(),
            decimal_comma,
            values: Vec::new(),
            labels: Vec::new(),
            times: clocks.map(|(index, _)| (index, Times::default())).collect(),
            not_numbers: Vec::new(),
            places: vec![None; header.len()],
            header,
        }
    }

    /// Takes a row, whose number and line messages name.
    fn take(
        &mut self,
        record: &csv::ByteRecord,
        (row, line): (usize, u64),
        expected: &dyn Fn() -> Expected,
    ) -> Result<()> {
        if record.len() != self.header.len() {
            bail!(
                "{}: row {row} (line {line}) has {} fields where the header has {}: mend or remove the row",
                self.path.display(),
                record.len(),
                self.header.len()
            );
        }
        reserve(&mut self.values, self.header.len(), expected, &self.path)?;
        for (index, (field, role)) in record.iter().zip(&self.roles).enumerate() {
            let value = parse(field, self.decimal_comma);
            match (role, value) {
                (Role::Values, Some(value)) => self.values.push(value),
                (Role::Values, None) => {
                    self.values.push(f32::NAN);
                    keep(&mut self.not_numbers, &mut self.places[index], &self.header[index], field, (row, line));
                }
                (Role::Label, Some(0.0)) => self.labels.push(false),
                (Role::Label, Some(1.0)) => self.labels.push(true),
                (Role::Label, _) => bail!(
                    "{}: row {row} (line {line}), column `{}`: the label is `{}` where 0 (normal) or 1 (anomaly) belongs",
                    self.path.display(),
                    self.header[index],
                    excerpt(&text(field))
                ),
            }
        }
        for (index, times) in &mut self.times {
            let field = text(record.get(*index).unwrap_or_default());
            let pointed = if self.decimal_comma { with_point(&field) } else { None };
            let (time, is_date) = clock::parse(pointed.as_deref().unwrap_or(&field));
            times.seconds |= is_date;
            reserve(&mut times.values, 1, expected, &self.path)?;
            times.values.push(time);
        }
        Ok(())
    }

    fn recording(self) -> Result<Recording> {
        let Self { path, header, roles, values, labels, times, not_numbers, .. } = self;
        let name = path.display();
        let of_role = |wanted: Role| header.iter().zip(&roles).filter(move |(_, role)| **role == wanted);
        let columns: Vec<String> = of_role(Role::Values).map(|(name, _)| name.clone()).collect();
        let label = of_role(Role::Label).map(|(name, _)| name.clone()).next();
        ensure!(!columns.is_empty(), "{name} has no column of data beside its label: give measured values");
        ensure!(!values.is_empty(), "{name} has a header and no rows: give a row of numbers for each sample");
        let labels = label.is_some().then_some(labels);
        let times = times.into_iter().map(|(index, times)| (header[index].clone(), times)).collect();
        Ok(Recording {
            table: Table { path, columns, values, labels, starts: Vec::new(), origins: Vec::new() },
            names: header,
            label,
            rate: None,
            times,
            not_numbers,
            notes: Vec::new(),
            question: None,
        })
    }
}

/// Counts a field of a column that is no number, and keeps the first.
fn keep(found: &mut Vec<NotNumbers>, place: &mut Option<usize>, column: &str, field: &[u8], (row, line): (usize, u64)) {
    match place {
        Some(place) => found[*place].fields += 1,
        None => {
            *place = Some(found.len());
            let first = short(&text(field), MOST_KEPT).into_owned();
            found.push(NotNumbers { column: column.to_owned(), fields: 1, first, row, line, file: None });
        }
    }
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

fn text(field: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(field.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(text: &str, label: Label<'_>) -> Result<Recording> {
        read_csv(Source::of_text("x.csv", text), label, &Reading::default(), |_, _| {})
    }

    fn parse_text(text: &str, label: Option<&str>) -> Result<Table> {
        recording(text, label.into())?.numbers()
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
        let text = "day,a,label\n2024-05-01,1,0\n2024-05-02,off,0\n2024-05-03,,1\n";
        let Recording { table, names, label, not_numbers, .. } = recording(text, Label::Usual).unwrap();
        let expected =
            [("day", 3, "2024-05-01", 1), ("a", 1, "off", 2)].map(|(column, fields, first, row)| NotNumbers {
                column: column.to_owned(),
                fields,
                first: first.to_owned(),
                row,
                line: row as u64 + 1,
                file: None,
            });
        assert_eq!(not_numbers, expected);
        assert_eq!((table.rows(), table.values[1], table.labels), (3, 1.0, Some(vec![false, false, true])));
        assert_eq!((names.join(" "), label.as_deref()), ("day a label".to_owned(), Some("label")));
        assert_eq!(recording("a,b\n1,2\n", Label::Usual).unwrap().label, None);
    }

    #[test]
    fn times_have_decimal_commas_as_other_numbers_do() {
        let times = |text: &str| {
            let times = recording(text, Label::None).unwrap().times;
            let Some((_, Times { values, seconds })) = times.first() else { return (String::new(), false) };
            (values.iter().map(f64::to_string).collect::<Vec<_>>().join(" "), *seconds)
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
        let Recording { table, not_numbers, .. } =
            recording(&format!("a,b\n1,{}\n", "é".repeat(1000)), Label::None).unwrap();
        assert!(table.values[1].is_nan() && not_numbers[0].first.chars().count() == MOST_KEPT, "{not_numbers:?}");

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
