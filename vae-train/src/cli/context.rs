//! What every verb is told, and what several of them do.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::terminal;
use crate::{
    tables::{
        clock::Clock,
        table::{LABEL, Table},
    },
    training::listener::Listener,
    words::messages::list,
};

/// What every verb is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) json: bool,
    pub(super) seed: Option<u64>,
}

impl Context {
    /// Prints a verb's result: as JSON where asked, else as `text`.
    pub(super) fn print(self, result: &impl Serialize, text: &str) -> Result<()> {
        let json;
        let text = if self.json {
            json = serde_json::to_string_pretty(result)?;
            &json
        } else {
            text.trim_end()
        };
        match terminal::print(text) {
            // Whoever reads has had enough, as `head` has; the work is done.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.context("the result cannot be printed"),
        }
    }
}

/// Something that the user should know, on standard error.
pub(super) fn note(message: &str) {
    terminal::tell_of("note", message);
}

/// Puts a library's notes on standard error.
pub(super) struct Notes;

impl Listener for Notes {
    fn note(&mut self, message: &str) {
        note(message);
    }
}

/// The column of labels: the one that was asked for, or else `label` where the data have it and the model does not watch it, which is said.
pub(super) fn find_label<'a>(asked: Option<&'a str>, data: &Path, watched: &[&str]) -> Result<Option<&'a str>> {
    if asked.is_some() || watched.contains(&LABEL) || !Table::has_column(data, LABEL)? {
        return Ok(asked);
    }
    note(&format!("{}: column `{LABEL}` is taken as the label", data.display()));
    Ok(Some(LABEL))
}

/// The data's columns of times that no model is to be trained on: those that it is not conditional on. Says so of all but those that are
/// ignored anyway.
pub(super) fn clocks_to_leave_out(
    data: &Path,
    label: Option<&str>,
    conditions: &[String],
    ignored: &[String],
) -> Result<Vec<String>> {
    let mut clocks: Vec<String> = Clock::of_file(data, label)?.into_iter().map(|clock| clock.column).collect();
    let [conditions, ignored] = [conditions, ignored].map(|names| names.iter().collect::<HashSet<_>>());
    clocks.retain(|column| !conditions.contains(column));
    let unsaid: Vec<&String> = clocks.iter().filter(|column| !ignored.contains(column)).collect();
    let name = data.display();
    match &unsaid[..] {
        [] => {}
        [clock] => note(&format!("{name}: column `{clock}` tells the time and is left out")),
        several => note(&format!("{name}: columns {} tell the time and are left out", list(several))),
    }
    Ok(clocks)
}

/// The model file and the data that `score` and `evaluate` read.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ModelAndData {
    /// Model file (.vae).
    pub(super) model: PathBuf,
    /// CSV file with the model's columns, in any order.
    pub(super) data: PathBuf,
    /// Column that says 0 normal / 1 anomaly.
    #[arg(long)]
    pub(super) label: Option<String>,
}
