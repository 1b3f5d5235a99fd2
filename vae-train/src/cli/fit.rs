//! `vae-train fit`: train on normal data.

use std::{
    borrow::Cow,
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use burn::tensor::Device;

use super::progress;
use crate::{
    cli::{
        auto::{Auto, Found},
        context::{Context, note},
        rate::RateOfFile,
        table::{columns_to_leave_out, open_quietly},
    },
    config::{Config, data::ColumnFamily, model::Purpose},
    data::front_end::needs_rate,
    inspection::{Inspection, autocorrelation::Suggestion, findings::of_clock},
    run::{
        directory::RunDirectory,
        fit::{self, Fitted},
        lock::Access,
        search::{Search, fit_best},
        simpler::Simpler,
        standing_out::{Rows, StandingOut},
    },
    tables::{
        category::category_of,
        reading::names_meant,
        recording::{Label, Recording},
        several::note_on_pieces,
        table::{LABEL, Table},
    },
    words::{
        messages::{list, quoted},
        output::Existing,
    },
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
    /// Where to train: flex (the CPU), another of burn's backends, or a ws:// address.
    ///
    /// Other backends are those that this program was built with. The address is the one that `vae-train serve` prints; both programs must be
    /// built with --features remote.
    #[arg(long, default_value = "flex", help_heading = "Run", hide_short_help = true)]
    device: String,
}

impl Fit {
    /// Fits with the settings of these names that are `given`, over those of --config.
    pub(super) fn run(self, context: Context, given: &HashSet<String>) -> Result<()> {
        let device = device(&self.device)?;
        let (search, fitted) = if self.resume {
            let sets = Config::names().any(|(_, name)| given.contains(&name));
            ensure!(
                !sets && self.file.is_none() && context.seed.is_none(),
                "--resume takes the configuration of the run: give no other settings with it"
            );
            let (directory, state) = RunDirectory::open(&self.out, Access::Write)?;
            let recording = open_spread(&self.data, state.plan.config.data.label.as_deref().into(), &state.plan.config)
                .with_context(|| {
                    let out = self.out.display();
                    format!("the run in {out} goes on with the data that it was started with: give them again")
                })?;
            let table = training_table(recording, &state.plan.config)?;
            (None, fit::resume(&directory, state, table, &device, &mut progress::Fitting::default())?)
        } else {
            let config = self.configuration(context.seed, given)?;
            let auto = self.auto.is_on().then_some(&self.auto);
            fit_or_search(&self.data, &self.out, config, auto, &device, Existing::from_force(self.force))?
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

/// What a fit came to, and what to do next, in lines.
fn summary(fitted: &Fitted) -> String {
    let Fitted { epochs, best_epoch, divergences, validation_elbo, baseline, training_elbo, .. } = fitted;
    // Where the step size falls, the last epoch is the best as a rule.
    let may_go_on = best_epoch == epochs && fitted.purpose == Purpose::Detection;
    let more = if may_go_on { " (the last was the best: more --epochs may help)" } else { "" };
    let mut lines = vec![format!(
        "best epoch {best_epoch} of {epochs}{more}: validation ELBO {validation_elbo:.4} nats per window (standardised)"
    )];
    let gain = validation_elbo - baseline;
    lines.push(if gain > 0.0 {
        format!("  {gain:.3} nats above a model of independent features ({baseline:.3}): so much was learnt of how they depend on each \
             other")
    } else {
        format!(
            "  {:.3} nats below a model of independent features ({baseline:.3}): nothing was learnt of how they depend on each other; \
             give more data, a --window for a series, or more --epochs",
            -gain
        )
    });
    let gap = training_elbo - validation_elbo;
    let judgement = if gap > OVER_FITTED * gain.abs().max(1.0) {
        ": over-fitted, or the held-out windows are of another kind; give more data, a smaller --hidden or a larger --input-noise"
    } else {
        ": not over-fitted"
    };
    lines.push(format!(
        "{} windows trained on ({training_elbo:.3} nats), {} held out{judgement}",
        fitted.training_windows, fitted.held_out_windows
    ));
    let mut unused = fitted.unused.iter().flat_map(|unused| unused.lines(fitted.active_units));
    let in_use = format!("{} of {} latent dimensions in use", fitted.active_units, fitted.latent);
    lines.push(in_use + &unused.next().unwrap_or_default());
    lines.extend(unused);
    if !divergences.is_empty() {
        let rate = fitted.learning_rate;
        lines.push(format!(
            "training diverged {} time(s), and the learning rate was lowered to {rate:.3e}",
            divergences.len()
        ));
    }
    // One that was left out has been noted.
    let stored = fitted.second_stage.iter().filter(|judgement| judgement.is_stored);
    lines.extend(stored.map(|judgement| format!("second stage: {}", judgement.line())));
    lines.extend(standing_out(fitted));
    lines.extend(fitted.simpler.iter().flat_map(Simpler::lines));
    lines.extend(next_steps(fitted));
    lines.join("\n")
}

/// What to do next, in lines.
fn next_steps(fitted: &Fitted) -> Vec<String> {
    let run = quoted(fitted.run.display());
    if fitted.purpose == Purpose::Density {
        return vec![
            format!("next: vae-train export {run} --precision f32 --out model.vae"),
            "then: vae-train evaluate model.vae TEST.csv --likelihood --train TRAIN.csv".to_owned(),
            "      (how likely data are that were not trained on, beside kernel densities)".to_owned(),
        ];
    }
    // That column is found without being named.
    let label = match fitted.label.as_deref() {
        None | Some(LABEL) => String::new(),
        Some(label) => format!(" --label {}", quoted(label)),
    };
    vec![
        format!("next: vae-train calibrate {run} --normal HOLDOUT.csv{label} --alarms 1/week"),
        "      (normal data that were not trained on, in the order of time)".to_owned(),
        format!("then: vae-train export {run} --out model.vae"),
    ]
}

/// Most stretches of rows that are listed.
const LISTED: usize = 7;

/// The rows that stand out of the training data, or have been left out, and what to do about them; nothing where there are none.
fn standing_out(fitted: &Fitted) -> Vec<String> {
    let is_trimmed = fitted.trimmed.windows > 0;
    let found = if is_trimmed { &fitted.trimmed } else { &fitted.standing_out };
    let StandingOut { screened, windows, expected, rows } = found;
    if *windows == 0 {
        return Vec::new();
    }
    let share = 100.0 * *windows as f64 / *screened as f64;
    let what =
        if is_trimmed { "stood out of the others by far and were left out" } else { "stand out of the others by far" };
    let mut lines = vec![format!(
        "{windows} of {screened} windows ({share:.2} %) {what} ({expected} are expected of clean data), in rows"
    )];
    let mut strangest: Vec<&Rows> = rows.iter().collect();
    strangest.sort_by(|a, b| b.excess.total_cmp(&a.excess));
    strangest.truncate(LISTED);
    strangest.sort_by_key(|rows| rows.first);
    let each =
        strangest.iter().map(|rows| format!("  {} to {} ({:.1} nats beyond)", rows.first, rows.last, rows.excess));
    lines.extend(each);
    if rows.len() > LISTED {
        lines.push(format!("  and {} more stretches of rows (--json lists them)", rows.len() - LISTED));
    }
    lines.push(if is_trimmed {
        "  look at them: what is healthy and rare will raise alarms; record more of it, and fit without --trim".to_owned()
    } else {
        "  look at them: label faults 1, or fit with --trim, which leaves them out; record more of what is healthy and rare".to_owned()
    });
    lines
}

/// Training windows that score higher than held-out ones by this share of what was learnt have been learnt by heart.
const OVER_FITTED: f64 = 0.25;

/// Fits a model to a file; the run directory is written once the first epoch is done.
pub(super) fn fit(data: &[PathBuf], out: &Path, config: Config, device: &Device, existing: Existing) -> Result<Fitted> {
    Ok(fit_or_search(data, out, config, None, device, existing)?.1)
}

/// [`fit`], with the setting that a search finds where one is asked for.
fn fit_or_search(
    data: &[PathBuf],
    out: &Path,
    mut config: Config,
    auto: Option<&Auto>,
    device: &Device,
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
    config.data.label.clone_from(&recording.label);
    for names in [&mut config.data.condition, &mut config.data.ignore] {
        *names = names_meant(names, &recording.names);
    }
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
        let (search, fitted) = fit_best(table, &config, (&auto.budget(), rate), out, existing, device, listener)?;
        return Ok((Some(search), fitted));
    }
    Ok((None, fit::fit(table, config, out, existing, device, listener)?))
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

/// Says what inspect would of the columns of numbers, behind what is known of the clock, and which window they ask for.
fn tell_of(table: &Table, config: &Config, of_clock: Vec<String>, advises: bool) -> Result<()> {
    let numbers = numbers_of(table, config)?;
    let inspection = numbers.as_deref().map(Inspection::of);
    let findings = inspection.iter().flat_map(Inspection::findings_for_fit);
    tell(&table.path, &of_clock.into_iter().chain(findings).collect::<Vec<_>>());
    if let (1, true, Some((numbers, inspection))) = (config.data.window, advises, numbers.as_deref().zip(inspection)) {
        advise_on_window(numbers, config, inspection.suggestion);
    }
    Ok(())
}

/// The table without its columns of zeros and ones, which are neither stuck where they stay nor have a rhythm; none where there are no others.
fn numbers_of<'t>(table: &'t Table, config: &Config) -> Result<Option<Cow<'t, Table>>> {
    let families = config.data.column_families()?;
    if families.is_empty() {
        return Ok(Some(Cow::Borrowed(table)));
    }
    let is_number = |column: &&String| {
        !families.iter().any(|(name, family)| match family {
            ColumnFamily::Gaussian => false,
            ColumnFamily::Bernoulli => name == *column,
            ColumnFamily::Categorical => category_of(column, name).is_some(),
        })
    };
    let numbers: Vec<&String> = table.columns.iter().filter(is_number).collect();
    if numbers.is_empty() { Ok(None) } else { Ok(Some(Cow::Owned(table.clone().select(&numbers)?.0))) }
}

/// The columns to train on: without those to be ignored, and without those that [`columns_to_leave_out`] names.
fn training_table(recording: Recording, config: &Config) -> Result<Table> {
    let Table { path, columns, .. } = &recording.table;
    let known: HashSet<&String> = columns.iter().collect();
    if let Some(unknown) = config.data.ignore.iter().find(|name| !known.contains(name)) {
        bail!("{} has no column `{unknown}` to ignore: its columns are {}", path.display(), list(columns));
    }
    let others = columns_to_leave_out(&recording, &config.data.condition, &config.data.ignore);
    let left_out: HashSet<&String> = others.iter().chain(&config.data.ignore).collect();
    let is_kept = |name: &&String| !left_out.contains(name);
    let kept: Vec<String> = columns.iter().filter(is_kept).cloned().collect();
    ensure!(
        !kept.is_empty(),
        "{}: no column of measured values is left of {}: give measured values, or ignore fewer columns",
        path.display(),
        list(columns)
    );
    Ok(recording.select(&kept)?.0)
}

/// Most findings that are said.
const SHOWN: usize = 12;

/// Says what stands out in the data.
fn tell(path: &Path, findings: &[String]) {
    let name = path.display();
    findings.iter().take(SHOWN).for_each(|finding| note(&format!("{name}: {finding}")));
    if let Some(more @ 1..) = findings.len().checked_sub(SHOWN) {
        note(&format!("{name}: and {more} more findings, which vae-train inspect lists"));
    }
}

/// Says so where rows that are about to be judged one by one depend on those before them, by what is suggested for all columns.
fn advise_on_window(table: &Table, config: &Config, suggestion: Suggestion) {
    let conditions: HashSet<&String> = config.data.condition.iter().collect();
    let is_channel = |column: &usize| !conditions.contains(&table.columns[*column]);
    let Suggestion { window, hop, reason, .. } = match conditions.is_empty() {
        true => suggestion,
        false => Suggestion::of(table, &(0..table.columns.len()).filter(is_channel).collect::<Vec<_>>()),
    };
    if window > 1 {
        note(&format!(
            "{}: the rows look like a time series ({reason}), and each is judged by itself: --window {window} --hop {hop} would let \
             the model see how they follow each other",
            table.path.display()
        ));
    }
}

/// The burn device of this name.
pub(super) fn device(name: &str) -> Result<Device> {
    match name {
        "flex" => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        "wgpu" => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        "cuda" => Ok(Device::cuda(0)),
        #[cfg(feature = "remote")]
        address if address.starts_with("ws://") => {
            Device::remote_options(&burn::remote::RemoteHost::websocket(address))
                .init()
                .with_context(|| format!("no device at {address}: start one with `vae-train serve`"))
        }
        #[cfg(not(feature = "remote"))]
        address if address.starts_with("ws://") => bail!(
            "this program has no remote devices: build it with `cargo build --release -p vae-train --features remote`"
        ),
        _ => bail!(
            "this program has no device `{name}`: give flex, or build it with `cargo build --release -p vae-train --features {name}` if \
             burn has such a backend (flex, wgpu, cuda)"
        ),
    }
}
