//! `vae-train fit`: train on normal data.

use std::{
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
        table::{columns_to_leave_out, open_table},
    },
    config::Config,
    inspection::{Inspection, autocorrelation::Suggestion, findings::of_clock},
    run::{
        directory::RunDirectory,
        fit::{self, Fitted},
        lock::Access,
        search::{Search, fit_best},
        standing_out::{Rows, StandingOut},
    },
    tables::{
        reading::names_meant,
        recording::{Label, Recording},
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
  vae-train fit recording.csv --auto --core cortex-m0 --clock 48MHz --load 10% --flash 16KiB --ram 2KiB --rate 200 --out runs/d
  vae-train fit day1.csv day2.csv --out runs/c
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
            let recording =
                open_table(&self.data, state.plan.config.data.label.as_deref().into(), &state.plan.config.reading)
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
    let more = if best_epoch == epochs { " (the last was the best: more --epochs may help)" } else { "" };
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
    let unused = if fitted.active_units < fitted.latent && fitted.active_units > 0 {
        format!(": --latent {} would do", fitted.active_units)
    } else {
        String::new()
    };
    lines.push(format!("{} of {} latent dimensions in use{unused}", fitted.active_units, fitted.latent));
    if !divergences.is_empty() {
        let rate = fitted.learning_rate;
        lines.push(format!(
            "training diverged {} time(s), and the learning rate was lowered to {rate:.3e}",
            divergences.len()
        ));
    }
    lines.extend(standing_out(fitted));
    let run = quoted(fitted.run.display());
    // That column is found without being named.
    let label = match fitted.label.as_deref() {
        None | Some(LABEL) => String::new(),
        Some(label) => format!(" --label {}", quoted(label)),
    };
    lines.push(format!("next: vae-train calibrate {run} --normal HOLDOUT.csv{label} --alarms 1/week"));
    lines.push("      (normal data that were not trained on, in the order of time)".to_owned());
    lines.push(format!("then: vae-train export {run} --out model.vae"));
    lines.join("\n")
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
    RunDirectory::check(out, existing)?;
    let recording = open_table(data, Label::of(config.data.label.as_deref(), &[""; 0]), &config.reading)?;
    config.data.label.clone_from(&recording.label);
    for names in [&mut config.data.condition, &mut config.data.ignore] {
        *names = names_meant(names, &recording.names);
    }
    let of_clock = recording.clocks.first().map(of_clock).unwrap_or_default();
    let rate = auto.map_or(Ok(None), |auto| auto.rate(&recording, &recording.table.path))?;
    let table = training_table(recording, &config)?;
    // What inspect would say, before time is spent on it.
    let inspection = Inspection::of(&table);
    tell(&table.path, &of_clock.into_iter().chain(inspection.findings_for_fit()).collect::<Vec<_>>());
    let listener = &mut progress::Fitting::default();
    if let Some(auto) = auto {
        let (search, fitted) = fit_best(table, &config, (&auto.budget(), rate), out, existing, device, listener)?;
        return Ok((Some(search), fitted));
    }
    if config.data.window == 1 {
        advise_on_window(&table, &config, inspection.suggestion);
    }
    Ok((None, fit::fit(table, config, out, existing, device, listener)?))
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
