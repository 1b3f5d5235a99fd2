//! The formats that a table is read from, told by a file's first bytes.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Error, Result, anyhow, bail, ensure};

/// What compressed formats may unpack to: so many times the bytes of the file, or this much where that is more. Of noise, sensors' data
/// shrink by less than ten; a file that was made to fill the memory grows by a thousand.
const MOST_UNPACKED: (u64, u64) = (100, 1 << 28);

/// Refuses a file of so many bytes that unpacks to more than recordings do.
///
/// # Errors
/// Says how much, and what is taken.
pub(crate) fn check_unpacked(unpacked: u64, file: u64) -> Result<()> {
    if unpacked <= most_unpacked(file) { Ok(()) } else { Err(unpacks_to_too_much(unpacked, file)) }
}

/// What is said of a file of so many bytes that unpacks to so many.
pub(crate) fn unpacks_to_too_much(unpacked: u64, file: u64) -> Error {
    let (most, (times, least)) = (most_unpacked(file), MOST_UNPACKED);
    anyhow!(
        "it unpacks to {unpacked} bytes or more, and of a file of {file} bytes at most {most} are taken ({times} times the file, at least \
         {least}): save it without compression"
    )
}

/// Bytes that a compressed file of so many may unpack to.
pub(crate) fn most_unpacked(file: u64) -> u64 {
    file.saturating_mul(MOST_UNPACKED.0).max(MOST_UNPACKED.1)
}

/// A format that a table is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// Text: a header and rows of numbers.
    Csv,
    /// MNIST's images, plain or compressed with gzip.
    Idx,
    /// One array of NumPy.
    Npy,
    /// Several arrays of NumPy in a zip archive.
    Npz,
    /// A recording of sound or vibration.
    Wav,
    /// Columns of the Apache Arrow world (Cargo feature `parquet`).
    Parquet,
}

impl TableFormat {
    /// The format that a file's first bytes promise; CSV, which has none of its own, for all others.
    fn of_bytes(start: &[u8]) -> Self {
        match start {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Npy,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Npz,
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Self::Wav,
            // A column may be named PAR1, too.
            [b'P', b'A', b'R', b'1', next, ..] if next.is_ascii_control() && !next.is_ascii_whitespace() => {
                Self::Parquet
            }
            [0, 0, 8, ..] | [0x1F, 0x8B, ..] => Self::Idx,
            _ => Self::Csv,
        }
    }

    /// The format that a file's name promises; `None` for names that promise nothing.
    fn of_name(path: &Path) -> Option<Self> {
        match &*path.extension()?.to_str()?.to_ascii_lowercase() {
            "csv" => Some(Self::Csv),
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "wav" | "wave" => Some(Self::Wav),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Idx => "IDX or gzip",
            Self::Npy => "NPY",
            Self::Npz => "NPZ (a zip archive)",
            Self::Wav => "WAV",
            Self::Parquet => "Parquet",
        }
    }
}

/// A file that holds a table, by the name that a user gives.
#[derive(Clone, Debug)]
pub struct TableFile {
    /// The file.
    pub path: PathBuf,
    /// What it begins as.
    pub format: TableFormat,
    /// The array that is meant, of a name as in `data.npz:x_train`.
    pub array: Option<String>,
}

impl TableFile {
    /// Finds the file of this name and tells its format.
    ///
    /// # Errors
    /// If there is none, or its name promises another format than its first bytes.
    pub fn find(name: &Path) -> Result<Self> {
        let (path, array) = match split_array(name) {
            Some((path, array)) if !name.exists() => (path, Some(array)),
            _ => (name.to_owned(), None),
        };
        let context = || format!("cannot read {}", path.display());
        ensure!(
            !path.is_dir(),
            "{} is a directory: give the name of a file (CSV, NPY, NPZ, WAV, Parquet or IDX)",
            path.display()
        );
        // Its first bytes can be read only once, and the table is read after them.
        ensure!(
            path.is_file() || !path.exists(),
            "{} is no ordinary file, and a pipe can be read only once: save what comes of it to a file, and give that",
            path.display()
        );
        let mut start = Vec::new();
        File::open(&path).with_context(context)?.take(12).read_to_end(&mut start).with_context(context)?;
        let format = TableFormat::of_bytes(&start);
        match TableFormat::of_name(&path) {
            Some(promised) if promised != format && format == TableFormat::Csv => bail!(
                "{} is not {}, as its name says: its first bytes are {}; give a sound file, or rename it if it is CSV",
                path.display(),
                promised.name(),
                start.escape_ascii()
            ),
            Some(promised) if promised != format => bail!(
                "{} is named as {} but begins as {} does: rename it",
                path.display(),
                promised.name(),
                format.name()
            ),
            _ => Ok(Self { path, format, array }),
        }
    }
}

/// The two parts of `data.npz:x_train`.
fn split_array(name: &Path) -> Option<(PathBuf, String)> {
    let (path, array) = name.to_str()?.rsplit_once(':')?;
    (TableFormat::of_name(Path::new(path)) == Some(TableFormat::Npz)).then(|| (path.into(), array.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_unpacks_to_a_hundred_times_its_size_or_256_mib() {
        for (unpacked, file, is_taken) in [
            (1 << 28, 1, true),
            (1 + (1 << 28), 1, false),
            (580_000_000, 5_800_000, true),
            (6_000_000_000, 5_800_000, false),
        ] {
            assert_eq!(check_unpacked(unpacked, file).is_ok(), is_taken, "{unpacked}, {file}");
        }
        let message = check_unpacked(6_000_000_000, 5_800_000).unwrap_err().to_string();
        for part in ["unpacks to 6000000000 bytes", "of 5800000 bytes at most 580000000 are", "without compression"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(check_unpacked(u64::MAX - 1, u64::MAX).is_ok());
    }

    #[test]
    fn first_bytes_tell_the_format_and_a_name_that_says_otherwise_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let find = |name: &str, bytes: &[u8]| {
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            TableFile::find(&path).map(|file| file.format).map_err(|error| format!("{error:#}"))
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
        ];
        for (name, bytes, format) in cases {
            assert_eq!(find(name, bytes), Ok(format), "{name}");
        }
        assert!(find("b.csv", npy).unwrap_err().contains("named as CSV but begins as NPY does: rename it"));
        assert!(find("b.npy", wav).unwrap_err().contains("named as NPY but begins as WAV does"));
        let message = find("b.wav", b"a,b\n1,2\n").unwrap_err();
        assert!(message.contains("is not WAV, as its name says: its first bytes are a,b\\n1,2\\n"), "{message}");

        find("c.npz", zip).unwrap();
        let file = TableFile::find(&directory.path().join("c.npz:x_train")).unwrap();
        assert_eq!((file.format, file.array.as_deref()), (TableFormat::Npz, Some("x_train")));
    }
}
