//! What every verb is told, and what several of them do.

use std::{io, path::PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::terminal;
use crate::{tables::reading::Reading, training::listener::Listener};

/// Heading of the options that every verb has: clap prints headings in the order of their options, and these come last.
pub(super) const GENERAL: &str = "General";

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

/// The model file and the data that `score` and `evaluate` read.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct ModelAndData {
    /// Model file (.vae).
    pub(super) model: PathBuf,
    /// Table (CSV or another format, also compressed) with the model's columns, in any order; `-` for standard input.
    ///
    /// Several files, a directory, or a pattern as in 'recordings/*.wav' are one input, in which no window spans two files.
    #[arg(required = true)]
    pub(super) data: Vec<PathBuf>,
    /// Column that says 0 normal / 1 anomaly.
    #[arg(long, help_heading = "Data")]
    pub(super) label: Option<String>,
    #[command(flatten)]
    pub(super) reading: Reading,
}
