//! The models whose cost is measured, and the cores that it is measured on.

use std::{fs, path::Path};

use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation::{Identity, Relu},
    format::{LikelihoodKind, Precision},
};
use vae_train::model_file::{Dense, ModelFile};

use crate::{emulate, plain_model, random_layer, root};

/// An emulated core.
#[derive(Debug)]
pub struct Core {
    /// As the tables name it.
    pub name: &'static str,
    /// Rust target that it is built for.
    pub target: &'static str,
    /// QEMU's machine.
    pub machine: &'static str,
    /// Instructions (nanoseconds of virtual time) between two ticks of the machine's timer.
    pub instructions_per_tick: u64,
}

/// The cores of the table.
pub const CORES: [Core; 3] = [
    Core { name: "Cortex-M4F", target: "thumbv7em-none-eabihf", machine: "mps2-an386", instructions_per_tick: 40 },
    Core { name: "Cortex-M3", target: "thumbv7m-none-eabi", machine: "mps2-an385", instructions_per_tick: 40 },
    Core { name: "Cortex-M0", target: "thumbv6m-none-eabi", machine: "mps2-an385", instructions_per_tick: 40 },
];

impl Core {
    /// Builds a binary of `firmware-example` for this core, runs it in QEMU and returns what it prints.
    ///
    /// # Errors
    /// If it cannot be built, or exits with a failure.
    pub fn emulate(&self, binary: &str, environment: &[(&str, &Path)], features: &[&str]) -> Result<String> {
        emulate(self.target, binary, environment, features)
    }
}

/// The anomaly-detection network of MLPerf Tiny as a VAE, with seeded random weights.
#[must_use]
pub fn mlperf_model(precision: Precision) -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(640);
    let mut layers = |widths: &[usize]| -> Vec<Dense> {
        let last = widths.len() - 2;
        widths
            .windows(2)
            .enumerate()
            .map(|(index, pair)| {
                let activation = if index == last { Identity } else { Relu };
                // √6: He's initialisation, which keeps the size of activations from layer to layer.
                random_layer(&mut rng, pair[1], pair[0], activation, 6f32.sqrt())
            })
            .collect()
    };
    let encoder = layers(&[640, 128, 128, 128, 128, 16]);
    let decoder = layers(&[8, 128, 128, 128, 128, 640]);
    let mut vary = |low: f32, high: f32| (0..640).map(|_| rng.random_range(low..high)).collect::<Vec<f32>>();
    let (mean, scale, variance) = (vary(-3.0, 3.0), vary(0.5, 2.0), vary(0.2, 1.5));
    ModelFile {
        precision,
        mean,
        scale,
        variance,
        golden_inputs: vec![vary(-2.0, 2.0)],
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 1.0)
    }
}

/// Writes the measured models and their windows: `int8.vae`, `f32.vae` and `window.f32`, `motor.vae` and `motor.f32`.
///
/// # Errors
/// If a file cannot be written.
pub fn write_models(folder: &Path) -> Result<()> {
    for (name, precision) in [("int8.vae", Precision::Int8), ("f32.vae", Precision::F32)] {
        fs::write(folder.join(name), mlperf_model(precision).to_bytes()?)?;
    }
    let model = mlperf_model(Precision::F32);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let window = model.mean.iter().zip(&model.scale).map(|(mean, scale)| {
        // The sum of twelve uniforms is nearly normal.
        let normal: f32 = (0..12).map(|_| rng.random_range(-0.5..0.5f32)).sum();
        mean + scale * normal
    });
    fs::write(folder.join("window.f32"), window.flat_map(f32::to_le_bytes).collect::<Vec<u8>>())?;
    let example = root().join("firmware-example/model");
    fs::copy(example.join("motor.vae"), folder.join("motor.vae"))?;
    fs::copy(example.join("stream.f32"), folder.join("motor.f32"))?;
    Ok(())
}
