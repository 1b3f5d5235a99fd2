//! `vae-train split`: a recording in parts to train on, to calibrate on, and to try the model on.

use std::{
    fmt::Write as _,
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use super::rate::RateOfFile;
use crate::{
    cli::{
        context::{Context, note},
        table::{open_quietly, open_table, options},
    },
    data::cuts::{Shares, cuts},
    tables::{
        copy::{copy_rows, is_text},
        reading::Reading,
        recording::{Label, Recording},
        table::{LABEL, Table},
    },
    words::{
        messages::quoted,
        numbers::{absolute, percent},
        output::{Csv, Existing, Pending},
        rates::span,
    },
};

/// The parts' names, in the order of time.
const PARTS: [&str; 3] = ["training", "calibration", "trial"];

/// Cut a recording in time into a part to train on, a part to calibrate on, and a part to try the model on.
///
/// Each part is a CSV file with the recording's header: training.csv, calibration.csv and trial.csv in --out. Lines of text are copied as
/// they stand; of other formats the numbers are written. A cut is made where a piece ends if one does nearby (a file with gaps or of several
/// machines is of several pieces), and never within an event, which is a run of rows labelled 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train split recording.csv --out parts
  vae-train split recording.csv --label label --shares 50/20/30 --out parts")]
pub(super) struct Split {
    /// Table: CSV (a header, then rows in order of time) or another format, also compressed by gzip or zstd; `-` for standard input.
    data: PathBuf,
    /// Directory to write the parts into.
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// Shares of the rows to train on, to calibrate on, and to try the model on.
    #[arg(long, default_value = "60/20/20", value_parser = shares)]
    shares: Shares,
    /// Column that says 0 normal / 1 anomaly [default: `label`, if there is one].
    #[arg(long)]
    label: Option<String>,
    #[command(flatten)]
    reading: Reading,
    /// Replace parts that exist.
    #[arg(long, help_heading = "Output")]
    force: bool,
}

/// What was written.
#[derive(Serialize)]
struct Cut {
    file: PathBuf,
    /// Rows a second, where the file tells it.
    rate: Option<f64>,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Part {
    part: &'static str,
    file: PathBuf,
    rows: usize,
    share: f64,
    seconds: Option<f64>,
    /// Rows labelled 1; none where there are no labels.
    anomalies: Option<usize>,
}

impl Split {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        let paths = PARTS.map(|part| self.out.join(format!("{part}.csv")));
        paths.iter().try_for_each(|path| existing.check(path))?;
        ensure!(
            !self.data.is_dir(),
            "{} is a directory: split cuts one recording; of several files give some to fit, others to calibrate, and others to evaluate",
            self.data.display()
        );
        // What can be read once only is read twice: to see what is in it, and to copy it.
        let copy = kept(&self.data)?;
        let data = copy.as_ref().map_or(&*self.data, |copy| copy.path());
        let mut recording = open_table(&[data.to_owned()], Label::of(self.label.as_deref(), &[""; 0]), &self.reading)?;
        if copy.is_some() {
            recording.table.path = "standard input".into();
        }
        let rate = RateOfFile::of(&recording, &[])?.map(|of_file| of_file.rate);
        self.check_order(data, &recording)?;
        let table = &recording.table;
        let [first, second] = cuts(table, self.shares)?;
        let rows = [0..first, first..second, second..table.rows()];
        let is_text = is_text(data)?;
        let write = |rows: &Range<usize>, out: &mut dyn Write| match is_text {
            true => copy_rows(data, self.reading.skip_lines, table, rows, out),
            false => write_numbers(&recording, rows, out),
        };
        let pending: Vec<Pending> = paths
            .iter()
            .zip(&rows)
            .map(|(path, rows)| Pending::write(path, existing, |out| write(rows, out)))
            .collect::<Result<_>>()?;
        pending.into_iter().try_for_each(Pending::publish)?;
        let parts: Vec<Part> = PARTS
            .iter()
            .zip(paths)
            .zip(&rows)
            .map(|((part, file), rows)| Part {
                part,
                file,
                rows: rows.len(),
                share: rows.len() as f64 / table.rows() as f64,
                seconds: rate.map(|rate| rows.len() as f64 / rate),
                anomalies: table.labels.as_ref().map(|labels| anomalies(&labels[rows.clone()])),
            })
            .collect();
        advise(table, &parts);
        let cut = Cut { file: table.path.clone(), rate, parts };
        context.print(&cut, &self.text(&cut, recording.label.as_deref())?)
    }

    /// Refuses rows that are not in the order of time as they lie in the file.
    fn check_order(&self, data: &Path, recording: &Recording) -> Result<()> {
        let name = recording.table.path.display();
        if let Some(clock) = recording.clocks.iter().find(|clock| clock.is_reversed) {
            bail!(
                "{name}: by column `{}` the newest row comes first, and the part to train on would be the last one: sort the rows by time \
                 first",
                clock.column
            );
        }
        if let Some(group) = &self.reading.group {
            let reading = Reading { group: None, ..self.reading.clone() };
            let label = Label::of(self.label.as_deref(), &[""; 0]);
            let (plain, _) = open_quietly(&[data.to_owned()], label, &reading)?;
            let are_same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
            let is_in_order = plain.table.values.iter().zip(&recording.table.values).all(are_same);
            ensure!(
                is_in_order,
                "{name}: the rows of the groups of `{group}` are mixed, and a cut in time would be one of each: sort the rows by `{group}` \
                 first, or cut by hand"
            );
        }
        Ok(())
    }

    fn text(&self, cut: &Cut, label: Option<&str>) -> Result<String> {
        let mut text = String::new();
        for Part { part, file, rows, share, seconds, anomalies } in &cut.parts {
            write!(text, "{part:<12} {}: {rows} rows, {}", file.display(), percent(*share))?;
            if let Some(seconds) = seconds {
                write!(text, ", {}", span(*seconds))?;
            }
            match anomalies {
                None => writeln!(text)?,
                Some(anomalies) => writeln!(text, ", {anomalies} of them labelled 1")?,
            }
        }
        let [train, calibration, trial] = [0, 1, 2].map(|part| quoted(cut.parts[part].file.display()));
        // That column is found without being named, and what was before the header is gone.
        let label_option = match label {
            None | Some(LABEL) => String::new(),
            Some(label) => format!(" --label {}", quoted(label)),
        };
        let named = label_option + &options(&Reading { skip_lines: None, ..self.reading.clone() });
        writeln!(text, "next: vae-train inspect {train}{named}, which says what to fit with")?;
        writeln!(text, "      vae-train fit {train}{named} --out runs/a")?;
        writeln!(text, "      vae-train calibrate runs/a --normal {calibration}{named} --alarms 1/week")?;
        writeln!(text, "      vae-train export runs/a --out model.vae")?;
        match label {
            Some(_) => writeln!(text, "      vae-train evaluate model.vae {trial}{named}")?,
            None => writeln!(text, "      vae-train score model.vae {trial}{named} --out scores.csv")?,
        }
        Ok(text)
    }
}

fn anomalies(labels: &[bool]) -> usize {
    labels.iter().filter(|label| **label).count()
}

/// Says where anomalies are that belong elsewhere, and where the trial has none.
fn advise(table: &Table, parts: &[Part]) {
    let name = table.path.display();
    let Some(labels) = &table.labels else { return };
    let [train, calibration, trial] = [0, 1, 2].map(|part| parts[part].anomalies.unwrap_or(0));
    if train + calibration > 0 {
        note(&format!(
            "{name}: {train} rows labelled 1 are in the part to train on and {calibration} in the part to calibrate on, as they come so early; \
             fit and calibrate leave out the windows that hold them"
        ));
    }
    if trial == 0 && labels.contains(&true) {
        note(&format!(
            "{name}: the part to try the model on has no row labelled 1, and evaluate needs some: give it more of the recording (--shares)"
        ));
    }
}

/// A copy of what can be read once only; none of a file.
fn kept(data: &Path) -> Result<Option<tempfile::NamedTempFile>> {
    if data.as_os_str() != "-" && (data.is_file() || !data.exists()) {
        return Ok(None);
    }
    let context = || format!("cannot keep what comes from {} in a temporary file", data.display());
    let mut copy = tempfile::NamedTempFile::new().with_context(context)?;
    match data.to_str() {
        Some("-") => std::io::copy(&mut std::io::stdin().lock(), &mut copy),
        _ => std::fs::File::open(data).and_then(|mut file| std::io::copy(&mut file, &mut copy)),
    }
    .with_context(context)?;
    Ok(Some(copy))
}

/// Writes the numbers of these rows as CSV, with the label behind them.
fn write_numbers(recording: &Recording, rows: &Range<usize>, out: &mut dyn Write) -> Result<()> {
    let Table { columns, values, labels, .. } = &recording.table;
    let names = columns.iter().chain(recording.label.as_ref());
    let mut out = Csv::under(names, out)?;
    for row in rows.clone() {
        let numbers = &values[row * columns.len()..][..columns.len()];
        let label = labels.as_ref().map(|labels| f64::from(u8::from(labels[row])));
        let number = |(column, value): (usize, &f32)| absolute(*value, recording.table.origin(column));
        let numbers = numbers.iter().enumerate().map(number).map(|number| (!number.is_nan()).then_some(number));
        let fields: Vec<Option<f64>> = numbers.chain(label.map(Some)).collect();
        out.serialize(fields)?;
    }
    out.flush()
}

fn shares(text: &str) -> Result<Shares> {
    let shares: Vec<f64> = text.split('/').filter_map(|share| share.trim().parse().ok()).collect();
    match shares[..] {
        [a, b, c]
            if text.split('/').count() == 3 && [a, b, c].iter().all(|share| *share > 0.0 && share.is_finite()) =>
        {
            Ok(Shares([a, b, c]))
        }
        _ => bail!("give three shares, as in 60/20/20"),
    }
}
