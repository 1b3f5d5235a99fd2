//! Text from outside (names of columns, fields, files' names, what a device says) where something may take it for a command: a terminal,
//! a browser, a spreadsheet.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

/// Characters of a field or a name that a message shows.
const SHOWN: usize = 80;

/// A text that a terminal may print and a page may hold: what commands a terminal (C0 but for the line feed and the tab, DEL, C1) or
/// turns the direction of writing stands as an escape, `\u001b`. In JSON that is what it stood for before.
///
/// # Source
/// ECMA-48, section 5; Unicode Standard Annex 9, section 2 (embeddings, overrides and isolates).
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    escaped_but(text, &['\n', '\t'])
}

/// A text as [`escaped`] has it, on one line: its line feeds stand as escapes, too.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped_but(text, &['\t'])
}

/// What a message shows of a field or a name: a text as [`line()`] has it, and of a long one the beginning.
#[must_use]
pub fn excerpt(text: &str) -> String {
    line(&short(text, SHOWN)).into_owned()
}

/// At most `most` characters, the last of them `…` where it is cut.
#[must_use]
pub fn short(text: &str, most: usize) -> Cow<'_, str> {
    // A text may have many more.
    if text.chars().take(most + 1).count() <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn escaped_but<'t>(text: &'t str, kept: &[char]) -> Cow<'t, str> {
    let is_command = |c: char| match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        _ => c.is_control() && !kept.contains(&c),
    };
    if !text.contains(is_command) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if !is_command(c) => shown.push(c),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            _ => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    shown.into()
}

/// A field of a CSV file that no spreadsheet takes for a formula: an apostrophe stands before what begins as one does, at the beginning and
/// behind a semicolon or a tab, which some spreadsheets take for ends of fields. Numbers stay as they are. [`unguarded`] takes it back.
///
/// # Source
/// OWASP, "CSV Injection"; the apostrophe is what spreadsheets themselves mark text by.
#[must_use]
pub fn guarded(field: &str) -> Cow<'_, str> {
    if field.parse::<f64>().is_ok() {
        return field.into();
    }
    at_starts(field, |rest| begins_as_formula(rest).then_some((0, "'")))
}

/// What [`guarded`] made a field of: one apostrophe less where it has put one.
#[must_use]
pub fn unguarded(field: &str) -> Cow<'_, str> {
    at_starts(field, |rest| (rest.starts_with('\'') && begins_as_formula(rest)).then_some((1, "")))
}

/// Whether a spreadsheet would calculate a cell of this text, or this text without apostrophes before it: those that are the name's own
/// are doubled.
fn begins_as_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// The text with what `change` says of each start of a cell: how many bytes go there, and what comes in their place.
fn at_starts(text: &str, change: impl Fn(&str) -> Option<(usize, &'static str)>) -> Cow<'_, str> {
    let starts = || std::iter::once(0).chain(text.match_indices([';', '\t']).map(|(at, _)| at + 1));
    if starts().all(|at| change(&text[at..]).is_none()) {
        return text.into();
    }
    let (mut changed, mut done) = (String::with_capacity(text.len() + 1), 0);
    for at in starts() {
        if let Some((bytes, instead)) = change(&text[at..]) {
            changed.push_str(&text[done..at]);
            changed.push_str(instead);
            done = at + bytes;
        }
    }
    changed.push_str(&text[done..]);
    changed.into()
}

/// A text in a row that is serialised: [`guarded`].
#[derive(Clone, Debug)]
pub struct Cell(pub String);

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&guarded(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_escaped_and_all_else_stays() {
        for code in (0..0x3000).filter_map(char::from_u32) {
            let expected = match u32::from(code) {
                0x09 | 0x0a => false,
                0..0x20 | 0x7f..0xa0 | 0x202a..=0x202e | 0x2066..=0x2069 => true,
                _ => false,
            };
            let text = format!("a{code}b");
            let shown = escaped(&text);
            assert_eq!(shown != text, expected, "{code:?}");
            // JSON means the same by it.
            if expected && code != '\r' {
                assert_eq!(serde_json::from_str::<String>(&format!("\"{shown}\"")).unwrap(), text);
            }
        }
        assert_eq!(escaped("a\u{1b}]52;c;aGk=\u{7}\u{9b}1m\r\n"), "a\\u001b]52;c;aGk=\\u0007\\u009b1m\\r\n");
        assert_eq!(line("a\nb\tc\u{202e}"), "a\\nb\tc\\u202e");
        assert!(matches!(escaped("Drücke ‰ 温度"), Cow::Borrowed(_)));
        assert_eq!(excerpt(&"\n".repeat(1000)), "\\n".repeat(79) + "…");
        assert_eq!([short("channel", 7), short("channels", 7)], ["channel", "channe…"]);
    }

    #[test]
    fn formulas_are_guarded_and_what_was_guarded_reads_back_as_it_was() {
        for (field, expected) in [
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("+1+2", "'+1+2"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t'=1"),
            ("\rx", "'\rx"),
            ("＝1", "'＝1"),
            ("a;=1;-b", "a;'=1;'-b"),
            ("'=1", "''=1"),
            // No formulas.
            ("a=b", "a=b"),
            ("'quoted'", "'quoted'"),
            ("flow; inlet", "flow; inlet"),
            ("-1.5e3", "-1.5e3"),
            ("+2", "+2"),
            ("-inf", "-inf"),
            ("", ""),
        ] {
            assert_eq!((guarded(field).as_ref(), unguarded(expected).as_ref()), (expected, field));
        }
        // Every text of up to six of these.
        let letters = ['\'', '=', '-', ';', '\t', 'a', '1'];
        let mut texts = vec![String::new()];
        for _ in 0..6 {
            let longer = texts.iter().flat_map(|text| letters.map(|letter| format!("{text}{letter}")));
            texts = longer.chain([String::new()]).collect();
            for text in &texts {
                let written = guarded(text);
                assert_eq!(unguarded(&written), *text, "{written}");
                let is_number = text.parse::<f64>().is_ok();
                let is_formula = |cell: &str| cell.starts_with(['=', '-', '\t']);
                assert!(is_number || !written.split([';', '\t']).any(is_formula), "{written}");
            }
        }
    }
}
