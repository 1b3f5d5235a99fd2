//! The device's detector, owning the memory that it works in.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};
use self_cell::{MutBorrow, self_cell};
use vae_core::{Scratch, Verdict};
use vae_train::{
    data::for_model::{columns_of, origins_of},
    file::model_file::AlignedFile,
    scoring::detection::verdict_in_words,
    tables::memory::relative,
    words::rates::parse_alarms,
};

use crate::{errors::raised, model::Model, rows::Rows};

/// What a detector borrows.
struct Owned {
    file: Arc<AlignedFile>,
    window: MutBorrow<Vec<f32>>,
    state: MutBorrow<Vec<f32>>,
    scratch: MutBorrow<Vec<f32>>,
}

struct Device<'a> {
    detector: vae_core::Detector<'a, 'a>,
    scratch: Scratch<'a>,
}

self_cell!(
    struct Running {
        owner: Owned,
        #[not_covariant]
        dependent: Device,
    }
);

/// A stream's detector, as on its device: the same core, the same bits.
#[pyclass(frozen, module = "vae_train._native")]
pub(crate) struct Detector {
    running: Mutex<Running>,
    /// Names of the channels, then of the conditions.
    columns: Vec<String>,
    channels: usize,
    origins: Vec<f64>,
}

impl Detector {
    fn new(model: &Model, alarms: Option<&str>) -> Result<Self> {
        let alarms = alarms.map(parse_alarms).transpose()?;
        let view = model.file.model()?;
        let (channels, origins) = (view.channels(), origins_of(&view)?);
        let columns = columns_of(&view)?.into_iter().map(str::to_owned).collect();
        let room = |len| MutBorrow::new(vec![0.0; len]);
        let (window, state, scratch) = (room(view.window_len()), room(view.state_len()), room(view.scratch_len()));
        let owned = Owned { file: model.file.clone(), window, state, scratch };
        let running = Running::try_new(owned, |Owned { file, window, state, scratch }| -> Result<Device<'_>> {
            let detector = vae_core::Detector::over(file.model()?, window.borrow_mut(), state.borrow_mut())?;
            let detector = match alarms {
                Some(alarms) => detector.alarm_rate(alarms).context("the model cannot judge by a rate of alarms")?,
                None => detector,
            };
            Ok(Device { detector, scratch: Scratch::new(scratch.borrow_mut()) })
        })?;
        Ok(Self { running: Mutex::new(running), columns, channels, origins })
    }

    /// A panic of another thread leaves numbers behind, and nothing that is unsafe.
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one row, relative to the model's origins; gives the verdict of the window that it completes and whether an alarm is raised.
    fn take(&self, running: &mut Running, row: &[f32]) -> Result<Option<(Verdict, bool)>> {
        let (sample, condition) = row.split_at(self.channels);
        if let Some(missing) = condition.iter().position(|value| !value.is_finite()) {
            let name = &self.columns[self.channels + missing];
            bail!("the condition `{name}` is missing, and no row can be judged without it");
        }
        running.with_dependent_mut(|_, Device { detector, scratch }| {
            detector.given(condition)?;
            let verdict = detector.push(sample, scratch)?;
            Ok(verdict.map(|verdict| (verdict, detector.is_raised())))
        })
    }

    /// A verdict as a dictionary of its parts.
    fn dictionary<'py>(&self, py: Python<'py>, verdict: &Verdict, alarm: bool) -> PyResult<Bound<'py, PyDict>> {
        let parts = PyDict::new(py);
        let kind = match verdict {
            Verdict::Normal(_) => "normal",
            Verdict::Anomalous(_) => "anomalous",
            Verdict::SensorFault(_) => "sensor fault",
            Verdict::Drifting(_) => "drifting",
        };
        let channel = match verdict {
            Verdict::Anomalous(anomaly) => Some(anomaly.channel),
            Verdict::SensorFault(fault) => Some(fault.channel),
            Verdict::Normal(_) | Verdict::Drifting(_) => None,
        };
        let channels: Vec<&str> = self.columns[..self.channels].iter().map(String::as_str).collect();
        let assessment = verdict.assessment();
        parts.set_item("kind", kind)?;
        parts.set_item("score", assessment.map(|found| found.score))?;
        parts.set_item("p_value", assessment.map(|found| found.p_value))?;
        parts.set_item("missing", assessment.map(|found| found.missing))?;
        parts.set_item("channel", channel.and_then(|channel| channels.get(channel as usize)))?;
        parts.set_item("alarm", alarm)?;
        parts.set_item("words", verdict_in_words(verdict, &channels))?;
        parts.set_item("line", verdict.to_string())?;
        Ok(parts)
    }
}

#[pymethods]
impl Detector {
    /// One that has just been started, with the threshold of the model's calibration or with that for a rate of `alarms`.
    #[new]
    fn py_new(model: &Model, alarms: Option<&str>) -> PyResult<Self> {
        Self::new(model, alarms).map_err(raised)
    }

    /// Takes one row in physical units, channels and then conditions; gives the parts of a verdict where it completes a window.
    fn push<'py>(&self, py: Python<'py>, row: Vec<f64>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let width = self.columns.len();
        let taken = || -> Result<_> {
            ensure!(row.len() == width, "a sample of {} values, where the model has {width} columns", row.len());
            let values: Vec<f32> =
                row.iter().zip(&self.origins).map(|(value, origin)| relative(*value, *origin)).collect();
            self.take(&mut self.running(), &values)
        };
        let verdict = taken().map_err(raised)?;
        verdict.map(|(verdict, alarm)| self.dictionary(py, &verdict, alarm)).transpose()
    }

    /// Takes rows; gives the parts of the verdict, with its row, of each window that they complete.
    fn push_rows<'py>(&self, blocks: &Bound<'py, PyList>, names: Vec<String>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let py = blocks.py();
        let rows = Rows::of(blocks, names)?;
        let mut found = Vec::new();
        let portion = ((1 << 18) / self.columns.len().max(1)).max(1);
        for first in (0..rows.len()).step_by(portion) {
            py.check_signals()?;
            let table = rows.table(py, first..rows.len().min(first + portion))?;
            let judged = py.detach(|| -> Result<_> {
                let (mut table, _) = table.select(&self.columns).context("the data do not fit the model")?;
                table.rebase(&self.origins);
                let (mut running, mut judged) = (self.running(), Vec::new());
                for (row, values) in table.values.chunks_exact(self.columns.len()).enumerate() {
                    let taken = self.take(&mut running, values);
                    let taken = taken.with_context(|| format!("row {} cannot be judged", first + row + 1))?;
                    judged.extend(taken.map(|(verdict, alarm)| (first + row, verdict, alarm)));
                }
                Ok(judged)
            });
            for (row, verdict, alarm) in judged.map_err(raised)? {
                let parts = self.dictionary(py, &verdict, alarm)?;
                parts.set_item("row", row)?;
                found.push(parts);
            }
        }
        Ok(found)
    }

    /// Begins a new window behind rows that are missing; votes and averages stay.
    fn gap(&self) {
        self.running().with_dependent_mut(|_, device| device.detector.gap());
    }

    /// Forgets all rows, as where another recording begins.
    fn forget(&self) -> PyResult<()> {
        self.running().with_dependent_mut(|_, device| device.detector.forget()).map_err(|error| raised(error.into()))
    }

    /// Whether an alarm is raised.
    fn is_raised(&self) -> bool {
        self.running().with_dependent_mut(|_, device| device.detector.is_raised())
    }
}
