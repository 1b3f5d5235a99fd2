//! A simulated motor with a three-axis accelerometer, healthy and with the usual faults.

mod simulator;

pub use simulator::{CHANNELS, Condition, Individual, Motor, SAMPLE_RATE};

/// `seconds` of samples `[x, y, z]` in g; the same seed gives the same samples.
#[must_use]
pub fn simulate(condition: Condition, seconds: f64, seed: u64) -> Vec<[f32; 3]> {
    // Another stream for each condition: recordings of one seed do not share their noise.
    let mut motor = Motor::new(seed, condition as u64);
    let samples = (seconds * f64::from(SAMPLE_RATE)) as usize;
    (0..samples).map(|_| motor.sample(condition)).collect()
}

/// One motor that goes through conditions, each for some seconds: its samples `[x, y, z]` in g, condition by condition; the same
/// seed gives the same samples.
#[must_use]
pub fn simulate_course(course: &[(Condition, f64)], seed: u64) -> Vec<(Condition, Vec<[f32; 3]>)> {
    // Another stream than those of the conditions alone.
    let mut motor = Motor::new(seed, 1 + Condition::FAULTS.len() as u64);
    let part = |(condition, seconds): &(Condition, f64)| {
        let samples = (seconds * f64::from(SAMPLE_RATE)) as usize;
        (*condition, (0..samples).map(|_| motor.sample(*condition)).collect())
    };
    course.iter().map(part).collect()
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
    fn a_course_is_one_motor_that_goes_on() {
        let course = [(Condition::Normal, 0.5), (Condition::Bearing, 0.25), (Condition::Normal, 0.25)];
        let parts = simulate_course(&course, 1);
        assert_eq!(parts.iter().map(|(_, samples)| samples.len()).collect::<Vec<_>>(), [800, 400, 400]);
        // The same motor, told the same at the same times.
        let mut motor = Motor::new(1, 6);
        let expected: Vec<[f32; 3]> = (0..1600)
            .map(|sample| {
                motor.sample(if (800..1200).contains(&sample) { Condition::Bearing } else { Condition::Normal })
            })
            .collect();
        assert_eq!(parts.into_iter().flat_map(|(_, samples)| samples).collect::<Vec<_>>(), expected);
        let alone = [Condition::Normal].into_iter().chain(Condition::FAULTS);
        assert!(alone.map(|condition| simulate(condition, 0.1, 1)).all(|samples| samples[..] != expected[..160]));
    }

    #[test]
    fn individuals_differ_in_gain_noise_and_where_their_bearing_rings() {
        let samples = |individual, condition| {
            let mut motor = Motor::of(individual, 1, 0);
            (0..1600).map(|_| motor.sample(condition)).collect::<Vec<_>>()
        };
        let typical = Individual::TYPICAL;
        for condition in [Condition::Normal, Condition::Bearing] {
            // Twice is exact in binary arithmetic.
            let loud = Individual { gain: 2.0, noise: 2.0 * typical.noise, ..typical };
            let expected: Vec<_> =
                samples(typical, condition).into_iter().map(|sample| sample.map(|value| 2.0 * value)).collect();
            assert_eq!(samples(loud, condition), expected);
            let lower = Individual { resonance: 400.0, ..typical };
            assert_eq!(samples(lower, condition) == samples(typical, condition), condition == Condition::Normal);
        }
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
