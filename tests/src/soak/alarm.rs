//! The alarm, as "The alarm on the device" of `docs/calibration.md` has it.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use vae_core::{AlarmRule, Calibration, Tail};

use super::{
    P_VALUE_ERROR,
    enclosed::{Decision, Enclosed, UNIT},
    remembered::{CHANGE, HEALTH, HELD, Judge, NEEDED, Remembered, SHIFT, WIDENING, is_nearer},
    report::Report,
    scores::{Scores, level, rate_above},
};

/// A widening that is less well known than this, relatively, is taken from the detector.
const KNOWN: f64 = 1e-5;

const ZERO: Enclosed = Enclosed::exact(0.0);
const ONE: Enclosed = Enclosed::exact(1.0);

/// The constants of a calibration and a baseline.
pub(crate) struct Rule {
    /// −score above which a window votes.
    threshold: Enclosed,
    /// `h`, and ¾ of it; none without a test of the sum.
    limits: Option<(Enclosed, Enclosed)>,
    /// `k`, `a`, `b` and `e`.
    allowance: Enclosed,
    vote: Enclosed,
    absence: Enclosed,
    clearing: Enclosed,
    /// `0.1 / rate`
    soon: Enclosed,
    /// `M`, where there is one and nothing is locked.
    memory: Option<Enclosed>,
    step: Enclosed,
    /// Of B and of S − 1.
    drift_limits: [Enclosed; 2],
    /// √12
    root: Enclosed,
}

/// The constants of a calibration that `Calibration` does not give away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DriftConstants {
    pub(crate) step: f32,
    pub(crate) limits: (f32, f32),
}

impl Rule {
    /// The rule on a baseline of so many windows, 0 for the calibration's.
    ///
    /// # Errors
    /// If the detector has another limit of the cumulative sum.
    pub(crate) fn new(
        calibration: &Calibration<'_>,
        scores: &Scores,
        drift: DriftConstants,
        baseline: u64,
        report: &mut Report,
    ) -> Result<Self> {
        let about = Enclosed::about;
        let threshold = Enclosed::from(-calibration.threshold());
        let chance = scores.p_value(threshold).clamp(about(1e-4), about(0.1));
        let dependence = Enclosed::from(calibration.dependence());
        let times =
            if dependence.value > 0.0 { (ONE + about(0.35) * dependence.ln()).min(Enclosed::exact(4.0)) } else { ZERO };
        let per_window = Self::rate(calibration);
        let limits = Self::limit(calibration, per_window, report)?.map(|limit| {
            // As `f32` has it, since all that is compared with it is.
            (Enclosed::from(limit), Enclosed::from(0.75 * limit))
        });
        let soon = if per_window > 0.0 { about(0.1) / of_tail(per_window) } else { ZERO };
        let allowance = match baseline {
            0 => Enclosed::exact(0.25),
            n => {
                Enclosed::exact(0.25) + Enclosed::exact(2.0) * (dependence.max(ONE) / Enclosed::exact(n as f64)).sqrt()
            }
        };
        let width = width(calibration, baseline);
        let memory = calibration.drift_memory();
        Ok(Self {
            threshold,
            limits,
            allowance,
            vote: (about(0.3) / chance).ln(),
            absence: ((ONE - chance) / about(0.7)).ln(),
            clearing: Enclosed::exact(15.5) * times,
            soon,
            memory: (memory > 0.0).then(|| memory.into()),
            step: drift.step.into(),
            drift_limits: [drift.limits.0, drift.limits.1].map(|limit| width * limit.into()),
            root: about(12.0f64.sqrt()),
        })
    }

    /// False alarms per window, where no other are asked for than the calibration's; 0 where they are not known.
    fn rate(calibration: &Calibration<'_>) -> f64 {
        let (tail, threshold) = (calibration.alarm_tail(), -f64::from(calibration.threshold()));
        let share = if calibration.change_tail().rate > 0.0 { 0.25 } else { 1.0 };
        if tail.rate > 0.0 { rate_above(tail, threshold) / share } else { 0.0 }
    }

    /// `h`, once it has been compared: the rate of which it is the level is that of a tail, and the level that of another one.
    fn limit(calibration: &Calibration<'_>, per_window: f64, report: &mut Report) -> Result<Option<f32>> {
        let tail = calibration.change_tail();
        if tail.rate == 0.0 || per_window == 0.0 {
            return Ok(None);
        }
        let own = calibration.alarms_per_window().unwrap_or(0.0);
        report.note("rate", own.into(), of_tail(per_window));
        let found = AlarmRule::new(calibration, -calibration.threshold(), own).limit;
        // The tail is exponential: what the logarithm of the rate is off, in units of that at its start.
        let expected = level(tail, 0.75 * per_window);
        let Tail { start, scale, rate, .. } = tail;
        let error = f64::from(scale) * (of_tail(per_window).high / per_window - 1.0) / f64::from(rate).ln().abs();
        let rounding = 16.0 * UNIT * (f64::from(start.abs()) + expected.abs() + f64::from(scale));
        report.note("limit of the sum", found.into(), Enclosed::within(expected, error + rounding));
        report.judge()?;
        Ok(Some(found))
    }

    pub(crate) fn lock(&mut self) {
        self.memory = None;
    }
}

/// A rate that is that of a tail.
fn of_tail(rate: f64) -> Enclosed {
    Enclosed::within(rate, P_VALUE_ERROR * rate * (1.0 - rate.ln()))
}

/// What multiplies the limits of drift on a baseline of so many windows.
pub(crate) fn width(calibration: &Calibration<'_>, baseline: u64) -> Enclosed {
    let [memory, two] = [calibration.drift_memory(), 2.0].map(Enclosed::from);
    match baseline {
        0 => ONE,
        n => (ONE + two * memory / Enclosed::exact(n as f64)).sqrt(),
    }
}

/// What the alarm remembers.
pub(crate) struct Alarm {
    needed_votes: (u32, u32),
    votes: VecDeque<bool>,
    pub(crate) is_raised: bool,
    /// Whether the sum raised the alarm, and whether it has reached its limit by now.
    is_change: bool,
    pub(crate) is_drifting: bool,
    pub(crate) shift: Enclosed,
    pub(crate) widening: Enclosed,
    change: Enclosed,
    health: Enclosed,
    needed: Enclosed,
    held: Enclosed,
    since: u64,
}

impl Alarm {
    pub(crate) fn new(needed_votes: (u32, u32)) -> Self {
        Self {
            needed_votes,
            votes: VecDeque::new(),
            is_raised: false,
            is_change: false,
            is_drifting: false,
            shift: ZERO,
            widening: ONE,
            change: ZERO,
            health: ZERO,
            needed: ZERO,
            held: ZERO,
            since: u32::MAX.into(),
        }
    }

    pub(crate) fn forget_drift(&mut self) {
        (self.shift, self.widening, self.is_drifting) = (ZERO, ONE, false);
    }

    /// Clears the alarm.
    pub(crate) fn acknowledge(&mut self) {
        if self.is_raised {
            self.since = 0;
        }
        self.votes.clear();
        (self.is_raised, self.is_change) = (false, false);
        (self.change, self.health, self.held) = (ZERO, ZERO, ZERO);
    }

    /// What slow drift leaves of a −score.
    fn compensated(&self, nats: Enclosed, shift: Enclosed, scores: &Scores) -> Enclosed {
        let median = scores.median();
        median + (nats - shift - median) / self.widening
    }

    /// What a −score's rank is, if they have this shift.
    fn rank(&self, nats: Enclosed, shift: Enclosed, rule: &Rule, scores: &Scores) -> Enclosed {
        rule.root * (Enclosed::exact(0.5) - scores.p_value(self.compensated(nats, shift, scores)))
    }

    pub(crate) fn is_vote(&self, nats: Enclosed, rule: &Rule, scores: &Scores) -> Decision {
        let nats = if self.is_drifting { self.compensated(nats, self.shift, scores) } else { nats };
        nats.above(rule.threshold)
    }

    /// Takes a window's −score and vote; returns whether averages follow it.
    ///
    /// # Errors
    /// If what the detector remembers cannot be looked at, or deviates.
    pub(crate) fn push(
        &mut self,
        (nats, vote): (Enclosed, bool),
        rule: &Rule,
        scores: &Scores,
        judge: &mut Judge<'_>,
    ) -> Result<bool> {
        let rank = self.rank(nats, self.shift, rule, scores);
        self.votes.push_back(vote);
        if self.votes.len() > self.needed_votes.1 as usize {
            self.votes.pop_front();
        }
        let mut change = false;
        if let Some((limit, _)) = rule.limits {
            let cap = if self.is_change { Enclosed::exact(1.75) * limit } else { limit };
            self.change = (self.change + rank - rule.allowance).clamp(ZERO, cap);
            change = judge.settle(limit.above(self.change).not(), |found| found.float(CHANGE) >= limit.value)?;
        }
        if self.is_raised {
            self.hold(vote, rank, rule, judge)?;
        } else {
            self.since = (self.since + 1).min(u32::MAX.into());
            let enough = self.votes.iter().filter(|vote| **vote).count() >= self.needed_votes.0 as usize;
            if enough || change {
                self.raise((enough, change), rule, judge)?;
            }
        }
        let is_learning = !self.is_raised
            && match rule.limits {
                Some((_, doubt)) => {
                    judge.settle(doubt.above(self.change), |found| found.float(CHANGE) < doubt.value)?
                }
                None => true,
            };
        if let (Some(memory), true) = (rule.memory, is_learning) {
            self.follow(nats, rank, memory, rule, scores, judge)?;
        }
        Ok(is_learning)
    }

    fn raise(&mut self, (enough, change): (bool, bool), rule: &Rule, judge: &mut Judge<'_>) -> Result<()> {
        let soon = (Enclosed::exact(8.0) * self.needed / rule.absence).min(rule.soon);
        let more = (Enclosed::exact(3.0) * self.needed).min(Enclosed::exact(20.0) * rule.clearing);
        let is_soon = soon.above(Enclosed::about(self.since as f64));
        let is_soon = judge.settle(is_soon, |found| is_nearer(found.float(NEEDED), more, rule.clearing))?;
        self.needed = if is_soon { more } else { rule.clearing };
        (self.is_raised, self.is_change) = (true, !enough);
        (self.health, self.held) = (ZERO, self.most_held(rule));
        judge.report.count(match (enough, change) {
            (true, true) => "alarms by both",
            (true, false) => "alarms by votes",
            _ => "alarms by the sum",
        });
        judge.report.count_if(is_soon, "alarms soon after another");
        Ok(())
    }

    fn most_held(&self, rule: &Rule) -> Enclosed {
        if rule.clearing.value > 0.0 { Enclosed::exact(30.0) * self.needed / rule.clearing } else { ZERO }
    }

    fn hold(&mut self, vote: bool, rank: Enclosed, rule: &Rule, judge: &mut Judge<'_>) -> Result<()> {
        self.health = if vote { (self.health - rule.vote).max(ZERO) } else { self.health + rule.absence };
        let by_vote = if vote { Enclosed::about(1.7) } else { ZERO };
        self.held = (self.held + (rank - Enclosed::exact(0.5) + by_vote)).min(self.most_held(rule));
        let sum = if self.is_change { self.change.above(ZERO).not() } else { Decision::of(true) };
        let is_over = self.needed.above(self.health).not().and(self.held.above(ZERO).not()).and(sum);
        if judge.settle(is_over.and(Decision::of(!vote)), |found| !found.is_raised())? {
            self.acknowledge();
            judge.report.count("alarms cleared");
        }
        Ok(())
    }

    fn follow(
        &mut self,
        nats: Enclosed,
        rank: Enclosed,
        memory: Enclosed,
        rule: &Rule,
        scores: &Scores,
        judge: &mut Judge<'_>,
    ) -> Result<()> {
        let reach = Enclosed::exact(1.25);
        // Of one and the same shift: the more there is, the lower is the rank.
        let shift = self.shift.through(|shift| {
            let rank = self.rank(nats, shift, rule, scores);
            (shift + rule.step * rank.clamp(-reach, reach)).max(ZERO)
        });
        let [more, less] = [reach, -reach].map(|step| self.widening * (ONE + step / memory));
        let outer = rank.abs().above(Enclosed::exact(0.25) * rule.root);
        let outer = judge.settle(outer, |found| is_nearer(found.float(WIDENING), more, less))?;
        self.shift = shift;
        self.widening = (if outer { more } else { less }).clamp(ONE, Enclosed::exact(4.0));
        let least = Enclosed::exact(if self.is_drifting { 0.5 } else { 1.0 });
        let [shift_limit, widening_limit] = rule.drift_limits.map(|limit| least * limit);
        let drifting = self.shift.above(shift_limit).or((self.widening - ONE).above(widening_limit));
        self.is_drifting = judge.settle(drifting, Remembered::is_drifting)?;
        judge.report.count_if(self.is_drifting, "windows that are compensated");
        if self.widening.high - self.widening.low > KNOWN * self.widening.value {
            let found = (judge.look)()?.float(WIDENING);
            judge.report.note("widening", found, self.widening);
            judge.report.judge()?;
            judge.report.count("widenings taken over");
            self.widening = Enclosed::exact(found);
        }
        Ok(())
    }

    /// B and S − 1 in units of their limits.
    pub(crate) fn extents(&self, rule: &Rule) -> [Enclosed; 2] {
        let [shift_limit, widening_limit] = rule.drift_limits;
        [self.shift / shift_limit, (self.widening - ONE) / widening_limit]
    }

    /// # Errors
    /// If what is remembered is not what was found.
    pub(crate) fn check(&self, found: &Remembered, report: &mut Report) -> Result<()> {
        let history = self.votes.iter().fold(0, |history, vote| (history << 1) | u32::from(*vote));
        let flags = [self.is_raised, self.is_change, self.is_drifting];
        let flags = flags.iter().rev().fold(0, |bits, flag| 2 * bits + u32::from(*flag));
        let expected = [self.needed_votes.0, self.needed_votes.1, history, flags, self.since as u32];
        let words = &found.words;
        let found_words = [words[2], words[3], words[4], words[5] & 7, words[10]];
        ensure!(found_words == expected, "votes, flags and since are {found_words:?}, not {expected:?}");
        for (name, index, expected) in [
            ("shift of scores", SHIFT, self.shift),
            ("widening", WIDENING, self.widening),
            ("cumulative sum", CHANGE, self.change),
            ("evidence of health", HEALTH, self.health),
            ("evidence needed", NEEDED, self.needed),
            ("held", HELD, self.held),
        ] {
            report.note(name, found.float(index), expected);
        }
        Ok(())
    }
}
