//! A run directory: what is put there, and read again.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    calibration::Normal,
    config::Config,
    data::schema::Schema,
    model::architecture::Architecture,
    run::{
        import::imported::Imported,
        lock::{Access, LOCK, Lock, lock},
        normal_file,
        standing_out::StandingOut,
    },
    training::{checkpoint::Checkpoint, extras::Extras},
    words::output::{Csv, Existing, Pending, check_parents, is_temporary, write_file},
};

const CHECKPOINT: &str = "checkpoint.bin";
const CONFIG: &str = "config.toml";
const IMPORTED: &str = "imported.bin";
const EXTRAS: &str = "extras.bin";
const HOLDOUT: &str = "holdout.safetensors";
const METRICS: &str = "metrics.csv";
const NORMAL: &str = "normal.bin";
const STANDARDISER: &str = "standardiser.csv";
const SEARCH: &str = "auto.json";
const SUMMARY: &str = "summary.json";
/// What a directory may hold whose run was never complete.
const PARTS: [&str; 4] = [EXTRAS, HOLDOUT, METRICS, STANDARDISER];
/// Changes with the layout of [`State`].
const STATE_VERSION: u32 = 11;
/// From here on the configuration has sections.
const SECTIONS: u32 = 4;

/// What a run is made by, from its first epoch on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// What was asked for.
    pub config: Config,
    /// What it came to for these data.
    pub architecture: Architecture,
    /// What the model knows of the data.
    pub schema: Schema,
    /// Rows of the table that were left out, as they stand out of the others.
    pub trimmed: StandingOut,
    /// Whether the windows are read from blocks of a scratch file.
    pub in_blocks: bool,
}

/// What `checkpoint.bin` holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// What the run is made by.
    pub plan: Plan,
    /// Weights and progress.
    pub checkpoint: Checkpoint,
}

/// A run directory, locked until this is dropped.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    _lock: Option<Lock>,
}

impl RunDirectory {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

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
    /// If the directory holds something that must be kept, another process uses it, or it cannot be written to.
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
    /// If the directory holds anything but an import that may be replaced, another process uses it, or it cannot be written to.
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
        let imported = decode(&file, &read(&file)?, "import again")?;
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
        let state = decode(&file, &bytes, "fit again")?;
        Ok((Self { path: path.to_owned(), _lock: lock }, state))
    }

    /// Begins a run with its first checkpoint, in the place of what is there. All is written before anything is removed, so that
    /// nothing is lost where the disk is full.
    ///
    /// # Errors
    /// If a file cannot be written; what was there is then still there.
    pub fn begin(&self, plan: &Plan, holdout: &[f32], checkpoint: &Checkpoint) -> Result<()> {
        let schema = &plan.schema;
        let toml = toml::to_string_pretty(&plan.config).context("cannot serialise the configuration")?;
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
            self.pending_checkpoint(plan, checkpoint)?,
        ];
        self.remove(&[CHECKPOINT, SUMMARY, NORMAL, SEARCH])?;
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
    pub fn save(&self, plan: &Plan, checkpoint: &Checkpoint) -> Result<()> {
        self.pending_checkpoint(plan, checkpoint)?.publish()?;
        self.write(METRICS, |out| write_metrics(checkpoint, out))
    }

    fn pending_checkpoint(&self, plan: &Plan, checkpoint: &Checkpoint) -> Result<Pending> {
        let bytes =
            postcard::to_allocvec(&(STATE_VERSION, plan, checkpoint)).context("cannot serialise the checkpoint")?;
        self.pending(CHECKPOINT, |out| Ok(out.write_all(&bytes)?))
    }

    /// Replaces the summary that people read.
    ///
    /// # Errors
    /// If the file cannot be written; the previous one is then still there.
    pub fn save_summary(&self, summary: &impl Serialize) -> Result<()> {
        self.write(SUMMARY, |out| Ok(serde_json::to_writer_pretty(out, summary)?))
    }

    /// Keeps what a search has tried in a directory that holds a run; nothing where there is none.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save_search(path: &Path, search: &impl Serialize) -> Result<()> {
        if !path.join(CHECKPOINT).exists() {
            return Ok(());
        }
        write_file(&path.join(SEARCH), Existing::Replace, |out| Ok(serde_json::to_writer_pretty(out, search)?))
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
        self.write(NORMAL, |out| normal_file::write(normal, STATE_VERSION, out))
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
        let again = "calibrate again";
        let start = normal_file::start(&path)?;
        check_version(&path, &start, again)?;
        normal_file::open(&path, start).with_context(|| format!("{} is damaged: {again}", path.display())).map(Some)
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

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// What a file holds after the number of its layout; `again` says how to make it anew.
fn decode<T: DeserializeOwned>(path: &Path, bytes: &[u8], again: &str) -> Result<T> {
    let content = check_version(path, bytes, again)?;
    postcard::from_bytes(content).with_context(|| format!("{} is damaged: {again}", path.display()))
}

/// What stands behind the number of a file's layout, which must be this program's.
fn check_version<'b>(path: &Path, bytes: &'b [u8], again: &str) -> Result<&'b [u8]> {
    let damaged = || format!("{} is damaged: {again}", path.display());
    let (version, content) = postcard::take_from_bytes::<u32>(bytes).with_context(damaged)?;
    let lacks = if version < SECTIONS { ", which has no sections of settings yet" } else { "" };
    ensure!(
        version == STATE_VERSION,
        "{} is of another version of vae-train: it has layout {version}{lacks}, and this program reads layout {STATE_VERSION}; {again}",
        path.display()
    );
    Ok(content)
}
