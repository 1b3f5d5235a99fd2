//! A training step on served devices, next to one on a local thread: network (a) at batch 4096, one thread each.
//!
//! `cargo bench -p vae-train --features remote --bench devices` starts two servers and measures in turns, each turn in a process of its own.
//! `TURNS` is how many each list of devices takes (5). Beside the time on the clock stands that of the processors, which does not depend on
//! what else runs: the fit's own and, as they work at the same time, the busiest server's. Bytes are those of the loopback interface, both
//! ways. Linux only.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "the table is what a bench is for"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read as _},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use burn::{remote::RemoteHost, tensor::Device};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use vae_train::{
    config::{Config, model::ModelConfig, training::TrainingConfig},
    data::part::Part,
    training::{
        Training,
        devices::{Devices, Member},
        listener::{Listener, Progress},
        remote::client::Remote,
    },
    weights::family::{HiddenActivation, Likelihood},
};

// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FEATURES: usize = 640;
const BATCH: usize = 4096;
/// Of an epoch.
const STEPS: usize = 4;
/// Epochs that a turn measures, after one that warms up.
const EPOCHS: usize = 6;
/// Of the kernel's accounts (`USER_HZ`).
const TICKS: f64 = 100.0;

/// What is known at a moment, in seconds and bytes.
struct Moment {
    clock: Instant,
    processors: Vec<f64>,
    bytes: f64,
}

impl Moment {
    /// Processor time of these processes, of which the first is this one.
    fn now(processes: &[u32]) -> Result<Self> {
        Ok(Self {
            clock: Instant::now(),
            processors: processes.iter().map(|process| processor_seconds(*process)).collect::<Result<_>>()?,
            bytes: fs::read_to_string("/sys/class/net/lo/statistics/tx_bytes")?.trim().parse()?,
        })
    }
}

/// User and system time of a process, threads that have ended included.
fn processor_seconds(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = stat.rsplit_once(") ").context("a process without a name")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS)
}

/// Of a step, in milliseconds and bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Step {
    clock: f64,
    /// Processor time of the fit, then of each server.
    processors: Vec<f64>,
    bytes: f64,
}

impl Step {
    /// Processor time that cannot be had at the same time.
    fn in_turn(&self) -> f64 {
        self.processors[0] + self.processors[1..].iter().copied().fold(0.0, f64::max)
    }
}

/// Takes the time from the end of the first epoch to that of the last.
struct Measuring {
    processes: Vec<u32>,
    begun: Option<Moment>,
    step: Result<Step>,
}

impl Listener for Measuring {
    fn progress(&mut self, progress: Progress<'_>) {
        let Progress::Epoch(metrics, _) = progress else { return };
        match (metrics.epoch, Moment::now(&self.processes)) {
            (1, Ok(now)) => self.begun = Some(now),
            (epoch, Ok(now)) if epoch == EPOCHS + 1 => {
                let Some(begun) = self.begun.take() else { return };
                let steps = (EPOCHS * STEPS) as f64;
                let processors = now.processors.iter().zip(&begun.processors);
                self.step = Ok(Step {
                    clock: 1e3 * begun.clock.elapsed().as_secs_f64() / steps,
                    processors: processors.map(|(now, begun)| 1e3 * (now - begun) / steps).collect(),
                    bytes: (now.bytes - begun.bytes) / steps,
                });
            }
            (_, Ok(_)) => {}
            (_, Err(error)) => self.step = Err(error),
        }
    }
}

/// A turn: a fit on the devices at these addresses, of these processes; on the CPU if there are none.
fn turn(servers: &[(String, u32)]) -> Result<Step> {
    let mut config = Config::default();
    config.model = ModelConfig {
        hidden: Some(vec![128; 2]),
        latent: Some(8),
        activation: HiddenActivation::Relu,
        likelihood: Likelihood::Gaussian,
        prior: Some(0),
        ..config.model
    };
    config.objective.input_noise = Some(0.0);
    let epochs = Some(EPOCHS + 1);
    config.training = TrainingConfig { batch: BATCH, epochs, patience: epochs, ..config.training };
    let windows = STEPS * BATCH;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let values: Vec<f32> = (0..(windows + 1) * FEATURES).map(|_| rng.random_range(-1.7..1.7)).collect();
    let rows: Vec<usize> = (0..=windows).collect();
    let part = |chosen| Part { values: &values, chosen, last_row: &rows };
    let members =
        servers.iter().map(|(address, _)| Ok(Remote::connect(&RemoteHost::websocket(address))?.member(address)));
    let members: Vec<Member> = members.collect::<Result<_>>()?;
    let devices = if members.is_empty() { Devices::from(&Device::flex()) } else { Devices::of(members)? };
    let architecture = config.architecture(FEATURES);
    let training =
        Training::new(&config, &architecture, part(&rows[..windows]), part(&rows[windows..]), &devices, None)?;
    let mut processes = vec![std::process::id()];
    processes.extend(servers.iter().map(|(_, process)| *process));
    let mut measuring = Measuring { processes, begun: None, step: Err(anyhow::anyhow!("nothing was measured")) };
    training.run(&mut measuring, |_| Ok(()))?;
    measuring.step
}

/// A server of one thread, which ends with this program.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Result<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vae-train"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).env("RAYON_NUM_THREADS", "1");
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stderr.take().context("no standard error")?);
        let mut line = String::new();
        lines.read_line(&mut line)?;
        thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        let address = line.split_whitespace().last().unwrap_or_default().to_owned();
        Ok(Self { process, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The turn of the middle, by processor time.
fn median(mut steps: Vec<Step>) -> Step {
    steps.sort_by(|a, b| a.in_turn().total_cmp(&b.in_turn()));
    steps.swap_remove(steps.len() / 2)
}

fn compare() -> Result<()> {
    let turns: usize = env::var("TURNS").map_or(Ok(5), |turns| turns.parse())?;
    let servers = [Server::start()?, Server::start()?];
    let lists = [0, 1, 2].map(|count| -> Vec<String> {
        let of_server = |server: &Server| [server.address.clone(), server.process.id().to_string()];
        servers.iter().take(count).flat_map(of_server).collect()
    });
    let mut steps = [const { Vec::new() }; 3];
    for _ in 0..turns {
        for (list, steps) in lists.iter().zip(&mut steps) {
            let mut command = Command::new(env::current_exe()?);
            let output = command.arg("turn").args(list).env("RAYON_NUM_THREADS", "1").output()?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
            steps.push(serde_json::from_slice::<Step>(&output.stdout)?);
        }
    }
    println!("a step, median of {turns} turns\n");
    println!("| devices | ms | processor ms: fit | each server | one after the other | speed | bytes |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let medians = steps.map(median);
    for (name, step) in ["a local thread", "one server", "two servers"].into_iter().zip(&medians) {
        let servers: Vec<String> = step.processors[1..].iter().map(|server| format!("{server:.0}")).collect();
        println!(
            "| {name} | {:.0} | {:.1} | {} | {:.0} | {:.2} | {:.0} |",
            step.clock,
            step.processors[0],
            servers.join(", "),
            step.in_turn(),
            medians[0].in_turn() / step.in_turn(),
            if servers.is_empty() { 0.0 } else { step.bytes }
        );
    }
    Ok(())
}

fn run() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [turn_of, servers @ ..] = &arguments[..] else { return compare() };
    ensure!(turn_of == "turn", "no such turn: {turn_of}");
    let servers = servers.chunks_exact(2).map(|server| Ok((server[0].clone(), server[1].parse()?)));
    let step = turn(&servers.collect::<Result<Vec<_>>>()?)?;
    println!("{}", serde_json::to_string(&step)?);
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
