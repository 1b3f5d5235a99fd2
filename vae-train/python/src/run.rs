//! What is done with a run: `calibrate`, `export`, `report`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyList},
};
use vae_core::format::Precision;
use vae_train::{
    calibration::{
        Normal, Settings,
        asked::{check_range, parse_score_kind, parse_votes},
    },
    data::{
        fingerprint::fingerprint,
        for_model::{columns_of, origins_of},
        front_end::rate_of,
        outliers::outliers,
    },
    file::model_file::AlignedFile,
    report::written::Reported,
    run::{
        candidate::{self, Candidate, Doubts, Files},
        export::RunModel,
        lock::Access,
    },
    tables::{long_table::LongTable, table::Table},
    training::listener::Listener,
    words::{output::Existing, rates::parse_alarms},
};

use crate::{errors::raised, listening::Listening, rows::Rows};

/// How a calibration is asked for: the keyword arguments of `VaeDetector.calibrate`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Asked {
    alarms: Option<String>,
    rate: Option<f64>,
    votes: String,
    ranges: Vec<(String, f32, f32)>,
    score: String,
    force: bool,
}

/// Calibrates a run on normal rows in the order of time, which the run keeps; gives what that is worth, as JSON.
#[pyfunction]
pub(crate) fn calibrate(
    run: PathBuf,
    blocks: &Bound<'_, PyList>,
    names: Vec<String>,
    asked: Asked,
    precision: &str,
    listener: Option<Py<PyAny>>,
) -> PyResult<String> {
    let py = blocks.py();
    let rows = Rows::of(blocks, names)?;
    let table = rows.table(py, 0..rows.len())?;
    let mut listening = Listening::new(listener);
    let calibrated = py.detach(|| calibrated(&run, table, &asked, precision, &mut listening));
    listening.or_raised(calibrated.map_err(raised))
}

fn calibrated(
    path: &Path,
    table: Table,
    asked: &Asked,
    precision: &str,
    listener: &mut dyn Listener,
) -> Result<String> {
    // Before the run is locked.
    let precision = precision_of(path, precision)?;
    let run = RunModel::open(path, Access::Write)?;
    let doubts = Doubts::from_force(asked.force);
    let print = run.may_have_seen(table.rows()).then(|| fingerprint(&table));
    doubts.pass(run.check_that_it_is_new(print.as_deref(), &table.path), listener)?;
    asked.ranges.iter().try_for_each(check_range)?;
    let columns: Vec<String> = run.file.channels.iter().chain(&run.file.conditions).cloned().collect();
    let (mut table, _) = table.select(&columns)?;
    table.rebase(&origins_of(&AlignedFile::new(&run.file.to_bytes()?).model()?)?);
    let table = LongTable::from(table);
    outliers(&table, run.file.channels.len())?.iter().for_each(|message| listener.note(message));
    let alarms = asked.alarms.as_deref().map(parse_alarms).transpose()?;
    let of_mel = rate_of(&run.file.front_ends).map(f64::from);
    let sample_rate = sample_rate(asked, of_mel, listener)?;
    if let Some(rate) = sample_rate {
        doubts.pass(run.check_rate(rate, table.path()), listener)?;
    }
    let settings = Settings {
        alarms: alarms.map(|alarms| f64::from(alarms.per_second())),
        votes: parse_votes(&asked.votes)?,
        sample_rate,
        score: parse_score_kind(&asked.score)?,
        ranges: asked.ranges.clone(),
    };
    let report = candidate::calibrate(run, &Normal { table, settings }, precision, doubts, listener)?;
    Ok(serde_json::to_string(&report)?)
}

/// Rows a second: an array does not tell them.
fn sample_rate(asked: &Asked, of_mel: Option<f64>, listener: &mut dyn Listener) -> Result<Option<f64>> {
    match (asked.rate, of_mel) {
        (Some(rate), _) => {
            ensure!((rate as f32).is_normal() && rate > 0.0, "rate {rate}: give a number above 0, in rows a second");
            Ok(Some(rate))
        }
        (None, Some(of_mel)) => Ok(Some(of_mel)),
        (None, None) if asked.alarms.is_some() => {
            listener.note("no rate: one row a second is assumed, here and of the samples on the device; give rate if that is wrong");
            Ok(Some(1.0))
        }
        (None, None) => Ok(None),
    }
}

/// The precision of this name; of no name int8, unless that changes too many of the run's verdicts.
fn precision_of(run: &Path, name: &str) -> Result<Precision> {
    match name {
        "int8" => Ok(Precision::Int8),
        "f32" => Ok(Precision::F32),
        "" => Ok(Candidate::fit_to_export(run)?.file.precision),
        other => bail!("precision {other}: give int8 or f32, or leave it out"),
    }
}

/// The bytes of the model file that [`export`] would write, and the name of its precision.
#[pyfunction]
pub(crate) fn model_of(py: Python<'_>, run: PathBuf, precision: &str) -> PyResult<(Py<PyBytes>, &'static str)> {
    let made = py.detach(|| -> Result<_> {
        let precision = precision_of(&run, precision)?;
        Ok((Candidate::of(&run, precision)?.file.to_bytes()?, precision))
    });
    let (bytes, precision) = made.map_err(raised)?;
    let name = if precision == Precision::F32 { "f32" } else { "int8" };
    Ok((PyBytes::new(py, &bytes).unbind(), name))
}

/// Writes the model of a run to a file, and in the other forms that are asked for; gives what was written, as JSON.
#[pyfunction]
pub(crate) fn export(
    py: Python<'_>,
    run: PathBuf,
    out: PathBuf,
    precision: &str,
    others: (Option<PathBuf>, Option<PathBuf>, Option<PathBuf>),
    replace: bool,
) -> PyResult<String> {
    let written = py.detach(|| -> Result<String> {
        let (c_array, rust, weights) = &others;
        let (c_array, rust, weights) = (c_array.as_deref(), rust.as_deref(), weights.as_deref());
        let existing = Existing::from_force(replace);
        let paths = [Some(&*out), c_array, rust, weights];
        paths.into_iter().flatten().try_for_each(|path| existing.check(path))?;
        let candidate = Candidate::of(&run, precision_of(&run, precision)?)?;
        let exported = candidate.write(Files { model: &out, weights, c_array, rust }, existing, &mut ())?;
        Ok(serde_json::to_string(&exported)?)
    });
    written.map_err(raised)
}

/// Rows that a model is tried on: blocks, names, and whether each row is an anomaly.
type Tried<'py> = (Bound<'py, PyList>, Vec<String>, Option<Vec<bool>>);

/// Writes the page of a run, with what its model finds in rows that are labelled, or are not, where there are some; gives its numbers, as JSON.
#[pyfunction]
pub(crate) fn report(
    py: Python<'_>,
    run: PathBuf,
    out: PathBuf,
    precision: &str,
    data: Option<Tried<'_>>,
    seed: u64,
    replace: bool,
) -> PyResult<String> {
    let table = data
        .map(|(blocks, names, labels)| {
            let rows = Rows::of(&blocks, names)?;
            PyResult::Ok(Table { labels, ..rows.table(py, 0..rows.len())? })
        })
        .transpose()?;
    let written = py.detach(|| -> Result<String> {
        let existing = Existing::from_force(replace);
        existing.check(&out)?;
        let candidate = Candidate::of(&run, precision_of(&run, precision)?)?;
        let table = table.map(|table| of_model(table, &candidate)).transpose()?;
        let reported = Reported::write(candidate, table, seed, &out, existing, &mut ())?;
        Ok(serde_json::to_string(&reported)?)
    });
    written.map_err(raised)
}

/// The model's columns of a table, relative to its origins.
fn of_model(table: Table, candidate: &Candidate) -> Result<Table> {
    let bytes = AlignedFile::new(&candidate.file.to_bytes()?);
    let model = bytes.model()?;
    let (mut table, _) = table.select(&columns_of(&model)?).context("the data do not fit the model")?;
    table.rebase(&origins_of(&model)?);
    Ok(table)
}
