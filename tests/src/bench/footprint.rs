//! What firmware takes of flash and RAM, on cores that are emulated.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vae_core::{
    Activation::{Identity, Relu},
    Tail,
    format::{LikelihoodKind, Precision},
};
use vae_train::file::{calibration::CalibrationRecord, model_file::ModelFile};

use crate::{
    ORDINARY_CHANNEL,
    bench::{Core, mlperf_model},
    plain_model, random_layer,
};

/// Bytes of RAM that the firmware's memory maps give.
const RAM: usize = 64 * 1024;
/// Bytes of RAM that `memory/smallest.x` gives.
const SMALLEST_RAM: usize = 2 * 1024;

/// What an image takes, without its vector table.
struct Sections {
    /// Code, constants and what is copied to RAM.
    flash: usize,
    /// What has a fixed address in RAM.
    static_ram: usize,
}

impl Sections {
    fn of(image: &Path) -> Result<Self> {
        let bytes = fs::read(image)?;
        let file = object::File::parse(&bytes[..])?;
        let size = |name: &str| file.section_by_name(name).map_or(0, |section| section.size() as usize);
        Ok(Self { flash: size(".text") + size(".rodata") + size(".data"), static_ram: size(".data") + size(".bss") })
    }
}

/// [`Footprint`] of the same firmware, built with less and less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Footprints {
    /// With all that `vae-core` has by default, a model that is loaded at run time.
    pub whole: Footprint,
    /// Without the Cargo features that model (a) does not need.
    pub least: Footprint,
    /// And with a model that is built in, so that the compiler verifies it.
    pub built_in: Footprint,
}

/// What a core's firmware needs to load, self-test and score model (a).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Footprint {
    /// Bytes of code and constants, without the model, its window and the vector table.
    pub code: usize,
    /// Bytes of RAM with a fixed address.
    pub static_ram: usize,
    /// Bytes of stack at its deepest, with the scratch but without the window.
    pub stack: usize,
}

impl Core {
    /// Whether the runtime paints the stack, so that its depth shows.
    #[must_use]
    pub fn paints_stack(&self) -> bool {
        !self.target.starts_with("riscv32")
    }

    /// What the firmware that loads, self-tests and scores needs, built with less and less; none for a core that the runtime does not paint the
    /// stack of.
    ///
    /// # Errors
    /// If the firmware cannot be built or read, or fails in QEMU.
    pub fn footprint(&self, models: &Path) -> Result<Option<Footprints>> {
        if !self.paints_stack() {
            return Ok(None);
        }
        // One after the other: they have the same name.
        Ok(Some(Footprints {
            whole: self.footprint_of(&self.build("footprint", models, &[])?, models)?,
            least: self.footprint_of(&self.build_least("footprint", models, &["bench"])?, models)?,
            built_in: self.footprint_of(&self.build_least("footprint", models, &["bench", "built-in"])?, models)?,
        }))
    }

    fn footprint_of(&self, image: &Path, models: &Path) -> Result<Footprint> {
        let data = fs::metadata(models.join("int8.vae"))?.len() + fs::metadata(models.join("window.f32"))?.len();
        let Sections { flash, static_ram } = Sections::of(image)?;
        let window = mlperf_model(Precision::Int8).mean.len() * 4;
        Ok(Footprint {
            code: flash - data as usize,
            static_ram,
            stack: self.deepest_stack(image, static_ram, RAM)? - window,
        })
    }

    /// Bytes of flash and of RAM, all of both, that the detector of `firmware-example/src/bin/smallest.rs` takes.
    ///
    /// # Errors
    /// If the firmware cannot be built, as where it does not fit its memory map, or read, or fails in QEMU.
    pub fn smallest(&self, models: &Path) -> Result<(usize, usize)> {
        let image = self.build_least("smallest", models, &["smallest"])?;
        let Sections { flash, static_ram } = Sections::of(&image)?;
        let bytes = fs::read(&image)?;
        let vectors = object::File::parse(&bytes[..])?.section_by_name(".vector_table").map_or(0, |table| table.size());
        Ok((flash + vectors as usize, static_ram + self.deepest_stack(&image, static_ram, SMALLEST_RAM)?))
    }

    /// Runs an image that prints `worked` and waits, and finds how much of the painted stack it has used, of so many bytes of RAM.
    fn deepest_stack(&self, image: &Path, static_ram: usize, ram: usize) -> Result<usize> {
        const PAINT: [u8; 4] = 0xCCCC_CCCCu32.to_le_bytes();
        let dump = tempfile::NamedTempFile::new()?;
        let mut machine = self
            .machine()
            .args(["-monitor", "stdio", "-kernel"])
            .arg(image)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("no QEMU")?;
        let (Some(mut monitor), Some(printed)) = (machine.stdin.take(), machine.stdout.take()) else {
            bail!("QEMU has no standard streams");
        };
        let worked = BufReader::new(printed).lines().map_while(Result::ok).any(|line| line.contains("worked"));
        writeln!(monitor, "memsave {:#x} {ram} \"{}\"\nquit", self.ram, dump.path().display())?;
        drop(monitor);
        machine.wait()?;
        ensure!(worked, "{}: the footprint's firmware failed", self.name);
        let memory = fs::read(dump.path())?;
        let words = memory.as_chunks::<4>().0;
        let untouched = words.iter().skip(static_ram.div_ceil(4)).take_while(|word| **word == PAINT).count();
        Ok(ram - static_ram - 4 * untouched)
    }
}

/// A detector's model of twelve features, small enough for the smallest parts, with a threshold that its own likely windows are far above.
#[must_use]
pub fn smallest_model() -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let mut layer = |rows, columns, activation| random_layer(&mut rng, rows, columns, activation, 2.0);
    let encoder = vec![layer(12, 12, Relu), layer(4, 12, Identity)];
    let decoder = vec![layer(12, 2, Relu), layer(12, 12, Identity)];
    let tail = Tail { start: 1e4, rate: 0.02, scale: 4.0, shape: 0.5, base: 1.0 };
    ModelFile {
        precision: Precision::Int8,
        golden_inputs: vec![vec![0.5; 12]; 2],
        calibration: CalibrationRecord {
            quantiles: vec![-1e4, -100.0, -10.0, 0.0],
            scores: 100,
            threshold: -1e4,
            votes: (2, 3),
            tail,
            alarms: tail,
            channels: vec![ORDINARY_CHANNEL; 12],
            ..CalibrationRecord::default()
        },
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 0.5)
    }
}

/// Writes the smallest model and a recording for it, four normal rows and four that are not: `smallest.vae`, `smallest.i16`.
///
/// # Errors
/// If a file cannot be written.
pub fn write_smallest(folder: &Path) -> Result<()> {
    fs::write(folder.join("smallest.vae"), smallest_model().to_bytes()?)?;
    let rows = [[1i16; 12], [0; 12], [-1; 12], [0; 12], [500; 12], [-500; 12], [400; 12], [900; 12]];
    fs::write(
        folder.join("smallest.i16"),
        rows.as_flattened().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>(),
    )?;
    Ok(())
}
