//! What is said of a fit that diverges.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A batch that gave a loss or a gradient that is not finite. The epoch was taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Divergence {
    /// Counted from 1.
    pub epoch: usize,
    /// Counted from 1 in the epoch; `None` for the validation after it.
    pub step: Option<usize>,
    /// What was not finite.
    pub quantity: String,
    /// Rows of the data, counted from 1 (of a window its last), in order: those of the batch that are not finite by themselves,
    /// or where all are, the one with the lowest bound.
    pub rows: Vec<usize>,
    /// Windows in the batch.
    pub batch: usize,
    /// The rate that it came to this at.
    pub learning_rate: f64,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        write!(f, "epoch {}, ", self.epoch)?;
        match self.step {
            Some(step) => write!(f, "step {step}")?,
            None => f.write_str("validation")?,
        }
        let rows: Vec<String> = self.rows.iter().take(SHOWN).map(ToString::to_string).collect();
        let rows = rows.join(", ") + if self.rows.len() > SHOWN { " …" } else { "" };
        let (quantity, batch, found) = (&self.quantity, self.batch, self.rows.len());
        write!(f, ": the {quantity} of a batch of {batch} is not finite, by {found} of its rows: {rows}")?;
        write!(f, " (learning rate {:.3e})", self.learning_rate)
    }
}
