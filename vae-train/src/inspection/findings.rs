//! What the user should know of a table, a line each.

use crate::{
    inspection::{Inspection, column::Column},
    tables::clock::Clock,
    words::{
        foreign::excerpt,
        messages::{list, quoted},
        numbers::{list_some, significant},
        rates::duration,
    },
};

/// Most pairs of columns that are listed.
const MOST_PAIRS: usize = 6;
/// Share of the intervals off their median above which that is said.
const IRREGULAR: f64 = 0.05;

impl Inspection {
    /// All that stands out in the columns and rows.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let mut findings = of_columns(&self.columns);
        findings.extend(of_copies(self));
        findings
    }

    /// What a fit does not say anyway as it looks at its columns: all but values that outweigh others, and columns without values or of one.
    #[must_use]
    pub fn findings_for_fit(&self) -> Vec<String> {
        let varying = self.columns.iter().filter(|column| column.distinct > 1);
        varying.flat_map(of_column).chain(of_copies(self)).collect()
    }
}

/// What a clock shows beside its rate.
#[must_use]
pub fn of_clock(clock: &Clock) -> Vec<String> {
    let mut findings = Vec::new();
    let interval = |interval| if clock.question.is_none() { duration(interval) } else { significant(interval) };
    if clock.gaps > 0 {
        findings.push(format!(
            "{}: {} gap(s), the longest {} after row {}: rows on its two sides do not belong together, and no window spans it",
            clock.column,
            clock.gaps,
            interval(clock.longest_gap),
            clock.longest_gap_row
        ));
    }
    if clock.not_forwards + clock.unreadable > 0 {
        findings.push(format!(
            "{}: the time does not increase in {} row(s), and {} row(s) have no time",
            clock.column, clock.not_forwards, clock.unreadable
        ));
    }
    if clock.is_reversed {
        findings.push(format!(
            "{}: the newest row comes first: turn the file round, as a window is in the order of time",
            clock.column
        ));
    }
    if clock.off_median > IRREGULAR {
        findings.push(format!(
            "{}: {:.0} % of the intervals are more than a fifth off their median of {}: the rate is rows by time, and what a window sees \
             depends on its rows' intervals",
            clock.column,
            100.0 * clock.off_median,
            interval(clock.interval)
        ));
    }
    findings
}

fn of_column(column: &Column) -> Vec<String> {
    column.findings.iter().map(|finding| format!("{}: {finding}", column.name)).collect()
}

/// Columns without values, of one value, or of bits, and what stands out in each of the others.
fn of_columns(columns: &[Column]) -> Vec<String> {
    let mut findings = Vec::new();
    for (distinct, what) in [
        (0, "have no value: fit leaves them out"),
        (1, "never vary: a change of this size or more in them will count as an anomaly"),
    ] {
        let of_kind = columns.iter().filter(|column| column.distinct == distinct);
        let shown = |column: &Column| match column.least_change {
            Some(change) => format!("`{}` by {}", excerpt(&column.name), significant(change)),
            None => format!("`{}`", excerpt(&column.name)),
        };
        let names: Vec<String> = of_kind.map(shown).collect();
        if !names.is_empty() {
            findings.push(format!("{} column(s) {what}: {}", names.len(), list_some(&names, 8)));
        }
    }
    // Not where most are, as in pictures.
    let of_bits = |column: &&Column| column.distinct == 2 && (column.least, column.largest) == (Some(0.0), Some(1.0));
    let bits: Vec<&String> = columns.iter().filter(of_bits).map(|column| &column.name).collect();
    if let [first, ..] = bits[..]
        && 2 * bits.len() < columns.len()
    {
        findings.push(format!(
            "{} column(s) hold 0 and 1 only: {}; if one of them marks anomalies, give it as the label (--label {first}); leave out other \
             labels and states (fit --ignore {first})",
            bits.len(),
            list(&bits),
            first = quoted(first)
        ));
    }
    for column in columns.iter().filter(|column| column.distinct > 1) {
        findings.extend(column.outlier.map(|outlier| {
            format!(
                "{}: a single value, {}, outweighs all others: leave it empty if it was not measured",
                column.name,
                if column.origin == 0.0 { format!("{:e}", outlier as f32) } else { outlier.to_string() }
            )
        }));
        findings.extend(of_column(column));
    }
    findings
}

/// Rows and columns that are copies of others.
fn of_copies(inspection: &Inspection) -> Vec<String> {
    let mut findings = Vec::new();
    // In a series of few levels equal rows are no wonder.
    if inspection.duplicates > 0 && inspection.suggestion.window == 1 {
        findings.push(format!(
            "{} row(s) ({:.1} %) are copies of earlier rows: a held-out row whose copy is trained on makes a model look better than it is; \
             remove the copies",
            inspection.duplicates,
            100.0 * inspection.duplicates as f64 / (inspection.rows - inspection.anomalies).max(1) as f64
        ));
    }
    for pair in inspection.correlated.iter().take(MOST_PAIRS) {
        let [a, b] = &pair.columns;
        findings.push(format!("{a}, {b}: correlation {:.4}, nearly copies of each other", pair.correlation));
    }
    if inspection.correlated.len() > MOST_PAIRS {
        findings.push(format!("and {} more such pairs", inspection.correlated.len() - MOST_PAIRS));
    }
    findings
}
