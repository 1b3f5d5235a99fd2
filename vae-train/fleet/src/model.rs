//! Model files, loaded once and shared by all that judge with them.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::SystemTime,
};

use anyhow::{Context, Result, bail, ensure};
use vae_core::{Model, Scratch, SignedModel};

/// A model file in memory that has passed its self-test on this machine.
#[derive(Debug)]
pub struct LoadedModel {
    path: PathBuf,
    /// Four-byte aligned, as the core reads weights in place.
    words: Vec<u32>,
    len: usize,
    channels: Vec<String>,
    conditions: Vec<String>,
}

impl LoadedModel {
    /// Reads a model file, with or without a signature, which is not checked: who judges a history does not install a model.
    ///
    /// # Errors
    /// If the file cannot be read, is no sound model, or does not give this machine the scores that it gave the one that exported it.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let file = fs::read(path).with_context(|| format!("cannot read the model {name}"))?;
        let bytes = match SignedModel::from_bytes(&file) {
            Ok(signed) if Model::from_bytes(signed.unverified()).is_ok() => signed.unverified(),
            _ => &file,
        };
        let mut words = vec![0_u32; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        let mut loaded =
            Self { path: path.to_owned(), words, len: bytes.len(), channels: Vec::new(), conditions: Vec::new() };
        let model = loaded.model().with_context(|| format!("{name} is no model that this program reads"))?;
        let mut memory = vec![0.0; model.scratch_len()];
        model
            .self_test(&mut Scratch::new(&mut memory))
            .with_context(|| format!("{name} does not pass its self-test on this machine"))?;
        let calibration = model.calibration().with_context(|| format!("{name} is faulty"))?;
        if calibration.scores() == 0 {
            bail!("{name} is not calibrated and cannot judge: run vae-train calibrate, and export it again");
        }
        let card = model.card().with_context(|| format!("{name} is faulty"))?;
        let names = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (channels, conditions) = (names(card.channels), names(card.conditions));
        let (named, held) = (channels.len() + conditions.len(), model.channels() + model.conditions());
        ensure!(named == held, "{name} names {named} columns and takes {held}: export it again");
        (loaded.channels, loaded.conditions) = (channels, conditions);
        Ok(loaded)
    }

    /// The model, a view of these bytes.
    ///
    /// # Errors
    /// Never for a file that [`Self::read`] accepted, unless memory is damaged.
    pub fn model(&self) -> Result<Model<'_>> {
        let bytes: &[u8] = bytemuck::cast_slice(&self.words);
        Ok(Model::from_bytes(bytes.get(..self.len).unwrap_or_default())?)
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the channels, in order.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.channels
    }

    /// Names of the columns that a row of a history needs for this model: channels, then conditions.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.channels.iter().chain(&self.conditions).map(String::as_str)
    }
}

/// What tells that a file is still the one that was read.
type Stamp = (Option<SystemTime>, u64);

/// What was read, by its path.
type Models = HashMap<PathBuf, (Stamp, Arc<LoadedModel>)>;

static MODELS: LazyLock<Mutex<Models>> = LazyLock::new(Mutex::default);

/// The model in this file: read anew only if the file has changed since it was read last.
///
/// # Errors
/// Those of [`LoadedModel::read`].
pub fn open(path: &Path) -> Result<Arc<LoadedModel>> {
    let file = fs::metadata(path).with_context(|| format!("cannot read the model {}", path.display()))?;
    let stamp = (file.modified().ok(), file.len());
    let mut models = MODELS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((read, model)) = models.get(path)
        && *read == stamp
    {
        return Ok(Arc::clone(model));
    }
    let model = Arc::new(LoadedModel::read(path)?);
    models.insert(path.to_owned(), (stamp, Arc::clone(&model)));
    Ok(model)
}
