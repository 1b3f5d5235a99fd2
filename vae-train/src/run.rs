//! The run directory: all that is needed to go on with a fit, to export its model, and to understand it a year later.
//!
//! - `checkpoint.bin`: configuration, schema, weights and optimiser state, replaced as a whole; what the verbs read
//! - `imported.bin`: in its place, a model that was trained elsewhere
//! - `extras.bin`: what was learned after the model: mixture, second stage, attributes
//! - `normal.bin`: the normal data that `calibrate` was given, and what was asked of it
//! - `holdout.safetensors`: the held-out normal windows, in physical units, that `export` calibrates on where there is no `normal.bin`
//! - `config.toml`, `metrics.csv`, `standardiser.csv`: the same for people; `summary.json`: what the fit came to, on which data

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    calibration::{Normal, Settings},
    config::Config,
    dataset::Schema,
    extras::Extras,
    import::Imported,
    network::Architecture,
    output::{Existing, check_parents, write_file},
    table::Table,
    training::Checkpoint,
};

const CHECKPOINT: &str = "checkpoint.bin";
const IMPORTED: &str = "imported.bin";
const EXTRAS: &str = "extras.bin";
const NORMAL: &str = "normal.bin";
const SUMMARY: &str = "summary.json";
/// Changes with the layout of [`State`].
const STATE_VERSION: u32 = 3;

/// What `checkpoint.bin` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    version: u32,
    /// What was asked for.
    pub config: Config,
    /// What it came to for these data.
    pub architecture: Architecture,
    /// What the model knows of the data.
    pub schema: Schema,
    /// Weights and progress.
    pub checkpoint: Checkpoint,
}

/// A run directory.
#[derive(Clone, Debug)]
pub struct RunDirectory(PathBuf);

impl RunDirectory {
    /// A directory for a new run, which must not hold one yet unless `existing` says otherwise. Nothing is written.
    ///
    /// # Errors
    /// Says how to go on with the run that is there, or to replace it.
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        ensure!(!path.is_file(), "{} is a file: give the name of a run directory", path.display());
        check_parents(path)?;
        ensure!(
            !path.join(IMPORTED).exists(),
            "{} holds an imported model: give another name, or remove the directory",
            path.display()
        );
        if existing == Existing::Keep && path.join(CHECKPOINT).exists() {
            bail!("{} holds a run: --resume goes on with it, --force replaces it", path.display());
        }
        if existing == Existing::Keep && path.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            bail!("{} is not empty and holds no run: give another name, or --force to write into it", path.display());
        }
        Ok(Self(path.to_owned()))
    }

    /// A directory for an imported model: likewise, but it may replace another import only.
    ///
    /// # Errors
    /// If something else is there.
    pub fn create_imported(path: &Path, existing: Existing) -> Result<Self> {
        if existing == Existing::Replace && path.join(IMPORTED).exists() {
            return Ok(Self(path.to_owned()));
        }
        ensure!(
            !path.exists() || path.read_dir().is_ok_and(|mut entries| entries.next().is_none()),
            "{} exists: give another name{}",
            path.display(),
            if path.join(IMPORTED).exists() { ", or --force to replace the imported model" } else { "" }
        );
        Ok(Self(path.to_owned()))
    }

    /// Writes an imported model and its held-out normal windows, in physical units.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn save_imported(&self, imported: &Imported, holdout: &[f32]) -> Result<()> {
        let bytes = postcard::to_allocvec(&(STATE_VERSION, imported)).context("cannot serialise the model")?;
        self.forget_normal()?;
        self.save_extras(&Extras::default())?;
        self.save_holdout(holdout, imported.mean.len())?;
        self.write(IMPORTED, |out| Ok(out.write_all(&bytes)?))
    }

    /// A directory that holds an imported model, and the model; none where there is no such file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open_imported(path: &Path) -> Result<Option<(Self, Imported)>> {
        let file = path.join(IMPORTED);
        if !file.exists() {
            return Ok(None);
        }
        let damaged = || format!("{} is damaged or of another version of vae-train: import again", file.display());
        let bytes = fs::read(&file).with_context(damaged)?;
        let (version, imported) = postcard::from_bytes::<(u32, Imported)>(&bytes).with_context(damaged)?;
        ensure!(version == STATE_VERSION, "{}", damaged());
        Ok(Some((Self(path.to_owned()), imported)))
    }

    /// A directory that holds a run, and its state.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open(path: &Path) -> Result<(Self, State)> {
        ensure!(
            !path.join(IMPORTED).exists(),
            "{} holds an imported model: it has no fit to go on with",
            path.display()
        );
        let file = path.join(CHECKPOINT);
        let bytes = fs::read(&file).with_context(|| {
            format!("{} holds no run (no {CHECKPOINT}): make one with `vae-train fit DATA --out {0}`", path.display())
        })?;
        let damaged = || format!("{} is damaged or of another version of vae-train: fit again", file.display());
        let (version, _) = postcard::take_from_bytes::<u32>(&bytes).with_context(damaged)?;
        ensure!(version == STATE_VERSION, "{}", damaged());
        let state = postcard::from_bytes(&bytes).with_context(damaged)?;
        Ok((Self(path.to_owned()), state))
    }

    /// Writes what stays the same during a fit.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_inputs(&self, config: &Config, schema: &Schema, holdout: &[f32]) -> Result<()> {
        let toml = toml::to_string_pretty(config).context("cannot serialise the configuration")?;
        self.write("config.toml", |out| Ok(out.write_all(toml.as_bytes())?))?;
        self.write("standardiser.csv", |out| {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(["feature", "mean", "scale"])?;
            let constants = schema.standardiser.mean.iter().zip(&schema.standardiser.scale);
            for (feature, (mean, scale)) in schema.feature_names().iter().zip(constants) {
                csv.write_record([feature, &mean.to_string(), &scale.to_string()])?;
            }
            Ok(csv.flush()?)
        })?;
        self.save_holdout(holdout, schema.standardiser.mean.len() + schema.conditions.len())
    }

    fn save_holdout(&self, holdout: &[f32], inputs: usize) -> Result<()> {
        let shape = vec![holdout.len() / inputs, inputs];
        let tensor = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(holdout)).context("bad holdout")?;
        let bytes = safetensors::serialize([("holdout", tensor)], None).context("cannot serialise the holdout")?;
        self.write("holdout.safetensors", |out| Ok(out.write_all(&bytes)?))
    }

    /// Replaces the checkpoint, then the metrics that are derived from it.
    ///
    /// # Errors
    /// If a file cannot be written; the previous one is then still there.
    pub fn save(
        &self,
        config: &Config,
        architecture: &Architecture,
        schema: &Schema,
        checkpoint: &Checkpoint,
    ) -> Result<()> {
        let bytes = postcard::to_allocvec(&(STATE_VERSION, config, architecture, schema, checkpoint))
            .context("cannot serialise the checkpoint")?;
        self.write(CHECKPOINT, |out| Ok(out.write_all(&bytes)?))?;
        self.write("metrics.csv", |out| {
            let mut csv = csv::Writer::from_writer(out);
            for metrics in &checkpoint.metrics {
                csv.serialize(metrics)?;
            }
            Ok(csv.flush()?)
        })
    }

    /// Replaces the summary that people read.
    ///
    /// # Errors
    /// If the file cannot be written; the previous one is then still there.
    pub fn save_summary(&self, summary: &impl Serialize) -> Result<()> {
        self.write(SUMMARY, |out| Ok(serde_json::to_writer_pretty(out, summary)?))
    }

    /// What [`Self::save_summary`] wrote; nothing before the fit has ended.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn summary<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let path = self.0.join(SUMMARY);
        if !path.exists() {
            return Ok(None);
        }
        let context = || format!("{} cannot be read: vae-train fit --resume writes it anew", path.display());
        let bytes = fs::read(&path).with_context(context)?;
        serde_json::from_slice(&bytes).with_context(context)
    }

    /// Replaces what the run learned after its model.
    ///
    /// # Errors
    /// If the file cannot be written; the previous one is then still there.
    pub fn save_extras(&self, extras: &Extras) -> Result<()> {
        let bytes = postcard::to_allocvec(extras).context("cannot serialise the extras")?;
        self.write(EXTRAS, |out| Ok(out.write_all(&bytes)?))
    }

    /// What the run learned after its model: nothing, where there is no such file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn extras(&self) -> Result<Extras> {
        let path = self.0.join(EXTRAS);
        if !path.exists() {
            return Ok(Extras::default());
        }
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        postcard::from_bytes(&bytes)
            .with_context(|| format!("{} is damaged or of another version of vae-train: fit again", path.display()))
    }

    /// Replaces the normal data that `export` calibrates on.
    ///
    /// # Errors
    /// If the file cannot be written; the previous one is then still there.
    pub fn save_normal(&self, normal: &Normal) -> Result<()> {
        let Table { path, columns, values, labels } = &normal.table;
        let bytes = postcard::to_allocvec(&(STATE_VERSION, &normal.settings, path, columns, values, labels))
            .context("cannot serialise the normal data")?;
        self.write(NORMAL, |out| Ok(out.write_all(&bytes)?))
    }

    /// The normal data that `calibrate` has left; none where it has not been called.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn normal(&self) -> Result<Option<Normal>> {
        let path = self.0.join(NORMAL);
        if !path.exists() {
            return Ok(None);
        }
        let damaged = || format!("{} is damaged or of another version of vae-train: calibrate again", path.display());
        let bytes = fs::read(&path).with_context(damaged)?;
        let (version, _) = postcard::take_from_bytes::<u32>(&bytes).with_context(damaged)?;
        ensure!(version == STATE_VERSION, "{}", damaged());
        let (_, settings, path, columns, values, labels): (u32, Settings, _, _, _, _) =
            postcard::from_bytes(&bytes).with_context(damaged)?;
        Ok(Some(Normal { table: Table { path, columns, values, labels }, settings }))
    }

    /// Forgets the normal data, which were meant for a model that is being replaced.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub fn forget_normal(&self) -> Result<()> {
        let path = self.0.join(NORMAL);
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// The held-out normal windows, in physical units.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn holdout(&self) -> Result<Vec<f32>> {
        let path = self.0.join("holdout.safetensors");
        let context = || format!("{} cannot be read: fit again", path.display());
        let bytes = fs::read(&path).with_context(context)?;
        let tensors = SafeTensors::deserialize(&bytes).with_context(context)?;
        let tensor = tensors.tensor("holdout").with_context(context)?;
        ensure!(tensor.dtype() == Dtype::F32, "{}", context());
        Ok(tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn write(&self, name: &str, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        write_file(&self.0.join(name), Existing::Replace, write)
    }
}
