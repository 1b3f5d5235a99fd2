//! Data for a model that is there: its columns, cut into its windows.

use std::path::Path;

use anyhow::{Context, Result};
use vae_core::Model;

use crate::{
    data::{front_end::of_model, windows::Windows},
    tables::{open::open, reading::Reading, recording::Label, table::Table},
    words::messages::list,
};

/// Reads a file and cuts it into the windows of a model, with notes on how the file was
/// read, on the label that was found, and on the columns that the model does not use.
///
/// # Errors
/// If the file is bad or lacks a column of the model.
pub fn read_for_model(
    path: &Path,
    label: Label<'_>,
    reading: &Reading,
    model: &Model<'_>,
) -> Result<(Windows, Vec<String>)> {
    let (table, notes) = read_table_for_model(path, label, reading, model)?;
    Ok((cut_for_model(table, model)?, notes))
}

/// Cuts a table of a model's columns into its windows.
///
/// # Errors
/// If it is shorter than one.
pub fn cut_for_model(table: Table, model: &Model<'_>) -> Result<Windows> {
    Windows::cut(table, model.conditions(), model.window(), model.hop())?.through(&of_model(model)?)
}

/// The names of a model's columns, channels then conditions.
///
/// # Errors
/// If the model's card is damaged.
pub fn columns_of<'m>(model: &Model<'m>) -> Result<Vec<&'m str>> {
    let card = model.card()?;
    Ok(card.channels.lines().chain(card.conditions.lines()).collect())
}

/// Reads the columns of a model, channels then conditions, with notes on how the file was read, on the label that was found, and on columns that it does not use.
///
/// # Errors
/// If the file is bad or lacks a column of the model.
pub fn read_table_for_model(
    path: &Path,
    label: Label<'_>,
    reading: &Reading,
    model: &Model<'_>,
) -> Result<(Table, Vec<String>)> {
    let recording = open(path, label, reading, |_, _| {}).context("the data do not fit the model")?;
    let mut notes: Vec<String> = recording.remarks(label).collect();
    let (table, left_out) = recording.select(&columns_of(model)?).context("the data do not fit the model")?;
    if !left_out.is_empty() {
        let name = table.path.display();
        notes.push(format!("{name}: {} column(s) that the model does not use: {}", left_out.len(), list(&left_out)));
    }
    Ok((table, notes))
}
