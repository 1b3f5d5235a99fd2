//! How a text holds a table: what separates its fields, where its header is, and what stands before that.

use std::collections::HashMap;

use crate::tables::{
    calendar,
    fields::{Field, Fields, text},
};

/// What may stand between fields, the least likely first.
const SEPARATORS: [u8; 4] = [b'|', b'\t', b';', b','];
/// Most lines that are looked at.
const LINES: usize = 120;
/// Share of the lines that must have as many fields, for blanks to be taken for what separates them.
const MOST: f64 = 0.9;
/// Units as headers have them in a row of their own.
const UNITS: [&str; 64] = [
    "s", "sec", "ms", "us", "µs", "ns", "min", "h", "d", "hz", "khz", "mhz", "v", "mv", "kv", "a", "ma", "ka", "w",
    "mw", "kw", "kwh", "wh", "va", "bar", "mbar", "pa", "kpa", "mpa", "hpa", "psi", "c", "°c", "degc", "k", "f", "°f",
    "degf", "%", "%rh", "rh", "rpm", "1/min", "l/min", "l/h", "m3/h", "m³/h", "l", "m", "mm", "cm", "µm", "um", "km",
    "m/s", "mm/s", "km/h", "m/s2", "m/s²", "m/s^2", "g", "mg", "n", "nm",
];

/// How a text holds a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// Between fields; a tab, too, where that are runs of blanks.
    pub(crate) separator: u8,
    /// Whether runs of blanks are between fields.
    pub(crate) blanks: bool,
    /// Bytes before the header's line.
    pub(crate) skipped: usize,
    /// Lines before the header's line.
    pub(crate) preamble: Vec<String>,
    /// Whether lines that begin with `#` are skipped.
    pub(crate) comments: bool,
    /// Whether there is a header.
    pub(crate) has_header: bool,
    /// Whether the row behind the header holds units.
    pub(crate) has_units: bool,
    /// Fields that rows have more than the header: an empty one at their ends, or one without a name at their beginnings.
    pub(crate) surplus: Option<Surplus>,
}

/// Where rows have a field more than the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surplus {
    /// At the beginning: an index without a name.
    First,
    /// At the end: rows end with a separator.
    Last,
}

impl Dialect {
    /// The dialect of a text that begins so, which is all of it if it `is_whole`; its first `skip` lines, if any are given, are before the header.
    pub(crate) fn of(start: &[u8], is_whole: bool, skip: Option<usize>) -> Self {
        let body = start.strip_prefix("\u{feff}".as_bytes()).unwrap_or(start);
        let mark = start.len() - body.len();
        let lines = lines(body, is_whole);
        let given = lines.first().and_then(|line| separator_line(line.text));
        let first = skip.unwrap_or(usize::from(given.is_some())).min(lines.len());
        let comments =
            skip.is_none() && lines[first..].iter().take_while(|line| line.text.starts_with(b"#")).count() > 0;
        let shown: Vec<&[u8]> = lines[first..].iter().map(|line| line.text).take(LINES).collect();
        let judged: Vec<&[u8]> = shown.iter().copied().filter(|line| !line.is_empty()).collect();
        let bare: Vec<&[u8]> = judged.iter().copied().filter(|line| !line.starts_with(b"#")).collect();
        let judged = if bare.is_empty() { judged } else { bare };
        let (separator, blanks) = match given {
            Some(separator) => (separator, false),
            None => separator(&judged),
        };
        let mut dialect = Self { separator, blanks, has_header: true, comments, ..Self::default() };
        let lookup = Rows { dialect: &dialect, lines: &shown };
        let Place { header, has_header, has_units, surplus } =
            if skip.is_some() { lookup.at(0) } else { lookup.place() };
        dialect.has_header = has_header;
        dialect.has_units = has_units;
        dialect.surplus = surplus;
        let at = first + header;
        dialect.skipped = if at == 0 { 0 } else { lines.get(at).map_or(body.len(), |line| line.begins) + mark };
        dialect.preamble = lines[..at].iter().map(|line| text(line.text).into_owned()).collect();
        // A header that stands in a comment.
        dialect.comments &= !lines.get(at).is_some_and(|line| line.text.starts_with(b"#"));
        dialect
    }

    /// The fields of a line, without their quotation marks.
    fn fields<'l>(&self, line: &'l [u8]) -> Vec<&'l [u8]> {
        if self.blanks {
            return line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).collect();
        }
        split(line, self.separator)
    }
}

/// Where a header is, and what belongs to it.
struct Place {
    /// Its line.
    header: usize,
    has_header: bool,
    has_units: bool,
    surplus: Option<Surplus>,
}

/// The first lines of a text, by which its header is found.
struct Rows<'a> {
    dialect: &'a Dialect,
    lines: &'a [&'a [u8]],
}

impl Rows<'_> {
    /// The header is the line before the first one of data, whose fields are numbers and times where those of the last lines are.
    fn place(&self) -> Place {
        let Some(kinds) = self.kinds() else { return self.at(0) };
        let is_data = |line: usize| self.is_data(line, &kinds);
        // Behind a single row a logger may begin anew.
        let goes_on = |line: usize| line + 1 == self.lines.len() || (line + 1..self.lines.len()).take(3).any(is_data);
        let data = (0..self.lines.len()).find(|line| is_data(*line) && goes_on(*line));
        match data {
            None => self.at(0),
            Some(0) => Place { header: 0, has_header: !self.dialect.blanks, has_units: false, surplus: None },
            Some(data) => {
                let is_empty = |line: usize| self.lines[line].is_empty();
                let Some(last) = (0..data).rev().find(|line| !is_empty(*line)) else { return self.at(0) };
                let above = (0..last).rev().find(|line| !is_empty(*line));
                match above {
                    Some(above)
                        if self.is_units(last)
                            && self.is_header(above, kinds.len())
                            && self.names(above).len() == self.names(last).len() =>
                    {
                        Place { has_units: true, ..self.headed(above, data) }
                    }
                    _ if self.is_header(last, kinds.len()) => self.headed(last, data),
                    _ => self.at(0),
                }
            }
        }
    }

    /// With the header in a line that is known.
    fn at(&self, header: usize) -> Place {
        let data = (header + 1..self.lines.len()).find(|line| !self.lines[*line].is_empty());
        match data {
            Some(data) => {
                let next = (data + 1..self.lines.len()).find(|line| !self.lines[*line].is_empty());
                match next {
                    Some(next)
                        if self.is_units(data) && self.kinds().is_some_and(|kinds| self.is_data(next, &kinds)) =>
                    {
                        Place { has_units: true, ..self.headed(header, next) }
                    }
                    _ => self.headed(header, data),
                }
            }
            None => Place { header, has_header: true, has_units: false, surplus: None },
        }
    }

    /// With the header in this line, and the first row in that one.
    fn headed(&self, header: usize, data: usize) -> Place {
        let names = self.names(header).len();
        let rows: Vec<Vec<&[u8]>> = self.lines[data..]
            .iter()
            .filter(|line| !line.is_empty() && !self.is_comment(line))
            .map(|line| self.dialect.fields(line))
            .collect();
        let is_longer = !rows.is_empty() && rows.iter().all(|row| row.len() == names + 1);
        let surplus = match is_longer {
            true if rows.iter().all(|row| row.last().is_some_and(|last| last.trim_ascii().is_empty())) => {
                Some(Surplus::Last)
            }
            true if names > 1 && !rows.iter().any(|row| row[0].trim_ascii().is_empty()) => Some(Surplus::First),
            _ => None,
        };
        Place { header, has_header: true, has_units: false, surplus }
    }

    fn is_comment(&self, line: &[u8]) -> bool {
        self.dialect.comments && line.starts_with(b"#")
    }

    /// The fields of a header, which may stand in a comment.
    fn names(&self, line: usize) -> Vec<&[u8]> {
        let line = self.lines[line];
        self.dialect.fields(line.strip_prefix(b"#").unwrap_or(line))
    }

    /// Whether each column mostly holds numbers or times; `None` where none does, so that rows look like headers.
    fn kinds(&self) -> Option<Vec<bool>> {
        let rows: Vec<Vec<&[u8]>> = self.lines.iter().map(|line| self.dialect.fields(line)).collect();
        // Of the lines behind the first quarter, as most of them are rows.
        let mut widths: HashMap<usize, usize> = HashMap::new();
        let behind = rows.len() / 4;
        rows[behind..].iter().for_each(|row| *widths.entry(row.len()).or_default() += 1);
        let (width, _) = widths.into_iter().max_by_key(|(width, count)| (*count, *width))?;
        let rows: Vec<&Vec<&[u8]>> = rows[behind..].iter().filter(|row| row.len() == width).collect();
        let is_measured = |column: &usize| {
            let measured = rows.iter().filter(|row| self.is_measured(row[*column])).count();
            let filled = rows.iter().filter(|row| !row[*column].trim_ascii().is_empty()).count();
            measured > 0 && 2 * measured >= filled
        };
        let kinds: Vec<bool> = (0..width).map(|column| is_measured(&column)).collect();
        kinds.contains(&true).then_some(kinds)
    }

    fn is_measured(&self, field: &[u8]) -> bool {
        let fields = Fields::new(self.dialect.separator != b',' || self.dialect.blanks, &[]);
        matches!(fields.parse(field), Field::Number(_)) || calendar::parse(&text(field)).is_some()
    }

    /// Whether a line is a row: of as many fields, those of columns of numbers and times such ones or missing, and one of them not missing.
    fn is_data(&self, line: usize, kinds: &[bool]) -> bool {
        let fields = self.dialect.fields(self.lines[line]);
        if fields.len() != kinds.len() || self.lines[line].starts_with(b"#") {
            return false;
        }
        let of_kind: Vec<&[u8]> = fields.iter().zip(kinds).filter(|(_, is)| **is).map(|(field, _)| *field).collect();
        let measured = of_kind.iter().filter(|field| self.is_measured(field)).count();
        let is_word = |field: &&[u8]| !self.is_measured(field) && matches!(Fields::default().parse(field), Field::Text);
        measured > 0 && !of_kind.iter().any(is_word)
    }

    /// Whether a line names columns: about as many as rows have fields, and none of them a number.
    fn is_header(&self, line: usize, width: usize) -> bool {
        let names = self.names(line);
        let is_number = |name: &&[u8]| matches!(Fields::default().parse(name), Field::Number(_));
        (names.len() == width || names.len() + 1 == width) && !names.iter().any(is_number)
    }

    /// Whether a line holds units: of those that are not empty, in brackets or without, two thirds are known.
    fn is_units(&self, line: usize) -> bool {
        let fields = self.dialect.fields(self.lines[line]);
        let plain = |field: &&[u8]| text(field).trim_matches(['(', ')', '[', ']', '"', ' ']).to_lowercase();
        let units: Vec<String> = fields.iter().map(plain).filter(|unit| !unit.is_empty() && unit != "-").collect();
        let known = units.iter().filter(|unit| UNITS.contains(&unit.as_str())).count();
        let all_short = units.iter().all(|unit| unit.chars().count() <= 12);
        known > 0 && all_short && 3 * known >= 2 * units.len() && units.len() > 1
    }
}

/// A line, without its end, and where it begins.
struct Line<'t> {
    begins: usize,
    text: &'t [u8],
}

/// The lines of a text; a quoted field may span several. The last one, if the text goes on, may be a part of a line, and is left out where there
/// are others.
fn lines(text: &[u8], is_whole: bool) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let (mut begins, mut at, mut quoted) = (0, 0, false);
    while at < text.len() {
        match text[at] {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => {
                lines.push(Line { begins, text: &text[begins..at] });
                at += usize::from(text[at] == b'\r' && text.get(at + 1) == Some(&b'\n'));
                begins = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if begins < text.len() && (is_whole || lines.is_empty()) {
        lines.push(Line { begins, text: &text[begins..] });
    }
    lines
}

/// The separator of a first line `sep=;`, as spreadsheets write it.
fn separator_line(line: &[u8]) -> Option<u8> {
    match line.trim_ascii().strip_prefix(b"sep=")? {
        [separator] => Some(*separator),
        _ => None,
    }
}

/// What separates the fields of these lines, and whether that are blanks: what most lines have as many of, and where several are so, what
/// makes numbers of most fields, then what the first line has most of.
fn separator(lines: &[&[u8]]) -> (u8, bool) {
    let alike = |widths: &[usize]| {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        widths.iter().for_each(|width| *counts.entry(*width).or_default() += 1);
        counts.into_iter().filter(|(width, _)| *width > 1).map(|(_, count)| count).max().unwrap_or(0)
    };
    let widths = |separator: u8| lines.iter().map(|line| split(line, separator).len()).collect::<Vec<usize>>();
    // In thousandths of the fields.
    let numbers = |separator: u8| {
        let fields = Fields::new(separator != b',', &[]);
        let rows: Vec<&[u8]> = lines.iter().skip(1).flat_map(|line| split(line, separator)).collect();
        let numbers = rows.iter().filter(|field| matches!(fields.parse(field), Field::Number(_))).count();
        1000 * numbers / rows.len().max(1)
    };
    let best = SEPARATORS
        .into_iter()
        .map(|separator| (separator, widths(separator)))
        .max_by_key(|(separator, widths)| (alike(widths), numbers(*separator), widths.first().copied().unwrap_or(1)))
        .filter(|(_, widths)| alike(widths) > 0);
    if let Some((separator, widths)) = best
        && (2 * alike(&widths) > widths.len() || widths.len() < 4 || widths[0] > 1)
    {
        return (separator, false);
    }
    let of_blanks: Vec<Vec<&[u8]>> = lines
        .iter()
        .map(|line| line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty()).collect())
        .collect();
    let widths: Vec<usize> = of_blanks.iter().map(Vec::len).collect();
    let is_number =
        |field: &&[u8]| matches!(Fields::new(true, &[]).parse(field), Field::Number(_) | Field::Empty | Field::Missing);
    let of_numbers = of_blanks.iter().filter(|fields| fields.iter().all(is_number)).count();
    let are_blanks = alike(&widths) as f64 >= MOST * lines.len() as f64
        && lines.len() > 1
        && of_numbers + 1 >= lines.len().min(alike(&widths));
    if are_blanks { (b'\t', true) } else { (b',', false) }
}

/// The fields of a line between separators that stand outside of quotation marks, without these marks.
fn split(line: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let end = match rest.first() {
            Some(b'"') => {
                // To the mark that is not doubled.
                let mut at = 1;
                while at < rest.len() && (rest[at] != b'"' || rest.get(at + 1) == Some(&b'"')) {
                    at += if rest[at] == b'"' { 2 } else { 1 };
                }
                let behind = (at + 1).min(rest.len());
                let end = rest[behind..].iter().position(|byte| *byte == separator).map(|end| behind + end);
                fields.push(rest.get(1..at).unwrap_or_default());
                end
            }
            _ => {
                let end = rest.iter().position(|byte| *byte == separator);
                fields.push(&rest[..end.unwrap_or(rest.len())]);
                end
            }
        };
        match end {
            Some(end) => rest = &rest[end + 1..],
            None => return fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Dialect {
        Dialect::of(text.as_bytes(), true, None)
    }

    /// Lines before the header, the separator, and whether units or a surplus follow.
    fn summary(text: &str) -> (usize, char, bool, Option<Surplus>) {
        let found = of(text);
        (found.preamble.len(), found.separator.into(), found.has_units, found.surplus)
    }

    #[test]
    fn what_stands_in_quotation_marks_separates_nothing() {
        for (start, expected) in [
            ("a;b,c;d", ';'),
            ("a\tb", '\t'),
            ("a;b,c", ','),
            ("a|b\n1|2\n", '|'),
            ("\"a;b;c\",d\n1,2\n", ','),
            ("\"a;\"\"b;\";\"c,,,\"\n1;2\n", ';'),
            ("a 5\" b,c;\" d\n1,2\n", ','),
            ("\"x; raw\",\"y; raw\"\n1,2\n3,4\n5,6\n", ','),
            ("Flow, l/min;Pressure, bar\n1,5;2,5\n1,6;2,7\n1,6;2,7\n", ';'),
            ("\"Flow, l/min, probe 1\";\"Pressure, bar\"\n119,24;2,464\n118,87;2,435\n", ';'),
            ("\"Flow, l/min, probe 1\";\"Pressure, bar, probe 2\"\n119,24;2,464\n118,87;2,435\n120,16;2,4\n", ';'),
            ("sep=;\na;b\n1;2\n", ';'),
            ("", ','),
            ("x\n1\n2\n", ','),
            ("x\n1,5\n2,5\n", ','),
        ] {
            assert_eq!(char::from(of(start).separator), expected, "{start}");
        }
    }

    #[test]
    fn the_header_is_the_line_above_the_rows() {
        let rows = "0,119.24,2.464\n1,118.87,2.435\n2,120.16,2.418\n";
        let header = "time,flow,pressure\n";
        for (before, lines) in [
            ("", 0),
            ("SD card online\nIMU online\n", 2),
            ("# logger v1.2\n# rate 1 Hz\n", 2),
            ("Device,PLC-7,Line\nFirmware,1.2,Serial\n", 2),
            ("\"Plot Title: Pump house 3\"\n", 1),
            ("sep=,\n", 1),
            ("a note\n\n", 2),
        ] {
            let found = of(&format!("{before}{header}{rows}"));
            assert_eq!((found.preamble.len(), found.separator, found.surplus), (lines, b',', None), "{before}");
            assert_eq!(found.skipped, before.len(), "{before}");
        }
        assert_eq!(summary(&format!("{header}s,l/min,bar\n{rows}")), (0, ',', true, None));
        assert_eq!(summary(&format!("log 7\n{header}(s),(l/min),(bar)\n{rows}")), (1, ',', true, None));
        assert_eq!(summary(&format!("#{header}{rows}")), (0, ',', false, None));
        assert!(!of(&format!("#{header}{rows}")).comments && of(&format!("# x\n{header}{rows}")).comments);
        // Given by hand.
        assert_eq!(Dialect::of(format!("x,y,z\n{header}{rows}").as_bytes(), true, Some(1)).skipped, 6);
        // Nothing but words: the first line is the header.
        assert_eq!(summary("a,b\nx,y\nz,w\n"), (0, ',', false, None));
        assert_eq!(summary("day,state\nmon,on\ntue,off\n"), (0, ',', false, None));
        // A byte-order mark stays in front of the header.
        assert_eq!(of(&format!("\u{feff}{header}{rows}")).skipped, 0);
        assert_eq!(of(&format!("\u{feff}note\n{header}{rows}")).skipped, 8);
    }

    #[test]
    fn rows_may_have_a_field_more_than_the_header() {
        assert_eq!(summary("a,b\n1,2,\n3,4,\n5,6,\n"), (0, ',', false, Some(Surplus::Last)));
        assert_eq!(summary("\"a\",\"b\"\n\"1\",2,3\n\"2\",4,5\n"), (0, ',', false, Some(Surplus::First)));
        assert_eq!(summary("a,b\n1,2\n3,4,\n5,6\n"), (0, ',', false, None));
        assert_eq!(summary(",a,b\n0,1,2\n1,4,5\n"), (0, ',', false, None));
        assert_eq!(summary("a,b\n1,2\n"), (0, ',', false, None));
    }

    #[test]
    fn runs_of_blanks_separate_where_nothing_else_does() {
        let found = of("1 1 642.38 1586.5  \n1 2  642.32 1588.7  \n1 3 642.14 1586.7  \n");
        assert!(found.blanks && !found.has_header, "{found:?}");
        let found = of("time flow\n  0  1.5\n 10  1.6\n");
        assert!(found.blanks && found.has_header, "{found:?}");
        assert!(!of("my value\n1\n2\n3\n").blanks && !of("date\n2024-05-01 10:00\n2024-05-01 11:00\n").blanks);
        assert!(of("1,2\n3,4\n").has_header, "and is refused for its numbers");
    }
}
