//! The repository that is packed: where it is, and what its manifests say.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use toml::{Table, Value};

/// The repository that this program was built from.
#[derive(Debug)]
pub(crate) struct Repository {
    root: PathBuf,
    manifest: Table,
}

impl Repository {
    /// The one that this program was built from.
    ///
    /// # Errors
    /// If its manifest cannot be read.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().with_context(|| format!("{} is not there any more", root.display()))?;
        let manifest = table(&root.join("Cargo.toml"))?;
        Ok(Self { root, manifest })
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

    /// Where the repository is to be found; empty as long as its manifest does not say it.
    pub(crate) fn home(&self) -> &str {
        self.package("repository").and_then(Value::as_str).unwrap_or_default()
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
