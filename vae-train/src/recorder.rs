//! Samples that a device sends, as a recording: frames, times and gaps, levels, and the file that they become.
//!
//! Frames are [`frame`]'s, which firmware shares. What has come is in the file at once: as CSV, beside the one that it is to become, whose name it
//! takes, or to whose format it is converted, when the recording is finished.

mod file;
pub mod frame;
pub mod levels;
#[cfg(feature = "parquet")]
mod parquet;
pub mod recording;
mod rows;
pub mod stream;
pub mod timeline;
mod wav;

use std::path::Path;

use anyhow::{Result, bail};

use self::{
    file::Place,
    frame::Frame,
    recording::{Recorded, Recording},
    stream::{Dropped, FrameStream},
    timeline::Gap,
};
use crate::words::output::Existing;

/// Takes what a device sends, and keeps its samples.
pub struct Recorder {
    stream: FrameStream,
    taken: Taken,
}

/// What has been taken of the frames.
struct Taken {
    place: Place,
    /// Seconds of recording after which it is complete.
    until: f64,
    recording: Option<Recording>,
    /// Since they were last asked for.
    gaps: Vec<Gap>,
}

impl Recorder {
    /// Records to `out`, whose ending says the format, until so many seconds are recorded. No file is made before samples come.
    ///
    /// # Errors
    /// If the file exists and must be kept, the ending is of no format that is written, or an earlier recording lies in the way.
    pub fn new(out: &Path, existing: Existing, until: Option<f64>) -> Result<Self> {
        let place = Place::new(out, existing)?;
        let taken = Taken { place, until: until.unwrap_or(f64::INFINITY), recording: None, gaps: Vec::new() };
        Ok(Self { stream: FrameStream::default(), taken })
    }

    /// Takes what has come at this time of this machine's clock, in seconds; returns the gaps that are in it.
    ///
    /// # Errors
    /// If the file cannot be written, or the device sends other channels, another rate or another layout than before.
    pub fn push(&mut self, bytes: &[u8], clock: f64) -> Result<Vec<Gap>> {
        let Self { stream, taken } = self;
        let result = stream.push(bytes, |frame| taken.take(frame, clock));
        // Also what stood before the fault.
        if let Some(recording) = &mut taken.recording {
            recording.flush()?;
        }
        result?;
        if let (Some(format), None) = (stream.dropped().format, &taken.recording) {
            bail!(
                "the device's frames have layout {format}, and this program knows {}: flash firmware of the same version",
                frame::FORMAT
            );
        }
        Ok(std::mem::take(&mut taken.gaps))
    }

    /// The line was cut: what begins next may be another start of the device.
    pub fn cut(&mut self) {
        self.stream.cut();
        if let Some(recording) = &mut self.taken.recording {
            recording.cut();
        }
    }

    /// What is under way, once a frame has come.
    #[must_use]
    pub fn recording(&self) -> Option<&Recording> {
        self.taken.recording.as_ref()
    }

    /// What came and was no frame.
    #[must_use]
    pub fn dropped(&self) -> &Dropped {
        self.stream.dropped()
    }

    /// What came and was no frame, up to the last byte.
    #[must_use]
    pub fn rejected(&self) -> Dropped {
        self.stream.rejected()
    }

    /// Where samples are until the recording is finished.
    #[must_use]
    pub fn part(&self) -> &Path {
        self.taken.place.part()
    }

    /// Makes the file; none where no frame has come, and then there is no file either.
    ///
    /// # Errors
    /// If the file cannot be written, or one that must be kept has appeared there; what was recorded is then in [`Self::part`].
    pub fn finish(self) -> Result<Option<Recorded>> {
        let Self { stream, taken } = self;
        taken.recording.map(|recording| recording.finish(stream.dropped())).transpose()
    }
}

impl Taken {
    fn take(&mut self, frame: &Frame<'_>, clock: f64) -> Result<()> {
        let recording = match &mut self.recording {
            Some(recording) => recording,
            None => self.recording.insert(Recording::begin(self.place.clone(), frame)?),
        };
        recording.check(frame, self.place.path())?;
        if let Some(gap) = recording.take(frame, clock, self.until)? {
            self.gaps.push(gap);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        frame::{Counts, Head, write},
        *,
    };

    const HEAD: Head<'static> = Head { rate: 100.0, scale: 0.5, full_scale: 10.0, channels: "a,b" };

    fn frame(head: &Head<'_>, first: u64) -> Vec<u8> {
        let counts: Vec<i16> =
            (0..20).map(|index| (first as i16 + index / 2) * if index % 2 == 0 { 1 } else { -1 }).collect();
        let mut buffer = [0; 256];
        write(head, first, Counts::Short(&counts), &mut buffer).unwrap().to_vec()
    }

    fn rows(path: &Path) -> Vec<(f64, f64, f64)> {
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().next(), Some("time,a,b"));
        let number = |field: Option<&str>| field.unwrap().parse().unwrap();
        text.lines()
            .skip(1)
            .map(|line| line.split(','))
            .map(|mut row| (number(row.next()), number(row.next()), number(row.next())))
            .collect()
    }

    #[test]
    fn what_comes_is_in_the_file_at_once_with_its_times() {
        let place = tempfile::tempdir().unwrap();
        let out = place.path().join("day.csv");
        let mut recorder = Recorder::new(&out, Existing::Keep, None).unwrap();
        recorder.push(b"boot\n", 0.0).unwrap();
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        recorder.push(&frame(&HEAD, 1000), 1.0).unwrap();
        let part = recorder.part().to_owned();
        assert_eq!(rows(&part).len(), 10);
        let gaps = recorder.push(&frame(&HEAD, 1030), 1.4).unwrap();
        assert!((gaps[0].at - 0.3).abs() < 1e-9 && (gaps[0].seconds, gaps[0].lost) == (0.2, Some(20)), "{gaps:?}");
        let kept = rows(&part);
        let expected = (0..10).chain(30..40).map(|index| {
            let value = 0.5 * (1000 + index) as f64;
            (0.01 * index as f64, value, -value)
        });
        assert!(
            kept.iter().zip(expected).all(|(a, b)| (a.0 - b.0).abs() < 1e-9 && (a.1, a.2) == (b.1, b.2)),
            "{kept:?}"
        );
        let recorded = recorder.finish().unwrap().unwrap();
        assert!(!part.exists() && rows(&out) == kept);
        assert_eq!((recorded.samples, recorded.seconds, recorded.dropped_bytes), (20, 0.4, 5));
        assert_eq!((recorded.channels[1].clipped, recorded.channels[1].strength.least), (20, -519.5));
    }

    #[test]
    fn it_is_complete_to_the_sample() {
        for (until, rows_expected) in [(0.1, 10), (0.25, 25), (0.251, 25), (0.001, 0)] {
            let place = tempfile::tempdir().unwrap();
            let out = place.path().join("day.csv");
            let mut recorder = Recorder::new(&out, Existing::Keep, Some(until)).unwrap();
            for number in 0..5 {
                recorder.push(&frame(&HEAD, 10 * number), 0.1 * number as f64).unwrap();
            }
            assert!(recorder.recording().unwrap().is_complete());
            recorder.finish().unwrap();
            assert_eq!(rows(&out).len(), rows_expected, "{until}");
        }
    }

    #[test]
    fn another_stream_ends_the_recording_and_keeps_it() {
        for other in [Head { channels: "a,c", ..HEAD }, Head { rate: 50.0, ..HEAD }] {
            let place = tempfile::tempdir().unwrap();
            let out = place.path().join("day.csv");
            let mut recorder = Recorder::new(&out, Existing::Keep, None).unwrap();
            let bytes = [frame(&HEAD, 0), frame(&Head { scale: 0.25, ..HEAD }, 10), frame(&other, 20)].concat();
            let message = recorder.push(&bytes, 0.0).unwrap_err().to_string();
            assert!(message.contains("a,b at 100 Hz before"), "{message}");
            assert_eq!(recorder.finish().unwrap().unwrap().samples, 20);
            assert_eq!(rows(&out)[10].1, 2.5, "another scale is no other stream");
        }
        let place = tempfile::tempdir().unwrap();
        for channels in ["a,a", "a,time"] {
            let mut recorder = Recorder::new(&place.path().join("day.csv"), Existing::Keep, None).unwrap();
            let message = recorder.push(&frame(&Head { channels, ..HEAD }, 0), 0.0).unwrap_err().to_string();
            assert!(message.contains("a name of its own") && recorder.finish().unwrap().is_none(), "{message}");
        }
    }
}
