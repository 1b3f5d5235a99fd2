//! `fit`, and what it can be told.

use std::path::PathBuf;

use anyhow::Context as _;
use burn::tensor::Device;
use pyo3::{prelude::*, types::PyList};
use vae_train::{config::Config, run, words::output::Existing};

use crate::{errors::raised, listening::Listening, rows::Rows};

/// Fits a model to normal rows and keeps the run in the directory `out`; gives what the fit came to, as JSON. `settings` are JSON, too: their names
/// and values as in a TOML file. `listener` is called with an event's name and a dictionary of its numbers.
#[pyfunction]
#[pyo3(signature = (blocks, names, settings, out, replace, listener))]
pub(crate) fn fit(
    blocks: &Bound<'_, PyList>,
    names: Vec<String>,
    settings: &str,
    out: PathBuf,
    replace: bool,
    listener: Option<Py<PyAny>>,
) -> PyResult<String> {
    let py = blocks.py();
    let config = configuration(settings).map_err(raised)?;
    let rows = Rows::of(blocks, names)?;
    let table = rows.table(py, 0..rows.len())?;
    let mut listening = Listening::new(listener);
    let fitted = py.detach(|| -> anyhow::Result<String> {
        let existing = Existing::from_force(replace);
        let fitted = run::fit::fit(table, config, &out, existing, &Device::flex(), &mut listening)?;
        Ok(serde_json::to_string(&fitted)?)
    });
    listening.or_raised(fitted.map_err(raised))
}

fn configuration(settings: &str) -> anyhow::Result<Config> {
    let settings: toml::Table = serde_json::from_str(settings).context("the settings are no JSON")?;
    let config = Config::of(settings)?;
    config.check()?;
    Ok(config)
}

/// The sections and names of all settings but the seed.
#[pyfunction]
pub(crate) fn settings() -> Vec<(&'static str, String)> {
    Config::names().collect()
}
