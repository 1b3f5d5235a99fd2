//! `vae-fleet backtest`: what the detectors would have said.

use std::path::PathBuf;

use anyhow::Result;

#[cfg(feature = "ballista")]
use crate::backtest::elsewhere;
use crate::{
    backtest::{
        page::page,
        run::{self, Settings},
        summary::summary,
    },
    cli::{
        GENERAL,
        context::{Context, History, Limits, Place, alarms, note, runtime},
    },
    words::output::{Existing, write_file},
};

/// Judge a fleet's past by a model, each machine as its device would: alarms asked for and raised, drift, sensor faults, gaps, and machines that
/// need a baseline of their own.
///
/// Rows are judged as they lie, in constant memory; where a machine's are not in the order of time, they are sorted.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-fleet backtest pump.vae 'history/**/*.parquet' --by machine --alarms 1/week --out backtest.html
  vae-fleet backtest pump.vae 'history/*.csv' --by machine --time t --unit ms --json")]
pub(super) struct Backtest {
    /// Model file (.vae).
    model: PathBuf,
    #[command(flatten)]
    history: History,
    /// The false alarms you accept of each machine, as in 1/week [default: the model's].
    #[arg(long, value_parser = alarms, help_heading = "Alarms")]
    alarms: Option<String>,
    /// Page (HTML) to write.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace the file in --out.
    #[arg(long, help_heading = GENERAL)]
    force: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    limits: Limits,
}

impl Backtest {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        if let Some(path) = &self.out {
            existing.check(path)?;
        }
        let resources = self.limits.resources();
        let session = resources.session()?;
        let History { files, by, time, unit } = self.history;
        let settings =
            Settings { model: self.model, history: files, by, time, unit: unit.seconds(), alarms: self.alarms };
        let runtime = runtime(resources.jobs)?;
        #[cfg(not(feature = "ballista"))]
        let backtest = {
            self.place.is_here()?;
            run::run(&runtime, &session, &settings, resources.jobs)?
        };
        #[cfg(feature = "ballista")]
        let backtest = match runtime.block_on(self.place.cluster())? {
            Some(cluster) => elsewhere::run(&runtime, &session, &settings, (&cluster, resources.jobs))?,
            None => run::run(&runtime, &session, &settings, resources.jobs)?,
        };
        if let Some(path) = &self.out {
            write_file(path, existing, |out| Ok(out.write_all(page(&backtest).as_bytes())?))?;
            note(&format!("the page is {}", path.display()));
        }
        context.print(&backtest, &summary(&backtest)?)
    }
}
