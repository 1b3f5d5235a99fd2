//! A recording that is under way.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::recorder::{
    file::{Growing, Place},
    frame::Frame,
    levels::{Level, Strength},
    rows::TIME,
    stream::Dropped,
    timeline::{Gap, Timeline},
};

/// A recording that is under way.
pub struct Recording {
    names: Vec<String>,
    rate: f32,
    full_scale: f32,
    timeline: Timeline,
    levels: Vec<Level>,
    growing: Growing,
    /// The rows that begin pieces without gaps.
    pieces: Vec<u64>,
    gaps: Vec<Gap>,
    /// Up to the last sample and the step behind it.
    seconds: f64,
    is_complete: bool,
}

/// What has been recorded.
#[derive(Clone, Debug, Serialize)]
pub struct Recorded {
    /// The file; several of WAV with gaps.
    pub files: Vec<PathBuf>,
    /// Samples, each of which has a value of each channel.
    pub samples: u64,
    /// From the first sample to the end of the last, gaps included.
    pub seconds: f64,
    /// Samples a second, as the device says.
    pub rate: f32,
    /// Samples a second by this machine's clock, where that could be measured.
    pub measured_rate: Option<f64>,
    /// Of each channel.
    pub channels: Vec<RecordedChannel>,
    /// In the order of time.
    pub gaps: Vec<Gap>,
    /// Pieces of the stream that were no frames.
    pub dropped_pieces: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
}

/// What has been recorded of a channel.
#[derive(Clone, Debug, Serialize)]
pub struct RecordedChannel {
    /// As the device says.
    pub name: String,
    /// Over the whole recording.
    #[serde(flatten)]
    pub strength: Strength,
    /// Samples at the end of the sensor's scale.
    pub clipped: u64,
    /// Where that is, in the channel's unit; none if the device does not know it.
    pub full_scale: Option<f32>,
}

impl Recording {
    pub(super) fn begin(place: Place, frame: &Frame<'_>) -> Result<Self> {
        let names: Vec<String> = frame.names().map(|name| name.trim().to_owned()).collect();
        let distinct: HashSet<&str> = names.iter().map(String::as_str).chain([TIME]).collect();
        ensure!(
            distinct.len() == names.len() + 1,
            "the device's channels are called {}: each needs a name of its own, which is not `{TIME}`",
            names.join(", ")
        );
        let rate = frame.head.rate;
        Ok(Self {
            growing: place.begin(&names, rate)?,
            levels: vec![Level::default(); names.len()],
            names,
            rate,
            full_scale: frame.head.full_scale,
            timeline: Timeline::new(rate),
            pieces: vec![0],
            gaps: Vec::new(),
            seconds: 0.0,
            is_complete: false,
        })
    }

    /// Refuses a frame that is of another stream.
    pub(super) fn check(&self, frame: &Frame<'_>, path: &Path) -> Result<()> {
        let is_same = frame.names().map(str::trim).eq(self.names.iter().map(String::as_str));
        ensure!(
            is_same && frame.head.rate == self.rate,
            "the device sends {} at {} Hz now, and {} at {} Hz before: {} ends here, record the rest into another file",
            frame.head.channels,
            frame.head.rate,
            self.names.join(","),
            self.rate,
            path.display()
        );
        Ok(())
    }

    pub(super) fn take(&mut self, frame: &Frame<'_>, clock: f64, until: f64) -> Result<Option<Gap>> {
        let (start, gap) = self.timeline.take(frame.first, frame.samples(), clock);
        let step = 1.0 / f64::from(self.rate);
        self.full_scale = frame.head.full_scale;
        if let Some(gap) = gap.filter(|gap| gap.at < until) {
            self.levels.iter_mut().for_each(Level::gap);
            self.pieces.push(self.growing.rows());
            self.gaps.push(gap);
        }
        let values: Vec<f32> = frame.values().collect();
        for (index, sample) in values.chunks(self.names.len()).enumerate() {
            let time = start + index as f64 * step;
            // Half a step for what rounding makes of whole numbers of seconds.
            if time > until - 0.5 * step {
                self.is_complete = true;
                break;
            }
            self.growing.push(time, sample)?;
            for (level, value) in self.levels.iter_mut().zip(sample) {
                level.push(*value, self.full_scale);
            }
            self.seconds = time + step;
        }
        Ok(gap)
    }

    /// Gives what was taken to the system.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.growing.flush()
    }

    /// The line was cut.
    pub(super) fn cut(&mut self) {
        self.timeline.cut();
    }

    /// Makes the file.
    pub(super) fn finish(self, dropped: &Dropped) -> Result<Recorded> {
        let Self { names, rate, full_scale, timeline, levels, growing, pieces, gaps, seconds, .. } = self;
        let samples = growing.rows();
        let files = growing.finish(&pieces)?;
        let channels = names.into_iter().zip(&levels).map(|(name, level)| RecordedChannel {
            name,
            strength: level.overall(),
            clipped: level.clipped(),
            full_scale: (full_scale > 0.0).then_some(full_scale),
        });
        Ok(Recorded {
            files,
            samples,
            seconds,
            rate,
            measured_rate: timeline.measured_rate(),
            channels: channels.collect(),
            gaps,
            dropped_pieces: dropped.pieces,
            dropped_bytes: dropped.bytes,
        })
    }

    /// The channels' names.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Samples a second, as the device says.
    #[must_use]
    pub fn rate(&self) -> f32 {
        self.rate
    }

    /// Samples a second by this machine's clock, once that can be said.
    #[must_use]
    pub fn measured_rate(&self) -> Option<f64> {
        self.timeline.measured_rate()
    }

    /// Of each channel.
    #[must_use]
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// Where the sensor's scale ends; 0 if that is not known.
    #[must_use]
    pub fn full_scale(&self) -> f32 {
        self.full_scale
    }

    /// Samples so far.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.growing.rows()
    }

    /// Seconds so far, gaps included.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Gaps so far.
    #[must_use]
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Whether all is recorded that was asked for.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}
