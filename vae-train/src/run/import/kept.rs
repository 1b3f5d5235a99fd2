//! An imported model in a run directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use vae_core::Score;

use crate::{
    data::{for_model::cut_for_model, held_out::MOST_HELD_OUT},
    file::model_file::AlignedFile,
    run::{directory::RunDirectory, import::imported::Imported},
    scoring,
    tables::table::Table,
    weights::dense::Dense,
    words::output::Existing,
};

/// What was imported.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The run directory.
    pub run: PathBuf,
    /// Name and CRC-32 of the file of weights.
    pub weights: String,
    /// Names of the channels.
    pub channels: Vec<String>,
    /// Samples in a window.
    pub window: usize,
    /// Samples between the starts of successive windows.
    pub hop: usize,
    /// Latent dimensions.
    pub latent: usize,
    /// The decoder's likelihood.
    pub likelihood: String,
    /// From the inputs on.
    pub encoder: Vec<Layer>,
    /// From the latent vector on.
    pub decoder: Vec<Layer>,
    /// Names of tensors that the mapping does not use.
    pub unused_tensors: Vec<String>,
    /// Normal windows that are kept.
    pub windows: usize,
    /// Mean over them of the ELBO at the posterior's mean, in nats.
    pub mean_elbo: f64,
    /// Mean over them of `E_q[ln p(x|z)]`, in nats.
    pub mean_reconstruction: f64,
    /// Mean over them of the KL to the prior, in nats.
    pub mean_kl: f64,
}

/// A layer's sizes.
#[derive(Debug, Serialize)]
pub struct Layer {
    /// Values in.
    pub inputs: usize,
    /// Values out.
    pub outputs: usize,
    /// What becomes of them.
    pub activation: String,
}

impl Layer {
    fn of(layers: &[Dense]) -> Vec<Self> {
        let layer = |layer: &Dense| Self {
            inputs: layer.columns,
            outputs: layer.rows,
            activation: format!("{:?}", layer.activation),
        };
        layers.iter().map(layer).collect()
    }
}

/// Keeps an imported model in a run directory, with windows of a table of the model's columns, which stand where a fit has its held-out
/// windows.
///
/// # Errors
/// If no window of the table is normal, one cannot be scored, or the directory holds something else or cannot be written.
pub fn keep(
    imported: &Imported,
    unused_tensors: Vec<String>,
    normal: Table,
    out: &Path,
    existing: Existing,
) -> Result<Summary> {
    let file = AlignedFile::new(&imported.model_file().to_bytes()?);
    let model = file.model()?;
    let name = normal.path.display().to_string();
    let windows = cut_for_model(normal, &model)?;
    let is_normal = |index: usize| windows.labels.as_ref().is_none_or(|labels| !labels[index]);
    let normal: Vec<&[f32]> =
        windows.iter().enumerate().filter(|(index, _)| is_normal(*index)).map(|(_, window)| window).collect();
    ensure!(!normal.is_empty(), "{name}: no window is normal: give normal data");
    let used = normal.len().min(MOST_HELD_OUT);
    let holdout: Vec<f32> = (0..used).flat_map(|index| normal[index * normal.len() / used]).copied().collect();
    let scores = scoring::elbo(&model, &holdout).with_context(|| name.clone())?;
    let mean = |of: fn(&Score) -> f32| scores.iter().map(|score| f64::from(of(score))).sum::<f64>() / used as f64;
    let Imported { channels, window, hop, latent, likelihood, encoder, decoder, weights, .. } = imported;
    let summary = Summary {
        run: out.to_owned(),
        weights: weights.clone(),
        channels: channels.clone(),
        window: *window,
        hop: *hop,
        latent: *latent,
        likelihood: format!("{likelihood:?}"),
        encoder: Layer::of(encoder),
        decoder: Layer::of(decoder),
        unused_tensors,
        windows: used,
        mean_elbo: mean(|score| score.elbo),
        mean_reconstruction: mean(|score| score.reconstruction),
        mean_kl: mean(|score| score.kl),
    };
    let directory = RunDirectory::create_imported(out, existing)?;
    directory.save_imported(imported, &holdout)?;
    directory.save_summary(&summary)?;
    Ok(summary)
}
