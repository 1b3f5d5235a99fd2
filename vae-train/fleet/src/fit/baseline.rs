//! What is ordinary for one machine, learnt as its device would learn it: a snapshot that the device starts from.

use std::{path::Path, str::FromStr, sync::Arc};

use anyhow::{Context, Result, ensure};
use csv::StringRecord;

use crate::{fit::extract::TIME, judge::Judge, model::LoadedModel};

/// Lets a model's detector learn a baseline of so many windows from a table of normal rows, and returns its snapshot, for `Detector::restore`.
///
/// # Errors
/// If the table lacks a column or cannot be read, or has too few rows for the windows; or the windows are too few for the calibration.
pub fn learn(model: &Arc<LoadedModel>, table: &Path, windows: u32) -> Result<Vec<u8>> {
    let mut judge = Judge::new(Arc::clone(model), None)?;
    judge.rebaseline(windows)?;
    let cannot = || format!("cannot read {}", table.display());
    let mut reader = csv::Reader::from_path(table).with_context(cannot)?;
    let header = reader.headers().with_context(cannot)?.clone();
    let place = |name: &str| {
        let found = header.iter().position(|other| other == name);
        found.with_context(|| format!("{} has no column {name}", table.display()))
    };
    let time = place(TIME)?;
    let places = model.columns().map(place).collect::<Result<Vec<_>>>()?;
    let mut row = vec![f32::NAN; places.len()];
    let (mut record, mut rows) = (StringRecord::new(), 0_u64);
    while judge.is_rebaselining() {
        ensure!(
            reader.read_record(&mut record).with_context(cannot)?,
            "a baseline of {windows} windows is not complete after {rows} rows: give --baseline fewer, or longer histories"
        );
        rows += 1;
        for (value, place) in row.iter_mut().zip(&places) {
            *value = number(&record, *place, f32::NAN).with_context(|| format!("row {rows} of {}", table.display()))?;
        }
        judge.push(number(&record, time, f64::NAN)?, &row)?;
    }
    judge.snapshot()
}

/// A field's number, or what stands for an empty one.
fn number<T: FromStr>(record: &StringRecord, place: usize, missing: T) -> Result<T> {
    match record.get(place).unwrap_or_default() {
        "" => Ok(missing),
        text => text.parse().ok().with_context(|| format!("{text:?} is no number")),
    }
}
