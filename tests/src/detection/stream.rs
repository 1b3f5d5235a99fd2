//! A test table that is a stream: evidence that is added up over time, next to scores row by row.

use std::{ops::Range, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use vae_core::{Alarm, AlarmRule, Calibration, Model, Votes};
use vae_train::{
    calibration::{Series, Settings, of_series},
    file::calibration::CalibrationRecord,
    scoring::evaluation::Scored,
    statistics::metrics::Detection,
    tables::table::Table,
};

use crate::detection::figures::mean;

/// What a new score weighs in the moving average.
const WEIGHT: f64 = 0.05;

/// The consecutive pieces that a test table consists of, by their rows, each of which begins anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// One piece.
    Whole,
    /// Of so many rows.
    Pieces(Vec<usize>),
}

impl FromStr for Lengths {
    type Err = anyhow::Error;

    /// Reads `whole`, or lengths as in `960,800x21`: a piece of 960 rows, and 21 of 800.
    fn from_str(text: &str) -> Result<Self> {
        if text == "whole" {
            return Ok(Self::Whole);
        }
        let mut lengths = Vec::new();
        for part in text.split(',') {
            let (length, times) = part.split_once('x').unwrap_or((part, "1"));
            let number = |text: &str| match text.trim().parse::<usize>() {
                Ok(number @ 1..) => Ok(number),
                _ => bail!("`{part}` is no length: give rows, or rows x times, as in 960,800x21, or `whole`"),
            };
            lengths.extend(vec![number(length)?; number(times)?]);
        }
        Ok(Self::Pieces(lengths))
    }
}

impl Lengths {
    /// The rows at which pieces begin, without the first, in a table of so many rows.
    ///
    /// # Errors
    /// If the lengths do not add up to these.
    pub fn starts(&self, rows: usize) -> Result<Vec<usize>> {
        let Self::Pieces(lengths) = self else { return Ok(Vec::new()) };
        let mut ends: Vec<usize> = lengths
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect();
        let sum = ends.pop().context("no piece has a length")?;
        ensure!(sum == rows, "the pieces have {sum} rows, and the test table has {rows}");
        Ok(ends)
    }
}

/// The pieces of a table of so many rows.
fn pieces(starts: &[usize], rows: usize) -> impl Iterator<Item = Range<usize>> {
    let ends = starts.iter().copied().chain([rows]);
    [0].into_iter().chain(starts.iter().copied()).zip(ends).map(|(start, end)| start..end)
}

/// Areas under the ROC, by what the rows are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Aurocs {
    /// The score of the row alone.
    pub row: f64,
    /// The cumulative sum of the scores' ranks: `C` of `docs/calibration.md`, of the device's alarm, neither bounded above nor reset by one.
    pub sum: f64,
    /// A moving average of the scores since the start of the piece, in which each one before weighs 0.95 of the next.
    pub average: f64,
}

impl Aurocs {
    /// The mean of each.
    #[must_use]
    pub fn mean(of: &[Self]) -> Self {
        let of = |area: fn(&Self) -> f64| mean(of.iter().map(area));
        Self { row: of(|of| of.row), sum: of(|of| of.sum), average: of(|of| of.average) }
    }
}

/// A piece with anomalies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Piece {
    /// Its first row in the test table, counted from 1.
    pub first_row: usize,
    /// Windows in it.
    pub windows: usize,
    /// Those of them that are labelled anomalies.
    pub anomalies: usize,
    /// Its anomalies against the normal windows of all pieces.
    pub aurocs: Aurocs,
}

/// How well a stream's anomalies are told from its normal windows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Streamed {
    /// All windows.
    pub pooled: Aurocs,
    /// The pieces with anomalies.
    pub pieces: Vec<Piece>,
    /// Mean rank `√12 (½ − p)` of the normal windows: 0 if they are as the calibration's; from [`vae_core::ALLOWANCE`] on, the sum rises without a fault.
    pub normal_rank: f64,
    /// Windows that the detector calls a sensor's fault: the sum passes over them.
    pub sensor_faults: usize,
}

/// What windows are ranked by, one after the other.
#[derive(Clone, Debug, Default)]
struct Evidence {
    row: Vec<f64>,
    sum: Vec<f64>,
    average: Vec<f64>,
    rank: Vec<f64>,
}

impl Evidence {
    /// Adds up what the −scores of the windows of a piece say, in nats; `None` for one that the detector does not judge.
    fn add(&mut self, judged: impl Iterator<Item = (f64, Option<f32>)>, calibration: &Calibration<'_>) -> Result<()> {
        let votes = Votes::new(1, 1).context("impossible votes")?;
        // What would raise an alarm must not, as the sum would then be bounded; averages stand still where they do on the device.
        let rate = calibration.alarms_per_window().unwrap_or(0.0);
        let rule = AlarmRule::new(calibration, -calibration.threshold(), rate);
        let rule = rule.without_alarms(rule.limit);
        let mut alarm = Alarm::new(votes);
        let (mut average, mut weights) = (0.0, 0.0);
        for (row, nats) in judged {
            if let Some(nats) = nats {
                alarm.push(nats, &rule, calibration);
            }
            // Of the rows since the start alone: weights that add up to one.
            weights += WEIGHT * (1.0 - weights);
            average += WEIGHT / weights * (row - average);
            self.row.push(row);
            self.rank.push(12f64.sqrt() * (0.5 - f64::from(calibration.p_value(-row as f32))));
            self.sum.push(f64::from(alarm.change()));
            self.average.push(average);
        }
        Ok(())
    }

    /// The areas for chosen windows.
    fn aurocs(&self, labels: &[bool], is_chosen: impl Fn(usize) -> bool) -> Result<Aurocs> {
        let chosen: Vec<usize> = (0..labels.len()).filter(|index| is_chosen(*index)).collect();
        let labels: Vec<bool> = chosen.iter().map(|index| labels[*index]).collect();
        let area = |values: &[f64]| -> Result<f64> {
            let values: Vec<f64> = chosen.iter().map(|index| values[*index]).collect();
            Ok(Detection::of(&values, &labels)?.auroc)
        };
        Ok(Aurocs { row: area(&self.row)?, sum: area(&self.sum)?, average: area(&self.average)? })
    }

    /// Of windows with these labels, last rows (by which they belong to pieces), and starts of pieces among the rows.
    fn judged(&self, labels: &[bool], last_rows: &[usize], starts: &[usize], rows: usize) -> Result<Streamed> {
        let mut found = Vec::new();
        for piece in pieces(starts, rows) {
            let is_in = |index: usize| piece.contains(&last_rows[index]);
            let windows = (0..labels.len()).filter(|index| is_in(*index)).count();
            let anomalies = (0..labels.len()).filter(|index| is_in(*index) && labels[*index]).count();
            if anomalies > 0 {
                let aurocs = self.aurocs(labels, |index| !labels[index] || is_in(index))?;
                found.push(Piece { first_row: piece.start + 1, windows, anomalies, aurocs });
            }
        }
        let normal_rank = mean(self.rank.iter().zip(labels).filter(|(_, label)| !**label).map(|(rank, _)| *rank));
        Ok(Streamed { pooled: self.aurocs(labels, |_| true)?, pieces: found, normal_rank, sensor_faults: 0 })
    }
}

/// A model over a labelled table of its columns, by the device's detector, which is a new one for each of these pieces.
///
/// # Errors
/// If a row cannot be taken, or all have the same label.
pub fn of_model(model: Model<'_>, mut table: Table, lengths: &Lengths) -> Result<Streamed> {
    let rows = table.rows();
    if let Lengths::Pieces(_) = lengths {
        table.starts = lengths.starts(rows)?;
    }
    let starts = table.starts.clone();
    let scored = Scored::of(model, table)?;
    let calibration = model.calibration()?;
    let labels = scored.windows.labels.as_deref().context("the test table has no labels")?;
    let mut evidence = Evidence::default();
    let mut sensor_faults = 0;
    for piece in pieces(&starts, rows) {
        let judged = scored.scores.iter().zip(&scored.judged).filter(|(_, judged)| piece.contains(&judged.row));
        let judged = judged.map(|(score, judged)| {
            let assessment = judged.verdict.assessment();
            sensor_faults += usize::from(assessment.is_none());
            (-f64::from(*score), assessment.map(|assessment| -assessment.score))
        });
        evidence.add(judged, &calibration)?;
    }
    Ok(Streamed { sensor_faults, ..evidence.judged(labels, &scored.windows.last_row, &starts, rows)? })
}

/// Another detector's scores of the rows of a test table, higher where more anomalous, by the same sum and average. `reference` are its scores
/// of normal rows that it was not fitted to.
///
/// # Errors
/// If all rows have the same label.
pub fn of_scores(scores: &[f64], reference: &[f64], labels: &[bool], lengths: &Lengths) -> Result<Streamed> {
    let negated: Vec<f32> = reference.iter().map(|score| -score as f32).collect();
    let series = Series { name: "the training rows", scores: &negated, starts: &[] };
    let calibration = of_series(series, &Settings::default(), None, 0.01)?.calibration;
    // As of held-out rows whose order is not known.
    let none = CalibrationRecord::default();
    let CalibrationRecord { dependence, changes, drift_memory, drift_step, drift_limits, alarms, .. } = none;
    let calibration =
        CalibrationRecord { dependence, changes, drift_memory, drift_step, drift_limits, alarms, ..calibration };
    let array = calibration.array(0)?;
    let calibration = Calibration::new(&array, 0).map_err(|error| anyhow::anyhow!("{error}"))?;
    let starts = lengths.starts(scores.len())?;
    let mut evidence = Evidence::default();
    for piece in pieces(&starts, scores.len()) {
        evidence.add(scores[piece].iter().map(|score| (*score, Some(*score as f32))), &calibration)?;
    }
    evidence.judged(labels, &(0..scores.len()).collect::<Vec<_>>(), &starts, scores.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Normal scores of a rank-friendly kind: the k-th of 999 has the p-value 1 − k / 1000, about.
    fn reference() -> Vec<f64> {
        (0..999).map(|k| f64::from(k * 7 % 999)).collect()
    }

    #[test]
    fn lengths_are_read_and_add_up() {
        let lengths: Lengths = "960,800x21".parse().unwrap();
        let starts = lengths.starts(960 + 21 * 800).unwrap();
        assert_eq!((starts.len(), starts[0], starts[1], starts[20]), (21, 960, 1760, 16_960));
        assert!("10".parse::<Lengths>().unwrap().starts(10).unwrap().is_empty());
        assert!("whole".parse::<Lengths>().unwrap().starts(77).unwrap().is_empty());
        let error = lengths.starts(20_000).unwrap_err().to_string();
        assert_eq!(error, "the pieces have 17760 rows, and the test table has 20000");
        for text in ["", "a", "10,", "0", "3x0", "3x", "-1"] {
            assert!(text.parse::<Lengths>().unwrap_err().to_string().contains("give rows"), "{text}");
        }
    }

    #[test]
    fn the_sum_is_pages_of_ranks_and_begins_anew_with_each_piece() {
        // p-values of 0.1 and 0.9, each for 50 windows of both pieces.
        let scores: Vec<f64> = (0..200).map(|row| if row % 100 < 50 { 899.0 } else { 99.0 }).collect();
        let mut evidence = Evidence::default();
        let negated: Vec<f32> = reference().iter().map(|score| -score as f32).collect();
        let series = Series { name: "reference", scores: &negated, starts: &[] };
        let record = CalibrationRecord {
            changes: vae_core::Tail::default(),
            drift_memory: 0.0,
            ..of_series(series, &Settings::default(), None, 0.01).unwrap().calibration
        };
        let array = record.array(0).unwrap();
        let calibration = Calibration::new(&array, 0).unwrap();
        for piece in pieces(&[100], 200) {
            let judged = scores[piece].iter().map(|score| (*score, Some(*score as f32)));
            evidence.add(judged, &calibration).unwrap();
        }
        // √12 (½ − p) − ¼, of p = 0.1 and 0.9: it rises for 50 windows, and falls until it is 0.
        let (up, down) = (12f64.sqrt() * 0.4 - 0.25, 12f64.sqrt() * 0.4 + 0.25);
        for (index, sum) in evidence.sum.iter().enumerate() {
            let row = (index % 100 + 1) as f64;
            let expected = if row <= 50.0 { up * row } else { (50.0 * up - down * (row - 50.0)).max(0.0) };
            // 129 quantiles of 999 scores: p-values are known to 0.001.
            assert!((sum - expected).abs() < 0.01 * row, "{index}: {sum} for {expected}");
        }
        // The weighted mean of the piece's rows so far, each weighing 0.95 of the next.
        for (index, average) in evidence.average.iter().enumerate() {
            let piece = index / 100 * 100;
            let weight = |row: usize| 0.95f64.powi((index - row) as i32);
            let weights: f64 = (piece..=index).map(weight).sum();
            let expected = (piece..=index).map(|row| weight(row) * scores[row]).sum::<f64>() / weights;
            assert!((average - expected).abs() < 1e-6, "{index}: {average} for {expected}");
        }
    }

    #[test]
    fn a_small_lasting_change_is_seen_over_time_and_hardly_in_a_row() {
        // The fault adds a tenth of the range; what is random is a walk through the reference.
        let normal = |row: usize| ((row * 389) % 999) as f64;
        let scores: Vec<f64> = (0..1200).map(|row| normal(row) + if row < 400 { 0.0 } else { 150.0 }).collect();
        let labels: Vec<bool> = (0..1200).map(|row| row >= 400).collect();
        let found = of_scores(&scores, &reference(), &labels, &"400x3".parse().unwrap()).unwrap();
        assert_eq!(found.pieces.iter().map(|piece| piece.first_row).collect::<Vec<_>>(), [401, 801]);
        assert!(found.pieces.iter().all(|piece| (piece.windows, piece.anomalies) == (400, 400)));
        for aurocs in [found.pooled, found.pieces[0].aurocs] {
            assert!(aurocs.row < 0.7 && aurocs.sum > 0.95 && aurocs.average > 0.9, "{aurocs:?}");
        }
        // 400 of the reference's 999, evenly spread.
        assert!(found.normal_rank.abs() < 0.1, "{}", found.normal_rank);
        // The first piece's anomalies are not among the second's.
        let alone = of_scores(&scores[..800], &reference(), &labels[..800], &"400x2".parse().unwrap()).unwrap();
        assert_eq!(alone.pooled, found.pieces[0].aurocs);
    }
}
