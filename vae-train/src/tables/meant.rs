//! Which files are meant by what a user gives: names, folders and patterns.

use std::{
    cmp::Ordering,
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use crate::tables::{format::TableFormat, packed::Packing};

/// What a user gives for standard input.
const STANDARD_INPUT: &str = "-";

/// The files that are meant, each once.
pub(crate) fn meant(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for path in given {
        if path.as_os_str() != STANDARD_INPUT && path.is_dir() {
            paths.extend(tables_of(path)?);
        } else if !path.exists() && path.to_string_lossy().contains(['*', '?', '[']) {
            paths.extend(matches(path)?);
        } else {
            paths.push(path.clone());
        }
    }
    let mut seen = HashSet::new();
    if let Some(twice) = paths.iter().find(|path| !seen.insert(*path)) {
        match twice.to_str() {
            Some(STANDARD_INPUT) => bail!("standard input is read once: give `-` once"),
            _ => bail!("{} is given twice: give each file once", twice.display()),
        }
    }
    Ok(paths)
}

/// The tables in a folder, as their names say, in natural order.
fn tables_of(folder: &Path) -> Result<Vec<PathBuf>> {
    let context = || format!("cannot read {}", folder.display());
    let mut tables = Vec::new();
    let mut others = 0;
    for entry in folder.read_dir().with_context(context)? {
        let path = entry.with_context(context)?.path();
        let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.is_file() && is_named_as_table(&path) {
            tables.push(path);
        } else {
            others += 1;
        }
    }
    ensure!(
        !tables.is_empty(),
        "{} is a directory without tables ({others} other entries): give the name of a file (CSV, NPY, NPZ, WAV, Parquet or IDX), or of a \
         directory of such files; others can be given by a pattern, as in '{}/*.txt'",
        folder.display(),
        folder.display()
    );
    tables.sort_by(|a, b| natural(a, b));
    Ok(tables)
}

fn is_named_as_table(path: &Path) -> bool {
    let stem = if Packing::of_name(path).is_some() { path.file_stem().map(Path::new) } else { Some(path) };
    stem.is_some_and(|stem| {
        TableFormat::of_name(stem).is_some()
            || stem.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tsv"))
    })
}

/// The files that a pattern is of, in natural order.
fn matches(pattern: &Path) -> Result<Vec<PathBuf>> {
    let text = pattern.to_str().with_context(|| format!("cannot read {}", pattern.display()))?;
    let found = glob::glob(text).with_context(|| format!("{text} is no pattern"))?;
    let mut paths: Vec<PathBuf> = found.collect::<Result<_, _>>().with_context(|| format!("cannot read {text}"))?;
    paths.retain(|path| path.is_file());
    ensure!(!paths.is_empty(), "no file has a name as in {text}");
    paths.sort_by(|a, b| natural(a, b));
    Ok(paths)
}

/// The order of names in which numbers count by their size: day2 before day10.
fn natural(a: &Path, b: &Path) -> Ordering {
    let [a, b] = [a, b].map(|path| path.as_os_str().to_string_lossy().into_owned());
    let parts = |text: &str| {
        let parts = text.as_bytes().chunk_by(|x, y| x.is_ascii_digit() == y.is_ascii_digit());
        let part = |part: &[u8]| {
            let zeros = part.iter().take_while(|byte| **byte == b'0').count();
            let is_number = part[0].is_ascii_digit();
            // A number before text, as digits are before letters; a longer one without its zeros is a larger one.
            let number = if is_number { part[zeros..].to_vec() } else { Vec::new() };
            (!is_number, number.len(), number, if is_number { Vec::new() } else { part.to_vec() })
        };
        parts.map(part).collect::<Vec<_>>()
    };
    parts(&a).cmp(&parts(&b)).then_with(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn numbers_in_names_count_by_their_size() {
        let mut paths =
            ["day10", "day2b", "day02", "day2", "Day", "day", "2", "10", "x9y10", "x9y9"].map(PathBuf::from).to_vec();
        paths.sort_by(|a, b| natural(a, b));
        assert_eq!(names(&paths), ["2", "10", "Day", "day", "day02", "day2", "day2b", "day10", "x9y9", "x9y10"]);
    }

    #[test]
    fn a_folder_is_its_tables_and_a_pattern_the_files_of_such_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b10.csv", "b9.csv.gz", "a.WAV", ".hidden.csv", "notes.txt", "m.vae", "t.tsv"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::create_dir(folder.path().join("deeper.csv")).unwrap();
        let given = |name: &str| meant(&[folder.path().join(name)]);
        assert_eq!(names(&given("").unwrap()), ["a.WAV", "b9.csv.gz", "b10.csv", "t.tsv"]);
        assert_eq!(names(&given("b*").unwrap()), ["b9.csv.gz", "b10.csv"]);
        assert_eq!(names(&given("*.txt").unwrap()), ["notes.txt"], "which a folder leaves out");
        assert!(given("c*").unwrap_err().to_string().contains("no file has a name as in"));
        // A file of that name is no pattern.
        std::fs::write(folder.path().join("x[1].csv"), "").unwrap();
        assert_eq!(names(&given("x[1].csv").unwrap()), ["x[1].csv"]);
        let twice = meant(&["-".into(), "a.csv".into(), "-".into()]).unwrap_err().to_string();
        assert!(twice.contains("`-` once"), "{twice}");
    }
}
