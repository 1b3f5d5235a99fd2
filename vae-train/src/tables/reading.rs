//! What a user says of a table that the table itself does not say, or says in a way that nobody would guess.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The unit of a clock's numbers, or the order of day and month in its dates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
    /// Minutes.
    Min,
    /// Hours.
    H,
    /// Days, as a spreadsheet counts them.
    Days,
    /// Dates as in 31/12/2024.
    DayFirst,
    /// Dates as in 12/31/2024.
    MonthFirst,
}

/// How a table is to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Table")]
#[serde(default, deny_unknown_fields)]
pub struct Reading {
    /// Column that tells the time [default: the one that counts up as a clock does].
    #[arg(long, hide_short_help = true)]
    pub time: Option<String>,
    /// Unit of the times, where the table does not tell it: ns, us, ms, s, min, h, days; or day-first, month-first for dates.
    #[arg(long, hide_short_help = true)]
    pub time_unit: Option<TimeUnit>,
    /// Columns that are measured although they count up, as a meter does, or look like a label.
    ///
    /// Give several with commas between them, or repeat the option.
    #[arg(long, hide_short_help = true)]
    pub keep: Vec<String>,
    /// Column that says which machine or which run a row is of; no window holds rows of two, and it is not trained on.
    #[arg(long, hide_short_help = true)]
    pub group: Option<String>,
    /// Values and words that stand for missing, as in --missing -999,offline; NaN, NA, null, ?, - and their like do without being named.
    #[arg(long, hide_short_help = true, allow_hyphen_values = true)]
    pub missing: Vec<String>,
    /// What the label column says of an anomaly, where that is neither 1 nor true nor yes.
    #[arg(long, hide_short_help = true)]
    pub anomaly_label: Option<String>,
    /// File of intervals whose rows are anomalies, a start and an end in each line: times as the clock has them, dates, or without a clock rows.
    #[arg(long, hide_short_help = true, conflicts_with = "label")]
    pub label_intervals: Option<PathBuf>,
    /// Lines before the header [default: none, or those that look like a preamble].
    #[arg(long, hide_short_help = true)]
    pub skip_lines: Option<usize>,
    /// With a model: take a table of another sample rate than the model's.
    #[arg(long, hide_short_help = true)]
    pub other_rate: bool,
    /// Columns of categories, which hold names or whole numbers: a fit's setting, or a model, says which.
    #[arg(skip)]
    #[serde(skip)]
    pub categorical: Vec<String>,
}

impl Reading {
    /// The columns to keep, of these: those that are said to be measured, and those of categories.
    #[must_use]
    pub fn kept(&self, columns: &[String]) -> Vec<String> {
        let mut kept = names_meant(&self.keep, columns);
        kept.extend(self.categorical.iter().filter(|name| columns.contains(name)).cloned());
        kept
    }
}

/// The columns that are meant by names with commas between them; a column's own name may have some.
#[must_use]
pub fn names_meant(given: &[String], columns: &[String]) -> Vec<String> {
    let parts = |names: &String| match columns.contains(names) {
        true => vec![names.clone()],
        false => names.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    given.iter().flat_map(parts).collect()
}
