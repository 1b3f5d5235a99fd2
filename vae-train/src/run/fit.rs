//! A fit, from a table to a run directory.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use burn::tensor::Device;
use serde::Serialize;

use crate::{
    config::{Config, model::Purpose},
    data::{dataset::Dataset, held_out::MOST_HELD_OUT, part::Part, spooled_table::SpooledTable, supply::Supply},
    model::architecture::Architecture,
    run::{
        collapse::{self, Unused},
        directory::{Plan, RunDirectory, State},
        export::fitted,
        relations, second_stage,
        simpler::Simpler,
        standing_out::{StandingOut, leave_out, trimmed},
    },
    statistics::density::Independent,
    tables::table::Table,
    training::{
        Ending, LARGEST_EPOCH, Training,
        aggregate::active_units,
        checkpoint::Checkpoint,
        devices::{Devices, Lost},
        divergence::Divergence,
        extras::{Extras, SecondStageJudgement},
        listener::Listener,
    },
    weights::family::Likelihood,
    words::{messages::quoted, output::Existing},
};

/// Steps in an epoch of a table that has fewer windows than a batch.
const STEPS_OF_A_SMALL_TABLE: usize = 4;

/// What a fit came to.
#[derive(Debug, Serialize)]
pub struct Fitted {
    /// Of the program.
    pub version: &'static str,
    /// The run directory.
    pub run: PathBuf,
    /// What the model is for.
    pub purpose: Purpose,
    /// Where the training table is from.
    pub file: PathBuf,
    /// CRC-32 of the training table and its number of rows.
    pub data: String,
    /// Epochs that were trained.
    pub epochs: usize,
    /// The one with the best validation ELBO, whose weights are exported; counted from 1.
    pub best_epoch: usize,
    /// Of the held-out windows after the best epoch, in nats per window of standardised units.
    pub validation_elbo: f64,
    /// Of the training windows in the best epoch, while the weights changed, in nats per window of standardised units.
    pub training_elbo: f64,
    /// Mean log-density of the held-out windows under independent features, fitted to the training windows.
    pub baseline: f64,
    /// Windows that are trained on.
    pub training_windows: usize,
    /// Windows that are held out.
    pub held_out_windows: usize,
    /// Values in a window.
    pub features: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// Latent dimensions whose posterior mean varies over the training windows (of very many, the first).
    pub active_units: usize,
    /// Whether the others are superfluous or have collapsed; none where all are in use.
    pub unused: Option<Unused>,
    /// Windows in a batch.
    pub batch: usize,
    /// Adam's step size, of the first epoch where it falls: half of what was asked for, after each divergence.
    pub learning_rate: f64,
    /// What went wrong and was taken back.
    pub divergences: Vec<Divergence>,
    /// Columns without values.
    pub dropped_columns: Vec<String>,
    /// The column of labels.
    pub label: Option<String>,
    /// Least and largest value of each channel in the normal rows.
    pub ranges: Vec<(f64, f64)>,
    /// What was said of the data: rows and columns left out.
    pub notes: Vec<String>,
    /// What was left out as it stands out of the rest, where the configuration asks for that.
    pub trimmed: StandingOut,
    /// What stands out of the rest and was trained on or held out.
    pub standing_out: StandingOut,
    /// What became of the second stage; none where none was asked for.
    pub second_stage: Option<SecondStageJudgement>,
    /// Whether something simpler would find anomalies as well; none where that cannot be told.
    pub simpler: Option<Simpler>,
}

/// Fits a model to the normal rows of a table, all of whose columns are used; the run directory `out` is written once the first epoch is
/// done.
///
/// # Errors
/// If the configuration contradicts itself, the table or the devices, the directory may not be written, training diverges, the last device is
/// lost, or the listener stops it.
pub fn fit(
    table: Table,
    config: Config,
    out: &Path,
    existing: Existing,
    devices: impl Into<Devices>,
    listener: &mut dyn Listener,
) -> Result<Fitted> {
    let devices = devices.into();
    config.check()?;
    devices.check(&config.objective())?;
    RunDirectory::check(out, existing)?;
    let Some((dataset, trimmed)) = trimmed(table, &config, devices.main(), listener)? else {
        bail!("interrupted before the first epoch: nothing to resume");
    };
    begin(dataset, trimmed, config, out, existing, &devices, listener)
}

/// [`fit`] of a table of any size, as [`Dataset::prepare_in_blocks`] has it.
///
/// # Errors
/// As [`fit`]; if the configuration asks for what is done in memory only.
pub fn fit_in_blocks(
    table: SpooledTable,
    config: Config,
    out: &Path,
    existing: Existing,
    devices: &Devices,
    listener: &mut dyn Listener,
) -> Result<Fitted> {
    config.check()?;
    devices.check(&config.objective())?;
    RunDirectory::check(out, existing)?;
    let dataset = Dataset::prepare_in_blocks(table, &config)?;
    begin(dataset, StandingOut::default(), config, out, existing, devices, listener)
}

fn begin(
    dataset: Dataset,
    trimmed: StandingOut,
    mut config: Config,
    out: &Path,
    existing: Existing,
    devices: &Devices,
    listener: &mut dyn Listener,
) -> Result<Fitted> {
    suit(&mut config, &dataset, listener)?;
    let mut architecture = dataset.architecture(&config);
    if config.model.variance_floor.is_none() {
        architecture.variance_floors = dataset.variance_floors();
    }
    dataset.notes.iter().for_each(|message| listener.note(message));
    let directory = RunDirectory::create(out, existing)?;
    let in_blocks = matches!(dataset.supply(), Supply::Blocks(_));
    let plan = Plan { config, architecture, schema: dataset.schema.clone(), trimmed, in_blocks };
    train(&directory, &plan, &dataset, None, devices, listener)
}

/// Goes on with a run, on the table that it was started with.
///
/// # Errors
/// If it is another table, training diverges, the last device is lost, or the listener stops it.
pub fn resume(
    directory: &RunDirectory,
    state: State,
    mut table: Table,
    devices: impl Into<Devices>,
    listener: &mut dyn Listener,
) -> Result<Fitted> {
    leave_out(&mut table, &state.plan.trimmed.rows);
    let dataset = Dataset::prepare(table, &state.plan.config)?;
    restart(directory, state, &dataset, &devices.into(), listener)
}

/// [`resume`] of a run whose [`Plan::in_blocks`] is so.
///
/// # Errors
/// As [`resume`].
pub fn resume_in_blocks(
    directory: &RunDirectory,
    state: State,
    table: SpooledTable,
    devices: &Devices,
    listener: &mut dyn Listener,
) -> Result<Fitted> {
    let dataset = Dataset::prepare_in_blocks(table, &state.plan.config)?;
    restart(directory, state, &dataset, devices, listener)
}

fn restart(
    directory: &RunDirectory,
    state: State,
    dataset: &Dataset,
    devices: &Devices,
    listener: &mut dyn Listener,
) -> Result<Fitted> {
    let State { plan, checkpoint } = state;
    let out = directory.path().display();
    if checkpoint.done {
        listener.note(&format!("the run in {out} is complete: nothing to do"));
    }
    ensure!(
        dataset.schema == plan.schema,
        "{} is not what the run in {out} was started with ({} where the run has {}): give the same file, or start anew with --force",
        dataset.path.display(),
        dataset.schema.data,
        plan.schema.data
    );
    train(directory, &plan, dataset, Some(checkpoint), devices, listener)
}

/// Makes the settings suit the data: a smaller batch for few windows, and what is left to choose.
fn suit(config: &mut Config, dataset: &Dataset, listener: &mut dyn Listener) -> Result<()> {
    let windows = dataset.supply().windows();
    let asked = config.training.batch;
    if windows < asked {
        let batch = (windows / STEPS_OF_A_SMALL_TABLE).max(1);
        listener.note(&format!(
            "{windows} training window(s) are less than a batch of {asked}: it is lowered to {batch}; give more data if there are any"
        ));
        config.training.batch = batch;
    }
    let components = config.model.mixture;
    ensure!(
        components <= windows,
        "a mixture of {components} components for {windows} training windows: give fewer in --mixture, or more data"
    );
    if windows > LARGEST_EPOCH {
        listener.note(&format!("an epoch is a random {LARGEST_EPOCH} of the {windows} training windows"));
    }
    config.settle(dataset.features(), windows.min(LARGEST_EPOCH));
    Ok(())
}

fn train(
    directory: &RunDirectory,
    plan: &Plan,
    dataset: &Dataset,
    checkpoint: Option<Checkpoint>,
    devices: &Devices,
    listener: &mut dyn Listener,
) -> Result<Fitted> {
    let device = devices.main();
    let Plan { config, architecture, .. } = plan;
    let inputs = architecture.inputs();
    let values: Vec<f32> =
        dataset.holdout.chunks_exact(inputs).flat_map(|inputs| dataset.schema.standardise(inputs)).collect();
    let chosen: Vec<usize> = (0..dataset.holdout_rows.len()).collect();
    let validation = Part { values: &values, chosen: &chosen, last_row: &dataset.holdout_rows };
    let mut started = checkpoint.is_some();
    let training = Training::new(config, architecture, dataset.supply(), validation, devices, checkpoint)?;
    let trained = training.run(listener, |checkpoint| {
        // A run that is replaced stays whole until the new one has something to put in its place.
        if !std::mem::replace(&mut started, true) {
            return directory.begin(plan, &dataset.holdout, checkpoint);
        }
        directory.save(plan, checkpoint)
    });
    let (checkpoint, ending) = match trained {
        Err(error) if started && error.is::<Lost>() => {
            bail!(go_on(directory, &format!("{error}; what is whole is kept")))
        }
        trained => trained?,
    };
    if ending == Ending::Interrupted {
        let epochs = checkpoint.metrics.len();
        ensure!(epochs > 0, "interrupted in the first epoch: nothing to resume");
        bail!(go_on(directory, &format!("interrupted after epoch {epochs}")));
    }
    // A complete run that is resumed keeps what it has, its attributes too.
    if !directory.extras()?.fulfil(config) {
        match Extras::learn(config, architecture, &checkpoint, dataset.train(), device, listener)? {
            Some((mut extras, explained)) => {
                let weights = checkpoint.best_network(architecture, &Device::flex())?.weights()?;
                extras.relations = Some(relations::learn(config, architecture, weights, dataset.train(), validation)?);
                if let Some(explained) = explained {
                    let state = State { plan: plan.clone(), checkpoint: checkpoint.clone() };
                    let file = fitted(&state, &extras)?;
                    second_stage::judge(&mut extras, explained, &file, &dataset.holdout, listener)?;
                }
                directory.save_extras(&extras)?;
            }
            None => bail!(go_on(directory, "interrupted in the second stage")),
        }
    }
    let mut fitted = summary(directory, plan, dataset, validation, &checkpoint, device)?;
    fitted.second_stage = directory.extras()?.judgement;
    if !config.is_of_densities() {
        // What is left of a trimmed table has been screened.
        if config.data.trim.is_none() {
            fitted.standing_out = StandingOut::find(dataset, config, device, listener)?.unwrap_or_default();
        }
        fitted.simpler = Simpler::of_run(directory, plan, dataset, &checkpoint)?;
    }
    if let (0, Some(unused)) = (fitted.active_units, &fitted.unused) {
        listener.note(&collapsed(unused));
    }
    directory.save_summary(&fitted)?;
    Ok(fitted)
}

/// What is said where the posterior is the prior.
fn collapsed(unused: &Unused) -> String {
    format!(
        "the posterior collapsed: no latent dimension is in use, and the model decodes the same for every window. Tried: {}. Would help: {}; \
         columns that are independent of each other leave nothing for the latents to tell",
        unused.tried.join(", "),
        unused.would_help.join("; ")
    )
}

/// How to go on with a run of which this is said.
fn go_on(directory: &RunDirectory, what: &str) -> String {
    let run = quoted(directory.path().display());
    format!(
        "{what}; go on with: vae-train fit DATA --out {run} --resume, or export what there is: vae-train export {run} --out \
         model.vae"
    )
}

fn summary(
    directory: &RunDirectory,
    plan: &Plan,
    dataset: &Dataset,
    validation: Part<'_>,
    checkpoint: &Checkpoint,
    device: &Device,
) -> Result<Fitted> {
    let Plan { config, architecture, schema, trimmed, .. } = plan;
    let train = dataset.train();
    // On training windows: the held-out ones of a small table are too few to have a variance.
    let some = Part { chosen: &train.chosen[..train.chosen.len().min(MOST_HELD_OUT)], ..train };
    let best = checkpoint.metrics.get(checkpoint.best_epoch.saturating_sub(1));
    let kl = best.map_or(f64::NAN, |metrics| metrics.kl);
    let active_units = active_units(architecture, checkpoint, some, kl, device)?;
    let best_network = checkpoint.best_network(architecture, &Device::flex())?;
    let unused = Unused::diagnose(collapse::Fit {
        config,
        architecture,
        weights: best_network.weights()?,
        train,
        held_out: validation,
        active: active_units,
        is_improving: checkpoint.best_epoch == checkpoint.metrics.len(),
    })?;
    Ok(Fitted {
        version: env!("CARGO_PKG_VERSION"),
        run: directory.path().to_owned(),
        purpose: config.model.purpose,
        file: dataset.path.clone(),
        data: schema.data.clone(),
        epochs: checkpoint.metrics.len(),
        best_epoch: checkpoint.best_epoch,
        validation_elbo: checkpoint.best_elbo(),
        training_elbo: best.map_or(f64::NAN, |metrics| metrics.reconstruction - metrics.kl),
        baseline: baseline(config, architecture, some, validation),
        training_windows: dataset.supply().windows(),
        held_out_windows: validation.chosen.len(),
        features: architecture.features,
        latent: architecture.latent,
        active_units,
        unused,
        batch: config.training.batch,
        learning_rate: checkpoint.learning_rate(config),
        divergences: checkpoint.divergences.clone(),
        dropped_columns: schema.dropped.clone(),
        label: config.data.label.clone(),
        ranges: dataset.ranges.clone(),
        notes: dataset.notes.clone(),
        trimmed: trimmed.clone(),
        standing_out: StandingOut::default(),
        second_stage: None,
        simpler: None,
    })
}

/// Mean log-density of the held-out windows, in nats of standardised units, by what the training windows' features are each by themselves.
fn baseline(config: &Config, architecture: &Architecture, train: Part<'_>, held_out: Part<'_>) -> f64 {
    let (inputs, features) = (architecture.inputs(), architecture.features);
    let chosen = train.chosen.iter().map(|index| &train.values[index * inputs..][..features]);
    let floors = (config.model.likelihood != Likelihood::Bernoulli).then_some(&architecture.variance_floors[..]);
    let fitted = Independent::fit(chosen, features, floors, &architecture.families);
    let nats = |index: &usize| fitted.log_density(&held_out.values[index * inputs..][..features]);
    held_out.chosen.iter().map(nats).sum::<f64>() / held_out.chosen.len() as f64
}
