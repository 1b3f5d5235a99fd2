//! `vae-train info`: what is in a model file.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Result;
use serde::Serialize;
use vae_core::Model;

use super::Context;
use crate::{cost, model_file::AlignedFile};

/// Print what a model file holds and what the device needs for it.
///
/// Example: vae-train info model.vae
#[derive(Debug, clap::Args)]
pub(super) struct Info {
    /// Model file (.vae).
    model: PathBuf,
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
    /// Of the window's first sample.
    mean: f32,
    scale: f32,
}

/// What `info` says of a model.
#[derive(Serialize)]
pub(super) struct Description {
    model: PathBuf,
    precision: String,
    posterior: String,
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
    /// Bytes.
    flash: usize,
    /// Bytes of scratch.
    scratch: usize,
    threshold: f32,
    calibration_windows: u32,
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
        let file = AlignedFile::read(&self.model)?;
        let description = Description::of(&self.model, &file.model()?)?;
        context.print(&description, &text(&description)?)
    }
}

impl Description {
    pub(super) fn of(path: &Path, model: &Model<'_>) -> Result<Self> {
        let (header, card, calibration) = (model.header()?, model.card()?, model.calibration()?);
        let mut layers = Vec::new();
        for (index, layer) in model.layers()?.enumerate() {
            let layer = layer?;
            layers.push(Layer {
                half: if index < header.encoder_layers as usize { "encoder" } else { "decoder" },
                inputs: layer.columns,
                outputs: layer.rows,
                activation: format!("{:?}", layer.activation),
            });
        }
        let (mean, inverse_scale) = model.standardiser()?;
        let channels = card.channels.lines().zip(mean.iter().zip(inverse_scale));
        Ok(Self {
            model: path.to_owned(),
            precision: format!("{:?}", header.precision),
            posterior: format!("{:?}", header.posterior),
            likelihood: format!("{:?}", header.likelihood),
            features: model.features(),
            window: model.window(),
            hop: model.hop(),
            latent: model.latent(),
            products: cost::products(model)?,
            layers,
            instructions: cost::instructions(model)?.into_iter().collect(),
            flash: model.flash_len(),
            scratch: 4 * model.scratch_len(),
            threshold: calibration.threshold(),
            calibration_windows: calibration.scores(),
            channels: channels
                .map(|(name, (mean, inverse))| Channel { name: name.to_owned(), mean: *mean, scale: 1.0 / inverse })
                .collect(),
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

fn text(d: &Description) -> Result<String> {
    const SHOWN: usize = 12;
    let mut text = String::new();
    writeln!(text, "{}, format version {}", d.model.display(), vae_core::format::VERSION)?;
    let Description { precision, posterior, likelihood, .. } = d;
    writeln!(text, "  {precision} weights, {posterior} posterior, {likelihood} likelihood")?;
    writeln!(
        text,
        "  input        {} features: {} channels × {} samples, a window every {}",
        d.features,
        d.channels.len(),
        d.window,
        d.hop
    )?;
    writeln!(text, "  latent       {} dimensions", d.latent)?;
    for layer in &d.layers {
        writeln!(text, "  {:<12} {:>5} → {:<5} {}", layer.half, layer.inputs, layer.outputs, layer.activation)?;
    }
    writeln!(text, "  products     {} a score", d.products)?;
    for (core, instructions) in &d.instructions {
        writeln!(text, "  instructions {core}: about {instructions} a score")?;
    }
    writeln!(text, "  flash        {} bytes", d.flash)?;
    writeln!(text, "  RAM          {} bytes of scratch, {} of window", d.scratch, 4 * d.features)?;
    writeln!(text, "  threshold    {:.3} nats ({} calibration windows)", d.threshold, d.calibration_windows)?;
    for channel in d.channels.iter().take(SHOWN) {
        writeln!(text, "  channel      {}: mean {}, scale {}", channel.name, channel.mean, channel.scale)?;
    }
    if d.channels.len() > SHOWN {
        writeln!(text, "  and {} more channels (--json lists them)", d.channels.len() - SHOWN)?;
    }
    for condition in &d.conditions {
        writeln!(text, "  condition    {condition}")?;
    }
    for attribute in &d.attributes {
        writeln!(text, "  attribute    {attribute}")?;
    }
    if d.mixture_components > 0 {
        writeln!(text, "  mixture      {} components", d.mixture_components)?;
    }
    if d.second_stage {
        writeln!(text, "  second stage")?;
    }
    writeln!(text, "  trained on   {}, seed {}", d.data, d.seed)?;
    writeln!(text, "  written by   {}", d.creator)?;
    for metric in &d.metrics {
        writeln!(text, "  {metric}")?;
    }
    Ok(text)
}
