//! Sorting more values than there is memory for.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Range, path::Path};

use anyhow::Result;
use bytemuck::Pod;

use crate::tables::spool::Spool;

/// Bytes of what is sorted in memory, and of what is read of each sorted run at once.
const BYTES: usize = 1 << 22;
const PIECE: usize = 1 << 14;

/// Values that come in any order and go in ascending order: by way of a scratch file where they are more than 4 MiB.
#[derive(Debug)]
pub struct Sorting<'d, K> {
    directory: &'d Path,
    /// Those that are not in the file.
    here: Vec<K>,
    /// The others, in sorted runs of [`Self::RUN`] values.
    runs: Option<Spool<K>>,
}

impl<'d, K: Pod + Ord> Sorting<'d, K> {
    const RUN: usize = BYTES / size_of::<K>();

    /// Without values yet; a scratch file would be on the disk that `directory` is on.
    #[must_use]
    pub fn new(directory: &'d Path) -> Self {
        Self { directory, here: Vec::new(), runs: None }
    }

    /// Takes a value.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn push(&mut self, value: K) -> Result<()> {
        if self.here.len() == Self::RUN {
            self.here.sort_unstable();
            if self.runs.is_none() {
                self.runs = Some(Spool::create(self.directory, 1, "free some")?);
            }
            self.runs.iter_mut().try_for_each(|runs| runs.append(&self.here))?;
            self.here.clear();
        }
        self.here.push(value);
        Ok(())
    }

    /// Gives all values to `take` in ascending order.
    ///
    /// # Errors
    /// If the scratch file cannot be read.
    pub fn ascending(mut self, mut take: impl FnMut(K)) -> Result<()> {
        self.here.sort_unstable();
        let Some(runs) = &self.runs else {
            self.here.into_iter().for_each(take);
            return Ok(());
        };
        let mut all: Vec<Run<K>> =
            (0..runs.rows()).step_by(Self::RUN).map(|first| Run::of(first..first + Self::RUN)).collect();
        all.push(Run { left: 0..0, here: self.here, at: 0 });
        let mut next = BinaryHeap::new();
        for (index, run) in all.iter_mut().enumerate() {
            next.extend(run.next(runs)?.map(|value| Reverse((value, index))));
        }
        while let Some(mut first) = next.peek_mut() {
            let Reverse((value, index)) = *first;
            take(value);
            match all[index].next(runs)? {
                Some(value) => *first = Reverse((value, index)),
                None => drop(std::collections::binary_heap::PeekMut::pop(first)),
            }
        }
        Ok(())
    }
}

/// A sorted run, of which some values at a time are in memory.
struct Run<K> {
    /// Those that are not.
    left: Range<usize>,
    here: Vec<K>,
    at: usize,
}

impl<K: Pod + PartialEq> Run<K> {
    fn of(rows: Range<usize>) -> Self {
        Self { left: rows, here: Vec::new(), at: 0 }
    }

    fn next(&mut self, runs: &Spool<K>) -> Result<Option<K>> {
        if self.at == self.here.len() && !self.left.is_empty() {
            let end = self.left.end.min(self.left.start + PIECE / size_of::<K>());
            self.here = runs.read(self.left.start..end)?;
            (self.left.start, self.at) = (end, 0);
        }
        self.at += 1;
        Ok(self.here.get(self.at - 1).copied())
    }
}

/// An integer in the order of the number, as [`f32::total_cmp`] has it.
#[must_use]
pub fn ordered(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The number of such an integer.
#[must_use]
pub fn number(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn more_values_than_fit_come_in_order() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let run = Sorting::<u64>::RUN;
        for count in [0, 5, run, run + 1, 2 * run, 3 * run + 7] {
            // Few values, so that some are in all runs.
            let mut values: Vec<u64> = (0..count).map(|_| rng.random_range(0..count as u64 / 2 + 1)).collect();
            let directory = std::env::temp_dir();
            let mut sorting = Sorting::new(&directory);
            values.iter().for_each(|value| sorting.push(*value).unwrap());
            let mut sorted = Vec::new();
            sorting.ascending(|value| sorted.push(value)).unwrap();
            values.sort_unstable();
            assert!(sorted == values, "{count}");
        }
    }

    #[test]
    fn integers_are_in_the_order_of_numbers() {
        let numbers = [f32::NEG_INFINITY, -3.4e38, -2.0, -0.0, 0.0, 1e-40, 0.5, 3.4e38, f32::INFINITY, f32::NAN];
        assert!(numbers.map(ordered).is_sorted_by(|a, b| a < b));
        assert!(numbers.iter().all(|value| number(ordered(*value)).to_bits() == value.to_bits()));
    }
}
