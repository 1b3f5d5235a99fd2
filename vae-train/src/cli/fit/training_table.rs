//! The columns of a table that a fit trains on, and what is said of them before.

use std::{borrow::Cow, collections::HashSet, path::Path};

use anyhow::{Result, bail, ensure};

use crate::{
    cli::{context::note, table::columns_to_leave_out},
    config::{Config, data::ColumnFamily},
    inspection::{Inspection, autocorrelation::Suggestion},
    tables::{category::category_of, reading::names_meant, recording::Recording, table::Table},
    words::messages::list,
};

/// Makes a configuration name the columns that are meant, and the label that was found.
pub(super) fn settle_names(recording: &Recording, config: &mut Config) {
    config.data.label.clone_from(&recording.label);
    for names in [&mut config.data.condition, &mut config.data.ignore] {
        *names = names_meant(names, &recording.names);
    }
}

/// Says what inspect would of the columns of numbers, behind what is known of the clock, and which window they ask for.
pub(super) fn tell_of(table: &Table, config: &Config, of_clock: Vec<String>, advises: bool) -> Result<()> {
    let numbers = numbers_of(table, config)?;
    let all = |table: &Table| Inspection::of(&table.into(), &(0..table.columns.len()).collect::<Vec<_>>());
    let inspection = numbers.as_deref().map(all).transpose()?;
    let findings = inspection.iter().flat_map(Inspection::findings_for_fit);
    tell(&table.path, &of_clock.into_iter().chain(findings).collect::<Vec<_>>());
    if let (1, true, Some((numbers, inspection))) = (config.data.window, advises, numbers.as_deref().zip(inspection)) {
        advise_on_window(numbers, config, inspection.suggestion)?;
    }
    Ok(())
}

/// The table without its columns of zeros and ones, which are neither stuck where they stay nor have a rhythm; none where there are no others.
fn numbers_of<'t>(table: &'t Table, config: &Config) -> Result<Option<Cow<'t, Table>>> {
    let families = config.data.column_families()?;
    if families.is_empty() {
        return Ok(Some(Cow::Borrowed(table)));
    }
    let is_number = |column: &&String| {
        !families.iter().any(|(name, family)| match family {
            ColumnFamily::Gaussian => false,
            ColumnFamily::Bernoulli => name == *column,
            ColumnFamily::Categorical => category_of(column, name).is_some(),
        })
    };
    let numbers: Vec<&String> = table.columns.iter().filter(is_number).collect();
    if numbers.is_empty() { Ok(None) } else { Ok(Some(Cow::Owned(table.clone().select(&numbers)?.0))) }
}

/// The columns to train on: without those to be ignored, and without those that [`columns_to_leave_out`] names.
pub(super) fn training_table(recording: Recording, config: &Config) -> Result<Table> {
    let Table { path, columns, .. } = &recording.table;
    let known: HashSet<&String> = columns.iter().collect();
    if let Some(unknown) = config.data.ignore.iter().find(|name| !known.contains(name)) {
        bail!("{} has no column `{unknown}` to ignore: its columns are {}", path.display(), list(columns));
    }
    let others = columns_to_leave_out(&recording, &config.data.condition, &config.data.ignore);
    let left_out: HashSet<&String> = others.iter().chain(&config.data.ignore).collect();
    let is_kept = |name: &&String| !left_out.contains(name);
    let kept: Vec<String> = columns.iter().filter(is_kept).cloned().collect();
    ensure!(
        !kept.is_empty(),
        "{}: no column of measured values is left of {}: give measured values, or ignore fewer columns",
        path.display(),
        list(columns)
    );
    Ok(recording.select(&kept)?.0)
}

/// Most findings that are said.
const SHOWN: usize = 12;

/// Says what stands out in the data.
fn tell(path: &Path, findings: &[String]) {
    let name = path.display();
    findings.iter().take(SHOWN).for_each(|finding| note(&format!("{name}: {finding}")));
    if let Some(more @ 1..) = findings.len().checked_sub(SHOWN) {
        note(&format!("{name}: and {more} more findings, which vae-train inspect lists"));
    }
}

/// Says so where rows that are about to be judged one by one depend on those before them, by what is suggested for all columns.
fn advise_on_window(table: &Table, config: &Config, suggestion: Suggestion) -> Result<()> {
    let conditions: HashSet<&String> = config.data.condition.iter().collect();
    let is_channel = |column: &usize| !conditions.contains(&table.columns[*column]);
    let Suggestion { window, hop, reason, .. } = match conditions.is_empty() {
        true => suggestion,
        false => Suggestion::of(&table.into(), &(0..table.columns.len()).filter(is_channel).collect::<Vec<_>>())?,
    };
    if window > 1 {
        note(&format!(
            "{}: the rows look like a time series ({reason}), and each is judged by itself: --window {window} --hop {hop} would let \
             the model see how they follow each other",
            table.path.display()
        ));
    }
    Ok(())
}
