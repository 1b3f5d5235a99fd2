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
        table::open_table,
    },
    inspection::{Inspection, column::Column},
    tables::{
        clock::Clock,
        recording::{Label, Recording},
        table::NotNumbers,
    },
    words::{
        foreign::excerpt,
        messages::{list, quoted},
        numbers::significant,
    },
};

/// Look at a CSV file before it is trained on: gaps, stuck and clipped channels, drift, copies, and which window to choose.
///
/// Rows labelled 1 are left out, as `fit` does. A column of times (a number, or an ISO 8601 date) gives the sample rate.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train inspect train.csv --label label
  vae-train inspect recording.csv --rate 1600
  zcat day1.csv.gz | vae-train inspect -")]
pub(super) struct Inspect {
    /// Table: CSV (a header, then rows in order of time) or another format, also compressed by gzip or zstd; `-` for standard input.
    data: PathBuf,
    /// Rows per second, in Hz [default: as a WAV file or the column of times says, which it must not contradict].
    #[arg(long)]
    rate: Option<f64>,
    /// Accept a --rate that the file contradicts.
    #[arg(long, requires = "rate")]
    force: bool,
    /// Column that says 0 normal / 1 anomaly [default: `label`, if there is one].
    #[arg(long)]
    label: Option<String>,
}

/// What `inspect` found.
#[derive(Serialize)]
struct Inspected {
    file: PathBuf,
    /// Rows per second, in Hz.
    rate: Option<f64>,
    label: Option<String>,
    /// What the rate is of.
    clock: Option<Clock>,
    /// Further columns of times.
    other_clocks: Vec<Clock>,
    /// Columns with fields that `fit` refuses.
    not_numbers: Vec<NotNumbers>,
    #[serde(flatten)]
    inspection: Inspection,
}

impl Inspected {
    fn clocks(&self) -> impl Iterator<Item = &Clock> {
        self.clock.iter().chain(&self.other_clocks)
    }

    /// The clocks' names.
    fn clock_names(&self) -> HashSet<&str> {
        self.clocks().map(|clock| &*clock.column).collect()
    }
}

impl Inspect {
    pub(super) fn run(self, context: Context) -> Result<()> {
        if let Some(rate) = self.rate {
            ensure!(rate.is_finite() && rate > 0.0, "--rate {rate}: give the rows per second, for example 1600");
        }
        let recording = open_table(&self.data, Label::of(self.label.as_deref(), &[""; 0]))?;
        let clocks = recording.clocks();
        let of_file = RateOfFile::of(&recording, &clocks, &[])?;
        drop(recording.times);
        let Recording { table, label, not_numbers, .. } = recording;
        let bad: HashMap<&str, usize> = not_numbers.iter().map(|found| (&*found.column, found.fields)).collect();
        let is_text = |name: &str| bad.get(name).is_some_and(|fields| 2 * fields > table.rows());
        let clock_names: HashSet<&str> = clocks.iter().map(|clock| &*clock.column).collect();
        let is_kept = |name: &&String| !is_text(name) && !clock_names.contains(name.as_str());
        let kept: Vec<String> = table.columns.iter().filter(is_kept).cloned().collect();
        ensure!(
            !kept.is_empty(),
            "{}: no column of numbers beside {}: give measured values",
            self.data.display(),
            list(&table.columns)
        );
        let (table, _) = table.select(&kept)?;
        if let (Some(rate), Some(of_file)) = (self.rate, &of_file) {
            match (of_file.check(rate, &self.data), self.force) {
                (Err(refusal), true) => note(&format!("taken with --force, although {refusal}")),
                (Err(refusal), false) => bail!("{refusal}; --force takes it as it is"),
                (Ok(()), _) => {}
            }
        }
        let rate = self.rate.or(of_file.map(|of_file| of_file.rate));
        let inspection = Inspection::of(&table);
        let mut clocks = clocks.into_iter();
        let (clock, other_clocks) = (clocks.next(), clocks.collect());
        let inspected = Inspected { file: self.data, rate, label, clock, other_clocks, not_numbers, inspection };
        context.print(&inspected, &text(&inspected)?)
    }
}

/// Most columns, and most pairs of them, that are printed.
const SHOWN: usize = 24;
const SHOWN_PAIRS: usize = 6;

fn text(inspected: &Inspected) -> Result<String> {
    let Inspected { file, rate, label, not_numbers, inspection, .. } = inspected;
    let Inspection { rows, anomalies, columns, suggestion, .. } = inspection;
    let mut text = String::new();
    write!(text, "{}: {rows} rows", file.display())?;
    if *anomalies > 0 {
        write!(text, ", {anomalies} of them labelled 1 and left out")?;
    }
    if let Some(rate) = rate {
        write!(text, ", {} at {} Hz", duration(*rows as f64 / rate), significant(*rate))?;
    }
    let names: Vec<String> = columns.iter().take(SHOWN).map(|column| excerpt(&column.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(6);
    writeln!(
        text,
        "\n\n{:<width$} {:>8} {:>11} {:>11} {:>11} {:>11} {:>9} {:>9} {:>7}",
        "column", "missing", "least", "mean", "largest", "deviation", "distinct", "repeat", "drift"
    )?;
    for (column, name) in columns.iter().zip(names) {
        let number = |value: Option<f64>| value.map_or("-".to_owned(), significant);
        writeln!(
            text,
            "{:<width$} {:>6.2} % {:>11} {:>11} {:>11} {:>11} {:>9} {:>9} {:>7}",
            name,
            100.0 * column.missing,
            number(column.least.map(f64::from)),
            number(column.mean),
            number(column.largest.map(f64::from)),
            number(column.deviation),
            column.distinct,
            column.longest_repeat.rows,
            column.drift.map_or("-".to_owned(), |drift| format!("{drift:.2}"))
        )?;
    }
    if columns.len() > SHOWN {
        writeln!(text, "and {} more columns (--json lists them)", columns.len() - SHOWN)?;
    }
    let findings = findings(inspected);
    if !findings.is_empty() {
        writeln!(text)?;
    }
    for finding in findings.iter().take(2 * SHOWN) {
        writeln!(text, "{finding}")?;
    }
    if findings.len() > 2 * SHOWN {
        writeln!(text, "and {} more findings (--json has them all)", findings.len() - 2 * SHOWN)?;
    }
    if suggestion.window == 1 {
        write!(text, "\nno --window: {}", suggestion.reason)?;
    } else {
        let seconds = rate.map_or(String::new(), |rate| format!(" ({})", duration(suggestion.window as f64 / rate)));
        write!(text, "\n--window {} --hop {}{seconds}: {}", suggestion.window, suggestion.hop, suggestion.reason)?;
    }
    let clocks = inspected.clock_names();
    let (names, to_mend): (Vec<&NotNumbers>, Vec<_>) =
        not_numbers.iter().filter(|found| !clocks.contains(&*found.column)).partition(|found| 2 * found.fields > *rows);
    if to_mend.is_empty() {
        write!(text, "\nnext: vae-train fit {}", quoted(file.display()))?;
        if let Some(label) = label {
            write!(text, " --label {}", quoted(label))?;
        }
        // A name with a comma is given by itself.
        let (alone, listed): (Vec<&str>, Vec<&str>) =
            names.iter().map(|found| &*found.column).partition(|name| name.contains(','));
        if !listed.is_empty() {
            write!(text, " --ignore {}", quoted(listed.join(",")))?;
        }
        for name in alone {
            write!(text, " --ignore {}", quoted(name))?;
        }
        if suggestion.window > 1 {
            write!(text, " --window {} --hop {}", suggestion.window, suggestion.hop)?;
        }
        write!(text, " --out runs/a")?;
    }
    Ok(text)
}

/// What the user should know, a line each: first what a fit would stumble over.
fn findings(inspected: &Inspected) -> Vec<String> {
    let Inspected { rate, clock, not_numbers, inspection, .. } = inspected;
    let mut findings = Vec::new();
    let clocks = inspected.clock_names();
    for NotNumbers { column, fields, first, row, .. } in not_numbers {
        let what = match (clocks.contains(&**column), 2 * fields > inspection.rows) {
            (true, _) => continue,
            (_, true) => "leave the column out (--ignore), or turn each category into a column of 0 and 1",
            _ => "leave a missing value empty",
        };
        findings.push(format!(
            "{column}: {fields} field(s) are no numbers, first `{}` in row {row}; fit refuses them: {what}",
            excerpt(first)
        ));
    }
    for clock in inspected.clocks() {
        findings.push(format!(
            "{}: a clock, a row every {} (jitter {}); a fit leaves it out: the time of tomorrow is never normal",
            clock.column,
            duration(clock.interval),
            duration(clock.jitter)
        ));
    }
    // Others have the same gaps.
    if let Some(clock) = clock {
        if clock.gaps > 0 {
            findings.push(format!(
                "{}: {} gap(s), the longest {} after row {}: a window across one joins what does not belong together",
                clock.column,
                clock.gaps,
                duration(clock.longest_gap),
                clock.longest_gap_row
            ));
        }
        if clock.not_forwards + clock.unreadable > 0 {
            findings.push(format!(
                "{}: {} row(s) do not go forwards in time, {} have no time",
                clock.column, clock.not_forwards, clock.unreadable
            ));
        }
        if let Some(rate) = rate.filter(|rate| (rate / clock.rate - 1.0).abs() > 0.01) {
            findings.push(format!("{}: says {} Hz where --rate says {rate}", clock.column, significant(clock.rate)));
        }
    }
    for (distinct, what) in [
        (0, "have no value: a fit leaves them out"),
        (1, "never vary: any other value in them will count as an anomaly"),
    ] {
        let of_kind = inspection.columns.iter().filter(|column| column.distinct == distinct);
        let names: Vec<&String> = of_kind.map(|column| &column.name).collect();
        if !names.is_empty() {
            findings.push(format!("{} column(s) {what}: {}", names.len(), list(&names)));
        }
    }
    // Not where most are, as in pictures.
    let of_bits = |column: &&Column| column.distinct == 2 && (column.least, column.largest) == (Some(0.0), Some(1.0));
    let bits: Vec<&String> = inspection.columns.iter().filter(of_bits).map(|column| &column.name).collect();
    if let [first, ..] = bits[..]
        && 2 * bits.len() < inspection.columns.len()
    {
        findings.push(format!(
            "{} column(s) hold 0 and 1 only: {}; one that says what was an anomaly is the label (--label {first}), and other labels or \
             states are to be left out (fit --ignore {first})",
            bits.len(),
            list(&bits),
            first = quoted(first)
        ));
    }
    for column in inspection.columns.iter().filter(|column| column.distinct > 1) {
        findings.extend(column.findings.iter().map(|finding| format!("{}: {finding}", column.name)));
    }
    // In a series of few levels equal rows are no wonder.
    if inspection.duplicates > 0 && inspection.suggestion.window == 1 {
        findings.push(format!(
            "{} row(s) ({:.1} %) are copies of earlier ones: copies that are held out make a model look better than it is",
            inspection.duplicates,
            100.0 * inspection.duplicates as f64 / (inspection.rows - inspection.anomalies).max(1) as f64
        ));
    }
    for pair in inspection.correlated.iter().take(SHOWN_PAIRS) {
        let [a, b] = &pair.columns;
        findings.push(format!("{a}, {b}: correlation {:.4}, nearly copies of each other", pair.correlation));
    }
    if inspection.correlated.len() > SHOWN_PAIRS {
        findings.push(format!("and {} more such pairs", inspection.correlated.len() - SHOWN_PAIRS));
    }
    findings
}

/// A time in the unit that suits it.
fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s <= 0.0 => (s, "s"),
        s if s < 1e-3 => (1e6 * s, "µs"),
        s if s < 1.0 => (1e3 * s, "ms"),
        s if s < 120.0 => (s, "s"),
        s if s < 7200.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "days"),
    };
    format!("{} {unit}", significant((10.0 * value).round() / 10.0))
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
