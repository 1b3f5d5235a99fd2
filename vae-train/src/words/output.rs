//! Output files: written whole or not at all, and never through a link.
//!
//! What is written has a name that did not exist, in the directory that the user gives, and is then renamed: that replaces a link, and
//! leaves what it points to as it was. The one file that is opened where it lies, a run's lock, is looked at when it is open.

use std::{
    borrow::Cow,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf, absolute},
};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tempfile::{NamedTempFile, TempPath};

use crate::words::foreign::guarded;

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
        // A device or a pipe would be replaced, not written to.
        if path.exists() && !path.is_file() {
            bail!("{} is no ordinary file: give the name of one", path.display());
        }
        if self == Self::Keep && is_there(path) {
            bail!("{} exists: give another name, or --force to replace it", path.display());
        }
        check_parents(path)
    }
}

/// Whether there is anything of this name, if it were a link to nothing.
#[must_use]
pub fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Refuses a path that leads through a file.
///
/// # Errors
/// Names the file.
pub fn check_parents(path: &Path) -> Result<()> {
    match path.ancestors().skip(1).find(|parent| parent.is_file()) {
        Some(file) => {
            bail!("{} is a file, not a directory: {} cannot be written into it", file.display(), path.display())
        }
        None => Ok(()),
    }
}

/// Whether two paths name the same file, which need not exist, in the same directory.
#[must_use]
pub fn is_same_place(a: &Path, b: &Path) -> bool {
    let [a, b] = [a, b].map(|path| {
        let directory = parent(path);
        let directory = fs::canonicalize(directory).or_else(|_| absolute(directory));
        (directory.unwrap_or_default(), path.file_name())
    });
    a == b
}

/// Temporary files are named `.vae-train-` and six letters or digits.
const TEMPORARY: &str = ".vae-train-";
const RANDOM: usize = 6;

/// Whether a file of this name is one that a killed process may have left.
pub(crate) fn is_temporary(name: &str) -> bool {
    let random = name.strip_prefix(TEMPORARY);
    random.is_some_and(|random| random.len() == RANDOM && random.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// A file that is complete on disk, beside its place, and not yet in it; it vanishes unless it is [published](Self::publish).
#[derive(Debug)]
pub struct Pending {
    file: NamedTempFile,
    path: PathBuf,
    existing: Existing,
}

impl Pending {
    /// Writes what is to become `path` through `write`, and syncs it. Missing directories are made, and what killed processes have left
    /// in this one is removed.
    ///
    /// # Errors
    /// If the file exists and must be kept, or cannot be written.
    pub fn write(path: &Path, existing: Existing, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Self> {
        Self::with_mode(path, existing, 0o666, |out| write(out)) // less the umask, as any other program
    }

    fn with_mode(
        path: &Path,
        existing: Existing,
        mode: u32,
        write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
    ) -> Result<Self> {
        existing.check(path)?;
        let directory = parent(path);
        let context = || format!("cannot write {}", path.display());
        fs::create_dir_all(directory).with_context(context)?;
        remove_orphans(directory);
        let mut file = temporary(directory, mode).with_context(context)?;
        let mut buffer = BufWriter::new(file.as_file_mut());
        write(&mut buffer).with_context(context)?;
        buffer.flush().with_context(context)?;
        drop(buffer);
        file.as_file().sync_all().with_context(context)?;
        Ok(Self { file, path: path.to_owned(), existing })
    }

    /// Puts the file in its place, for good.
    ///
    /// # Errors
    /// If a file that must be kept has appeared there meanwhile, or it cannot be renamed; what is there is then as it was.
    pub fn publish(self) -> Result<()> {
        self.place().map(drop)
    }

    /// Puts the file in its place, as [`Self::publish`] does; returns it, open behind what was written.
    fn place(self) -> Result<File> {
        let Self { file, path, existing } = self;
        // `persist_noclobber` refuses a file that appeared meanwhile.
        let result = match existing {
            Existing::Keep => file.persist_noclobber(&path),
            Existing::Replace => file.persist(&path),
        };
        let file = result.map_err(|error| error.error).with_context(|| format!("cannot write {}", path.display()))?;
        // Else a power failure may take the new name back. Where directories cannot be synced, that is how it is.
        let _ = File::open(parent(&path)).and_then(|directory| directory.sync_all());
        Ok(file)
    }
}

/// Writes a file through `write`: to a temporary file beside it that is synced and then renamed, so that `path` never
/// holds half a result. Missing directories are made.
///
/// # Errors
/// If the file exists and must be kept, or cannot be written; then `path` is as it was.
pub fn write_file(path: &Path, existing: Existing, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    Pending::write(path, existing, write)?.publish()
}

/// Begins a file that grows in its place, for as long as the process likes; what stands in it at first is there at once or not at all.
///
/// # Errors
/// If the file exists and must be kept, or cannot be written.
pub fn begin_file(path: &Path, existing: Existing, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<File> {
    let file = Pending::write(path, existing, write)?.place()?;
    // Where locks bind, others may read it.
    let _ = file.unlock();
    Ok(file)
}

/// Writes a file that only its owner may read and that replaces no other, as [`write_file`] does.
///
/// # Errors
/// If the file exists, or cannot be written.
pub fn write_secret(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    ensure!(!is_there(path), "{} exists, and a key is never overwritten: give another name", path.display());
    Pending::with_mode(path, Existing::Keep, 0o600, |out| write(out))?.publish()
}

/// Writes a file as [`write_file`] does, for what writes from several threads.
///
/// # Errors
/// If the file exists and must be kept, or cannot be written; then `path` is as it was.
#[cfg(feature = "parquet")]
pub(crate) fn write_file_by(
    path: &Path,
    existing: Existing,
    write: impl FnOnce(&mut (dyn Write + Send)) -> Result<()>,
) -> Result<()> {
    Pending::with_mode(path, existing, 0o666, write)?.publish()
}

/// Gives a file of ours, which is complete on disk, another name.
///
/// # Errors
/// If there is a file of that name that must be kept, or it cannot be renamed; then it has the name that it had.
pub(crate) fn rename_file(from: &Path, to: &Path, existing: Existing) -> Result<()> {
    let context = || format!("cannot write {}", to.display());
    let file = TempPath::try_from_path(from).with_context(context)?;
    let renamed = match existing {
        Existing::Keep => file.persist_noclobber(to),
        Existing::Replace => file.persist(to),
    };
    renamed.map_err(|error| {
        // Else it would vanish.
        let _ = error.path.keep();
        anyhow::Error::new(error.error).context(context())
    })?;
    let _ = File::open(parent(to)).and_then(|directory| directory.sync_all());
    Ok(())
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A temporary file, locked as long as it is open: by that others know that it is not an orphan.
#[cfg_attr(not(unix), expect(unused_variables))]
fn temporary(directory: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(TEMPORARY).rand_bytes(RANDOM);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    loop {
        let file = builder.tempfile_in(directory)?;
        // Where there are no locks, nobody removes orphans.
        let is_locked = file.as_file().lock().is_ok();
        // Another process may have removed it before it was locked.
        if !is_locked || file.path().exists() {
            return Ok(file);
        }
    }
}

/// Opens a file of ours where it lies: an ordinary one of a single name, and no link. What is looked at is the open file, so that nobody
/// can put another in its place meanwhile.
///
/// # Errors
/// If it cannot be opened, or is something else.
pub(crate) fn open_own(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let refuse = |what: &str| Err(io::Error::other(format!("it is {what}, not a file of vae-train: remove it")));
    if path.is_symlink() {
        return refuse("a symbolic link");
    }
    // If it has become one since; and a pipe would be waited for.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return refuse("no ordinary file");
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&metadata) > 1 {
        return refuse("a second name of another file");
    }
    Ok(file)
}

/// A CSV file: a record a line, and no text in it that a spreadsheet takes for a formula.
#[derive(Debug)]
pub struct Csv<W: Write>(csv::Writer<W>);

impl<W: Write> Csv<W> {
    /// Writes to `out`.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn new(out: W) -> Self {
        Self(csv::Writer::from_writer(out))
    }

    /// Without the header that [`Self::serialize`] writes: where there is one already.
    #[expect(clippy::disallowed_methods, reason = "this is the place")]
    pub fn headless(out: W) -> Self {
        Self(csv::WriterBuilder::new().has_headers(false).from_writer(out))
    }

    /// Writes to `out` under these names. They are quoted, too, where they hold anything that separates fields in other files, so that a
    /// reader that looks for the separator finds the comma.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn under(names: impl IntoIterator<Item = impl AsRef<str>>, mut out: W) -> Result<Self> {
        let quoted = |name: Cow<'_, str>| match name.contains([',', ';', '\t', '"', '\r', '\n']) || name.is_empty() {
            true => format!("\"{}\"", name.replace('"', "\"\"")),
            false => name.into_owned(),
        };
        let names: Vec<String> = names.into_iter().map(|name| quoted(guarded(name.as_ref()))).collect();
        writeln!(out, "{}", names.join(","))?;
        Ok(Self::headless(out))
    }

    /// Writes fields, [`guarded`].
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_record(&mut self, fields: impl IntoIterator<Item = impl AsRef<str>>) -> Result<()> {
        for field in fields {
            self.0.write_field(&*guarded(field.as_ref()))?;
        }
        Ok(self.0.write_record(None::<&[u8]>)?)
    }

    /// Writes numbers under the names of their fields; text in them is a [`crate::words::foreign::Cell`].
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn serialize(&mut self, row: impl Serialize) -> Result<()> {
        Ok(self.0.serialize(row)?)
    }

    /// Writes what is buffered.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        Ok(self.0.flush()?)
    }
}

/// Removes the temporary files of processes that were killed, as far as that is possible.
fn remove_orphans(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_temporary(&entry.file_name().to_string_lossy())
            && let Ok(file) = open_own(&entry.path(), File::options().write(true))
            && file.try_lock().is_ok()
        {
            let _ = fs::remove_file(entry.path());
        }
    }
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

    #[test]
    fn a_file_that_is_renamed_replaces_none_that_is_kept_and_does_not_vanish() {
        let directory = tempfile::tempdir().unwrap();
        let [from, to] = ["a.part", "a"].map(|name| directory.path().join(name));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        assert!(rename_file(&from, &to, Existing::Keep).is_err());
        assert_eq!([&from, &to].map(|path| fs::read(path).unwrap()), [b"new", b"old"]);
        rename_file(&from, &to, Existing::Replace).unwrap();
        assert!(!from.exists() && fs::read(&to).unwrap() == b"new");
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        // Each open file has a lock of its own, as those of other processes have.
        let other = Pending::write(&path("a.csv"), Existing::Keep, |out| Ok(out.write_all(b"other")?)).unwrap();
        fs::write(path(".vae-train-orphan"), "half").unwrap();
        for name in [".vae-training", ".vae-train-notes.txt"] {
            fs::write(path(name), "not ours").unwrap();
        }
        write_file(&path("b.csv"), Existing::Keep, |out| Ok(out.write_all(b"b")?)).unwrap();
        assert!(!path(".vae-train-orphan").exists());
        assert!(path(".vae-training").exists() && path(".vae-train-notes.txt").exists());
        other.publish().unwrap();
        assert_eq!(fs::read(path("a.csv")).unwrap(), b"other");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
    }
}
