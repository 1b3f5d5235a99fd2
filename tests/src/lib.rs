//! What the checks of this package share: models with known answers, and the emulator.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, ChannelCalibration, Location,
    format::{LikelihoodKind, PosteriorKind, Precision},
};
use vae_train::{
    file::{calibration::CalibrationRecord, model_file::ModelFile},
    weights::{attribute::Attribute, dense::Dense, mixture::Mixture, relations::Relations, second_stage::SecondStage},
};

pub mod baselines;
pub mod bench;
pub mod browser;
pub mod coverage;
pub mod density;
pub mod detection;
pub mod fuzz_models;
pub mod house;
pub mod machines;
pub mod mixed;
pub mod processes;
pub mod relations;
pub mod soak;
pub mod tables;
pub mod trainer;

/// A channel that varies about 0 in normal data, of what calibrations know.
pub const ORDINARY_CHANNEL: ChannelCalibration = ChannelCalibration {
    range: (-100.0, 100.0),
    longest_run: 1.0,
    longest_gap: 2.0,
    nats: 2.0,
    mean: 0.0,
    power: 4.0,
    level: Location { centre: 0.0, spread: 1.0, limit: 5.0 },
    strength: Location { centre: 1.0, spread: 1.0, limit: 5.0 },
};

/// A layer with weights and biases uniform within ± `spread / √columns`.
pub fn random_layer(rng: &mut ChaCha8Rng, rows: usize, columns: usize, activation: Activation, spread: f32) -> Dense {
    let bound = spread / (columns as f32).sqrt();
    let mut uniform = |count: usize| (0..count).map(|_| rng.random_range(-bound..bound)).collect::<Vec<f32>>();
    Dense { activation, rows, columns, weights: uniform(rows * columns), bias: uniform(rows) }
}

/// A model of rows without calibration and golden vectors, with a standardiser of mean 0 and scale 1.
pub fn plain_model(encoder: Vec<Dense>, decoder: Vec<Dense>, likelihood: LikelihoodKind, variance: f32) -> ModelFile {
    let features = encoder[0].columns;
    ModelFile {
        precision: Precision::F32,
        posterior: PosteriorKind::DiagonalGaussian,
        likelihood,
        channels: (0..features).map(|feature| format!("f{feature}")).collect(),
        window: 1,
        hop: 1,
        front_ends: Vec::new(),
        latent: decoder[0].columns,
        mean: vec![0.0; features],
        scale: vec![1.0; features],
        variance: vec![variance; features],
        families: Vec::new(),
        log_variance_bounds: (-6.0, 6.0),
        conditions: Vec::new(),
        condition_mean: Vec::new(),
        condition_scale: Vec::new(),
        prior: None,
        relations: None,
        mixture: None,
        second_stage: None,
        attributes: Vec::new(),
        encoder,
        decoder,
        calibration: CalibrationRecord::default(),
        golden_inputs: Vec::new(),
        data: "none".into(),
        seed: 0,
        metrics: Vec::new(),
    }
}

/// A model of three channels × ten samples that uses every activation, odd widths, and a learned variance.
pub fn varied_model(precision: Precision, seed: u64) -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut layers = |widths: &[usize], activations: &[Activation]| -> Vec<Dense> {
        let pairs = widths.windows(2).zip(activations);
        pairs.map(|(pair, activation)| random_layer(&mut rng, pair[1], pair[0], *activation, 2.5)).collect()
    };
    use Activation::{Identity, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh};
    let encoder = layers(&[30, 17, 9, 13, 6], &[Relu, LeakyRelu(0.1), Tanh, Identity]);
    let decoder = layers(&[3, 7, 10, 5, 30], &[Silu, Sigmoid, Softplus, Identity]);
    let mut vary = |low: f32, high: f32| (0..30).map(|_| rng.random_range(low..high)).collect::<Vec<f32>>();
    let (mean, scale, variance) = (vary(-3.0, 3.0), vary(0.2, 5.0), vary(0.05, 2.0));
    let golden_inputs = vec![vary(-5.0, 5.0), vary(-1e3, 1e3)];
    ModelFile {
        precision,
        channels: ["x", "y", "z"].map(str::to_owned).to_vec(),
        window: 10,
        hop: 5,
        mean,
        scale,
        variance,
        golden_inputs,
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 1.0)
    }
}

/// [`family_model`] of 7 independent features with a learned variance, with relations between them: of the differences from the mean or from the
/// reconstruction, and a mixture of the input.
pub fn related_model(of_inputs: bool, precision: Precision, seed: u64) -> ModelFile {
    let family = Family {
        posterior: PosteriorKind::DiagonalGaussian,
        likelihood: LikelihoodKind::GaussianPerFeature,
        conditions: 0,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut given_others = random_layer(&mut rng, 7, 7, Activation::Identity, 1.0);
    (0..7).for_each(|feature| given_others.weights[8 * feature] += 1.2);
    // Two components: rows of a lower triangle, each with its offset.
    let mixture = (0..2).flat_map(|component| {
        let constant = -14.0 - 0.5 * component as f32;
        let rows = (0..7).flat_map(|row| (0..=row + 1).map(move |column| (row, column))).collect::<Vec<_>>();
        let values = rows.into_iter().map(|(row, column)| match column.cmp(&row) {
            std::cmp::Ordering::Equal => 0.8,
            _ => rng.random_range(-0.3..0.3),
        });
        std::iter::once(constant).chain(values).collect::<Vec<f32>>()
    });
    let mixture = mixture.collect();
    ModelFile {
        relations: Some(Relations {
            of_inputs,
            offset: 1.5,
            ceiling: -12.0,
            given_others,
            range: vec![(-0.8, 0.8); 7],
            outside: -25.0,
            mixture,
        }),
        ..family_model(family, precision, seed)
    }
}

/// Says on standard error that a check is skipped, and how to have it.
pub fn skip(how: &str) {
    // Not `eprintln!`, which the test harness keeps to itself while a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED, {how}");
}

/// What the encoder and decoder of [`family_model`] put out.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Family of `q(z|x)`.
    pub posterior: PosteriorKind,
    /// Family of `p(x|z)`.
    pub likelihood: LikelihoodKind,
    /// Values of the condition.
    pub conditions: usize,
}

/// A small model of a family: 7 features, 3 latents, a learned prior, a mixture, a second stage and an attribute (Gaussian latents); or two
/// categorical latents.
pub fn family_model(family: Family, precision: Precision, seed: u64) -> ModelFile {
    let Family { posterior, likelihood, conditions } = family;
    let (features, latent) = match posterior {
        PosteriorKind::Categorical { categories } => (7, 2 * categories as usize),
        _ => (7, 3),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    use Activation::{Identity, Tanh};
    let mut layers = |widths: [usize; 3]| {
        let first = random_layer(&mut rng, widths[1], widths[0], Tanh, 2.0);
        vec![first, random_layer(&mut rng, widths[2], widths[1], Identity, 2.0)]
    };
    let encoder = layers([features + conditions, 6, posterior.parameters(latent)]);
    let decoder = layers([latent + conditions, 5, likelihood.parameters(features)]);
    let second = layers([2, 4, latent]);
    let names = |prefix: &str, count: usize| (0..count).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let unit = likelihood == LikelihoodKind::Bernoulli;
    let gaussian = !posterior.is_discrete();
    ModelFile {
        precision,
        posterior,
        likelihood,
        channels: names("x", features),
        latent,
        mean: vec![if unit { 0.0 } else { 0.5 }; features],
        scale: vec![if unit { 1.0 } else { 0.7 }; features],
        variance: vec![0.4; features],
        conditions: names("c", conditions),
        condition_mean: vec![0.2; conditions],
        condition_scale: vec![1.5; conditions],
        prior: gaussian.then(|| Mixture {
            weight: vec![0.7, 0.3],
            mean: vec![0.5, 0.0, -1.0, -0.5, 1.5, 0.0],
            deviation: vec![0.8, 1.2, 0.5, 1.5, 0.4, 1.0],
        }),
        mixture: gaussian.then(|| Mixture {
            weight: vec![0.25, 0.75],
            mean: vec![-2.0, 0.0, 1.0, 1.0, 0.5, -0.5],
            deviation: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        }),
        second_stage: gaussian.then(|| SecondStage { decoder: second, deviation: vec![0.1, 0.2, 0.3] }),
        attributes: vec![Attribute {
            name: "load".into(),
            direction: [1.0, -2.0, 0.5].into_iter().cycle().take(latent).collect(),
        }],
        golden_inputs: vec![vec![1.0; features + conditions]],
        ..plain_model(encoder, decoder, likelihood, 1.0)
    }
}

/// The repository's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether firmware for `target` can be built and run here; says on standard error how, if not.
pub fn can_emulate(target: &str) -> bool {
    let qemu = qemu(target);
    let present = Command::new(qemu).arg("--version").output().is_ok_and(|output| output.status.success());
    let sysroot = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let installed = sysroot.is_ok_and(|out| Path::new(String::from_utf8_lossy(&out.stdout).trim()).exists());
    if !present || !installed {
        skip(&format!(
            "needs QEMU and a Rust target: apt-get install qemu-system-arm qemu-system-misc, rustup target add {target}"
        ));
    }
    present && installed
}

/// The emulator for a target.
pub(crate) fn qemu(target: &str) -> &'static str {
    if target.starts_with("riscv32") { "qemu-system-riscv32" } else { "qemu-system-arm" }
}

/// Builds a binary of `firmware-example` for `target`, runs it in QEMU and returns what it prints.
///
/// # Errors
/// If it cannot be built, or exits with a failure.
pub fn emulate(target: &str, binary: &str, environment: &[(&str, &Path)], features: &[&str]) -> Result<String> {
    firmware("run", target, binary, environment, features)
}

/// Has cargo `run` or `build` a binary of `firmware-example`; returns what is printed.
pub(crate) fn firmware(
    verb: &str,
    target: &str,
    binary: &str,
    environment: &[(&str, &Path)],
    features: &[&str],
) -> Result<String> {
    let mut command = firmware_command(verb, target, binary, features);
    let output = command.envs(environment.iter().copied()).output().context("cargo cannot be run")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{target} {binary}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    Ok(printed)
}

/// The command by which cargo `run`s or `build`s a binary of `firmware-example`.
#[must_use]
pub fn firmware_command(verb: &str, target: &str, binary: &str, features: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command
        .args([verb, "--release", "--quiet", "--locked", "--target", target, "--bin", binary, "--features"])
        .arg(features.join(","))
        .current_dir(root().join("firmware-example"))
        // The host's build must not shape the firmware's.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR");
    command
}

/// The folder of a real data set, if `VAE_DATA` is set; says on standard error that the check is skipped, if not.
pub fn real_data(name: &str) -> Option<PathBuf> {
    real_data_file(name, "train.csv")
}

/// The folder of a real data set that holds this file, if `VAE_DATA` is set; says on standard error that the check is skipped, if not.
pub fn real_data_file(name: &str, file: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("VAE_DATA") else {
        skip(&format!("real data: set VAE_DATA to a folder that holds public/{name}/{file}"));
        return None;
    };
    // Relative to the repository's root, whatever directory the test runs in.
    let folder = root().join(data).join("public").join(name);
    assert!(folder.join(file).exists(), "VAE_DATA is set and {} has no {file}", folder.display());
    Some(folder)
}

/// A Python in which the statement `check` succeeds: the one that `PYTHON` names, else `python3`. Says on standard error which packages it
/// lacks, if there is none.
pub fn python(check: &str, packages: &str) -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let present = Command::new(&python).args(["-c", check]).output().is_ok_and(|output| output.status.success());
    if !present {
        skip(&format!("needs Python: pip install {packages}, and PYTHON to name the interpreter"));
    }
    present.then_some(python)
}
