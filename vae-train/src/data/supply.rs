//! What an epoch takes its windows from: memory, or the blocks of a scratch file.

use anyhow::Result;

use crate::data::{
    blocks::{Blocks, Epoch, Sitting},
    part::Part,
};

/// Windows to train on.
#[derive(Clone, Copy, Debug)]
pub enum Supply<'a> {
    /// All of them are in memory.
    Memory(Part<'a>),
    /// Some of them are at a time.
    Blocks(&'a Blocks),
}

impl<'a> From<Part<'a>> for Supply<'a> {
    fn from(part: Part<'a>) -> Self {
        Self::Memory(part)
    }
}

impl<'a> Supply<'a> {
    /// How many there are.
    #[must_use]
    pub fn windows(&self) -> usize {
        match self {
            Self::Memory(part) => part.chosen.len(),
            Self::Blocks(blocks) => blocks.windows(),
        }
    }

    /// Those of an epoch, of which at most so many are trained on.
    pub(crate) fn epoch(&self, epoch: usize, most: usize) -> Course<'a> {
        match self {
            Self::Memory(part) => Course::Memory(Some(*part), part.chosen.len().min(most)),
            Self::Blocks(blocks) => Course::Blocks(blocks.epoch(epoch, most)),
        }
    }
}

/// An epoch's windows, some at a time.
pub(crate) enum Course<'a> {
    /// All at once, of which so many are trained on.
    Memory(Option<Part<'a>>, usize),
    Blocks(Epoch<'a>),
}

impl<'a> Course<'a> {
    /// How many are trained on.
    pub(crate) fn windows(&self) -> usize {
        match self {
            Self::Memory(_, windows) => *windows,
            Self::Blocks(epoch) => epoch.windows,
        }
    }

    /// The next ones; `None` behind the last.
    ///
    /// # Errors
    /// If the scratch file cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<Now<'a>>> {
        match self {
            Self::Memory(part, _) => Ok(part.take().map(Now::Memory)),
            Self::Blocks(epoch) => Ok(epoch.next()?.map(Now::Sitting)),
        }
    }
}

/// Windows that are in memory now.
pub(crate) enum Now<'a> {
    Memory(Part<'a>),
    Sitting(Sitting),
}

impl Now<'_> {
    /// Them.
    pub(crate) fn part(&self) -> Part<'_> {
        match self {
            Self::Memory(part) => *part,
            Self::Sitting(Sitting { values, chosen, last_row }) => Part { values, chosen, last_row },
        }
    }
}
