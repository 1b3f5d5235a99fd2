//! Columns that say of which machine or of which run a row is.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Result, ensure};

use crate::tables::{recording::Recording, table::Table, texts::Texts, time_unit::words};

/// Words of which the name of a column has one that says what a row is of.
const GROUP_WORDS: [&str; 24] = [
    "unit",
    "machine",
    "device",
    "engine",
    "asset",
    "sensor",
    "sensorid",
    "deviceid",
    "node",
    "station",
    "run",
    "session",
    "batch",
    "file",
    "recording",
    "segment",
    "trial",
    "experiment",
    "id",
    "bearing",
    "pump",
    "motor",
    "vehicle",
    "cell",
];
/// Fewest rows of a group, on average.
const LEAST_PIECE: usize = 8;
/// Most different words of a column that says what a row is of.
const MOST_GROUPS: usize = 200;

/// Brings the rows of each group together, in their order, and begins a recording with each.
pub(crate) fn by_group(recording: &mut Recording, group: &str) -> Result<()> {
    let rows = recording.table.rows();
    let keys = group_keys(recording, group)?;
    let mut first_rows: HashMap<u64, usize> = HashMap::new();
    keys.iter().enumerate().for_each(|(row, key)| {
        first_rows.entry(*key).or_insert(row);
    });
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by_key(|row| (first_rows[&keys[*row]], *row));
    let changes: Vec<usize> = (1..rows).filter(|at| keys[order[*at]] != keys[order[at - 1]]).collect();
    if order.is_sorted() {
        recording.table.starts.extend(changes);
        recording.table.starts.sort_unstable();
        recording.table.starts.dedup();
    } else {
        let Table { values, labels, columns, path, .. } = &recording.table;
        let width = columns.len();
        recording.notes.push(format!(
            "{}: the rows of the {} groups of `{group}` are mixed: they are taken group by group, each in the order of its rows",
            path.display(),
            first_rows.len()
        ));
        let values = order.iter().flat_map(|row| &values[row * width..][..width]).copied().collect();
        let labels = labels.as_ref().map(|labels| order.iter().map(|row| labels[*row]).collect());
        (recording.table.values, recording.table.labels, recording.table.starts) = (values, labels, changes);
        for (_, times) in &mut recording.times {
            times.values = order.iter().map(|row| times.values[*row]).collect();
        }
        for (_, texts) in recording.texts.iter_mut().filter(|(_, texts)| texts.is_complete()) {
            texts.rows = order.iter().map(|row| texts.rows[*row]).collect();
        }
    }
    recording.group = Some(group.to_owned());
    Ok(())
}

/// A number for each row that is the same for rows of one group.
fn group_keys(recording: &Recording, group: &str) -> Result<Vec<u64>> {
    if let Some((_, texts)) = recording.texts.iter().find(|(name, _)| name == group) {
        ensure!(
            texts.is_complete(),
            "{}: column `{group}` has more than 255 different words: too many for the groups of --group; split the file",
            recording.table.path.display()
        );
        return Ok(texts.rows.iter().map(|word| u64::from(*word)).collect());
    }
    if let Some((_, times)) = recording.times.iter().find(|(name, _)| name == group) {
        return Ok(times.values.iter().map(|value| value.to_bits()).collect());
    }
    let column = recording.table.columns.iter().position(|name| name == group);
    ensure!(
        column.is_some(),
        "{}: column `{group}` is the label, and cannot be the group",
        recording.table.path.display()
    );
    Ok(column_of(&recording.table, column.unwrap_or(0)).map(f64::to_bits).collect())
}

/// A column's values.
pub(crate) fn column_of(table: &Table, column: usize) -> impl Iterator<Item = f64> + Clone {
    table.values.iter().skip(column).step_by(table.columns.len()).map(|value| f64::from(*value))
}

/// Finds the column of whole numbers that goes up by one where another machine or run begins, and a column of words that may say so. Clocks and
/// counters begin anew, or leap, at the rows `begins`.
pub(crate) fn find_groups(recording: &mut Recording, kept: &[String], begins: &BTreeSet<usize>) {
    if recording.group.is_none() {
        let Recording { table, .. } = &*recording;
        let known: BTreeSet<&String> = recording.left_out().chain(kept).collect();
        let is_group = |(index, name): (usize, &String)| {
            let changes = whole_steps(column_of(table, index))?;
            let begins_with_others = !begins.is_empty() && changes.iter().all(|change| begins.contains(change));
            let is_named = words(name).any(|word| GROUP_WORDS.contains(&&*word));
            (begins_with_others || is_named).then(|| name.clone())
        };
        let found = table.columns.iter().enumerate().filter(|(_, name)| !known.contains(name)).find_map(is_group);
        recording.group = found;
    }
    if recording.group.is_none() {
        recording.suggested_group = suggested_group(recording);
    }
}

/// The rows at which a column of whole numbers goes up by one; `None` for a column that goes on in any other way, or nowhere.
fn whole_steps(values: impl Iterator<Item = f64> + Clone) -> Option<Vec<usize>> {
    let mut changes = Vec::new();
    let mut last = f64::NAN;
    for (row, value) in values.enumerate() {
        if value.fract() != 0.0 || !(value == last || value == last + 1.0 || last.is_nan()) {
            return None;
        }
        if value > last {
            changes.push(row);
        }
        last = value;
    }
    (!changes.is_empty()).then_some(changes)
}

/// The column of words that says of which device a row is: its name says so, or its words take turns.
fn suggested_group(recording: &Recording) -> Option<String> {
    let may_be = |(name, texts): &&(String, Texts)| {
        let groups = texts.words.iter().filter(|word| !word.is_empty()).count();
        let changes = texts.rows.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let take_turns = 2 * changes > texts.rows.len();
        let is_named = words(name).any(|word| GROUP_WORDS.contains(&&*word));
        texts.is_complete()
            && (2..=MOST_GROUPS).contains(&groups)
            && groups * LEAST_PIECE <= texts.rows.len()
            && (take_turns || is_named)
            && !recording.clocks.iter().any(|clock| clock.column == *name)
    };
    recording.texts.iter().find(may_be).map(|(name, _)| name.clone())
}
