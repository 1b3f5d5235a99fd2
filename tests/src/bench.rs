//! The models whose cost is measured, and the cores that it is measured on.

pub mod recipe;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSymbol};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use vae_core::{
    Activation::{self, Identity, Relu},
    format::{LikelihoodKind, Precision},
    standard_normal,
};
use vae_train::{
    file::model_file::{AlignedFile, ModelFile},
    simulator::motor::{Condition, simulate},
    weights::{dense::Dense, mixture::Mixture},
};

use crate::{can_emulate, firmware, plain_model, qemu, random_layer, root};

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
    /// Where RAM begins.
    pub ram: u32,
}

/// The cores of the table.
pub const CORES: [Core; 6] = [
    arm("Cortex-M4F", "thumbv7em-none-eabihf", "mps2-an386"),
    arm("Cortex-M7", "thumbv7em-none-eabihf", "mps2-an500"),
    // Its timer runs at 20 MHz.
    Core {
        instructions_per_tick: 50,
        ram: 0x3800_0000,
        ..arm("Cortex-M33", "thumbv8m.main-none-eabihf", "mps2-an505")
    },
    arm("Cortex-M3", "thumbv7m-none-eabi", "mps2-an385"),
    // There is no Cortex-M0 machine of this size; its code runs on the Cortex-M3, whose instruction set contains it.
    arm("Cortex-M0", "thumbv6m-none-eabi", "mps2-an385"),
    // Its counter counts instructions.
    Core { instructions_per_tick: 1, ram: 0x8040_0000, ..arm("RV32IMC", "riscv32imc-unknown-none-elf", "virt") },
];

const fn arm(name: &'static str, target: &'static str, machine: &'static str) -> Core {
    Core { name, target, machine, instructions_per_tick: 40, ram: 0x2000_0000 }
}

/// Bytes of RAM that the firmware's memory maps give.
const RAM: usize = 64 * 1024;

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
    /// Whether firmware for this core can be built and run here; says on standard error how, if not.
    #[must_use]
    pub fn can_emulate(&self) -> bool {
        can_emulate(self.target)
    }

    fn machine(&self) -> Command {
        let mut command = Command::new(qemu(self.target));
        command.args(["-machine", self.machine, "-display", "none", "-serial", "none", "-icount", "shift=0"]);
        command.args(["-semihosting-config", "enable=on,target=native"]);
        if self.target.starts_with("riscv32") {
            command.args(["-bios", "none"]);
        }
        command
    }

    /// Builds a binary of `firmware-example` for this core, with these features beside `bench`.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn build(&self, binary: &str, models: &Path, features: &[&str]) -> Result<PathBuf> {
        firmware("build", self.target, binary, &[("VAE_BENCH", models)], &[&["bench"], features].concat())?;
        Ok(root().join("firmware-example/target").join(self.target).join("release").join(binary))
    }

    /// Builds a binary, runs it in QEMU and returns what it prints.
    ///
    /// # Errors
    /// If it cannot be built, or exits with a failure.
    pub fn emulate(&self, binary: &str, models: &Path) -> Result<String> {
        self.run(binary, models, &[])
    }

    /// Instructions of front-ends for a window, by their names and the window's samples, as `firmware-example/src/bin/front_ends.rs` prints them.
    ///
    /// # Errors
    /// If the firmware cannot be built, fails in QEMU, or prints something else.
    pub fn count_front_ends(&self, models: &Path) -> Result<Vec<(String, u64)>> {
        let printed = self.run("front_ends", models, &["front-ends"])?;
        let counts = printed.lines().map(|line| {
            let (name, ticks) = line.rsplit_once(' ').with_context(|| format!("unexpected line: {line}"))?;
            Ok((name.to_owned(), ticks.parse::<u64>()? * self.instructions_per_tick))
        });
        counts.collect()
    }

    fn run(&self, binary: &str, models: &Path, features: &[&str]) -> Result<String> {
        let image = self.build(binary, models, features)?;
        let output = self.machine().args(["-monitor", "none", "-kernel"]).arg(image).output().context("no QEMU")?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{} {binary}: {printed}", self.name);
        Ok(printed)
    }

    /// Instructions of each stage of each model in the folder's pack, as `firmware-example/src/bin/bench.rs` names them. The
    /// first three have the names in [`MODELS`], others their numbers.
    ///
    /// # Errors
    /// If the firmware cannot be built, fails in QEMU, or prints something else.
    pub fn count(&self, models: &Path) -> Result<Counts> {
        let mut counts = Counts::new();
        for line in self.emulate("bench", models)?.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [model, stage, runs, ticks] = words[..] else { bail!("unexpected line: {line}") };
            let instructions = ticks.parse::<u64>()? * self.instructions_per_tick / runs.parse::<u64>()?;
            let model = MODELS.get(model.parse::<usize>()?).copied().unwrap_or(model);
            counts.entry(model.to_owned()).or_default().insert(stage.to_owned(), instructions);
        }
        Ok(counts)
    }

    /// What the least firmware that loads, self-tests and scores needs; none for a core that the runtime does not paint the
    /// stack of.
    ///
    /// # Errors
    /// If the firmware cannot be built or read, or fails in QEMU.
    pub fn footprint(&self, models: &Path) -> Result<Option<Footprint>> {
        if self.target.starts_with("riscv32") {
            return Ok(None);
        }
        let image = self.build("footprint", models, &[])?;
        let bytes = fs::read(&image)?;
        let file = object::File::parse(&bytes[..])?;
        let size = |name: &str| file.section_by_name(name).map_or(0, |section| section.size() as usize);
        let data = fs::metadata(models.join("int8.vae"))?.len() + fs::metadata(models.join("window.f32"))?.len();
        let static_ram = size(".data") + size(".bss");
        let window = mlperf_model(Precision::Int8).mean.len() * 4;
        Ok(Some(Footprint {
            code: size(".text") + size(".rodata") + size(".data") - data as usize,
            static_ram,
            stack: self.deepest_stack(&image, static_ram)? - window,
        }))
    }

    /// Runs an image that prints `worked` and waits, and finds how much of the painted stack it has used.
    fn deepest_stack(&self, image: &Path, static_ram: usize) -> Result<usize> {
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
        writeln!(monitor, "memsave {:#x} {RAM} \"{}\"\nquit", self.ram, dump.path().display())?;
        drop(monitor);
        machine.wait()?;
        ensure!(worked, "{}: the footprint's firmware failed", self.name);
        let memory = fs::read(dump.path())?;
        let words = memory.as_chunks::<4>().0;
        let untouched = words.iter().skip(static_ram.div_ceil(4)).take_while(|word| **word == PAINT).count();
        Ok(RAM - static_ram - 4 * untouched)
    }

    /// What [`unwanted_symbols`] finds in a binary of `firmware-example`, built with these features.
    ///
    /// # Errors
    /// If the binary cannot be built or read.
    pub fn unwanted_symbols(&self, binary: &str, models: &Path, features: &[&str]) -> Result<Vec<String>> {
        unwanted_symbols(&self.build(binary, models, features)?)
    }
}

/// Names in an image that must not be there: formatting, panics, f64 arithmetic, 64-bit division.
///
/// # Errors
/// If it cannot be read.
pub fn unwanted_symbols(image: &Path) -> Result<Vec<String>> {
    const UNWANTED: [&str; 3] = ["4core3fmt", "9panicking", "rust_begin_unwind"];
    // Of the compiler's support functions.
    const UNWANTED_SUPPORT: [&str; 8] = ["aeabi_d", "df2", "df3", "dfsi", "ldivmod", "divdi3", "moddi3", "divmoddi"];
    let bytes = fs::read(image)?;
    let file = object::File::parse(&bytes[..])?;
    let names = file.symbols().filter(|symbol| symbol.kind() == object::SymbolKind::Text);
    let names = names.filter_map(|symbol| symbol.name().ok().map(str::to_owned));
    let unwanted = |name: &String| {
        let contains = |list: &[&str]| list.iter().any(|unwanted| name.contains(unwanted));
        contains(&UNWANTED) || (name.starts_with("__") && contains(&UNWANTED_SUPPORT))
    };
    Ok(names.filter(unwanted).collect())
}

/// The measured model of this name, of [`MODELS`].
///
/// # Errors
/// If it cannot be read or written.
pub fn measured_model(name: &str) -> Result<AlignedFile> {
    let precision = match name {
        "int8" => Precision::Int8,
        "f32" => Precision::F32,
        _ => return AlignedFile::read(&root().join("firmware-example/model/motor.vae")),
    };
    Ok(AlignedFile::new(&mlperf_model(precision).to_bytes()?))
}

/// Instructions by model and stage.
pub type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// Instructions of the dearest score of model (a), of the windows that the firmware makes and searches to cost much.
#[must_use]
pub fn dearest(counts: &Counts) -> Option<u64> {
    let stages = counts.get(MODELS[0])?.iter();
    stages.filter(|(stage, _)| stage.starts_with("worst/")).map(|(_, instructions)| *instructions).max()
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

/// A small model of rows, 64-32-(8, 8)-32-64.
#[must_use]
pub fn rows_model(precision: Precision) -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(64);
    let mut layer = |rows, columns, activation| random_layer(&mut rng, rows, columns, activation, 2.0);
    let encoder = vec![layer(32, 64, Relu), layer(16, 32, Identity)];
    let decoder = vec![layer(32, 8, Relu), layer(64, 32, Identity)];
    ModelFile { precision, ..plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 0.5) }
}

/// The measured models, in order: (a), (b) and (c).
pub const MODELS: [&str; 3] = ["int8", "f32", "motor"];

/// Writes the measured models with their windows as one file, `models.pack`, and the first of them for the footprint:
/// `int8.vae`, `window.f32`. `more` models follow the three of the table.
///
/// # Errors
/// If a file cannot be written.
pub fn write_models(folder: &Path, more: &[ModelFile]) -> Result<()> {
    let example = root().join("firmware-example/model");
    let mut models = Vec::new();
    for file in [&mlperf_model(Precision::Int8), &mlperf_model(Precision::F32)].into_iter().chain(more) {
        models.push((file.to_bytes()?, normal_window(file)));
    }
    let motor = fs::read(example.join("motor.vae"))?;
    let features = AlignedFile::new(&motor).model()?.features();
    let mut window = simulate(Condition::Normal, 1.0, 0x7E57).into_flattened();
    window.truncate(features);
    models.insert(2, (motor, window));
    let mut pack = Vec::new();
    for (model, window) in &models {
        pack.extend(u32::try_from(model.len())?.to_le_bytes());
        pack.extend(u32::try_from(window.len())?.to_le_bytes());
        pack.extend(model);
        pack.resize(pack.len().next_multiple_of(4), 0);
        pack.extend(window.iter().flat_map(|value| value.to_le_bytes()));
    }
    fs::write(folder.join("models.pack"), pack)?;
    fs::write(folder.join("int8.vae"), &models[0].0)?;
    fs::write(folder.join("window.f32"), models[0].1.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}

/// A window as the model is standardised for.
fn normal_window(model: &ModelFile) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // The sum of twelve uniforms is nearly normal.
    let mut normal = || (0..12).map(|_| rng.random_range(-0.5..0.5f32)).sum::<f32>();
    model.mean.iter().zip(&model.scale).map(|(mean, scale)| mean + scale * normal()).collect()
}

/// Models of many shapes and activations, to fit the cost model to.
#[must_use]
pub fn varied_shapes() -> Vec<ModelFile> {
    use Activation::{LeakyRelu, Sigmoid, Silu, Softplus, Tanh};
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let activations = [Relu, Silu, Tanh, Relu, Sigmoid, Softplus, Identity, Silu, Relu, LeakyRelu(0.1), Tanh, Silu];
    let mut models = Vec::new();
    let both =
        [Precision::Int8, Precision::F32].into_iter().flat_map(|p| activations.map(|activation| (p, activation)));
    for (precision, activation) in std::iter::repeat_n(both, 3).flatten() {
        let mut width = |low: usize, high: usize| rng.random_range(low..=high);
        let (features, latent) = (width(4, 160), width(2, 12));
        let hidden: Vec<usize> = (0..width(1, 3)).map(|_| width(8, 90)).collect();
        let encoder: Vec<usize> = [features].into_iter().chain(hidden.iter().copied()).chain([2 * latent]).collect();
        let decoder: Vec<usize> = [latent].into_iter().chain(hidden.iter().rev().copied()).chain([features]).collect();
        let mut half = |widths: &[usize]| -> Vec<Dense> {
            let last = widths.len() - 2;
            let pairs = widths.windows(2).enumerate();
            let activation = |index: usize| if index == last { Identity } else { activation };
            pairs.map(|(i, pair)| random_layer(&mut rng, pair[1], pair[0], activation(i), 2.0)).collect()
        };
        let (encoder, decoder) = (half(&encoder), half(&decoder));
        // Every other one with a learned prior.
        let components = if models.len() % 2 == 0 { 0 } else { rng.random_range(1..=24) };
        let prior = (components > 0).then(|| Mixture {
            weight: vec![1.0 / components as f32; components],
            mean: (0..components * latent).map(|_| standard_normal(&mut rng)).collect(),
            deviation: (0..components * latent).map(|_| rng.random_range(0.3..1.0)).collect(),
        });
        let bare = plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 0.5);
        models.push(ModelFile { precision, prior, ..bare });
    }
    models
}
