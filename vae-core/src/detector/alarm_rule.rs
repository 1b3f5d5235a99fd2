//! By which rule alarms are raised and cleared.

use crate::{
    arithmetic::number::clamp,
    calibration::{Calibration, DriftRule, VOTES_SHARE},
};

/// What the cumulative sum takes off each window: half of what a shift of half a standard deviation adds to it (√12 (Φ(0.5/√2) − ½) =
/// 0.48), for which it is then the quickest test.
pub const ALLOWANCE: f32 = 0.25;

/// An alarm is in doubt from this share of the cumulative sum's limit on.
const DOUBT: f32 = 0.75;

/// The least share of windows that vote while a fault lasts, for which an alarm is held.
pub const LEAST_VOTES: f32 = 0.3;

/// Chances that a healthy window votes are taken to be within these.
const VOTE_CHANCE: (f32, f32) = (1e-4, 0.1);

/// An alarm is not called soon after another that is longer ago than this share of the time between false alarms.
const SOON_AT_MOST: f32 = 0.1;
/// Evidence of health that clears an alarm where windows are independent, in nats: a fault of which [`LEAST_VOTES`] vote is cleared
/// falsely about once in 10⁵ windows.
const CLEARING: f32 = 15.5;

/// How much more it takes where they are not: `1 + 0.35 ln τ`, at most four times as much. Measured, not derived.
const CLEARING_BY_DEPENDENCE: (f32, f32) = (0.35, 4.0);

/// Standard errors of a new baseline's level that are added to the allowance.
const ERRORS: f32 = 2.0;

/// By which rule alarms are raised and cleared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlarmRule {
    /// −score above which a window votes, in nats.
    pub threshold: f32,
    /// The cumulative sum that raises an alarm; infinite where there is no sequential test.
    pub limit: f32,
    /// The cumulative sum from which on an alarm is in doubt: a part of the limit.
    pub(crate) doubt: f32,
    pub(crate) allowance: f32,
    /// Evidence that a vote takes away from the machine's health, and that its absence gives it, in nats.
    pub(crate) vote: f32,
    pub(crate) absence: f32,
    /// Evidence of health that clears an alarm; 0: it is cleared with the first window that does not vote.
    pub(crate) clearing: f32,
    /// Windows after an alarm within which the next one is said to be soon, at most.
    pub(crate) soon: f32,
    pub(crate) drift: DriftRule,
}

impl AlarmRule {
    /// The rule of a calibration for a threshold at which votes raise [`VOTES_SHARE`] of `alarms` false alarms per window (0 where they
    /// are not known), with the limit at which the cumulative sum raises the others.
    #[must_use]
    pub fn new(calibration: &Calibration<'_>, threshold: f32, alarms: f32) -> Self {
        let changes = calibration.change_tail();
        let is_tested = changes.rate > 0.0 && alarms > 0.0;
        // Where more alarms are asked for than there are peaks, the tail goes on below 0, which no sum does.
        let limit = if is_tested { changes.level((1.0 - VOTES_SHARE) * alarms).max(0.0) } else { f32::INFINITY };
        let chance = clamp(calibration.p_value(-threshold), VOTE_CHANCE);
        let dependence = calibration.dependence();
        let (slope, most) = CLEARING_BY_DEPENDENCE;
        let times = if dependence >= 1.0 { (1.0 + slope * libm::logf(dependence)).min(most) } else { 0.0 };
        Self {
            threshold,
            limit,
            doubt: DOUBT * limit,
            allowance: ALLOWANCE,
            vote: libm::logf(LEAST_VOTES / chance),
            absence: libm::logf((1.0 - chance) / (1.0 - LEAST_VOTES)),
            clearing: CLEARING * times,
            soon: if alarms > 0.0 { SOON_AT_MOST / alarms } else { 0.0 },
            drift: calibration.drift_rule(),
        }
    }

    /// The rule for a recording of which nothing is judged: no alarm is raised, but averages stand still where one with this limit of the
    /// cumulative sum would be in doubt.
    #[must_use]
    pub fn without_alarms(self, limit: f32) -> Self {
        Self { threshold: f32::MAX, limit: f32::MAX, doubt: DOUBT * limit, ..self }
    }

    /// The same rule, by which scores are judged as they are.
    pub(crate) fn without_compensation(self) -> Self {
        Self { drift: DriftRule { memory: 0.0, ..self.drift }, ..self }
    }

    /// A shift and a widening of the scores, in units of their limits.
    pub(crate) fn extents(&self, shift: f32, widening: f32) -> [f32; 2] {
        [shift / self.drift.shift_limit, (widening - 1.0) / self.drift.widening_limit]
    }

    /// The same rule on a baseline that was averaged over so many windows: what is compared with it is compared with an average that is
    /// uncertain itself. `width` multiplies the limits of drift.
    pub(crate) fn on_baseline(self, windows: u32, width: f32, dependence: f32) -> Self {
        let error = libm::sqrtf(dependence.max(1.0) / windows as f32);
        let DriftRule { shift_limit, widening_limit, .. } = self.drift;
        let (shift_limit, widening_limit) = (width * shift_limit, width * widening_limit);
        Self {
            allowance: ALLOWANCE + ERRORS * error,
            drift: DriftRule { shift_limit, widening_limit, ..self.drift },
            ..self
        }
    }
}
