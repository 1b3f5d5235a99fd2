//! Rows a second: what a file says of it, beside what its user says.

use std::{collections::HashSet, path::Path};

use anyhow::{Result, ensure};

use crate::{tables::recording::Recording, words::numbers::significant};

/// Share by which two rates may differ that are the same: clocks drift, and rates are given in round numbers.
const SAME: f64 = 0.01;

/// Rows a second by the file itself.
pub(super) struct RateOfFile {
    pub(super) rate: f64,
    /// The column of times that says so; none for the head of a recording of sound.
    pub(super) column: Option<String>,
    /// Whether its intervals scatter so much that a rate says little.
    pub(super) scatters: bool,
}

impl RateOfFile {
    /// By its head or else its first clock, which is none of the `channels` that a model watches; none where nothing tells the time.
    ///
    /// # Errors
    /// If the head says nothing sensible.
    pub(super) fn of(recording: &Recording, channels: &[String]) -> Result<Option<Self>> {
        if let Some(rate) = recording.rate {
            let name = recording.table.path.display();
            ensure!(rate > 0.0, "{name}: its header says 0 samples a second: mend it");
            return Ok(Some(Self { rate, column: None, scatters: false }));
        }
        let channels: HashSet<&String> = channels.iter().collect();
        let clocks = || recording.clocks.iter().filter(|clock| !channels.contains(&clock.column));
        let clock = clocks().find(|clock| clock.rate.is_some());
        Ok(clock.and_then(|clock| {
            Some(Self { rate: clock.rate?, column: Some(clock.column.clone()), scatters: clock.scatters() })
        }))
    }

    /// Rows a second by the file, or as they were given; none where neither says.
    ///
    /// # Errors
    /// If they contradict each other.
    pub(super) fn or_given(recording: &Recording, given: Option<f64>) -> Result<Option<f64>> {
        let of_file = Self::of(recording, &[])?;
        if let (Some(of_file), Some(rate)) = (&of_file, given) {
            of_file.check(rate, &recording.table.path)?;
        }
        Ok(given.or(of_file.map(|of_file| of_file.rate)))
    }

    /// Refuses another rate than the file's.
    pub(super) fn check(&self, given: f64, path: &Path) -> Result<()> {
        let says = match &self.column {
            Some(column) => format!("by its column `{column}`"),
            None => "by its head".to_owned(),
        };
        ensure!(
            (given / self.rate - 1.0).abs() <= SAME,
            "--rate {given}: {} has {} rows a second, {says}: leave --rate out, or mend the file",
            path.display(),
            significant(self.rate)
        );
        Ok(())
    }
}
