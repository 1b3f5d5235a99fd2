//! What has come of a fleet.

use std::{
    fmt::{self, Write as _},
    path::Path,
};

use anyhow::Result;
use serde::Serialize;

use crate::{
    fit::{census::Unread, directory::Outcome},
    words::{
        numbers::{count, number},
        output::{Existing, write_file},
    },
};

/// Median absolute deviations by which a machine's scores may be lower than the fleet's before it counts as of another kind. Of normal values one
/// in a thousand is beyond 4.6.
const FOREIGN: f32 = 6.0;
/// Fewest machines that a fleet's scores can be told by.
const FEW: usize = 5;
/// Most lines of a kind on a terminal.
const SHOWN: usize = 50;

/// What has come of a fleet, of all its shards so far.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Machines of the history.
    pub machines: usize,
    /// Those that have a model.
    pub fitted: usize,
    /// Those that neither have one nor have failed: other shards'.
    pub waiting: usize,
    /// Machines, or files, without a model, and why.
    pub failed: Vec<Unread>,
    /// Machines that have a model and do not fit: their scores are far lower than the fleet's.
    pub foreign: Vec<Unread>,
}

impl Summary {
    /// Counts outcomes.
    #[must_use]
    pub fn of(outcomes: Vec<Outcome>, mut failed: Vec<Unread>, machines: usize) -> Self {
        let machines = machines + failed.len();
        let mut fitted = Vec::new();
        for outcome in outcomes {
            match outcome {
                Outcome::Fitted { machine, nats, .. } => fitted.push((machine, nats)),
                Outcome::Failed { machine, reason } => failed.push(Unread { name: machine, reason }),
            }
        }
        failed.sort_by(|a, b| a.name.cmp(&b.name));
        let waiting = machines.saturating_sub(fitted.len() + failed.len());
        Self { machines, fitted: fitted.len(), waiting, failed, foreign: foreign(&fitted) }
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        write_file(path, Existing::Replace, |out| Ok(out.write_all(text.as_bytes())?))
    }

    /// The summary in lines.
    ///
    /// # Errors
    /// Never: a text takes all lines.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let Self { machines, fitted, waiting, failed, foreign } = self;
        let mut text = String::new();
        write!(text, "fleet      {} machines, {} with a model", count(*machines as u64), count(*fitted as u64))?;
        writeln!(text, "{}", if *waiting > 0 { format!(", {waiting} not begun") } else { String::new() })?;
        for (kind, list) in [("failed", failed), ("does not fit", foreign)] {
            for Unread { name, reason } in list.iter().take(SHOWN) {
                writeln!(text, "{kind:<10} {name}: {reason}")?;
            }
            if list.len() > SHOWN {
                writeln!(text, "and {} more: summary.json has all of them", list.len() - SHOWN)?;
            }
        }
        Ok(text)
    }
}

/// Machines whose scores are far lower than the fleet's.
fn foreign(fitted: &[(String, f32)]) -> Vec<Unread> {
    if fitted.len() < FEW {
        return Vec::new();
    }
    let middle = median(fitted.iter().map(|(_, nats)| *nats));
    let spread = median(fitted.iter().map(|(_, nats)| (nats - middle).abs()));
    let is_foreign = |nats: f32| nats - middle > FOREIGN * spread.max(f32::EPSILON * middle.abs());
    let why = |nats: f32| {
        format!(
            "its scores are {} nats lower than the fleet's: another kind of machine, or faulty while it was recorded",
            number(f64::from(nats - middle))
        )
    };
    let found = fitted.iter().filter(|(_, nats)| is_foreign(*nats));
    found.map(|(name, nats)| Unread { name: name.clone(), reason: why(*nats) }).collect()
}

fn median(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f32::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_another_kind_is_named() {
        let nats = [10.0, 11.0, 9.5, 10.5, 10.2, 9.9, 40.0];
        let outcomes = nats.iter().enumerate().map(|(index, nats)| Outcome::Fitted {
            machine: index.to_string(),
            rows: 1,
            nats: *nats,
        });
        let failed = vec![Unread { name: "a.csv".to_owned(), reason: "it has no column x".to_owned() }];
        let summary = Summary::of(outcomes.collect(), failed, 9);
        assert_eq!((summary.machines, summary.fitted, summary.waiting), (10, 7, 2));
        assert_eq!(summary.foreign.iter().map(|unread| &*unread.name).collect::<Vec<_>>(), ["6"]);
        assert!(summary.text().unwrap().contains("a.csv: it has no column x"));
    }
}
