//! Which columns of a table a model watches, by the rows that it will be trained on.

use std::{collections::HashSet, path::Path};

use anyhow::{Result, bail, ensure};
use vae_core::format::FeatureFamily;

use crate::{
    config::Config,
    data::{
        families::families,
        outliers::{as_outlier, note_on_outliers, position},
    },
    statistics::moments::{Moments, smallest_deviation},
    tables::table::Table,
    weights::family::Likelihood,
    words::{
        foreign::excerpt,
        messages::list,
        numbers::{absolute, list_some, significant},
    },
};

/// Most columns of a kind that a note names.
const SHOWN: usize = 8;

/// Fewest normal windows for a fit.
pub(crate) const LEAST_WINDOWS: usize = 10;

/// What becomes of a table's columns, but for those that a model is conditional on.
pub(crate) struct Columns {
    /// Those that are trained on, in order.
    pub(crate) kept: Vec<String>,
    /// Those that have no value in normal rows.
    pub(crate) dropped: Vec<String>,
    /// Least and largest value in normal rows of each that is kept.
    pub(crate) ranges: Vec<(f64, f64)>,
    /// The family of each that is kept, where not all are numbers; else none.
    pub(crate) families: Vec<FeatureFamily>,
    /// What the user should know of them.
    pub(crate) notes: Vec<String>,
}

impl Columns {
    /// Judges a table's columns. Those of zeros and ones, for a Bernoulli likelihood, are all kept.
    ///
    /// # Errors
    /// If there is nothing to learn from.
    pub(crate) fn of(table: &Table, config: &Config) -> Result<Self> {
        let is_normal = |row: &usize| table.labels.as_ref().is_none_or(|labels| !labels[*row]);
        let rows = table.values.chunks_exact(table.columns.len()).enumerate().filter(|(row, _)| is_normal(row));
        let seen = Seen {
            path: &table.path,
            columns: &table.columns,
            origins: &table.origins,
            normal_rows: (0..table.rows()).filter(is_normal).count(),
            moments: &Moments::of(rows.map(|(_, values)| values), table.columns.len()),
        };
        Self::judged(&seen, config, |column, value| Ok(position(table, column, value)))
    }

    /// [`Self::of`] by what was seen of the rows; `position` finds the first row of a value in a column.
    ///
    /// # Errors
    /// If there is nothing to learn from, or the rows cannot be read.
    pub(crate) fn judged(
        seen: &Seen<'_>,
        config: &Config,
        position: impl Fn(usize, f32) -> Result<Option<usize>>,
    ) -> Result<Self> {
        let Seen { path, columns, normal_rows, moments, .. } = *seen;
        let name = path.display();
        check_rows(path, normal_rows)?;
        let origin_of = |column: usize| seen.origins.get(column).copied().unwrap_or(0.0);
        let smallest = smallest_deviation(moments);
        let conditions: HashSet<&String> = config.data.condition.iter().collect();
        let watched: Vec<String> = columns.iter().filter(|name| !conditions.contains(name)).cloned().collect();
        let families = families(&watched, config, normal_rows)?;
        let mut of_kept = Vec::new();
        let (mut kept, mut dropped, mut ranges) = (Vec::new(), Vec::new(), Vec::new());
        let (mut constant, mut outliers, mut relative) = (Vec::new(), Vec::new(), Vec::new());
        let mut place = 0..;
        for (index, (column, moments)) in columns.iter().zip(moments).enumerate() {
            if conditions.contains(column) {
                continue;
            }
            let family = place.next().and_then(|place: usize| families.get(place)).copied();
            let is_number = family.is_none_or(|family| !family.is_discrete());
            if config.model.likelihood != Likelihood::Bernoulli {
                // Of a category that is in no normal row there is no column.
                if moments.count == 0.0 {
                    dropped.push(column.clone());
                    continue;
                }
                if is_number && moments.is_constant() {
                    constant.push((column, moments.least_change(smallest)));
                } else if is_number && let Some(value) = moments.outlier() {
                    let row = position(index, value as f32)?;
                    outliers.push(as_outlier(column, row, value, origin_of(index)));
                }
            }
            kept.push(column.clone());
            of_kept.extend(family);
            let origin = origin_of(index);
            if origin != 0.0 {
                relative.push(format!("`{}` less {origin}", excerpt(column)));
            }
            let [least, largest] = [moments.least, moments.largest];
            let as_read = |value: f64| if origin == 0.0 { value } else { absolute(value as f32, origin) };
            ranges.push((as_read(least), as_read(largest)));
        }
        ensure!(
            kept.len() + dropped.len() > 0,
            "{name}: every column is a condition: there is nothing to model; name fewer in --condition"
        );
        ensure!(
            kept.len() > constant.len(),
            "{name}: every column is constant or empty in the {normal_rows} normal row(s): there is nothing to learn"
        );
        let mut notes = Vec::new();
        if !dropped.is_empty() {
            notes.push(format!("{name}: {} empty column(s) left out: {}", dropped.len(), list(&dropped)));
        }
        if !constant.is_empty() {
            let sizes =
                constant.iter().map(|(column, change)| format!("`{}` by {}", excerpt(column), significant(*change)));
            notes.push(format!(
                "{name}: {} column(s) never vary in normal data, and a change of this size or more will count as an anomaly (remove them \
                 if they may differ, as a serial number does): {}",
                constant.len(),
                list_some(&sizes.collect::<Vec<_>>(), SHOWN)
            ));
        }
        if !relative.is_empty() {
            notes.push(format!(
                "{name}: {} column(s) change by little beside their size and are taken less an origin, which the model keeps; a device \
                 subtracts it, too, before a value becomes a 32-bit number: {}",
                relative.len(),
                list_some(&relative, SHOWN)
            ));
        }
        notes.extend(note_on_outliers(path, &outliers));
        Ok(Self { kept, dropped, ranges, families: of_kept, notes })
    }
}

/// What has been seen of a table's rows.
pub(crate) struct Seen<'t> {
    pub(crate) path: &'t Path,
    pub(crate) columns: &'t [String],
    /// As in [`Table::origins`].
    pub(crate) origins: &'t [f64],
    pub(crate) normal_rows: usize,
    /// Of each column, in normal rows.
    pub(crate) moments: &'t [Moments],
}

/// Refuses so few normal rows.
fn check_rows(path: &Path, normal_rows: usize) -> Result<()> {
    let name = path.display();
    ensure!(normal_rows > 0, "{name}: every row is labelled 1 (anomaly): a fit needs normal rows, labelled 0");
    ensure!(
        normal_rows >= LEAST_WINDOWS,
        "{name}: {normal_rows} normal row(s): a fit needs at least {LEAST_WINDOWS}, and some hundreds to be of use"
    );
    Ok(())
}

/// Refuses values beyond 0 and 1 in the columns of these places.
///
/// # Errors
/// Names the first one's place.
pub(crate) fn check_unit_interval(table: &Table, places: &[usize]) -> Result<()> {
    for (row, values) in table.values.chunks_exact(table.columns.len()).enumerate() {
        let outside = |value: &f32| !value.is_nan() && !(0.0..=1.0).contains(value);
        if let Some(column) = places.iter().copied().find(|place| outside(&values[*place])) {
            bail!(
                "{}: row {}, column `{}` is {}: a Bernoulli likelihood needs values between 0 and 1; rescale the data or use \
                 --likelihood gaussian, and no --column with bernoulli",
                table.path.display(),
                row + 1,
                table.columns[column],
                values[column]
            )
        }
    }
    Ok(())
}
