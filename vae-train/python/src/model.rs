//! A model file.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};
use vae_train::{
    data::{for_model::columns_of, windows::Buffer},
    file::model_file::AlignedFile,
    scoring::detection::Memory,
};

use crate::{
    errors::raised,
    rows::Rows,
    scores::{Scoring, Wanted},
};

/// A model, read and checked.
#[pyclass(frozen, module = "vae_train._native")]
pub(crate) struct Model {
    pub(crate) file: Arc<AlignedFile>,
}

impl Model {
    fn view(&self) -> PyResult<vae_core::Model<'_>> {
        self.file.model().map_err(raised)
    }
}

#[pymethods]
impl Model {
    /// From a file.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let file = py.detach(|| AlignedFile::read(&path)).map_err(raised)?;
        Ok(Self { file: Arc::new(file) })
    }

    /// From a file's bytes.
    #[staticmethod]
    fn of_bytes(bytes: &[u8]) -> PyResult<Self> {
        let file = AlignedFile::new(bytes);
        let checked = file.model().and_then(|model| Ok(model.verify()?));
        checked.context("these bytes cannot be used as a model; export it again").map_err(raised)?;
        Ok(Self { file: Arc::new(file) })
    }

    /// The file's bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.file.bytes())
    }

    /// Names of the columns, and how many of them are channels: the others are conditions.
    fn columns(&self) -> PyResult<(Vec<String>, usize)> {
        let model = self.view()?;
        let columns = columns_of(&model).map_err(raised)?;
        Ok((columns.into_iter().map(str::to_owned).collect(), model.channels()))
    }

    /// What is to be known of it, by name.
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let model = self.view()?;
        let calibration = model.calibration().map_err(|error| raised(error.into()))?;
        let facts = PyDict::new(py);
        facts.set_item("window", model.window())?;
        facts.set_item("hop", model.hop())?;
        facts.set_item("features", model.features())?;
        facts.set_item("latent", model.latent())?;
        facts.set_item("threshold", calibration.threshold())?;
        facts.set_item("sample_rate", calibration.sample_rate())?;
        facts.set_item("calibration_windows", calibration.scores())?;
        facts.set_item("fingerprint", format!("{:08x}", model.fingerprint()))?;
        facts.set_item("flash", model.flash_len())?;
        facts.set_item("scratch", 4 * model.scratch_len())?;
        Ok(facts)
    }

    /// The scores of the windows of rows, as `Columns::dictionary` has them: of the device alone, or with `everything` all columns of
    /// `vae-train score`.
    fn score<'py>(
        &self,
        blocks: &Bound<'py, PyList>,
        names: Vec<String>,
        everything: bool,
        samples: u32,
        seed: u64,
    ) -> PyResult<Bound<'py, PyDict>> {
        let py = blocks.py();
        let model = self.view()?;
        let rows = Rows::of(blocks, names)?;
        let wanted = if everything { Wanted::All { samples, seed } } else { Wanted::Score };
        let (mut buffer, mut memory) = (Box::new(Buffer::new()), Memory::of(&model));
        let mut scoring = Scoring::new(model, wanted, &mut buffer, &mut memory).map_err(raised)?;
        for range in Scoring::portions(&model, rows.len()) {
            py.check_signals()?;
            let first = range.start;
            let table = rows.table(py, range)?;
            py.detach(|| scoring.take(table, first)).map_err(raised)?;
        }
        let columns = scoring.end().map_err(raised)?;
        let found: Result<_> = columns.dictionary(py, &model, wanted);
        found.map_err(|error| error.downcast::<PyErr>().unwrap_or_else(raised))
    }
}
