//! What the plot shows of the past.

use std::collections::VecDeque;

use vae_core::Verdict;

/// Verdicts that are plotted, and lines that are shown below them.
const MOST_POINTS: usize = 2000;

pub(crate) const MOST_SAID: usize = 6;

/// What the plot shows of the past.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    /// Verdicts with their times, which do not go back.
    pub(super) points: VecDeque<(f64, Verdict)>,
    /// Added to the device's time: a device that starts again counts from 0.
    pub(super) offset: f64,
    pub(super) said: VecDeque<String>,
}

impl History {
    pub(super) fn push(&mut self, time: f64, verdict: Verdict) {
        let latest = self.points.back().map_or(f64::NEG_INFINITY, |(latest, _)| *latest);
        if time + self.offset < latest {
            self.offset = latest - time;
        }
        self.points.push_back((time + self.offset, verdict));
        self.points.drain(..self.points.len().saturating_sub(MOST_POINTS));
    }

    pub(super) fn say(&mut self, line: &str) {
        self.said.push_back(line.to_owned());
        self.said.drain(..self.said.len().saturating_sub(MOST_SAID));
    }

    pub(super) fn has_verdicts(&self) -> bool {
        !self.points.is_empty()
    }
}
