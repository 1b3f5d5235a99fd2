//! Output files: written whole or not at all.

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};

/// Whether an existing file may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// An existing file is an error.
    Keep,
    /// An existing file is replaced, once the new one is complete.
    Replace,
}

impl Existing {
    /// `Replace` for `--force`.
    #[must_use]
    pub fn from_force(force: bool) -> Self {
        if force { Self::Replace } else { Self::Keep }
    }

    /// Refuses a path that exists and must be kept, before any work is done for it.
    ///
    /// # Errors
    /// Names the file and the way out.
    pub fn check(self, path: &Path) -> Result<()> {
        if path.is_dir() {
            bail!("{} is a directory: give the name of a file", path.display());
        }
        if self == Self::Keep && path.exists() {
            bail!("{} exists: give another name, or --force to replace it", path.display());
        }
        check_parents(path)
    }
}

/// Refuses a path that leads through a file.
///
/// # Errors
/// Names the file.
pub fn check_parents(path: &Path) -> Result<()> {
    match path.ancestors().skip(1).find(|parent| parent.is_file()) {
        Some(file) => bail!("{} is a file and no directory: {} cannot be in it", file.display(), path.display()),
        None => Ok(()),
    }
}

/// Writes a file through `write`: to a temporary file beside it that is synced and then renamed, so that `path` never
/// holds half a result. Missing directories are made.
///
/// # Errors
/// If the file exists and must be kept, or cannot be written; then `path` is as it was.
pub fn write_file(path: &Path, existing: Existing, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    existing.check(path)?;
    write_with_mode(path, existing, 0o666, write) // less the umask, as any other program
}

/// Writes a file that only its owner may read and that replaces no other, as [`write_file`] does.
///
/// # Errors
/// If the file exists, or cannot be written.
pub fn write_secret(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    ensure!(!path.exists(), "{} exists, and a key is never overwritten: give another name", path.display());
    write_with_mode(path, Existing::Keep, 0o600, write)
}

#[cfg_attr(not(unix), expect(unused_variables))]
fn write_with_mode(
    path: &Path,
    existing: Existing,
    mode: u32,
    write: impl FnOnce(&mut dyn Write) -> Result<()>,
) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let context = || format!("cannot write {}", path.display());
    fs::create_dir_all(directory).with_context(context)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".vae-train-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    let mut file = builder.tempfile_in(directory).with_context(context)?;
    let mut buffer = BufWriter::new(file.as_file_mut());
    write(&mut buffer).with_context(context)?;
    buffer.flush().with_context(context)?;
    drop(buffer);
    file.as_file().sync_all().with_context(context)?;
    // `persist_noclobber` refuses a file that appeared meanwhile.
    let result = match existing {
        Existing::Keep => file.persist_noclobber(path).map(drop),
        Existing::Replace => file.persist(path).map(drop),
    };
    result.map_err(|error| error.error).with_context(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sub/out.csv");
        write_file(&path, Existing::Keep, |out| Ok(out.write_all(b"old")?)).unwrap();
        let result = write_file(&path, Existing::Replace, |out| {
            out.write_all(b"half")?;
            bail!("disk full")
        });
        assert!(format!("{:#}", result.unwrap_err()).contains("disk full"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let refused = write_file(&path, Existing::Keep, |_| Ok(())).unwrap_err();
        assert!(refused.to_string().contains("--force"), "{refused}");
    }
}
