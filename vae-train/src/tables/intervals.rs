//! Labels as a list of intervals: a file of starts and ends.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    tables::{
        calendar::{self, Stamp},
        source::Source,
    },
    words::foreign::excerpt,
};

/// Most intervals of a file.
const MOST: usize = 1 << 20;

/// When something began or ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    /// In the unit of the clock's numbers, or a row, counted from 1.
    Number(f64),
    /// Seconds since 1970, or since midnight.
    Seconds(f64),
}

/// The times of a table's rows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowTimes<'a> {
    /// In the clock's own unit; NaN where a row has none.
    pub(crate) values: &'a [f64],
    /// Seconds in it.
    pub(crate) unit: f64,
}

/// Whether each of so many rows is in one of the intervals of a file, both ends among them; also how many intervals hold no row. The file has two
/// columns, with a header or without: numbers as the clock has them, dates, or where there is no clock rows counted from 1.
///
/// # Errors
/// If it cannot be read, a field is neither, an interval ends before it starts, or none holds a row.
pub(crate) fn labels(path: &Path, rows: usize, times: Option<RowTimes<'_>>) -> Result<(Vec<bool>, usize)> {
    let intervals = read(path)?;
    let mut labels = vec![false; rows];
    let mut empty = 0;
    for [start, end] in &intervals {
        let mut holds = false;
        for (row, label) in labels.iter_mut().enumerate() {
            let is_in = |moment: Moment, ends: bool| {
                let (at, moment) = match (times, moment) {
                    (Some(times), Moment::Seconds(seconds)) => (times.unit * times.values[row], seconds),
                    (Some(times), Moment::Number(number)) => (times.values[row], number),
                    (None, Moment::Number(number)) => (row as f64 + 1.0, number),
                    (None, Moment::Seconds(_)) => return false,
                };
                if ends { at <= moment } else { at >= moment }
            };
            if is_in(*start, false) && is_in(*end, true) {
                (*label, holds) = (true, true);
            }
        }
        empty += usize::from(!holds);
    }
    ensure!(
        empty < intervals.len(),
        "{}: none of its {} interval(s) holds a row of the table: {}",
        path.display(),
        intervals.len(),
        match times {
            Some(_) => "give their starts and ends as its column of times has them",
            None => "the table has no clock, so give the numbers of rows, counted from 1",
        }
    );
    Ok((labels, empty))
}

fn read(path: &Path) -> Result<Vec<[Moment; 2]>> {
    let name = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(Source::open(path)?);
    let mut intervals = Vec::new();
    for (line, record) in reader.records().enumerate() {
        let record = record.with_context(|| format!("cannot read {name}"))?;
        let (Some(start), Some(end)) = (record.get(0), record.get(1)) else {
            bail!("{name}: line {} has no start and end, as in 2024-05-01 10:00:00,2024-05-01 10:05:00", line + 1)
        };
        match (moment(start), moment(end)) {
            (Some(start), Some(end)) => {
                let is_ordered = match (start, end) {
                    (Moment::Number(start), Moment::Number(end)) | (Moment::Seconds(start), Moment::Seconds(end)) => {
                        start <= end
                    }
                    _ => false,
                };
                ensure!(is_ordered, "{name}: line {}: the interval ends before it starts", line + 1);
                intervals.push([start, end]);
            }
            // A header.
            _ if line == 0 => {}
            _ => bail!(
                "{name}: line {}: `{}`, `{}` are no start and end: give numbers, or dates as in 2024-05-01 10:00:00",
                line + 1,
                excerpt(start),
                excerpt(end)
            ),
        }
        ensure!(intervals.len() <= MOST, "{name} holds more than {MOST} intervals: give a column of labels instead");
    }
    ensure!(!intervals.is_empty(), "{name} holds no intervals: give a start and an end in each line");
    Ok(intervals)
}

fn moment(field: &str) -> Option<Moment> {
    if let Ok(number) = field.parse::<f64>() {
        return number.is_finite().then_some(Moment::Number(number));
    }
    match calendar::parse(field)? {
        Stamp::Moment(seconds) | Stamp::OfDay(seconds) => Some(Moment::Seconds(seconds)),
        // Which of two dates it is, the list does not tell.
        Stamp::Either { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, rows: usize, times: Option<RowTimes<'_>>) -> Result<(Vec<usize>, usize)> {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(file.path(), text).unwrap();
        let (labels, empty) = labels(file.path(), rows, times)?;
        Ok(((0..rows).filter(|row| labels[*row]).collect(), empty))
    }

    #[test]
    fn rows_between_starts_and_ends_are_labelled() {
        assert_eq!(of("start,end\n2,3\n5,5\n90,99\n", 6, None).unwrap(), (vec![1, 2, 4], 1));
        // 2024-05-01 00:00:00 in milliseconds, and a row a second.
        let values: Vec<f64> = (0..10).map(|row| 1_714_521_600_000.0 + 1000.0 * f64::from(row)).collect();
        let times = Some(RowTimes { values: &values, unit: 1e-3 });
        let dates = "2024-05-01 00:00:02,2024-05-01T00:00:04Z\n";
        assert_eq!(of(dates, 10, times).unwrap(), (vec![2, 3, 4], 0));
        assert_eq!(of("1714521602000,1714521604000\n", 10, times).unwrap(), (vec![2, 3, 4], 0));
        for (text, expected) in [
            ("", "holds no intervals"),
            ("a,b\nc,d\n", "line 2: `c`, `d` are no start and end"),
            ("5,2\n", "line 1: the interval ends before it starts"),
            ("1,2\n3\n", "line 2 has no start and end"),
            ("100,200\n", "none of its 1 interval(s) holds a row of the table: the table has no clock"),
        ] {
            let message = format!("{:#}", of(text, 10, None).unwrap_err());
            assert!(message.contains(expected), "{text:?}: {message}");
        }
    }
}
