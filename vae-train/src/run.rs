//! The run directory: all that is needed to go on with a fit, to export its model, and to understand it a year later.
//!
//! - `checkpoint.bin`: configuration, schema, weights and optimiser state, replaced as a whole; what the verbs read
//! - `imported.bin`: in its place, a model that was trained elsewhere
//! - `extras.bin`: what was learned after the model: mixture, second stage, attributes
//! - `normal.bin`: the normal data that `calibrate` was given, and what was asked of it
//! - `holdout.safetensors`: the held-out normal windows, in physical units, that `export` calibrates on where there is no `normal.bin`
//! - `config.toml`, `metrics.csv`, `standardiser.csv`: the same for people; `summary.json`: what the fit came to, on which data
//! - `.lock`: locked by who uses the directory, as long as the process lives; holds the number of one that writes, and nothing else
//!
//! Each file is replaced as a whole. What a run begins with is put in place at once, without a checkpoint meanwhile: a process that is
//! killed leaves the old run, none, or the new one, and never parts of both.

pub mod export;
pub mod import;
pub mod quantisation;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    calibration::{Normal, Settings},
    config::Config,
    data::dataset::Schema,
    model::network::Architecture,
    run::import::Imported,
    tables::table::Table,
    training::{Checkpoint, extras::Extras},
    words::output::{Csv, Existing, Pending, check_parents, is_temporary, open_own, write_file},
};

const CHECKPOINT: &str = "checkpoint.bin";
const CONFIG: &str = "config.toml";
const IMPORTED: &str = "imported.bin";
const EXTRAS: &str = "extras.bin";
const HOLDOUT: &str = "holdout.safetensors";
const LOCK: &str = ".lock";
const METRICS: &str = "metrics.csv";
const NORMAL: &str = "normal.bin";
const STANDARDISER: &str = "standardiser.csv";
const SUMMARY: &str = "summary.json";
/// What a directory may hold whose run was never complete.
const PARTS: [&str; 4] = [EXTRAS, HOLDOUT, METRICS, STANDARDISER];
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

/// What a run directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Several processes may read.
    Read,
    /// One process writes, and no other reads.
    Write,
}

/// A run directory, locked until this is dropped.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    _lock: Option<Lock>,
}

/// A locked `.lock`; a writer's holds its number meanwhile.
#[derive(Debug)]
struct Lock {
    file: File,
    access: Access,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.access == Access::Write {
            // Only messages to others need it.
            let _ = self.file.set_len(0);
        }
    }
}

impl RunDirectory {
    /// Whether a directory may take a new run: it must not hold one yet unless `existing` says otherwise. Nothing is written.
    ///
    /// # Errors
    /// Says how to go on with the run that is there, or to replace it.
    pub fn check(path: &Path, existing: Existing) -> Result<()> {
        ensure!(!path.is_file(), "{} is a file: give the name of a run directory", path.display());
        check_parents(path)?;
        ensure!(
            !path.join(IMPORTED).exists(),
            "{} holds an imported model: give another name, or remove the directory",
            path.display()
        );
        if existing == Existing::Replace {
            return Ok(());
        }
        if path.join(CHECKPOINT).exists() {
            bail!("{} holds a run: --resume goes on with it, --force replaces it", path.display());
        }
        // A fit that was killed before its first checkpoint has left no run. Its first file is the holdout.
        let began = path.join(HOLDOUT).exists();
        let is_of_a_fit =
            |name: &str| name == LOCK || is_temporary(name) || (began && (name == CONFIG || PARTS.contains(&name)));
        for entry in path.read_dir().into_iter().flatten().flatten() {
            if !is_of_a_fit(&entry.file_name().to_string_lossy()) {
                bail!(
                    "{} is not empty and holds no run: give another name, or --force to write into it",
                    path.display()
                );
            }
        }
        Ok(())
    }

    /// A directory for a new run, made where it is missing.
    ///
    /// # Errors
    /// As [`Self::check`], and if another process uses it, or it cannot be written to.
    pub fn create(path: &Path, existing: Existing) -> Result<Self> {
        Self::check(path, existing)?;
        fs::create_dir_all(path).with_context(|| format!("cannot write {}", path.display()))?;
        let lock = lock(path, Access::Write)?;
        Self::check(path, existing)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Whether a directory may take an imported model, which may replace another import only. Nothing is written.
    ///
    /// # Errors
    /// If something else is there.
    pub fn check_imported(path: &Path, existing: Existing) -> Result<()> {
        check_parents(path)?;
        let is_import = path.join(IMPORTED).exists();
        let force = if is_import { ", or --force to replace the imported model" } else { "" };
        ensure!(
            if is_import { existing == Existing::Replace } else { Self::check(path, Existing::Keep).is_ok() },
            "{} exists: give another name{force}",
            path.display()
        );
        Ok(())
    }

    /// A directory for an imported model, made where it is missing.
    ///
    /// # Errors
    /// As [`Self::check_imported`], and if another process uses it, or it cannot be written to.
    pub fn create_imported(path: &Path, existing: Existing) -> Result<Self> {
        Self::check_imported(path, existing)?;
        fs::create_dir_all(path).with_context(|| format!("cannot write {}", path.display()))?;
        let lock = lock(path, Access::Write)?;
        Self::check_imported(path, existing)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Writes an imported model and its held-out normal windows, in physical units, in the place of what is there.
    ///
    /// # Errors
    /// If a file cannot be written; what was there is then still there.
    pub fn save_imported(&self, imported: &Imported, holdout: &[f32]) -> Result<()> {
        let bytes = postcard::to_allocvec(&(STATE_VERSION, imported)).context("cannot serialise the model")?;
        let parts = [
            self.pending_holdout(holdout, imported.mean.len())?,
            self.pending_extras(&Extras::default())?,
            self.pending(IMPORTED, |out| Ok(out.write_all(&bytes)?))?,
        ];
        self.remove(&[IMPORTED, NORMAL])?;
        parts.into_iter().try_for_each(Pending::publish)
    }

    /// A directory that holds an imported model, and the model; none where there is no such file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open_imported(path: &Path, access: Access) -> Result<Option<(Self, Imported)>> {
        let file = path.join(IMPORTED);
        if !file.exists() {
            return Ok(None);
        }
        let lock = lock(path, access)?;
        let damaged = || format!("{} is damaged or of another version of vae-train: import again", file.display());
        let bytes = fs::read(&file).with_context(damaged)?;
        let (version, imported) = postcard::from_bytes::<(u32, Imported)>(&bytes).with_context(damaged)?;
        ensure!(version == STATE_VERSION, "{}", damaged());
        Ok(Some((Self { path: path.to_owned(), _lock: lock }, imported)))
    }

    /// A directory that holds a run, and its state.
    ///
    /// # Errors
    /// If there is none, another process uses it, or it cannot be read.
    pub fn open(path: &Path, access: Access) -> Result<(Self, State)> {
        ensure!(
            !path.join(IMPORTED).exists(),
            "{} holds an imported model: it has no fit to go on with",
            path.display()
        );
        let file = path.join(CHECKPOINT);
        // Not before there is something to lock.
        let lock = if file.exists() { lock(path, access)? } else { None };
        let bytes = fs::read(&file).with_context(|| {
            format!("{} holds no run (no {CHECKPOINT}): make one with `vae-train fit DATA --out {0}`", path.display())
        })?;
        let damaged = || format!("{} is damaged or of another version of vae-train: fit again", file.display());
        let (version, _) = postcard::take_from_bytes::<u32>(&bytes).with_context(damaged)?;
        ensure!(version == STATE_VERSION, "{}", damaged());
        let state = postcard::from_bytes(&bytes).with_context(damaged)?;
        Ok((Self { path: path.to_owned(), _lock: lock }, state))
    }

    /// Begins a run with its first checkpoint, in the place of what is there. All is written before anything is removed, so that
    /// nothing is lost where the disk is full.
    ///
    /// # Errors
    /// If a file cannot be written; what was there is then still there.
    pub fn begin(
        &self,
        config: &Config,
        architecture: &Architecture,
        schema: &Schema,
        holdout: &[f32],
        checkpoint: &Checkpoint,
    ) -> Result<()> {
        let toml = toml::to_string_pretty(config).context("cannot serialise the configuration")?;
        let parts = [
            self.pending_holdout(holdout, schema.standardiser.mean.len() + schema.conditions.len())?,
            self.pending_extras(&Extras::default())?,
            self.pending(CONFIG, |out| Ok(out.write_all(toml.as_bytes())?))?,
            self.pending(STANDARDISER, |out| {
                let mut csv = Csv::under(["feature", "mean", "scale"], out)?;
                let constants = schema.standardiser.mean.iter().zip(&schema.standardiser.scale);
                for (feature, (mean, scale)) in schema.feature_names().iter().zip(constants) {
                    csv.write_record([feature, &mean.to_string(), &scale.to_string()])?;
                }
                csv.flush()
            })?,
            self.pending(METRICS, |out| write_metrics(checkpoint, out))?,
            self.pending_checkpoint(config, architecture, schema, checkpoint)?,
        ];
        self.remove(&[CHECKPOINT, SUMMARY, NORMAL])?;
        parts.into_iter().try_for_each(Pending::publish)
    }

    fn remove(&self, names: &[&str]) -> Result<()> {
        for path in names.iter().map(|name| self.path.join(name)).filter(|path| path.exists()) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    fn pending_holdout(&self, holdout: &[f32], inputs: usize) -> Result<Pending> {
        let shape = vec![holdout.len() / inputs, inputs];
        let tensor = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(holdout)).context("bad holdout")?;
        let holdout = safetensors::serialize([("holdout", tensor)], None).context("cannot serialise the holdout")?;
        self.pending(HOLDOUT, |out| Ok(out.write_all(&holdout)?))
    }

    fn pending_extras(&self, extras: &Extras) -> Result<Pending> {
        let bytes = postcard::to_allocvec(extras).context("cannot serialise the extras")?;
        self.pending(EXTRAS, |out| Ok(out.write_all(&bytes)?))
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
        self.pending_checkpoint(config, architecture, schema, checkpoint)?.publish()?;
        self.write(METRICS, |out| write_metrics(checkpoint, out))
    }

    fn pending_checkpoint(
        &self,
        config: &Config,
        architecture: &Architecture,
        schema: &Schema,
        checkpoint: &Checkpoint,
    ) -> Result<Pending> {
        let bytes = postcard::to_allocvec(&(STATE_VERSION, config, architecture, schema, checkpoint))
            .context("cannot serialise the checkpoint")?;
        self.pending(CHECKPOINT, |out| Ok(out.write_all(&bytes)?))
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
        let path = self.path.join(SUMMARY);
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
        self.pending_extras(extras)?.publish()
    }

    /// What the run learned after its model: nothing, where there is no such file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn extras(&self) -> Result<Extras> {
        let path = self.path.join(EXTRAS);
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
        let path = self.path.join(NORMAL);
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

    /// The held-out normal windows, in physical units.
    ///
    /// # Errors
    /// If the file is missing or damaged.
    pub fn holdout(&self) -> Result<Vec<f32>> {
        let path = self.path.join(HOLDOUT);
        let context = || format!("{} cannot be read: fit again", path.display());
        let bytes = fs::read(&path).with_context(context)?;
        let tensors = SafeTensors::deserialize(&bytes).with_context(context)?;
        let tensor = tensors.tensor("holdout").with_context(context)?;
        ensure!(tensor.dtype() == Dtype::F32, "{}", context());
        Ok(tensor.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
    }

    fn pending(&self, name: &str, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Pending> {
        Pending::write(&self.path.join(name), Existing::Replace, write)
    }

    fn write(&self, name: &str, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
        write_file(&self.path.join(name), Existing::Replace, write)
    }
}

fn write_metrics(checkpoint: &Checkpoint, out: &mut dyn Write) -> Result<()> {
    let mut csv = Csv::new(out);
    for metrics in &checkpoint.metrics {
        csv.serialize(metrics)?;
    }
    csv.flush()
}

/// Locks a run directory: the lock ends with the file that is returned, or with the process. None where there are no locks.
fn lock(path: &Path, access: Access) -> Result<Option<Lock>> {
    let name = path.join(LOCK);
    let own = |options: &mut fs::OpenOptions| open_own(&name, options);
    let mut file = match (own(File::options().read(true).write(true).create(true).truncate(false)), access) {
        (Ok(file), _) => file,
        (Err(error), Access::Write) => return Err(error).with_context(|| format!("cannot write {}", name.display())),
        // Who may not write into it reads it all the same.
        (Err(_), Access::Read) => match own(File::options().read(true)) {
            Ok(file) => file,
            // Not ours.
            Err(error) if error.kind() == io::ErrorKind::Other => {
                return Err(error).with_context(|| format!("cannot lock {}", name.display()));
            }
            Err(_) => return Ok(None),
        },
    };
    // Whose it is, is told before it is emptied.
    ensure!(
        number(&mut file).is_some(),
        "{} holds more than the number of a process, and is no file of vae-train: remove it, or move it elsewhere",
        name.display()
    );
    let locked = match access {
        Access::Read => file.try_lock_shared(),
        Access::Write => file.try_lock(),
    };
    match locked {
        Ok(()) => {}
        Err(TryLockError::Error(_)) => return Ok(None),
        Err(TryLockError::WouldBlock) => {
            let path = path.display();
            // Who reads has not left its number.
            if file.try_lock_shared().is_ok() {
                bail!("{path} is being read by another vae-train: wait until that has ended");
            }
            let number = number(&mut file).unwrap_or_default();
            // None, if it is about to end.
            let process = if number.is_empty() { number } else { format!(", process {number}") };
            bail!("{path} is in use by another vae-train{process}: wait until that has ended, or stop it");
        }
    }
    if access == Access::Write {
        let number = format!("{}\n", std::process::id());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(number.as_bytes()));
    }
    Ok(Some(Lock { file, access }))
}

/// The number of a process that a lock holds, which may be none; `None` for a file that holds anything else.
fn number(file: &mut File) -> Option<String> {
    /// No number of a process is longer.
    const DIGITS: u64 = 20;
    let mut text = Vec::new();
    // Where locks bind, nobody reads what another has locked: then it is one.
    let _ = file.rewind().and_then(|()| file.take(DIGITS + 2).read_to_end(&mut text));
    let digits = text.strip_suffix(b"\n").unwrap_or(&text);
    let is_number = digits.len() as u64 <= DIGITS && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| String::from_utf8_lossy(digits).into_owned())
}
