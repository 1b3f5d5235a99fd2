//! Data for a model that is there, some rows at a time: files of any size.

use std::path::PathBuf;

use anyhow::{Context, Result};
use vae_core::{FrontEnd, Model};

use crate::{
    data::{
        for_model::{categories_of, fitted, reading_for},
        front_end::of_model,
        windows::{Buffer, Cutter, Lengths, Windows},
    },
    tables::{
        category::Categories,
        portions::{Portion, Portions},
        reading::Reading,
        recording::Label,
        several::note_on_pieces_of,
        table::Table,
    },
};

/// Bytes that rows and windows of one portion take, about.
const BYTES: usize = 1 << 25;
/// Most bytes of rows, where windows overlap by so much that few of them fill the memory.
const BYTES_OF_ROWS: usize = 1 << 22;

/// Some rows of a model's columns, and the windows that end in them.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Channels, then conditions, relative to the model's origins.
    pub table: Table,
    /// Whether another recording begins with its first row.
    pub begins: bool,
    /// The file that the rows are of.
    pub file: PathBuf,
    /// The row of the file that the first one is, counted from 0.
    pub first_row: usize,
    /// The rows of all files before the first one.
    pub before: usize,
    /// The windows, whose last rows are counted over all files.
    pub windows: Windows,
}

/// The columns of a model, of files of any size, read one after the other in memory that does not grow with them.
pub struct Stretches<'m, 'b> {
    model: Model<'m>,
    portions: Portions<'b>,
    label: Label<'b>,
    reading: Reading,
    categories: Vec<Categories>,
    front_ends: Vec<FrontEnd>,
    cutter: Cutter<'b>,
    lengths: Lengths,
    rows: usize,
    notes: Vec<String>,
}

impl<'m, 'b> Stretches<'m, 'b> {
    /// Of these files, as [`read_table_for_model`](crate::data::for_model::read_table_for_model) reads them.
    ///
    /// # Errors
    /// If there are none, or the model's file is damaged.
    pub fn open(
        paths: &[PathBuf],
        label: Label<'b>,
        reading: &Reading,
        model: Model<'m>,
        buffer: &'b mut Buffer,
    ) -> Result<Self> {
        let categories = categories_of(&model)?;
        let reading = reading_for(reading, &categories);
        // Bytes of rows beside those of windows.
        let share = 1 + model.window().div_ceil(model.hop());
        let bytes = (BYTES / share).min(BYTES_OF_ROWS);
        let channels = model.channels();
        Ok(Self {
            portions: Portions::open(paths, label, &reading, bytes)?,
            cutter: Cutter::new(buffer, [channels, model.conditions()], model.window(), model.hop())?,
            front_ends: of_model(&model)?,
            lengths: Lengths::beside(model.window()),
            label,
            reading,
            categories,
            model,
            rows: 0,
            notes: Vec::new(),
        })
    }

    /// How many files there are.
    #[must_use]
    pub fn files(&self) -> usize {
        self.portions.files()
    }

    /// What messages call the files.
    #[must_use]
    pub fn name(&self) -> PathBuf {
        self.portions.name(self.lengths.pieces())
    }

    /// The next rows; `None` behind the last of them. `watch` is told as [`Portions::next`] tells it.
    ///
    /// # Errors
    /// If a file is bad or lacks a column of the model; if no recording is as long as a window.
    pub fn next(&mut self, watch: &mut dyn FnMut(usize, Option<f64>)) -> Result<Option<Stretch>> {
        let Some(Portion { mut recording, begins, first_row, .. }) = self.portions.next(watch)? else {
            self.lengths.end();
            let name = self.name();
            self.lengths.check(&name)?;
            self.notes.extend(note_on_pieces_of(&name, self.lengths.pieces()));
            self.notes.extend(self.lengths.note(&name));
            return Ok(None);
        };
        let file = recording.table.path.clone();
        recording.spread(&self.categories).context("the data do not fit the model")?;
        // What is said of a file is said of its beginning.
        let (model, reading) = (&self.model, &self.reading);
        let (table, notes) = fitted(recording, self.label, reading, model, first_row == 0)?;
        self.notes.extend(notes);
        self.lengths.add(&table, begins);
        let (features, conditions) = (table.columns.len() - self.model.conditions(), self.model.conditions());
        let mut windows = Windows {
            features: features * self.model.window(),
            conditions,
            values: Vec::new(),
            last_row: Vec::new(),
            labels: None,
        };
        self.cutter.cut(&table, begins, &mut windows)?;
        let windows = windows.through(&self.front_ends)?;
        let before = self.rows;
        self.rows += table.rows();
        Ok(Some(Stretch { table, begins, file, first_row, before, windows }))
    }

    /// What is to be said of the rows so far and has not been.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}
