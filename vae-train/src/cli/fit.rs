//! `vae-train fit`: train on normal data.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

#[cfg(feature = "remote")]
use anyhow::Context as _;
use anyhow::{Result, bail, ensure};
use burn::tensor::Device;
use serde::Serialize;

use super::progress;
use crate::{
    cli::context::{Context, clocks_to_leave_out, find_label, note},
    config::{Binarise, Config, Split},
    data::{
        dataset::{Dataset, MOST_HELD_OUT},
        part::Part,
    },
    inspection::autocorrelation::Suggestion,
    model::{
        network::Architecture,
        objective::{Bound, Estimator},
    },
    run::{Access, RunDirectory, State},
    statistics::density::Independent,
    tables::table::{LABEL, Table},
    training::{
        Checkpoint, Divergence, Ending, LARGEST_EPOCH, Training,
        extras::{Extras, active_units},
    },
    weights::family::{HiddenActivation, Likelihood, Posterior},
    words::{
        messages::{list, quoted},
        output::Existing,
    },
};

/// Train a model on the normal rows of a CSV file and keep everything in a run directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train fit train.csv --label label --out runs/a
  vae-train fit recording.csv --window 256 --front-end bands:16 --out runs/b
  vae-train fit recording.csv --out runs/b --resume")]
pub(super) struct Fit {
    /// CSV file: a header, then rows of features, or (with --window) the samples of a stream in order of time.
    data: PathBuf,
    /// Run directory.
    #[arg(long)]
    out: PathBuf,
    /// TOML file with any of these settings; options given here take precedence.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Column that says 0 normal / 1 anomaly; rows labelled 1 are not trained on [default: `label`, if there is one].
    #[arg(long)]
    label: Option<String>,
    /// Samples in a window [default: 1, a table of independent rows].
    #[arg(long)]
    window: Option<usize>,
    /// Samples between the starts of successive windows [default: half a window].
    #[arg(long)]
    hop: Option<usize>,
    /// What the model sees of the samples in a window: raw, mean, statistics (mean, RMS, peak, crest factor, kurtosis, zero crossings) or
    /// bands:N (energies of N bands of frequencies); of one channel as channel=statistics. May be repeated [default: raw].
    #[arg(long, value_delimiter = ',')]
    front_end: Option<Vec<String>>,
    /// Columns that the model is conditional on: given, not modelled; likewise.
    #[arg(long)]
    condition: Option<Vec<String>>,
    /// Columns to leave out: names, states, other labels; several with commas between them, or the option repeated. Columns of times are
    /// left out by themselves.
    #[arg(long)]
    ignore: Option<Vec<String>>,
    /// Likelihood of the decoder [default: gaussian].
    #[arg(long)]
    likelihood: Option<Likelihood>,
    /// Turn grey values into zeros and ones, for a Bernoulli likelihood.
    #[arg(long)]
    binarise: Option<Binarise>,
    /// Family of the posterior [default: diagonal].
    #[arg(long)]
    posterior: Option<Posterior>,
    /// Bound that is maximised [default: elbo].
    #[arg(long)]
    objective: Option<Bound>,
    /// Samples per window and step: L of the ELBO, K of the importance-weighted bound [default: 1].
    #[arg(long)]
    samples: Option<usize>,
    /// How the gradient passes the sampling [default: reparameterised; score-function for Bernoulli latents].
    #[arg(long)]
    estimator: Option<Estimator>,
    /// Components of the prior, a mixture of Gaussians learned with the network; 0 for N(0, I) [default: 16].
    #[arg(long)]
    prior: Option<usize>,
    /// Noise added to what the encoder sees in training, in standard deviations of each feature [default: 0.3 and
    /// more for few windows of many features; 0 for none].
    #[arg(long)]
    input_noise: Option<f32>,
    /// How far levels may wander before that is an anomaly, in differences between neighbouring eighths of the data, for
    /// rows in order of time [default: 0].
    #[arg(long)]
    drift: Option<f32>,
    /// Weight of the KL [default: 1].
    #[arg(long)]
    beta: Option<f32>,
    /// Nats of KL per latent dimension that cost nothing [default: 0].
    #[arg(long)]
    free_bits: Option<f32>,
    /// Epochs over which the KL's weight rises [default: 0].
    #[arg(long)]
    warm_up: Option<usize>,
    /// Components of the aggregated posterior's mixture to store, to generate from [default: 0].
    #[arg(long)]
    mixture: Option<usize>,
    /// Train a second stage on the latent vectors, to generate from.
    #[arg(long)]
    second_stage: bool,
    /// Widths of the encoder's hidden layers, mirrored by the decoder [default: 128,64, or fewer for a model of 64 KiB].
    #[arg(long, value_delimiter = ',')]
    hidden: Option<Vec<usize>>,
    /// Latent dimensions [default: half the features and one more, at most 8].
    #[arg(long)]
    latent: Option<usize>,
    /// Activation of the hidden layers [default: silu].
    #[arg(long)]
    activation: Option<HiddenActivation>,
    /// Most passes over the training data [default: 300, more for small tables, fewer for large ones].
    #[arg(long)]
    epochs: Option<usize>,
    /// Windows in a batch [default: 64].
    #[arg(long)]
    batch: Option<usize>,
    /// Adam's step size [default: 0.001].
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Fraction of the normal windows held out for validation and calibration [default: 0.2].
    #[arg(long)]
    validation: Option<f64>,
    /// How the held-out windows are chosen [default: time for windows, seeded for rows].
    #[arg(long)]
    split: Option<Split>,
    /// Epochs without improvement before training stops [default: a tenth of the epochs, at least 30].
    #[arg(long)]
    patience: Option<usize>,
    /// Epochs of quantisation-aware fine-tuning that follow: the weights learn to be rounded to int8 [default: 0].
    #[arg(long)]
    quantisation_aware: Option<usize>,
    /// Where to train: flex (CPU), another of burn's backends that this program was built with, or the ws:// address that
    /// `vae-train serve` says (both in a program that was built with --features remote).
    #[arg(long, default_value = "flex")]
    device: String,
    /// Go on with the run in --out, with the configuration that it was started with.
    #[arg(long)]
    resume: bool,
    /// Replace the run in --out.
    #[arg(long, conflicts_with = "resume")]
    force: bool,
}

/// What a fit came to.
#[derive(Debug, Serialize)]
pub(super) struct Fitted {
    /// Of the program.
    version: &'static str,
    run: PathBuf,
    file: PathBuf,
    /// CRC-32 of the training table and its number of rows.
    data: String,
    pub(super) epochs: usize,
    pub(super) best_epoch: usize,
    /// In nats per window, standardised units.
    pub(super) validation_elbo: f64,
    /// Likewise, of the training windows in the best epoch, while the weights changed.
    training_elbo: f64,
    /// Mean log-density of the held-out windows under independent features, fitted to the training windows.
    baseline: f64,
    training_windows: usize,
    held_out_windows: usize,
    features: usize,
    pub(super) latent: usize,
    /// Latent dimensions whose posterior mean varies over the training windows (of very many, the first).
    active_units: usize,
    batch: usize,
    /// Adam's step size in the last epoch: half of what was asked for, after each divergence.
    learning_rate: f64,
    divergences: Vec<Divergence>,
    dropped_columns: Vec<String>,
    label: Option<String>,
    /// Least and largest value of each channel in the normal rows.
    ranges: Vec<(f64, f64)>,
    /// What was said of the data: rows and columns left out.
    notes: Vec<String>,
}

impl Fit {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let device = device(&self.device)?;
        let fitted = if self.resume {
            ensure!(
                !self.sets_anything(context.seed),
                "--resume takes the configuration of the run: give no other settings with it"
            );
            resume(&self.data, &self.out, &device)?
        } else {
            let config = self.configuration(context.seed)?;
            fit(&self.data, &self.out, config, &device, Existing::from_force(self.force))?
        };
        context.print(&fitted, &self.summary(&fitted))
    }

    fn summary(&self, fitted: &Fitted) -> String {
        let Fitted { epochs, best_epoch, divergences, validation_elbo, baseline, training_elbo, .. } = fitted;
        let more = if best_epoch == epochs { " (the last was the best: more --epochs may help)" } else { "" };
        let mut lines = vec![format!(
            "best epoch {best_epoch} of {epochs}{more}: validation ELBO {validation_elbo:.4} nats per window (standardised)"
        )];
        let gain = validation_elbo - baseline;
        lines.push(if gain > 0.0 {
            format!("  {gain:.3} nats above independent features ({baseline:.3}): what was learnt of how they depend on each other")
        } else {
            format!(
                "  {:.3} nats below independent features ({baseline:.3}): nothing was learnt of how they depend on each other; give more data, \
                 a --window for a series, or more --epochs",
                -gain
            )
        });
        let gap = training_elbo - validation_elbo;
        let judgement = if gap > OVER_FITTED * gain.abs().max(1.0) {
            ": over-fitted, or they are of another kind; more data help, or fewer --hidden, or more --input-noise"
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
            lines.push(format!("diverged {} time(s), which took the learning rate to {rate:.3e}", divergences.len()));
        }
        let run = quoted(self.out.display());
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

    fn sets_anything(&self, seed: Option<u64>) -> bool {
        self.config.is_some()
            || self.label.is_some()
            || self.window.is_some()
            || self.hop.is_some()
            || self.front_end.is_some()
            || self.likelihood.is_some()
            || self.condition.is_some()
            || self.ignore.is_some()
            || self.binarise.is_some()
            || self.posterior.is_some()
            || self.objective.is_some()
            || self.samples.is_some()
            || self.estimator.is_some()
            || self.prior.is_some()
            || self.input_noise.is_some()
            || self.drift.is_some()
            || self.beta.is_some()
            || self.free_bits.is_some()
            || self.warm_up.is_some()
            || self.mixture.is_some()
            || self.second_stage
            || self.hidden.is_some()
            || self.latent.is_some()
            || self.activation.is_some()
            || self.epochs.is_some()
            || self.batch.is_some()
            || self.learning_rate.is_some()
            || self.validation.is_some()
            || self.split.is_some()
            || self.patience.is_some()
            || self.quantisation_aware.is_some()
            || seed.is_some()
    }

    /// The columns that are meant by names with commas between them; a column's own name may have some.
    fn columns(&self, given: Option<&[String]>) -> Result<Option<Vec<String>>> {
        let Some(given) = given else { return Ok(None) };
        let columns = Table::names(&self.data, self.label.as_deref())?;
        let parts = |names: &String| match columns.contains(names) {
            true => vec![names.clone()],
            false => names.split(',').map(str::to_owned).collect(),
        };
        Ok(Some(given.iter().flat_map(parts).collect()))
    }

    fn configuration(&self, seed: Option<u64>) -> Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        fn set<T: Clone>(slot: &mut T, value: &Option<T>) {
            if let Some(value) = value {
                slot.clone_from(value);
            }
        }
        set(&mut config.seed, &seed);
        set(&mut config.window, &self.window);
        if self.window.is_some() {
            config.hop = (config.window / 2).max(1);
        }
        set(&mut config.hop, &self.hop);
        set(&mut config.front_end, &self.front_end);
        set(&mut config.condition, &self.columns(self.condition.as_deref())?);
        set(&mut config.ignore, &self.columns(self.ignore.as_deref())?);
        set(&mut config.likelihood, &self.likelihood);
        set(&mut config.posterior, &self.posterior);
        set(&mut config.objective, &self.objective);
        set(&mut config.drift, &self.drift);
        set(&mut config.beta, &self.beta);
        set(&mut config.free_bits, &self.free_bits);
        set(&mut config.warm_up, &self.warm_up);
        set(&mut config.mixture, &self.mixture);
        config.second_stage |= self.second_stage;
        config.binarise = self.binarise.or(config.binarise);
        config.samples = self.samples.or(config.samples);
        config.estimator = self.estimator.or(config.estimator);
        config.prior = self.prior.or(config.prior);
        config.input_noise = self.input_noise.or(config.input_noise);
        for (name, given) in [("epochs", self.epochs), ("patience", self.patience), ("latent", self.latent)] {
            ensure!(given != Some(0), "{name} is 0: give at least 1, or leave it out");
        }
        config.hidden = self.hidden.clone().or(config.hidden);
        set(&mut config.latent, &self.latent);
        set(&mut config.activation, &self.activation);
        set(&mut config.epochs, &self.epochs);
        set(&mut config.batch, &self.batch);
        set(&mut config.learning_rate, &self.learning_rate);
        set(&mut config.validation, &self.validation);
        set(&mut config.patience, &self.patience);
        set(&mut config.quantisation_aware, &self.quantisation_aware);
        config.label = self.label.clone().or(config.label);
        config.split = self.split.or(config.split);
        Ok(config)
    }
}

/// Training windows that score higher than held-out ones by this share of what was learnt have been learnt by heart.
const OVER_FITTED: f64 = 0.25;

/// Steps in an epoch of a table that has fewer windows than a batch.
const STEPS_OF_A_SMALL_TABLE: usize = 4;

/// Fits a model to a CSV file; the run directory is written once the first epoch is done.
pub(super) fn fit(data: &Path, out: &Path, mut config: Config, device: &Device, existing: Existing) -> Result<Fitted> {
    config.check()?;
    RunDirectory::check(out, existing)?;
    config.label = find_label(config.label.as_deref(), data, &[])?.map(str::to_owned);
    let table = training_table(data, &config)?;
    if config.window == 1 {
        advise_on_window(&table, &config);
    }
    let dataset = Dataset::prepare(table, &config)?;
    let windows = dataset.train().chosen.len();
    if windows < config.batch {
        let batch = (windows / STEPS_OF_A_SMALL_TABLE).max(1);
        note(&format!(
            "{windows} training window(s) are less than a batch of {}: it is lowered to {batch}; give more data if there are any",
            config.batch
        ));
        config.batch = batch;
    }
    ensure!(
        config.mixture <= windows,
        "a mixture of {} components for {windows} training windows: give fewer in --mixture, or more data",
        config.mixture
    );
    if windows > LARGEST_EPOCH {
        note(&format!("an epoch is a random {LARGEST_EPOCH} of the {windows} training windows"));
    }
    config.settle(dataset.features(), windows.min(LARGEST_EPOCH));
    let mut architecture = config.architecture(dataset.features());
    if config.variance_floor.is_none() {
        architecture.variance_floors = dataset.variance_floors();
    }
    dataset.notes.iter().for_each(|message| note(message));
    let directory = RunDirectory::create(out, existing)?;
    train(&directory, out, &config, &architecture, &dataset, device, None)
}

/// The columns to train on: without those to be ignored, and without clocks.
pub(super) fn training_table(data: &Path, config: &Config) -> Result<Table> {
    let (table, found) = Table::read_leniently(data, config.label.as_deref(), progress::reading(data))?;
    let columns: HashSet<&String> = table.columns.iter().collect();
    if let Some(unknown) = config.ignore.iter().find(|name| !columns.contains(name)) {
        bail!("{} has no column `{unknown}` to ignore: its columns are {}", data.display(), list(&table.columns));
    }
    let clocks = clocks_to_leave_out(data, config.label.as_deref(), &config.condition, &config.ignore)?;
    let left_out: HashSet<&String> = clocks.iter().chain(&config.ignore).collect();
    let is_kept = |name: &&String| !left_out.contains(name);
    let kept: Vec<String> = table.columns.iter().filter(is_kept).cloned().collect();
    ensure!(!kept.is_empty(), "{}: no column of measured values beside {}", data.display(), list(&table.columns));
    Ok(table.select_numbers(found, &kept)?.0)
}

/// Says so where rows that are about to be judged one by one depend on those before them.
fn advise_on_window(table: &Table, config: &Config) {
    let conditions: HashSet<&String> = config.condition.iter().collect();
    let is_channel = |column: &usize| !conditions.contains(&table.columns[*column]);
    let Suggestion { window, hop, reason, .. } =
        Suggestion::of(table, &(0..table.columns.len()).filter(is_channel).collect::<Vec<_>>());
    if window > 1 {
        note(&format!(
            "{}: the rows look like a time series ({reason}), and each is judged by itself: --window {window} --hop {hop} would let \
             the model see how they follow each other",
            table.path.display()
        ));
    }
}

fn resume(data: &Path, out: &Path, device: &Device) -> Result<Fitted> {
    let (directory, State { config, architecture, schema, checkpoint, .. }) = RunDirectory::open(out, Access::Write)?;
    if checkpoint.done {
        note(&format!("the run in {} is complete: nothing to do", out.display()));
    }
    let dataset = Dataset::prepare(training_table(data, &config)?, &config)?;
    ensure!(
        dataset.schema == schema,
        "{} is not what the run in {} was started with ({} where the run has {}): give the same file, or start anew with --force",
        data.display(),
        out.display(),
        dataset.schema.data,
        schema.data
    );
    train(&directory, out, &config, &architecture, &dataset, device, Some(checkpoint))
}

fn train(
    directory: &RunDirectory,
    out: &Path,
    config: &Config,
    architecture: &Architecture,
    dataset: &Dataset,
    device: &Device,
    checkpoint: Option<Checkpoint>,
) -> Result<Fitted> {
    let inputs = architecture.inputs();
    let validation: Vec<f32> =
        dataset.holdout.chunks_exact(inputs).flat_map(|inputs| dataset.schema.standardise(inputs)).collect();
    let held: Vec<usize> = (0..dataset.holdout_rows.len()).collect();
    let validation = Part { values: &validation, chosen: &held, last_row: &dataset.holdout_rows };
    let mut started = checkpoint.is_some();
    let training = Training::new(config, architecture, dataset.train(), validation, device, checkpoint)?;
    let mut progress = progress::Fitting::new(config.epochs + config.quantisation_aware);
    let result = training.run(
        interrupted(),
        |step| progress.show(step),
        |checkpoint| {
            // A run that is replaced stays whole until the new one has something to put in its place.
            if !started {
                directory.begin(config, architecture, &dataset.schema, &dataset.holdout, checkpoint)?;
                started = true;
                return Ok(());
            }
            directory.save(config, architecture, &dataset.schema, checkpoint)
        },
    );
    progress.finish();
    let (checkpoint, ending) = result?;
    let stopped = |when: &str| {
        format!(
            "interrupted {when}; go on with: vae-train fit DATA --out {0} --resume, or export what there is: vae-train export \
             {0} --out model.vae",
            quoted(out.display())
        )
    };
    if ending == Ending::Interrupted {
        let epochs = checkpoint.metrics.len();
        ensure!(epochs > 0, "interrupted in the first epoch: nothing to resume");
        bail!(stopped(&format!("after epoch {epochs}")));
    }
    // A complete run that is resumed keeps what it has, its attributes too.
    if !directory.extras()?.fulfil(config) {
        match Extras::learn(config, architecture, &checkpoint, dataset.train(), device, interrupted())? {
            Some(extras) => directory.save_extras(&extras)?,
            None => bail!(stopped("in the second stage")),
        }
    }
    // On training windows: the held-out ones of a small table are too few to have a variance.
    let mut some = dataset.train();
    some.chosen = &some.chosen[..some.chosen.len().min(MOST_HELD_OUT)];
    let active_units = active_units(architecture, &checkpoint, some, device)?;
    if active_units == 0 {
        note(
            "the posterior collapsed: no latent dimension is in use, the same distribution is decoded for every window. Try \
             --warm-up 20, --free-bits 0.1, a lower --beta or --learning-rate, or in the configuration file a smaller \
             variance_floor or variance; columns that are independent of each other leave nothing for the latents to tell",
        );
    }
    let best = checkpoint.metrics.get(checkpoint.best_epoch.saturating_sub(1));
    let fitted = Fitted {
        version: env!("CARGO_PKG_VERSION"),
        run: out.to_owned(),
        file: dataset.path.clone(),
        data: dataset.schema.data.clone(),
        epochs: checkpoint.metrics.len(),
        best_epoch: checkpoint.best_epoch,
        validation_elbo: checkpoint.best_elbo(),
        training_elbo: best.map_or(f64::NAN, |metrics| metrics.reconstruction - metrics.kl),
        baseline: baseline(config, architecture, some, validation),
        training_windows: dataset.train().chosen.len(),
        held_out_windows: held.len(),
        features: architecture.features,
        latent: architecture.latent,
        active_units,
        batch: config.batch,
        learning_rate: checkpoint.learning_rate(config),
        divergences: checkpoint.divergences,
        dropped_columns: dataset.schema.dropped.clone(),
        label: config.label.clone(),
        ranges: dataset.ranges.clone(),
        notes: dataset.notes.clone(),
    };
    directory.save_summary(&fitted)?;
    Ok(fitted)
}

/// Mean log-density of the held-out windows, in nats of standardised units, by what the training windows' features are each by themselves.
fn baseline(config: &Config, architecture: &Architecture, train: Part<'_>, held_out: Part<'_>) -> f64 {
    let (inputs, features) = (architecture.inputs(), architecture.features);
    let chosen = train.chosen.iter().map(|index| &train.values[index * inputs..][..features]);
    let floors = (config.likelihood != Likelihood::Bernoulli).then_some(&architecture.variance_floors[..]);
    let fitted = Independent::fit(chosen, features, floors);
    let nats = |index: &usize| fitted.log_density(&held_out.values[index * inputs..][..features]);
    held_out.chosen.iter().map(nats).sum::<f64>() / held_out.chosen.len() as f64
}

/// Set by Ctrl-C.
pub(super) fn interrupted() -> &'static AtomicBool {
    static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let set = flag.clone();
        if let Err(error) = ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)) {
            note(&format!("Ctrl-C will end the program at once ({error}); what is written is kept all the same"));
        }
        flag
    });
    &INTERRUPTED
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
            "no device `{name}` in this program: build it with `cargo build --release -p vae-train --features {name}` if burn has \
             such a backend (flex, wgpu, cuda)"
        ),
    }
}
