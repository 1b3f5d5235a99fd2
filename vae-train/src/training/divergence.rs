//! What is said of a fit that diverges.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Times that a fit is taken back, each at half the rate, before it stops.
const MOST_DIVERGENCES: usize = 6;

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

impl Divergence {
    /// Why a lower rate will not help a fit that began with the rate `given` and was taken back so many times, with advice.
    pub(crate) fn is_hopeless(&self, given: f64, taken_back: usize) -> Option<String> {
        if self.step == Some(1) {
            // The epoch's first step comes before its first update: no rate changes it.
            return Some(format!(
                "no learning rate can change that, as it is the epoch's first step: mend or remove the row, use fewer \
                 --hidden layers, or start anew with a lower --learning-rate (now {given})"
            ));
        }
        (taken_back >= MOST_DIVERGENCES).then(|| {
            format!(
                "{taken_back} retries, each at half the learning rate, did not help: look for extreme values in the data, then start \
                 anew with a lower --learning-rate (now {given}), fewer --hidden layers or a larger --batch"
            )
        })
    }
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
