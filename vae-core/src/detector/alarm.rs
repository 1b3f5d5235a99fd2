//! When an alarm is raised and cleared, and what is taken for slow drift instead.

use crate::{
    arithmetic::number::{clamp, held},
    calibration::{Calibration, DriftRule, channel::REACH},
    detector::{alarm_rule::AlarmRule, votes::Votes},
};

/// Of an alarm that the cumulative sum raised, in its limits: as far above 0 as that it does not flap while a change of half a deviation
/// lasts.
const CAP: f32 = 1.75;

/// √12: ranks of variance 1.
const ROOT_12: f32 = 3.464_101_6;

/// Windows without a vote, of average scores, that clear the least alarm, times the 0.5 that each takes off.
const HELD: f32 = 30.0;

/// What a vote adds to that, beside its rank.
const HELD_BY_VOTE: f32 = 1.7;

const HELD_LESS: f32 = 0.5;

/// An alarm soon after another takes so many times the evidence to clear, at most so many times the least.
const BACK_OFF: (f32, f32) = (3.0, 20.0);

/// Soon is within so many times as many windows as the evidence takes.
const SOON: f32 = 8.0;
/// The widest spread that drift explains, in those of the calibration.
const WIDEST: f32 = 4.0;

/// Whether an alarm is raised, from one score after the other.
///
/// 1. Scores are judged by their distance from what has slowly become ordinary: a robust location and spread that follow a steady change
///    by at most [`REACH`] standard deviations a memory, and nothing while an alarm is raised or in doubt.
/// 2. An alarm is raised by m of n windows below the threshold, for what is abrupt, or by a cumulative sum of the scores' ranks, for small
///    changes that last: `C ← max(0, C + √12 (½ − p) − k)`, `k` = [`ALLOWANCE`](crate::ALLOWANCE).
/// 3. It is cleared once the sequential probability ratio test of "so many windows vote as when healthy" against "[`LEAST_VOTES`](crate::LEAST_VOTES) of them
///    do" has found for health, the sum of the scores' ranks has, too, and the cumulative sum is back at 0 if it raised the alarm.
///    One that is raised again soon takes three times the evidence.
///
/// # Source
/// E. S. Page (1954), *Continuous inspection schemes*: the cumulative sum; G. V. Moustakides (1986), *Optimal stopping times for detecting
/// changes in distributions*: that none is quicker; A. Wald (1945), *Sequential tests of statistical hypotheses*: the ratio test;
/// F. Wilcoxon (1945), *Individual comparisons by ranking methods*: the ranks, with which outliers count no more than what is just rare;
/// P. J. Huber (1964), *Robust estimation of a location parameter*: the bounded steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alarm {
    pub(crate) votes: Votes,
    pub(crate) state: AlarmState,
}

/// What an [`Alarm`] remembers beside its votes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AlarmState {
    pub(crate) is_raised: bool,
    /// Whether the cumulative sum raised the alarm, and votes did not.
    pub(crate) is_change: bool,
    /// Whether scores are compensated, and said to drift.
    pub(crate) is_drifting: bool,
    /// By how much −scores have risen slowly, in nats, and by which factor their spread about the median.
    pub(crate) shift: f32,
    pub(crate) widening: f32,
    /// The cumulative sum.
    pub(crate) change: f32,
    /// Evidence of health by votes, in nats, and how much of it clears the alarm.
    pub(crate) health: f32,
    pub(crate) needed: f32,
    /// What scores still have to make good before the alarm is cleared.
    pub(crate) held: f32,
    /// Windows since the last alarm was cleared.
    pub(crate) since: u32,
}

impl AlarmState {
    pub(crate) const NONE: Self = Self {
        is_raised: false,
        is_change: false,
        is_drifting: false,
        shift: 0.0,
        widening: 1.0,
        change: 0.0,
        health: 0.0,
        needed: 0.0,
        held: 0.0,
        since: u32::MAX,
    };

    /// Whether an alarm can have left this behind.
    pub(crate) fn is_sound(&self) -> bool {
        let Self { shift, widening, change, health, needed, held, .. } = *self;
        let sums = [shift, change, health, needed];
        sums.iter().all(|value| value.is_finite() && *value >= 0.0)
            && held.is_finite()
            && (1.0..=WIDEST).contains(&widening)
    }
}

impl Alarm {
    /// Not raised, by a machine that is as it was in the calibration.
    #[must_use]
    pub fn new(votes: Votes) -> Self {
        Self { votes, state: AlarmState::NONE }
    }

    /// Whether the alarm is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.state.is_raised
    }

    /// The votes, of the last windows.
    #[must_use]
    pub fn votes(&self) -> &Votes {
        &self.votes
    }

    /// By how much −scores have risen slowly, in nats, and by which factor their spread has.
    #[must_use]
    pub fn drift(&self) -> (f32, f32) {
        (self.state.shift, self.state.widening)
    }

    /// Whether the scores' drift is beyond what it ordinarily is.
    #[must_use]
    pub fn is_drifting(&self) -> bool {
        self.state.is_drifting
    }

    /// The cumulative sum.
    #[must_use]
    pub fn change(&self) -> f32 {
        self.state.change
    }

    /// Whether averages may follow the machine: no alarm is raised nor in doubt.
    #[must_use]
    pub fn is_learning(&self, rule: &AlarmRule) -> bool {
        !self.state.is_raised && self.state.change < rule.doubt
    }

    /// Forgets all that was seen.
    pub fn reset(&mut self) {
        self.votes.clear();
        self.state = AlarmState::NONE;
    }

    pub(crate) fn forget_drift(&mut self) {
        (self.state.shift, self.state.widening, self.state.is_drifting) = (0.0, 1.0, false);
    }

    /// Clears the alarm, and the evidence for it; what has been learned of drift stays.
    pub fn clear(&mut self) {
        self.votes.clear();
        let AlarmState { shift, widening, is_drifting, needed, is_raised, since, .. } = self.state;
        let since = if is_raised { 0 } else { since };
        self.state = AlarmState { shift, widening, is_drifting, needed, since, ..AlarmState::NONE };
    }

    /// A −score on the calibration's scale, less what is explained by slow drift.
    fn compensated(&self, nats: f32, calibration: &Calibration<'_>) -> f32 {
        let AlarmState { shift, widening, .. } = self.state;
        let median = calibration.median();
        median + (nats - shift - median) / widening
    }

    /// Whether a window with this −score, in nats and on the calibration's scale, votes for an alarm.
    #[must_use]
    pub fn is_vote(&self, nats: f32, rule: &AlarmRule, calibration: &Calibration<'_>) -> bool {
        let nats = if self.state.is_drifting { self.compensated(nats, calibration) } else { nats };
        nats > rule.threshold
    }

    /// Takes the −score of the next window, in nats and on the calibration's scale; returns whether the alarm is raised now.
    pub fn push(&mut self, nats: f32, rule: &AlarmRule, calibration: &Calibration<'_>) -> bool {
        let vote = self.is_vote(nats, rule, calibration);
        let rank = ROOT_12 * (0.5 - calibration.p_value(-self.compensated(nats, calibration)));
        let enough = self.votes.push(vote);
        let cap = if self.state.is_change { CAP * rule.limit } else { rule.limit };
        if rule.limit < f32::INFINITY {
            self.state.change = clamp(self.state.change + rank - rule.allowance, (0.0, cap));
        }
        let change = self.state.change >= rule.limit;
        if self.state.is_raised {
            self.hold(vote, rank, rule);
        } else {
            self.state.since = self.state.since.saturating_add(1);
            if enough || change {
                self.raise(!enough, rule);
            }
        }
        if rule.drift.memory > 0.0 && self.is_learning(rule) {
            self.follow(rank, &rule.drift);
        }
        self.state.is_raised
    }

    fn raise(&mut self, is_change: bool, rule: &AlarmRule) {
        let state = &mut self.state;
        let soon = (SOON * state.needed / rule.absence).min(rule.soon);
        let more = (BACK_OFF.0 * state.needed).min(BACK_OFF.1 * rule.clearing);
        state.needed = if (state.since as f32) < soon { more } else { rule.clearing };
        (state.is_raised, state.is_change, state.health) = (true, is_change, 0.0);
        state.held = Self::most_held(state.needed, rule);
    }

    fn most_held(needed: f32, rule: &AlarmRule) -> f32 {
        if rule.clearing > 0.0 { HELD * needed / rule.clearing } else { 0.0 }
    }

    fn hold(&mut self, vote: bool, rank: f32, rule: &AlarmRule) {
        let state = &mut self.state;
        state.health = if vote { (state.health - rule.vote).max(0.0) } else { state.health + rule.absence };
        let more = rank - HELD_LESS + if vote { HELD_BY_VOTE } else { 0.0 };
        state.held = (state.held + more).min(Self::most_held(state.needed, rule));
        let is_over = state.health >= state.needed && state.held <= 0.0 && (!state.is_change || state.change <= 0.0);
        if is_over && !vote {
            self.clear();
        }
    }

    /// Follows a steady change, a little.
    fn follow(&mut self, rank: f32, rule: &DriftRule) {
        let state = &mut self.state;
        state.shift = held(state.shift, (state.shift + rule.step * clamp(rank, (-REACH, REACH))).max(0.0));
        // Half of all windows are further from the median than the quartiles are.
        let outer = if rank.abs() > 0.25 * ROOT_12 { 1.0 } else { -1.0 };
        state.widening = clamp(state.widening * (1.0 + outer * REACH / rule.memory), (1.0, WIDEST));
        let least = if state.is_drifting { 0.5 } else { 1.0 };
        state.is_drifting =
            state.shift > least * rule.shift_limit || state.widening - 1.0 > least * rule.widening_limit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detector::alarm_rule::ALLOWANCE;

    /// Scores that are uniform on ±1, so that the rank of a −score is √3 times it; one alarm in 1000 windows by votes, nine tenths of them
    /// beyond a −score of 0.9; a sum whose limit for three in 1000 is 10.
    fn calibration(dependence: f32, memory: f32) -> [f32; 31] {
        let tail = [0.9, 1e-3, 1.0, 1.0, 1.0];
        let changes = [10.0, 3e-3, 10.0, 1.0, 1.0];
        let mut values = [0.0; 31];
        values[..5].copy_from_slice(&[-0.9, 1e6, 1.0, 2.0, 3.0]);
        values[10..15].copy_from_slice(&tail);
        values[15..19].copy_from_slice(&[0.0, 0.577, 0.0, dependence]);
        values[19..24].copy_from_slice(&changes);
        values[24..].copy_from_slice(&[memory, 0.01, 0.2, 0.3, 2.0, -1.0, 1.0]);
        values
    }

    fn with<T>(dependence: f32, memory: f32, use_it: impl FnOnce(&AlarmRule, &Calibration<'_>) -> T) -> T {
        let values = calibration(dependence, memory);
        let calibration = Calibration::new(&values, 0).unwrap();
        use_it(&AlarmRule::new(&calibration, -calibration.threshold(), 4e-3), &calibration)
    }

    fn alarm() -> Alarm {
        Alarm::new(Votes::new(2, 3).unwrap())
    }

    /// Windows of this −score until the alarm is as said.
    fn until(alarm: &mut Alarm, raised: bool, nats: f32, rule: &AlarmRule, calibration: &Calibration<'_>) -> usize {
        (1..100_000).find(|_| alarm.push(nats, rule, calibration) == raised).unwrap()
    }

    #[test]
    fn the_evidence_is_that_of_the_probability_ratio_test() {
        with(1.0, 0.0, |rule, _| {
            assert!((rule.limit - 10.0).abs() < 1e-4, "{}", rule.limit);
            // One window in twenty is above 0.9: ln (0.3 / 0.05) against ln (0.95 / 0.7).
            assert!((rule.vote - 6f32.ln()).abs() < 1e-5 && (rule.absence - (0.95f32 / 0.7).ln()).abs() < 1e-5);
            assert!((rule.clearing - 15.5).abs() < 1e-5 && (rule.soon - 25.0).abs() < 1e-3);
        });
        // 1 + 0.35 ln τ, and at most four times.
        with(20.0, 0.0, |rule, _| assert!((rule.clearing / 15.5 - (1.0 + 0.35 * 20f32.ln())).abs() < 1e-5));
        with(1e9, 0.0, |rule, _| assert!((rule.clearing / 15.5 - 4.0).abs() < 1e-5));
        with(0.0, 0.0, |rule, _| assert_eq!(rule.clearing, 0.0));
    }

    #[test]
    fn votes_raise_an_alarm_and_evidence_of_health_clears_it() {
        with(1.0, 0.0, |rule, calibration| {
            let mut alarm = alarm();
            let pushed = [0.95, 0.0, 0.95].map(|nats| alarm.push(nats, rule, calibration));
            assert_eq!(pushed, [false, false, true]);
            // Of average windows, 60 take back the 30 that it is held by, and 15.5 / ln (0.95 / 0.7) give the evidence of votes.
            let windows = (15.5 / (0.95f32 / 0.7).ln()).ceil() as usize;
            assert!(windows < 60);
            assert_eq!(until(&mut alarm, false, 0.0, rule, calibration), 60);
            // The second comes soon: three times as much of both.
            alarm.push(0.95, rule, calibration);
            assert!(alarm.push(0.95, rule, calibration));
            assert_eq!(until(&mut alarm, false, 0.0, rule, calibration), 180);
            // One that comes later takes as much as the first.
            (0..30).for_each(|_| assert!(!alarm.push(-0.5, rule, calibration)));
            alarm.push(0.95, rule, calibration);
            assert!(alarm.push(0.95, rule, calibration));
            assert_eq!(until(&mut alarm, false, 0.0, rule, calibration), 60);
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many windows for an interpreter")]
    fn an_alarm_stays_while_three_in_ten_windows_vote() {
        with(1.0, 0.0, |rule, calibration| {
            let mut alarm = alarm();
            alarm.push(0.95, rule, calibration);
            alarm.push(0.95, rule, calibration);
            // Otherwise as low as the best of healthy windows: the votes alone hold it.
            let all = (0..100_000).all(|window| {
                let nats = if window % 10 < 3 { 0.95 } else { -0.5 };
                alarm.push(nats, rule, calibration)
            });
            assert!(all);
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many windows for an interpreter")]
    fn small_lasting_changes_add_up() {
        with(1.0, 0.0, |rule, calibration| {
            for nats in [0.2f32, 0.4, 0.8] {
                let mut alarm = alarm();
                let each = 3f32.sqrt() * nats - ALLOWANCE;
                assert_eq!(until(&mut alarm, true, nats, rule, calibration), (10.0 / each).ceil() as usize, "{nats}");
                // It is as far above 0 as that it lasts until the sum is back, 17.5 at most.
                (0..1000).for_each(|_| assert!(alarm.push(nats, rule, calibration)));
                let windows = until(&mut alarm, false, 0.0, rule, calibration);
                assert_eq!(windows, ((CAP * rule.limit) / ALLOWANCE).ceil() as usize, "{nats}");
            }
            // What is less than the allowance does not.
            let mut alarm = alarm();
            (0..100_000).for_each(|_| assert!(!alarm.push(0.14, rule, calibration)));
        });
    }

    #[test]
    fn what_is_slow_is_followed_and_nothing_while_an_alarm_is_raised_or_in_doubt() {
        with(1.0, 64.0, |rule, calibration| {
            let mut alarm = alarm();
            // A window of rank √3 · 0.1 moves the shift by a hundredth of that, and is closer to the median than a quartile.
            alarm.push(0.1, rule, calibration);
            let (shift, widening) = alarm.drift();
            assert!((shift - 0.01 * 0.1 * 3f32.sqrt()).abs() < 1e-7 && widening == 1.0, "{shift} {widening}");
            // One far out moves it by REACH and no more, and the spread by REACH in a memory.
            alarm.push(0.85, rule, calibration);
            let (next, widening) = alarm.drift();
            assert!((next - shift - 0.01 * REACH).abs() < 1e-6 && (widening - 1.0 - REACH / 64.0).abs() < 1e-6);
            // Windows like this raise an alarm, and then teach it nothing.
            until(&mut alarm, true, 0.85, rule, calibration);
            let frozen = alarm.drift();
            (0..100).for_each(|_| assert!(alarm.push(0.85, rule, calibration)));
            assert_eq!(alarm.drift(), frozen);
            assert!(frozen.0 < 10.0 / (0.85 * 3f32.sqrt() - ALLOWANCE) * 0.01 * REACH, "{frozen:?}");
        });
    }

    #[test]
    #[cfg_attr(miri, ignore = "too many windows for an interpreter")]
    fn a_slow_rise_is_drift_and_a_return_ends_it() {
        with(1.0, 64.0, |rule, calibration| {
            let mut alarm = alarm();
            // The whole range in turn, so that ranks are what they were calibrated to be, on a level that rises by 0.5.
            let scores = |from: usize| (from..).map(|window| ((window * 611) % 1000) as f32 / 500.0 - 0.999);
            let level = |window: usize| 0.5 * (window as f32 / 20_000.0).min(1.0);
            for (window, score) in scores(0).take(30_000).enumerate() {
                assert!(!alarm.push(score + level(window), rule, calibration), "window {window}");
            }
            assert!(alarm.is_drifting() && (alarm.drift().0 - 0.5).abs() < 0.1, "{:?}", alarm.drift());
            for score in scores(0).take(2000) {
                assert!(!alarm.push(score, rule, calibration));
            }
            assert!(!alarm.is_drifting() && alarm.drift().0 < 0.1, "{:?}", alarm.drift());
        });
    }

    #[test]
    fn clearing_keeps_what_was_learned_and_a_reset_does_not() {
        with(1.0, 64.0, |rule, calibration| {
            let mut alarm = alarm();
            until(&mut alarm, true, 0.85, rule, calibration);
            let drift = alarm.drift();
            alarm.clear();
            assert!(!alarm.is_raised() && alarm.drift() == drift && alarm.change() == 0.0);
            alarm.reset();
            assert_eq!(alarm.drift(), (0.0, 1.0));
        });
    }
}
