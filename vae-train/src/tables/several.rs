//! Several files as one table: each is a recording of its own.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};

use crate::{
    tables::{
        categories::join,
        growth::{Expected, reserve},
        meant::meant,
        open::open,
        reading::Reading,
        recording::{Label, Recording},
        table::Table,
    },
    words::{messages::list, numbers::significant},
};

/// Share by which the rates of two files may differ that are the same, by their heads and by their clocks: a short recording's clock says little.
const SAME_RATE: (f64, f64) = (1e-9, 0.05);

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
    let paths = meant(given)?;
    let Some((first, others)) = paths.split_first() else { bail!("no file is given") };
    let mut whole = open(first, label, reading, watch(first))?;
    let mut files = vec![(whole.table.path.clone(), 0)];
    if others.is_empty() {
        return Ok((whole, Files(files)));
    }
    let head = Head::of(&whole);
    name_the_file(&mut whole);
    for path in others {
        let next = open(path, label, reading, watch(path))?;
        head.check(&next)?;
        files.push((next.table.path.clone(), whole.table.rows()));
        let part = files.len() as f64 / paths.len() as f64;
        append(&mut whole, next, part)?;
    }
    let pieces = whole.table.pieces().len();
    whole.table.path = name(given, paths.len(), pieces);
    Ok((whole, Files(files)))
}

/// The bytes on the disk of each file of what a user gives; `None` where one of them is a pipe or is not there.
///
/// # Errors
/// If a folder or a pattern holds no files.
pub fn sizes_on_disk(given: &[PathBuf]) -> Result<Option<Vec<u64>>> {
    let size = |path: &PathBuf| path.metadata().ok().filter(|found| found.is_file()).map(|found| found.len());
    Ok(meant(given)?.iter().map(size).collect())
}

/// What messages call so many files and pieces.
pub(crate) fn name(given: &[PathBuf], files: usize, pieces: usize) -> PathBuf {
    let shown = match given {
        [first, _, .., last] => format!("{} … {}", first.display(), last.display()),
        few => few.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    format!("{shown} ({files} files, {pieces} pieces)").into()
}

/// A note on the pieces of a table, where there are several.
#[must_use]
pub fn note_on_pieces(recording: &Recording) -> Option<String> {
    note_on_pieces_of(&recording.table.path, recording.table.pieces().len())
}

/// A note on so many pieces of a table of this name, where there are several.
pub(crate) fn note_on_pieces_of(name: &Path, pieces: usize) -> Option<String> {
    (pieces > 1).then(|| {
        format!(
            "{}: no window spans two of the {pieces} pieces that it is made of, and each is judged by itself",
            name.display()
        )
    })
}

/// What the first of several files says that the others must say, too.
pub(crate) struct Head {
    path: PathBuf,
    names: Vec<String>,
    label: Option<String>,
    rate: Option<f64>,
    clocks: Vec<(String, f64)>,
}

impl Head {
    pub(crate) fn of(recording: &Recording) -> Self {
        let clocks = recording.clocks.iter().filter_map(|clock| Some((clock.column.clone(), clock.rate?))).collect();
        let Recording { table, names, label, rate, .. } = recording;
        Self { path: table.path.clone(), names: names.clone(), label: label.clone(), rate: *rate, clocks }
    }

    /// The file's name.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Refuses a file that has another rate or other columns, or a label where this one has none.
    ///
    /// # Errors
    /// Names both files and how they differ.
    pub(crate) fn check(&self, next: &Recording) -> Result<()> {
        let other = Self::of(next);
        self.check_rate(&other)?;
        self.check_columns(&other)
    }

    fn check_rate(&self, other: &Self) -> Result<()> {
        let by_head = self.rate.zip(other.rate).map(|rates| (rates, "their heads".to_owned(), SAME_RATE.0));
        let by_clock = self.clocks.iter().filter_map(|(column, rate)| {
            let (_, other) = other.clocks.iter().find(|(other, _)| other == column)?;
            Some(((*rate, *other), format!("column `{column}`"), SAME_RATE.1))
        });
        for ((one, two), what, tolerance) in by_head.into_iter().chain(by_clock) {
            ensure!(
                (two / one - 1.0).abs() <= tolerance,
                "{} has {} rows a second and {} has {}, by {what}: files that are given together are sampled at one rate; fit a model for \
                 each, or resample one",
                self.path.display(),
                significant(one),
                other.path.display(),
                significant(two)
            );
        }
        Ok(())
    }

    fn check_columns(&self, next: &Self) -> Result<()> {
        let lacks = |one: &Self, other: &Self| -> Vec<String> {
            let known: HashSet<&String> = one.names.iter().collect();
            other.names.iter().filter(|name| !known.contains(name)).cloned().collect()
        };
        let (one, two) = (self.path.display(), next.path.display());
        if self.label != next.label {
            let (with, without, label) = match (&self.label, &next.label) {
                (Some(label), _) => (&one, &two, label),
                (None, label) => (&two, &one, label.as_ref().unwrap_or(&next.names[0])),
            };
            bail!(
                "{with} has the label `{label}` and {without} has none: give a label to all files or to none (a column of 0 for what is normal)"
            );
        }
        for (file, other, missing) in [(&two, &one, lacks(next, self)), (&one, &two, lacks(self, next))] {
            ensure!(
                missing.is_empty(),
                "{file} lacks {} column(s) that {other} has: {}; files that are given together have the same columns, in any order",
                missing.len(),
                list(&missing)
            );
        }
        Ok(())
    }
}

/// Names the file of each field that is no number.
pub(crate) fn name_the_file(recording: &mut Recording) {
    let Recording { table, not_numbers, .. } = recording;
    not_numbers.iter_mut().for_each(|found| found.file = Some(table.path.clone()));
}

/// Appends a recording's rows, with the first of which another recording begins. `part` is the part of all files that there is then.
fn append(whole: &mut Recording, mut next: Recording, part: f64) -> Result<()> {
    name_the_file(&mut next);
    join(whole, &mut next)?;
    if next.table.columns != whole.table.columns {
        next.table = next.table.select(&whole.table.columns)?.0;
    }
    let (rows, more_rows) = (whole.table.rows(), next.table.rows());
    let (table, mut more) = (&mut whole.table, std::mem::take(&mut next.table));
    let origins = common_origins(table, &more);
    table.rebase(&origins);
    more.rebase(&origins);
    reserve(&mut table.values, more.values.len(), || Expected::Part(part), &more.path)?;
    table.values.extend_from_slice(&more.values);
    if let (Some(labels), Some(more)) = (&mut table.labels, &more.labels) {
        labels.extend_from_slice(more);
    }
    table.starts.push(rows);
    table.starts.extend(more.starts.iter().map(|start| rows + start));
    whole.append_beside_rows(next, true, [rows, more_rows]);
    Ok(())
}

impl Recording {
    /// Takes what `more` rows say beside themselves, behind so many; they are of another file, or of the same.
    pub(crate) fn append_beside_rows(&mut self, mut next: Self, is_another: bool, [rows, more]: [usize; 2]) {
        if is_another {
            join_roles(self, &next, rows, more);
            self.notes.append(&mut next.notes);
            self.question = self.question.take().or(next.question);
        } else {
            for clock in &mut self.clocks {
                let own = next.clocks.iter().find(|other| other.column == clock.column);
                own.iter().for_each(|own| clock.append(own, rows, more));
            }
        }
        for found in next.not_numbers {
            match self.not_numbers.iter_mut().find(|known| known.column == found.column) {
                Some(known) => known.fields += found.fields,
                None => self.not_numbers.push(found),
            }
        }
    }
}

/// What columns are for, where files differ in it: none is trained on that one of them leaves out.
fn join_roles(whole: &mut Recording, next: &Recording, rows: usize, more: usize) {
    whole.clocks.retain_mut(|clock| {
        let other = next.clocks.iter().find(|other| other.column == clock.column);
        other.inspect(|other| clock.append(other, rows, more)).is_some()
    });
    let known: HashSet<String> = whole.left_out().cloned().collect();
    let clocks = next.clocks.iter().map(|clock| &clock.column);
    whole.counters.extend(clocks.chain(&next.counters).filter(|name| !known.contains(*name)).cloned());
    whole.label_like.extend(next.label_like.iter().filter(|name| !known.contains(*name)).cloned());
    whole.group = whole.group.take().or_else(|| next.group.clone());
    whole.suggested_group = whole.suggested_group.take().or_else(|| next.suggested_group.clone());
}

/// Of each column the origin that one of two tables has, or the first one's where both have one; none where no column has any.
fn common_origins(table: &Table, more: &Table) -> Vec<f64> {
    if table.origins.is_empty() && more.origins.is_empty() {
        return Vec::new();
    }
    let common = |column| if table.origin(column) == 0.0 { more.origin(column) } else { table.origin(column) };
    (0..table.columns.len()).map(common).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &Path) -> &str {
        path.file_name().unwrap().to_str().unwrap()
    }

    fn read(texts: &[&str]) -> Result<(Recording, Files)> {
        let folder = tempfile::tempdir()?;
        let paths: Vec<PathBuf> = (0..texts.len()).map(|index| folder.path().join(format!("{index}.csv"))).collect();
        paths.iter().zip(texts).try_for_each(|(path, text)| std::fs::write(path, text))?;
        open_all(&paths, Label::Usual, &Reading::default(), |_| |_, _| {})
    }

    #[test]
    fn files_lie_one_behind_the_other_whatever_the_order_of_their_columns() {
        let (whole, files) =
            read(&["a,label,b\n1,0,2\n3,1,4\n", "label,b,a\n0,6,5\n", "b,a,label\n8,7,1\n10,9,0\n"]).unwrap();
        assert_eq!(whole.table.columns, ["a", "b"]);
        assert_eq!(whole.table.values, (1..=10).map(|value| value as f32).collect::<Vec<_>>());
        assert_eq!(whole.table.labels, Some(vec![false, true, false, true, false]));
        assert_eq!(whole.table.starts, [2, 3]);
        assert!(whole.table.path.to_string_lossy().ends_with("2.csv (3 files, 3 pieces)"), "{:?}", whole.table.path);
        let place = |row| files.place(row).map(|(path, row)| (name(path), row)).unwrap();
        assert_eq!((place(1), place(2), place(4)), (("0.csv", 1), ("1.csv", 0), ("2.csv", 1)));
        assert_eq!(files.len(), 3);
        let (one, _) = read(&["a\n1\n2\n"]).unwrap();
        assert!(one.table.starts.is_empty() && one.table.path.ends_with("0.csv"));
    }

    #[test]
    fn fields_that_are_no_numbers_are_named_by_their_file() {
        let (whole, _) = read(&["a,b\n1,2\n", "a,b\n3,x\n4,y\n", "a,b\n5,z\n"]).unwrap();
        assert_eq!((whole.not_numbers.len(), whole.not_numbers[0].fields), (1, 3));
        let message = whole.numbers().unwrap_err().to_string();
        assert!(message.contains("1.csv: row 1 (line 2), column `b`: `x`"), "{message}");
    }

    #[test]
    fn values_of_several_files_have_one_origin() {
        let table = |origins: &[f64]| Table {
            path: "t.csv".into(),
            columns: vec!["a".to_owned(), "b".to_owned()],
            values: vec![1.0, 2.0, 3.0, f32::NAN],
            labels: None,
            starts: Vec::new(),
            origins: origins.to_owned(),
        };
        let (mut one, mut two) = (table(&[1e7, 0.0]), table(&[1e7 + 2.0, 100.0]));
        let origins = common_origins(&one, &two);
        assert_eq!(origins, [1e7, 100.0]);
        one.rebase(&origins);
        two.rebase(&origins);
        assert_eq!((&one.values[..3], &two.values[..3]), (&[1.0, -98.0, 3.0][..], &[3.0, 2.0, 5.0][..]));
        assert!(common_origins(&table(&[]), &table(&[])).is_empty());
    }
}
