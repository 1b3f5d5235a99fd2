//! `vae-train export`: from a run to a model file.

use std::{fmt::Write as _, path::PathBuf};

use anyhow::Result;
use serde::Serialize;
use vae_core::format;

use super::{Context, note};
use crate::{
    export::{model_file, safetensors},
    model_file::AlignedFile,
    output::{Existing, write_file},
    quantisation::{LayerError, Quantisation},
    run::{Access, RunDirectory},
};

/// Write the model of a run to a file for vae-core: quantised, calibrated on the held-out windows, with golden vectors.
///
/// An int8 model is compared with the f32 model on the held-out windows, and refused where it flips the verdict on more than 1 % of
/// them.
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
    /// Replace existing files, and write an int8 model that would be refused.
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
    /// What int8 changes; none for f32.
    quantisation: Option<Quantisation>,
}

impl Export {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let precision = match self.precision {
            Precision::Int8 => format::Precision::Int8,
            Precision::F32 => format::Precision::F32,
        };
        let exported =
            export(&self.run, &self.out, precision, self.safetensors.as_deref(), Existing::from_force(self.force))?;
        let mut text = format!(
            "{}: {} bytes of flash, {} bytes of scratch; a window is anomalous below {:.3} nats ({} calibration windows)\n",
            exported.model.display(),
            exported.flash,
            exported.scratch,
            exported.threshold,
            exported.calibration_windows
        );
        if let Some(quantisation) = &exported.quantisation {
            describe(quantisation, &mut text)?;
        }
        context.print(&exported, &text)
    }
}

fn describe(quantisation: &Quantisation, text: &mut String) -> Result<()> {
    let Quantisation { windows, layers, score_shift, spread, flipped } = quantisation;
    writeln!(text, "int8 against f32 on the held-out windows:")?;
    for LayerError { half, inputs, outputs, weights, output } in layers {
        writeln!(
            text,
            "  {half} {inputs:>5} → {outputs:<5} output off by {:.2} %, of which its own weights {:.2} %",
            100.0 * output,
            100.0 * weights
        )?;
    }
    writeln!(
        text,
        "  score shift {:.4} nats, magnitude {:.4} (95 %: {:.4}, largest {:.4}), beside an interquartile range of {spread:.4}",
        score_shift.mean, score_shift.mean_magnitude, score_shift.magnitude_95, score_shift.largest
    )?;
    writeln!(text, "  verdict flipped on {flipped} of {windows}")?;
    Ok(())
}

/// Exports a run; with `Existing::Replace`, what `--force` asks for, also a model that int8 changes too much.
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
    let (directory, state) = RunDirectory::open(run, Access::Read)?;
    let (extras, holdout, normal) = (directory.extras()?, directory.holdout()?, directory.normal()?);
    let file = model_file(&state, &extras, &holdout, normal.as_ref(), precision)?;
    let quantisation = match precision {
        format::Precision::F32 => None,
        format::Precision::Int8 => {
            let reference = model_file(&state, &extras, &holdout, normal.as_ref(), format::Precision::F32)?;
            let quantisation = Quantisation::measure(&file, &reference, &holdout)?;
            match (quantisation.check(), existing) {
                (Err(refusal), Existing::Keep) => return Err(refusal),
                (Err(refusal), Existing::Replace) => note(&format!("written with --force, although {refusal}")),
                (Ok(()), _) => {}
            }
            Some(quantisation)
        }
    };
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
        quantisation,
    })
}
