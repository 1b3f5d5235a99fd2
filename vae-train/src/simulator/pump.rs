//! A simulated pump whose logger writes a row a second: the slow counterpart of the [motor](crate::simulator::motor).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

/// The columns of [`Pump::row`].
pub const COLUMNS: [&str; 4] = ["flow_l_min", "pressure_bar", "current_a", "temperature_c"];

/// A centrifugal pump in a circuit: its operator changes the speed every few minutes; flow and pressure lie where the pump's curve meets
/// the circuit's, the motor's current follows the hydraulic power, and the bearing's temperature the losses, slowly.
#[derive(Debug)]
pub struct Pump {
    rng: ChaCha8Rng,
    second: u32,
    set_point: f32,
    speed: f32,
    temperature: f32,
    ambient: f32,
}

impl Pump {
    /// A pump that has run for a while; the same seed gives the same rows.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            second: 0,
            set_point: 0.8,
            speed: 0.8,
            temperature: 42.0,
            ambient: 21.0,
        }
    }

    /// The next second's values; `clogged` is how far the filter is, from 0 (clean) to 1 (the circuit resists twice as much).
    pub fn row(&mut self, clogged: f32) -> [f32; 4] {
        if self.second.is_multiple_of(240) && self.rng.random_bool(0.4) {
            self.set_point = self.rng.random_range(0.65..=1.0);
        }
        self.second += 1;
        let mut noise = |deviation: f32| deviation * standard_normal(&mut self.rng);
        self.speed += (self.set_point - self.speed) / 8.0 + noise(0.001);
        self.ambient += (21.0 - self.ambient) / 3600.0 + noise(0.01);
        // Heads in bar, flows in l/min: pump 6 s² − 1.6 q², circuit 0.4 + 2.4 q², with q in units of 120 l/min.
        let resistance = 2.4 * (1.0 + clogged);
        let flow = ((6.0 * self.speed * self.speed - 0.4).max(0.0) / (1.6 + resistance)).sqrt();
        let pressure = 0.4 + resistance * flow * flow;
        let current = 1.8 + 2.2 * self.speed.powi(3) + 0.9 * pressure * flow;
        self.temperature += (self.ambient + 3.4 * current - self.temperature) / 900.0;
        [
            120.0 * flow + noise(0.8),
            pressure + noise(0.03),
            current + noise(0.05),
            (10.0 * (self.temperature + noise(0.1))).round() / 10.0,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clogged_filter_costs_flow_and_raises_the_pressure() {
        let mean = |clogged: f32| {
            let mut pump = Pump::new(1);
            let rows: Vec<[f32; 4]> = (0..10_000).map(|_| pump.row(clogged)).collect();
            [0, 1, 2, 3].map(|column| rows.iter().map(|row| row[column]).sum::<f32>() / rows.len() as f32)
        };
        let (clean, clogged) = (mean(0.0), mean(1.0));
        assert!(clogged[0] < 0.9 * clean[0] && clogged[1] > 1.1 * clean[1], "{clean:?} {clogged:?}");
        assert!((30.0..60.0).contains(&clean[3]), "{clean:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_rows() {
        let rows = |seed| {
            let mut pump = Pump::new(seed);
            [(); 100].map(|()| pump.row(0.0))
        };
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
    }
}
