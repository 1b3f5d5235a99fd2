//! `vae-train fit`: train on normal data.

mod any_size;
mod summary;
mod training_table;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

use super::progress;
use crate::{
    cli::{
        auto::{Auto, BYTES, Found, quantity},
        context::{Context, note},
        device::{DeviceList, device},
        fit::{
            any_size::{is_too_large, spool},
            summary::summary,
            training_table::{settle_names, tell_of, training_table},
        },
        rate::RateOfFile,
        table::open_quietly,
    },
    config::{Config, data::ColumnFamily},
    data::front_end::needs_rate,
    inspection::findings::of_clock,
    run::{
        directory::RunDirectory,
        fit::{self, Fitted},
        lock::Access,
        search::{Search, fit_best},
    },
    tables::{
        category::category_of,
        recording::{Label, Recording},
        several::note_on_pieces,
    },
    training::devices::Devices,
    words::output::Existing,
};

/// Train a model on the normal rows of a table, and keep everything in a run directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train fit train.csv --label label --out runs/a
  vae-train fit recording.csv --window 256 --front-end bands:16 --out runs/b
  vae-train fit machine.wav --window 3072 --hop 512 --front-end mel:32x5 --out runs/e
  vae-train fit recording.csv --auto --core cortex-m0 --clock 48MHz --load 10% --flash 16KiB --ram 2KiB --rate 200 --out runs/d
  vae-train fit day1.csv day2.csv --out runs/c
  vae-train fit points.csv --purpose density --out runs/f
  vae-train fit plant.csv --column state=categorical --out runs/g
  vae-train fit train.csv --out runs/h --device cuda:0,cuda:1
  vae-train fit recording.csv --out runs/b --resume")]
pub(super) struct Fit {
    /// Table: CSV (a header, then rows of features, or with --window the samples of a stream in order of time) or another format, also
    /// compressed by gzip or zstd; `-` for standard input.
    ///
    /// Several files, a directory, or a pattern as in 'recordings/*.wav' are one input: files of the same columns and rate, in the order of time. No
    /// window spans two of them.
    #[arg(required = true)]
    data: Vec<PathBuf>,
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    auto: Auto,
    /// Run directory to write.
    #[arg(long, help_heading = "Run")]
    out: PathBuf,
    /// TOML file with any of the settings of data, model, objective and training.
    ///
    /// Settings have the names of the options, with `_` for `-`, as in `learning_rate = 0.001`. They stand in the sections [data], [model],
    /// [objective] and [training], or before all sections. Options on the command line take precedence.
    #[arg(long = "config", value_name = "CONFIG", help_heading = "Run", hide_short_help = true)]
    file: Option<PathBuf>,
    /// Go on with the run in --out, with the settings that it was started with.
    #[arg(long, help_heading = "Run")]
    resume: bool,
    /// Replace the run in --out.
    #[arg(long, conflicts_with = "resume", help_heading = "Run")]
    force: bool,
    #[command(flatten)]
    devices: DeviceList,
    /// The memory that table and windows may take, as in 1GiB [default: half of what there is].
    ///
    /// Where they would take more, the rows go through a scratch file on the disk of --out, and each epoch reads parts of it in a random order
    /// (docs/scale.md). The rest of the program takes up to half a GiB beside.
    #[arg(long, help_heading = "Run", value_parser = |text: &str| quantity(text, &BYTES))]
    memory: Option<f64>,
}

impl Fit {
    /// Fits with the settings of these names that are `given`, over those of --config.
    pub(super) fn run(self, context: Context, given: &HashSet<String>) -> Result<()> {
        let devices = self.devices.open()?;
        let (search, fitted) = if self.resume {
            let sets = Config::names().any(|(_, name)| given.contains(&name));
            ensure!(
                !sets && self.file.is_none() && context.seed.is_none(),
                "--resume takes the configuration of the run: give no other settings with it"
            );
            let (directory, state) = RunDirectory::open(&self.out, Access::Write)?;
            let context_of_data = || {
                let out = self.out.display();
                format!("the run in {out} goes on with the data that it was started with: give them again")
            };
            if state.plan.in_blocks {
                let mut config = state.plan.config.clone();
                let label = config.data.label.clone();
                let table =
                    spool(&self.data, label.as_deref().into(), &mut config, &self.out).with_context(context_of_data)?;
                let listener = &mut progress::Fitting::default();
                let fitted = fit::resume_in_blocks(&directory, state, table, &devices, listener)?;
                return context.print(&Found { search: None, fitted: &fitted }, &summary(&fitted));
            }
            let recording = open_spread(&self.data, state.plan.config.data.label.as_deref().into(), &state.plan.config)
                .with_context(context_of_data)?;
            let table = training_table(recording, &state.plan.config)?;
            (None, fit::resume(&directory, state, table, &devices, &mut progress::Fitting::default())?)
        } else {
            let config = self.configuration(context.seed, given)?;
            let auto = self.auto.is_on().then_some(&self.auto);
            let existing = Existing::from_force(self.force);
            config.check()?;
            ensure!(
                auto.is_none() || self.memory.is_none(),
                "--auto tries settings on a table in memory: leave out --memory, or search on a part of the rows and fit all of them by what it finds"
            );
            if auto.is_none() && is_too_large(&self.data, &config, self.memory)? {
                (None, fit_of_any_size(&self.data, &self.out, config, &devices, existing)?)
            } else {
                fit_or_search(&self.data, &self.out, config, auto, &devices, existing)?
            }
        };
        let text = search.as_ref().map_or_else(String::new, |search| search.table() + "\n");
        context.print(&Found { search: search.as_ref(), fitted: &fitted }, &(text + &summary(&fitted)))
    }

    fn configuration(&self, seed: Option<u64>, given: &HashSet<String>) -> Result<Config> {
        let mut config = self.config.over(self.file.as_deref(), |name| given.contains(name))?;
        config.seed = seed.unwrap_or(config.seed);
        Ok(config)
    }
}

/// Fits a model to a file; the run directory is written once the first epoch is done.
pub(super) fn fit(data: &[PathBuf], out: &Path, config: Config, existing: Existing) -> Result<Fitted> {
    Ok(fit_or_search(data, out, config, None, &Devices::from(&device("flex")?), existing)?.1)
}

/// [`fit`] by way of a scratch file.
fn fit_of_any_size(
    data: &[PathBuf],
    out: &Path,
    mut config: Config,
    devices: &Devices,
    existing: Existing,
) -> Result<Fitted> {
    RunDirectory::check(out, existing)?;
    let asked = config.data.label.clone();
    let table = spool(data, Label::of(asked.as_deref(), &[""; 0]), &mut config, out)?;
    fit::fit_in_blocks(table, config, out, existing, devices, &mut progress::Fitting::default())
}

/// [`fit`], with the setting that a search finds where one is asked for.
fn fit_or_search(
    data: &[PathBuf],
    out: &Path,
    mut config: Config,
    auto: Option<&Auto>,
    devices: &Devices,
    existing: Existing,
) -> Result<(Option<Search>, Fitted)> {
    // Before much is read.
    config.check()?;
    ensure!(
        auto.is_none() || !config.is_of_densities(),
        "--auto judges settings by how well they tell anomalies: leave it out, or leave out --purpose density"
    );
    RunDirectory::check(out, existing)?;
    ensure!(
        auto.is_none() || config.data.column.is_empty(),
        "--auto searches among models of numbers: leave out --column, and what it names with --ignore"
    );
    let recording = open_spread(data, Label::of(config.data.label.as_deref(), &[""; 0]), &config)?;
    settle_names(&recording, &mut config);
    // A condition that is a category is one for each.
    let categorical = config.data.columns_of(ColumnFamily::Categorical)?;
    config.data.condition = spread_names(&config.data.condition, &categorical, &recording.names);
    let of_clock = recording.clocks.first().map(of_clock).unwrap_or_default();
    let is_mel = needs_rate(&config.data.front_end);
    ensure!(
        is_mel || auto.is_some() || config.data.rate.is_none(),
        "--rate is for mel bands (--front-end mel:32x5) and for --auto: leave it out; calibrate takes one for rates of alarms"
    );
    let rate = if is_mel || auto.is_some() { RateOfFile::or_given(&recording, config.data.rate)? } else { None };
    // So that the run goes on with it.
    config.data.rate = rate.filter(|_| is_mel);
    let table = training_table(recording, &config)?;
    // What inspect would say, before time is spent on it.
    tell_of(&table, &config, of_clock, auto.is_none())?;
    let listener = &mut progress::Fitting::default();
    if let Some(auto) = auto {
        let (search, fitted) = fit_best(table, &config, (&auto.budget(), rate), out, existing, devices, listener)?;
        return Ok((Some(search), fitted));
    }
    Ok((None, fit::fit(table, config, out, existing, devices, listener)?))
}

/// Reads files and says what is to be known of how they were read, with a column of zeros and ones for each category that normal rows have.
fn open_spread(data: &[PathBuf], label: Label<'_>, config: &Config) -> Result<Recording> {
    let reading = config.reading()?;
    let mut recording = open_quietly(data, label, &reading)?.0;
    let categories = recording.normal_categories(&reading.categorical)?;
    recording.spread(&categories)?;
    recording.remarks(label).chain(note_on_pieces(&recording)).for_each(|message| note(&message));
    Ok(recording)
}

/// These names, with those of its categories for each that is a column of some.
fn spread_names(names: &[String], categorical: &[String], columns: &[String]) -> Vec<String> {
    let of_name = |name: &String| match categorical.contains(name) {
        true => columns.iter().filter(|column| category_of(column, name).is_some()).cloned().collect(),
        false => vec![name.clone()],
    };
    names.iter().flat_map(of_name).collect()
}
