//! The detector in `f64`, from samples and scores to verdicts.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};
use vae_core::{Calibration, DetectorError, DriftKind, Model, Scratch, SensorFault, SensorFaultKind, Verdict};
use vae_train::file::model_file::{AlignedFile, ModelFile};

use super::{
    alarm::{Alarm, DriftConstants, Rule, width},
    baseline::Baseline,
    channels::Channel,
    enclosed::Enclosed,
    remembered::{Judge, Remembered},
    report::Report,
    scores::Scores,
    stream::{CHANNELS, Event, Outcome},
};

/// The state is compared every so many windows.
const COMPARED: u64 = 64;

/// Nats by which a window's score may differ that is computed here and not taken from a verdict, and as much for each of its nats: inputs on
/// a new baseline may be rounded otherwise.
pub(crate) const OWN_SCORE_ERROR: f64 = 1e-5;

/// What the detector is to remember, and has found out.
pub(crate) struct Reference<'m> {
    model: Model<'m>,
    pub(crate) calibration: Calibration<'m>,
    drift: DriftConstants,
    /// `−½ ln 2πσ²` of each feature in physical units.
    normalisers: Vec<f64>,
    memory: Vec<f32>,
    scores: Scores,
    rule: Rule,
    channels: Vec<Channel>,
    window: VecDeque<[f64; CHANNELS]>,
    filled: usize,
    alarm: Alarm,
    /// Windows that were scored.
    windows: u64,
    is_drifting: bool,
    is_locked: bool,
    baseline: Baseline,
    pub(crate) report: Report,
}

impl<'m> Reference<'m> {
    pub(crate) fn new(bytes: &'m AlignedFile, file: &ModelFile) -> Result<Self> {
        let model = bytes.model()?;
        let calibration = model.calibration()?;
        let deviations = file.scale.iter().zip(&file.variance).map(|(s, v)| f64::from(*s).powi(2) * f64::from(*v));
        let scores = Scores::new(&calibration, &file.calibration.quantiles);
        let drift = DriftConstants { step: file.calibration.drift_step, limits: file.calibration.drift_limits };
        let mut report = Report::default();
        let rule = Rule::new(&calibration, &scores, drift, 0, &mut report)?;
        let mut reference = Self {
            model,
            calibration,
            drift,
            normalisers: deviations.map(|variance| -0.5 * (std::f64::consts::TAU * variance).ln()).collect(),
            memory: vec![0.0; model.scratch_len()],
            scores,
            rule,
            channels: Vec::new(),
            window: VecDeque::new(),
            filled: 0,
            alarm: Alarm::new(calibration.votes()),
            windows: 0,
            is_drifting: false,
            is_locked: false,
            baseline: Baseline::default(),
            report,
        };
        reference.forget()?;
        Ok(reference)
    }

    fn forget(&mut self) -> Result<()> {
        let channel = |index| {
            let normal = self.calibration.channel(index).context("the channels are calibrated")?;
            Ok(Channel::new(normal, self.model.window()))
        };
        self.channels = (0..CHANNELS).map(channel).collect::<Result<_>>()?;
        self.filled = 0;
        self.alarm = Alarm::new(self.calibration.votes());
        (self.is_drifting, self.windows, self.baseline) = (false, 0, Baseline::default());
        self.scores.forget();
        self.set_rule()
    }

    fn set_rule(&mut self) -> Result<()> {
        let Self { calibration, scores, drift, baseline, report, .. } = self;
        self.rule = Rule::new(calibration, scores, *drift, baseline.size, report)?;
        if self.is_locked {
            self.rule.lock();
        }
        Ok(())
    }

    pub(crate) fn lock(&mut self) {
        self.is_locked = true;
        self.rule.lock();
        self.alarm.forget_drift();
    }

    fn gap(&mut self) {
        self.filled = 0;
        self.channels.iter_mut().for_each(Channel::forget_samples);
    }

    fn happen(&mut self, outcome: &Outcome, windows: u32) -> Result<()> {
        let refusal = match outcome.event {
            Event::Rebaseline | Event::Restart | Event::Forget if self.is_locked => Some(DetectorError::Locked),
            Event::Rebaseline if self.alarm.is_raised => Some(DetectorError::Alarmed),
            _ => None,
        };
        ensure!(outcome.refusal == refusal, "{refusal:?} is expected");
        if refusal.is_some() {
            self.report.count("refusals");
            return Ok(());
        }
        match outcome.event {
            Event::None => {}
            Event::Gap => {
                self.gap();
                self.report.count("gaps");
            }
            Event::Rebaseline => {
                self.forget()?;
                self.channels.iter_mut().for_each(Channel::begin_measuring);
                self.baseline.windows = windows.into();
                self.report.count("baselines");
            }
            Event::Restart => {
                self.gap();
                self.report.count("restarts");
            }
            Event::Acknowledge => {
                self.report.count_if(self.alarm.is_raised, "alarms acknowledged");
                self.alarm.acknowledge();
            }
            Event::Forget => {
                self.forget()?;
                self.report.count("forgotten");
            }
        }
        Ok(())
    }

    /// Takes what came of a sample for the detector, for which a new baseline has so many windows.
    ///
    /// # Errors
    /// If it should have been otherwise.
    pub(crate) fn take(
        &mut self,
        outcome: &Outcome,
        windows: u32,
        look: &dyn Fn() -> Result<Remembered>,
    ) -> Result<()> {
        self.happen(outcome, windows)?;
        let mut seen = [0.0; CHANNELS];
        for ((seen, channel), value) in seen.iter_mut().zip(&mut self.channels).zip(outcome.sample) {
            *seen = channel.push(value);
        }
        self.window.push_back(seen);
        let window = self.model.window();
        if self.window.len() > window {
            self.window.pop_front();
        }
        self.filled = if self.filled == window { window - self.model.hop() + 1 } else { self.filled + 1 };
        let is_complete = self.filled == window;
        ensure!(is_complete == outcome.is_complete, "a window is complete for one and not for the other");
        if !is_complete {
            ensure!(outcome.verdict.is_none(), "a verdict without a window");
            return Ok(());
        }
        self.report.windows += 1;
        let mut report = std::mem::take(&mut self.report);
        let concluded = self.conclude(outcome.verdict, &mut Judge { look, report: &mut report });
        self.report = report;
        concluded?;
        self.report.count(match outcome.verdict {
            None => "no verdict",
            Some(Verdict::Normal(_)) => "normal",
            Some(Verdict::Anomalous(_)) => "anomalous",
            Some(Verdict::SensorFault(_)) => "sensor fault",
            Some(Verdict::Drifting(_)) => "drifting",
        });
        if self.report.windows.is_multiple_of(COMPARED) { self.check(&look()?) } else { Ok(()) }
    }

    fn forget_hop(&mut self) {
        self.channels.iter_mut().for_each(Channel::forget_hop);
    }

    fn conclude(&mut self, verdict: Option<Verdict>, judge: &mut Judge<'_>) -> Result<()> {
        let mut faults = (0..).zip(&self.channels);
        if let Some((channel, kind)) = faults.find_map(|(index, channel)| Some((index, channel.fault()?))) {
            self.forget_hop();
            // It has its place in the stream all the same, but none in a new baseline.
            self.windows += u64::from(!self.baseline.is_under_way());
            let expected = Some(Verdict::SensorFault(SensorFault { channel, kind }));
            ensure!(verdict == expected, "{expected:?} is expected");
            return Ok(());
        }
        if self.baseline.is_of_channels() {
            ensure!(verdict.is_none(), "a verdict while channels are measured");
            return self.measure_channels(judge);
        }
        self.windows += 1;
        if self.baseline.is_under_way() {
            ensure!(verdict.is_none(), "a verdict while scores are measured");
            self.forget_hop();
            let score = self.own_score()?;
            if self.baseline.measure_score(-score, self.windows, &mut self.scores, judge)? {
                self.alarm = Alarm::new(self.calibration.votes());
                self.rule = Rule::new(&self.calibration, &self.scores, self.drift, self.baseline.size, judge.report)?;
                if self.is_locked {
                    self.rule.lock();
                }
            }
            return Ok(());
        }
        let suspicion = self.channels.iter().position(Channel::repeats);
        let Some(assessment) = verdict.context("no verdict")?.assessment() else {
            // No vote, as a sensor repeats itself: then the window is unlikely.
            let channel = suspicion.context("a sensor fault of no sensor")? as u32;
            let expected = Some(Verdict::SensorFault(SensorFault { channel, kind: SensorFaultKind::Stuck }));
            ensure!(verdict == expected, "{expected:?} is expected");
            let score = self.own_score()?;
            let nats = self.scores.nats(score);
            let vote = self.alarm.is_vote(nats, &self.rule, &self.scores);
            ensure!(vote.is_possible, "an ordinary window of a sensor that repeats itself is reported");
            self.forget_hop();
            return Ok(());
        };
        let nats = self.scores.nats(assessment.score.into());
        self.scores.check_p_value(nats, assessment.p_value)?;
        let vote = self.alarm.is_vote(nats, &self.rule, &self.scores);
        let vote = judge.settle(vote, Remembered::voted)?;
        ensure!(!(vote && suspicion.is_some()), "a sensor repeats itself, and its unlikely window votes");
        let is_learning = self.alarm.push((nats, vote), &self.rule, &self.scores, judge)?;
        let memory = Enclosed::from(self.calibration.drift_memory());
        if is_learning && memory.value > 0.0 {
            self.channels.iter_mut().for_each(|channel| channel.follow(memory));
            judge.report.count("windows that are followed");
        } else {
            self.forget_hop();
        }
        let is_raised = matches!(verdict, Some(Verdict::Anomalous(_)));
        ensure!(self.alarm.is_raised == is_raised, "the alarm is raised for one and not for the other");
        match verdict {
            Some(Verdict::Normal(_)) => self.check_drift(None),
            Some(Verdict::Drifting(drift)) => self.check_drift(Some(drift.kind)),
            _ => Ok(()),
        }
    }

    fn measure_channels(&mut self, judge: &mut Judge<'_>) -> Result<()> {
        self.baseline.done += 1;
        let done = self.baseline.done;
        for (index, channel) in self.channels.iter_mut().enumerate() {
            channel.measure((index, done), judge)?;
        }
        if self.baseline.is_of_channels() {
            return Ok(());
        }
        self.baseline.size = done;
        let width = width(&self.calibration, done);
        for (index, channel) in self.channels.iter_mut().enumerate() {
            channel.rebase((index, width), judge)?;
        }
        self.filled = 0;
        Ok(())
    }

    /// Each average's distance from the ordinary in units of its limit, as the detector names it, and what it says it is.
    fn extents(&self) -> Vec<(Enclosed, DriftKind, Enclosed)> {
        let [shift, spread] = self.alarm.extents(&self.rule);
        let (lower, widening) = (self.alarm.shift / Enclosed::exact(self.scores.factor), self.alarm.widening);
        let mut extents = vec![(shift, DriftKind::Score(0.0), lower), (spread, DriftKind::Spread(1.0), widening)];
        let width = width(&self.calibration, self.baseline.size);
        for (index, channel) in (0..).zip(&self.channels) {
            let [level, power] = channel.extents(width);
            let [by, times] = channel.drift();
            extents.push((level, DriftKind::Mean { channel: index, shift: 0.0 }, by));
            extents.push((power, DriftKind::Power { channel: index, factor: 1.0 }, times));
        }
        extents
    }

    fn check_drift(&mut self, found: Option<DriftKind>) -> Result<()> {
        let least = Enclosed::exact(if self.is_drifting { 0.5 } else { 1.0 });
        let extents = self.extents();
        self.is_drifting = found.is_some();
        let Some(found) = found else {
            let missed = extents.iter().find(|(extent, ..)| extent.above(least).is_sure);
            ensure!(missed.is_none(), "{missed:?} is above its limit and not reported");
            return Ok(());
        };
        let (extent, _, expected) =
            extents.iter().find(|(_, kind, _)| is_same(*kind, found)).context("drift of what is not there")?;
        ensure!(extent.above(least).is_possible, "{found:?} is reported at {extent:?}");
        let further = extents.iter().find(|(other, ..)| other.above(*extent).is_sure);
        ensure!(further.is_none(), "{further:?} is further out than {found:?}");
        let named = match found {
            DriftKind::Score(by) | DriftKind::Mean { shift: by, .. } => by,
            DriftKind::Spread(times) | DriftKind::Power { factor: times, .. } => times,
        };
        ensure!(expected.holds(named.into()), "{found:?} should be {expected:?}");
        Ok(())
    }

    /// The score that the model itself gives to the window as it is seen here.
    fn own_score(&mut self) -> Result<Enclosed> {
        let x: Vec<f32> = self.window.iter().flatten().map(|value| *value as f32).collect();
        let mut missing = 0.0;
        for (feature, _) in x.iter().enumerate().filter(|(_, value)| value.is_nan()) {
            missing +=
                self.normalisers[feature] - self.channels[feature % CHANNELS].nats() / self.model.window() as f64;
        }
        let score = self.model.elbo_at_mean(&x[..], &mut Scratch::new(&mut self.memory))?;
        let score = f64::from(score.elbo) + missing;
        Ok(Enclosed::within(score, OWN_SCORE_ERROR * (1.0 + score.abs())))
    }

    /// Compares all that is remembered.
    fn check(&mut self, found: &Remembered) -> Result<()> {
        let Baseline { windows, done, size, .. } = self.baseline;
        let counters = [self.windows, windows, done, size].map(|count| count as u32);
        ensure!(found.words[6..10] == counters, "counters {:?}, not {counters:?}", &found.words[6..10]);
        let is_drifting = found.words[5] & 8 != 0;
        ensure!(is_drifting == self.is_drifting, "drift is reported by one and not by the other");
        self.alarm.check(found, &mut self.report)?;
        self.baseline.check(found, &mut self.report);
        for (index, channel) in self.channels.iter().enumerate() {
            channel.check(index, found, &mut self.report)?;
        }
        let peak = found.peak();
        if !peak.is_finite() {
            bail!("what is remembered is not finite");
        }
        self.report.peak = self.report.peak.max(peak);
        self.report.judge()
    }
}

fn is_same(kind: DriftKind, other: DriftKind) -> bool {
    match (kind, other) {
        (DriftKind::Score(_), DriftKind::Score(_)) | (DriftKind::Spread(_), DriftKind::Spread(_)) => true,
        (DriftKind::Mean { channel: a, .. }, DriftKind::Mean { channel: b, .. })
        | (DriftKind::Power { channel: a, .. }, DriftKind::Power { channel: b, .. }) => a == b,
        _ => false,
    }
}
