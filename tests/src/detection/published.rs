//! What others have published for the tables of a folder: its `published.csv`, with a line for each table, metric and method.

use std::path::Path;

use anyhow::{Context, Result, ensure};

/// The file's first line.
const HEADER: &str = "table,metric,method,percent";

/// What a metric is called in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// `auroc`.
    Auroc,
    /// `average_precision`.
    AveragePrecision,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::Auroc => "auroc",
            Self::AveragePrecision => "average_precision",
        }
    }
}

/// Figures of several methods on several tables, in per cent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Table, metric, method.
    lines: Vec<([String; 3], f64)>,
}

impl Published {
    /// What a folder's `published.csv` says; none where it has none.
    ///
    /// # Errors
    /// Names the line that cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("published.csv");
        if !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string()).map(Some)
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// Names the line that cannot be read.
    pub fn parse(text: &str) -> Result<Self> {
        ensure!(text.lines().next() == Some(HEADER), "the first line is not `{HEADER}`");
        let line = |(index, line): (usize, &str)| {
            let number = index + 2;
            let fields: Vec<&str> = line.split(',').collect();
            let [table, metric, method, percent] = fields[..] else {
                anyhow::bail!("line {number} has no four fields")
            };
            let percent: f64 = percent.parse().with_context(|| format!("line {number}: `{percent}` is no number"))?;
            ensure!((0.0..=100.0).contains(&percent), "line {number}: {percent} is no percentage");
            Ok(([table, metric, method].map(str::to_owned), percent))
        };
        let lines: Vec<_> =
            text.lines().skip(1).enumerate().filter(|(_, text)| !text.is_empty()).map(line).collect::<Result<_>>()?;
        Ok(Self { lines })
    }

    /// The methods on a table and their figures, in the file's order.
    #[must_use]
    pub fn of(&self, table: &str, metric: Metric) -> Vec<(&str, f64)> {
        let asked = |key: &[String; 3]| key[0] == table && key[1] == metric.name();
        self.lines.iter().filter(|(key, _)| asked(key)).map(|(key, percent)| (&*key[2], *percent)).collect()
    }
}

/// The rank of each value: 1 for the highest; equal ones share the mean of theirs. No value may be NaN.
#[must_use]
pub fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let above = values.iter().filter(|other| *other > value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        // Of the ranks above + 1 … above + equal.
        above as f64 + (equal as f64 + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_the_mean_of_their_ranks() {
        assert_eq!(ranks(&[0.5, 0.9, 0.7]), [3.0, 1.0, 2.0]);
        // Ranks 1, 2 | 3 | 4, 5, 6: what scipy.stats.rankdata gives for the negated values.
        assert_eq!(ranks(&[0.2, 0.9, 0.2, 0.5, 0.9, 0.2]), [5.0, 1.5, 5.0, 3.0, 1.5, 5.0]);
        assert_eq!(ranks(&[1.0; 4]), [2.5; 4]);
        assert!(ranks(&[]).is_empty());
    }

    #[test]
    fn a_file_is_read_by_table_and_metric() {
        let text =
            format!("{HEADER}\na,auroc,kNN,99.5\na,average_precision,kNN,1.25\na,auroc,LOF,0\nb,auroc,kNN,100\n");
        let found = Published::parse(&text).unwrap();
        assert_eq!(found.of("a", Metric::Auroc), [("kNN", 99.5), ("LOF", 0.0)]);
        assert_eq!(found.of("a", Metric::AveragePrecision), [("kNN", 1.25)]);
        assert_eq!(found.of("b", Metric::Auroc), [("kNN", 100.0)]);
        assert!(found.of("c", Metric::Auroc).is_empty());
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let error = |text: String| format!("{:#}", Published::parse(&text).unwrap_err());
        assert!(error(format!("{HEADER}\na,auroc,kNN,1\na,auroc,1\n")).contains("line 3 has no four fields"));
        assert!(error(format!("{HEADER}\na,auroc,kNN,high\n")).contains("line 2: `high` is no number"));
        assert!(error(format!("{HEADER}\na,auroc,kNN,101\n")).contains("line 2: 101 is no percentage"));
        assert!(error(format!("{HEADER}\na,auroc,kNN,NaN\n")).contains("line 2: NaN is no percentage"));
        assert!(error("table,percent\n".into()).contains(HEADER));
    }

    #[test]
    fn a_folder_without_the_file_has_nothing_published() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(Published::read(place.path()).unwrap(), None);
        std::fs::write(place.path().join("published.csv"), format!("{HEADER}\na,auroc,kNN,50\n")).unwrap();
        assert_eq!(Published::read(place.path()).unwrap().unwrap().of("a", Metric::Auroc), [("kNN", 50.0)]);
    }
}
