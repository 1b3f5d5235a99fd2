//! One machine: its detector and what it has said.

use std::{
    fmt::{self, Display, Formatter},
    ops::Range,
    sync::Arc,
};

use anyhow::{Context, Result};
use vae_core::Alarms;

use crate::{backtest::tally::Tally, clock::Tick, history::rows::Rows, judge::Judge, model::LoadedModel};

/// A row that is earlier than the one before it: the files are not in the order of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disorder {
    /// Which row of the machine's, from 1 on.
    pub row: u64,
    /// Its time, in seconds.
    pub time: f64,
    /// That of the row before it.
    pub before: f64,
}

impl Display for Disorder {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { row, time, before } = self;
        write!(f, "row {row} is at {time} s, before the row that it follows, at {before} s")
    }
}

/// A machine that is being judged.
#[derive(Debug)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// What was counted.
    pub tally: Tally,
    judge: Judge,
    model: Arc<LoadedModel>,
    row: Vec<f32>,
}

impl Machine {
    /// A machine of which nothing has been seen.
    ///
    /// # Errors
    /// Those of [`Judge::new`].
    pub fn new(name: &str, model: &Arc<LoadedModel>, alarms: Option<Alarms>) -> Result<Self> {
        let judge = Judge::new(Arc::clone(model), alarms)?;
        let row = vec![f32::NAN; model.columns().count()];
        Ok(Self { name: name.to_owned(), tally: Tally::default(), judge, model: Arc::clone(model), row })
    }

    /// Judges rows; says so where they are out of order, and goes no further.
    ///
    /// # Errors
    /// If a row cannot be judged, as one without its condition.
    pub fn judge(&mut self, rows: &Rows<'_>, range: Range<usize>) -> Result<Option<Disorder>> {
        for index in range {
            rows.read(index, &mut self.row);
            let time = rows.time(index);
            let judged = self.judge.push(time, &self.row);
            let judged = judged.with_context(|| format!("row {} of machine {}", self.tally.rows + 1, self.name))?;
            if let Tick::Backwards { before } = judged.tick {
                return Ok(Some(Disorder { row: self.tally.rows + 1, time, before }));
            }
            self.tally.take(time, &judged, self.model.channels());
        }
        Ok(None)
    }
}
