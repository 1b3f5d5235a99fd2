//! `vae-train export`: from a run to a model file.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use vae_core::format;

use super::Context;
use crate::{
    export::{model_file, safetensors},
    model_file::AlignedFile,
    output::{Existing, write_file},
    run::RunDirectory,
};

/// Write the model of a run to a file for vae-core: quantised, calibrated on the held-out windows, with golden vectors.
///
/// Example: vae-train export runs/a --out model.vae
#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// Run directory of a fit.
    run: PathBuf,
    /// Model file to write.
    #[arg(long)]
    out: PathBuf,
    /// How weights are stored.
    #[arg(long, value_enum, default_value_t = Precision::Int8)]
    precision: Precision,
    /// Also write the f32 weights to this safetensors file.
    #[arg(long)]
    safetensors: Option<PathBuf>,
    /// Replace existing files.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Precision {
    /// 8-bit weights, one scale per output row.
    Int8,
    /// 32-bit floating-point weights.
    F32,
}

/// What was written.
#[derive(Debug, Serialize)]
pub(super) struct Exported {
    pub(super) model: PathBuf,
    /// Bytes of the file, and of the flash that it takes.
    pub(super) flash: usize,
    /// Bytes of scratch that scoring needs.
    pub(super) scratch: usize,
    /// ELBO below which a window is anomalous, in nats.
    pub(super) threshold: f32,
    calibration_windows: u32,
}

impl Export {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let precision = match self.precision {
            Precision::Int8 => format::Precision::Int8,
            Precision::F32 => format::Precision::F32,
        };
        let exported =
            export(&self.run, &self.out, precision, self.safetensors.as_deref(), Existing::from_force(self.force))?;
        let text = format!(
            "{}: {} bytes of flash, {} bytes of scratch; a window is anomalous below {:.3} nats ({} calibration windows)",
            exported.model.display(),
            exported.flash,
            exported.scratch,
            exported.threshold,
            exported.calibration_windows
        );
        context.print(&exported, &text)
    }
}

pub(super) fn export(
    run: &std::path::Path,
    out: &std::path::Path,
    precision: format::Precision,
    weights: Option<&std::path::Path>,
    existing: Existing,
) -> Result<Exported> {
    existing.check(out)?;
    if let Some(weights) = weights {
        existing.check(weights)?;
    }
    let (directory, state) = RunDirectory::open(run)?;
    let file = model_file(&state, &directory.extras()?, &directory.holdout()?, precision)?;
    let bytes = file.to_bytes()?;
    write_file(out, existing, |out| Ok(out.write_all(&bytes)?))?;
    if let Some(weights) = weights {
        let bytes = safetensors(&file)?;
        write_file(weights, existing, |out| Ok(out.write_all(&bytes)?))?;
    }
    let aligned = AlignedFile::new(&bytes);
    let model = aligned.model()?;
    let calibration = model.calibration()?;
    Ok(Exported {
        model: out.to_owned(),
        flash: model.flash_len(),
        scratch: 4 * model.scratch_len(),
        threshold: calibration.threshold(),
        calibration_windows: calibration.scores(),
    })
}
