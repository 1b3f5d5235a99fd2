//! A scheduler and executors, as processes of their own.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use crate::{
    device::motor_model,
    motor::{Condition, Individual},
    program::{printed, refused},
    recording::{Recording, parquet},
};

/// How long a part of the test may take before it counts as failed: for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(300);
/// Seconds after which the scheduler takes an executor for dead.
const TIMEOUT: &str = "6";

/// A process that is ended when the test is.
struct Process(Child);

impl Process {
    fn of(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vae-fleet"));
        Self(command.current_dir(folder).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that is free, and the one behind it.
fn port() -> u16 {
    for _ in 0..100 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two ports are free");
}

fn until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(100));
    }
}

fn is_listening(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn two_executors_give_the_same_result_and_so_does_one_when_the_other_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for index in 0..10 {
        let course = [(Condition::Normal, 20_000), (Condition::FAULTS[index % 5], 20_000)];
        let recording = Recording::of("", Individual::TYPICAL, index as u64, &course);
        parquet(&folder.join(format!("history/machine={index:04}/a.parquet")), &[recording.batch(false)]);
    }
    let sql = format!(
        "SELECT * FROM (SELECT machine, time, vae('{}', time, x, y, z) OVER (PARTITION BY machine ORDER BY time) AS judged FROM '{}') \
         WHERE judged IS NOT NULL ORDER BY machine, time",
        motor_model().canonicalize().unwrap().display(),
        folder.join("history/**/*.parquet").display()
    );
    let expected = printed(folder, &["query", &sql]);
    assert!(expected.lines().count() > 12_000, "{}", expected.lines().count());
    let at = port();
    let address = format!("df://127.0.0.1:{at}");
    let message = refused(folder, &["query", &sql, "--scheduler", &address]);
    assert!(message.contains("cannot reach a scheduler"), "{message}");
    let _scheduler = Process::of(folder, &["scheduler", "--port", &at.to_string(), "--timeout", TIMEOUT]);
    until("the scheduler listens", || is_listening(at) && is_listening(at + 1));
    let mut executors = Vec::new();
    for _ in 0..2 {
        let at = port();
        executors.push(Process::of(
            folder,
            &["executor", "--scheduler", &address, "--port", &at.to_string(), "--jobs", "1", "--timeout", TIMEOUT],
        ));
        until("an executor listens", || is_listening(at) && is_listening(at + 1));
    }
    let query = ["query", &sql, "--scheduler", &address, "--jobs", "4", "--out"];
    printed(folder, &[&query[..], &["two.csv"]].concat());
    assert_eq!(fs::read_to_string(folder.join("two.csv")).unwrap().trim_end(), expected.trim_end());
    // Once more, and one of them is killed while it works.
    let mut running = Process::of(folder, &[&query[..], &["one.csv"]].concat());
    sleep(Duration::from_millis(700));
    let is_working = running.0.try_wait().unwrap().is_none();
    drop(executors.pop());
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < PATIENCE, "the query has not come to an end");
        sleep(Duration::from_millis(100));
    };
    assert!(is_working, "the query was done before an executor could be killed: make it longer");
    assert!(status.success(), "{status}");
    assert_eq!(fs::read_to_string(folder.join("one.csv")).unwrap().trim_end(), expected.trim_end());
}
