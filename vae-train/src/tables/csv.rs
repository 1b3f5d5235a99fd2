//! CSV and its like: lines of fields, with a header.

use anyhow::Result;

use crate::tables::{
    csv_text::Text,
    reading::Reading,
    recording::{Label, Recording},
    source::Source,
};

/// Reads a text, as [`open`](crate::tables::open::open) says.
///
/// # Errors
/// Names the file, and for a bad row or label its place.
pub(crate) fn read_csv(
    source: Source,
    label: Label<'_>,
    reading: &Reading,
    mut watch: impl FnMut(usize, Option<f64>),
) -> Result<Recording> {
    let mut text = Text::open(source, label, reading)?;
    let mut rows = text.rows(reading);
    text.take(&mut rows, usize::MAX, &mut watch)?;
    let repeated = text.take_repeated();
    rows.recording(reading, text.notes, repeated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{
        roles::examined,
        rows::MOST_KEPT,
        table::{NotNumbers, Table},
        times::Times,
    };

    /// As it is read, before it is known what its columns are for.
    fn read(text: &str, label: Label<'_>, reading: &Reading) -> Result<Recording> {
        read_csv(Source::of_text("x.csv", text), label, reading, |_, _| {})
    }

    fn recording(text: &str, label: Label<'_>) -> Result<Recording> {
        examined(read(text, label, &Reading::default())?, &Reading::default())
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
        assert_eq!(parse_text("a|b\n1|2,5\n", None).unwrap().values, [1.0, 2.5]);
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
        let text = "day,a,label\nmonday,1,0\ntuesday,off,0\nwednesday,,1\n";
        let Recording { table, names, label, not_numbers, .. } = recording(text, Label::Usual).unwrap();
        let expected = [("day", 3, "monday", 1), ("a", 1, "off", 2)].map(|(column, fields, first, row)| NotNumbers {
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
            let times = read(text, Label::None, &Reading::default()).unwrap().times;
            let Some((_, Times { values, seconds, .. })) = times.first() else { return (String::new(), false) };
            (values.iter().map(f64::to_string).collect::<Vec<_>>().join(" "), *seconds)
        };
        assert_eq!(times("time;x\n0,5;1\n1;1\n1.5;1\n1.234,5;1\n"), ("0.5 1 1.5 NaN".to_owned(), false));
        assert_eq!(times("time,x\n\"0,5\",1\n2,1\n"), ("NaN 2".to_owned(), false));
        assert_eq!(
            times("time;x\n1970-01-01 00:01:00,25;1\n5;\n1970-01-01 00:01:00,25;1\n"),
            ("60.25 5 60.25".to_owned(), true)
        );
    }

    #[test]
    fn messages_name_the_place_and_the_way_out() {
        let cases = [
            ("", None, "is empty"),
            ("1,2\n3,4\n", None, "add a header"),
            ("a,b\n1,2\n3\n", None, "row 2 (line 3) has 1 fields where the header has 2"),
            ("a,b\n1,2\n3,on\n", None, "row 2 (line 3), column `b`: `on` is not a number"),
            ("a,b\n1,2\n3,on", None, "row 2 (line 3)"),
            ("a,b\r\n1,2\r\n3,on\r\n5,6\r\n", None, "row 2 (line 3)"),
            ("a,b\n1,2\n\n\n3,on\n", None, "row 2 (line 5)"),
            ("a,b\r\n1,2\r\n\r\n\r\n3\r\n", None, "row 2 (line 5)"),
            (
                "d,a,b\nx,1,on\n",
                None,
                "column `d`: `x` is not a number (nor are all fields of `b`); if these are categories",
            ),
            ("a,b\n1,2\n3,4\n5,on\n", None, "if it stands for a missing value, leave it empty or give --missing on"),
            ("a,b\n1,1e99\n", None, "column `b`: `1e99` is beyond the range"),
            ("a,y\n1,\n", Some("y"), "the label is `` where 0"),
            ("a,y\n1,bad\n2,good\n3,good\n", Some("y"), "row 1 (line 2), column `y`: the label is `bad` where 0"),
            ("a,y\n1,bad\n2,good\n3,good\n", Some("y"), "if `bad` marks the anomalies, give --anomaly-label bad"),
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

    #[test]
    fn what_loggers_write_around_their_rows_is_no_row() {
        let rows = "0,1.5,2\n1,1.6,2\n2,1.7,3\n";
        let expected = [0.0, 1.5, 2.0, 1.0, 1.6, 2.0, 2.0, 1.7, 3.0];
        for text in [
            format!("time,a,b\n{rows}"),
            format!("Pump house\nlogger 7\ntime,a,b\n{rows}"),
            format!("# logger 7\ntime,a,b\n{rows}# the end\n"),
            format!("# time,a,b\n{rows}"),
            format!("sep=,\ntime,a,b\n{rows}"),
            format!("time,a,b\ns,V,A\n{rows}"),
            format!("time,a,b\n{}", rows.replace('\n', ",\n")),
            format!("time,a,b\n{}", rows.replace("1,1.6", "time,a,b\n1,1.6")),
            format!("time,a,b\r{}", rows.replace('\n', "\r")),
            format!("time a  b\n{}", rows.replace(',', "  ")),
        ] {
            let found = recording(&text, Label::None).unwrap();
            assert_eq!(
                (found.names, found.table.values),
                (["time", "a", "b"].map(str::to_owned).to_vec(), expected.to_vec()),
                "{text}"
            );
        }
        let repeated = recording("time,a\n0,1\n1,1\ntime,a\n2,1\n", Label::None).unwrap();
        assert_eq!(repeated.table.starts, [2]);
        assert!(repeated.notes[0].contains("1 line(s) repeat the header"), "{:?}", repeated.notes);
        let skipped = recording("a note\ntime,a\n0,1\n1,2\n", Label::None).unwrap();
        assert!(
            skipped.notes[0].contains("the header is in line 2; the 1 line(s) before it are skipped"),
            "{:?}",
            skipped.notes
        );
        let error = recording("a note\nanother\ntime,a\n0,1\n\n1,on\n", Label::None).unwrap().numbers().unwrap_err();
        assert!(error.to_string().contains("row 2 (line 6), column `a`"), "{error}");
        let by_hand = Reading { skip_lines: Some(2), ..Reading::default() };
        assert_eq!(read("x,y\n1,2\na,b\n3,4\n", Label::None, &by_hand).unwrap().names, ["a", "b"]);
    }

    #[test]
    fn columns_without_names_have_their_places_for_names() {
        let names = |text: &str| recording(text, Label::None).unwrap().names.join("|");
        assert_eq!(names(",a\n0,1\n1,2\n"), "column 1|a");
        assert_eq!(names("\"a\",\"b\"\n\"1\",2,3\n\"2\",4,5\n"), "column 1|a|b");
        assert_eq!(names("1 2.5 3\n2 2.5 3\n"), "x0|x1|x2");
        assert_eq!(names("Temp \u{b0}C,b\n1,2\n"), "Temp \u{b0}C|b");
    }

    #[test]
    fn words_for_missing_are_taken_and_counted() {
        let found = recording("a,b\n1,N/A\n2,3\n3,N/A\n4,\n", Label::None).unwrap();
        assert_eq!(found.not_numbers, []);
        assert!(found.table.values[1].is_nan() && found.table.values[7].is_nan());
        assert!(
            found.notes[0].contains("column `b`: 2 field(s), such as `N/A`, are taken as missing"),
            "{:?}",
            found.notes
        );
        let reading = Reading { missing: vec!["-999,off".to_owned()], ..Reading::default() };
        let found = read("a,b\n1,-999\n2,off\n3,-999.0\n4,5\n", Label::None, &reading).unwrap();
        assert_eq!((found.table.values.iter().filter(|value| value.is_nan()).count(), found.not_numbers), (3, vec![]));
    }
}
