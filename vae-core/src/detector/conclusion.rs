//! From a score to a verdict.

use crate::detector::{
    Detector,
    channel::channels,
    running::Running,
    verdict::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict},
};

impl Detector<'_, '_> {
    /// The first sensor of the window that is not to be believed.
    pub(crate) fn sensor_fault(&mut self) -> Option<SensorFault> {
        let window = self.model.window() as f32;
        let mut faults = (0..).zip(channels(self.state, &self.calibration, self.model.channels()));
        faults.find_map(|(channel, (state, _))| Some(SensorFault { channel, kind: state.fault(window)? }))
    }

    /// The first sensor that repeats its value for longer than in normal data.
    pub(crate) fn suspicion(&mut self) -> Option<SensorFault> {
        let mut channels = (0..).zip(channels(self.state, &self.calibration, self.model.channels()));
        let (channel, _) = channels.find(|(_, (state, normal))| state.is_suspicious(normal))?;
        Some(SensorFault { channel, kind: SensorFaultKind::Stuck })
    }

    pub(crate) fn conclude_fault(&mut self, fault: SensorFault) -> Option<Verdict> {
        self.forget_hop();
        Some(Verdict::SensorFault(fault))
    }

    /// Drops the samples since the last window.
    pub(crate) fn forget_hop(&mut self) {
        channels(self.state, &self.calibration, self.model.channels())
            .for_each(|(mut channel, _)| channel.forget_hop());
    }

    /// Whether scores are those of the calibration, which are then kept bit for bit.
    pub(crate) fn is_on_own_scale(&self) -> bool {
        self.running.score_factor == 1.0 && self.running.score_centre == self.calibration.location_and_scale().0
    }

    /// A −score on the calibration's scale.
    fn on_calibration(&self, nats: f32) -> f32 {
        if self.is_on_own_scale() {
            return nats;
        }
        let Running { score_centre, score_factor, .. } = self.running;
        self.calibration.location_and_scale().0 + score_factor * (nats - score_centre)
    }

    /// The rule on the baseline that was just made.
    fn rebase_rule(&mut self) {
        // What is asked for was possible when it was set.
        let _ = self.set_rule();
    }

    /// The verdict on a window with this score; none while a new baseline is made.
    pub(crate) fn conclude(&mut self, score: f32, missing: u32) -> Option<Verdict> {
        self.running.windows = self.running.windows.wrapping_add(1);
        if self.running.is_measuring() {
            self.forget_hop();
            if self.running.measure_score(-score, &self.calibration) {
                self.alarm.reset();
                self.rebase_rule();
            }
            return None;
        }
        let nats = self.on_calibration(-score);
        let assessment = Assessment { score, p_value: self.calibration.p_value(-nats), missing };
        if self.alarm.is_vote(nats, &self.rule, &self.calibration)
            && let Some(fault) = self.suspicion()
        {
            return self.conclude_fault(fault);
        }
        let is_raised = self.alarm.push(nats, &self.rule, &self.calibration);
        let memory = self.calibration.drift_memory();
        if memory > 0.0 && self.alarm.is_learning(&self.rule) {
            channels(self.state, &self.calibration, self.model.channels())
                .for_each(|(mut channel, normal)| channel.follow(memory, &normal));
        } else {
            self.forget_hop();
        }
        Some(if is_raised {
            // Who is to blame is found out next.
            let (channel, channel_nats, feature, feature_nats) = (0, 0.0, 0, 0.0);
            Verdict::Anomalous(Anomaly { assessment, channel, channel_nats, feature, feature_nats })
        } else if let Some(kind) = self.drift() {
            Verdict::Drifting(Drift { assessment, kind })
        } else {
            Verdict::Normal(assessment)
        })
    }

    /// What has moved furthest beyond its limit.
    fn drift(&mut self) -> Option<DriftKind> {
        // Once reported, it ends at half its limits.
        let (mut furthest, mut drift) = (if self.running.is_drifting { 0.5 } else { 1.0 }, None);
        let mut consider = |extent: f32, kind| {
            // What f32 cannot hold is not known to drift.
            if extent > furthest && extent.is_finite() {
                (furthest, drift) = (extent, Some(kind));
            }
        };
        let (shift, widening) = self.alarm.drift();
        let [shift_extent, widening_extent] = self.rule.extents(shift, widening);
        consider(shift_extent, DriftKind::Score(shift / self.running.score_factor));
        consider(widening_extent, DriftKind::Spread(widening));
        let width = self.running.width(&self.calibration);
        for (channel, (state, normal)) in (0..).zip(channels(self.state, &self.calibration, self.model.channels())) {
            let [level, power] = state.drift(&normal, width);
            consider(level, DriftKind::Mean { channel, shift: *state.shift / *state.gain });
            consider(power, DriftKind::Power { channel, factor: state.factor(&normal) });
        }
        self.running.is_drifting = drift.is_some();
        drift
    }
}
