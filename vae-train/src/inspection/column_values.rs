//! The values of one column of a table of any size, as often as they are needed, and in order.

use std::{ops::Range, sync::Mutex};

use anyhow::{Error, Result};

use crate::tables::{
    long_table::LongTable,
    sorting::{Sorting, number, ordered},
    spool::{Spool, scratch_directory},
};

/// Rows that are looked at once.
const ROWS: usize = 1 << 16;
/// Bytes of the values of columns that are in memory at once where the rows are in a file, and columns whose values are in files of their own.
const BYTES: usize = 1 << 24;
const MOST_FILES: usize = 32;

/// One column of a table, of which the rows that are labelled anomalies count for nothing.
pub(crate) struct ColumnValues<'t> {
    pub(crate) table: &'t LongTable<'t>,
    pub(crate) column: usize,
    /// All rows'.
    values: Values,
    /// Why there were no more values.
    failed: Mutex<Option<Error>>,
}

enum Values {
    Memory(Vec<f32>),
    File(Spool),
}

impl<'t> ColumnValues<'t> {
    /// Some columns at a time of those that are asked for, in their order: of rows in a file as many as may be in memory, or in scratch files.
    pub(crate) fn groups(table: &LongTable<'_>, columns: &[usize]) -> impl Iterator<Item = Vec<usize>> {
        let bytes = (size_of::<f32>() * table.rows()).max(1);
        let most = match table.is_in_file() {
            false => columns.len(),
            true if bytes <= BYTES => BYTES / bytes,
            true => MOST_FILES,
        };
        let groups: Vec<Vec<usize>> = columns.chunks(most.max(1)).map(<[usize]>::to_vec).collect();
        groups.into_iter()
    }

    /// The columns of a group.
    ///
    /// # Errors
    /// If the rows cannot be read, or there is no room for scratch files.
    pub(crate) fn of_group(table: &'t LongTable<'t>, group: &[usize]) -> Result<Vec<Self>> {
        let own = |column: usize, values| Self { table, column, values, failed: Mutex::new(None) };
        if !table.is_in_file() {
            let all = |column: &usize| Ok(own(*column, Values::Memory(table.column(*column, 0..table.rows())?)));
            return group.iter().map(all).collect();
        }
        let is_small = size_of::<f32>() * table.rows() <= BYTES;
        let empty = |column: &usize| {
            let file = || Spool::create(&scratch_directory(), 1, "free some").map(Values::File);
            Ok(own(*column, if is_small { Values::Memory(Vec::with_capacity(table.rows())) } else { file()? }))
        };
        let mut group: Vec<Self> = group.iter().map(empty).collect::<Result<_>>()?;
        for (rows, _) in table.portions(0) {
            let portion = table.read(rows)?;
            for own in &mut group {
                let values = portion.values.iter().skip(own.column).step_by(portion.columns.len()).copied();
                match &mut own.values {
                    Values::Memory(all) => all.extend(values),
                    Values::File(spool) => spool.append(&values.collect::<Vec<_>>())?,
                }
            }
        }
        Ok(group)
    }

    /// Each normal row, by index, and its value; where it cannot be read, no more of them, and [`Self::check`] says why.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        let rows = self.table.rows();
        (0..rows).step_by(ROWS).flat_map(move |first| {
            self.some(first..(first + ROWS).min(rows)).unwrap_or_else(|error| {
                self.failed.lock().map(|mut failed| failed.get_or_insert(error).to_string()).unwrap_or_default();
                Vec::new()
            })
        })
    }

    fn some(&self, rows: Range<usize>) -> Result<Vec<(usize, f32)>> {
        let labels = self.table.labels(rows.clone())?;
        let of = |values: &[f32]| {
            let is_normal = |index: usize| labels.as_ref().is_none_or(|labels| !labels[index]);
            let normal = values.iter().enumerate().filter(|(index, _)| is_normal(*index));
            normal.map(|(index, value)| (rows.start + index, *value)).collect()
        };
        Ok(match &self.values {
            Values::Memory(values) => of(&values[rows.clone()]),
            Values::File(spool) => of(&spool.read(rows.clone())?),
        })
    }

    /// Whether all rows could be read so far.
    ///
    /// # Errors
    /// If one could not.
    pub(crate) fn check(&self) -> Result<()> {
        let failed = self.failed.lock().ok().and_then(|mut failed| failed.take());
        failed.map_or(Ok(()), Err)
    }

    /// Its values in order.
    ///
    /// # Errors
    /// If there is no room to sort them.
    pub(crate) fn levels(&self) -> Result<Levels> {
        let known = || self.iter().map(|(_, value)| value).filter(|value| !value.is_nan());
        let mut levels = Levels::default();
        if let Values::Memory(values) = &self.values {
            let mut sorted = Vec::with_capacity(values.len());
            sorted.extend(known());
            sorted.sort_unstable_by(f32::total_cmp);
            sorted.into_iter().for_each(|value| levels.push(value));
        } else {
            let directory = scratch_directory();
            let mut sorting = Sorting::new(&directory);
            known().try_for_each(|value| sorting.push(ordered(value)))?;
            sorting.ascending(|value| levels.push(number(value)))?;
        }
        self.check()?;
        Ok(levels)
    }
}

/// What ascending values are like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Levels {
    /// How many they are, and how many different ones.
    pub(crate) values: usize,
    pub(crate) distinct: usize,
    /// The smallest difference between two of them.
    pub(crate) step: Option<f64>,
    /// The least value and the largest.
    pub(crate) ends: Option<[f32; 2]>,
    /// How often there is the least one, and the one above it.
    least: [usize; 2],
    /// How often there is the largest one, and the one below it.
    largest: [usize; 2],
}

impl Levels {
    /// How often there is the value at an end, the least or else the largest, and the one beside it; 0 where there is none.
    pub(crate) fn at_end(&self, is_least: bool) -> [usize; 2] {
        if is_least { self.least } else { self.largest }
    }

    fn push(&mut self, value: f32) {
        self.values += 1;
        let difference = self.ends.map_or(f64::INFINITY, |[_, last]| f64::from(value) - f64::from(last));
        if difference > 0.0 {
            self.distinct += 1;
            self.step = self.step.into_iter().chain(self.ends.map(|_| difference)).min_by(f64::total_cmp);
            self.largest = [0, self.largest[0]];
        }
        self.largest[0] += 1;
        if let Some(count) = self.distinct.checked_sub(1).and_then(|level| self.least.get_mut(level)) {
            *count += 1;
        }
        self.ends = Some([self.ends.map_or(value, |[least, _]| least), value]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::table::Table;

    #[test]
    fn a_column_of_a_file_is_that_of_memory() {
        // More rows than are looked at once, and more values than are sorted at once.
        let rows = 1_100_000;
        let table = Table {
            path: "t.csv".into(),
            columns: vec!["a".to_owned(), "b".to_owned()],
            values: (0..2 * rows)
                .map(|value| if value % 7 == 3 { f32::NAN } else { (value * 31 % 1_000_003) as f32 - 5e5 })
                .collect(),
            labels: Some((0..rows).map(|row| row % 1000 == 1).collect()),
            starts: Vec::new(),
            origins: Vec::new(),
        };
        let memory = LongTable::from(&table);
        let mut stored = LongTable::from(table.clone());
        stored.to_file(&std::env::temp_dir(), "").unwrap();
        let [a, b] = [&memory, &stored].map(|table| ColumnValues::of_group(table, &[1]).unwrap().remove(0));
        let mut spool = Spool::create(&std::env::temp_dir(), 1, "").unwrap();
        spool.append(&table.values.iter().skip(1).step_by(2).copied().collect::<Vec<_>>()).unwrap();
        let c = ColumnValues { values: Values::File(spool), table: &stored, column: 1, failed: Mutex::new(None) };
        for other in [b, c] {
            let bits = |(row, value): (usize, f32)| (row, value.to_bits());
            assert!(a.iter().map(bits).eq(other.iter().map(bits)));
            assert_eq!(a.levels().unwrap(), other.levels().unwrap());
        }
        assert_eq!(a.iter().count(), rows - rows / 1000);
        assert!(ColumnValues::groups(&stored, &[0, 1]).eq([vec![0, 1]]));
    }

    #[test]
    fn levels_are_those_of_ascending_values() {
        let mut levels = Levels::default();
        [-3.0, -3.0, -0.0, 0.0, 0.5, 2.0, 2.0, 2.0].into_iter().for_each(|value| levels.push(value));
        assert_eq!((levels.values, levels.distinct, levels.step), (8, 4, Some(0.5)));
        assert_eq!((levels.ends, levels.least, levels.largest), (Some([-3.0, 2.0]), [2, 2], [3, 1]));
        levels = Levels::default();
        levels.push(1.0);
        assert_eq!((levels.distinct, levels.step, levels.least, levels.largest), (1, None, [1, 0], [1, 0]));
    }
}
