//! Data for a model that is there: its columns, cut into its windows.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use vae_core::Model;

use crate::{
    data::{
        front_end::{of_model, rate_of},
        schema::CATEGORICAL,
        windows::{Windows, note_on_short_pieces},
    },
    tables::{
        category::Categories,
        reading::Reading,
        recording::{Label, Recording},
        several::{Files, note_on_pieces, open_all},
        table::Table,
    },
    words::{foreign::excerpt, messages::list, numbers::significant},
};

/// Reads files and cuts them into the windows of a model, with the notes of [`read_table_for_model`].
///
/// # Errors
/// If a file is bad or lacks a column of the model.
pub fn read_for_model(
    paths: &[PathBuf],
    label: Label<'_>,
    reading: &Reading,
    model: &Model<'_>,
) -> Result<(Windows, Vec<String>)> {
    let DataForModel { table, notes, .. } = read_table_for_model(paths, label, reading, model)?;
    Ok((cut_for_model(table, model)?, notes))
}

/// Cuts a table of a model's columns into its windows, whatever the table's origins are.
///
/// # Errors
/// If it is shorter than one.
pub fn cut_for_model(mut table: Table, model: &Model<'_>) -> Result<Windows> {
    table.rebase(&origins_of(model)?);
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

/// The categories of each of a model's columns that has some.
///
/// # Errors
/// If the model's card is damaged.
pub fn categories_of(model: &Model<'_>) -> Result<Vec<Categories>> {
    let names: Vec<&str> = model.card()?.metrics.lines().filter_map(|line| line.strip_prefix(CATEGORICAL)).collect();
    Ok(Categories::among(&names, &columns_of(model)?))
}

/// How data are read for a model that has columns of categories.
#[must_use]
pub fn reading_for(reading: &Reading, categories: &[Categories]) -> Reading {
    Reading { categorical: categories.iter().map(|known| known.column.clone()).collect(), ..reading.clone() }
}

/// What is subtracted from each of a model's columns, channels then conditions, before its values become `f32`.
///
/// # Errors
/// If the model's card is damaged.
pub fn origins_of(model: &Model<'_>) -> Result<Vec<f64>> {
    let card = model.card()?;
    let origin = |column: &str| {
        card.origin(column).map_or(Ok(0.0), |origin| match origin.parse::<f64>() {
            Ok(origin) if origin.is_finite() => Ok(origin),
            _ => bail!("the model's card says that the origin of `{column}` is `{}`: it is damaged", excerpt(origin)),
        })
    };
    columns_of(model)?.into_iter().map(origin).collect()
}

/// A model's columns of some files, channels then conditions.
#[derive(Clone, Debug)]
pub struct DataForModel {
    /// All rows, relative to the model's origins.
    pub table: Table,
    /// Where they are from.
    pub files: Files,
    /// On how they were read, the label that was found, the pieces, and the columns that the model does not use.
    pub notes: Vec<String>,
}

/// Reads the columns of a model.
///
/// # Errors
/// If a file is bad or lacks a column of the model.
pub fn read_table_for_model(
    paths: &[PathBuf],
    label: Label<'_>,
    reading: &Reading,
    model: &Model<'_>,
) -> Result<DataForModel> {
    let categories = categories_of(model)?;
    let reading = &reading_for(reading, &categories);
    let (mut recording, files) =
        open_all(paths, label, reading, |_| |_, _| {}).context("the data do not fit the model")?;
    recording.spread(&categories).context("the data do not fit the model")?;
    let of_pieces = note_on_pieces(&recording);
    let (table, mut notes) = fitted(recording, label, reading, model, true)?;
    notes.extend(of_pieces);
    notes.extend(note_on_short_pieces(&table, model.window()));
    Ok(DataForModel { table, files, notes })
}

/// A model's columns of a recording, relative to the model's origins, with what is to be said of the recording where it `is_first` of its file.
pub(super) fn fitted(
    recording: Recording,
    label: Label<'_>,
    reading: &Reading,
    model: &Model<'_>,
    is_first: bool,
) -> Result<(Table, Vec<String>)> {
    let mut notes = Vec::new();
    if is_first {
        check_rate(&recording, model, reading)?;
        notes.extend(recording.remarks(label));
    }
    let (mut table, left_out) = recording.select(&columns_of(model)?).context("the data do not fit the model")?;
    table.rebase(&origins_of(model)?);
    if is_first && !left_out.is_empty() {
        let name = table.path.display();
        notes.push(format!("{name}: {} column(s) that the model does not use: {}", left_out.len(), list(&left_out)));
    }
    Ok((table, notes))
}

/// Share by which the rates of data and model may differ, and of data whose intervals scatter.
const SAME_RATE: [f64; 2] = [0.05, 0.5];
/// Share of the intervals off their median from which on they scatter.
const SCATTERED: f64 = 0.2;

/// Refuses data of another sample rate than that which the model was calibrated for or has mel bands by, as the device would have: a window
/// would last another time.
fn check_rate(recording: &Recording, model: &Model<'_>, reading: &Reading) -> Result<()> {
    let calibrated = model.calibration().ok().and_then(|calibration| calibration.sample_rate()).map(f64::from);
    let of_model = calibrated.or(rate_of(&of_model(model)?).map(f64::from));
    let known_by = if calibrated.is_some() { "was calibrated for" } else { "has mel bands by" };
    let columns = columns_of(model)?;
    let of_data =
        recording.rate_and_clock().filter(|(_, clock)| clock.is_none_or(|clock| !columns.contains(&&*clock.column)));
    let (Some(of_model), Some((rate, clock)), false) = (of_model, of_data, reading.other_rate) else { return Ok(()) };
    let scatters = clock.is_some_and(|clock| clock.off_median > SCATTERED);
    ensure!(
        (rate / of_model - 1.0).abs() <= SAME_RATE[usize::from(scatters)],
        "{}: has {} rows a second, by {}, and the model {known_by} {}: its windows would last another time, and normal data look \
         anomalous; give data of the model's rate, or --other-rate to take these as they are",
        recording.table.path.display(),
        significant(rate),
        clock.map_or("its head".to_owned(), |clock| format!("column `{}`", clock.column)),
        significant(of_model)
    );
    Ok(())
}
