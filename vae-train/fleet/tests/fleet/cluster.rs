//! A scheduler and executors as processes: the device's bits, and what happens when one of them is lost or is another program.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use vae_fleet::cluster::handshake::{PROGRAM, greet};

use crate::{
    device::motor_model,
    motor::{Condition, Individual},
    program::{printed, refused, vae_fleet},
    recording::{Recording, parquet},
    verdicts::{by_device, by_query, fleet, judged, result, session},
};

/// Seconds of silence after which an executor is lost.
const PATIENCE: &str = "6";
/// How long a cluster may take for anything: the engine is not optimised, and the machine is shared.
const LONG: Duration = Duration::from_secs(120);

/// A process that ends with its test.
struct Process(Child);

impl Process {
    fn new(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vae-fleet"));
        let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A port that is free, with another one above it.
fn free_port() -> u16 {
    loop {
        let low = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = low.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONG, "{what}: not within {LONG:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_ok()
}

struct Cluster {
    /// Killed with it.
    _scheduler: Process,
    executors: Vec<(Process, PathBuf)>,
    address: String,
}

impl Cluster {
    /// A scheduler and executors of one core each, with a folder of its own for each in this one.
    fn new(folder: &Path, executors: usize) -> Self {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        let scheduler = Process::new(&["scheduler", "--listen", &listen, "--patience", PATIENCE]);
        until("the scheduler listens", || listens(port));
        let address = format!("df://{listen}");
        let executor = |index: usize| {
            let (port, spill) = (free_port(), folder.join(format!("spill-{index}")));
            fs::create_dir_all(&spill).unwrap();
            let arguments =
                ["executor", "--scheduler", &address, "--port", &port.to_string(), "--jobs", "1", "--spill"];
            let executor = Process::new(&[&arguments[..], &[spill.to_str().unwrap(), "--memory", "64MiB"]].concat());
            until("an executor listens", || listens(port) && listens(port + 1));
            (executor, spill)
        };
        let executors = (0..executors).map(executor).collect();
        Self { _scheduler: scheduler, executors, address }
    }

    /// Whether an executor has begun with a part of a job.
    fn is_at_work(&self, executor: usize) -> bool {
        let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let jobs = entries(&self.executors[executor].1).flat_map(|own| entries(&own).collect::<Vec<_>>());
        // Its place to sort in is there before that.
        let is_a_jobs = |path: &PathBuf| path.is_dir() && !path.to_string_lossy().contains("/datafusion-");
        jobs.filter(is_a_jobs).count() > 0
    }
}

/// Machines in folders, with their rows in two files.
fn in_folders(folder: &Path, fleet: &[Recording]) {
    for recording in fleet {
        let (batch, half) = (recording.batch(false), recording.times.len() / 2);
        let place = folder.join(format!("history/machine={}", recording.machine));
        parquet(&place.join("0.parquet"), &[batch.slice(0, half)]);
        parquet(&place.join("1.parquet"), &[batch.slice(half, batch.num_rows() - half)]);
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_machines_have_the_devices_bits_on_two_executors() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, fleet) = (folder.path(), fleet());
    in_folders(folder, &fleet);
    let cluster = Cluster::new(folder, 2);
    // The pattern and the model are named from here, and the executors are elsewhere.
    let sql = judged(Path::new("history/**/*.parquet"));
    let query = ["query", &sql, "--scheduler", &cluster.address, "--jobs", "4", "--out", "judged.parquet"];
    printed(folder, &query);
    let read = format!("SELECT * FROM '{}' ORDER BY machine, time", folder.join("judged.parquet").display());
    assert_eq!(by_query(&result(&session(1), &read).await), by_device(&fleet));
    // What a backtest counts is the same here and there, to the last digit.
    let model = motor_model();
    let backtest = ["backtest", model.to_str().unwrap(), "history", "--by", "machine", "--alarms", "1/day", "--json"];
    let here = json(&printed(folder, &backtest));
    assert_eq!(here["machines"].as_array().unwrap().len(), fleet.len());
    let there = json(&printed(folder, &[&backtest[..], &["--scheduler", &cluster.address]].concat()));
    assert_eq!(here, there);
}

#[test]
fn machines_in_a_column_and_in_no_order_are_judged_as_here() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, fleet) = (folder.path(), fleet());
    let batches: Vec<_> = fleet.iter().map(|recording| recording.batch(true)).collect();
    parquet(&folder.join("in-order.parquet"), &batches);
    let halves = batches.iter().flat_map(|batch| {
        let half = batch.num_rows() / 2;
        [batch.slice(half, batch.num_rows() - half), batch.slice(0, half)]
    });
    parquet(&folder.join("in-none.parquet"), &halves.collect::<Vec<_>>());
    let cluster = Cluster::new(folder, 2);
    let model = motor_model();
    for (file, was_sorted) in [("in-order.parquet", false), ("in-none.parquet", true)] {
        let backtest = ["backtest", model.to_str().unwrap(), file, "--by", "machine", "--json", "--jobs", "3"];
        let here = json(&printed(folder, &backtest));
        assert_eq!(here["machines"][0]["was_sorted"], was_sorted, "{file}");
        assert_eq!(
            here,
            json(&printed(folder, &[&backtest[..], &["--scheduler", &cluster.address]].concat())),
            "{file}"
        );
    }
}

#[test]
fn an_executor_that_is_killed_is_replaced_by_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let long =
        |index: u64| Recording::of(&index.to_string(), Individual::TYPICAL, index, &[(Condition::Normal, 40_000)]);
    in_folders(folder, &(0..10).map(long).collect::<Vec<_>>());
    let model = motor_model();
    let backtest = ["backtest", model.to_str().unwrap(), "history", "--by", "machine", "--json"];
    let here = printed(folder, &backtest);
    let mut cluster = Cluster::new(folder, 2);
    let address = cluster.address.clone();
    let there = [&backtest[..], &["--scheduler", &address]].concat();
    let (output, is_killed_midway) = thread::scope(|scope| {
        let running = scope.spawn(|| vae_fleet(folder, &there));
        until("the first executor works", || cluster.is_at_work(0));
        cluster.executors[0].0.kill();
        let is_midway = !running.is_finished();
        (running.join().unwrap(), is_midway)
    });
    assert!(is_killed_midway, "it was over before the executor could be killed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(json(&here), json(&String::from_utf8(output.stdout).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recording = Recording::of("a", Individual::TYPICAL, 1, &[(Condition::Normal, 500)]);
    parquet(&folder.join("a.parquet"), &[recording.batch(true)]);
    let cluster = Cluster::new(folder, 0);
    let url = cluster.address.replace("df://", "http://");
    greet(&url, &PROGRAM).await.unwrap();
    let message = format!("{:#}", greet(&url, "vae-fleet/9.9.9").await.unwrap_err());
    assert!(message.contains(&**PROGRAM) && message.contains("same version on all machines"), "{message}");
    // What answers and is no scheduler; and what does not answer.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let stranger = format!("df://{}", other.local_addr().unwrap());
    thread::spawn(move || other.incoming().for_each(drop));
    let nobody = format!("df://127.0.0.1:{}", free_port());
    let model = motor_model();
    for (address, said) in [(&*stranger, "no scheduler"), (&*nobody, "no scheduler answers"), ("hall-3", "df://hall-3")]
    {
        for arguments in [
            &["query", "SELECT 1", "--scheduler", address][..],
            &["backtest", model.to_str().unwrap(), "a.parquet", "--by", "machine", "--scheduler", address],
        ] {
            let message = refused(folder, arguments);
            assert!(message.contains(said), "{arguments:?}: {message}");
        }
    }
    assert!(refused(folder, &["scheduler", "--listen", "0.0.0.0:0"]).contains("give --host"));
    let message = refused(folder, &["executor", "--scheduler", &nobody]);
    assert!(message.contains("vae-fleet scheduler"), "{message}");
}
