//! A model judged on labelled data some rows at a time, in memory that grows with the events only.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use vae_core::{Calibration, Model};

use crate::{
    data::windows::Windows,
    scoring::{
        detection::{Judged, Verdicts},
        evaluation::{Evaluation, Scored},
        event_outcome::Tally,
        event_stream::EventStream,
        false_alarm_test::FalseAlarmTest,
    },
    statistics::metrics::{Areas, Detection, OperatingPoint},
    tables::{
        sorting::{Sorting, number, ordered},
        spool::scratch_directory,
    },
};

/// Rows with their labels, and where recordings begin among them.
#[derive(Clone, Copy, Debug)]
pub struct LabelledRows<'r> {
    /// One a row.
    pub labels: Option<&'r [bool]>,
    /// The rows, by index, with which another recording begins.
    pub starts: &'r [usize],
    /// Whether one does with the first of them.
    pub begins: bool,
}

/// A model that is being judged.
pub struct Evaluating<'m, 'd> {
    model: Model<'m>,
    calibration: Calibration<'m>,
    rows: usize,
    stream: EventStream,
    tallies: Vec<Tally>,
    /// The score of each window, with an integer: 0 for a normal one, else one above twice the place of an event that it belongs to, and two above
    /// where the window is there with another event, too.
    scores: Sorting<'d, u64>,
    /// Of each window what is left of all ones by twice the bits of its distance by the baseline, and one for an anomaly: the largest come first.
    distances: Sorting<'d, u64>,
    /// Normal windows and anomalies, and those of each that are below the threshold.
    windows: [usize; 2],
    below: [usize; 2],
    /// What the detector said, and whether an alarm was on then: of all windows, and of those outside events.
    verdicts: [(Verdicts, bool); 2],
}

impl<'m, 'd> Evaluating<'m, 'd> {
    /// Without rows yet; scores that are too many to be sorted in memory go to the disk that `directory` is on.
    ///
    /// # Errors
    /// If the model's calibration is damaged.
    pub fn new(model: Model<'m>, directory: &'d Path) -> Result<Self> {
        let calibration = model.calibration()?;
        let rate = calibration.sample_rate().map(f64::from);
        Ok(Self {
            stream: EventStream::new(model.window(), rate),
            model,
            calibration,
            rows: 0,
            tallies: Vec::new(),
            scores: Sorting::new(directory),
            distances: Sorting::new(directory),
            windows: [0; 2],
            below: [0; 2],
            verdicts: [(Verdicts::default(), false); 2],
        })
    }

    /// Takes the next rows and the windows that end in them, whose rows are counted from the first one of all; with the score of each, and what
    /// the detector says of it.
    ///
    /// # Errors
    /// If there are no labels, or no room for the scores.
    pub fn add(&mut self, rows: LabelledRows<'_>, windows: &Windows, scores: &[f32], judged: &[Judged]) -> Result<()> {
        let labels = rows.labels.context("the data have no labels")?;
        ensure!(
            windows.len() == scores.len() && windows.len() == judged.len(),
            "{} windows, {} scores and {} verdicts",
            windows.len(),
            scores.len(),
            judged.len()
        );
        let distances = distances(&self.model, windows)?;
        let mut starts = rows.starts.iter().copied().peekable();
        let mut index = 0;
        for (row, label) in labels.iter().enumerate() {
            self.stream.row(*label, starts.next_if_eq(&row).is_some() || (rows.begins && row == 0));
            self.rows += 1;
            if windows.last_row.get(index).is_some_and(|last| last + 1 == self.rows) {
                self.window(scores[index], distances[index], &judged[index])?;
                index += 1;
            }
        }
        Ok(())
    }

    /// Takes the window that ends with the last row.
    fn window(&mut self, score: f32, distance: f64, judged: &Judged) -> Result<()> {
        ensure!(!score.is_nan() && !distance.is_nan(), "a score is NaN");
        let is_below = self.calibration.is_anomalous(score);
        let own = self.stream.window(judged.alarm);
        let is_anomalous = !own.is_empty();
        self.windows[usize::from(is_anomalous)] += 1;
        self.below[usize::from(is_anomalous)] += usize::from(is_below);
        let key = |tag: usize| u64::from(ordered(score)) << 32 | tag as u64;
        if !is_anomalous {
            self.scores.push(key(0))?;
        }
        for (place, event) in own.iter().enumerate() {
            self.tallies.resize(self.tallies.len().max(event + 1), Tally::default());
            self.tallies[*event].add(&judged.verdict, is_below, judged.alarm);
            self.scores.push(key(2 * event + if place == 0 { 1 } else { 2 }))?;
        }
        // No distance is negative, so that its bits are in its order.
        self.distances.push(!(distance.to_bits() << 1 | u64::from(is_anomalous)))?;
        for (verdicts, raised) in self.verdicts.iter_mut().take(if is_anomalous { 1 } else { 2 }) {
            verdicts.add(judged, raised);
        }
        Ok(())
    }

    /// What all rows come to.
    ///
    /// # Errors
    /// If all windows have the same label, or what was put on the disk cannot be read.
    pub fn end(self) -> Result<Evaluation> {
        let Self { model, calibration, stream, mut tallies, scores, distances, windows, below, verdicts, .. } = self;
        tallies.resize(stream.events(), Tally::default());
        let events = stream.end();
        let detection = by_scores(scores, windows, &mut tallies)?;
        let outcome = |(event, tally): (_, &Tally)| tally.outcome(event, model.window(), windows[0]);
        let [(verdicts, _), (outside, _)] = verdicts;
        Ok(Evaluation {
            detection,
            threshold: calibration.threshold(),
            false_alarm_rate: below[0] as f64 / windows[0] as f64,
            detection_rate: below[1] as f64 / windows[1] as f64,
            // One that goes on from an event is none of these.
            verdicts_outside_events: Verdicts { alarms: events.false_alarms, ..outside },
            event_outcomes: events.events.iter().zip(&tallies).map(outcome).collect(),
            false_alarm_test: FalseAlarmTest::of(&events, &calibration, model.hop()),
            events,
            verdicts,
            window: model.window(),
            rows_per_second: calibration.sample_rate().map(f64::from),
            baseline_independent_gaussians: by_distances(distances, windows)?,
        })
    }
}

impl Evaluation {
    /// Judges a model by what it made of labelled data.
    ///
    /// # Errors
    /// If there are no labels, or all windows have the same.
    pub fn of(model: &Model<'_>, scored: &Scored) -> Result<Self> {
        let Scored { windows, scores, judged, rows, starts } = scored;
        let directory = scratch_directory();
        let mut evaluating = Evaluating::new(*model, &directory)?;
        let rows = LabelledRows { labels: rows.as_deref(), starts, begins: true };
        evaluating.add(rows, windows, scores, judged)?;
        evaluating.end()
    }
}

/// The areas by scores, of which the lowest are the most anomalous; and for the windows of each event how many normal ones score higher.
fn by_scores(scores: Sorting<'_, u64>, [normals, anomalies]: [usize; 2], tallies: &mut [Tally]) -> Result<Detection> {
    let mut areas = Areas::of(anomalies, normals)?;
    let mut point = OperatingPoint { score: f64::NAN, detected: 0, false_alarms: 0 };
    let mut before = 0;
    // Of the windows of one score, by event.
    let mut tied: Vec<(usize, usize)> = Vec::new();
    let mut end = |point: &OperatingPoint, before: &mut usize, tied: &mut Vec<(usize, usize)>| {
        for (event, windows) in tied.drain(..) {
            let higher = normals as f64 - 0.5 * (*before + point.false_alarms) as f64;
            tallies[event].higher += windows as f64 * higher;
        }
        *before = point.false_alarms;
        if !point.score.is_nan() {
            areas.add(point);
        }
    };
    scores.ascending(|key| {
        let (score, tag) = (-f64::from(number((key >> 32) as u32)), (key as u32) as usize);
        if score != point.score {
            end(&point, &mut before, &mut tied);
            point.score = score;
        }
        point.false_alarms += usize::from(tag == 0);
        point.detected += usize::from(tag % 2 == 1);
        if let Some(event) = tag.checked_sub(1).map(|tag| tag / 2) {
            match tied.last_mut() {
                Some((last, windows)) if *last == event => *windows += 1,
                _ => tied.push((event, 1)),
            }
        }
    })?;
    end(&point, &mut before, &mut tied);
    Ok(areas.detection())
}

/// The areas by the baseline's distances, of which the largest are the most anomalous.
fn by_distances(distances: Sorting<'_, u64>, [normals, anomalies]: [usize; 2]) -> Result<Detection> {
    let mut areas = Areas::of(anomalies, normals)?;
    let mut point = OperatingPoint { score: f64::NAN, detected: 0, false_alarms: 0 };
    distances.ascending(|key| {
        let distance = f64::from_bits(!key >> 1);
        if distance != point.score {
            if !point.score.is_nan() {
                areas.add(&point);
            }
            point.score = distance;
        }
        let is_anomalous = !key & 1 == 1;
        point.detected += usize::from(is_anomalous);
        point.false_alarms += usize::from(!is_anomalous);
    })?;
    areas.add(&point);
    Ok(areas.detection())
}

/// The squared distance of each window from the mean of the training data, each feature in its deviations. What is missing counts as ordinary
/// here, too: on average the square is 1.
fn distances(model: &Model<'_>, windows: &Windows) -> Result<Vec<f64>> {
    let (mean, inverse_scale) = model.standardiser()?;
    let distance = |x: &[f32]| {
        let features = x.iter().zip(mean.iter().zip(inverse_scale));
        let squares = features.map(
            |(x, (mean, inverse_scale))| {
                if x.is_nan() { 1.0 } else { f64::from((x - mean) * inverse_scale).powi(2) }
            },
        );
        squares.sum()
    };
    Ok(windows.iter().map(distance).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_and_ranks_are_those_of_their_definitions() {
        let directory = std::env::temp_dir();
        let numbers = |seed: usize| move |index: usize| (index * seed % 61) as f32 - 30.0;
        let labels: Vec<bool> = (0..200).map(|index| index * 31 % 7 < 2).collect();
        let (mut scores, mut distances, mut counts) = (Sorting::new(&directory), Sorting::new(&directory), [0; 2]);
        for (index, label) in labels.iter().enumerate() {
            // Anomalies are of events 0 and 1, and every third of both.
            let tags: &[u64] = if !label {
                &[0]
            } else if index % 3 == 0 {
                &[1, 4]
            } else {
                &[3]
            };
            let score = u64::from(ordered(numbers(7919)(index)));
            tags.iter().for_each(|tag| scores.push(score << 32 | tag).unwrap());
            let distance = f64::from(numbers(977)(index).abs());
            distances.push(!(distance.to_bits() << 1 | u64::from(*label))).unwrap();
            counts[usize::from(*label)] += 1;
        }
        let mut tallies = vec![Tally::default(); 2];
        let all = |of: &dyn Fn(usize) -> f64| (0..200).map(of).collect::<Vec<f64>>();
        let expected = Detection::of(&all(&|index| -f64::from(numbers(7919)(index))), &labels).unwrap();
        assert_eq!(by_scores(scores, counts, &mut tallies).unwrap(), expected);
        let expected = Detection::of(&all(&|index| f64::from(numbers(977)(index).abs())), &labels).unwrap();
        assert_eq!(by_distances(distances, counts).unwrap(), expected);
        let higher = |of: &dyn Fn(usize) -> bool| {
            let pairs = (0..200).filter(|a| labels[*a] && of(*a)).flat_map(|a| (0..200).map(move |b| (a, b)));
            let pairs = pairs.filter(|(_, b)| !labels[*b]).map(|(a, b)| (numbers(7919)(a), numbers(7919)(b)));
            pairs
                .map(|(a, b)| {
                    if a < b {
                        1.0
                    } else if a == b {
                        0.5
                    } else {
                        0.0
                    }
                })
                .sum::<f64>()
        };
        assert_eq!([tallies[0].higher, tallies[1].higher], [higher(&|index| index % 3 == 0), higher(&|_| true)]);
    }
}
