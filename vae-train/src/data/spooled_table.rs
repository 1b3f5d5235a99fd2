//! A table of any size whose rows lie in a scratch file, with what was told of them while they went by.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::{
    config::Config,
    data::{fingerprint::Print, windows::Lengths},
    statistics::moments::Moments,
    tables::{
        spool::Spool,
        table::{MAX_FEATURES, Table},
    },
};

/// Bytes of a block, about.
const BLOCK: usize = 1 << 18;
/// Windows one behind the other that a block has room for at least, so that little of it is read for the windows of the next alone.
const LEAST_WINDOWS: usize = 16;

/// What to do where the disk is full.
const REMEDY: &str = "free some, give an --out on another disk, or more --memory";

/// What a row's last value says: whether it is labelled an anomaly, and whether a recording begins with it.
pub(super) const ANOMALOUS: u8 = 1;
pub(super) const BEGINS: u8 = 2;

/// Where a block of rows begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Rows of the recording before its first one.
    pub(super) position: usize,
    /// Normal windows that end before it.
    pub(super) normal: usize,
}

/// A table in a scratch file: rows of its columns, each followed by what its label and its recording say, in blocks of as many rows.
pub struct SpooledTable {
    pub(super) path: PathBuf,
    pub(super) columns: Vec<String>,
    pub(super) origins: Vec<f64>,
    pub(super) spool: Spool,
    pub(super) window: usize,
    pub(super) hop: usize,
    /// Rows in each block but the last.
    pub(super) block_rows: usize,
    pub(super) blocks: Vec<Block>,
    /// Of each column, in normal rows.
    pub(super) moments: Vec<Moments>,
    pub(super) normal_rows: usize,
    /// All windows, and those without a row that is labelled an anomaly.
    pub(super) windows: usize,
    pub(super) normal: usize,
    /// As in [`Table::starts`], and the normal windows that end before each.
    starts: Vec<usize>,
    pub(super) normal_before: Vec<usize>,
    pub(super) lengths: Lengths,
    print: Print,
    /// Rows of the recording so far, and those since the last one that is labelled an anomaly, that one among them.
    position: usize,
    since_anomaly: usize,
}

impl SpooledTable {
    /// Without rows yet, of the columns of `head`, for windows as the configuration has them, on the disk that `directory` is on. Blocks have so many
    /// rows, or as many as suit.
    ///
    /// # Errors
    /// If the configuration asks for what is done in memory only, or the file cannot be made.
    pub fn create(head: &Table, config: &Config, directory: &Path, block_rows: Option<usize>) -> Result<Self> {
        let Table { path, columns, origins, .. } = head;
        let (window, hop) = (config.data.window, config.data.hop());
        let values = columns.len().saturating_mul(window);
        ensure!(
            values <= MAX_FEATURES,
            "{}: {} columns × {window} samples are {values} values in a window; at most {MAX_FEATURES} fit into a model: give fewer columns or \
             a shorter --window",
            path.display(),
            columns.len()
        );
        let width = columns.len() + 1;
        let suitable = (BLOCK / (size_of::<f32>() * width)).max(LEAST_WINDOWS * window).max(1);
        Ok(Self {
            path: path.clone(),
            columns: columns.clone(),
            origins: origins.clone(),
            spool: Spool::create(directory, width, REMEDY)?,
            window,
            hop,
            block_rows: block_rows.unwrap_or(suitable),
            blocks: Vec::new(),
            moments: vec![Moments::default(); columns.len()],
            normal_rows: 0,
            windows: 0,
            normal: 0,
            starts: Vec::new(),
            normal_before: Vec::new(),
            lengths: Lengths::beside(window),
            print: Print::of(columns.iter().map(String::as_str)),
            position: 0,
            since_anomaly: usize::MAX,
        })
    }

    /// Takes the next rows, with the first of which another recording `begins` or not. They have the columns of the first, and other origins at most.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn append(&mut self, mut table: Table, begins: bool) -> Result<()> {
        table.rebase(&self.origins);
        self.lengths.add(&table, begins);
        self.print.add(&table.values);
        let mut starts = table.starts.iter().copied().peekable();
        let mut rows = Vec::with_capacity(table.rows() * self.spool.width());
        for (row, values) in table.values.chunks_exact(self.columns.len()).enumerate() {
            let begins = starts.next_if_eq(&row).is_some() || (begins && row == 0);
            let is_anomalous = table.labels.as_ref().is_some_and(|labels| labels[row]);
            self.take(self.spool.rows() + row, values, begins, is_anomalous);
            rows.extend_from_slice(values);
            rows.push(f32::from(if is_anomalous { ANOMALOUS } else { 0 } + if begins { BEGINS } else { 0 }));
        }
        self.spool.append(&rows)
    }

    /// Counts a row.
    fn take(&mut self, row: usize, values: &[f32], begins: bool, is_anomalous: bool) {
        if begins {
            (self.position, self.since_anomaly) = (0, usize::MAX);
            if row > 0 {
                self.starts.push(row);
                self.normal_before.push(self.normal);
            }
        }
        if row.is_multiple_of(self.block_rows) {
            self.blocks.push(Block { position: self.position, normal: self.normal });
        }
        self.since_anomaly = if is_anomalous { 0 } else { self.since_anomaly.saturating_add(1) };
        if !is_anomalous {
            self.normal_rows += 1;
            self.moments.iter_mut().zip(values).for_each(|(moments, value)| moments.push(f64::from(*value)));
        }
        self.position += 1;
        if ends_window(self.position, self.window, self.hop) {
            self.windows += 1;
            self.normal += usize::from(self.since_anomaly >= self.window);
        }
    }

    /// Ends the last recording; returns how many there are.
    pub fn end(&mut self) -> usize {
        self.lengths.end();
        self.lengths.pieces()
    }

    /// Itself under another name, as of several files.
    #[must_use]
    pub fn named(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    /// What tells the table from others, as [`fingerprint`](crate::data::fingerprint::fingerprint) has it of a table in memory.
    pub(super) fn take_fingerprint(&mut self) -> String {
        let print = std::mem::replace(&mut self.print, Print::of([].into_iter()));
        print.end(&self.starts, self.spool.rows())
    }
}

/// Whether a window ends with the last of so many rows of a recording: the first with as many as it has, and then one every `hop`.
pub(super) fn ends_window(rows: usize, window: usize, hop: usize) -> bool {
    rows.checked_sub(window).is_some_and(|more| more.is_multiple_of(hop))
}
