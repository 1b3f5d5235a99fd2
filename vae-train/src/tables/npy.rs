//! NPY: an array of NumPy in a file.
//!
//! # Source
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1.0 to 3.0.

use std::{io::Read, path::Path};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    tables::{
        growth::{Expected, reserve},
        packed::check_unpacked,
        recording::{Label, Recording},
        source::Source,
        table::MAX_FEATURES,
    },
    words::foreign::excerpt,
};

/// Longest header that is read: those of arrays of numbers have some hundred bytes.
const MOST_HEADER_BYTES: u64 = 1 << 16;
/// Values that are converted at once.
const CHUNK: usize = 8192;

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Signed,
    Unsigned,
    Float,
}

/// What an array's header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    kind: Kind,
    /// Bytes of an element.
    size: usize,
    is_big_endian: bool,
    is_column_major: bool,
    pub(crate) shape: Vec<usize>,
}

/// A two-dimensional array; one of one dimension is a column.
pub(crate) struct Array {
    pub(crate) columns: usize,
    /// Row after row.
    pub(crate) values: Vec<f32>,
}

/// Reads an NPY file as a table: rows of columns `x0`, `x1`, …; an array of one dimension is one column.
///
/// # Errors
/// Says what the file holds and what is accepted.
pub(crate) fn read_npy(source: Source, label: Label<'_>) -> Result<Recording> {
    let path = source.name.clone();
    let array = Array::read(source, &path, None).with_context(|| path.display().to_string())?;
    Recording::of_columns(&path, names(array.columns), array.values, label)
}

/// Names of so many columns.
pub(crate) fn names(columns: usize) -> Vec<String> {
    (0..columns).map(|column| format!("x{column}")).collect()
}

impl Header {
    pub(crate) fn read(input: &mut impl Read) -> Result<Self> {
        let mut start = [0; 8];
        input.read_exact(&mut start).context("it ends in the header")?;
        let [0x93, b'N', b'U', b'M', b'P', b'Y', major, _] = start else {
            bail!("it does not begin as an NPY file does");
        };
        let mut length = [0; 4];
        let digits = match major {
            1 => 2,
            2 | 3 => 4,
            _ => bail!("its NPY version is {major}: 1 to 3 are known; save it again with np.save"),
        };
        input.read_exact(&mut length[..digits]).context("it ends in the header")?;
        let length = u64::from(u32::from_le_bytes(length));
        ensure!(length <= MOST_HEADER_BYTES, "its header has {length} bytes: an array of numbers has some hundred");
        let mut text = Vec::new();
        input.take(length).read_to_end(&mut text).context("it ends in the header")?;
        ensure!(text.len() as u64 == length, "it ends in the header");
        Self::parse(&String::from_utf8_lossy(&text))
    }

    /// The dictionary that a header is, as in `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Result<Self> {
        let entry = |key: &str| {
            let quoted = [format!("'{key}':"), format!("\"{key}\":")];
            let rest = quoted.iter().find_map(|key| text.split_once(&**key)).map(|(_, rest)| rest.trim_start());
            rest.with_context(|| format!("its header has no `{key}`: {}", excerpt(text.trim())))
        };
        let (descr, order, shape) = (entry("descr")?, entry("fortran_order")?, entry("shape")?);
        let accepted = "numbers of 8 to 64 bits and bool are accepted: convert it with a.astype('f4')";
        let quote = descr.chars().next().filter(|quote| ['\'', '"'].contains(quote));
        let Some(descr) = quote.and_then(|quote| descr[1..].split_once(quote)).map(|(descr, _)| descr) else {
            bail!(
                "its elements are records: {accepted}, or make columns of the fields with \
                 numpy.lib.recfunctions.structured_to_unstructured(a)"
            );
        };
        let (byte_order, kind) = match descr.strip_prefix(['<', '>', '|', '=']) {
            Some(kind) => (&descr[..1], kind),
            None => ("=", descr),
        };
        let (kind, size) = match kind {
            "b1" | "?" => (Kind::Bool, 1),
            "i1" | "i2" | "i4" | "i8" => (Kind::Signed, kind.as_bytes()[1] - b'0'),
            "u1" | "u2" | "u4" | "u8" => (Kind::Unsigned, kind.as_bytes()[1] - b'0'),
            "f4" | "f8" => (Kind::Float, kind.as_bytes()[1] - b'0'),
            _ => bail!("its elements are `{}`: {accepted}", excerpt(descr)),
        };
        let dimensions = shape.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(inside, _)| inside);
        let shape: Option<Vec<usize>> = dimensions.and_then(|inside| {
            let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
            sizes.map(|size| size.trim_end_matches('L').parse().ok()).collect()
        });
        Ok(Self {
            kind,
            size: usize::from(size),
            is_big_endian: byte_order == ">",
            is_column_major: match order {
                order if order.starts_with("True") => true,
                order if order.starts_with("False") => false,
                _ => bail!("its header does not say `fortran_order` True or False: {}", excerpt(text.trim())),
            },
            shape: shape.with_context(|| format!("its header has no valid shape: {}", excerpt(text.trim())))?,
        })
    }

    /// Rows and columns of the table that it is.
    pub(crate) fn rows_and_columns(&self) -> Result<(usize, usize)> {
        let (rows, columns) = match self.shape[..] {
            [rows] => (rows, 1),
            [rows, columns] => (rows, columns),
            [first, second, third] => bail!(
                "its shape is ({first}, {second}, {third}) and a table has two dimensions: {first} windows of {second} samples × \
                 {third} channels become one with a.reshape(-1, {third}), fit --window {second} --hop {second}; {first} images \
                 with a.reshape({first}, -1)"
            ),
            _ => bail!("its shape is {} and a table has two dimensions, rows × columns: reshape it", self.shape()),
        };
        ensure!(rows > 0 && columns > 0, "its shape is {}: it holds no value", self.shape());
        ensure!(
            columns <= MAX_FEATURES,
            "its shape is {}, rows × columns: at most {MAX_FEATURES} columns fit into a model (is it to be transposed, a.T?)",
            self.shape()
        );
        Ok((rows, columns))
    }

    /// As it is written, or its beginning: a header may have thousands of dimensions.
    pub(crate) fn shape(&self) -> String {
        excerpt(&format!("{:?}", self.shape))
    }

    fn value(&self, bytes: &[u8]) -> f32 {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        if self.is_big_endian {
            padded[..bytes.len()].reverse();
        }
        let [a, b, c, d, ..] = padded;
        match (self.kind, self.size) {
            (Kind::Bool, _) => f32::from(u8::from(a != 0)),
            (Kind::Unsigned, _) => u64::from_le_bytes(padded) as f32,
            (Kind::Signed, 1) => f32::from(i8::from_le_bytes([a])),
            (Kind::Signed, 2) => f32::from(i16::from_le_bytes([a, b])),
            (Kind::Signed, 4) => i32::from_le_bytes([a, b, c, d]) as f32,
            (Kind::Signed, _) => i64::from_le_bytes(padded) as f32,
            (Kind::Float, 4) => f32::from_le_bytes([a, b, c, d]),
            (Kind::Float, _) => f64::from_le_bytes(padded) as f32,
        }
    }
}

impl Array {
    /// Reads to the end of the input, of a file that may be compressed into so many bytes. Memory grows with what has been read, whatever
    /// the header says.
    pub(crate) fn read(mut input: impl Read, path: &Path, compressed: Option<u64>) -> Result<Self> {
        let header = Header::read(&mut input)?;
        let (rows, columns) = header.rows_and_columns()?;
        let count = rows.checked_mul(columns).filter(|count| count.checked_mul(header.size).is_some());
        let count = count.with_context(|| format!("its shape {} is too large for any file", header.shape()))?;
        if let Some(file) = compressed {
            check_unpacked((count * header.size) as u64, file)?;
        }
        let mut values = Vec::new();
        let mut bytes = Vec::new();
        while values.len() < count {
            let wanted = (count - values.len()).min(CHUNK) * header.size;
            bytes.clear();
            input.by_ref().take(wanted as u64).read_to_end(&mut bytes).context("it cannot be read to its end")?;
            reserve(&mut values, bytes.len() / header.size, || Expected::Count(count), path)?;
            values.extend(bytes.chunks_exact(header.size).map(|bytes| header.value(bytes)));
            ensure!(
                bytes.len() == wanted,
                "its shape {} needs {count} values and there are {}: it was cut off",
                header.shape(),
                values.len()
            );
        }
        // Of an archive's member this also lets its checksum be compared.
        let more = input.read(&mut [0; 1]).context("it cannot be read to its end")?;
        ensure!(more == 0, "it goes on behind its {count} values: one array a file is read");
        if header.is_column_major && columns > 1 {
            values = (0..rows).flat_map(|row| values[row..].iter().step_by(rows)).copied().collect();
        }
        Ok(Self { columns, values })
    }
}
