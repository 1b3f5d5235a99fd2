//! Rows of numbers that Python holds, read where they lie.

use std::{ops::Range, path::Path};

use pyo3::{
    buffer::{Element, PyBuffer, ReadOnlyCell},
    exceptions::PyValueError,
    prelude::*,
    types::PyList,
};
use vae_train::tables::{
    memory::{deciding_rows, origins_of, relative, table_of},
    table::Table,
};

use crate::errors::raised;

/// What messages call a table that has no file.
pub(crate) const NAME: &str = "X";

/// Values of one buffer, in either precision.
enum Cells {
    Single(PyBuffer<f32>),
    Double(PyBuffer<f64>),
}

impl Cells {
    fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        match PyBuffer::<f32>::get(object) {
            Ok(buffer) => Ok(Self::Single(buffer)),
            Err(_) => Ok(Self::Double(PyBuffer::get(object)?)),
        }
    }

    fn shape(&self) -> &[usize] {
        match self {
            Self::Single(buffer) => buffer.shape(),
            Self::Double(buffer) => buffer.shape(),
        }
    }

    fn is_row_major(&self) -> bool {
        match self {
            Self::Single(buffer) => buffer.is_c_contiguous(),
            Self::Double(buffer) => buffer.is_c_contiguous(),
        }
    }

    fn view<'a>(&'a self, py: Python<'a>) -> PyResult<View<'a>> {
        match self {
            Self::Single(buffer) => slice(buffer, py).map(View::Single),
            Self::Double(buffer) => slice(buffer, py).map(View::Double),
        }
    }
}

fn slice<'a, T: Element>(buffer: &'a PyBuffer<T>, py: Python<'a>) -> PyResult<&'a [ReadOnlyCell<T>]> {
    let slice = buffer.as_slice(py).or_else(|| buffer.as_fortran_slice(py));
    slice.ok_or_else(|| PyValueError::new_err("the values do not lie one behind the other: copy the array"))
}

/// The values of a buffer while the interpreter is held.
#[derive(Clone, Copy)]
enum View<'a> {
    Single(&'a [ReadOnlyCell<f32>]),
    Double(&'a [ReadOnlyCell<f64>]),
}

impl View<'_> {
    fn at(self, index: usize) -> f64 {
        match self {
            Self::Single(cells) => f64::from(cells[index].get()),
            Self::Double(cells) => cells[index].get(),
        }
    }
}

/// A column of a block: the values that begin at `first`, each `step` behind the one before.
struct Column<'a> {
    view: View<'a>,
    first: usize,
    step: usize,
}

/// Rows one behind the other: one array of two dimensions, or an array for each column.
struct Block {
    cells: Vec<Cells>,
    rows: usize,
}

impl Block {
    fn of(object: &Bound<'_, PyAny>, width: usize) -> PyResult<Self> {
        let cells: Vec<Cells> = match object.cast::<PyList>() {
            Ok(columns) => columns.iter().map(|column| Cells::of(&column)).collect::<PyResult<_>>()?,
            Err(_) => vec![Cells::of(object)?],
        };
        let rows = cells.first().and_then(|cells| cells.shape().first()).copied().unwrap_or(0);
        let is_matrix = |cells: &[Cells]| matches!(cells, [one] if one.shape() == [rows, width]);
        let is_columns = cells.len() == width && cells.iter().all(|cells| cells.shape() == [rows]);
        if is_columns || is_matrix(&cells) {
            return Ok(Self { cells, rows });
        }
        Err(PyValueError::new_err(format!("a block of {} arrays is none of {width} columns", cells.len())))
    }

    fn columns<'a>(&'a self, py: Python<'a>, width: usize) -> PyResult<Vec<Column<'a>>> {
        if let [cells] = &self.cells[..]
            && cells.shape().len() == 2
        {
            let view = cells.view(py)?;
            let (first, step) = if cells.is_row_major() { (1, width) } else { (self.rows, 1) };
            return Ok((0..width).map(|column| Column { view, first: column * first, step }).collect());
        }
        self.cells.iter().map(|cells| Ok(Column { view: cells.view(py)?, first: 0, step: 1 })).collect()
    }
}

/// A table that Python holds, in blocks, with the names of its columns.
pub(crate) struct Rows {
    pub(crate) names: Vec<String>,
    blocks: Vec<Block>,
    rows: usize,
    /// What is subtracted from each column before its values become `f32`.
    origins: Vec<f64>,
}

impl Rows {
    /// Of blocks, each an array of two dimensions or a list of columns.
    pub(crate) fn of(blocks: &Bound<'_, PyList>, names: Vec<String>) -> PyResult<Self> {
        let (py, width) = (blocks.py(), names.len());
        let blocks: Vec<Block> = blocks.iter().map(|block| Block::of(&block, width)).collect::<PyResult<_>>()?;
        let rows = blocks.iter().map(|block| block.rows).sum();
        let mut rows = Self { names, blocks, rows, origins: vec![0.0; width] };
        rows.origins = rows.find_origins(py)?;
        Ok(rows)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Of the columns in double precision, as a file's would have them: those in single precision have the digits that they have.
    fn find_origins(&self, py: Python<'_>) -> PyResult<Vec<f64>> {
        let width = self.names.len();
        let range = 0..self.rows.min(deciding_rows(width));
        let (mut first, mut is_finer) = (vec![0.0; range.len() * width], vec![false; width]);
        self.for_each(py, range, |row, column, view, index| {
            first[row * width + column] = view.at(index);
            is_finer[column] |= matches!(view, View::Double(_));
        })?;
        let origins = origins_of(&first, width);
        Ok(origins.into_iter().zip(is_finer).map(|(origin, is_finer)| if is_finer { origin } else { 0.0 }).collect())
    }

    /// Gives each value of these rows: its row, counted from the first of them, its column, and where it lies.
    fn for_each(
        &self,
        py: Python<'_>,
        range: Range<usize>,
        mut take: impl FnMut(usize, usize, View<'_>, usize),
    ) -> PyResult<()> {
        let mut before = 0;
        for block in &self.blocks {
            let own = range.start.max(before)..range.end.min(before + block.rows);
            if !own.is_empty() {
                let columns = block.columns(py, self.names.len())?;
                for row in own {
                    for (index, Column { view, first, step }) in columns.iter().enumerate() {
                        take(row - range.start, index, *view, first + (row - before) * step);
                    }
                }
            }
            before += block.rows;
        }
        Ok(())
    }

    /// These rows, copied, as the library has them.
    pub(crate) fn table(&self, py: Python<'_>, range: Range<usize>) -> PyResult<Table> {
        let (width, first) = (self.names.len(), range.start);
        let mut values = vec![0.0; range.len() * width];
        self.for_each(py, range, |row, column, view, index| {
            values[row * width + column] = relative(view.at(index), self.origins[column]);
        })?;
        table_of(Path::new(NAME), self.names.clone(), values, &self.origins, first).map_err(raised)
    }
}
