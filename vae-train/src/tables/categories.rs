//! Columns of categories: names, or whole numbers that stand for them. A table holds a number for each category until it is known which
//! categories there are, and then a column of zeros and ones for each.

use std::{cmp::Ordering, collections::HashMap};

use anyhow::{Result, bail, ensure};

use crate::{
    tables::{
        category::{Categories, Numbering},
        recording::Recording,
        table::Table,
    },
    words::{
        foreign::excerpt,
        messages::list,
        numbers::{absolute, list_some},
    },
};

/// Most categories that a message names.
const SHOWN: usize = 12;

/// Numbers the categories of these columns of a recording whose format holds numbers only.
pub(crate) fn number_values(recording: &mut Recording, columns: &[String]) -> Result<()> {
    let is_known = |column: &String, recording: &Recording| recording.categories.iter().any(|c| c.column == *column);
    for column in columns {
        let Some(index) = recording.table.columns.iter().position(|name| name == column) else { continue };
        if is_known(column, recording) {
            continue;
        }
        let (mut numbering, origin) = (Numbering::of(column), recording.table.origin(index));
        let width = recording.table.columns.len();
        for value in recording.table.values.iter_mut().skip(index).step_by(width).filter(|value| !value.is_nan()) {
            *value = numbering.value(absolute(*value, origin))?;
        }
        if let Some(origin) = recording.table.origins.get_mut(index) {
            *origin = 0.0;
        }
        recording.categories.push(numbering.categories);
    }
    Ok(())
}

/// Brings the categories' numbers of a recording that is about to be appended to those of the `whole`.
pub(crate) fn join(whole: &mut Recording, next: &mut Recording) -> Result<()> {
    for categories in &next.categories {
        let Some(known) = whole.categories.iter_mut().find(|known| known.column == categories.column) else { continue };
        let mut numbers: HashMap<String, usize> = known.names.iter().cloned().zip(0..).collect();
        let renumbered =
            categories.names.iter().map(|name| known.number(&mut numbers, name)).collect::<Result<Vec<f32>>>()?;
        let width = next.table.columns.len();
        if let Some(index) = next.table.columns.iter().position(|name| *name == categories.column) {
            let values = next.table.values.iter_mut().skip(index).step_by(width);
            values.filter(|value| !value.is_nan()).for_each(|value| *value = renumbered[*value as usize]);
        }
    }
    Ok(())
}

/// Whole numbers by their size, and before names.
fn in_order(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

impl Recording {
    /// The categories that normal rows have of these columns, in order: numbers by their size, then names.
    ///
    /// # Errors
    /// If there is no such column, or no category in it.
    pub fn normal_categories(&self, columns: &[String]) -> Result<Vec<Categories>> {
        let Self { table, names, categories, .. } = self;
        let (name, width) = (table.path.display(), table.columns.len());
        let is_normal = |row: usize| table.labels.as_ref().is_none_or(|labels| !labels[row]);
        let of_column = |column: &String| {
            let known = categories.iter().find(|known| known.column == *column);
            let index = table.columns.iter().position(|name| name == column);
            let (Some(known), Some(index)) = (known, index) else {
                ensure!(
                    self.label.as_ref() != Some(column),
                    "{name}: column `{column}` is the label, and no model is trained on it: leave it out of --column"
                );
                bail!("{name} has no column `{column}` for --column: its columns are {}", list(names));
            };
            ensure!(
                !column.contains('='),
                "{name}: column `{column}` has `=` in its name, which a column of categories cannot have: rename it"
            );
            let mut is_seen = vec![false; known.names.len()];
            let values = table.values.iter().skip(index).step_by(width).enumerate();
            values
                .filter(|(row, value)| !value.is_nan() && is_normal(*row))
                .for_each(|(_, value)| is_seen[*value as usize] = true);
            let seen = known.names.iter().zip(is_seen).filter(|(_, is_seen)| *is_seen);
            let mut names: Vec<String> = seen.map(|(name, _)| name.clone()).collect();
            ensure!(!names.is_empty(), "{name}: column `{column}` has no category in normal rows: leave it out");
            names.sort_by(|a, b| in_order(a, b));
            Ok(Categories { column: column.clone(), names })
        };
        columns.iter().map(of_column).collect()
    }

    /// Puts a column of zeros and ones for each of these categories in the place of their column: one of them is 1, none where the row has another
    /// category, of which a note tells, and all are NaN where nothing was observed. A recording that has these columns already is left as it is.
    ///
    /// # Errors
    /// If it has neither, or columns of these names beside.
    pub fn spread(&mut self, known: &[Categories]) -> Result<()> {
        for categories in known {
            let Some(index) = self.table.columns.iter().position(|name| *name == categories.column) else {
                let lacks = categories.columns().find(|column| !self.table.columns.contains(column));
                ensure!(
                    lacks.is_none(),
                    "{} lacks the column `{}` of the model's, whose categories are {}; its own are {}",
                    self.table.path.display(),
                    categories.column,
                    list_some(&categories.names, SHOWN),
                    list(&self.names)
                );
                continue;
            };
            let twice = categories.columns().find(|column| self.names.contains(column));
            ensure!(
                twice.is_none(),
                "{} has the columns `{}` and `{}`, which is to hold one of its categories: leave one out",
                self.table.path.display(),
                categories.column,
                twice.unwrap_or_default()
            );
            self.spread_one(index, categories);
        }
        Ok(())
    }

    fn spread_one(&mut self, index: usize, categories: &Categories) {
        let own = self.categories.iter().position(|own| own.column == categories.column);
        let own = own.map_or_else(Categories::default, |own| self.categories.remove(own));
        // Of each number of the table the place among those that are known.
        let places: Vec<Option<usize>> =
            own.names.iter().map(|name| categories.names.iter().position(|known| known == name)).collect();
        let mut unknown = vec![0usize; own.names.len()];
        let Table { columns, values, origins, path, .. } = &mut self.table;
        let (width, count) = (columns.len(), categories.names.len());
        let mut spread = Vec::with_capacity(values.len() / width * (width - 1 + count));
        for row in values.chunks_exact(width) {
            spread.extend_from_slice(&row[..index]);
            let number = (!row[index].is_nan()).then_some(row[index] as usize);
            let place = number.and_then(|number| places[number]);
            if let (Some(number), None) = (number, place) {
                unknown[number] += 1;
            }
            let value = |slot| if number.is_none() { f32::NAN } else { f32::from(u8::from(place == Some(slot))) };
            spread.extend((0..count).map(value));
            spread.extend_from_slice(&row[index + 1..]);
        }
        *values = spread;
        columns.splice(index..=index, categories.columns());
        if !origins.is_empty() {
            origins.splice(index..=index, std::iter::repeat_n(0.0, count));
        }
        if let Some(at) = self.names.iter().position(|name| *name == categories.column) {
            self.names.splice(at..=at, categories.columns());
        }
        let found = own.names.iter().zip(&unknown).filter(|(_, rows)| **rows > 0);
        let found: Vec<String> = found.map(|(name, rows)| format!("`{}` in {rows}", excerpt(name))).collect();
        if !found.is_empty() {
            self.notes.push(format!(
                "{}: column `{}`: {} row(s) have a category that normal training data have not, and count as unlikely as a new one \
                 (--missing takes it as not observed): {}; known are {}",
                path.display(),
                categories.column,
                unknown.iter().sum::<usize>(),
                list_some(&found, SHOWN),
                list_some(&categories.names, SHOWN)
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{open::open, reading::Reading, recording::Label, several::open_all};

    fn reading() -> Reading {
        Reading { categorical: vec!["state".to_owned()], ..Reading::default() }
    }

    fn spread(text: &str) -> Result<(Recording, Vec<Categories>)> {
        let file = tempfile::NamedTempFile::with_suffix(".csv")?;
        std::fs::write(file.path(), text)?;
        let mut recording = open(file.path(), Label::Usual, &reading(), |_, _| {})?;
        let known = recording.normal_categories(&["state".to_owned()])?;
        recording.spread(&known)?;
        Ok((recording, known))
    }

    #[test]
    fn a_column_of_names_becomes_zeros_and_ones() {
        let (found, known) =
            spread("a,state,b,label\n1,run,2,0\n3,idle,4,0\n5,,6,0\n7,run,8,0\n9,fault,10,1\n").unwrap();
        // A category that anomalies alone have is none of the model's.
        assert_eq!(known[0].names, ["idle", "run"]);
        assert_eq!(found.table.columns, ["a", "state=idle", "state=run", "b"]);
        assert_eq!(found.names, ["a", "state=idle", "state=run", "b", "label"]);
        let rows: Vec<&[f32]> = found.table.values.chunks(4).collect();
        assert_eq!((rows[0], rows[1]), (&[1.0, 0.0, 1.0, 2.0][..], &[3.0, 1.0, 0.0, 4.0][..]));
        assert!(rows[2][1].is_nan() && rows[2][2].is_nan() && rows[2][3] == 6.0);
        assert_eq!(rows[4], [9.0, 0.0, 0.0, 10.0]);
        let note = found.notes.iter().find(|note| note.contains("`state`")).unwrap();
        assert!(note.contains("1 row(s)") && note.contains("`fault` in 1; known are idle, run"), "{note}");
        assert_eq!(Categories::among(&["state"], &found.table.columns), known);
    }

    #[test]
    fn numbers_are_names_whatever_they_are_written_like_and_neither_clocks_nor_missing() {
        let (found, known) = spread("state,x\n1,0.5\n01,0.25\n2.0,3\n10,4\nTrue,5\n").unwrap();
        assert_eq!(known[0].names, ["1", "2", "10"]);
        assert_eq!(found.table.columns[..3], ["state=1", "state=2", "state=10"]);
        assert!(found.clocks.is_empty() && found.counters.is_empty() && found.group.is_none());
        assert_eq!(found.table.values[16..], [1.0, 0.0, 0.0, 5.0]);
        // A number that stands for missing is told by the value, and not by the category's place.
        let missing = Reading { missing: vec!["0".to_owned()], ..reading() };
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(file.path(), "state,x\n7,1\n8,2\n0,3\n").unwrap();
        let found = open(file.path(), Label::None, &missing, |_, _| {}).unwrap();
        assert_eq!((found.categories[0].names.len(), found.table.values[0]), (2, 0.0));
        assert!(found.table.values[4].is_nan());
    }

    #[test]
    fn an_array_of_numbers_and_several_files_have_the_same_categories() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.csv", "b.csv"].map(|name| folder.path().join(name));
        std::fs::write(&paths[0], "state,x\nup,1\ndown,2\n").unwrap();
        std::fs::write(&paths[1], "x,state\n3,off\n4,down\n").unwrap();
        let (mut whole, _) = open_all(&paths, Label::None, &reading(), |_| |_, _| {}).unwrap();
        let known = whole.normal_categories(&["state".to_owned()]).unwrap();
        whole.spread(&known).unwrap();
        assert_eq!(whole.table.columns, ["state=down", "state=off", "state=up", "x"]);
        assert_eq!(whole.table.values, [0., 0., 1., 1., 1., 0., 0., 2., 0., 1., 0., 3., 1., 0., 0., 4.]);

        let mut numbers = Recording::of_table(
            Table {
                columns: vec!["state".to_owned(), "x".to_owned()],
                values: vec![-3.0, 1.0, f32::NAN, 2.0, 4.0, 3.0],
                origins: vec![5.0, 0.0],
                ..Table::default()
            },
            vec!["state".to_owned(), "x".to_owned()],
            None,
        );
        number_values(&mut numbers, &["state".to_owned()]).unwrap();
        assert_eq!(
            (&numbers.categories[0].names[..], numbers.table.origin(0)),
            (&["2".to_owned(), "9".to_owned()][..], 0.0)
        );
    }

    #[test]
    fn what_is_no_column_of_categories_is_refused() {
        let many: String = (0..300).map(|row| format!("n{row},1\n")).collect();
        for (text, expected) in [
            ("x,y\n1,2\n".to_owned(), "has no column `state` for --column: its columns are"),
            (format!("state,x\n{many}"), "more than 255 different values, such as `n255`"),
            ("state,state=run,x\nrun,1,2\n".to_owned(), "`state` and `state=run`"),
            ("state,x\n,2\n".to_owned(), "no category in normal rows"),
            ("state,x\n\"a\nb\",2\n".to_owned(), "cannot be the name of a category"),
        ] {
            let message = format!("{:#}", spread(&text).unwrap_err());
            assert!(message.contains(expected), "{message}");
        }
        let known = [Categories { column: "mode".to_owned(), names: vec!["a".to_owned(), "b".to_owned()] }];
        let (mut found, _) = spread("state,x\nrun,1\n").unwrap();
        let message = found.spread(&known).unwrap_err().to_string();
        assert!(message.contains("lacks the column `mode` of the model's, whose categories are a, b"), "{message}");
        // As a device's log has them.
        let (mut found, _) = spread("state,mode=b,mode=a\nrun,1,0\n").unwrap();
        found.spread(&known).unwrap();
        assert_eq!(found.table.columns, ["state=run", "mode=b", "mode=a"]);
    }
}
