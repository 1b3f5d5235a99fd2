//! What every verb is told, and what several of them do.

use std::{io, path::PathBuf, thread::available_parallelism};

use anyhow::{Context as _, Result};
use serde::Serialize;

use super::terminal;
#[cfg(feature = "ballista")]
use crate::{backtest::judging::codec, cluster::client::Cluster};
use crate::{
    engine::Resources,
    words::{rates::parse_alarms, sizes::parse_bytes},
};

/// What every verb is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub(super) json: bool,
}

impl Context {
    /// Prints a verb's result: as JSON where asked, else as `text`.
    pub(super) fn print(self, result: &impl Serialize, text: &str) -> Result<()> {
        if self.json { print(&serde_json::to_string_pretty(result)?) } else { print(text.trim_end()) }
    }
}

/// Prints lines on standard output.
pub(super) fn print(text: &str) -> Result<()> {
    match terminal::print(text) {
        // Whoever reads has had enough, as `head` has; the work is done.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("the result cannot be printed"),
    }
}

/// Something that the user should know, on standard error.
pub(super) fn note(message: &str) {
    terminal::tell_of("note", message);
}

/// A fleet's files.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct History {
    /// Files: Parquet, CSV or JSON lines by name, pattern or folder, in quotes.
    #[arg(required = true)]
    pub(super) files: Vec<String>,
    /// What names the machine: a column, or folders as in machine=0007/.
    #[arg(long, help_heading = "History")]
    pub(super) by: String,
    /// Column of times: timestamps, or numbers.
    #[arg(long, default_value = "time", help_heading = "History")]
    pub(super) time: String,
    /// Unit of times that are numbers.
    #[arg(long, value_enum, default_value_t = Unit::S, help_heading = "History")]
    pub(super) unit: Unit,
}

/// Unit of times that are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Unit {
    S,
    Ms,
    Us,
    Ns,
}

impl Unit {
    pub(super) const fn seconds(self) -> f64 {
        match self {
            Self::S => 1.0,
            Self::Ms => 1e-3,
            Self::Us => 1e-6,
            Self::Ns => 1e-9,
        }
    }
}

/// Where the work is done.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Place {
    /// Scheduler of a cluster that does the work, as in df://hall-3:50050; its executors read files and model by the paths that they have here.
    #[arg(long, value_name = "df://HOST:PORT", help_heading = "Resources")]
    scheduler: Option<String>,
}

impl Place {
    /// The cluster, if one is to do the work.
    #[cfg(feature = "ballista")]
    pub(super) async fn cluster(&self) -> Result<Option<Cluster>> {
        let Some(address) = &self.scheduler else { return Ok(None) };
        Ok(Some(Cluster::at(address.parse()?, codec()).await?))
    }

    /// Refuses a cluster, which this program has not been built for.
    #[cfg(not(feature = "ballista"))]
    pub(super) fn is_here(&self) -> Result<()> {
        anyhow::ensure!(
            self.scheduler.is_none(),
            "this vae-fleet was built without clusters: cargo install --path vae-train/fleet --locked --features ballista"
        );
        Ok(())
    }
}

/// What a run may take of the machine.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Limits {
    /// Memory for sorts, as in 512MiB or 4GiB; what is more is spilled to disk. Rows that are in order are not sorted.
    #[arg(long, default_value = "1GiB", value_parser = parse_bytes, help_heading = "Resources")]
    memory: usize,
    /// How many machines or partitions are worked on at once [default: the processor's cores].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Resources")]
    jobs: Option<u16>,
    /// Directory for what is spilled [default: the system's for temporary files].
    #[arg(long, help_heading = "Resources")]
    spill: Option<PathBuf>,
}

impl Limits {
    pub(super) fn resources(&self) -> Resources {
        let cores = || available_parallelism().map_or(1, usize::from);
        Resources { memory: self.memory, jobs: self.jobs.map_or_else(cores, usize::from), spill: self.spill.clone() }
    }
}

/// The runtime that the engine's work runs in.
pub(super) fn runtime(jobs: usize) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(jobs).enable_all().build().context("cannot start the engine's threads")
}

/// Takes a rate of alarms as it is written.
pub(super) fn alarms(text: &str) -> Result<String> {
    parse_alarms(text).map(|_| text.to_owned())
}
