//! What a detector remembers, as its snapshot says: see `vae-core/src/detector/snapshot.rs`.

use anyhow::Result;

use super::{
    enclosed::{Decision, Enclosed},
    report::Report,
};

/// Words of a snapshot before the channels'.
const FIXED: usize = 21;
/// Words of a channel.
const CHANNEL: usize = 14;

/// The words of a snapshot.
pub(crate) struct Remembered {
    pub(crate) words: Vec<u32>,
}

/// The numbers that a snapshot holds beside counters and channels, by their words.
pub(crate) const SHIFT: usize = 11;
pub(crate) const WIDENING: usize = 12;
pub(crate) const CHANGE: usize = 13;
pub(crate) const HEALTH: usize = 14;
pub(crate) const NEEDED: usize = 15;
pub(crate) const HELD: usize = 16;
pub(crate) const SCORE_CENTRE: usize = 17;
pub(crate) const SCORE_FACTOR: usize = 18;
pub(crate) const BASELINE_MEAN: usize = 19;
pub(crate) const BASELINE_VARIANCE: usize = 20;

/// Those of a channel.
pub(crate) const RUN: usize = 1;
pub(crate) const GAP: usize = 2;
pub(crate) const SINCE_FAULT: usize = 4;
pub(crate) const LEVEL: usize = 8;
pub(crate) const POWER: usize = 9;
pub(crate) const OFFSET: usize = 10;
pub(crate) const GAIN: usize = 11;
pub(crate) const ORDINARY_POWER: usize = 12;
pub(crate) const KEPT_MEAN: usize = 13;

impl Remembered {
    pub(crate) fn of(record: &[u8]) -> Self {
        Self { words: record.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect() }
    }

    pub(crate) fn float(&self, index: usize) -> f64 {
        f32::from_bits(self.words[index]).into()
    }

    pub(crate) fn channel(&self, channel: usize, field: usize) -> f64 {
        self.float(FIXED + CHANNEL * channel + field)
    }

    /// Whether the last window voted.
    pub(crate) fn voted(&self) -> bool {
        self.words[4] & 1 == 1
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.words[5] & 1 != 0
    }

    /// Whether scores are compensated.
    pub(crate) fn is_drifting(&self) -> bool {
        self.words[5] & 4 != 0
    }

    pub(crate) fn baseline_done(&self) -> u64 {
        self.words[8].into()
    }

    /// The largest of what must be finite: all numbers but a channel's last value and the samples since its last fault.
    pub(crate) fn peak(&self) -> f64 {
        let channels = (self.words.len() - 1 - FIXED) / CHANNEL;
        let lasting = (0..channels).flat_map(|channel| {
            (0..CHANNEL)
                .filter(|field| ![0, SINCE_FAULT].contains(field))
                .map(move |field| FIXED + CHANNEL * channel + field)
        });
        (SHIFT..FIXED).chain(lasting).map(|index| self.float(index).abs()).fold(0.0, |peak, value| {
            // What is no number is never exceeded.
            if value <= peak { peak } else { value }
        })
    }
}

/// What decides where rounding does: the detector, whose decision shows in what it remembers. Such decisions are counted.
pub(crate) struct Judge<'j> {
    pub(crate) look: &'j dyn Fn() -> Result<Remembered>,
    pub(crate) report: &'j mut Report,
}

impl Judge<'_> {
    /// # Errors
    /// If there is nothing to look at.
    pub(crate) fn settle(&mut self, decision: Decision, found: impl FnOnce(&Remembered) -> bool) -> Result<bool> {
        if !decision.is_open() {
            return Ok(decision.value);
        }
        let found = found(&(self.look)()?);
        self.report.open += 1;
        self.report.ties += u64::from(found != decision.value);
        Ok(found)
    }
}

/// Which of two numbers is nearer to what was found.
pub(crate) fn is_nearer(found: f64, first: Enclosed, second: Enclosed) -> bool {
    (found - first.value).abs() < (found - second.value).abs()
}
