//! NPY: an array of NumPy in a file.
//!
//! # Source
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1.0 to 3.0.

use std::{io::Read, path::Path};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    tables::{
        array_shape,
        growth::{Expected, reserve},
        origin::Origins,
        packed::check_unpacked,
        recording::{Label, Recording},
        source::Source,
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
    /// What was subtracted from each column; none where nothing was.
    pub(crate) origins: Vec<f64>,
    /// What is to be asked where its rows look like channels.
    pub(crate) question: Option<String>,
}

/// Reads an NPY file as a table: rows of columns `x0`, `x1`, …; an array of one dimension is one column.
///
/// # Errors
/// Says what the file holds and what is accepted.
pub(crate) fn read_npy(source: Source, label: Label<'_>) -> Result<Recording> {
    let path = source.name.clone();
    let array = Array::read(source, &path, None).with_context(|| path.display().to_string())?;
    let recording = Recording::of_columns(&path, names(array.columns), array.values, label)?;
    Ok(Recording { question: array.question, ..recording.with_origins(&array.origins) })
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
        let quote = descr.chars().next().filter(|quote| ['\'', '"'].contains(quote));
        let Some(descr) = quote.and_then(|quote| descr[1..].split_once(quote)).map(|(descr, _)| descr) else {
            bail!(
                "its elements are records: make columns of the fields that are numbers with np.save('new.npy', \
                 numpy.lib.recfunctions.structured_to_unstructured(a[['field', 'other']])), or save it as CSV, with their names: \
                 pd.DataFrame(a).to_csv('new.csv', index=False)"
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
            "f2" | "f4" | "f8" => (Kind::Float, kind.as_bytes()[1] - b'0'),
            _ => bail!(
                "its elements are `{}`{}, and bool and numbers of 8 to 64 bits are read: {}",
                excerpt(descr),
                conversion(kind).0,
                conversion(kind).1
            ),
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
        array_shape::rows_and_columns(&self.shape)
    }

    /// As it is written, or its beginning.
    pub(crate) fn shape(&self) -> String {
        array_shape::shown(&self.shape)
    }

    /// An element's bytes, the lowest first.
    fn padded(&self, bytes: &[u8]) -> [u8; 8] {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        if self.is_big_endian {
            padded[..bytes.len()].reverse();
        }
        padded
    }

    /// Whether elements may have more digits than `f32`.
    fn is_finer(&self) -> bool {
        self.size == 8 || self.size == 4 && self.kind != Kind::Float
    }

    /// An element of those that may have more digits than `f32`.
    fn exact(&self, bytes: &[u8]) -> f64 {
        let padded = self.padded(bytes);
        let [a, b, c, d, ..] = padded;
        match (self.kind, self.size) {
            (Kind::Float, _) => f64::from_le_bytes(padded),
            (Kind::Signed, 4) => i32::from_le_bytes([a, b, c, d]).into(),
            (Kind::Signed, _) => i64::from_le_bytes(padded) as f64,
            _ => u64::from_le_bytes(padded) as f64,
        }
    }

    fn value(&self, bytes: &[u8]) -> f32 {
        let padded = self.padded(bytes);
        let [a, b, c, d, ..] = padded;
        match (self.kind, self.size) {
            (Kind::Bool, _) => f32::from(u8::from(a != 0)),
            (Kind::Unsigned, _) => u64::from_le_bytes(padded) as f32,
            (Kind::Signed, 1) => f32::from(i8::from_le_bytes([a])),
            (Kind::Signed, 2) => f32::from(i16::from_le_bytes([a, b])),
            (Kind::Signed, 4) => i32::from_le_bytes([a, b, c, d]) as f32,
            (Kind::Signed, _) => i64::from_le_bytes(padded) as f32,
            (Kind::Float, 2) => half(u16::from_le_bytes([a, b])),
            (Kind::Float, 4) => f32::from_le_bytes([a, b, c, d]),
            (Kind::Float, _) => f64::from_le_bytes(padded) as f32,
        }
    }
}

/// What elements of a kind that is not read are, and what makes numbers of them.
fn conversion(kind: &str) -> (&'static str, &'static str) {
    match kind.as_bytes().first() {
        Some(b'c') => (" (complex numbers)", "take np.abs(a), or two columns for one, np.c_[a.real, a.imag]"),
        Some(b'M') => (
            " (dates)",
            "a.astype('M8[ns]').astype('i8') / 1e9 are seconds since 1970; leave them out if they are the times of rows",
        ),
        Some(b'm') => (" (durations)", "a / np.timedelta64(1, 's') are seconds"),
        Some(b'O') => (
            " (objects in a pickle, which may run any program when it is opened and is never read)",
            "make an array of numbers, np.array(a.tolist(), 'f4')",
        ),
        Some(b'U' | b'S') => (" (texts)", "a.astype('f4') reads those that are numbers"),
        Some(b'f') => (" (long doubles)", "a.astype('f8')"),
        _ => ("", "convert it with a.astype('f4')"),
    }
}

/// A half-precision number (IEEE 754 binary16) by its bits.
fn half(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15), u32::from(bits >> 10 & 31), u32::from(bits & 0x3FF));
    let magnitude = match exponent {
        0 => fraction as f32 * 0.5f32.powi(24),
        31 => f32::from_bits(0xFF << 23 | fraction << 13),
        _ => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign << 31)
}

/// Makes values of elements as they come, those of a column with an origin relative to it.
struct Conversion<'h> {
    header: &'h Header,
    /// Columns whose values alternate: all, or one of an array that has one column behind the other.
    width: usize,
    /// Elements of such columns.
    part: usize,
    /// Of the columns that are read.
    origins: Origins,
    /// Of those that were read.
    found: Vec<f64>,
    /// Elements of the columns that are read, so far.
    count: usize,
}

impl<'h> Conversion<'h> {
    fn of(header: &'h Header, (rows, columns): (usize, usize)) -> Self {
        let width = if header.is_column_major { 1 } else { columns };
        Self { header, width, part: rows * width, origins: Origins::new(width), found: Vec::new(), count: 0 }
    }

    /// Appends the values of whole elements.
    fn take(&mut self, bytes: &[u8], values: &mut Vec<f32>) {
        let (header, elements) = (self.header, bytes.chunks_exact(self.header.size));
        if !header.is_finer() {
            values.extend(elements.map(|bytes| header.value(bytes)));
            return;
        }
        for bytes in elements {
            let start = values.len() - self.count;
            let column = self.count % self.width;
            values.push(self.origins.relative(column, header.value(bytes), || header.exact(bytes)));
            self.count += 1;
            if column + 1 == self.width {
                self.origins.row_ends(|place, value| values[start + place] = value);
            }
            if self.count == self.part {
                self.origins.decide(|place, value| values[start + place] = value);
                self.found.extend((0..self.width).map(|column| self.origins.of(column)));
                (self.origins, self.count) = (Origins::new(self.width), 0);
            }
        }
    }

    /// The origins of all columns; none where no column has one.
    fn origins(self) -> Vec<f64> {
        if self.found.iter().any(|origin| *origin != 0.0) { self.found } else { Vec::new() }
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
        let mut conversion = Conversion::of(&header, (rows, columns));
        let (mut values, mut bytes) = (Vec::new(), Vec::new());
        while values.len() < count {
            let wanted = (count - values.len()).min(CHUNK) * header.size;
            bytes.clear();
            input.by_ref().take(wanted as u64).read_to_end(&mut bytes).context("it cannot be read to its end")?;
            reserve(&mut values, bytes.len() / header.size, || Expected::Count(count), path)?;
            conversion.take(&bytes, &mut values);
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
        let origins = conversion.origins();
        if header.is_column_major && columns > 1 {
            values = (0..rows).flat_map(|row| values[row..].iter().step_by(rows)).copied().collect();
        }
        Ok(Self { columns, values, origins, question: array_shape::question(rows, columns) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_exact() {
        for (bits, value) in [
            (0x3C00, 1.0),
            (0xC100, -2.5),
            (0x7BFF, 65504.0),
            (0x0001, 0.5f32.powi(24)),
            (0x03FF, 1023.0 * 0.5f32.powi(24)),
            (0x0400, 0.5f32.powi(14)),
            (0x2E66, 0.099_975_586),
            (0x7C00, f32::INFINITY),
        ] {
            assert_eq!(half(bits), value, "{bits:04x}");
        }
        assert!(half(0x7E00).is_nan() && half(0x8000).is_sign_negative());
    }

    #[test]
    fn a_column_of_small_changes_is_relative_to_its_origin_in_either_order() {
        let value = |row: usize, column: usize| [0.1 * row as f64, 1e9 - 20.0 + 0.01 * (row % 300) as f64][column];
        for rows in [100, 20_000] {
            for (order, is_column_major) in [("False", false), ("True", true)] {
                let at = |index: usize| match is_column_major {
                    false => value(index / 2, index % 2),
                    true => value(index % rows, index / rows),
                };
                let header = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': ({rows}, 2), }}\n");
                let mut bytes = [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..]].concat();
                bytes.extend(header.as_bytes());
                bytes.extend((0..2 * rows).flat_map(|index| at(index).to_le_bytes()));
                let Array { columns, values, origins, .. } = Array::read(&bytes[..], Path::new("a.npy"), None).unwrap();
                assert_eq!((columns, origins[0]), (2, 0.0));
                for (row, values) in values.chunks(2).enumerate() {
                    assert_eq!(values[0], value(row, 0) as f32);
                    assert!((f64::from(values[1]) + origins[1] - value(row, 1)).abs() < 1e-6, "{row}: {values:?}");
                }
            }
        }
    }

    #[test]
    fn elements_that_are_no_real_numbers_are_named_with_what_converts_them() {
        for (descr, expected) in [
            ("'<c16'", "np.abs(a)"),
            ("'<M8[ns]'", "astype('i8') / 1e9"),
            ("'<m8[s]'", "timedelta64"),
            ("'|O'", "never read"),
            ("'<U8'", "texts"),
            ("'<f16'", "a.astype('f8')"),
            ("'|V4'", "a.astype('f4')"),
            ("[('a', '<f4'), ('b', '<i4')]", "structured_to_unstructured"),
        ] {
            let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (4,), }}");
            let message = Header::parse(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{descr}: {message}");
        }
    }
}
