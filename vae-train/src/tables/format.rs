//! The formats that a table is read from, told by a file's first bytes.

use std::path::{Path, PathBuf};

/// A format that a table is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableFormat {
    /// Text: a header and rows of numbers.
    Csv,
    /// MNIST's images.
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
    pub(crate) fn of_bytes(start: &[u8]) -> Self {
        match start {
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => Self::Npy,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Npz,
            // The second and third are for more than 4 GiB.
            [b'R', b'I', b'F', b'F', rest @ ..]
            | [b'R', b'F', b'6', b'4', rest @ ..]
            | [b'B', b'W', b'6', b'4', rest @ ..]
                if rest.get(4..8) == Some(b"WAVE") =>
            {
                Self::Wav
            }
            // A column may be named PAR1, too.
            [b'P', b'A', b'R', b'1', next, ..] if next.is_ascii_control() && !next.is_ascii_whitespace() => {
                Self::Parquet
            }
            [0, 0, 8, ..] => Self::Idx,
            _ => Self::Csv,
        }
    }

    /// The format that a file's name promises; `None` for names that promise nothing.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        match &*path.extension()?.to_str()?.to_ascii_lowercase() {
            "csv" => Some(Self::Csv),
            "npy" => Some(Self::Npy),
            "npz" => Some(Self::Npz),
            "wav" | "wave" => Some(Self::Wav),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Idx => "IDX",
            Self::Npy => "NPY",
            Self::Npz => "NPZ (a zip archive)",
            Self::Wav => "WAV",
            Self::Parquet => "Parquet",
        }
    }
}

/// The two parts of `data.npz:x_train`.
pub(crate) fn split_array(name: &Path) -> Option<(PathBuf, String)> {
    let (path, array) = name.to_str()?.rsplit_once(':')?;
    (TableFormat::of_name(Path::new(path)) == Some(TableFormat::Npz)).then(|| (path.into(), array.to_owned()))
}
