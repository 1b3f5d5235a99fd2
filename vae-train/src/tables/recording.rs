//! What a file holds, of any format, by one pass over it: everything else is derived from this, and the file is not opened again.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::{
    tables::{
        category::Categories,
        clock::Clock,
        header::check_names,
        labels::LabelColumn,
        table::{LABEL, NotNumbers, Table, refuse},
        texts::Texts,
        times::Times,
    },
    words::messages::list,
};

/// Which column says 0 (normal) or 1 (anomaly), and is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label<'a> {
    /// None.
    None,
    /// The one of this name, which the file must have.
    Column(&'a str),
    /// The one named `label`, where the file has it.
    Usual,
}

impl<'a> Label<'a> {
    /// The column that was asked for; else the usual one, unless it is among those that a model watches.
    #[must_use]
    pub fn of(asked: Option<&'a str>, watched: &[impl AsRef<str>]) -> Self {
        match asked {
            Some(name) => Self::Column(name),
            None if watched.iter().any(|name| name.as_ref() == LABEL) => Self::None,
            None => Self::Usual,
        }
    }

    /// The name that it would have.
    pub(crate) fn name(self) -> Option<&'a str> {
        match self {
            Self::None => None,
            Self::Column(name) => Some(name),
            Self::Usual => Some(LABEL),
        }
    }

    /// Where it is among these columns; `None` where there is none.
    ///
    /// # Errors
    /// If a column was named that is not there.
    pub(crate) fn position(self, columns: &[String], path: &Path) -> Result<Option<usize>> {
        let Some(label) = self.name() else { return Ok(None) };
        let exact = columns.iter().position(|column| column == label);
        let alike = || columns.iter().position(|column| column.eq_ignore_ascii_case(label));
        let position = exact.or_else(|| if self == Self::Usual { alike() } else { None });
        ensure!(
            position.is_some() || self == Self::Usual,
            "{} has no column `{label}`: its columns are {}",
            path.display(),
            list(columns)
        );
        Ok(position)
    }
}

impl<'a> From<Option<&'a str>> for Label<'a> {
    /// The column of this name, or none.
    fn from(name: Option<&'a str>) -> Self {
        name.map_or(Self::None, Self::Column)
    }
}

/// A file's table, and what was noticed while it was read.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Its columns of numbers, without the label; NaN where a field is none.
    pub table: Table,
    /// Names of all columns in the order of the file, the label's among them where that is one of them.
    pub names: Vec<String>,
    /// The name of the label, where there is one.
    pub label: Option<String>,
    /// Rows a second, where the file's head says so, as that of a recording of sound does.
    pub rate: Option<f64>,
    /// The columns that tell the time, of which the first tells the rate.
    pub clocks: Vec<Clock>,
    /// The columns that count rows, or anything whose values never come again.
    pub counters: Vec<String>,
    /// The column that says of which machine or of which run a row is.
    pub group: Option<String>,
    /// The columns that look like labels that nobody named.
    pub label_like: Vec<String>,
    /// A column of words that may be the group, where none is known.
    pub suggested_group: Option<String>,
    /// The categories of columns that were said to have some, in the order of the numbers that the table holds.
    pub categories: Vec<Categories>,
    /// Fields that are no numbers, by column.
    pub not_numbers: Vec<NotNumbers>,
    /// What a reader of it should know of how the file was read.
    pub notes: Vec<String>,
    /// What is to be answered before it is taken as it is: that rows and columns look exchanged.
    pub question: Option<String>,
    /// The columns that may tell the time or count, row by row, in more digits than `f32` has.
    pub(crate) times: Vec<(String, Times)>,
    /// The columns of words.
    pub(crate) texts: Vec<(String, Texts)>,
    /// What the label says, until it is known what that means.
    pub(crate) labels: Option<LabelColumn>,
}

impl Recording {
    /// A table of which nothing else is known.
    pub(crate) fn of_table(table: Table, names: Vec<String>, label: Option<String>) -> Self {
        Self {
            table,
            names,
            label,
            rate: None,
            clocks: Vec::new(),
            counters: Vec::new(),
            group: None,
            label_like: Vec::new(),
            suggested_group: None,
            categories: Vec::new(),
            not_numbers: Vec::new(),
            notes: Vec::new(),
            question: None,
            times: Vec::new(),
            texts: Vec::new(),
            labels: None,
        }
    }

    /// A recording of columns of numbers: finite values row after row, NaN for what is missing.
    ///
    /// # Errors
    /// If there are no rows, a name is none, a value is infinite, or the label holds anything but 0 and 1.
    pub(crate) fn of_columns(
        path: &Path,
        mut columns: Vec<String>,
        mut values: Vec<f32>,
        label: Label<'_>,
    ) -> Result<Self> {
        let names = columns.clone();
        let Some(index) = label.position(&columns, path)? else {
            return Self::checked(path, columns, values, names, None);
        };
        ensure!(columns.len() > 1, "{} has no column of data beside its label", path.display());
        let width = columns.len();
        let labels = values.iter().skip(index).step_by(width).copied().collect::<Vec<f32>>();
        // In place, as a table may fill half of the memory.
        let mut at = 0;
        values.retain(|_| {
            at += 1;
            (at - 1) % width != index
        });
        let label = columns.remove(index);
        Self::of_labelled(path, columns, names, values, &label, &labels)
    }

    /// A recording with labels of their own, one a row, of the name `label`.
    ///
    /// # Errors
    /// If no column of data is left, or a label is neither 0 nor 1.
    pub(crate) fn of_labelled(
        path: &Path,
        columns: Vec<String>,
        names: Vec<String>,
        values: Vec<f32>,
        label: &str,
        labels: &[f32],
    ) -> Result<Self> {
        let labels = LabelColumn::of_numbers(labels.iter().copied(), label, path)?;
        let recording = Self::checked(path, columns, values, names, Some(label.to_owned()))?;
        Ok(Self { labels: Some(labels), ..recording })
    }

    /// Refuses infinite values, tables without rows, and names that no header of CSV may have.
    fn checked(
        path: &Path,
        columns: Vec<String>,
        values: Vec<f32>,
        names: Vec<String>,
        label: Option<String>,
    ) -> Result<Self> {
        ensure!(!values.is_empty(), "{} has no rows", path.display());
        check_names(&names, path)?;
        if let Some(index) = values.iter().position(|value| value.is_infinite()) {
            let (row, column) = (index / columns.len(), index % columns.len());
            bail!(
                "{}: row {}, column `{}` is infinite or beyond the range of 32-bit numbers (±3.4e38): rescale the column, or \
                 write NaN if the value is missing",
                path.display(),
                row + 1,
                columns[column]
            );
        }
        let table =
            Table { path: path.to_owned(), columns, values, labels: None, starts: Vec::new(), origins: Vec::new() };
        Ok(Self::of_table(table, names, label))
    }

    /// The columns that no model is trained on, unless it is conditional on them or they are kept: clocks, counters, the group, and labels
    /// that nobody named.
    pub fn left_out(&self) -> impl Iterator<Item = &String> {
        let clocks = self.clocks.iter().map(|clock| &clock.column);
        clocks.chain(&self.counters).chain(&self.group).chain(&self.label_like)
    }

    /// Rows a second and the clock that says so; none where nothing does, and the head of a file has no clock.
    #[must_use]
    pub fn rate_and_clock(&self) -> Option<(f64, Option<&Clock>)> {
        if let Some(rate) = self.rate {
            return Some((rate, None));
        }
        self.clocks.iter().find_map(|clock| Some((clock.rate?, Some(clock))))
    }

    /// Says so where the label is one that nobody named.
    pub(crate) fn note_on_label(&self, asked: Label<'_>) -> Option<String> {
        let found = self.label.as_deref().filter(|_| asked == Label::Usual)?;
        Some(format!("{}: column `{found}` is taken as the label", self.table.path.display()))
    }

    /// With the origins that were subtracted from the columns of [`Self::names`], the label among them; none where nothing was.
    pub(crate) fn with_origins(mut self, origins: &[f64]) -> Self {
        let of_data = self.names.iter().zip(origins).filter(|(name, _)| Some(*name) != self.label.as_ref());
        self.table.origins = of_data.map(|(_, origin)| *origin).collect();
        self
    }

    /// What is to be said of how the file was read.
    pub fn remarks(&self, asked: Label<'_>) -> impl Iterator<Item = String> + '_ {
        self.notes.iter().cloned().chain(self.note_on_label(asked))
    }

    /// Refuses a table whose rows and columns look exchanged.
    ///
    /// # Errors
    /// Says how they look, and what to do.
    pub fn check_shape(&self) -> Result<()> {
        match &self.question {
            Some(question) => bail!("{}: {question}", self.table.path.display()),
            None => Ok(()),
        }
    }

    /// The table, all of whose fields must be numbers or missing.
    ///
    /// # Errors
    /// Names the first field that is no number; if rows and columns look exchanged.
    pub fn numbers(self) -> Result<Table> {
        self.check_shape()?;
        refuse(&self.table.path, self.table.rows(), &self.not_numbers)?;
        Ok(self.table)
    }

    /// These columns in this order; also the names of the others, whatever they hold.
    ///
    /// # Errors
    /// Lists the columns that the file does not have; names the first field of these columns that is no number. If rows and columns look
    /// exchanged, unless all columns are asked for.
    pub fn select(self, names: &[impl AsRef<str>]) -> Result<(Table, Vec<String>)> {
        if names.len() < self.table.columns.len() {
            self.check_shape()?;
        }
        self.table.select_numbers(self.not_numbers, names)
    }
}
