//! What a detector remembers of each channel: whether its sensor is to be believed, and whether it drifts.

use crate::{
    arithmetic::number::{clamp, held},
    calibration::{
        Calibration,
        channel::{ChannelCalibration, Location, REACH},
    },
    detector::verdict::SensorFaultKind,
};

/// `f32`s of a detector's state for each channel.
pub(crate) const CHANNEL_STATE: usize = 14;

/// A run longer than this many times the longest of the normal data (and as many samples) is a fault by itself.
const CERTAINLY: f32 = 4.0;

/// Successive samples without a value that are always borne.
const BORNE: f32 = 3.0;

/// Less than that of any hop but one whose values are all the mean.
const NO_POWER: f32 = f32::MIN_POSITIVE;

/// A difference of powers is not known where it is less than this share of them.
const CANCELLED: f32 = 1e-5;

/// A channel's state, in the caller's buffer.
pub(crate) struct Channel<'s> {
    /// The last value.
    last: &'s mut f32,
    /// How many successive samples had it.
    run: &'s mut f32,
    /// How many successive samples had no value.
    gap: &'s mut f32,
    /// The last fault, by its code.
    fault: &'s mut f32,
    /// Samples since.
    since_fault: &'s mut f32,
    /// Of the samples since the last window: distances from the mean, their squares, and their number.
    sum: &'s mut f32,
    squares: &'s mut f32,
    count: &'s mut f32,
    /// What slowly follows the hops' means, as a distance from where they ordinarily lie, and their powers, in units of the calibration's.
    /// While a baseline is made, averages of the means' distance from the calibration's mean, and of the powers.
    pub(crate) shift: &'s mut f32,
    pub(crate) power: &'s mut f32,
    /// The baseline: subtracted from a value, and what then multiplies its distance from the calibration's mean.
    pub(crate) offset: &'s mut f32,
    pub(crate) gain: &'s mut f32,
    /// The power that is ordinary on this baseline, in units of the calibration's; while a baseline is made, the greatest so far.
    pub(crate) ordinary_power: &'s mut f32,
    /// What its features cost in the window, while that is being added up; while a baseline is made, the mean beside the greatest power.
    pub(crate) nats: &'s mut f32,
}

impl<'s> Channel<'s> {
    #[inline(always)]
    pub(crate) fn new(state: &'s mut [f32; CHANNEL_STATE]) -> Self {
        let [last, run, gap, fault, since_fault, sum, squares, count, shift, power, offset, gain, ordinary_power, nats] =
            state;
        Self {
            last,
            run,
            gap,
            fault,
            since_fault,
            sum,
            squares,
            count,
            shift,
            power,
            offset,
            gain,
            ordinary_power,
            nats,
        }
    }

    /// A sensor of which nothing is known yet, on the calibration's baseline.
    pub(crate) fn reset(&mut self, normal: &ChannelCalibration) {
        (*self.offset, *self.gain, *self.ordinary_power) = (0.0, 1.0, 1.0);
        self.forget_drift(normal);
        self.forget_samples();
    }

    pub(crate) fn forget_drift(&mut self, normal: &ChannelCalibration) {
        // An infinite power would stay so, and what remembers it would be no snapshot.
        (*self.shift, *self.power) = (0.0, held(f32::MAX, normal.strength.centre * *self.ordinary_power));
    }

    /// As after a gap in the stream.
    pub(crate) fn forget_samples(&mut self) {
        (*self.last, *self.run, *self.gap) = (f32::NAN, 0.0, 0.0);
        (*self.fault, *self.since_fault) = (0.0, f32::MAX);
        self.forget_hop();
    }

    pub(crate) fn forget_hop(&mut self) {
        (*self.sum, *self.squares, *self.count) = (0.0, 0.0, 0.0);
    }

    /// Takes a sample; returns what the model is to see of it: on the calibration's baseline if values have levels, as it is if not, and
    /// NaN for what is no number. `window` is its samples.
    #[inline(always)]
    pub(crate) fn push(&mut self, value: f32, normal: &ChannelCalibration, window: f32, has_levels: bool) -> f32 {
        *self.since_fault += 1.0;
        *self.gap = if value.is_nan() { *self.gap + 1.0 } else { 0.0 };
        *self.run = if value == *self.last { *self.run + 1.0 } else { 1.0 };
        *self.last = value;
        let (low, high) = normal.range;
        let fault = if value < low || value > high || value.is_infinite() {
            Some(SensorFaultKind::OutOfRange)
        } else if *self.gap > BORNE && *self.gap > normal.longest_gap.max(0.25 * window) {
            Some(SensorFaultKind::Missing)
        } else if self.is_suspicious(normal) && (value == low || value == high) {
            Some(SensorFaultKind::Saturated)
        } else if *self.run > CERTAINLY * (normal.longest_run + 1.0) {
            Some(SensorFaultKind::Stuck)
        } else {
            None
        };
        if let Some(fault) = fault {
            (*self.fault, *self.since_fault) = (fault as u8 as f32, 0.0);
        }
        if !value.is_finite() {
            return f32::NAN;
        }
        let (offset, gain) = (*self.offset, *self.gain);
        // A sensor on the calibration's baseline is seen as it is, bit for bit.
        let seen =
            if offset == 0.0 && gain == 1.0 { value } else { normal.mean + gain * (value - normal.mean - offset) };
        let distance = seen - normal.mean;
        *self.sum += distance;
        *self.squares += distance * distance;
        *self.count += 1.0;
        // Only an infinite sample is refused, and not one that the baseline makes so.
        if has_levels { clamp(seen, (f32::MIN, f32::MAX)) } else { value }
    }

    /// The fault that a window of so many samples, up to the last one, contains.
    pub(crate) fn fault(&self, window: f32) -> Option<SensorFaultKind> {
        if *self.since_fault >= window {
            return None;
        }
        [SensorFaultKind::Missing, SensorFaultKind::Stuck, SensorFaultKind::Saturated, SensorFaultKind::OutOfRange]
            .into_iter()
            .find(|kind| *kind as u8 as f32 == *self.fault)
    }

    /// Whether the last value has been repeated more often than in normal data: reason enough not to call a window that is
    /// unlikely the machine's fault.
    pub(crate) fn is_suspicious(&self, normal: &ChannelCalibration) -> bool {
        *self.run > normal.longest_run
    }

    /// Mean and power of the samples since the last window, which are then forgotten. Without samples there is no mean; and one that
    /// f32 cannot square would blind the averages for long.
    fn take_hop(&mut self, normal: &ChannelCalibration) -> Option<(f32, f32)> {
        let (mean, power) = (*self.sum / *self.count, *self.squares / *self.count / normal.power);
        self.forget_hop();
        (mean.is_finite() && power.is_finite()).then_some((mean, power))
    }

    fn add(&mut self, weight: f32, mean: f32, power: f32) {
        *self.shift = held(*self.shift, *self.shift + weight * (mean - *self.shift));
        *self.power = held(*self.power, *self.power + weight * (power - *self.power));
    }

    /// Lets what follows the samples since the last window take a step towards them.
    pub(crate) fn follow(&mut self, memory: f32, normal: &ChannelCalibration) {
        let Some((mean, power)) = self.take_hop(normal) else { return };
        let step = |from: f32, to: f32, normal: &Location| {
            let most = REACH * normal.spread;
            held(from, from + clamp(to - from, (-most, most)) / memory)
        };
        *self.shift = step(*self.shift, mean - normal.level.centre, &normal.level);
        *self.power = step(*self.power, power, &normal.strength);
    }

    /// How far its level and its power are off, in units of their limits, if these are `width` times as wide as the calibration's.
    pub(crate) fn drift(&self, normal: &ChannelCalibration, width: f32) -> [f32; 2] {
        let level = self.shift.abs() / normal.level.limit;
        [level, (self.factor(normal) - 1.0).abs() / normal.strength.limit].map(|extent| extent / width)
    }

    /// What follows its power, in units of what is ordinary on this baseline.
    pub(crate) fn factor(&self, normal: &ChannelCalibration) -> f32 {
        *self.power / (*self.ordinary_power * normal.strength.centre)
    }

    /// Averages the samples since the last window into a new baseline, as the `count`th: all but the most powerful of them, so that one
    /// absurd value among them is as if it had not been. That one is kept where nothing else is while a baseline is made.
    pub(crate) fn measure(&mut self, count: u32, normal: &ChannelCalibration) {
        let Some((mean, power)) = self.take_hop(normal) else { return };
        let kept = (*self.nats, *self.ordinary_power);
        let (mean, power) = if power > kept.1 {
            (*self.nats, *self.ordinary_power) = (mean, power);
            if kept.1 == NO_POWER {
                return;
            }
            kept
        } else {
            (mean, power)
        };
        self.add(1.0 / count.saturating_sub(1).max(1) as f32, mean, power);
    }

    /// Makes room for what [`Self::measure`] keeps; until it keeps something, all that was averaged is nothing.
    pub(crate) fn begin_measuring(&mut self) {
        (*self.ordinary_power, *self.power) = (NO_POWER, 0.0);
    }

    /// Whether a detector can have left this behind.
    pub(crate) fn is_sound(&self) -> bool {
        [&*self.shift, self.power, self.offset].iter().all(|value| value.is_finite())
            && [&*self.gain, self.ordinary_power].iter().all(|value| value.is_finite() && **value > 0.0)
    }

    /// Makes what has been averaged the baseline. The scale is changed only where the power has left its limits: that of a machine that
    /// works now harder and now less is not known well enough from a few windows.
    pub(crate) fn rebase(&mut self, normal: &ChannelCalibration, width: f32) {
        *self.offset = *self.shift;
        *self.ordinary_power = 1.0;
        // About the new mean, in units of that about the old one.
        let square = *self.shift * *self.shift / normal.power;
        let power = *self.power - square;
        // Of a shift of hundreds of deviations, the difference is rounding.
        if power > CANCELLED * square {
            if (power - 1.0).abs() > width * normal.strength.limit {
                *self.gain = 1.0 / libm::sqrtf(power);
            } else {
                *self.ordinary_power = power;
            }
        }
        self.forget_drift(normal);
    }
}

/// The channels that a detector's state begins with, each with how it behaves in normal data.
pub(crate) fn channels<'s>(
    state: &'s mut [f32],
    calibration: &Calibration<'s>,
    count: usize,
) -> impl Iterator<Item = (Channel<'s>, ChannelCalibration)> {
    let known = calibration.known_channels().iter().map(ChannelCalibration::new);
    let of_nats = |nats: &f32| ChannelCalibration { nats: *nats, ..ChannelCalibration::UNKNOWN };
    let normal =
        known.chain(calibration.nats().iter().map(of_nats)).chain(core::iter::repeat(ChannelCalibration::UNKNOWN));
    state.as_chunks_mut().0.iter_mut().take(count).map(Channel::new).zip(normal)
}

/// Takes a sample of one of these channels, as [`Channel::push`] does; as it is for one that there is not. This runs for each sample: what it does
/// not use is not copied.
#[inline(never)]
pub(crate) fn push(
    state: &mut [f32],
    calibration: &Calibration<'_>,
    index: usize,
    value: f32,
    window: f32,
    has_levels: bool,
) -> f32 {
    let Some(state) = state.as_chunks_mut().0.get_mut(index) else { return value };
    let normal = calibration.known_channels().get(index).map_or(ChannelCalibration::UNKNOWN, ChannelCalibration::new);
    Channel::new(state).push(value, &normal, window, has_levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_that_f32_cannot_multiply_is_remembered_as_a_finite_one() {
        let strength = Location { centre: f32::MAX, spread: 0.6, limit: 0.7 };
        let normal = ChannelCalibration { strength, ..ChannelCalibration::UNKNOWN };
        let mut state = [0.0; CHANNEL_STATE];
        let mut channel = Channel::new(&mut state);
        channel.reset(&normal);
        channel.begin_measuring();
        for done in 1..5 {
            for value in [-1.5, 1.5] {
                channel.push(value, &normal, 1.0, true);
            }
            channel.measure(done, &normal);
        }
        channel.rebase(&normal, f32::INFINITY);
        assert_eq!(*channel.ordinary_power, 2.25);
        assert!(channel.is_sound(), "{}", *channel.power);
    }
}
