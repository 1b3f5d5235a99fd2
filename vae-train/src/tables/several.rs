//! Several files as one table: each is a recording of its own.

use std::{
    cmp::Ordering,
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    tables::{
        format::TableFormat,
        growth::{Expected, reserve},
        open::open,
        packed::Packing,
        reading::Reading,
        recording::{Label, Recording},
        table::{NotNumbers, Table},
    },
    words::{messages::list, numbers::significant},
};

/// Share by which the rates of two files may differ that are the same, by their heads and by their clocks: a short recording's clock says little.
const SAME_RATE: (f64, f64) = (1e-9, 0.05);

/// What a user gives for standard input.
const STANDARD_INPUT: &str = "-";

/// The files that a table was read from, in the order of its rows.
#[derive(Clone, Debug, Default)]
pub struct Files(Vec<(PathBuf, usize)>);

impl Files {
    /// How many they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The file that a row of the table is of, and which row of the file it is, both counted from 0.
    #[must_use]
    pub fn place(&self, row: usize) -> Option<(&Path, usize)> {
        let (path, first) = self.0.get(self.0.partition_point(|(_, first)| *first <= row).checked_sub(1)?)?;
        Some((path, row - first))
    }
}

/// Reads what a user gives: files, `-` for standard input, folders (the tables in them, in the order of their names, numbers in these by their
/// size) and patterns as in `recordings/*.wav`. With each file another recording begins. `watch` makes, for each file, what is told now and
/// then how many of its rows and what part of it have been read.
///
/// # Errors
/// If a file cannot be read, or they do not belong together: names the file and what it lacks.
pub fn open_all<W: FnMut(usize, Option<f64>)>(
    given: &[PathBuf],
    label: Label<'_>,
    reading: &Reading,
    mut watch: impl FnMut(&Path) -> W,
) -> Result<(Recording, Files)> {
    let paths = expand(given)?;
    let Some((first, others)) = paths.split_first() else { bail!("no file is given") };
    let mut whole = open(first, label, reading, watch(first))?;
    let mut files = vec![(whole.table.path.clone(), 0)];
    if others.is_empty() {
        return Ok((whole, Files(files)));
    }
    let rates = Rates::of(&whole);
    name_the_file(&mut whole);
    for path in others {
        let next = open(path, label, reading, watch(path))?;
        rates.check(&whole.table.path, &next)?;
        files.push((next.table.path.clone(), whole.table.rows()));
        let part = files.len() as f64 / paths.len() as f64;
        append(&mut whole, next, part)?;
    }
    let pieces = whole.table.pieces().len();
    whole.table.path = name(given, paths.len(), pieces);
    Ok((whole, Files(files)))
}

/// What messages call so many files and pieces.
fn name(given: &[PathBuf], files: usize, pieces: usize) -> PathBuf {
    let shown = match given {
        [first, _, .., last] => format!("{} … {}", first.display(), last.display()),
        few => few.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    format!("{shown} ({files} files, {pieces} pieces)").into()
}

/// A note on the pieces of a table, where there are several.
#[must_use]
pub fn note_on_pieces(recording: &Recording) -> Option<String> {
    let table = &recording.table;
    let pieces = table.pieces().len();
    (pieces > 1).then(|| {
        format!(
            "{}: the rows are of {pieces} pieces; no window spans two of them, and each is judged by itself",
            table.path.display()
        )
    })
}

/// The files that are meant, each once.
fn expand(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
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

/// What the first of several files says of its rate.
struct Rates {
    head: Option<f64>,
    clocks: Vec<(String, f64)>,
}

impl Rates {
    fn of(recording: &Recording) -> Self {
        let clocks = recording.clocks().into_iter().map(|clock| (clock.column, clock.rate)).collect();
        Self { head: recording.rate, clocks }
    }

    /// Refuses a file of another rate than that of the one before it, whose name is `first`.
    fn check(&self, first: &Path, next: &Recording) -> Result<()> {
        let other = Self::of(next);
        let by_head = self.head.zip(other.head).map(|rates| (rates, "their heads".to_owned(), SAME_RATE.0));
        let by_clock = self.clocks.iter().filter_map(|(column, rate)| {
            let (_, other) = other.clocks.iter().find(|(other, _)| other == column)?;
            Some(((*rate, *other), format!("column `{column}`"), SAME_RATE.1))
        });
        for ((one, two), what, tolerance) in by_head.into_iter().chain(by_clock) {
            ensure!(
                (two / one - 1.0).abs() <= tolerance,
                "{} has {} rows a second and {} has {}, by {what}: files that are given together are sampled at one rate; fit a model for \
                 each, or resample one",
                first.display(),
                significant(one),
                next.table.path.display(),
                significant(two)
            );
        }
        Ok(())
    }
}

/// Names the file of each field that is no number.
fn name_the_file(recording: &mut Recording) {
    let Recording { table, not_numbers, .. } = recording;
    not_numbers.iter_mut().for_each(|found| found.file = Some(table.path.clone()));
}

/// Appends a recording's rows, with the first of which another recording begins. `part` is the part of all files that there is then.
fn append(whole: &mut Recording, mut next: Recording, part: f64) -> Result<()> {
    check_columns(whole, &next)?;
    name_the_file(&mut next);
    if next.table.columns != whole.table.columns {
        next.table = next.table.select(&whole.table.columns)?.0;
    }
    let rows = whole.table.rows();
    let (table, mut more) = (&mut whole.table, next.table);
    let origins = common_origins(table, &more);
    move_to(table, &origins);
    move_to(&mut more, &origins);
    reserve(&mut table.values, more.values.len(), || Expected::Part(part), &more.path)?;
    table.values.extend_from_slice(&more.values);
    if let (Some(labels), Some(more)) = (&mut table.labels, &more.labels) {
        labels.extend_from_slice(more);
    }
    table.starts.push(rows);
    table.starts.extend(more.starts.iter().map(|start| rows + start));
    // A column that has times in one of them only tells no time.
    whole.times.retain_mut(|(column, times)| {
        let more = next.times.iter().find(|(other, more)| other == column && more.seconds == times.seconds);
        more.is_some_and(|(_, more)| {
            times.values.extend_from_slice(&more.values);
            true
        })
    });
    whole.notes.append(&mut next.notes);
    whole.question = whole.question.take().or(next.question);
    for NotNumbers { column, fields, .. } in &next.not_numbers {
        match whole.not_numbers.iter_mut().find(|found| found.column == *column) {
            Some(found) => found.fields += fields,
            None => whole.not_numbers.extend(next.not_numbers.iter().find(|found| found.column == *column).cloned()),
        }
    }
    Ok(())
}

/// Of each column the origin that one of two tables has, or the first one's where both have one; none where no column has any.
fn common_origins(table: &Table, more: &Table) -> Vec<f64> {
    let of = |table: &Table, column: usize| table.origins.get(column).copied().unwrap_or(0.0);
    if table.origins.is_empty() && more.origins.is_empty() {
        return Vec::new();
    }
    let common = |column| if of(table, column) == 0.0 { of(more, column) } else { of(table, column) };
    (0..table.columns.len()).map(common).collect()
}

/// Brings a table's values to these origins.
fn move_to(table: &mut Table, origins: &[f64]) {
    let before = |column: usize| table.origins.get(column).copied().unwrap_or(0.0);
    let moves: Vec<f64> = origins.iter().enumerate().map(|(column, origin)| before(column) - origin).collect();
    for (column, by) in moves.iter().enumerate().filter(|(_, by)| **by != 0.0) {
        let own = table.values.iter_mut().skip(column).step_by(moves.len());
        own.for_each(|value| *value = (f64::from(*value) + by) as f32);
    }
    table.origins = origins.to_vec();
}

/// Refuses a file that has other columns than those before it, or a label where they have none.
fn check_columns(whole: &Recording, next: &Recording) -> Result<()> {
    let lacks = |one: &Recording, other: &Recording| -> Vec<String> {
        let known: HashSet<&String> = one.names.iter().collect();
        other.names.iter().filter(|name| !known.contains(name)).cloned().collect()
    };
    let (one, two) = (whole.table.path.display(), next.table.path.display());
    if whole.label != next.label {
        let (with, without, label) = match (&whole.label, &next.label) {
            (Some(label), _) => (&one, &two, label),
            (None, label) => (&two, &one, label.as_ref().unwrap_or(&next.names[0])),
        };
        bail!(
            "{with} has the label `{label}` and {without} has none: give a label to all files or to none (a column of 0 for what is normal)"
        );
    }
    for (file, other, missing) in [(&two, &one, lacks(next, whole)), (&one, &two, lacks(whole, next))] {
        ensure!(
            missing.is_empty(),
            "{file} lacks {} column(s) that {other} has: {}; files that are given together have the same columns, in any order",
            missing.len(),
            list(&missing)
        );
    }
    Ok(())
}
