//! The detector alone, on samples that are in memory: what a query's CPU time is compared with.
//!
//! `cargo run --release --example detector -- MODEL ROWS PASSES`: simulates so many rows of a motor and judges them so many times. The difference of
//! the CPU times with one pass and with two is the detector's.
#![expect(clippy::disallowed_macros, reason = "a measurement")]

use std::{env, error::Error, path::Path};

use vae_core::{Detector, Scratch};
use vae_fleet::model;

#[path = "../../src/simulator/motor/simulator.rs"]
#[allow(dead_code, unreachable_pub, reason = "the trainer's, which needs more of it")]
mod motor;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, rows, passes] = &arguments[..] else {
        return Err("give a model, a number of rows and a number of passes".into());
    };
    let mut motor = motor::Motor::new(0, 0);
    let samples: Vec<[f32; 3]> = (0..rows.parse::<usize>()?).map(|_| motor.sample(motor::Condition::Normal)).collect();
    let loaded = model::open(Path::new(path))?;
    let model = loaded.model()?;
    let mut windows = 0;
    for _ in 0..passes.parse::<usize>()? {
        let (mut window, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let mut detector = Detector::over(model, &mut window, &mut state)?;
        for sample in &samples {
            windows += usize::from(detector.push(sample, &mut scratch)?.is_some());
        }
    }
    println!("{windows} windows");
    Ok(())
}
