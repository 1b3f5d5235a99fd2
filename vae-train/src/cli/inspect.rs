//! `vae-train inspect`: what a table is like, before it is trained on.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    path::PathBuf,
};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use super::rate::RateOfFile;
use crate::{
    cli::{
        context::{Context, note},
        progress,
        table::{options, reasons},
    },
    inspection::{Inspection, autocorrelation::Suggestion, column::Column, findings::of_clock},
    tables::{
        clock::Clock,
        long_recording::LongRecording,
        portions::Portions,
        reading::Reading,
        recording::{Label, Recording},
        spool::scratch_directory,
        table::NotNumbers,
    },
    words::{
        foreign::excerpt,
        messages::{list, quoted, quoted_paths},
        numbers::significant,
        rates::duration,
    },
};

/// Look at a CSV file before it is trained on: gaps, stuck and clipped channels, drift, copies, and which window to choose.
///
/// Rows labelled 1 are left out, as in `fit`. A column of times (a number, or an ISO 8601 date) gives the sample rate.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train inspect train.csv --label label
  vae-train inspect recording.csv --rate 1600
  vae-train inspect recordings
  zcat day1.csv.gz | vae-train inspect -")]
pub(super) struct Inspect {
    /// Table: CSV (a header, then rows in order of time) or another format, also compressed by gzip or zstd; `-` for standard input.
    ///
    /// Several files, a directory, or a pattern as in 'recordings/*.wav' are one input.
    #[arg(required = true)]
    data: Vec<PathBuf>,
    /// Rows per second, in Hz [default: as a WAV file or the column of times says; --rate must not contradict them].
    #[arg(long)]
    rate: Option<f64>,
    /// Accept a --rate that the file contradicts.
    #[arg(long, requires = "rate")]
    force: bool,
    /// Column that says 0 normal / 1 anomaly [default: `label`, if there is one].
    #[arg(long)]
    label: Option<String>,
    #[command(flatten)]
    reading: Reading,
}

/// What `inspect` found.
#[derive(Serialize)]
struct Inspected {
    file: PathBuf,
    /// As it was given.
    #[serde(skip)]
    given: Vec<PathBuf>,
    /// Recordings that the rows are of.
    pieces: usize,
    /// Rows per second, in Hz.
    rate: Option<f64>,
    label: Option<String>,
    /// What the rate is of.
    clock: Option<Clock>,
    /// Further columns of times.
    other_clocks: Vec<Clock>,
    /// The columns that are left out, and why.
    left_out: Vec<(String, String)>,
    /// What was noticed while the file was read.
    notes: Vec<String>,
    /// A column that may say of which device a row is.
    suggested_group: Option<String>,
    /// How the file was read.
    reading: Reading,
    /// Columns with fields that `fit` refuses.
    not_numbers: Vec<NotNumbers>,
    #[serde(flatten)]
    inspection: Inspection,
}

impl Inspected {
    fn clocks(&self) -> impl Iterator<Item = &Clock> {
        self.clock.iter().chain(&self.other_clocks)
    }

    fn left_out_clocks(&self) -> HashSet<&str> {
        self.clocks().map(|clock| &*clock.column).collect()
    }

    /// The names of the columns that are left out.
    fn left_out_names(&self) -> HashSet<&str> {
        self.left_out.iter().map(|(column, _)| &**column).collect()
    }
}

impl Inspect {
    pub(super) fn run(self, context: Context) -> Result<()> {
        if let Some(rate) = self.rate {
            ensure!(rate.is_finite() && rate > 0.0, "--rate {rate}: give the rows per second, for example 1600");
        }
        let asked = Label::of(self.label.as_deref(), &[""; 0]);
        let (LongRecording { head: recording, table }, files) = self.read(asked)?;
        recording.note_on_label(asked).iter().for_each(|message| note(message));
        let of_file = RateOfFile::of(&recording, &[])?;
        let left_out = reasons(&recording);
        let Recording { label, not_numbers, clocks, notes, suggested_group, .. } = recording;
        let bad: HashMap<&str, usize> = not_numbers.iter().map(|found| (&*found.column, found.fields)).collect();
        let is_text = |name: &str| bad.get(name).is_some_and(|fields| 2 * fields > table.rows());
        let names_left_out: HashSet<&str> = left_out.iter().map(|(column, _)| &**column).collect();
        let is_kept = |column: &usize| {
            let name = table.columns()[*column].as_str();
            !is_text(name) && !names_left_out.contains(name)
        };
        let kept: Vec<usize> = (0..table.columns().len()).filter(is_kept).collect();
        ensure!(
            !kept.is_empty(),
            "{}: none of the columns {} holds measured numbers: give a column that does",
            table.path().display(),
            list(table.columns())
        );
        if let (Some(rate), Some(of_file)) = (self.rate, &of_file) {
            match (of_file.check(rate, table.path()), self.force) {
                (Err(refusal), true) => note(&format!("taken with --force, although {refusal}")),
                (Err(refusal), false) => bail!("{refusal}; --force takes it as it is"),
                (Ok(()), _) => {}
            }
        }
        let rate = self.rate.or(of_file.map(|of_file| of_file.rate));
        let inspection = Inspection::of(&table, &kept)?;
        let mut clocks = clocks.into_iter();
        let (clock, other_clocks) = (clocks.next(), clocks.collect());
        let file = match &self.data[..] {
            [one] if files == 1 && !one.is_dir() => one.clone(),
            _ => table.path().to_owned(),
        };
        let pieces = table.pieces().len();
        let inspected = Inspected {
            file,
            given: self.data,
            pieces,
            rate,
            label,
            clock,
            other_clocks,
            left_out,
            notes,
            suggested_group,
            not_numbers,
            reading: self.reading,
            inspection,
        };
        context.print(&inspected, &text(&inspected)?)
    }
}

impl Inspect {
    /// Reads all columns, of which some rows at a time are in memory; and how many files they are of.
    fn read(&self, label: Label<'_>) -> Result<(LongRecording, usize)> {
        let portions = Portions::open(&self.data, label, &self.reading, PORTION)?;
        let (files, mut watch) = (portions.files(), progress::reading(&self.data[0]));
        let mut columns = Vec::new();
        let read = LongRecording::read(portions, &scratch_directory(), &mut watch, |recording| {
            let table = recording.table;
            // Of further files in any order.
            if columns.is_empty() {
                columns.clone_from(&table.columns);
            }
            if table.columns == columns { Ok(table) } else { Ok(table.select(&columns)?.0) }
        })?;
        Ok((read, files))
    }
}

/// Bytes of the rows that are read at once.
const PORTION: usize = 1 << 23;

/// Most columns that are printed.
const SHOWN: usize = 24;

fn text(inspected: &Inspected) -> Result<String> {
    let mut text = String::new();
    headline(inspected, &mut text)?;
    columns_table(&inspected.inspection.columns, &mut text)?;
    findings_lines(&findings(inspected), &mut text)?;
    window_line(inspected, &mut text)?;
    next_step(inspected, &mut text)?;
    Ok(text)
}

fn headline(inspected: &Inspected, text: &mut String) -> Result<()> {
    let Inspection { rows, anomalies, .. } = inspected.inspection;
    write!(text, "{}: {rows} rows", inspected.file.display())?;
    if inspected.pieces > 1 {
        write!(text, " in {} pieces", inspected.pieces)?;
    }
    if anomalies > 0 {
        write!(text, ", {anomalies} of them labelled 1 and left out")?;
    }
    if let Some(rate) = inspected.rate {
        write!(text, ", {} at {}", duration(rows as f64 / rate), frequency(rate))?;
    }
    writeln!(text)?;
    Ok(())
}

fn columns_table(columns: &[Column], text: &mut String) -> Result<()> {
    let names: Vec<String> = columns.iter().take(SHOWN).map(|column| excerpt(&column.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(6);
    writeln!(
        text,
        "\n{:<width$} {:>8} {:>11} {:>11} {:>11} {:>11} {:>9} {:>9} {:>7}",
        "column", "missing", "least", "mean", "largest", "deviation", "distinct", "repeat", "drift"
    )?;
    for (column, name) in columns.iter().zip(names) {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), significant);
        // In the digits in which it changes.
        let digits = (2.0 - libm::log10(column.deviation.unwrap_or(1.0)).floor()).clamp(0.0, 9.0) as usize;
        let level = |value: Option<f64>| match (value, column.origin) {
            (Some(value), origin) if origin != 0.0 => format!("{value:.digits$}"),
            _ => number(value),
        };
        writeln!(
            text,
            "{:<width$} {:>6.2} % {:>11} {:>11} {:>11} {:>11} {:>9} {:>9} {:>7}",
            name,
            100.0 * column.missing,
            level(column.least),
            level(column.mean),
            level(column.largest),
            number(column.deviation),
            column.distinct,
            column.longest_repeat.rows,
            column.drift.map_or("-".to_owned(), |drift| format!("{drift:.2}"))
        )?;
    }
    if columns.len() > SHOWN {
        writeln!(text, "and {} more columns (--json lists them)", columns.len() - SHOWN)?;
    }
    Ok(())
}

fn findings_lines(findings: &[String], text: &mut String) -> Result<()> {
    if !findings.is_empty() {
        writeln!(text)?;
    }
    for finding in findings.iter().take(2 * SHOWN) {
        writeln!(text, "{finding}")?;
    }
    if findings.len() > 2 * SHOWN {
        writeln!(text, "and {} more findings (--json lists them)", findings.len() - 2 * SHOWN)?;
    }
    Ok(())
}

/// The window that the data ask for, and why.
fn window_line(inspected: &Inspected, text: &mut String) -> Result<()> {
    let Suggestion { window, hop, reason, .. } = &inspected.inspection.suggestion;
    if *window == 1 {
        write!(text, "\nno --window: {reason}")?;
    } else {
        let seconds = inspected.rate.map_or(String::new(), |rate| format!(" ({})", duration(*window as f64 / rate)));
        write!(text, "\n--window {window} --hop {hop}{seconds}: {reason}")?;
    }
    Ok(())
}

/// The fit that the data ask for; nothing while it would refuse some of their fields.
fn next_step(inspected: &Inspected, text: &mut String) -> Result<()> {
    let Inspected { given, label, not_numbers, inspection, .. } = inspected;
    let clocks = inspected.left_out_names();
    let (names, to_mend): (Vec<&NotNumbers>, Vec<_>) = not_numbers
        .iter()
        .filter(|found| !clocks.contains(&*found.column))
        .partition(|found| 2 * found.fields > inspection.rows);
    if !to_mend.is_empty() {
        return Ok(());
    }
    write!(text, "\nnext: vae-train fit {}", quoted_paths(given))?;
    if let Some(label) = label {
        write!(text, " --label {}", quoted(label))?;
    }
    // A name with a comma is given by itself.
    let ignored =
        names.iter().map(|found| &*found.column).filter(|name| inspected.suggested_group.as_deref() != Some(*name));
    let (alone, listed): (Vec<&str>, Vec<&str>) = ignored.partition(|name| name.contains(','));
    if !listed.is_empty() {
        write!(text, " --ignore {}", quoted(listed.join(",")))?;
    }
    for name in alone {
        write!(text, " --ignore {}", quoted(name))?;
    }
    let group = inspected.reading.group.as_ref().or(inspected.suggested_group.as_ref()).cloned();
    text.push_str(&options(&Reading { group, ..inspected.reading.clone() }));
    let Suggestion { window, hop, .. } = inspection.suggestion;
    if window > 1 {
        write!(text, " --window {window} --hop {hop}")?;
    }
    write!(text, " --out runs/a")?;
    Ok(())
}

/// What the user should know, a line each: first what a fit would stumble over.
fn findings(inspected: &Inspected) -> Vec<String> {
    let mut findings = of_texts(inspected);
    findings.extend(of_clocks(inspected));
    let prefix = format!("{}: ", inspected.file.display());
    findings.extend(inspected.notes.iter().map(|note| note.strip_prefix(&prefix).unwrap_or(note).to_owned()));
    findings.extend(inspected.inspection.findings());
    findings
}

/// Fields that are no numbers.
fn of_texts(inspected: &Inspected) -> Vec<String> {
    let clocks = inspected.left_out_names();
    let measured = inspected.not_numbers.iter().filter(|found| !clocks.contains(&*found.column));
    let finding = |NotNumbers { column, fields, first, row, .. }: &NotNumbers| {
        let what = if 2 * fields > inspected.inspection.rows {
            format!(
                "leave the column out (--ignore), or fit with --column {} if they are categories",
                quoted(format!("{column}=categorical"))
            )
        } else {
            "leave a missing value empty, or give --missing with what stands for one".to_owned()
        };
        format!(
            "{column}: {fields} field(s) are no numbers, first `{}` in row {row}; fit refuses them: {what}",
            excerpt(first)
        )
    };
    measured.map(finding).collect()
}

/// Columns of times and the others that are left out, and what the first clock shows: others have the same gaps.
fn of_clocks(inspected: &Inspected) -> Vec<String> {
    let finding = |clock: &Clock| {
        let interval = |interval| if clock.question.is_none() { duration(interval) } else { significant(interval) };
        format!(
            "{}: a column of times, a row every {} (jitter {}); fit leaves it out, as a time never comes again",
            clock.column,
            interval(clock.interval),
            interval(clock.jitter)
        )
    };
    let mut findings: Vec<String> = inspected.clocks().map(finding).collect();
    let clocks = inspected.left_out_clocks();
    let others = inspected.left_out.iter().filter(|(column, _)| !clocks.contains(&**column));
    findings.extend(others.map(|(column, reason)| format!("{column}: {reason}")));
    let Some(clock) = &inspected.clock else { return findings };
    findings.extend(of_clock(clock));
    if let Some((rate, own)) = inspected.rate.zip(clock.rate).filter(|(rate, own)| (rate / own - 1.0).abs() > 0.01) {
        findings.push(format!("{}: says {} Hz where --rate says {rate}", clock.column, significant(own)));
    }
    findings
}

/// Rows a second in Hz, or for rare ones how far they are apart.
fn frequency(rate: f64) -> String {
    if rate >= 0.01 { format!("{} Hz", significant(rate)) } else { format!("a row every {}", duration(1.0 / rate)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        let numbers =
            [(0.0, "0"), (12.345_678, "12.346"), (-0.000_123_4, "-0.0001234"), (1600.0, "1600"), (123_456.7, "123457")];
        for (value, expected) in numbers {
            assert_eq!(significant(value), expected);
        }
        assert_eq!(significant(1.234_56e30), "1.2346e30");
        for (seconds, expected) in
            [(0.04, "40 ms"), (0.0, "0 s"), (300.0, "5 min"), (86_400.0, "24 h"), (2e-4, "200 µs")]
        {
            assert_eq!(duration(seconds), expected);
        }
    }
}
