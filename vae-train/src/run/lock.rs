//! The lock of a run directory.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};

use crate::words::output::open_own;

/// The file that is locked; holds the number of a process that writes, and nothing else.
pub(super) const LOCK: &str = ".lock";

/// What a run directory is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Several processes may read.
    Read,
    /// One process writes, and no other reads.
    Write,
}

/// A locked `.lock`; a writer's holds its number meanwhile.
#[derive(Debug)]
pub(super) struct Lock {
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

/// Locks a run directory: the lock ends with the file that is returned, or with the process. None where there are no locks.
pub(super) fn lock(path: &Path, access: Access) -> Result<Option<Lock>> {
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
