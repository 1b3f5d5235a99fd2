//! `vae-train fit`: train on normal data.

use std::{
    fmt::Write as _,
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail, ensure};
use burn::tensor::Device;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{Context, LABEL, note};
use crate::{
    config::{Config, HiddenActivation, Likelihood, Split},
    dataset::Dataset,
    network::Architecture,
    output::Existing,
    run::{RunDirectory, State},
    table::Table,
    training::{Checkpoint, Ending, Training},
};

/// Train a model on the normal rows of a CSV file and keep everything in a run directory.
///
/// Example: vae-train fit data.csv --label label --out runs/a
#[derive(Debug, clap::Args)]
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
    /// Likelihood of the decoder [default: gaussian].
    #[arg(long)]
    likelihood: Option<Likelihood>,
    /// Widths of the encoder's hidden layers, mirrored by the decoder [default: 64,32].
    #[arg(long, value_delimiter = ',')]
    hidden: Option<Vec<usize>>,
    /// Latent dimensions [default: half the features and one more, at most 8].
    #[arg(long)]
    latent: Option<usize>,
    /// Activation of the hidden layers [default: silu].
    #[arg(long)]
    activation: Option<HiddenActivation>,
    /// Most passes over the training data [default: 300].
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
    /// Epochs without improvement before training stops [default: 30].
    #[arg(long)]
    patience: Option<usize>,
    /// Where to train: flex (CPU), or another of burn's backends that this program was built with.
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
    run: PathBuf,
    pub(super) epochs: usize,
    pub(super) best_epoch: usize,
    /// In nats per window, standardised units.
    pub(super) validation_elbo: f64,
    training_windows: usize,
    held_out_windows: usize,
    features: usize,
    pub(super) latent: usize,
    dropped_columns: Vec<String>,
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
        let mut text = format!(
            "best epoch {} of {}: validation ELBO {:.4} nats per window (standardised)\n",
            fitted.best_epoch, fitted.epochs, fitted.validation_elbo
        );
        write!(text, "next: vae-train export {} --out model.vae", self.out.display())?;
        context.print(&fitted, &text)
    }

    fn sets_anything(&self, seed: Option<u64>) -> bool {
        self.config.is_some()
            || self.label.is_some()
            || self.window.is_some()
            || self.hop.is_some()
            || self.likelihood.is_some()
            || self.hidden.is_some()
            || self.latent.is_some()
            || self.activation.is_some()
            || self.epochs.is_some()
            || self.batch.is_some()
            || self.learning_rate.is_some()
            || self.validation.is_some()
            || self.split.is_some()
            || self.patience.is_some()
            || seed.is_some()
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
        set(&mut config.likelihood, &self.likelihood);
        set(&mut config.hidden, &self.hidden);
        set(&mut config.latent, &self.latent);
        set(&mut config.activation, &self.activation);
        set(&mut config.epochs, &self.epochs);
        set(&mut config.batch, &self.batch);
        set(&mut config.learning_rate, &self.learning_rate);
        set(&mut config.validation, &self.validation);
        set(&mut config.patience, &self.patience);
        config.label = self.label.clone().or(config.label);
        config.split = self.split.or(config.split);
        Ok(config)
    }
}

/// Fits a model to a CSV file; the run directory is written once the data have proved usable.
pub(super) fn fit(data: &Path, out: &Path, mut config: Config, device: &Device, existing: Existing) -> Result<Fitted> {
    config.check()?;
    let directory = RunDirectory::create(out, existing)?;
    let mut table = Table::read_csv(data, config.label.as_deref())?;
    if config.label.is_none() && table.columns.iter().any(|column| column == LABEL) {
        note(&format!("{}: column `{LABEL}` is taken as the label and not trained on", data.display()));
        config.label = Some(LABEL.to_owned());
        table = Table::read_csv(data, config.label.as_deref())?;
    }
    let dataset = Dataset::prepare(&table, &config)?;
    let architecture = Architecture::new(&config, dataset.features());
    dataset.notes.iter().for_each(|message| note(message));
    directory.write_inputs(&config, &dataset.schema, &dataset.holdout)?;
    train(&directory, out, &config, &architecture, &dataset, device, None)
}

fn resume(data: &Path, out: &Path, device: &Device) -> Result<Fitted> {
    let (directory, State { config, architecture, schema, checkpoint, .. }) = RunDirectory::open(out)?;
    if checkpoint.done {
        note(&format!("the run in {} is complete: nothing to do", out.display()));
    }
    let dataset = Dataset::prepare(&Table::read_csv(data, config.label.as_deref())?, &config)?;
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
    let features = architecture.features;
    let standardiser = &dataset.schema.standardiser;
    let validation: Vec<f32> = dataset.holdout.chunks_exact(features).flat_map(|x| standardiser.apply(x)).collect();
    let training = Training::new(config, architecture, &dataset.train, &validation, device, checkpoint)?;
    let bar = progress_bar(config.epochs)?;
    let (checkpoint, ending) = training.run(
        interrupted(),
        |metrics, checkpoint| {
            bar.set_position(metrics.epoch as u64);
            bar.set_message(format!(
                "ELBO {:.3}  KL {:.3}  validation {:.3} (best {:.3} in epoch {})",
                metrics.elbo,
                metrics.kl,
                metrics.validation_elbo,
                checkpoint.best_elbo(),
                checkpoint.best_epoch
            ));
        },
        |checkpoint| directory.save(config, architecture, &dataset.schema, checkpoint),
    )?;
    bar.finish_and_clear();
    if ending == Ending::Interrupted {
        let epochs = checkpoint.metrics.len();
        if epochs == 0 {
            bail!("interrupted in the first epoch: nothing to resume");
        }
        bail!("interrupted after epoch {epochs}; go on with: vae-train fit DATA --out {} --resume", out.display());
    }
    Ok(Fitted {
        run: out.to_owned(),
        epochs: checkpoint.metrics.len(),
        best_epoch: checkpoint.best_epoch,
        validation_elbo: checkpoint.best_elbo(),
        training_windows: dataset.train.len() / features,
        held_out_windows: dataset.holdout.len() / features,
        features,
        latent: architecture.latent,
        dropped_columns: dataset.schema.dropped.clone(),
    })
}

/// Shown on a terminal, silent in a pipe.
fn progress_bar(epochs: usize) -> Result<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = ProgressStyle::with_template("epoch {pos}/{len} {wide_bar} {eta} left\n{msg}")
        .context("the progress bar's template is wrong")?;
    Ok(ProgressBar::new(epochs as u64).with_style(style))
}

/// Set by Ctrl-C.
fn interrupted() -> &'static AtomicBool {
    static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let set = flag.clone();
        if let Err(error) = ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)) {
            note(&format!("Ctrl-C will end the program at once ({error}); checkpoints are kept all the same"));
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
        _ => bail!(
            "no device `{name}` in this program: build it with `cargo build --release -p vae-train --features {name}` if burn has \
             such a backend (flex, wgpu, cuda)"
        ),
    }
}
