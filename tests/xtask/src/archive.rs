//! Archives whose bytes depend on nothing but the files in them: names in order, one time, one mode.

use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use flate2::{Compression, GzBuilder};
use zip::{ZipWriter, write::SimpleFileOptions};

/// Files by their path, with `/`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree(BTreeMap<String, File>);

#[derive(Clone, Debug)]
struct File {
    bytes: Vec<u8>,
    mode: u32,
}

/// A file that may be read by all.
const PLAIN: u32 = 0o644;
/// A program.
const PROGRAM: u32 = 0o755;
/// 1980-01-01, the first day that a zip file can name.
const TIME: u64 = 315_532_800;

impl Tree {
    /// Puts a file in.
    ///
    /// # Errors
    /// If there is one of this name.
    pub(crate) fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(path.into(), File { bytes: bytes.into(), mode: PLAIN })
    }

    /// Puts a program in.
    ///
    /// # Errors
    /// If there is a file of this name.
    pub(crate) fn add_program(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Result<()> {
        self.insert(path.into(), File { bytes: bytes.into(), mode: PROGRAM })
    }

    fn insert(&mut self, path: String, file: File) -> Result<()> {
        ensure!(!self.0.contains_key(&path), "{path} is packed twice");
        self.0.insert(path, file);
        Ok(())
    }

    /// The bytes of a file.
    #[cfg(test)]
    pub(crate) fn get(&self, path: &str) -> Option<&[u8]> {
        self.0.get(path).map(|file| &*file.bytes)
    }

    /// Names, in order.
    #[cfg(test)]
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All of it below a folder.
    pub(crate) fn below(self, folder: &str) -> Self {
        Self(self.0.into_iter().map(|(path, file)| (format!("{folder}/{path}"), file)).collect())
    }

    /// As a tar file in gzip.
    ///
    /// # Errors
    /// If a name is too long for it.
    pub(crate) fn tar_gz(&self) -> Result<Vec<u8>> {
        let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        let mut archive = tar::Builder::new(gzip);
        for (path, File { bytes, mode }) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(*mode);
            header.set_mtime(TIME);
            archive.append_data(&mut header, path, &**bytes).with_context(|| path.clone())?;
        }
        Ok(archive.into_inner()?.finish()?)
    }

    /// As a zip file.
    ///
    /// # Errors
    /// If there is too much for it.
    pub(crate) fn zip(&self) -> Result<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, File { bytes, mode }) in &self.0 {
            archive
                .start_file(&**path, SimpleFileOptions::default().unix_permissions(*mode).compression_level(Some(9)))?;
            archive.write_all(bytes)?;
        }
        Ok(archive.finish()?.into_inner())
    }
}

/// Writes a file whole or not at all.
///
/// # Errors
/// If the folder cannot be made, or the file not be written.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        let file = file.persist(path)?;
        readable(&file)?;
        Ok(())
    };
    write().with_context(|| path.display().to_string())
}

/// Lets all read a file that was temporary, and as such its owner's alone.
#[cfg(unix)]
fn readable(file: &fs::File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(PLAIN))
}

#[cfg(not(unix))]
fn readable(_: &fs::File) -> std::io::Result<()> {
    Ok(())
}

/// The files below a folder, in order, but for what is built.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path);
        } else if path.file_name().is_some_and(|name| name != "target") {
            files.extend(files_below(&path)?);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.add_program("b/second", *b"two").unwrap();
        tree.add("a", vec![7; 100_000]).unwrap();
        tree.below("root")
    }

    #[test]
    fn a_tar_file_holds_the_files_in_order_and_no_times_of_its_making() {
        let bytes = tree().tar_gz().unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*bytes));
        let entries = archive.entries().unwrap().map(|entry| {
            let mut entry = entry.unwrap();
            let (name, time) = (entry.path().unwrap().display().to_string(), entry.header().mtime().unwrap());
            let (mode, mut content) = (entry.header().mode().unwrap(), Vec::new());
            entry.read_to_end(&mut content).unwrap();
            (name, time, mode, content)
        });
        let expected = [
            ("root/a".to_owned(), TIME, PLAIN, vec![7; 100_000]),
            ("root/b/second".to_owned(), TIME, PROGRAM, b"two".to_vec()),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected);
        // Gzip's own time, and the system that it was made on (255: unknown).
        assert_eq!((&bytes[4..8], bytes[9]), (&[0; 4][..], 255));
    }

    #[test]
    fn a_zip_file_holds_the_files_in_order_and_no_times_of_its_making() {
        let mut archive = zip::ZipArchive::new(Cursor::new(tree().zip().unwrap())).unwrap();
        let entries: Vec<_> = (0..archive.len())
            .map(|index| {
                let mut file = archive.by_index(index).unwrap();
                let mut content = Vec::new();
                file.read_to_end(&mut content).unwrap();
                let day = file.last_modified().map(|time| (time.year(), time.month(), time.day()));
                (file.name().unwrap().into_owned(), day, file.unix_mode().unwrap() & 0o777, content)
            })
            .collect();
        let day = Some((1980, 1, 1));
        let expected = [
            ("root/a".to_owned(), day, PLAIN, vec![7; 100_000]),
            ("root/b/second".to_owned(), day, PROGRAM, b"two".to_vec()),
        ];
        assert_eq!(entries, expected);
    }

    #[test]
    fn a_name_is_packed_once() {
        let mut tree = Tree::default();
        tree.add("a", *b"1").unwrap();
        assert_eq!(tree.add("a", *b"2").unwrap_err().to_string(), "a is packed twice");
    }
}
