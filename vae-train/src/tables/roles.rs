//! What each column of a recording is for, told by how it goes on from row to row, and where recordings end.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use anyhow::{Result, ensure};

use crate::{
    tables::{
        calendar::DAY,
        categories::number_values,
        clock::Clock,
        fields::words as missing_words,
        fillers::fillers,
        groups::{by_group, column_of, find_groups},
        intervals::{RowTimes, labels},
        labels::LabelColumn,
        reading::{Reading, names_meant},
        recording::Recording,
        steps::{counts, restarts},
        time_unit::words,
        times::Times,
    },
    words::messages::{list, quoted},
};

/// Words of which the name of a label has one.
const LABEL_WORDS: [&str; 14] = [
    "label",
    "labels",
    "anomaly",
    "anomalies",
    "anomalous",
    "abnormal",
    "outlier",
    "outliers",
    "fault",
    "faulty",
    "failure",
    "changepoint",
    "attack",
    "target",
];
/// The recording with what its columns are for, and where recordings end.
///
/// # Errors
/// If the reading names a column that is not there or not what it is taken for, or the label's words are not known.
pub(crate) fn examined(mut recording: Recording, reading: &Reading) -> Result<Recording> {
    check_names(&recording, reading)?;
    resolve_labels(&mut recording, reading)?;
    take_missing(&mut recording, reading);
    number_values(&mut recording, &reading.categorical)?;
    if let Some(group) = &reading.group {
        by_group(&mut recording, group)?;
    }
    let kept = reading.kept(&recording.names);
    find_clocks(&mut recording, reading, &kept, &[])?;
    if let Some(path) = &reading.label_intervals {
        label_by_intervals(&mut recording, path)?;
    }
    let counters = find_counters(&mut recording, &kept);
    let of_clocks = recording.clocks.iter().flat_map(|clock| &clock.starts);
    let begins = of_clocks.chain(counters.iter().flat_map(|counter| &counter.restarts)).copied().collect();
    find_groups(&mut recording, &kept, &begins);
    find_labels(&mut recording, &kept);
    cut(&mut recording, counters);
    let left_out: BTreeSet<String> = recording.left_out().cloned().collect();
    let is_measured =
        |column: &str| !left_out.contains(column) && !reading.categorical.iter().any(|name| name == column);
    let found = fillers(&recording.table, is_measured);
    let name = recording.table.path.display().to_string();
    recording.notes.extend(found.iter().take(MOST_QUESTIONS).map(|filler| format!("{name}: {}", filler.question())));
    // They have told what they know.
    recording.times = Vec::new();
    recording.texts = Vec::new();
    Ok(recording)
}

/// What the columns of a recording are for, by its first rows.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    /// The columns that may tell the time, the one that tells the rate first.
    clocks: Vec<String>,
    counters: Vec<String>,
    group: Option<String>,
    label_like: Vec<String>,
    /// What the label has said.
    labels: Option<LabelColumn>,
    /// How the rows behind are read.
    pub(crate) reading: Reading,
}

impl Roles {
    /// Of a recording that was [`examined`] as `reading` asks; `labels` is what its label said.
    pub(crate) fn of(recording: &Recording, labels: Option<LabelColumn>, reading: &Reading) -> Self {
        let clocks: Vec<String> = recording.clocks.iter().map(|clock| clock.column.clone()).collect();
        let is_other = |name: &&String| !clocks.contains(name) && !recording.counters.contains(name);
        let keep = recording.names.iter().filter(is_other).cloned().collect();
        let minus_one = || labels.as_ref().and_then(|labels| labels.minus_one()).map(str::to_owned);
        let anomaly_label = reading.anomaly_label.clone().or_else(minus_one);
        Self {
            counters: recording.counters.clone(),
            group: recording.group.clone(),
            label_like: recording.label_like.clone(),
            reading: Reading { keep, anomaly_label, ..reading.clone() },
            clocks,
            labels,
        }
    }

    /// The rows behind those that told the roles, of which the first is the last of the rows before: where recordings end. Without notes, as the
    /// first rows have had them.
    ///
    /// # Errors
    /// If the label's words are not known.
    pub(crate) fn examined(&self, mut recording: Recording) -> Result<Recording> {
        let Self { reading, .. } = self;
        if let Some((labels, before)) = recording.labels.as_mut().zip(self.labels.as_ref()) {
            labels.know(before);
            ensure!(
                reading.anomaly_label.is_some() || labels.minus_one().is_none(),
                "{}: the first rows of the label hold 1 only, and later ones -1, too: say with --anomaly-label which of them marks an anomaly",
                recording.table.path.display()
            );
        }
        resolve_labels(&mut recording, reading)?;
        take_missing(&mut recording, reading);
        number_values(&mut recording, &reading.categorical)?;
        recording.group.clone_from(&self.group);
        recording.label_like.clone_from(&self.label_like);
        let kept = reading.kept(&recording.names);
        find_clocks(&mut recording, reading, &kept, &self.clocks)?;
        let restarts = |column: &String| Counter {
            column: column.clone(),
            restarts: match recording.times.iter().find(|(name, _)| name == column) {
                Some((_, times)) => restarts(times.values.iter().copied()),
                None => match recording.table.columns.iter().position(|name| name == column) {
                    Some(index) => restarts(column_of(&recording.table, index)),
                    None => Vec::new(),
                },
            },
        };
        let counters = self.counters.iter().map(restarts).collect();
        recording.counters.clone_from(&self.counters);
        cut(&mut recording, counters);
        (recording.times, recording.texts, recording.notes) = (Vec::new(), Vec::new(), Vec::new());
        Ok(recording)
    }
}

/// Most values that are asked about.
const MOST_QUESTIONS: usize = 8;

fn check_names(recording: &Recording, reading: &Reading) -> Result<()> {
    let kept = names_meant(&reading.keep, &recording.names);
    let named = kept.iter().map(|name| ("keep", name));
    let named = named
        .chain(reading.time.iter().map(|name| ("time", name)))
        .chain(reading.group.iter().map(|name| ("group", name)));
    for (option, column) in named {
        ensure!(
            recording.names.contains(column),
            "{} has no column `{column}` for --{option}: its columns are {}",
            recording.table.path.display(),
            list(&recording.names)
        );
    }
    Ok(())
}

fn resolve_labels(recording: &mut Recording, reading: &Reading) -> Result<()> {
    let (Some(labels), Some(column)) = (recording.labels.take(), &recording.label) else { return Ok(()) };
    let path = recording.table.path.clone();
    let (labels, note) = labels.anomalies(reading.anomaly_label.as_deref(), column, &path)?;
    recording.notes.extend(note);
    let anomalies = labels.iter().filter(|label| **label).count();
    if 2 * anomalies > labels.len() {
        recording.notes.push(format!(
            "{}: {anomalies} of {} rows are labelled anomalies, more than half: is that what `{column}` says? --anomaly-label names the word or \
             the number that marks an anomaly",
            path.display(),
            labels.len()
        ));
    }
    recording.table.labels = Some(labels);
    Ok(())
}

/// Takes numbers that stand for missing values as such, where the file is no text, whose fields have been.
fn take_missing(recording: &mut Recording, reading: &Reading) {
    let numbers: Vec<f32> = missing_words(&reading.missing).filter_map(|word| word.parse().ok()).collect();
    if numbers.is_empty() {
        return;
    }
    let width = recording.table.columns.len();
    let mut taken = vec![0usize; width];
    let origins: Vec<f64> = (0..width).map(|column| recording.table.origin(column)).collect();
    // Categories have been taken by their names.
    let is_named = |column: &String| recording.categories.iter().any(|categories| categories.column == *column);
    let is_named: Vec<bool> = recording.table.columns.iter().map(is_named).collect();
    let values = recording.table.values.iter_mut().enumerate();
    for (index, value) in values.filter(|(index, _)| !is_named[index % width]) {
        let origin = origins[index % width];
        let as_read = if origin == 0.0 { *value } else { (f64::from(*value) + origin) as f32 };
        if numbers.contains(&as_read) {
            *value = f32::NAN;
            taken[index % width] += 1;
        }
    }
    let name = recording.table.path.display().to_string();
    for (column, count) in recording.table.columns.iter().zip(taken).filter(|(_, count)| *count > 0) {
        recording.notes.push(format!("{name}: column `{column}`: {count} value(s) are taken as missing"));
    }
}

/// The clocks of a recording, among them the columns that are `known` to be some.
fn find_clocks(recording: &mut Recording, reading: &Reading, kept: &[String], known: &[String]) -> Result<()> {
    let is_other = |name: &String| kept.contains(name) || recording.group.as_ref() == Some(name);
    let mut clocks = Vec::new();
    for (column, times) in recording.times.iter().filter(|(name, _)| !is_other(name)) {
        let is_asked = reading.time.as_ref() == Some(column);
        let unit = reading.time_unit.filter(|_| reading.time.is_none() || is_asked);
        let clock = Clock::of(column, times, unit, is_asked || known.contains(column));
        clocks.extend(clock.map(|clock| (clock, is_asked)));
    }
    if let Some(time) = reading.time.as_ref().filter(|_| known.is_empty()) {
        ensure!(
            clocks.iter().any(|(_, is_asked)| *is_asked),
            "{}: column `{time}` does not count up, as a clock does: give another --time, or none",
            recording.table.path.display()
        );
    }
    // The one that was asked for tells the rate, else the first whose unit is known.
    clocks.sort_by_key(|(clock, is_asked)| (!is_asked, clock.rate.is_none()));
    recording.clocks = clocks.into_iter().map(|(clock, _)| clock).collect();
    join_date_and_time(recording, reading);
    let name = recording.table.path.display().to_string();
    if let Some(clock) = recording.clocks.first()
        && let Some(question) = &clock.question
    {
        recording.notes.push(format!("{name}: column `{}`: {question}", clock.column));
    }
    Ok(())
}

/// Labels the rows within the intervals of a file.
fn label_by_intervals(recording: &mut Recording, path: &Path) -> Result<()> {
    let table = &recording.table;
    ensure!(
        table.labels.is_none(),
        "{} has labels already, in its column `{}`: leave out --label-intervals, or the column",
        table.path.display(),
        recording.label.as_deref().unwrap_or_default()
    );
    let clock = recording.clocks.first();
    let values = clock.and_then(|clock| recording.times.iter().find(|(name, _)| *name == clock.column));
    let times = clock.zip(values).map(|(clock, (_, times))| RowTimes { values: &times.values, unit: clock.unit });
    let (labels, empty) = labels(path, table.rows(), times)?;
    let anomalies = labels.iter().filter(|label| **label).count();
    recording.notes.push(format!(
        "{}: {anomalies} of {} rows are in the intervals of {}{}",
        table.path.display(),
        table.rows(),
        path.display(),
        if empty > 0 { format!(", {empty} of which hold no row") } else { String::new() }
    ));
    recording.table.labels = Some(labels);
    Ok(())
}

/// A column of days and one of times of day are one clock.
fn join_date_and_time(recording: &mut Recording, reading: &Reading) {
    let of = |wanted: &dyn Fn(&Times) -> bool| {
        let is_clock = |name: &String| recording.clocks.iter().any(|clock| clock.column == *name);
        recording.times.iter().find(|(name, times)| times.seconds && is_clock(name) && wanted(times))
    };
    let is_day = |time: &f64| time.is_nan() || time.rem_euclid(DAY) == 0.0;
    let (Some((date, days)), Some((time, times))) =
        (of(&|times| times.dates && times.values.iter().all(is_day)), of(&|times| !times.dates))
    else {
        return;
    };
    if reading.time.is_some() {
        return;
    }
    let values = days.values.iter().zip(&times.values).map(|(day, time)| day + time.rem_euclid(DAY)).collect();
    let joined = Times { values, seconds: true, dates: true, question: days.question.clone() };
    let (date, time) = (date.clone(), time.clone());
    if let Some(clock) = Clock::of(&time, &joined, None, true) {
        if let Some((_, times)) = recording.times.iter_mut().find(|(name, _)| *name == time) {
            *times = joined;
        }
        recording.clocks.retain(|clock| clock.column != time);
        recording.clocks.insert(0, clock);
        // The days alone know no more.
        if let Some(days) = recording.clocks.iter_mut().find(|clock| clock.column == date) {
            days.starts.clear();
        }
    }
}

/// A column that counts: its name, and the rows at which it begins anew.
struct Counter {
    column: String,
    restarts: Vec<usize>,
}

fn find_counters(recording: &mut Recording, kept: &[String]) -> Vec<Counter> {
    // Channels of sound and pixels count nothing.
    if recording.rate.is_some() {
        return Vec::new();
    }
    let Recording { table, times, clocks, group, .. } = &*recording;
    let in_full: HashMap<&str, &Times> = times.iter().map(|(name, times)| (&**name, times)).collect();
    let is_known = |name: &String| {
        kept.contains(name) || group.as_ref() == Some(name) || clocks.iter().any(|clock| clock.column == *name)
    };
    let mut found = Vec::new();
    for (index, column) in table.columns.iter().enumerate().filter(|(_, name)| !is_known(name)) {
        let restarts = match in_full.get(&**column) {
            Some(times) if counts(times.values.iter().copied()) => restarts(times.values.iter().copied()),
            None if counts(column_of(table, index)) => restarts(column_of(table, index)),
            _ => continue,
        };
        found.push(Counter { column: column.clone(), restarts });
    }
    recording.counters = found.iter().map(|counter| counter.column.clone()).collect();
    found
}

/// Whether a column of this name is taken for a label, if it holds 0 and 1 only.
pub(crate) fn is_named_like_label(name: &str) -> bool {
    words(name).any(|word| LABEL_WORDS.contains(&&*word))
}

/// Columns that are named like labels and hold what labels do.
fn find_labels(recording: &mut Recording, kept: &[String]) {
    let Recording { table, .. } = &*recording;
    let is_label = |(index, name): &(usize, &String)| {
        is_named_like_label(name)
            && !kept.contains(name)
            && column_of(table, *index).all(|value| value == 0.0 || value == 1.0)
    };
    let found: Vec<String> = table.columns.iter().enumerate().filter(is_label).map(|(_, name)| name.clone()).collect();
    recording.label_like = found;
}

/// Where recordings end: behind gaps and steps back of the clock, where a counter begins anew, where the group changes.
fn cut(recording: &mut Recording, counters: Vec<Counter>) {
    let mut notes = Vec::new();
    let mut starts: BTreeSet<usize> = recording.table.starts.iter().copied().collect();
    if let Some(clock) = recording.clocks.first() {
        starts.extend(&clock.starts);
    }
    // Another clock is not asked for gaps.
    for clock in recording.clocks.iter().skip(1).filter(|clock| clock.backwards > 0) {
        starts.extend(
            recording
                .times
                .iter()
                .filter(|(name, _)| *name == clock.column)
                .flat_map(|(_, times)| restarts(times.values.iter().copied())),
        );
    }
    starts.extend(counters.into_iter().flat_map(|counter| counter.restarts));
    if let Some(group) = &recording.group
        && let Some(index) = recording.table.columns.iter().position(|name| name == group)
    {
        let mut last = f64::NAN;
        starts.extend(column_of(&recording.table, index).enumerate().filter_map(|(row, value)| {
            // Words are no numbers, and have been told apart by themselves.
            let changes = value != last && row > 0 && !(value.is_nan() && last.is_nan());
            last = value;
            changes.then_some(row)
        }));
    }
    if let Some(column) = &recording.suggested_group {
        notes.push(format!(
            "column `{column}` may say of which device a row is: one model sees a device's rows one after the other with --group {}",
            quoted(column)
        ));
    }
    starts.remove(&0);
    recording.table.starts = starts.into_iter().collect();
    let name = recording.table.path.display().to_string();
    recording.notes.extend(notes.into_iter().map(|note| format!("{name}: {note}")));
}
