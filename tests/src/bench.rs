//! The models whose cost is measured, and the cores that it is measured on.

pub mod cycles;
pub mod footprint;
pub mod recipe;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSymbol};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation::{self, Identity, Relu},
    FrontEnd,
    format::{LikelihoodKind, Precision},
    standard_normal,
};
use vae_train::{
    data::front_end::front_ends,
    file::model_file::{AlignedFile, ModelFile},
    simulator::motor::{Condition, simulate},
    weights::{dense::Dense, mixture::Mixture},
};

use crate::{can_emulate, firmware_command, plain_model, qemu, random_layer, root, skip};

/// An emulated core.
#[derive(Debug)]
pub struct Core {
    /// As the tables name it.
    pub name: &'static str,
    /// Rust target that it is built for.
    pub target: &'static str,
    /// QEMU's machine.
    pub machine: &'static str,
    /// Ticks of the machine's timer in a second of virtual time, which is 10⁹ instructions.
    timer_hz: u64,
    /// Where RAM begins.
    ram: u32,
    /// What the build is told, beside the target, for a core that no target's name tells from another.
    flags: &'static str,
}

/// The cores of the table.
pub const CORES: [Core; 7] = [
    arm("Cortex-M4F", "thumbv7em-none-eabihf", "mps2-an386"),
    arm("Cortex-M7", "thumbv7em-none-eabihf", "mps2-an500"),
    Core { timer_hz: 20_000_000, ram: 0x3800_0000, ..arm("Cortex-M33", "thumbv8m.main-none-eabihf", "mps2-an505") },
    Core {
        timer_hz: 32_000_000,
        ram: 0x3000_0000,
        flags: "--cfg vae_mve",
        ..arm("Cortex-M55", "thumbv8m.main-none-eabihf", "mps3-an547")
    },
    arm("Cortex-M3", "thumbv7m-none-eabi", "mps2-an385"),
    // There is no Cortex-M0 machine of this size; its code runs on the Cortex-M3, whose instruction set contains it.
    arm("Cortex-M0", "thumbv6m-none-eabi", "mps2-an385"),
    // Its counter counts instructions.
    Core { timer_hz: 1_000_000_000, ram: 0x8040_0000, ..arm("RV32IMC", "riscv32imc-unknown-none-elf", "virt") },
];

const fn arm(name: &'static str, target: &'static str, machine: &'static str) -> Core {
    Core { name, target, machine, timer_hz: 25_000_000, ram: 0x2000_0000, flags: "" }
}

/// What a front-end takes of one channel.
#[derive(Clone, Debug)]
pub struct FrontEndCount {
    /// As `fit --front-end` calls it.
    pub name: String,
    /// The same.
    pub front_end: FrontEnd,
    /// Samples.
    pub window: usize,
    /// Of one window.
    pub instructions: u64,
}

/// Samples a second of the firmware's mel bands.
const SOUND_RATE: f64 = 16_000.0;

impl Core {
    /// Whether firmware for this core can be built and run here; says on standard error how, if not.
    #[must_use]
    pub fn can_emulate(&self) -> bool {
        can_emulate(self.target) && self.has_machine()
    }

    fn has_machine(&self) -> bool {
        let machines = Command::new(qemu(self.target)).args(["-machine", "help"]).output();
        let has_it = machines.is_ok_and(|machines| String::from_utf8_lossy(&machines.stdout).contains(self.machine));
        if !has_it {
            skip(&format!("needs a QEMU that emulates {}, from version 6.2 on", self.machine));
        }
        has_it
    }

    /// Instructions between two readings of the timer that are so many ticks apart.
    #[must_use]
    pub fn instructions(&self, ticks: u64) -> u64 {
        ticks * 1_000_000_000 / self.timer_hz
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
        self.image(binary, &[("VAE_BENCH", models)], &[&["bench"], features].concat())
    }

    fn image(&self, binary: &str, environment: &[(&str, &Path)], features: &[&str]) -> Result<PathBuf> {
        self.built(binary, firmware_command("build", self.target, binary, features).envs(environment.iter().copied()))
    }

    /// The binary that a command builds.
    fn built(&self, binary: &str, command: &mut Command) -> Result<PathBuf> {
        // What is built with flags of its own has a folder of its own, or both would be built anew each time.
        let folder = if self.flags.is_empty() { "target" } else { "target/flags" };
        if !self.flags.is_empty() {
            command.env("RUSTFLAGS", self.flags).env("CARGO_TARGET_DIR", folder);
        }
        let output = command.output().context("cargo cannot be run")?;
        ensure!(output.status.success(), "{} {binary}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        Ok(root().join("firmware-example").join(folder).join(self.target).join("release").join(binary))
    }

    /// Builds a binary, runs it in QEMU and returns what it prints.
    ///
    /// # Errors
    /// If it cannot be built, or exits with a failure.
    pub fn emulate(&self, binary: &str, models: &Path) -> Result<String> {
        self.run(binary, &[("VAE_BENCH", models)], &["bench"])
    }

    /// Instructions of front-ends for a window, as `firmware-example/src/bin/front_ends.rs` prints them.
    ///
    /// # Errors
    /// If the firmware cannot be built, fails in QEMU, or prints something else.
    pub fn count_front_ends(&self, models: &Path) -> Result<Vec<FrontEndCount>> {
        let printed = self.run("front_ends", &[("VAE_BENCH", models)], &["bench", "front-ends"])?;
        let counts = printed.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, window, ticks] = words[..] else { bail!("unexpected line: {line}") };
            Ok(FrontEndCount {
                name: name.to_owned(),
                front_end: front_ends(&[name.to_owned()], &["x".to_owned()], window.parse()?, Some(SOUND_RATE))?
                    .first()
                    .copied()
                    .unwrap_or(FrontEnd::Raw),
                window: window.parse()?,
                instructions: self.instructions(ticks.parse()?),
            })
        });
        counts.collect()
    }

    /// Builds a binary of `firmware-example` for this core with these features alone, without what `vae-core` has by default.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn build_least(&self, binary: &str, models: &Path, features: &[&str]) -> Result<PathBuf> {
        let mut command = firmware_command("build", self.target, binary, features);
        self.built(binary, command.arg("--no-default-features").env("VAE_BENCH", models))
    }

    /// As [`Self::emulate`], with this environment and these features when it is built.
    ///
    /// # Errors
    /// As there.
    pub fn run(&self, binary: &str, environment: &[(&str, &Path)], features: &[&str]) -> Result<String> {
        let image = self.image(binary, environment, features)?;
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
            let instructions = self.instructions(ticks.parse()?) / runs.parse::<u64>()?;
            let model = MODELS.get(model.parse::<usize>()?).copied().unwrap_or(model);
            counts.entry(model.to_owned()).or_default().insert(stage.to_owned(), instructions);
        }
        Ok(counts)
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
    write_pack(&folder.join("models.pack"), &models)?;
    fs::write(folder.join("int8.vae"), &models[0].0)?;
    fs::write(folder.join("window.f32"), models[0].1.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}

/// Writes models and their windows as one file, as the firmware's bench and its check of bits read it.
///
/// # Errors
/// If it cannot be written.
pub fn write_pack(path: &Path, models: &[(Vec<u8>, Vec<f32>)]) -> Result<()> {
    let mut pack = Vec::new();
    for (model, windows) in models {
        pack.extend(u32::try_from(model.len())?.to_le_bytes());
        pack.extend(u32::try_from(windows.len())?.to_le_bytes());
        pack.extend(model);
        pack.resize(pack.len().next_multiple_of(4), 0);
        pack.extend(windows.iter().flat_map(|value| value.to_le_bytes()));
    }
    fs::write(path, pack)?;
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
