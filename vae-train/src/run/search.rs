//! A search for the window and the front-end that suit a recording, without labels.
//!
//! Likelihoods of different windows and features cannot be compared. So each setting is judged by what it is for: normal data that were held
//! out are changed by a fixed family of small disturbances, and the setting is the better the more surely stretches of equal time with a
//! disturbance score stranger than stretches without.

pub mod budget;
pub mod disturbance;
pub mod material;
pub mod setting;
pub mod trial;

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::{
    config::Config,
    run::{
        directory::RunDirectory,
        fit::{self, Fitted},
        search::{
            budget::Budget,
            disturbance::measure,
            material::Material,
            setting::Tried,
            trial::{Columns, Judge, Network, Trials, moments},
        },
    },
    tables::table::Table,
    training::{devices::Devices, listener::Listener},
    words::{
        numbers::{count, fixed},
        output::Existing,
    },
};

/// What is within so much of the best is as good, and the cheapest of them is chosen.
pub const AS_GOOD: f64 = 0.01;
/// What was tried, and what was chosen.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Search {
    /// Limits that were given.
    pub budget: Budget,
    /// Rows a second.
    pub rate: Option<f64>,
    /// Rows that trials were trained on.
    pub trained_on: usize,
    /// Stretches that were judged, and rows of each.
    pub stretches: (usize, usize),
    /// In the order of windows.
    pub tried: Vec<Tried>,
    /// The measure of independent Gaussians of single rows.
    pub independent: f64,
    /// The measure of limits on the columns of single rows.
    pub limits: f64,
    /// Place of the chosen setting in `tried`.
    pub chosen: usize,
    /// Why, and what else is to be known.
    pub conclusion: String,
}

/// A fit of the setting that a search finds, which the run keeps beside the model.
///
/// # Errors
/// As [`search`] and [`fit::fit`] have them.
pub fn fit_best(
    table: Table,
    config: &Config,
    (budget, rate): (&Budget, Option<f64>),
    out: &Path,
    existing: Existing,
    devices: impl Into<Devices>,
    listener: &mut dyn Listener,
) -> Result<(Search, Fitted)> {
    let devices = devices.into();
    config.check()?;
    devices.check(&config.objective())?;
    RunDirectory::check(out, existing)?;
    let Some(search) = search(&table, config, budget, rate, devices.main(), listener)? else {
        bail!("interrupted while searching: nothing to resume");
    };
    let config = search.tried[search.chosen].configured(config);
    let fitted = fit::fit(table, config, out, existing, &devices, listener);
    // A fit that was interrupted goes on without another search.
    RunDirectory::save_search(out, &search)?;
    Ok((search, fitted?))
}

/// Searches; `None` if the listener stops it.
///
/// # Errors
/// If there are too few rows, nothing is within the budget, or a load is to be kept and the rate of the samples is not known.
pub fn search(
    table: &Table,
    config: &Config,
    budget: &Budget,
    rate: Option<f64>,
    device: &Device,
    listener: &mut dyn Listener,
) -> Result<Option<Search>> {
    ensure!(
        budget.load.is_none() || rate.is_some(),
        "a load is a share of the time, and the data do not say how many rows come a second: give --rate"
    );
    let conditions = &config.data.condition;
    let channels: Vec<String> = table.columns.iter().filter(|column| !conditions.contains(column)).cloned().collect();
    let (table, _) = table.clone().select(&channels.iter().chain(conditions).collect::<Vec<_>>())?;
    let material = Material::of(&table)?;
    let moments = moments(&material.train, channels.len());
    let trials = Trials::of(&material.normal, material.rows, &moments, config.seed, |kind| kind.is_some());
    let pieces: Vec<usize> = table.pieces().map(|piece| piece.len()).collect();
    let mut tried = Tried::all(&pieces, material.rows);
    for setting in &mut tried {
        setting.judge_cost(config, &channels, budget, rate)?;
        if setting.excluded.is_some() {
            continue;
        }
        match Network::fit(material.train.clone(), &setting.configured(config), device, listener) {
            Ok(None) => return Ok(None),
            Ok(Some(network)) => {
                setting.measured(&trials.aurocs(&network)?);
            }
            Err(error) => setting.excluded = Some(format!("{error:#}")),
        }
    }
    let by = |limits: bool| -> Result<f64> {
        let columns = Columns::fit(&material.train, channels.len(), limits);
        Ok(measure(&trials.aurocs(&columns as &dyn Judge)?))
    };
    let chosen = choose(&tried).with_context(|| nothing_left(&tried))?;
    let mut search = Search {
        budget: budget.clone(),
        rate,
        trained_on: material.train.rows(),
        stretches: (material.normal.rows() / material.rows, material.rows),
        tried,
        independent: by(false)?,
        limits: by(true)?,
        chosen,
        conclusion: String::new(),
    };
    search.conclusion = search.concluded();
    Ok(Some(search))
}

/// The cheapest of the settings that are as good as the best.
#[must_use]
pub fn choose(tried: &[Tried]) -> Option<usize> {
    let best = tried.iter().filter_map(|setting| setting.measure).fold(f64::NEG_INFINITY, f64::max);
    let is_as_good = |setting: &Tried| setting.measure.is_some_and(|measure| measure >= best - AS_GOOD);
    let as_good = tried.iter().enumerate().filter(|(_, setting)| is_as_good(setting));
    as_good.min_by(|a, b| a.1.price().total_cmp(&b.1.price())).map(|(index, _)| index)
}

/// Why no setting could be tried.
fn nothing_left(tried: &[Tried]) -> String {
    let reasons: Vec<String> = tried
        .iter()
        .filter_map(|setting| {
            let Tried { window, front_end, excluded, .. } = setting;
            excluded.as_ref().map(|reason| format!("--window {window} --front-end {front_end}: {reason}"))
        })
        .collect();
    format!("no setting is within the budget: {}", reasons.join("; "))
}

impl Search {
    /// Why the chosen setting was chosen, and whether something simpler does as well.
    fn concluded(&self) -> String {
        let Tried { window, hop, front_end, measure, .. } = &self.tried[self.chosen];
        let measure = measure.unwrap_or(0.0);
        let mut text = format!("chosen: --window {window} --hop {hop}");
        if front_end != "raw" {
            text += &format!(" --front-end {front_end}");
        }
        let best = self.tried.iter().filter_map(|setting| setting.measure).fold(measure, f64::max);
        if best > measure {
            text += &format!(", the cheapest of those within {AS_GOOD} of the best");
        }
        for (found, what) in
            [(self.independent, "independent Gaussians of the columns do"), (self.limits, "limits on each column do")]
        {
            if found >= measure - AS_GOOD {
                text += &format!("; {what} as well ({}): a model brings little here", fixed(found, 3));
                break;
            }
        }
        text
    }

    /// The table of what was tried.
    #[must_use]
    pub fn table(&self) -> String {
        let (stretches, rows) = self.stretches;
        let mut lines = vec![
            format!(
                "{} settings, trained on {} rows, judged by {stretches} stretches of {rows} rows with {} disturbances each",
                self.tried.len(),
                count(self.trained_on),
                self.tried.iter().map(|setting| setting.by_disturbance.len()).max().unwrap_or(0)
            ),
            format!(
                "  {:>6} {:>5} {:<12} {:>8} {:>9} {:>8} {:>8} {:>12}",
                "window", "hop", "front-end", "told", "windows", "flash", "RAM", "instructions"
            ),
        ];
        for (index, setting) in self.tried.iter().enumerate() {
            let Tried { window, hop, front_end, windows, cost, excluded, measure, .. } = setting;
            let mark = if index == self.chosen { '>' } else { ' ' };
            let told = measure.map_or("-".to_owned(), |measure| fixed(measure, 3));
            let cost = cost.as_ref().map_or_else(String::new, |cost| {
                format!("{:>8} {:>8} {:>12}", count(cost.flash), count(cost.ram), count(cost.instructions))
            });
            let reason = excluded.as_ref().map_or_else(String::new, |reason| format!("  {reason}"));
            lines.push(format!(
                "{mark} {window:>6} {hop:>5} {front_end:<12} {told:>8} {:>9} {cost}{reason}",
                count(*windows)
            ));
        }
        for (told, what) in [(self.independent, "independent Gaussians, a row"), (self.limits, "limits on each column")]
        {
            lines.push(format!("  {what:<25} {:>8}", fixed(told, 3)));
        }
        lines.push(self.conclusion.clone());
        lines.join("\n")
    }
}
