//! A new baseline in the making, and that of the scores.

use anyhow::Result;

use super::{
    enclosed::Enclosed,
    remembered::{BASELINE_MEAN, BASELINE_VARIANCE, Judge, Remembered, SCORE_CENTRE, SCORE_FACTOR},
    report::Report,
    scores::Scores,
};

const ZERO: Enclosed = Enclosed::exact(0.0);

/// What is known of a new baseline.
pub(crate) struct Baseline {
    /// Windows that it is made from, and those that it has; 0 where none is made.
    pub(crate) windows: u64,
    pub(crate) done: u64,
    /// Those that the channels' was averaged over.
    pub(crate) size: u64,
    /// Of −score.
    mean: Enclosed,
    variance: Enclosed,
}

impl Default for Baseline {
    fn default() -> Self {
        Self { windows: 0, done: 0, size: 0, mean: ZERO, variance: ZERO }
    }
}

impl Baseline {
    pub(crate) fn is_under_way(&self) -> bool {
        self.done < self.windows
    }

    pub(crate) fn is_of_channels(&self) -> bool {
        self.done < self.windows / 2
    }

    /// Takes a −score, of so many that have been scored; returns whether it was the last, and `scores` then have the baseline.
    ///
    /// # Errors
    /// If the detector's baseline is another one.
    pub(crate) fn measure_score(
        &mut self,
        nats: Enclosed,
        scored: u64,
        scores: &mut Scores,
        judge: &mut Judge<'_>,
    ) -> Result<bool> {
        let half = self.windows / 2;
        if self.done > half && scored <= self.windows {
            let apart = Enclosed::exact(64.0 * scores.spread.max(1.0));
            let done = self.done;
            if judge.settle((nats - self.mean).above(apart), |found| found.baseline_done() == done)? {
                judge.report.count("scores left out");
                return Ok(false);
            }
            if judge.settle((self.mean - nats).above(apart), |found| found.baseline_done() == half + 1)? {
                (self.done, self.mean, self.variance) = (half, ZERO, ZERO);
                judge.report.count("baselines of scores begun anew");
            }
        }
        self.done += 1;
        let count = Enclosed::exact((self.done - half) as f64);
        let distance = nats - self.mean;
        self.mean = self.mean.through(|mean| mean + (nats - mean) / count);
        let product = distance * (nats - self.mean);
        self.variance = self.variance.through(|variance| variance + (product - variance) / count);
        if self.is_under_way() {
            return Ok(false);
        }
        let found = (judge.look)()?;
        let [centre, factor] = [SCORE_CENTRE, SCORE_FACTOR].map(|index| found.float(index));
        let own_factor = Enclosed::exact(scores.spread) / self.variance.sqrt();
        judge.report.note("score centre", centre, self.mean);
        judge.report.note("score factor", factor, own_factor.clamp(Enclosed::exact(0.25), Enclosed::exact(1.0)));
        judge.report.judge()?;
        judge.report.count("baselines made");
        (scores.own_centre, scores.factor) = (centre, factor);
        (self.windows, self.done) = (0, 0);
        Ok(true)
    }

    pub(crate) fn check(&self, found: &Remembered, report: &mut Report) {
        if self.is_under_way() {
            report.note("baseline's mean", found.float(BASELINE_MEAN), self.mean);
            report.note("baseline's variance", found.float(BASELINE_VARIANCE), self.variance);
        }
    }
}
