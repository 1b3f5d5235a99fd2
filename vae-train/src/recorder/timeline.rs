//! When samples were taken: by their numbers and the device's rate, and where a device has started again by this machine's clock.

use serde::Serialize;

/// Samples between those that came before and those that come now are missing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// When the recording goes on, in its seconds.
    pub at: f64,
    /// How long nothing was recorded.
    pub seconds: f64,
    /// Samples that the device took meanwhile, by its count; none where it has started again and counts anew.
    pub lost: Option<u64>,
}

/// Seconds by which a device's count and this machine's clock may differ over a gap: what waits in the buffers of both.
const TOLERANCE: f64 = 1.0;

/// Gives samples their times, in seconds since the first one.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// Samples a second.
    rate: f64,
    /// A sample's number and its time: of the first that came since the device has started.
    origin: (u64, f64),
    /// The number of the sample behind the last one, and when that came, in this machine's seconds.
    next: Option<(u64, f64)>,
    /// Whether the line was cut since then.
    was_cut: bool,
    /// Of the stretch that was not interrupted: its samples without those of its first frame, and when that came.
    steady: Option<(u64, f64)>,
}

impl Timeline {
    /// Of a device that takes so many samples a second.
    #[must_use]
    pub fn new(rate: f32) -> Self {
        Self { rate: rate.into(), origin: (0, 0.0), next: None, was_cut: false, steady: None }
    }

    /// The line was cut: the device may have started again before the next samples.
    pub fn cut(&mut self) {
        self.was_cut = true;
        self.steady = None;
    }

    /// The time of the sample with this number, and the gap before it; `samples` have come with it, and `clock` is this machine's, in seconds.
    pub fn take(&mut self, first: u64, samples: usize, clock: f64) -> (f64, Option<Gap>) {
        let count = samples as u64;
        let gap = match self.next {
            None => {
                self.origin = (first, 0.0);
                None
            }
            Some((next, _)) if next == first && !self.was_cut => None,
            Some((next, before)) => self.gap(next, before, first, samples, clock),
        };
        self.steady = match self.steady {
            Some((so_far, since)) if gap.is_none() => Some((so_far + count, since)),
            _ => Some((0, clock)),
        };
        self.next = Some((first.saturating_add(count), clock));
        self.was_cut = false;
        (self.time(first), gap)
    }

    /// Samples a second by this machine's clock, since the last gap; none before ten seconds have passed.
    #[must_use]
    pub fn measured_rate(&self) -> Option<f64> {
        let (samples, since) = self.steady?;
        let (_, now) = self.next?;
        (now - since >= 10.0).then(|| samples as f64 / (now - since))
    }

    /// The gap before a sample that is not the next one, or came after the line was cut.
    fn gap(&mut self, next: u64, before: f64, first: u64, samples: usize, clock: f64) -> Option<Gap> {
        let end = self.time(next);
        // Since the last sample came until the first of these was taken.
        let passed = clock - before - samples as f64 / self.rate;
        let lost = first.checked_sub(next);
        let counted = lost.map(|lost| lost as f64 / self.rate);
        let has_restarted = counted.is_none_or(|counted| self.was_cut && (counted - passed).abs() > TOLERANCE);
        if has_restarted {
            // Two samples at least, which readers take for a gap.
            let seconds = passed.max(2.0 / self.rate);
            self.origin = (first, end + seconds);
            return Some(Gap { at: end + seconds, seconds, lost: None });
        }
        let seconds = counted.filter(|seconds| *seconds > 0.0)?;
        Some(Gap { at: end + seconds, seconds, lost })
    }

    fn time(&self, number: u64) -> f64 {
        let (first, time) = self.origin;
        time + number.saturating_sub(first) as f64 / self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_begins_with_the_first_sample_and_goes_by_the_count() {
        let mut timeline = Timeline::new(100.0);
        for frame in 0..50u64 {
            // Frames come in bursts; their times do not.
            let clock = (frame / 10) as f64;
            let (time, gap) = timeline.take(7000 + 10 * frame, 10, clock);
            assert!((time - frame as f64 / 10.0).abs() < 1e-9 && gap.is_none(), "{time} {gap:?}");
        }
    }

    #[test]
    fn lost_frames_are_a_gap_of_as_many_samples() {
        let mut timeline = Timeline::new(100.0);
        timeline.take(0, 10, 0.0);
        let (time, gap) = timeline.take(40, 10, 0.4);
        assert_eq!((time, gap), (0.4, Some(Gap { at: 0.4, seconds: 0.3, lost: Some(30) })));
        assert_eq!(timeline.take(50, 10, 0.5).1, None);
    }

    #[test]
    fn a_device_that_starts_again_goes_on_by_this_machines_clock() {
        let mut timeline = Timeline::new(100.0);
        timeline.take(1000, 10, 5.0);
        // 3 s later, with 0.1 s of samples.
        let (time, gap) = timeline.take(0, 10, 8.0);
        let gap = gap.unwrap();
        assert!((time - 3.0).abs() < 1e-9 && (gap.seconds - 2.9).abs() < 1e-9 && gap.lost.is_none(), "{gap:?}");
        assert_eq!(gap.at, time);
        // And at once, which still is a gap.
        let (again, gap) = timeline.take(0, 10, 8.0);
        assert!((again - time - 0.12).abs() < 1e-9 && gap.is_some(), "{again}");
    }

    #[test]
    fn over_a_cut_the_count_is_believed_where_the_clock_agrees() {
        let timeline = || {
            let mut timeline = Timeline::new(100.0);
            timeline.take(0, 100, 1.0);
            timeline.cut();
            timeline
        };
        // It ran on.
        let (time, gap) = timeline().take(600, 100, 7.2);
        assert_eq!((time, gap.unwrap().lost), (6.0, Some(500)));
        // It was off, and has counted further since than before.
        let (time, gap) = timeline().take(600, 100, 100.0);
        assert!((time - 99.0).abs() < 1e-9 && gap.unwrap().lost.is_none(), "{time}");
        // Nothing was lost: the cable was out between two frames.
        assert_eq!(timeline().take(100, 100, 2.0), (1.0, None));
    }

    #[test]
    fn the_rate_is_measured_where_nothing_interrupts() {
        let mut timeline = Timeline::new(1600.0);
        for frame in 0..200u64 {
            timeline.take(160 * frame, 160, 0.125 * frame as f64);
            assert_eq!(timeline.measured_rate().is_some(), frame >= 80);
        }
        // 160 samples in 125 ms.
        assert_eq!(timeline.measured_rate(), Some(1280.0));
        timeline.take(160 * 300, 160, 25.0);
        assert_eq!(timeline.measured_rate(), None);
    }
}
