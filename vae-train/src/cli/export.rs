//! `vae-train export`: from a run to a model file.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Result, anyhow, bail};
use vae_core::format;

use crate::{
    cli::context::{Context, Notes},
    file::card::Statement,
    run::{
        candidate::{Candidate, Files},
        quantisation::{LayerError, Quantisation},
    },
    words::{
        messages::quoted,
        output::{Existing, is_same_place},
    },
};

/// Write the model of a run to a file for vae-core: quantised, calibrated on the held-out windows, with golden vectors.
///
/// An int8 model is compared with the f32 model on the held-out windows, and refused if it flips the verdict on more than 1 % of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train export runs/a --out model.vae
  vae-train export runs/a --out model.vae --c-array model.h
  vae-train export runs/a --out f32.vae --precision f32 --safetensors weights.safetensors
  vae-train export runs/a --out pump.vae --name pump-7 --unit flow=l/min --unit pressure=bar")]
pub(super) struct Export {
    /// Run directory of a fit or an import.
    run: PathBuf,
    /// Model file to write.
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// How weights are stored.
    #[arg(long, help_heading = "Model", value_enum, default_value_t = Precision::Int8)]
    precision: Precision,
    /// Also write the f32 weights to this safetensors file.
    #[arg(long, help_heading = "Output")]
    safetensors: Option<PathBuf>,
    /// Also write the model as a C header: a constant array, aligned, with the header's name.
    #[arg(long, help_heading = "Output", value_name = "HEADER")]
    c_array: Option<PathBuf>,
    /// Also write the model as a Rust module: a static, aligned, with the module's name.
    #[arg(long, help_heading = "Output", value_name = "MODULE")]
    rust: Option<PathBuf>,
    /// What the model is called on its card.
    #[arg(long, help_heading = "Card", value_name = "TEXT", hide_short_help = true)]
    name: Option<String>,
    /// An intended use of the model, for its card, beside what all models are for; may be repeated.
    #[arg(long, help_heading = "Card", value_name = "TEXT", hide_short_help = true)]
    intended_use: Vec<String>,
    /// A limit of its use, for its card, beside those of all models; may be repeated.
    #[arg(long, help_heading = "Card", value_name = "TEXT", hide_short_help = true)]
    limit: Vec<String>,
    /// Unit of a channel or condition, for the model's card, for example x=g; may be repeated, once for each.
    #[arg(long, help_heading = "Card", value_name = "COLUMN=UNIT", value_parser = unit, hide_short_help = true)]
    unit: Vec<(String, String)>,
    /// Replace existing files, and write an int8 model even if it would be refused.
    #[arg(long, help_heading = "Output")]
    force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Precision {
    /// 8-bit weights, one scale per output row.
    Int8,
    /// 32-bit floating-point weights.
    F32,
}

impl From<Precision> for format::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Int8 => Self::Int8,
            Precision::F32 => Self::F32,
        }
    }
}

impl Export {
    fn files(&self) -> Files<'_> {
        Files {
            model: &self.out,
            weights: self.safetensors.as_deref(),
            c_array: self.c_array.as_deref(),
            rust: self.rust.as_deref(),
        }
    }

    /// What goes on the card.
    fn statement(&self) -> Statement {
        Statement {
            name: self.name.clone(),
            uses: self.intended_use.clone(),
            limits: self.limit.clone(),
            units: self.unit.clone(),
        }
    }

    /// Refuses files that exist, and two of one name, before any work is done for them.
    fn check(&self, existing: Existing) -> Result<()> {
        let Files { model, weights, c_array, rust } = self.files();
        let named = [("--out", Some(model)), ("--safetensors", weights), ("--c-array", c_array), ("--rust", rust)];
        let mut seen: Vec<(&str, &Path)> = Vec::new();
        for (option, path) in named.into_iter().filter_map(|(option, path)| Some((option, path?))) {
            existing.check(path)?;
            if let Some((other, same)) = seen.iter().find(|(_, seen)| is_same_place(seen, path)) {
                bail!(
                    "{other} {} and {option} {} are the same file: give another name",
                    same.display(),
                    path.display()
                );
            }
            seen.push((option, path));
        }
        Ok(())
    }

    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        let files = self.files();
        self.check(existing)?;
        let mut candidate = Candidate::of(&self.run, self.precision.into())?;
        candidate.state(&self.statement())?;
        let exported = candidate.write(files, existing, &mut Notes)?;
        let mut text = format!(
            "{}: {} bytes of flash, {} bytes of scratch; a window that scores below {:.3} nats is anomalous (by {} calibration \
             windows)\n",
            exported.model.display(),
            exported.flash,
            exported.scratch,
            exported.threshold,
            exported.calibration_windows
        );
        if let Some(quantisation) = &exported.quantisation {
            quantisation_lines(quantisation, &mut text)?;
        }
        if !exported.calibrated {
            writeln!(
                text,
                "not calibrated: 1 % of normal windows are below the threshold; for a rate of false alarms, first: vae-train calibrate {} \
                 --normal HOLDOUT.csv --alarms 1/week",
                quoted(self.run.display())
            )?;
        }
        let model = exported.model.display();
        writeln!(text, "next: vae-train score {} NEW.csv --out scores.csv", quoted(&model))?;
        let written = [&exported.c_array, &exported.rust].into_iter().flatten();
        written
            .map(|path| path.display())
            .try_for_each(|path| writeln!(text, "      for the firmware's build: {path}"))?;
        writeln!(
            text,
            "      in the firmware: include_model!(\"{model}\"), then vae-train watch PORT to see its verdicts"
        )?;
        context.print(&exported, &text)
    }
}

/// Reads `column=unit`; a column's name may have a `=` in it.
fn unit(text: &str) -> Result<(String, String)> {
    let (column, unit) = text.rsplit_once('=').ok_or_else(|| anyhow!("give a column and its unit, as in x=g"))?;
    Ok((column.to_owned(), unit.to_owned()))
}

fn quantisation_lines(quantisation: &Quantisation, text: &mut String) -> Result<()> {
    let Quantisation { windows, layers, score_shift, spread, flipped } = quantisation;
    writeln!(text, "int8 against f32 on the held-out windows:")?;
    for LayerError { half, inputs, outputs, weights, output } in layers {
        writeln!(
            text,
            "  {half} {inputs:>5} → {outputs:<5} outputs off by {:.2} %; by this layer's weights alone {:.2} %",
            100.0 * output,
            100.0 * weights
        )?;
    }
    writeln!(
        text,
        "  scores shift by {:.4} nats on average, in magnitude by {:.4} (at most {:.4} for 95 % of the windows, {:.4} for all); their \
         interquartile range is {spread:.4}",
        score_shift.mean, score_shift.mean_magnitude, score_shift.magnitude_95, score_shift.largest
    )?;
    writeln!(text, "  the verdict flips on {flipped} of {windows} windows")?;
    Ok(())
}
