//! Opening a table, and what is said of it.

use std::{collections::HashSet, path::PathBuf};

use anyhow::Result;
use clap::ValueEnum as _;

use crate::{
    cli::{context::note, progress},
    tables::{
        reading::Reading,
        recording::{Label, Recording},
        several::{Files, note_on_pieces, open_all},
    },
    words::messages::quoted,
};

/// Reads files once, each as a recording of its own, and says what is to be known of how they were read, as where their column `label` is taken
/// as the label without having been asked for, and where their rows are of several pieces.
pub(super) fn open_table(data: &[PathBuf], label: Label<'_>, reading: &Reading) -> Result<Recording> {
    let (recording, _) = open_quietly(data, label, reading)?;
    recording.remarks(label).chain(note_on_pieces(&recording)).for_each(|message| note(&message));
    Ok(recording)
}

/// Reads files once, each as a recording of its own.
pub(super) fn open_quietly(data: &[PathBuf], label: Label<'_>, reading: &Reading) -> Result<(Recording, Files)> {
    let (recording, files) = open_all(data, label, reading, progress::reading)?;
    recording.check_shape()?;
    Ok((recording, files))
}

/// How a table was read, as it must be again: options, each with a blank before it.
pub(super) fn options(reading: &Reading) -> String {
    let unit = reading.time_unit.and_then(|unit| Some(unit.to_possible_value()?.get_name().to_owned()));
    let one = [("time", &reading.time), ("time-unit", &unit), ("group", &reading.group)];
    let one = one.into_iter().chain([("anomaly-label", &reading.anomaly_label)]);
    let several = [("keep", &reading.keep), ("missing", &reading.missing)];
    let several = several.into_iter().flat_map(|(option, values)| values.iter().map(move |value| (option, value)));
    let given = one.filter_map(|(option, value)| Some((option, value.as_ref()?))).chain(several);
    let mut text: String = given.map(|(option, value)| format!(" --{option} {}", quoted(value))).collect();
    if let Some(lines) = reading.skip_lines {
        text += &format!(" --skip-lines {lines}");
    }
    text
}

/// The data's columns that no model is to be trained on, unless it is conditional on them. Says so of all but those that are ignored anyway.
pub(super) fn columns_to_leave_out(recording: &Recording, conditions: &[String], ignored: &[String]) -> Vec<String> {
    let [conditions, ignored] = [conditions, ignored].map(|names| names.iter().collect::<HashSet<_>>());
    reasons(recording)
        .into_iter()
        .filter(|(column, _)| !conditions.contains(column))
        .map(|(column, reason)| {
            if !ignored.contains(&column) {
                note(&format!("{}: column `{column}` {reason}", recording.table.path.display()));
            }
            column
        })
        .collect()
}

/// Each column that is left out, and why.
pub(super) fn reasons(recording: &Recording) -> Vec<(String, String)> {
    let keep = |column: &String| format!("--keep {} trains on it", quoted(column));
    let clocks = recording.clocks.iter().map(|clock| {
        let column = &clock.column;
        (column, format!("tells the time and is left out, as a time never comes again ({})", keep(column)))
    });
    let counters = recording.counters.iter().map(|column| {
        (column, format!("counts from row to row and is left out, as its values never come again ({})", keep(column)))
    });
    let group = recording
        .group
        .iter()
        .map(|column| (column, format!("says which machine or run a row is of, and is left out ({})", keep(column))));
    let labels = recording.label_like.iter().map(|column| {
        let label = quoted(column);
        (column, format!("looks like a label and is left out: --label {label} takes it as one, {}", keep(column)))
    });
    clocks.chain(counters).chain(group).chain(labels).map(|(column, reason)| (column.clone(), reason)).collect()
}
