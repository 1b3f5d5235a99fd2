//! `vae-train info`: what is in a model file.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Serialize;
use vae_core::{FrontEnd, Model, ScoreKind, format::PosteriorKind};

use crate::{
    cli::context::Context,
    data::{
        for_model::origins_of,
        front_end::{name as front_end_name, rate_of},
    },
    file::{model_file::AlignedFile, signing::divided},
    report::model_card,
    scoring::{
        cost,
        false_alarm_test::asked_for,
        window_cost::{WindowCost, window_costs},
    },
    weights::family::posterior_name,
    words::{
        foreign::line,
        input::{MOST_BINARY, read_file},
        numbers::absolute,
        rates::rate_nearest,
    },
};

/// Print what a model file holds and what the device needs for it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train info model.vae
  vae-train info model.signed.vae --card")]
pub(super) struct Info {
    /// Model file (.vae).
    model: PathBuf,
    /// Print the model's card as a bill of materials (ML-BOM, CycloneDX 1.6, JSON): data, metrics, intended use and its limits.
    ///
    /// It depends on nothing but the file's bytes, which it names by their SHA-256. Whether a signature is right says `verify`.
    #[arg(long)]
    card: bool,
}

#[derive(Serialize)]
struct Layer {
    half: &'static str,
    inputs: u32,
    outputs: u32,
    activation: String,
}

#[derive(Serialize)]
struct Channel {
    name: String,
    /// What the model sees of it, as `fit --front-end` calls it.
    front_end: String,
    /// Samples a second by which its mel bands are computed, where it has any.
    mel_rate: Option<u32>,
    /// Of its first feature.
    mean: f64,
    scale: f32,
    /// What is subtracted from its values before they become 32-bit numbers; 0 for most.
    origin: f64,
    /// What its sensor can give, where the calibration was told.
    range: Option<(f64, f64)>,
}

/// What `info` says of a model.
#[derive(Serialize)]
pub(super) struct Description {
    model: PathBuf,
    precision: String,
    posterior: String,
    /// Of each latent; null where latents are not categorical.
    categories: Option<u32>,
    likelihood: String,
    features: usize,
    window: usize,
    hop: usize,
    latent: usize,
    layers: Vec<Layer>,
    /// Multiplications of a score at the mean, in the layers.
    products: u64,
    /// Instructions of a score at the mean on each kind of core, as the cost model predicts them.
    instructions: BTreeMap<&'static str, u64>,
    /// What these are at most, whatever a window holds.
    worst_instructions: BTreeMap<&'static str, u64>,
    /// Instructions of a detector on each; empty for a model that is scored by samples.
    detector_instructions: BTreeMap<&'static str, WindowCost>,
    /// Bytes.
    flash: usize,
    /// Bytes of scratch.
    scratch: usize,
    /// Bytes of the samples in a window.
    window_bytes: usize,
    /// Bytes that a detector keeps beside window and scratch.
    detector_state: usize,
    /// Bytes of what a detector remembers over a loss of power.
    snapshot: usize,
    /// What is compared with the threshold, as `calibrate --score` calls it.
    score: String,
    threshold: f32,
    calibration_windows: u32,
    /// m of n windows below the threshold raise an alarm.
    votes: (u32, u32),
    /// Samples a second; null where the calibration was not told.
    sample_rate: Option<f32>,
    /// False alarms per second that `calibrate` was asked for, by the file's threshold; null where it was not.
    alarms_asked: Option<f64>,
    /// Whether the device can set the threshold by a rate of false alarms.
    has_alarm_tail: bool,
    /// Windows that drift is averaged over; null where drift is not watched.
    drift_memory: Option<f32>,
    channels: Vec<Channel>,
    conditions: Vec<String>,
    attributes: Vec<String>,
    mixture_components: u32,
    second_stage: bool,
    creator: String,
    data: String,
    seed: u64,
    metrics: Vec<String>,
}

impl Info {
    pub(super) fn run(self, context: Context) -> Result<()> {
        if self.card {
            let bytes = read_file(&self.model, MOST_BINARY)?;
            AlignedFile::checked(divided(&bytes).0, &self.model)?;
            let bill = model_card::bill(&bytes).with_context(|| self.model.display().to_string())?;
            return Context { json: true, ..context }.print(&bill, "");
        }
        let file = AlignedFile::read(&self.model)?;
        let description = Description::of(&self.model, &file.model()?)?;
        context.print(&description, &text(&description)?)
    }
}

impl Description {
    pub(super) fn of(path: &Path, model: &Model<'_>) -> Result<Self> {
        let (header, card, calibration) = (model.header()?, model.card()?, model.calibration()?);
        Ok(Self {
            model: path.to_owned(),
            precision: format!("{:?}", header.precision),
            posterior: posterior_name(header.posterior),
            categories: match header.posterior {
                PosteriorKind::Categorical { categories } => Some(categories),
                _ => None,
            },
            likelihood: format!("{:?}", header.likelihood),
            features: model.features(),
            window: model.window(),
            hop: model.hop(),
            latent: model.latent(),
            products: cost::products(model)?,
            layers: layers(model)?,
            instructions: cost::instructions(model)?.into_iter().collect(),
            worst_instructions: cost::worst_instructions(model)?.into_iter().collect(),
            detector_instructions: window_costs(model)?.into_iter().collect(),
            flash: model.flash_len(),
            scratch: 4 * model.scratch_len(),
            window_bytes: 4 * model.window_len(),
            detector_state: 4 * model.state_len(),
            snapshot: model.snapshot_len(),
            score: match calibration.score_kind() {
                ScoreKind::AtMean => "mean".to_owned(),
                ScoreKind::Samples(samples) => format!("samples:{samples}"),
                ScoreKind::Importance(samples) => format!("importance:{samples}"),
            },
            threshold: calibration.threshold(),
            calibration_windows: calibration.scores(),
            votes: calibration.votes(),
            sample_rate: calibration.sample_rate(),
            alarms_asked: asked_for(&calibration, model.hop()),
            has_alarm_tail: calibration.alarm_tail().rate > 0.0,
            drift_memory: Some(calibration.drift_memory()).filter(|memory| *memory > 0.0),
            channels: channels(model)?,
            conditions: card.conditions.lines().map(str::to_owned).collect(),
            attributes: model.attributes()?.map(|attribute| Ok(attribute?.0.to_owned())).collect::<Result<_>>()?,
            mixture_components: header.mixture_components,
            second_stage: header.second_stage_layers > 0,
            creator: card.creator.to_owned(),
            data: card.data.to_owned(),
            seed: card.seed,
            metrics: card.metrics.lines().map(str::to_owned).collect(),
        })
    }
}

fn layers(model: &Model<'_>) -> Result<Vec<Layer>> {
    let encoder_layers = model.header()?.encoder_layers as usize;
    let mut layers = Vec::new();
    for (index, layer) in model.layers()?.enumerate() {
        let layer = layer?;
        layers.push(Layer {
            half: if index < encoder_layers { "encoder" } else { "decoder" },
            inputs: layer.columns,
            outputs: layer.rows,
            activation: format!("{:?}", layer.activation),
        });
    }
    Ok(layers)
}

fn channels(model: &Model<'_>) -> Result<Vec<Channel>> {
    let (calibration, (mean, inverse_scale)) = (model.calibration()?, model.standardiser()?);
    let origins = origins_of(model)?;
    let mut channels = Vec::new();
    let mut feature = 0;
    for (index, name) in model.card()?.channels.lines().enumerate() {
        let (front_end, origin) = (model.front_end(index)?, origins[index]);
        let mean_of = mean.get(feature).copied().unwrap_or(f32::NAN);
        channels.push(Channel {
            name: name.to_owned(),
            front_end: front_end_name(front_end),
            mel_rate: rate_of(&[front_end]),
            mean: match front_end {
                FrontEnd::Raw | FrontEnd::Mean | FrontEnd::Statistics => absolute(mean_of, origin),
                FrontEnd::Bands(_) | FrontEnd::Mel { .. } => absolute(mean_of, 0.0),
            },
            scale: inverse_scale.get(feature).map_or(f32::NAN, |inverse| 1.0 / inverse),
            origin,
            range: calibration
                .channel(index)
                .map(|channel| channel.range)
                .filter(|range| range.0 > f32::MIN)
                .map(|(low, high)| (absolute(low, origin), absolute(high, origin))),
        });
        // Samples lie side by side, features channel after channel.
        feature += if model.has_front_end() { front_end.features(model.window()) } else { 1 };
    }
    Ok(channels)
}

/// Channels that are listed.
const SHOWN: usize = 12;

fn text(d: &Description) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "{}, format version {}", d.model.display(), vae_core::format::VERSION)?;
    let Description { precision, posterior, likelihood, .. } = d;
    writeln!(text, "  {precision} weights, {posterior} posterior, {likelihood} likelihood")?;
    network_lines(d, &mut text)?;
    size_lines(d, &mut text)?;
    alarm_lines(d, &mut text)?;
    channel_lines(d, &mut text)?;
    for attribute in &d.attributes {
        writeln!(text, "  attribute    {}", line(attribute))?;
    }
    if d.mixture_components > 0 {
        writeln!(text, "  mixture      {} components", d.mixture_components)?;
    }
    if d.second_stage {
        writeln!(text, "  second stage")?;
    }
    writeln!(text, "  trained on   {}, seed {}", line(&d.data), d.seed)?;
    writeln!(text, "  written by   {}", line(&d.creator))?;
    for metric in &d.metrics {
        writeln!(text, "  {metric}")?;
    }
    Ok(text)
}

fn network_lines(d: &Description, text: &mut String) -> Result<()> {
    writeln!(
        text,
        "  input        {} features of {} channels × {} samples, a window every {}",
        d.features,
        d.channels.len(),
        d.window,
        d.hop
    )?;
    let of = d.categories.map_or(String::new(), |categories| {
        format!(": {} of {categories} categories each", d.latent / categories as usize)
    });
    writeln!(text, "  latent       {} dimensions{of}", d.latent)?;
    for layer in &d.layers {
        writeln!(text, "  {:<12} {:>5} → {:<5} {}", layer.half, layer.inputs, layer.outputs, layer.activation)?;
    }
    Ok(())
}

fn size_lines(d: &Description, text: &mut String) -> Result<()> {
    writeln!(text, "  products     {} a score", d.products)?;
    for (core, instructions) in &d.instructions {
        let detector = d.detector_instructions.get(core).map_or(String::new(), |cost| {
            let WindowCost { sample, window, alarm, .. } = cost;
            format!(", {window} a window with its verdict, {alarm} in an alarm, {sample} a sample between")
        });
        let worst = d.worst_instructions.get(core).map_or(String::new(), |worst| format!(", at most {worst}"));
        writeln!(text, "  instructions {core}: about {instructions} a score{worst}{detector}")?;
    }
    writeln!(text, "  flash        {} bytes", d.flash)?;
    let Description { scratch, window_bytes, detector_state, snapshot, .. } = d;
    writeln!(
        text,
        "  RAM          {scratch} bytes of scratch, {window_bytes} of window, {detector_state} of detector; a snapshot of it takes \
         {snapshot}"
    )?;
    Ok(())
}

fn alarm_lines(d: &Description, text: &mut String) -> Result<()> {
    writeln!(
        text,
        "  threshold    {:.3} nats ({} calibration windows), score by {}, {} of {} votes raise an alarm",
        d.threshold, d.calibration_windows, d.score, d.votes.0, d.votes.1
    )?;
    let asked = d.alarms_asked.map(rate_nearest);
    match (d.sample_rate, d.has_alarm_tail) {
        (Some(rate), true) => match asked {
            Some(asked) => writeln!(
                text,
                "  alarms       {asked} false ones, as calibrate was asked for; other rates where the firmware asks for them, at {rate} samples a second"
            )?,
            None => {
                writeln!(text, "  alarms       at any rate that the firmware asks for, at {rate} samples a second")?
            }
        },
        (None, true) => {
            writeln!(text, "  alarms       at any rate that the firmware asks for, once it gives its sample rate")?
        }
        (_, false) => writeln!(
            text,
            "  alarms       by the threshold only: run vae-train calibrate with --alarms for a rate of false alarms"
        )?,
    }
    match d.drift_memory {
        Some(memory) => writeln!(text, "  drift        followed, with a memory of {memory:.0} windows")?,
        None => writeln!(
            text,
            "  drift        not followed: run vae-train calibrate on a longer recording, which tells what drift is ordinary"
        )?,
    }
    Ok(())
}

fn channel_lines(d: &Description, text: &mut String) -> Result<()> {
    for Channel { name, front_end, mel_rate, mean, scale, range, origin } in d.channels.iter().take(SHOWN) {
        let rate = mel_rate.map_or(String::new(), |rate| format!(" at {rate} samples a second"));
        let front_end = if front_end == "raw" { String::new() } else { format!("{front_end}{rate}, first with ") };
        let range = range.map_or(String::new(), |(low, high)| format!(", sensor {low} to {high}"));
        let origin = if *origin == 0.0 { String::new() } else { format!(", given to the model less {origin}") };
        writeln!(text, "  channel      {name}: {front_end}mean {mean}, scale {scale}{range}{origin}")?;
    }
    if d.channels.len() > SHOWN {
        writeln!(text, "  and {} more channels (--json lists them)", d.channels.len() - SHOWN)?;
    }
    for condition in &d.conditions {
        writeln!(text, "  condition    {condition}")?;
    }
    Ok(())
}
