//! A channel: whether its sensor is to be believed, and what follows its level and power.

use anyhow::{Result, ensure};
use vae_core::{ChannelCalibration, Location, SensorFaultKind};

use super::{
    enclosed::{Enclosed, UNIT},
    remembered::{
        GAIN, GAP, Judge, KEPT_MEAN, LEVEL, OFFSET, ORDINARY_POWER, POWER, RUN, Remembered, SINCE_FAULT, is_nearer,
    },
    report::Report,
};

const ZERO: Enclosed = Enclosed::exact(0.0);
const ONE: Enclosed = Enclosed::exact(1.0);

pub(crate) struct Channel {
    normal: ChannelCalibration,
    /// Samples of a window.
    window: u64,
    last: f32,
    run: u64,
    gap: u64,
    /// The last fault, and the samples since.
    fault: Option<(SensorFaultKind, u64)>,
    /// Sum of the distances from the mean since the last window, of their squares, and their number.
    hop: (Enclosed, Enclosed, u64),
    level: Enclosed,
    power: Enclosed,
    /// Mean and power of that hop of a new baseline.
    most_powerful: Option<(Enclosed, Enclosed)>,
    offset: f64,
    gain: f64,
    ordinary_power: f64,
}

impl Channel {
    pub(crate) fn new(normal: ChannelCalibration, window: usize) -> Self {
        Self {
            normal,
            window: window as u64,
            last: f32::NAN,
            run: 0,
            gap: 0,
            fault: None,
            hop: (ZERO, ZERO, 0),
            level: ZERO,
            power: normal.strength.centre.into(),
            most_powerful: None,
            offset: 0.0,
            gain: 1.0,
            ordinary_power: 1.0,
        }
    }

    /// What its features cost in an ordinary window.
    pub(crate) fn nats(&self) -> f64 {
        self.normal.nats.into()
    }

    pub(crate) fn forget_samples(&mut self) {
        (self.last, self.run, self.gap, self.fault) = (f32::NAN, 0, 0, None);
        self.forget_hop();
    }

    pub(crate) fn forget_hop(&mut self) {
        self.hop = (ZERO, ZERO, 0);
    }

    /// The value that the model is to see.
    pub(crate) fn push(&mut self, value: f32) -> f64 {
        let ChannelCalibration { range: (low, high), longest_run, longest_gap, mean, .. } = self.normal;
        self.gap = if value.is_nan() { self.gap + 1 } else { 0 };
        self.run = if value == self.last { self.run + 1 } else { 1 };
        self.last = value;
        let longest_gap = [3.0, self.window as f64 / 4.0, longest_gap.into()].into_iter().fold(0.0, f64::max);
        let fault = if value < low || value > high || value.is_infinite() {
            Some(SensorFaultKind::OutOfRange)
        } else if self.gap as f64 > longest_gap {
            Some(SensorFaultKind::Missing)
        } else if self.repeats() && (value == low || value == high) {
            Some(SensorFaultKind::Saturated)
        } else if self.run as f64 > 4.0 * f64::from(longest_run) + 4.0 {
            Some(SensorFaultKind::Stuck)
        } else {
            None
        };
        self.fault = match (fault, self.fault) {
            (Some(kind), _) => Some((kind, 0)),
            (None, Some((kind, since))) => Some((kind, since + 1)),
            (None, None) => None,
        };
        if !value.is_finite() {
            return f64::NAN;
        }
        let (value, mean) = (Enclosed::from(value), Enclosed::from(mean));
        let [offset, gain] = [self.offset, self.gain].map(Enclosed::exact);
        let is_as_calibrated = self.offset == 0.0 && self.gain == 1.0;
        let seen = if is_as_calibrated { value } else { mean + gain * (value - mean - offset) };
        let distance = seen - mean;
        let (sum, squares, count) = self.hop;
        self.hop = (sum + distance, squares + distance * distance, count + 1);
        seen.value
    }

    /// Whether its last value has been repeated more often than in normal data.
    pub(crate) fn repeats(&self) -> bool {
        self.run as f64 > self.normal.longest_run.into()
    }

    /// What is wrong with it in the window.
    pub(crate) fn fault(&self) -> Option<SensorFaultKind> {
        self.fault.filter(|(_, since)| *since < self.window).map(|(kind, _)| kind)
    }

    /// Mean and power of the hop, if there are any values in it.
    fn take_hop(&mut self) -> Option<(Enclosed, Enclosed)> {
        let (sum, squares, count) = std::mem::replace(&mut self.hop, (ZERO, ZERO, 0));
        let number = Enclosed::exact(count as f64);
        (count > 0).then(|| (sum / number, squares / number / self.normal.power.into()))
    }

    /// Lets level and power follow the samples since the last window.
    pub(crate) fn follow(&mut self, memory: Enclosed) {
        let Some((mean, power)) = self.take_hop() else { return };
        let ChannelCalibration { level, strength, .. } = self.normal;
        let step = |average: Enclosed, value: Enclosed, of: Location| {
            let most = Enclosed::exact(1.25) * of.spread.into();
            average.through(|average| average + (value - average).clamp(-most, most) / memory)
        };
        self.level = step(self.level, mean - level.centre.into(), level);
        self.power = step(self.power, power, strength);
    }

    fn ordinary(&self) -> Enclosed {
        Enclosed::exact(self.ordinary_power) * self.normal.strength.centre.into()
    }

    /// Level in the unit of the channel, and power in units of the ordinary one.
    pub(crate) fn drift(&self) -> [Enclosed; 2] {
        [self.level / Enclosed::exact(self.gain), self.power / self.ordinary()]
    }

    /// How far level and power are off, in units of their limits.
    pub(crate) fn extents(&self, width: Enclosed) -> [Enclosed; 2] {
        let [_, factor] = self.drift();
        let ChannelCalibration { level, strength, .. } = self.normal;
        [self.level.abs() / level.limit.into() / width, (factor - ONE).abs() / strength.limit.into() / width]
    }

    pub(crate) fn begin_measuring(&mut self) {
        (self.power, self.most_powerful) = (ZERO, None);
    }

    /// All hops but the most powerful one so far count for a baseline.
    ///
    /// # Errors
    /// If what the detector remembers cannot be looked at.
    pub(crate) fn measure(&mut self, (index, count): (usize, u64), judge: &mut Judge<'_>) -> Result<()> {
        let Some(mut hop) = self.take_hop() else { return Ok(()) };
        let Some(mut kept) = self.most_powerful else {
            self.most_powerful = Some(hop);
            return Ok(());
        };
        let is_next = |found: &Remembered| is_nearer(found.channel(index, KEPT_MEAN), hop.0, kept.0);
        if judge.settle(hop.1.above(kept.1), is_next)? {
            std::mem::swap(&mut hop, &mut kept);
            self.most_powerful = Some(kept);
        }
        let weight = Enclosed::about(1.0 / (count.max(2) - 1) as f64);
        let (mean, power) = hop;
        self.level = self.level.through(|level| level + weight * (mean - level));
        self.power = self.power.through(|average| average + weight * (power - average));
        Ok(())
    }

    /// Makes what has been averaged the baseline, as the detector did once that has been compared.
    ///
    /// # Errors
    /// If the detector's is another one.
    pub(crate) fn rebase(&mut self, (index, width): (usize, Enclosed), judge: &mut Judge<'_>) -> Result<()> {
        let found = (judge.look)()?;
        let [offset, gain, ordinary] = [OFFSET, GAIN, ORDINARY_POWER].map(|field| found.channel(index, field));
        let square = self.level * self.level / self.normal.power.into();
        let power = self.power - square;
        let is_known = power.above(Enclosed::about(1e-5) * square);
        let is_known = judge.settle(is_known, |_| gain != 1.0 || ordinary != 1.0)?;
        let is_scaled = (power - ONE).abs().above(width * self.normal.strength.limit.into());
        let (own_gain, own_ordinary) = if !is_known {
            (ONE, ONE)
        } else if judge.settle(is_scaled, |_| gain != 1.0)? {
            judge.report.count("channels scaled");
            (ONE / power.sqrt(), ONE)
        } else {
            (ONE, power)
        };
        judge.report.note("offset", offset, self.level);
        judge.report.note("gain", gain, own_gain);
        judge.report.note("ordinary power", ordinary, own_ordinary);
        judge.report.judge()?;
        (self.offset, self.gain, self.ordinary_power) = (offset, gain, ordinary);
        (self.level, self.power) = (ZERO, self.ordinary());
        Ok(())
    }

    /// # Errors
    /// If what is remembered is not what was found.
    pub(crate) fn check(&self, index: usize, found: &Remembered, report: &mut Report) -> Result<()> {
        let since = self.fault.map_or(f64::from(f32::MAX), |(_, since)| since as f64);
        let expected = [self.run as f64, self.gap as f64, since];
        let fields = [RUN, GAP, SINCE_FAULT].map(|field| found.channel(index, field));
        // f32 counts to 2²⁴.
        let same = fields
            .iter()
            .zip(expected)
            .all(|(found, expected)| *found == expected.min(1.0 / UNIT) || *found == expected);
        ensure!(same, "channel {index}'s run, gap and samples since a fault are {fields:?}, not {expected:?}");
        report.note("level", found.channel(index, LEVEL), self.level);
        report.note("power", found.channel(index, POWER), self.power);
        Ok(())
    }
}
