//! Opening a table, and what is said of it.

use std::{collections::HashSet, path::PathBuf};

use anyhow::Result;

use crate::{
    cli::{context::note, progress},
    tables::{
        reading::Reading,
        recording::{Label, Recording},
        several::{note_on_pieces, open_all},
    },
    words::messages::list,
};

/// Reads files once, each as a recording of its own, and says what is to be known of how they were read, as where their column `label` is taken
/// as the label without having been asked for, and where their rows are of several pieces.
pub(super) fn open_table(data: &[PathBuf], label: Label<'_>, reading: &Reading) -> Result<Recording> {
    let (recording, _) = open_all(data, label, reading, progress::reading)?;
    recording.check_shape()?;
    recording.remarks(label).chain(note_on_pieces(&recording)).for_each(|message| note(&message));
    Ok(recording)
}

/// The data's columns of times that no model is to be trained on: those that it is not conditional on. Says so of all but those that are
/// ignored anyway.
pub(super) fn clocks_to_leave_out(recording: &Recording, conditions: &[String], ignored: &[String]) -> Vec<String> {
    let mut clocks: Vec<String> = recording.clocks().into_iter().map(|clock| clock.column).collect();
    let [conditions, ignored] = [conditions, ignored].map(|names| names.iter().collect::<HashSet<_>>());
    clocks.retain(|column| !conditions.contains(column));
    let unsaid: Vec<&String> = clocks.iter().filter(|column| !ignored.contains(column)).collect();
    let name = recording.table.path.display();
    match &unsaid[..] {
        [] => {}
        [clock] => note(&format!("{name}: column `{clock}` tells the time and is left out")),
        several => note(&format!("{name}: columns {} tell the time and are left out", list(several))),
    }
    clocks
}
