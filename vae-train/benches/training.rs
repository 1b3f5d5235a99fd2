//! Training throughput, next to PyTorch's on the same CPU, network, batch, optimiser and number of threads, in the three ways that
//! `training.py` names.
//!
//! `cargo bench -p vae-train --bench training` measures in turns, each turn in a process of its own with its own number of
//! threads. `PYTHON` names an interpreter that can import torch (`python3` if not given); without torch only this crate is
//! measured. `TURNS` is how many turns each side takes (5).
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the table is what a bench is for"
)]

use std::{
    env,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_train::{
    config::{Config, model::ModelConfig, training::TrainingConfig},
    data::part::Part,
    training::{
        Training,
        listener::{Listener, Progress},
    },
    weights::family::{HiddenActivation, Likelihood},
};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// PyTorch's ways, as `training.py` takes them.
const WAYS: [&str; 3] = ["eager", "fused", "compiled"];

/// Epochs that a turn measures, after one that warms up.
const EPOCHS: usize = 8;

/// A network and how it is trained; `training.py` has the same.
struct Case {
    name: &'static str,
    features: usize,
    /// Windows of an epoch.
    windows: usize,
    config: Config,
}

fn cases() -> [Case; 2] {
    // Neither a learned prior nor noise on the inputs: `training.py` has none.
    let config = |hidden, latent, activation, likelihood, batch| {
        let mut config = Config::default();
        config.model =
            ModelConfig { hidden: Some(vec![hidden; 2]), latent: Some(latent), activation, likelihood, ..config.model };
        config.model.prior = Some(0);
        config.objective.input_noise = Some(0.0);
        let epochs = Some(EPOCHS + 1);
        config.training = TrainingConfig { batch, epochs, patience: epochs, ..config.training };
        config
    };
    [
        Case {
            name: "a",
            features: 640,
            windows: 40 * 512,
            config: config(128, 8, HiddenActivation::Relu, Likelihood::Gaussian, 512),
        },
        Case {
            name: "b",
            features: 784,
            windows: 120 * 100,
            config: config(200, 50, HiddenActivation::Tanh, Likelihood::Bernoulli, 100),
        },
    ]
}

/// The fastest epoch but the first.
struct Fastest {
    started: Instant,
    seconds: f64,
}

impl Listener for Fastest {
    fn progress(&mut self, progress: Progress<'_>) {
        if let Progress::Epoch(metrics, _) = progress {
            if metrics.epoch > 1 {
                self.seconds = self.seconds.min(self.started.elapsed().as_secs_f64());
            }
            self.started = Instant::now();
        }
    }
}

/// Windows per second of the real training loop: the epochs of [`Training::run`], checkpoints and all; the fastest epoch.
fn ours(case: &Case) -> Result<f64> {
    let architecture = case.config.architecture(case.features);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let grey = case.config.model.likelihood == Likelihood::Bernoulli;
    let mut draw = |windows: usize| -> Vec<f32> {
        (0..windows * case.features).map(|_| rng.random_range(if grey { 0.0..1.0 } else { -1.7..1.7 })).collect()
    };
    let values = draw(case.windows + 1);
    let rows: Vec<usize> = (0..=case.windows).collect();
    let part = |chosen| Part { values: &values, chosen, last_row: &rows };
    let (train, validation) = (part(&rows[..case.windows]), part(&rows[case.windows..]));
    let training = Training::new(&case.config, &architecture, train, validation, &Device::flex(), None)?;
    let mut fastest = Fastest { started: Instant::now(), seconds: f64::INFINITY };
    training.run(&mut fastest, |_| Ok(()))?;
    Ok(case.windows as f64 / fastest.seconds)
}

/// Runs a command that prints windows per second.
fn turn(command: &mut Command) -> Result<f64> {
    let output = command.output().with_context(|| format!("cannot run {}", command.get_program().display()))?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare() -> Result<()> {
    let python = env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let turns: usize = env::var("TURNS").map_or(Ok(5), |turns| turns.parse())?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/training.py");
    let torch = Command::new(&python).args(["-c", "import torch"]).output().is_ok_and(|output| output.status.success());
    if !torch {
        println!("{python} cannot import torch: measuring this crate only (PYTHON names another interpreter)");
    }
    println!("windows per second, median of {turns} turns\n");
    println!(
        "| network | threads | vae-train | {} | next to the fastest |",
        WAYS.map(|way| format!("PyTorch {way}")).join(" | ")
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for case in cases() {
        for threads in ["1", "2"] {
            let mut ours = Vec::new();
            let mut theirs = WAYS.map(|_| Vec::new());
            for _ in 0..turns {
                ours.push(turn(Command::new(env::current_exe()?).arg(case.name).env("RAYON_NUM_THREADS", threads))?);
                for (way, found) in WAYS.iter().zip(&mut theirs).filter(|_| torch) {
                    // A way that does not run here, as torch.compile without a C++ compiler, is left out.
                    found.extend(turn(Command::new(&python).args([script, case.name, threads, way])));
                }
            }
            let ours = median(ours);
            let theirs: Vec<f64> =
                theirs.into_iter().map(|found| if found.is_empty() { f64::NAN } else { median(found) }).collect();
            let fastest = theirs.iter().copied().fold(f64::NAN, f64::max);
            let theirs = theirs.iter().map(|rate| format!("{rate:.0}")).collect::<Vec<_>>().join(" | ");
            println!("| ({}) | {threads} | {ours:.0} | {theirs} | {:.2} |", case.name, ours / fastest);
        }
    }
    Ok(())
}

fn run() -> Result<()> {
    let Some(name) = env::args().skip(1).find(|argument| argument != "--bench") else { return compare() };
    let Some(case) = cases().into_iter().find(|case| case.name == name) else { bail!("no case {name}: give a or b") };
    println!("{}", ours(&case)?);
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
