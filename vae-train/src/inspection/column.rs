//! What one column of a table is like.

use anyhow::Result;
use serde::Serialize;

use crate::{
    inspection::{
        column_values::ColumnValues,
        runs::{LEAST_CLIPPED, Run, Stuck, clipped, runs, stuck},
    },
    statistics::moments::Moments,
    words::numbers::{absolute, significant},
};

/// A column of fewer distinct values is a count or a switch.
const LEAST_DISTINCT: usize = 8;

/// Shift of the mean from the first quarter to the last, in standard deviations, that is pointed out.
const DRIFT: f64 = 1.0;

/// What one column is like; rows are counted from 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Share of the values that are missing.
    pub missing: f64,
    /// Most missing values in a row.
    pub longest_gap: Run,
    /// `None`, as what follows, for a column without a value.
    pub least: Option<f64>,
    /// Mean of the values.
    pub mean: Option<f64>,
    /// Largest value.
    pub largest: Option<f64>,
    /// Standard deviation.
    pub deviation: Option<f64>,
    /// What is subtracted from the values before they become 32-bit numbers, as the changes are small beside it; 0 for most.
    pub origin: f64,
    /// Number of different values.
    pub distinct: usize,
    /// Smallest difference between two of them: the resolution of a quantised signal.
    pub step: Option<f64>,
    /// Most equal values in a row.
    pub longest_repeat: Run,
    /// Runs of equal values that are implausibly long for the column.
    pub stuck: Option<Stuck>,
    /// Of a column that never varies the least change that will count as an anomaly.
    pub least_change: Option<f64>,
    /// Share of the values that are the least one, in runs of three and more; where that looks like clipping.
    pub clipped_below: Option<f64>,
    /// Share of the values that are the largest one, in runs of three and more; where that looks like clipping.
    pub clipped_above: Option<f64>,
    /// Shift of the mean from the first quarter of the rows to the last, in standard deviations.
    pub drift: Option<f64>,
    /// A value that outweighs all others.
    pub outlier: Option<f64>,
    /// What else the user should know, in words.
    pub findings: Vec<String>,
}

impl Column {
    /// What one column of a table is like in rows that are not labelled anomalies, which are so many.
    ///
    /// # Errors
    /// If the rows cannot be read, or there is no room to sort them.
    pub(crate) fn of(values: &ColumnValues<'_>, normal: usize) -> Result<Self> {
        let origin = values.table.origin(values.column);
        let mut moments = Moments::default();
        values.iter().for_each(|(_, value)| moments.push(f64::from(value)));
        let levels = values.levels()?;
        let runs = || runs(values.iter());
        // The first of several.
        let longer = |longest: Run, run: Run| if run.rows > longest.rows { run } else { longest };
        let (longest_gap, longest_repeat) =
            runs().fold((Run::default(), Run::default()), |(gap, repeat), run| match run.value {
                None => (longer(gap, run), repeat),
                Some(_) => (gap, longer(repeat, run)),
            });
        let is_empty = levels.ends.is_none();
        let known = |value: f64| (!is_empty).then_some(value);
        let [least, largest] = levels.ends.map_or([None; 2], |ends| ends.map(Some));
        let mut found = Self {
            name: values.table.columns()[values.column].clone(),
            missing: 1.0 - levels.values as f64 / normal.max(1) as f64,
            longest_gap,
            least: least.map(|value| absolute(value, origin)),
            mean: known(moments.mean + origin),
            largest: largest.map(|value| absolute(value, origin)),
            deviation: known(moments.deviation()),
            origin,
            distinct: levels.distinct,
            step: levels.step,
            longest_repeat,
            stuck: None,
            least_change: (moments.is_constant() && !is_empty).then(|| moments.least_change(f64::INFINITY)),
            clipped_below: None,
            clipped_above: None,
            drift: None,
            outlier: None,
            findings: Vec::new(),
        };
        if !moments.is_constant() {
            found.stuck = stuck(runs, levels.values, |value| Some(value) == least || Some(value) == largest);
            if found.distinct >= LEAST_DISTINCT {
                let clipped =
                    |is_least, extreme: Option<f32>| clipped(runs(), levels.values, extreme?, levels.at_end(is_least));
                found.clipped_below = clipped(true, least);
                found.clipped_above = clipped(false, largest);
            }
            found.outlier = moments.outlier().map(|outlier| absolute(outlier as f32, origin));
            found.drift = drift(values.iter().map(|(_, value)| value), normal, moments.deviation());
        }
        values.check()?;
        found.findings = found.describe(&moments, normal);
        Ok(found)
    }

    /// The findings, in words.
    fn describe(&self, moments: &Moments, rows: usize) -> Vec<String> {
        let mut findings = Vec::new();
        let percent = |share: f64| format!("{:.3} %", 100.0 * share);
        if moments.count == 0.0 {
            return vec!["has no value: fit leaves it out".to_owned()];
        }
        if self.missing > 0.0 {
            let Run { rows, first_row, .. } = self.longest_gap;
            findings.push(format!("{} missing, at most {rows} in a row, from row {first_row}", percent(self.missing)));
        }
        if moments.is_constant() {
            let change = significant(moments.least_change(f64::INFINITY));
            findings.push(match self.distinct {
                1 => format!("is always {}: a change of {change} or more will count as an anomaly", moments.mean as f32),
                _ => format!(
                    "changes by no more than {}, which 32-bit numbers hardly tell beside {}: subtract that from the column",
                    significant(moments.largest - moments.least),
                    moments.least
                ),
            });
            return findings;
        }
        if self.origin != 0.0 {
            findings.push(format!(
                "changes by little beside its size: it is taken less {}, which the model keeps, and which a device subtracts before a value \
                 becomes a 32-bit number",
                self.origin
            ));
        }
        if let Some(Stuck { runs, share, longest }) = self.stuck {
            findings.push(format!(
                "stays the same for {} rows from row {} on, where it usually changes ({runs} such run(s), {} of the rows): a stuck \
                 sensor?",
                longest.rows,
                longest.first_row,
                percent(share)
            ));
        }
        for (share, value, word) in
            [(self.clipped_below, self.least, "least"), (self.clipped_above, self.largest, "largest")]
        {
            if let (Some(share), Some(value)) = (share, value) {
                findings.push(format!(
                    "{} of the values are its {word}, {value}, in runs of {LEAST_CLIPPED} and more: clipped?",
                    percent(share)
                ));
            }
        }
        // The means of independent quarters differ by √(8/n) deviations.
        let by_chance = 4.0 * (8.0 / rows as f64).sqrt();
        if let Some(drift) = self.drift.filter(|drift| drift.abs() > DRIFT.max(by_chance)) {
            findings.push(format!(
                "its mean moves by {drift:.1} standard deviations from the first quarter to the last: drift, or states that were \
                 recorded one after the other?"
            ));
        }
        findings
    }
}

/// How far the mean of the last quarter is from that of the first, in `deviation`s.
fn drift(values: impl Iterator<Item = f32>, rows: usize, deviation: f64) -> Option<f64> {
    let mut quarters = [Moments::default(); 2];
    for (index, value) in values.enumerate() {
        if index < rows / 4 {
            quarters[0].push(f64::from(value));
        } else if index >= rows - rows / 4 {
            quarters[1].push(f64::from(value));
        }
    }
    let [first, last] = quarters;
    (first.count > 0.0 && last.count > 0.0).then(|| (last.mean - first.mean) / deviation)
}
