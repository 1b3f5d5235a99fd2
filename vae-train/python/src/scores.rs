//! Scores of a table's windows, some rows at a time, so that the memory does not grow with the table.

use std::{ops::Range, path::Path};

use anyhow::{Context as _, Result};
use pyo3::{
    prelude::*,
    types::{PyByteArray, PyDict},
};
use vae_core::{Evidence, FrontEnd, Model, Score};
use vae_train::{
    data::{
        for_model::{columns_of, origins_of},
        front_end::of_model,
        windows::{Buffer, Cutter, Lengths, Windows},
    },
    scoring::{
        self,
        detection::{Detecting, Memory, verdict_in_words},
    },
    tables::table::Table,
};

use crate::rows::NAME;

/// Values of rows and windows that are held at a time.
const VALUES: usize = 1 << 21;

/// What is asked of each window, beside its score.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Nothing.
    Score,
    /// All that `vae-train score` writes, with so many samples for the log-likelihood, and this seed.
    All { samples: u32, seed: u64 },
}

/// The columns of `vae-train score`, by window.
#[derive(Default)]
pub(crate) struct Columns {
    last_rows: Vec<i64>,
    /// Of the device.
    scores: Vec<f32>,
    at_mean: Vec<Score>,
    evidence: Vec<Evidence>,
    alarms: Vec<u8>,
    verdicts: Vec<String>,
}

/// Scores the windows of a table whose rows come some at a time.
pub(crate) struct Scoring<'m, 'b> {
    model: Model<'m>,
    wanted: Wanted,
    cutter: Cutter<'b>,
    detecting: Option<Detecting<'m, 'b>>,
    front_ends: Vec<FrontEnd>,
    columns: Vec<&'m str>,
    origins: Vec<f64>,
    lengths: Lengths,
    found: Columns,
}

impl<'m, 'b> Scoring<'m, 'b> {
    pub(crate) fn new(
        model: Model<'m>,
        wanted: Wanted,
        buffer: &'b mut Buffer,
        memory: &'b mut Memory,
    ) -> Result<Self> {
        let shape = [model.channels(), model.conditions()];
        Ok(Self {
            cutter: Cutter::new(buffer, shape, model.window(), model.hop())?,
            detecting: if wanted == Wanted::Score { None } else { Some(Detecting::new(model, memory)?) },
            front_ends: of_model(&model)?,
            columns: columns_of(&model)?,
            origins: origins_of(&model)?,
            lengths: Lengths::beside(model.window()),
            found: Columns::default(),
            model,
            wanted,
        })
    }

    /// The portions in which so many rows are taken.
    pub(crate) fn portions(model: &Model<'_>, rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let share = 1 + model.window().div_ceil(model.hop());
        let width = model.channels() + model.conditions();
        let portion = (VALUES / (share * width)).max(1);
        (0..rows).step_by(portion).map(move |first| first..rows.min(first + portion))
    }

    /// Takes the next rows, of which the first is the one of this index.
    pub(crate) fn take(&mut self, table: Table, first: usize) -> Result<()> {
        let (mut table, _) = table.select(&self.columns).context("the data do not fit the model")?;
        table.rebase(&self.origins);
        self.lengths.add(&table, first == 0);
        let model = &self.model;
        let mut windows = Windows {
            features: model.channels() * model.window(),
            conditions: model.conditions(),
            values: Vec::new(),
            last_row: Vec::new(),
            labels: None,
        };
        self.cutter.cut(&table, first == 0, &mut windows)?;
        let Windows { values, last_row, .. } = windows.through(&self.front_ends)?;
        let before = self.found.scores.len();
        if let (Wanted::All { samples, seed }, Some(detecting)) = (self.wanted, &mut self.detecting) {
            // The detector names the row of what neither can take.
            let judged = detecting.judge(&table, first == 0, first)?;
            let channels = &self.columns[..model.channels()];
            self.found.alarms.extend(judged.iter().map(|judged| u8::from(judged.alarm)));
            self.found.verdicts.extend(judged.iter().map(|judged| verdict_in_words(&judged.verdict, channels)));
            self.found.at_mean.extend(scoring::elbo(model, &values)?);
            if samples > 0 {
                self.found.evidence.extend(scoring::evidence_from(before, model, &values, samples, seed)?);
            }
        }
        let scores = scoring::of_device_from(before, model, &values);
        self.found.scores.extend(scores.context(NAME)?);
        self.found.last_rows.extend(last_row.into_iter().map(|row| row as i64));
        Ok(())
    }

    /// What has been found, behind the last row.
    ///
    /// # Errors
    /// If there was no window.
    pub(crate) fn end(mut self) -> Result<Columns> {
        self.lengths.end();
        self.lengths.check(Path::new(NAME))?;
        Ok(self.found)
    }
}

impl Columns {
    /// As a dictionary of the bytes of columns, in the order of the program's file, each with NumPy's name of its type; the verdicts as a list.
    pub(crate) fn dictionary<'py>(
        &self,
        py: Python<'py>,
        model: &Model<'_>,
        wanted: Wanted,
    ) -> Result<Bound<'py, PyDict>> {
        let calibration = model.calibration()?;
        let columns = PyDict::new(py);
        let put = |name: &str, kind: &str, bytes: &[u8]| columns.set_item(name, (kind, PyByteArray::new(py, bytes)));
        let floats = |name: &str, values: Vec<f32>| put(name, "f4", bytemuck::cast_slice(&values));
        put("row", "i8", bytemuck::cast_slice(&self.last_rows))?;
        if let Wanted::All { samples, .. } = wanted {
            floats("elbo", self.at_mean.iter().map(|score| score.elbo).collect())?;
            floats("reconstruction", self.at_mean.iter().map(|score| score.reconstruction).collect())?;
            floats("kl", self.at_mean.iter().map(|score| score.kl).collect())?;
            if samples > 0 {
                floats("log_likelihood", self.evidence.iter().map(|found| found.log_likelihood.value).collect())?;
            }
            floats("p_value", self.scores.iter().map(|score| calibration.p_value(*score)).collect())?;
            let anomalies: Vec<u8> = self.scores.iter().map(|score| calibration.is_anomalous(*score).into()).collect();
            put("anomaly", "u1", &anomalies)?;
            put("alarm", "u1", &self.alarms)?;
        }
        floats("score", self.scores.clone())?;
        if let Wanted::All { samples, .. } = wanted {
            let missing: Vec<i64> = self.at_mean.iter().map(|score| i64::from(score.missing)).collect();
            put("missing", "i8", bytemuck::cast_slice(&missing))?;
            if samples > 0 {
                floats("elbo_sampled", self.evidence.iter().map(|found| found.elbo.elbo).collect())?;
            }
            columns.set_item("verdict", &self.verdicts)?;
        }
        Ok(columns)
    }
}
