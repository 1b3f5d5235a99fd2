//! The header of a text: the columns' names.

use std::{collections::HashSet, io::Read, path::Path};

use anyhow::{Result, bail, ensure};
use encoding_rs::WINDOWS_1252;

use crate::{
    tables::{
        dialect::{Dialect, Surplus},
        table::MAX_FEATURES,
    },
    words::{
        foreign::{excerpt, line, unguarded},
        messages::list,
    },
};

/// Most bytes of a column's name.
const MOST_NAME_BYTES: usize = 1024;
/// The names of the columns, all different, and what the user should know of them.
///
/// # Errors
/// If there is no header of names, as in a file of numbers only, or one that no table has.
pub(crate) fn header(
    reader: &mut csv::Reader<impl Read>,
    dialect: &Dialect,
    path: &Path,
) -> Result<(Vec<String>, Vec<String>)> {
    let name = path.display();
    let header = match reader.byte_headers() {
        Ok(header) => header,
        Err(error) => bail!("{name}: the header cannot be read: {error}"),
    };
    ensure!(
        header.len() <= MAX_FEATURES,
        "{name}: the header has {} names: at most {MAX_FEATURES} columns fit into a model; leave out others",
        header.len()
    );
    if !dialect.has_header {
        let names: Vec<String> = (0..header.len()).map(|column| format!("x{column}")).collect();
        let note = format!("{name}: has no header; its {} columns are called {}", names.len(), list(&names));
        return Ok((names, vec![note]));
    }
    let mut notes = Vec::new();
    let decoded = |field: &[u8]| match std::str::from_utf8(field) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (WINDOWS_1252.decode_without_bom_handling(field).0.into_owned(), true),
    };
    if let Some(foreign) = header.iter().map(decoded).find_map(|(text, is_foreign)| is_foreign.then_some(text)) {
        notes.push(format!(
            "{name}: the header is not in UTF-8, and is read as Windows-1252: `{}`; iconv -f CP1252 -t UTF-8 converts a file",
            excerpt(&foreign)
        ));
    }
    // A byte-order mark belongs to the file, not to the first name, a mark of a comment to the line, and an apostrophe before a formula to the format.
    let own = |name: &str| unguarded(name.trim_start_matches('\u{feff}').trim()).into_owned();
    let mut header: Vec<String> = header.iter().map(|field| own(&decoded(field).0)).collect();
    ensure!(
        !header.iter().any(|column| column.contains('\0')),
        "{name} is not text: a CSV file is needed, or images as IDX bytes"
    );
    ensure!(!header.iter().all(String::is_empty), "{name} is empty: a CSV file with a header line is needed");
    if let Some(number) = header.iter().find(|name| name.parse::<f64>().is_ok()) {
        bail!(
            "{name}: the first line holds the number `{}` where a column's name belongs: add a header line",
            excerpt(number)
        );
    }
    if let Some(bare) = header[0].strip_prefix('#').map(str::trim).filter(|bare| !bare.is_empty()) {
        header[0] = bare.to_owned();
    }
    if dialect.surplus == Some(Surplus::First) {
        header.insert(0, String::new());
    }
    notes.extend(
        name_the_nameless(&mut header)
            .map(|names| format!("{name}: columns without a name are called by their places: {names}")),
    );
    check_names(&header, path)?;
    Ok((header, notes))
}

/// Gives columns without a name one by their place; lists these.
fn name_the_nameless(header: &mut [String]) -> Option<String> {
    let mut given = Vec::new();
    for index in 0..header.len() {
        let name = format!("column {}", index + 1);
        if header[index].is_empty() && !header.contains(&name) {
            given.push(name.clone());
            header[index] = name;
        }
    }
    (!given.is_empty()).then(|| list(&given))
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
