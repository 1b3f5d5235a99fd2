//! `vae-fleet fit`: a fleet's models.

use std::path::PathBuf;

use anyhow::{Result, anyhow, ensure};

use crate::{
    cli::context::{Context, History, Limits, alarms, runtime},
    fit::{
        directory::Settings,
        run::{Shard, run},
        trainer::Trainer,
    },
};

/// Make a fleet's models: one base model on a sample of all machines, and for each machine its own calibration.
///
/// The first part of each machine's rows trains, the rest calibrates: all of them should be of normal running. `vae-train` does the work. What is
/// done is not done again: after a kill, or for machines that are new, give the same command once more.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-fleet fit 'history/**/*.parquet' --by machine --alarms 1/week --out models -- --window 64 --hop 32
  vae-fleet fit 'history/**/*.parquet' --by machine --out models --shard 3/16
  vae-fleet fit 'history/*.csv' --by machine --each --out models")]
pub(super) struct Fit {
    #[command(flatten)]
    history: History,
    /// Folder of models to write, or to go on with: a .vae for each machine, and summary.json.
    #[arg(long)]
    out: PathBuf,
    /// Columns to model [default: all that hold numbers].
    #[arg(long, value_delimiter = ',', help_heading = "History")]
    columns: Vec<String>,
    /// The false alarms you accept of each machine, as in 1/week.
    #[arg(long, value_parser = alarms, help_heading = "Models")]
    alarms: Option<String>,
    /// Learn what is ordinary for each machine by so many windows of the rows that calibrate, and write it beside its model: a snapshot from which
    /// its device starts (`Detector::restore`).
    #[arg(long, value_name = "WINDOWS", help_heading = "Models")]
    baseline: Option<u32>,
    /// Fit a model for each machine, and no base model.
    #[arg(long, help_heading = "Models")]
    each: bool,
    /// Share of each machine's rows that is trained on, the first ones; the rest calibrates.
    #[arg(long, default_value_t = 0.5, value_parser = share, help_heading = "Models")]
    training_share: f64,
    /// Rows of the base model's sample, all machines together.
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..), help_heading = "Models")]
    sample: u64,
    /// Fewest rows of a machine.
    #[arg(long, default_value_t = 1000, help_heading = "Models")]
    least: u64,
    /// Seed of the sample and of the training.
    #[arg(long, default_value_t = 0, help_heading = "Models")]
    seed: u64,
    /// The part of the machines that this job does, as in 3/16; 0/16 fits the base model alone.
    #[arg(long, default_value = "1/1", value_parser = shard, help_heading = "Jobs")]
    shard: Shard,
    /// The program vae-train [default: beside this one, or on the PATH].
    #[arg(long, help_heading = "Jobs")]
    vae_train: Option<PathBuf>,
    #[command(flatten)]
    limits: Limits,
    /// Options for `vae-train fit`, behind `--`.
    #[arg(last = true)]
    options: Vec<String>,
}

impl Fit {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let resources = self.limits.resources();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let trainer = Trainer::find(self.vae_train.as_deref(), cores / resources.jobs)?;
        let History { files, by, time, unit } = self.history;
        let mut settings = Settings {
            history: files,
            by,
            time,
            unit: unit.seconds(),
            columns: self.columns,
            alarms: self.alarms,
            each: self.each,
            training_share: self.training_share,
            sample: self.sample,
            least: self.least,
            seed: self.seed,
            baseline: self.baseline,
            options: self.options,
        };
        let session = resources.session()?;
        let work = (self.shard, resources.jobs);
        let summary = run(&runtime(resources.jobs)?, &session, (&mut settings, &self.out), &trainer, work)?;
        context.print(&summary, &summary.text()?)?;
        // Where others are still to be done, a shard may have had none.
        let may_be_empty = self.shard.index == 0 || summary.waiting > 0;
        ensure!(summary.fitted > 0 || may_be_empty, "no machine has a model");
        Ok(())
    }
}

fn share(text: &str) -> Result<f64> {
    let share = text.parse::<f64>().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| anyhow!("give a share between 0 and 1"))
}

fn shard(text: &str) -> Result<Shard> {
    let parsed = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
    let shard = parsed.map(|(index, of)| Shard { index, of }).filter(|shard| shard.of > 0 && shard.index <= shard.of);
    shard.ok_or_else(|| anyhow!("give i/n, the ith of n parts, as in 3/16"))
}
