//! Where a table is read from: a file, a pipe or standard input, plain or compressed. It is opened once, and read once from its beginning.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Cursor, IsTerminal, Read, Seek},
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::{Context, Result, bail, ensure};

use crate::tables::{
    format::{TableFormat, split_array},
    packed::{Packing, Unpacked},
    unread::Unread,
};

/// Bytes at the beginning that tell the format, and of CSV the separator.
pub(crate) const START: u64 = 8192;
/// What a user gives for standard input.
const STANDARD_INPUT: &str = "-";

/// An open file that holds a table; reading it gives its bytes, unpacked, from the first one on.
pub(crate) struct Source {
    /// For messages.
    pub(crate) name: PathBuf,
    /// What it begins as.
    pub(crate) format: TableFormat,
    /// The array that is meant, of a name as in `data.npz:x_train`.
    pub(crate) array: Option<String>,
    input: Box<dyn Read>,
    /// Its first bytes, unpacked.
    start: Vec<u8>,
    /// The file once more, where it can be read in any order as it is.
    file: Option<File>,
    /// Bytes that were read of the file, as it lies on the disk.
    read: Rc<Cell<u64>>,
    /// Bytes of the file; `None` for a pipe.
    length: Option<u64>,
}

/// How much of a source has been read.
pub(crate) struct Progress {
    read: Rc<Cell<u64>>,
    length: Option<u64>,
}

impl Progress {
    /// The part of the file that has been read, from 0 to 1; `None` for a pipe, whose length nobody knows.
    pub(crate) fn part(&self) -> Option<f64> {
        self.length.map(|length| (self.read.get() as f64 / length.max(1) as f64).min(1.0))
    }
}

/// A file that counts the bytes that are read of it.
struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.input.read(buffer)
    }
}

impl Source {
    /// Opens what a user names: a file, `-` for standard input, or an array of an archive as in `data.npz:x_train`.
    ///
    /// # Errors
    /// If it cannot be read, or its name promises another format than its first bytes.
    pub(crate) fn open(given: &Path) -> Result<Self> {
        let (path, array, mut file) = opened(given)?;
        let name = path.display();
        let context = || format!("cannot read {name}");
        let length = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
        // Standard input may be a file that another program has read a part of.
        let is_at_start = length.is_some() && file.stream_position().is_ok_and(|position| position == 0);
        let again = if is_at_start { file.try_clone().ok() } else { None };
        let read = Rc::new(Cell::new(0));
        let mut input: Box<dyn Read> = Box::new(Counted { file, read: read.clone() });
        let mut start = beginning(&mut input).with_context(context)?;
        let packing = Packing::of_bytes(&start);
        if let Some(packing) = packing {
            let whole = Cursor::new(start).chain(input);
            input = Box::new(Unpacked::new(packing, whole, read.clone(), length).with_context(context)?);
            start = beginning(&mut input).with_context(|| format!("{name} is damaged"))?;
            ensure!(
                Packing::of_bytes(&start).is_none(),
                "{name} is compressed twice: unpack it once (gzip -d, zstd -d)"
            );
        }
        if let Some(Unread { kind, advice }) = Unread::of_bytes(&start) {
            bail!("{name} is {kind}, and no table that is read: {advice}");
        }
        let format = TableFormat::of_bytes(&start);
        check_name(&path, packing, format, &start)?;
        let input = Box::new(Cursor::new(start.clone()).chain(input));
        let file = again.filter(|_| packing.is_none());
        Ok(Self { name: path, format, array, input, start, file, read, length })
    }

    /// Its first bytes, unpacked: 8 KiB, or all where there are fewer.
    pub(crate) fn start(&self) -> &[u8] {
        &self.start
    }

    /// How much of it has been read, to ask while it is.
    pub(crate) fn progress(&self) -> Progress {
        Progress { read: self.read.clone(), length: self.length }
    }

    /// A file that can be read in any order, and its length: itself, or else a copy in a temporary file, which has no name.
    ///
    /// # Errors
    /// If it cannot be read, or not be copied.
    pub(crate) fn into_file(mut self) -> Result<(File, u64)> {
        let (mut file, length) = match (self.file.take(), self.length) {
            (Some(file), Some(length)) => (file, length),
            _ => {
                let name = self.name.display().to_string();
                let context = || {
                    let format = self.format.name();
                    format!(
                        "{name}: {format} from a pipe, or compressed, goes through a temporary file, for which there is no room"
                    )
                };
                let mut copy = tempfile::tempfile().with_context(context)?;
                let length = io::copy(&mut self.input, &mut copy).with_context(|| format!("cannot read {name}"))?;
                (copy, length)
            }
        };
        file.rewind().with_context(|| format!("cannot read {}", self.name.display()))?;
        Ok((file, length))
    }
}

#[cfg(test)]
impl Source {
    /// A CSV file of these bytes, of a length that nobody knows.
    pub(crate) fn of_text(name: &str, text: &str) -> Self {
        let text = text.as_bytes();
        Self {
            name: name.into(),
            format: TableFormat::Csv,
            array: None,
            input: Box::new(Cursor::new(text.to_vec())),
            start: text[..text.len().min(START as usize)].to_vec(),
            file: None,
            read: Rc::default(),
            length: None,
        }
    }
}

/// What a user means by a name: the name for messages, the array, and the file, opened.
fn opened(given: &Path) -> Result<(PathBuf, Option<String>, File)> {
    if given.as_os_str() == STANDARD_INPUT {
        ensure!(
            !io::stdin().is_terminal(),
            "`-` is standard input, and that is a terminal: give the name of a file, or let a program write into it, as in `cat data.csv | \
             vae-train …`"
        );
        return Ok(("standard input".into(), None, standard_input().context("cannot read standard input")?));
    }
    let (path, array) = match split_array(given) {
        Some((path, array)) if !given.exists() => (path, Some(array)),
        _ => (given.to_owned(), None),
    };
    ensure!(
        !path.is_dir(),
        "{} is a directory: give the name of a file (CSV, NPY, NPZ, WAV, Parquet or IDX)",
        path.display()
    );
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok((path, array, file))
}

#[cfg(unix)]
fn standard_input() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

#[cfg(windows)]
fn standard_input() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

/// The first bytes of an input, as many as there are up to [`START`].
fn beginning(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut start = Vec::with_capacity(START as usize);
    input.take(START).read_to_end(&mut start)?;
    Ok(start)
}

/// Refuses a file that is something else than its name says.
fn check_name(path: &Path, packing: Option<Packing>, format: TableFormat, start: &[u8]) -> Result<()> {
    let name = path.display();
    let promised_packing = Packing::of_name(path);
    match (promised_packing, packing) {
        (Some(promised), None) => {
            bail!("{name} is named as {} but is not compressed: rename it", promised.name())
        }
        (Some(promised), Some(found)) if promised != found => {
            bail!("{name} is named as {} but begins as {} does: rename it", promised.name(), found.name())
        }
        _ => {}
    }
    let stem = if promised_packing.is_some() { path.file_stem().map(Path::new) } else { Some(path) };
    match stem.and_then(TableFormat::of_name) {
        Some(promised) if promised != format && format == TableFormat::Csv => bail!(
            "{name} is not {}, as its name says: its first bytes are {}; give a sound file, or rename it if it is CSV",
            promised.name(),
            start[..start.len().min(12)].escape_ascii()
        ),
        Some(promised) if promised != format => {
            bail!("{name} is named as {} but begins as {} does: rename it", promised.name(), format.name())
        }
        Some(promised) => match packing {
            Some(packing) if promised_packing.is_none() => bail!(
                "{name} is named as {} but is compressed with {}: rename it, or unpack it",
                promised.name(),
                packing.name()
            ),
            _ => Ok(()),
        },
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
        packed
    }

    #[test]
    fn first_bytes_tell_the_format_and_a_name_that_says_otherwise_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let open = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let mut source = Source::open(&path).map_err(|error| format!("{error:#}"))?;
            let mut read = Vec::new();
            source.read_to_end(&mut read).unwrap();
            Ok::<_, String>((source.format, read))
        };
        let (npy, zip, wav): (&[u8], &[u8], &[u8]) = (b"\x93NUMPY\x01\0", b"PK\x03\x04", b"RIFF\0\0\0\0WAVEfmt ");
        let cases = [
            ("a.npy", npy, TableFormat::Npy),
            ("a.NPZ", zip, TableFormat::Npz),
            ("a.wav", wav, TableFormat::Wav),
            ("a.parquet", b"PAR1\x15", TableFormat::Parquet),
            ("a.csv", b"a,b\n", TableFormat::Csv),
            ("a.txt", b"PAR1,b\n", TableFormat::Csv),
            ("images-idx3-ubyte", b"\0\0\x08\x03", TableFormat::Idx),
            ("a", npy, TableFormat::Npy),
            ("empty", b"", TableFormat::Csv),
        ];
        for (name, bytes, format) in cases {
            assert_eq!(open(name, bytes), Ok((format, bytes.to_vec())), "{name}");
            let zstd = zstd::encode_all(bytes, 1).unwrap();
            for (ending, packed) in [("gz", gzip(bytes)), ("zst", zstd)] {
                assert_eq!(open(&format!("{name}.{ending}"), &packed), Ok((format, bytes.to_vec())), "{name}.{ending}");
            }
        }
        for (name, bytes, expected) in [
            ("b.csv", npy.to_vec(), "named as CSV but begins as NPY does: rename it"),
            ("b.npy", wav.to_vec(), "named as NPY but begins as WAV does"),
            ("b.wav", b"a,b\n1,2\n".to_vec(), "is not WAV, as its name says: its first bytes are a,b\\n1,2\\n;"),
            ("b.csv.gz", gzip(npy), "named as CSV but begins as NPY does: rename it"),
            ("b.csv.gz", b"a,b\n".to_vec(), "named as gzip but is not compressed"),
            ("b.csv.zst", gzip(b"a,b\n"), "named as Zstandard but begins as gzip does"),
            ("b.csv", gzip(b"a,b\n"), "named as CSV but is compressed with gzip: rename it, or unpack it"),
            ("b.csv", b"PK\x03\x04[Content_Types].xml".to_vec(), "b.csv is an Excel workbook"),
            ("b.csv.gz", gzip(b"{\"a\": 1}\n"), "b.csv.gz is JSON, and no table that is read: pd.read_json"),
            ("b.gz", gzip(&gzip(b"a,b\n")), "is compressed twice"),
            ("b.gz", gzip(b"a,b\n")[..12].to_vec(), "b.gz is damaged: gzip cannot unpack it: it is damaged or cut off"),
        ] {
            let message = open(name, &bytes).unwrap_err();
            assert!(message.contains(expected) && message.contains(name), "{message}");
        }
    }

    #[test]
    fn an_array_is_named_behind_its_archive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.npz");
        std::fs::write(&path, b"PK\x03\x04").unwrap();
        let source = Source::open(&directory.path().join("c.npz:x_train")).unwrap();
        assert_eq!((source.format, source.array.as_deref(), &source.name), (TableFormat::Npz, Some("x_train"), &path));
        assert_eq!(source.into_file().unwrap().1, 4);
    }
}
