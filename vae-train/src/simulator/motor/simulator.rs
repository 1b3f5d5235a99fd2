//! The simulator itself, sample by sample: `no_std` and in `f32`, so that `firmware-example` runs it on the target, with the host's bits.
//!
//! Amplitudes are in g. The model follows the textbook signatures of rotating machinery (for example Randall 2011,
//! *Vibration-based Condition Monitoring*): imbalance raises the first harmonic of the shaft, misalignment the second and
//! the axial direction, looseness brings sub- and higher harmonics, and a spalled bearing rings a resonance at each pass
//! of a ball.

use core::f32::consts::TAU;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

/// Samples a second and axis.
pub const SAMPLE_RATE: f32 = 1600.0;
/// The axes: two radial (y carries gravity), one axial.
pub const CHANNELS: [&str; 3] = ["x", "y", "z"];

/// Samples for which a fault keeps its severity.
const SECOND: u32 = SAMPLE_RATE as u32;
/// Seconds between samples, and the root of that.
const STEP: f32 = 1.0 / SAMPLE_RATE;
const ROOT_STEP: f32 = 1.0 / 40.0;
/// Passes of a ball over a defect of the outer race, per turn of the shaft.
const BALL_PASSES: f32 = 3.58;
/// Decay of the bearing's housing, per second.
const DECAY: f32 = 350.0;

/// What state the motor is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Healthy, over speeds from 20 to 45 turns a second and loads from idle to full.
    Normal,
    /// A mass on one side of the rotor.
    Imbalance,
    /// A spall on the outer race of a bearing.
    Bearing,
    /// Shafts that do not line up.
    Misalignment,
    /// A loose foot.
    Looseness,
    /// The sensor's x axis repeats the value that it had.
    StuckSensor,
}

impl Condition {
    /// The faults, in the order in which they are reported.
    pub const FAULTS: [Self; 5] =
        [Self::Imbalance, Self::Bearing, Self::Misalignment, Self::Looseness, Self::StuckSensor];

    /// The name used for files and tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Imbalance => "imbalance",
            Self::Bearing => "bearing",
            Self::Misalignment => "misalignment",
            Self::Looseness => "looseness",
            Self::StuckSensor => "stuck-sensor",
        }
    }
}

/// In what one motor of a kind differs from another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Individual {
    /// Resonance of the bearing's housing, in Hz.
    pub resonance: f32,
    /// What the sensor shows of the acceleration where it is mounted.
    pub gain: f32,
    /// Noise of the sensor and the surroundings, in g.
    pub noise: f32,
}

impl Individual {
    /// The one that stands for its kind.
    pub const TYPICAL: Self = Self { resonance: 520.0, gain: 1.0, noise: 0.03 };
}

/// A motor that runs.
#[derive(Clone, Debug)]
pub struct Motor {
    individual: Individual,
    rng: ChaCha8Rng,
    /// Samples so far.
    samples: u32,
    /// Turns a second.
    speed: f32,
    /// 0 idle, 1 full.
    load: f32,
    /// Of the shaft, in turns: 0 to 2, for half harmonics.
    angle: f32,
    /// Balls that have passed the defect.
    passes: f32,
    /// Seconds since the last of them, and how hard it hit.
    since_impact: f32,
    impact: f32,
    /// Of the fault, 0.15 to 1.
    severity: f32,
    /// What a stuck axis shows; none while it is not stuck.
    held: Option<f32>,
}

impl Motor {
    /// The typical motor: the same `seed` and `stream` let it run in the same way.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        Self::of(Individual::TYPICAL, seed, stream)
    }

    /// A motor with properties of its own: the same `seed` and `stream` let it run in the same way.
    #[must_use]
    pub fn of(individual: Individual, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self {
            individual,
            samples: 0,
            speed: rng.random_range(22.0..43.0),
            load: rng.random_range(0.1..0.9),
            angle: rng.random_range(0.0..1.0),
            passes: rng.random_range(0.0..1.0),
            since_impact: 1.0,
            impact: 0.0,
            severity: 0.5,
            held: None,
            rng,
        }
    }

    /// How long it has run.
    #[must_use]
    pub fn seconds(&self) -> f32 {
        self.samples as f32 * STEP
    }

    /// The next sample, `[x, y, z]` in g, in a condition that may change at any time.
    ///
    /// The fault's severity is drawn anew every second, between mild and marked.
    pub fn sample(&mut self, condition: Condition) -> [f32; 3] {
        let is_new_second = self.turn();
        let mut vibration = self.vibration(condition);
        if condition == Condition::Bearing {
            self.ring(&mut vibration);
        }
        let gravity = 1.0;
        let Individual { gain, noise, .. } = self.individual;
        let mut noisy = |value: f32| gain * value + noise * standard_normal(&mut self.rng);
        let [x, y, z] = vibration;
        let mut sample = [noisy(x), noisy(y - gravity), noisy(z)];
        self.held = match self.held {
            _ if condition != Condition::StuckSensor => None,
            // Renewed with the severity, so that windows with different stuck values are seen.
            Some(held) if !is_new_second => Some(held),
            _ => Some(sample[0]),
        };
        if let Some(held) = self.held {
            sample[0] = held;
        }
        sample
    }

    /// Goes on by a sample: speed and load wander within their ranges, and the shaft turns. Says whether a second begins, in which a fault is
    /// of another severity.
    fn turn(&mut self) -> bool {
        // The pull towards the middle keeps them in their ranges.
        let mut wander = |value: &mut f32, low: f32, high: f32, rate: f32| {
            let pull = ((low + high) / 2.0 - *value) * 0.15 * STEP;
            *value = (*value + pull + rate * ROOT_STEP * standard_normal(&mut self.rng)).clamp(low, high);
        };
        wander(&mut self.speed, 20.0, 45.0, 5.0);
        wander(&mut self.load, 0.0, 1.0, 0.25);
        let is_new_second = self.samples.is_multiple_of(SECOND);
        self.samples = self.samples.wrapping_add(1);
        if is_new_second {
            self.severity = self.rng.random_range(0.15..1.0);
        }
        self.angle += self.speed * STEP;
        if self.angle >= 2.0 {
            self.angle -= 2.0;
        }
        is_new_second
    }

    /// What shaft and fault shake the three axes by, in g, but for a bearing's impacts.
    fn vibration(&self, condition: Condition) -> [f32; 3] {
        let pace = self.speed / 40.0;
        let force = pace * pace;
        let harmonic = |order: f32, phase: f32| sine(order * self.angle + phase / TAU);
        let mut x = 0.25 * force * harmonic(1.0, 0.0) + 0.06 * force * harmonic(2.0, 0.4);
        let mut y = 0.22 * force * harmonic(1.0, TAU / 4.0) + 0.06 * force * harmonic(2.0, 1.9);
        let mut z = 0.08 * force * harmonic(1.0, 0.9) + (0.04 + 0.08 * self.load) * harmonic(2.0, 0.2);
        match condition {
            Condition::Normal | Condition::StuckSensor | Condition::Bearing => {}
            Condition::Imbalance => {
                x += 0.55 * self.severity * force * harmonic(1.0, 0.3);
                y += 0.50 * self.severity * force * harmonic(1.0, 0.3 + TAU / 4.0);
            }
            Condition::Misalignment => {
                z += self.severity * (0.15 + 0.35 * force) * harmonic(2.0, 1.1);
                x += 0.25 * self.severity * force * harmonic(2.0, 2.3);
            }
            Condition::Looseness => {
                for (order, share) in [(0.5, 0.6), (1.5, 0.35), (3.0, 0.5), (4.0, 0.35), (5.0, 0.3)] {
                    y += 0.3 * self.severity * share * pace * harmonic(order, order);
                    x += 0.12 * self.severity * share * pace * harmonic(order, 2.0 * order);
                }
            }
        }
        [x, y, z]
    }

    /// Adds the ringing after a ball of the bearing has hit the flaw.
    fn ring(&mut self, [x, y, z]: &mut [f32; 3]) {
        self.passes += BALL_PASSES * self.speed * STEP;
        self.since_impact += STEP;
        if self.passes >= 1.0 {
            self.passes -= 1.0;
            self.since_impact = self.passes / (BALL_PASSES * self.speed);
            self.impact = self.severity * (0.5 + 0.7 * self.load) * self.rng.random_range(0.7..1.3);
        }
        let decay = libm::expf(-DECAY * self.since_impact);
        let ring = self.impact * decay * sine(self.individual.resonance * self.since_impact);
        *x += 0.8 * ring;
        *y += ring;
        *z += 0.3 * ring;
    }
}

/// The sine of an angle in turns. In `f32` throughout: libm's computes in `f64`, which costs a Cortex-M4F a thousand instructions.
///
/// # Accuracy
/// Absolute error below 1e-6 for up to 12 turns, to which the argument's own rounding contributes most.
fn sine(turns: f32) -> f32 {
    let t = turns - libm::roundf(turns);
    // The series is for a quarter of a turn on each side of 0; the others mirror these.
    let t = if t.abs() > 0.25 { 0.5_f32.copysign(t) - t } else { t };
    // Taylor's coefficients, (2π)ⁿ / n!; the first that is left out, of t¹³, comes to 6e-8.
    let s = t * t;
    let high = 81.605_25 + s * (-76.705_86 + s * (42.058_693 - s * 15.094_643));
    t * (TAU + s * (-41.341_7 + s * high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sine_is_that_of_f64() {
        for step in -12_000..=12_000 {
            let turns = step as f32 / 1000.0 + 1e-5;
            let expected = (f64::from(turns) * std::f64::consts::TAU).sin();
            assert!((f64::from(sine(turns)) - expected).abs() < 1e-6, "{turns}: {} {expected}", sine(turns));
        }
    }
}
