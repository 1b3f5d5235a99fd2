//! A plant: eight sensors that follow two loads, a row a second, for as many rows as are asked for.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

/// Number of sensors.
pub const SENSORS: usize = 8;

/// How much of a load is left in the next row: it changes within minutes.
const REMAINS: f64 = 0.99;
/// Standard deviation of a sensor's noise; its signal's is about 1.
const NOISE: f64 = 0.1;

/// The plant, row by row; the same seed gives the same rows.
#[derive(Clone, Debug)]
pub struct Plant {
    rng: ChaCha8Rng,
    loads: [f64; 2],
}

impl Plant {
    /// One that has just been started.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), loads: [0.0; 2] }
    }

    /// The next row: what each sensor shows, in its own unit, about `100·(1 + i)` for sensor i.
    pub fn row(&mut self) -> [f32; SENSORS] {
        for load in &mut self.loads {
            let step = (1.0 - REMAINS * REMAINS).sqrt();
            *load = REMAINS * *load + step * f64::from(standard_normal(&mut self.rng));
        }
        std::array::from_fn(|sensor| {
            let angle = sensor as f64;
            let signal = libm::cos(angle) * self.loads[0] + libm::sin(angle) * self.loads[1];
            let noise = NOISE * f64::from(standard_normal(&mut self.rng));
            // To a thousandth, as a logger writes it.
            let shown = 100.0 * (1.0 + sensor as f64) + signal + noise;
            ((1000.0 * shown).round() / 1000.0) as f32
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_follow_two_loads() {
        let mut plant = Plant::new(4);
        let rows: Vec<[f64; SENSORS]> = (0..200_000)
            .map(|_| {
                let row = plant.row();
                std::array::from_fn(|sensor| f64::from(row[sensor]) - 100.0 * (1.0 + sensor as f64))
            })
            .collect();
        let mean = |of: &dyn Fn(&[f64; SENSORS]) -> f64| rows.iter().map(of).sum::<f64>() / rows.len() as f64;
        for sensor in 0..SENSORS {
            // 200,000 rows of a memory of 100 are some 1,000 independent ones: σ/√1000 for the mean, and a twentieth for the variance.
            assert!(mean(&|row| row[sensor]).abs() < 0.2);
            assert!((mean(&|row| row[sensor] * row[sensor]) / (1.0 + NOISE * NOISE) - 1.0).abs() < 0.25);
        }
        // cos(a) cos(b) + sin(a) sin(b), within three standard errors.
        let together = mean(&|row| row[0] * row[3]);
        assert!((together - libm::cos(3.0)).abs() < 0.25, "{together}");
        assert_eq!(Plant::new(1).row(), Plant::new(1).row());
        assert_ne!(Plant::new(1).row(), Plant::new(2).row());
    }
}
