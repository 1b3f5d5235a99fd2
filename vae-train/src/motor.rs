//! A simulated motor with a three-axis accelerometer, healthy and with the usual faults.
//!
//! Amplitudes are in g. The model follows the textbook signatures of rotating machinery (for example Randall 2011,
//! *Vibration-based Condition Monitoring*): imbalance raises the first harmonic of the shaft, misalignment the second and
//! the axial direction, looseness brings sub- and higher harmonics, and a spalled bearing rings a resonance at each pass
//! of a ball.

use std::f64::consts::TAU;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

/// Samples a second and axis.
pub const SAMPLE_RATE: f64 = 1600.0;
/// The axes: two radial (y carries gravity), one axial.
pub const CHANNELS: [&str; 3] = ["x", "y", "z"];

/// Passes of a ball over a defect of the outer race, per turn of the shaft.
const BALL_PASSES: f64 = 3.58;
/// Resonance of the bearing's housing, in Hz, and its decay, per second.
const RESONANCE: f64 = 520.0;
const DECAY: f64 = 350.0;
/// Noise of the sensor and the surroundings, in g.
const NOISE: f32 = 0.03;

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

/// `seconds` of samples `[x, y, z]` in g; the same seed gives the same samples.
///
/// The fault's severity is drawn anew every second, between mild and marked.
#[must_use]
pub fn simulate(condition: Condition, seconds: f64, seed: u64) -> Vec<[f32; 3]> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(condition as u64);
    let mut motor = Motor {
        speed: rng.random_range(22.0..43.0),
        load: rng.random_range(0.1..0.9),
        angle: rng.random_range(0.0..TAU),
        passes: rng.random_range(0.0..1.0),
        since_impact: 1.0,
        impact: 0.0,
        severity: 0.5,
        held: 0.0,
    };
    let samples = (seconds * SAMPLE_RATE) as usize;
    (0..samples).map(|index| motor.sample(condition, index, &mut rng)).collect()
}

struct Motor {
    /// Turns a second.
    speed: f64,
    /// 0 idle, 1 full.
    load: f64,
    /// Of the shaft, in radians.
    angle: f64,
    /// Balls that have passed the defect.
    passes: f64,
    /// Seconds since the last of them, and how hard it hit.
    since_impact: f64,
    impact: f64,
    /// Of the fault, 0.15 to 1.
    severity: f64,
    /// What a stuck axis shows.
    held: f32,
}

impl Motor {
    fn sample(&mut self, condition: Condition, index: usize, rng: &mut ChaCha8Rng) -> [f32; 3] {
        let step = 1.0 / SAMPLE_RATE;
        // Speed and load wander within their ranges; the pull towards the middle keeps them there.
        let mut wander = |value: &mut f64, low: f64, high: f64, rate: f64| {
            let pull = ((low + high) / 2.0 - *value) * 0.15 * step;
            *value = (*value + pull + rate * step.sqrt() * f64::from(standard_normal(rng))).clamp(low, high);
        };
        wander(&mut self.speed, 20.0, 45.0, 5.0);
        wander(&mut self.load, 0.0, 1.0, 0.25);
        if index.is_multiple_of(SAMPLE_RATE as usize) {
            self.severity = rng.random_range(0.15..1.0);
        }
        self.angle = (self.angle + TAU * self.speed * step) % (TAU * 2.0);

        let force = (self.speed / 40.0).powi(2);
        let harmonic = |order: f64, phase: f64| (order * self.angle + phase).sin();
        let mut x = 0.25 * force * harmonic(1.0, 0.0) + 0.06 * force * harmonic(2.0, 0.4);
        let mut y = 0.22 * force * harmonic(1.0, TAU / 4.0) + 0.06 * force * harmonic(2.0, 1.9);
        let mut z = 0.08 * force * harmonic(1.0, 0.9) + (0.04 + 0.08 * self.load) * harmonic(2.0, 0.2);
        match condition {
            Condition::Normal | Condition::StuckSensor => {}
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
                    y += 0.3 * self.severity * share * force.sqrt() * harmonic(order, order);
                    x += 0.12 * self.severity * share * force.sqrt() * harmonic(order, 2.0 * order);
                }
            }
            Condition::Bearing => {
                self.passes += BALL_PASSES * self.speed * step;
                self.since_impact += step;
                if self.passes >= 1.0 {
                    self.passes -= 1.0;
                    self.since_impact = self.passes / (BALL_PASSES * self.speed);
                    self.impact = self.severity * (0.5 + 0.7 * self.load) * rng.random_range(0.7..1.3);
                }
                let ring =
                    self.impact * (-DECAY * self.since_impact).exp() * (TAU * RESONANCE * self.since_impact).sin();
                x += 0.8 * ring;
                y += ring;
                z += 0.3 * ring;
            }
        }
        let gravity = 1.0;
        let mut noisy = |value: f64| value as f32 + NOISE * standard_normal(rng);
        let mut sample = [noisy(x), noisy(y - gravity), noisy(z)];
        if condition == Condition::StuckSensor {
            // The value is renewed with the severity, so that windows with different stuck values are seen.
            if index.is_multiple_of(SAMPLE_RATE as usize) {
                self.held = sample[0];
            }
            sample[0] = self.held;
        }
        sample
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Variance of an axis, in g².
    fn power(samples: &[[f32; 3]], axis: usize) -> f64 {
        let mean = samples.iter().map(|s| f64::from(s[axis])).sum::<f64>() / samples.len() as f64;
        samples.iter().map(|s| (f64::from(s[axis]) - mean).powi(2)).sum::<f64>() / samples.len() as f64
    }

    #[test]
    fn the_same_seed_gives_the_same_samples_and_another_does_not() {
        let one = simulate(Condition::Bearing, 0.1, 1);
        assert_eq!(one.len(), 160);
        assert_eq!(one, simulate(Condition::Bearing, 0.1, 1));
        assert_ne!(one, simulate(Condition::Bearing, 0.1, 2));
    }

    #[test]
    fn each_fault_shows_where_the_textbook_says() {
        let normal = simulate(Condition::Normal, 30.0, 3);
        let gravity = normal.iter().map(|s| f64::from(s[1])).sum::<f64>() / normal.len() as f64;
        assert!((gravity + 1.0).abs() < 0.02, "{gravity}");
        let ratio = |condition, axis| power(&simulate(condition, 30.0, 3), axis) / power(&normal, axis);
        assert!(ratio(Condition::Imbalance, 0) > 2.0 && ratio(Condition::Imbalance, 2) < 1.5);
        assert!(ratio(Condition::Misalignment, 2) > 2.0);
        assert!(ratio(Condition::Looseness, 1) > ratio(Condition::Looseness, 0));
        assert!(ratio(Condition::Bearing, 1) > 1.2);
        let stuck = simulate(Condition::StuckSensor, 1.0, 3);
        assert!(stuck.iter().all(|s| s[0] == stuck[0][0]) && power(&stuck, 1) > 0.0);
    }
}
