//! `vae-train import`: a model that was trained elsewhere.

use std::{collections::HashSet, fmt::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    cli::{
        context::{Context, note},
        table::{columns_to_leave_out, open_table},
    },
    run::{
        directory::RunDirectory,
        import::{
            import,
            kept::{Layer, Summary, keep},
            mapping::Mapping,
        },
    },
    tables::{reading::Reading, recording::Label},
    words::{
        messages::{list, quoted},
        output::Existing,
    },
};

/// Examples below the options.
const EXAMPLES: &str = "\
Examples:
  vae-train import weights.safetensors --mapping mapping.toml --normal holdout.csv --out runs/a
  vae-train calibrate runs/a --normal holdout.csv --alarms 1/week --rate 1
  vae-train export runs/a --out model.vae

A mapping of a model of PyTorch's (docs/import.md has all keys, and recipes for PyTorch and Keras):
  [encoder]
  layers = [{ weight = \"encoder.0.weight\", bias = \"encoder.0.bias\", activation = \"relu\" }]
  mean = { weight = \"mean.weight\", bias = \"mean.bias\" }
  log_variance = { weight = \"log_variance.weight\", bias = \"log_variance.bias\" }
  [decoder]
  layers = [{ weight = \"decoder.0.weight\", bias = \"decoder.0.bias\", activation = \"relu\" }]
  mean = { weight = \"decoder.2.weight\", bias = \"decoder.2.bias\" }
  variance = 0.5";

/// Take a variational autoencoder that was trained elsewhere, from a safetensors file, into a run directory.
///
/// `calibrate`, `export` and `attribute` then work as after a fit.
///
/// A mapping (a TOML file) says which tensor is what. Normal data that were not trained on take the place of the held-out windows of a fit.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Import {
    /// Weights (.safetensors).
    weights: PathBuf,
    /// TOML file that names the tensors of encoder and decoder.
    #[arg(long, help_heading = "Model")]
    mapping: PathBuf,
    /// Normal data that were not trained on, with the model's columns: what export calibrates on and compares int8 with f32 by.
    #[arg(long, required = true, num_args = 1.., help_heading = "Data")]
    normal: Vec<PathBuf>,
    /// Column that says 0 normal / 1 anomaly; windows with anomalies are left out [default: `label`, if there is one].
    #[arg(long, help_heading = "Data")]
    label: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Run directory.
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// Replace an imported model in --out.
    #[arg(long, help_heading = "Output")]
    force: bool,
}

impl Import {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        RunDirectory::check_imported(&self.out, existing)?;
        let mapping = Mapping::read(&self.mapping)?;
        let channels: Vec<&str> = mapping.channels.iter().flatten().map(String::as_str).collect();
        let recording = open_table(&self.normal, Label::of(self.label.as_deref(), &channels), &self.reading)?;
        let names = match mapping.channels {
            Some(_) => Vec::new(),
            None => {
                let clocks: HashSet<String> = columns_to_leave_out(&recording, &[], &[]).into_iter().collect();
                recording.table.columns.iter().filter(|name| !clocks.contains(*name)).cloned().collect()
            }
        };
        let (imported, unused) = import(&self.weights, &mapping, &names)?;
        if !unused.is_empty() {
            note(&format!(
                "{}: {} tensor(s) that the mapping does not use: {}",
                self.weights.display(),
                unused.len(),
                list(&unused)
            ));
        }
        let (table, left_out) = recording
            .select(&imported.channels)
            .context("the data do not fit the model: `channels` in the mapping names the model's inputs")?;
        if !left_out.is_empty() {
            note(&format!("{}: columns that the model does not use: {}", table.path.display(), list(&left_out)));
        }
        let summary = keep(&imported, unused, table, &self.out, existing)?;
        context.print(&summary, &text(&summary)?)
    }
}

fn text(summary: &Summary) -> Result<String> {
    let Summary { run, channels, window, latent, likelihood, windows, mean_elbo, mean_reconstruction, mean_kl, .. } =
        summary;
    let mut text = String::new();
    writeln!(
        text,
        "{} channels × {window} samples, {latent} latent dimensions, {likelihood} likelihood",
        channels.len()
    )?;
    for (half, layers) in [("encoder", &summary.encoder), ("decoder", &summary.decoder)] {
        for Layer { inputs, outputs, activation } in layers {
            writeln!(text, "  {half:<12} {inputs:>5} → {outputs:<5} {activation}")?;
        }
    }
    writeln!(
        text,
        "{windows} normal windows: mean ELBO {mean_elbo:.4} nats at the posterior's mean (reconstruction {mean_reconstruction:.4}, KL \
         {mean_kl:.4}); compare it with the original's"
    )?;
    let run = quoted(run.display());
    writeln!(text, "next: vae-train export {run} --out model.vae")?;
    writeln!(text, "or first: vae-train calibrate {run} --normal HOLDOUT.csv --alarms 1/week")?;
    Ok(text)
}
