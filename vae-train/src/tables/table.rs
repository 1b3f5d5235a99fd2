//! Tables of numbers: named columns, and labels.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use crate::{
    statistics::pieces::{pieces, starts_among},
    words::{
        foreign::excerpt,
        messages::{list, quoted},
    },
};

/// The name that a label column has unless another is given.
pub const LABEL: &str = "label";

/// Most values in a window.
pub const MAX_FEATURES: usize = 65_536;

/// A table of `f32`: named columns, rows in the order of the file. NaN stands for a value that is missing.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// Names of the columns, without the label.
    pub columns: Vec<String>,
    /// Row-major values, `columns.len()` a row.
    pub values: Vec<f32>,
    /// One a row: whether it is labelled an anomaly; `None` for a table without labels.
    pub labels: Option<Vec<bool>>,
    /// The rows, by index and ascending, at which another recording begins: behind a gap, at another start of the logger, of another machine
    /// or file. Row 0 is none of them; no window spans one.
    pub starts: Vec<usize>,
    /// By column, what was subtracted in 64 bits before the values became 32-bit numbers, so that small changes of a large value are kept:
    /// a value is the origin and what stands in [`Self::values`]. Empty where nothing was subtracted from any column.
    pub origins: Vec<f64>,
}

impl Table {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    /// What was subtracted from the values of this column.
    #[must_use]
    pub fn origin(&self, column: usize) -> f64 {
        self.origins.get(column).copied().unwrap_or(0.0)
    }

    /// A copy with its values brought to other origins, one a column, or none at all.
    #[must_use]
    pub fn rebased(&self, origins: &[f64]) -> Self {
        let mut copy = self.clone();
        copy.rebase(origins);
        copy
    }

    /// Brings the values to other origins, one a column, or none at all.
    pub fn rebase(&mut self, origins: &[f64]) {
        let width = self.columns.len();
        for column in 0..width {
            let by = self.origin(column) - origins.get(column).unwrap_or(&0.0);
            if by != 0.0 {
                let own = self.values.iter_mut().skip(column).step_by(width);
                own.for_each(|value| *value = (f64::from(*value) + by) as f32);
            }
        }
        self.origins = if origins.iter().any(|origin| *origin != 0.0) { origins.to_vec() } else { Vec::new() };
    }

    /// The recordings that it is made of, one behind the other.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + '_ {
        pieces(&self.starts, self.rows())
    }

    /// Of some ascending rows, the indices of those before which, since the one before them, another recording has begun.
    #[must_use]
    pub fn starts_among(&self, rows: &[usize]) -> Vec<usize> {
        starts_among(rows, &self.starts)
    }

    /// Selects columns by name, as [`Self::select`] does, of a table in which the fields `found` are no numbers.
    ///
    /// # Errors
    /// Lists the columns that the table does not have; names the first field of these columns that is no number.
    pub fn select_numbers(self, mut found: Vec<NotNumbers>, names: &[impl AsRef<str>]) -> Result<(Self, Vec<String>)> {
        let selected = self.select(names)?;
        let names: HashSet<&str> = names.iter().map(AsRef::as_ref).collect();
        found.retain(|found| names.contains(&*found.column));
        refuse(&selected.0.path, selected.0.rows(), &found)?;
        Ok(selected)
    }

    /// The table with these columns only, in this order; also the names of the columns that are left out.
    ///
    /// # Errors
    /// Lists the columns that the table does not have.
    pub fn select(mut self, names: &[impl AsRef<str>]) -> Result<(Self, Vec<String>)> {
        let positions: HashMap<&str, usize> =
            self.columns.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        let mut indices = Vec::new();
        let mut absent = Vec::new();
        let mut seen = HashSet::new();
        for name in names.iter().map(AsRef::as_ref) {
            ensure!(seen.insert(name), "{}: column `{name}` is asked for twice", self.path.display());
            match positions.get(name) {
                Some(index) => indices.push(*index),
                None => absent.push(name.to_owned()),
            }
        }
        if !absent.is_empty() {
            bail!(
                "{} lacks {} of the model's {} columns: {}; its own are {}",
                self.path.display(),
                absent.len(),
                names.len(),
                list(&absent),
                list(&self.columns)
            );
        }
        let left_out = self.columns.iter().filter(|name| !seen.contains(name.as_str())).cloned().collect();
        if !self.origins.is_empty() {
            self.origins = indices.iter().map(|index| self.origins[*index]).collect();
        }
        // In place, as a table may fill half of the memory: a row never grows.
        let (rows, width) = (self.rows(), self.columns.len());
        let mut chosen = Vec::with_capacity(indices.len());
        for row in 0..rows {
            chosen.clear();
            chosen.extend(indices.iter().map(|index| self.values[row * width + index]));
            self.values[row * indices.len()..][..indices.len()].copy_from_slice(&chosen);
        }
        self.values.truncate(rows * indices.len());
        self.columns = names.iter().map(|name| name.as_ref().to_owned()).collect();
        Ok((self, left_out))
    }
}

/// Fields of one column that are no numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotNumbers {
    /// Its name.
    pub column: String,
    /// How many they are.
    pub fields: usize,
    /// The first of them, or its beginning.
    pub first: String,
    /// The first one's row, counted from 1.
    pub row: usize,
    /// The first one's line in the file, counted from 1.
    pub line: u64,
    /// The file that it is in, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// Refuses a table with fields that are no numbers.
///
/// # Errors
/// Names the first of them and what to do about it.
pub fn refuse(path: &Path, rows: usize, found: &[NotNumbers]) -> Result<()> {
    let Some(NotNumbers { column, first, row, line, fields, file }) = found.iter().min_by_key(|found| found.row) else {
        return Ok(());
    };
    let shown = excerpt(first);
    let path = file.as_deref().unwrap_or(path);
    let place = format!("{}: row {row} (line {line}), column `{column}`: `{shown}`", path.display());
    if first.parse::<f32>().is_ok() {
        bail!(
            "{place} is beyond the range of 32-bit numbers (±3.4e38): rescale the column, or leave the field empty if the value is \
             missing"
        );
    }
    let also: Vec<&String> = found.iter().map(|found| &found.column).filter(|also| *also != column).collect();
    let also = if also.is_empty() { String::new() } else { format!(" (nor are all fields of {})", list(&also)) };
    if 2 * fields > rows {
        bail!(
            "{place} is not a number{also}; if these are categories, fit with --column {}, else leave the column out (--ignore {})",
            quoted(format!("{column}=categorical")),
            quoted(column)
        )
    }
    bail!(
        "{place} is not a number{also}, where {} of the column's {rows} fields are; if it stands for a missing value, leave it empty or give --missing {}",
        rows - fields,
        quoted(&shown)
    )
}
