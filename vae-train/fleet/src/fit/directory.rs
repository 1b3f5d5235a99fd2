//! The folder of a fleet's models: what it was begun with, what is done, and what has failed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::words::output::{Existing, write_file};

/// What all machines' models are made by; a folder of models is of one of these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Patterns of files.
    pub history: Vec<String>,
    /// The column, or folder, that names the machine.
    pub by: String,
    /// The column of times.
    pub time: String,
    /// Seconds in a unit of a time that is a number.
    pub unit: f64,
    /// The columns that are modelled.
    pub columns: Vec<String>,
    /// The alarms that are accepted of each machine, as in `1/week`.
    pub alarms: Option<String>,
    /// Whether each machine has a model of its own.
    pub each: bool,
    /// Share of each machine's rows, the first ones, that is trained on; the rest calibrates.
    pub training_share: f64,
    /// Rows of the base model's sample.
    pub sample: u64,
    /// Fewest rows of a machine.
    pub least: u64,
    /// Seed of the sample and of the training.
    pub seed: u64,
    /// Windows of each machine's baseline; none where none is to be learnt.
    #[serde(default)]
    pub baseline: Option<u32>,
    /// Options for `vae-train fit`.
    pub options: Vec<String>,
}

/// What has come of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It has a model.
    Fitted {
        /// Its name.
        machine: String,
        /// Its rows.
        rows: u64,
        /// Mean of its calibration's −scores, in nats.
        nats: f32,
    },
    /// It has none.
    Failed {
        /// Its name.
        machine: String,
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// The machine's name.
    #[must_use]
    pub fn machine(&self) -> &str {
        match self {
            Self::Fitted { machine, .. } | Self::Failed { machine, .. } => machine,
        }
    }
}

/// A folder of models: `fleet.json`, `base/`, a `.vae` for each machine, perhaps a `.baseline`, and `outcomes/`.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Opens a folder, or begins one.
    ///
    /// # Errors
    /// If it was begun with other settings, or is none of this program's.
    pub fn open(root: &Path, settings: &Settings) -> Result<Self> {
        let directory = Self { root: root.to_owned() };
        let path = directory.root.join("fleet.json");
        if path.is_file() {
            let begun: Settings = read(&path)?;
            ensure!(
                begun == *settings,
                "{} was begun with other settings: {}; give the same ones to go on, or another --out",
                root.display(),
                differing(&begun, settings)
            );
            return Ok(directory);
        }
        let is_empty = !root.exists()
            || fs::read_dir(root).with_context(|| format!("cannot read {}", root.display()))?.next().is_none();
        ensure!(is_empty, "{} holds other files: give an empty folder, or one that this program began", root.display());
        write_file(
            &path,
            Existing::Keep,
            |out| Ok(out.write_all(serde_json::to_string_pretty(settings)?.as_bytes())?),
        )?;
        Ok(directory)
    }

    /// The run of the base model.
    #[must_use]
    pub fn base(&self) -> PathBuf {
        self.root.join("base")
    }

    /// Where a machine's model is to lie.
    #[must_use]
    pub fn model(&self, machine: &str) -> PathBuf {
        self.root.join(format!("{}.vae", file_name(machine)))
    }

    /// Where what is ordinary for a machine is to lie.
    #[must_use]
    pub fn baseline(&self, machine: &str) -> PathBuf {
        self.root.join(format!("{}.baseline", file_name(machine)))
    }

    /// A folder for what is on the way, beside the models so that renaming is possible; it vanishes when it is dropped.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn workshop(&self) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new().prefix(".vae-fleet-").tempdir_in(&self.root);
        made.with_context(|| format!("cannot make a folder in {}", self.root.display()))
    }

    /// Whether a machine has its model.
    ///
    /// # Errors
    /// If what is noted of it cannot be read.
    pub fn is_done(&self, machine: &str) -> Result<bool> {
        let path = self.outcome(machine);
        Ok(self.model(machine).is_file() && path.is_file() && matches!(read(&path)?, Outcome::Fitted { .. }))
    }

    /// Notes what has come of a machine.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn note(&self, outcome: &Outcome) -> Result<()> {
        let text = serde_json::to_string_pretty(outcome)?;
        write_file(&self.outcome(outcome.machine()), Existing::Replace, |out| Ok(out.write_all(text.as_bytes())?))
    }

    /// What has come of all machines so far, of all shards, by name.
    ///
    /// # Errors
    /// If what is noted cannot be read.
    pub fn outcomes(&self) -> Result<Vec<Outcome>> {
        let folder = self.root.join("outcomes");
        let mut outcomes = Vec::new();
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "json") {
                outcomes.push(read::<Outcome>(&path)?);
            }
        }
        outcomes.sort_by(|a, b| a.machine().cmp(b.machine()));
        Ok(outcomes)
    }

    /// Where the summary lies.
    #[must_use]
    pub fn summary(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    fn outcome(&self, machine: &str) -> PathBuf {
        self.root.join("outcomes").join(format!("{}.json", file_name(machine)))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged: remove it, and what it is of is done anew", path.display()))
}

/// Names of the settings that differ.
fn differing(a: &Settings, b: &Settings) -> String {
    let (Ok(serde_json::Value::Object(a)), Ok(serde_json::Value::Object(b))) =
        (serde_json::to_value(a), serde_json::to_value(b))
    else {
        return String::new();
    };
    let names = a.iter().filter(|(name, value)| b.get(*name) != Some(value)).map(|(name, _)| name.as_str());
    names.collect::<Vec<_>>().join(", ")
}

/// A machine's name as that of a file: other characters than letters, digits, `_`, `-` and `.` are escaped, so that two names stay two.
pub(super) fn file_name(machine: &str) -> String {
    let mut name = String::new();
    for (index, byte) in machine.bytes().enumerate() {
        // No hidden file, no folder above.
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) || (byte == b'.' && index > 0) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

/// Copies a folder's files, and those of the folders in it.
///
/// # Errors
/// If they cannot be read or written.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).with_context(|| format!("cannot read {}", entry.path().display()))?;
            write_file(&target, Existing::Keep, |out| Ok(out.write_all(&bytes)?))?;
        } else {
            bail!("{} is neither a file nor a folder", entry.path().display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain_and_stay_apart() {
        let cases =
            [("0007", "0007"), ("hall 2/pump", "hall%202%2Fpump"), ("..", "%2E."), ("a%20", "a%2520"), ("é", "%C3%A9")];
        for (machine, name) in cases {
            assert_eq!(file_name(machine), name);
        }
    }
}
