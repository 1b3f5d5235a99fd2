//! The header of a CSV file: what separates its fields, and the columns' names.

use std::{collections::HashSet, io::Read, path::Path};

use anyhow::{Result, bail, ensure};

use crate::{
    tables::table::MAX_FEATURES,
    words::foreign::{excerpt, line, unguarded},
};

/// Most bytes of a column's name.
const MOST_NAME_BYTES: usize = 1024;
/// What may stand between fields.
const SEPARATORS: [u8; 3] = [b'\t', b';', b','];

/// What stands between the fields of a file that begins so: of commas, semicolons and tabs the one that its first line has most of.
pub(crate) fn separator(start: &[u8]) -> u8 {
    let header = outside_quotation(start);
    let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
    // The last of equals is taken.
    SEPARATORS.into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

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

/// The names of the columns, all different.
///
/// # Errors
/// If there is no header of names, as in a file of numbers only, or one that no table has.
pub(crate) fn header(reader: &mut csv::Reader<impl Read>, path: &Path) -> Result<Vec<String>> {
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

/// Refuses names that no column may have, and two of the same.
///
/// # Errors
/// Shows the name.
pub(crate) fn check_names(columns: &[String], path: &Path) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_quotation_marks_separates_nothing() {
        for (start, expected) in [
            ("a,b\n1;2;3;4\n", b','),
            ("a;b,c;d", b';'),
            ("a\tb", b'\t'),
            ("a;b,c", b','),
            ("\"a;b;c\",d\n1,2\n", b','),
            ("\"a;\"\"b;\";\"c,,,\"\n1;2\n", b';'),
            ("a 5\" b,c;\" d\n1,2\n", b','),
            ("", b','),
        ] {
            assert_eq!(separator(start.as_bytes()), expected, "{start}");
        }
    }
}
