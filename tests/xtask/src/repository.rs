//! The repository that is packed: where it is, and what its manifests say.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use toml::{Table, Value};

/// The repository that is packed.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    manifest: Table,
}

impl Repository {
    /// The one that this folder is in.
    ///
    /// # Errors
    /// If it is in none, or the manifest cannot be read.
    pub(crate) fn around(folder: &Path) -> Result<Self> {
        let is_root = |folder: &&Path| folder.join("vae-core/c/Cargo.toml").is_file();
        let root = folder.ancestors().find(is_root);
        let root = root.with_context(|| format!("{} is not in the repository: go there", folder.display()))?;
        Ok(Self { root: root.to_owned(), manifest: table(&root.join("Cargo.toml"))? })
    }

    /// The folder of all.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The version of all crates.
    ///
    /// # Errors
    /// If the manifest says none.
    pub(crate) fn version(&self) -> Result<&str> {
        self.package("version").and_then(Value::as_str).context("Cargo.toml has no workspace.package.version")
    }

    /// Where the repository is to be found, once its manifest says it.
    pub(crate) fn home(&self) -> Option<&str> {
        self.package("repository").and_then(Value::as_str)
    }

    /// What the workspace's manifest says for all crates.
    pub(crate) fn package(&self, key: &str) -> Option<&Value> {
        self.manifest.get("workspace")?.get("package")?.get(key)
    }

    /// The bytes of a file of the repository.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn read(&self, path: &str) -> Result<Vec<u8>> {
        let path = self.root.join(path);
        fs::read(&path).with_context(|| path.display().to_string())
    }
}

/// A TOML file.
///
/// # Errors
/// If it cannot be read, or is none.
pub(crate) fn table(path: &Path) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}
