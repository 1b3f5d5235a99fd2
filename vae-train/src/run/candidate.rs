//! The model of a run as it would be exported: calibrated, compared with the f32 model, and written.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use vae_core::format::Precision;

use crate::{
    calibration::{self, Normal},
    data::fingerprint::fingerprint_in_portions,
    file::{
        card::{Statement, TERMS, name},
        model_file::{AlignedFile, ModelFile},
        source_text::{c_header, identifier, rust_static},
    },
    run::{export::RunModel, lock::Access, quantisation::Quantisation, tensor_file::safetensors},
    tables::long_table::LongTable,
    training::listener::Listener,
    words::output::{Existing, write_file},
};

/// What happens to what speaks against a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubts {
    /// It is an error.
    Refuse,
    /// It is said, and the step is taken all the same.
    Accept,
}

impl Doubts {
    /// As `--force` asks.
    #[must_use]
    pub fn from_force(force: bool) -> Self {
        if force { Self::Accept } else { Self::Refuse }
    }

    /// Passes what has no doubts, and what is accepted.
    ///
    /// # Errors
    /// What speaks against it, unless it is accepted.
    pub fn pass(self, checked: Result<()>, listener: &mut dyn Listener) -> Result<()> {
        match (checked, self) {
            (Err(refusal), Self::Accept) => listener.note(&format!("taken with --force, although {refusal:#}")),
            (Err(refusal), Self::Refuse) => bail!("{refusal:#}; --force takes it as it is"),
            (Ok(()), _) => {}
        }
        Ok(())
    }
}

/// Where a model is written, and in which forms.
#[derive(Clone, Copy, Debug)]
pub struct Files<'p> {
    /// The model file.
    pub model: &'p Path,
    /// Its f32 weights, as safetensors.
    pub weights: Option<&'p Path>,
    /// The model file's bytes as a C header with a constant array, named as the header.
    pub c_array: Option<&'p Path>,
    /// The model file's bytes as a Rust module with a static, named as the module.
    pub rust: Option<&'p Path>,
}

impl<'p> Files<'p> {
    /// Nothing but the model file.
    #[must_use]
    pub const fn model(model: &'p Path) -> Self {
        Self { model, weights: None, c_array: None, rust: None }
    }

    /// Writes the model file's bytes in the forms that are asked for; the fingerprint is the model's.
    fn write(&self, bytes: &[u8], fingerprint: u32, existing: Existing) -> Result<()> {
        write_file(self.model, existing, |out| Ok(out.write_all(bytes)?))?;
        let name = |path: &Path| identifier(&path.file_stem().unwrap_or_default().to_string_lossy());
        let comment = |opened: &str| {
            let (file, version) = (self.model.file_name().unwrap_or_default().display(), env!("CARGO_PKG_VERSION"));
            format!("{file} of fingerprint {fingerprint:08x}, by vae-train {version}: {opened}.")
        };
        if let Some(path) = self.c_array {
            let name = name(path);
            let opened = format!("vae_model_open(&model, {name}, {}_LEN)", name.to_uppercase());
            write_file(path, existing, |out| Ok(out.write_all(c_header(&name, &comment(&opened), bytes).as_bytes())?))?;
        }
        if let Some(path) = self.rust {
            let name = name(path);
            let opened = format!("`Model::from_bytes(&{}.0)`", name.to_uppercase());
            write_file(path, existing, |out| {
                Ok(out.write_all(rust_static(&name, &comment(&opened), bytes).as_bytes())?)
            })?;
        }
        Ok(())
    }
}

/// What was written.
#[derive(Debug, Serialize)]
pub struct Exported {
    /// The model file.
    pub model: PathBuf,
    /// The C header, where one was asked for.
    pub c_array: Option<PathBuf>,
    /// The Rust module, where one was asked for.
    pub rust: Option<PathBuf>,
    /// Bytes of the file, and of the flash that it takes.
    pub flash: usize,
    /// Bytes of scratch that scoring needs.
    pub scratch: usize,
    /// ELBO below which a window is anomalous, in nats.
    pub threshold: f32,
    /// Normal windows behind the threshold.
    pub calibration_windows: u32,
    /// Whether it was calibrated on data of its own, by `calibrate`.
    pub calibrated: bool,
    /// What int8 changes; none for f32.
    pub quantisation: Option<Quantisation>,
}

/// The model of a run as it would be exported, and what is known of it.
#[derive(Debug)]
pub struct Candidate {
    /// Where it is from.
    pub run: RunModel,
    /// Calibrated, with golden vectors.
    pub file: ModelFile,
    /// None where the run has not been calibrated.
    pub calibration: Option<calibration::Report>,
    /// What int8 changes; none for f32.
    pub quantisation: Option<Quantisation>,
}

impl Candidate {
    /// The model of a run directory, calibrated on the normal data that the run keeps or else on its held-out windows.
    ///
    /// # Errors
    /// If the directory holds no run, or its windows cannot be scored.
    pub fn of(run: &Path, precision: Precision) -> Result<Self> {
        let run = RunModel::open(run, Access::Read)?;
        let normal = run.directory.normal()?;
        Self::calibrated(run, normal.as_ref(), precision)
    }

    /// The model of a run directory as int8, or as f32 where int8 changes too many verdicts, with what int8 changes.
    ///
    /// # Errors
    /// If the directory holds no run, or its windows cannot be scored.
    pub fn fit_to_export(run: &Path) -> Result<Self> {
        let candidate = Self::of(run, Precision::Int8)?;
        match candidate.check() {
            Ok(()) => Ok(candidate),
            Err(_) => Ok(Self { quantisation: candidate.quantisation, ..Self::of(run, Precision::F32)? }),
        }
    }

    /// With a calibration on these normal data, whether the run keeps them or not.
    ///
    /// # Errors
    /// If they cannot be scored, or do not support what is asked of the calibration.
    pub fn calibrated(run: RunModel, normal: Option<&Normal>, precision: Precision) -> Result<Self> {
        let (mut file, calibration) = run.calibrated(normal, precision)?;
        let quantisation = match precision {
            Precision::F32 => None,
            Precision::Int8 => {
                let (reference, _) = run
                    .calibrated(normal, Precision::F32)
                    .context("the f32 model, which the int8 model is compared with")?;
                Some(Quantisation::measure(&file, &reference, &run.holdout)?)
            }
        };
        let calibrated = normal.map(|normal| &normal.table).zip(calibration.as_ref());
        file.metrics.extend(judged(run.holdout_windows(), quantisation.as_ref(), calibrated)?);
        Ok(Self { run, file, calibration, quantisation })
    }

    /// Puts what the model's maker says of it on its card.
    ///
    /// # Errors
    /// If a text is too long or of several lines, or a unit is of no column.
    pub fn state(&mut self, statement: &Statement) -> Result<()> {
        let columns: Vec<&str> = self.file.channels.iter().chain(&self.file.conditions).map(String::as_str).collect();
        let lines = statement.lines(&columns)?;
        self.file.metrics.extend(lines);
        Ok(())
    }

    /// Refuses a model that int8 changes too much.
    ///
    /// # Errors
    /// Says how many verdicts it flips.
    pub fn check(&self) -> Result<()> {
        self.quantisation.as_ref().map_or(Ok(()), Quantisation::check)
    }

    /// Writes the model in these forms; with `Existing::Replace`, what `--force` asks for, also a model that int8 changes too much.
    ///
    /// # Errors
    /// If the model is refused, or a file exists or cannot be written.
    pub fn write(&self, files: Files<'_>, existing: Existing, listener: &mut dyn Listener) -> Result<Exported> {
        match (self.check(), existing) {
            (Err(refusal), Existing::Keep) => bail!("{refusal:#}; --force writes it all the same"),
            (Err(refusal), Existing::Replace) => {
                listener.note(&format!("written with --force, although {refusal}"));
            }
            (Ok(()), _) => {}
        }
        let bytes = self.file.to_bytes()?;
        let aligned = AlignedFile::new(&bytes);
        let model = aligned.model()?;
        files.write(&bytes, model.fingerprint(), existing)?;
        if let Some(weights) = files.weights {
            let bytes = safetensors(&self.file)?;
            write_file(weights, existing, |out| Ok(out.write_all(&bytes)?))?;
        }
        let calibration = model.calibration()?;
        Ok(Exported {
            model: files.model.to_owned(),
            c_array: files.c_array.map(Path::to_owned),
            rust: files.rust.map(Path::to_owned),
            flash: model.flash_len(),
            scratch: 4 * model.scratch_len(),
            threshold: calibration.threshold(),
            calibration_windows: calibration.scores(),
            calibrated: self.calibration.is_some(),
            quantisation: self.quantisation.clone(),
        })
    }
}

/// The card's lines on how the model was judged, and on what it is for.
fn judged(
    held_out: usize,
    quantisation: Option<&Quantisation>,
    calibrated: Option<(&LongTable<'_>, &calibration::Report)>,
) -> Result<Vec<String>> {
    let mut lines = vec![format!("{} {held_out}", name::HELD_OUT)];
    if let Some(Quantisation { flipped, score_shift, .. }) = quantisation {
        lines.push(format!("{} {flipped}", name::INT8_FLIPPED));
        lines.push(format!("{} {:.4}", name::INT8_SHIFT, score_shift.mean_magnitude));
    }
    if let Some((table, report)) = calibrated {
        lines.push(format!("{} {}", name::CALIBRATED_ON, fingerprint_in_portions(table)?));
        let known = report.alarms.map(|(_, (low, high))| format!("{} {low:.3e} {high:.3e}", name::FALSE_ALARMS));
        lines.extend(known);
    }
    lines.push(format!("{} {}", name::TERMS, TERMS.number));
    Ok(lines)
}

/// Calibrates a run's model on normal data, which the run keeps for `export`.
///
/// # Errors
/// If the data do not support what is asked, or `export` would refuse the model, unless such doubts are accepted; if the run cannot be
/// written.
pub fn calibrate(
    run: RunModel,
    normal: &Normal,
    precision: Precision,
    doubts: Doubts,
    listener: &mut dyn Listener,
) -> Result<calibration::Report> {
    // The very model that export will write, judged as there.
    let candidate = Candidate::calibrated(run, Some(normal), precision)?;
    let exported = candidate.check().context("export would refuse this model");
    let Candidate { run, calibration: Some(report), .. } = candidate else { bail!("there are no normal data") };
    report.notes.iter().for_each(|message| listener.note(message));
    doubts.pass(report.refusal.as_ref().map_or(Ok(()), |refusal| Err(anyhow!("{refusal}"))), listener)?;
    doubts.pass(exported, listener)?;
    run.directory.save_normal(normal)?;
    Ok(report)
}
