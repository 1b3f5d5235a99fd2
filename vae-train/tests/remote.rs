//! Several processes on one machine: some lend their devices, another one trains on them.
#![cfg(feature = "remote")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use burn::{
    server::{RemoteServer, WebSocketTransport},
    tensor::Device,
};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_vae-train");

/// A server that ends with the test, and its address.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(place: &Path, arguments: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.arg("serve").args(arguments.split_whitespace()).current_dir(place);
        let mut process = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let address = line.split_whitespace().last().unwrap_or_default().to_owned();
        assert!(address.contains("://"), "{line}");
        // A full pipe would stop it.
        thread::spawn(move || lines.read_to_end(&mut Vec::new()));
        Self { process, address }
    }

    fn local(place: &Path) -> Self {
        Self::start(place, "--listen 127.0.0.1:0")
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A directory with a table: 200 rows, some values missing.
fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    let row = |i: usize| match i % 50 {
        7 => format!("{},,{}\n", (i * 37) % 101, i % 3),
        _ => format!("{},{},{}\n", (i * 37) % 101, (i * 37) % 101 + i % 7, i % 3),
    };
    let rows: String = (0..200).map(row).collect();
    fs::write(place.path().join("train.csv"), format!("a,b,c\n{rows}")).unwrap();
    place
}

fn command(place: &Path, arguments: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments.split_whitespace()).current_dir(place);
    command
}

const SMALL: &str = "--epochs 3 --batch 32 --hidden 8 --latent 2";

fn fit(place: &Path, run: &str, devices: &str, settings: &str) -> Output {
    command(place, &format!("fit train.csv --out {run} --device {devices} {settings}")).output().unwrap()
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Fits, and gives what a fit is compared by: weights, moments and metrics.
fn fitted(place: &Path, run: &str, devices: &str, settings: &str) -> Vec<Vec<u8>> {
    let output = fit(place, run, devices, settings);
    assert!(output.status.success(), "{devices} {settings}: {}", message(&output));
    ["checkpoint.bin", "metrics.csv"].map(|name| fs::read(place.join(run).join(name)).unwrap()).into()
}

#[test]
fn a_fit_on_served_devices_is_the_fit_on_that_many_devices() {
    let place = place();
    let place = place.path();
    let (a, b) = (Server::local(place), Server::local(place));
    let settings = [
        SMALL.to_owned(),
        format!("{SMALL} --objective importance --samples 3 --posterior full --input-noise 0"),
        format!("{SMALL} --posterior bernoulli --samples 1 --condition c --quantisation-aware 1"),
        // Large enough for two parts of a batch side by side.
        "--epochs 1 --batch 64 --hidden 300,300 --latent 4 --prior 0".to_owned(),
    ];
    for (index, settings) in settings.iter().enumerate() {
        let run = |name: &str, devices: &str| fitted(place, &format!("{name}{index}"), devices, settings);
        assert!(run("here", "flex") == run("there", &a.address), "{settings}: one device");
        let two = run("two", "flex,flex");
        assert!(two == run("both", &format!("{},{}", a.address, b.address)), "{settings}: two servers");
        assert!(two == run("mixed", &format!("flex,{}", b.address)), "{settings}: one of them here");
    }
}

#[test]
fn a_fit_whose_server_is_killed_goes_on_with_the_others_or_stops_and_says_how_to_go_on() {
    const LONG: &str = "--epochs 100 --patience 100 --batch 8 --hidden 16 --latent 2";
    let place = place();
    let place = place.path();
    for others in ["", ",flex"] {
        let mut server = Server::local(place);
        let run = format!("run{}", others.len());
        let arguments = format!("fit train.csv --out {run} --device {}{others} {LONG}", server.address);
        let running = command(place, &arguments).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let metrics = place.join(&run).join("metrics.csv");
        while !metrics.exists() {
            thread::sleep(Duration::from_millis(5));
        }
        server.kill();
        let output = running.wait_with_output().unwrap();
        let message = message(&output);
        if others.is_empty() {
            let named = format!("the device {} no longer answers", server.address);
            assert_eq!(output.status.code(), Some(1), "{message}");
            assert!(message.contains(&named) && message.contains("--resume"), "{message}");
            let resume = format!("fit train.csv --out {run} --resume");
            let output = command(place, &resume).output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        } else {
            assert!(output.status.success(), "{message}");
            assert!(message.contains(&server.address) && message.contains("repeated on flex"), "{message}");
        }
        let epochs = fs::read_to_string(&metrics).unwrap().lines().count() - 1;
        assert_eq!(epochs, 100);
    }
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_is_written() {
    let place = place();
    let place = place.path();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let plain = Server::local(place);
    let guarded = Server::start(place, "--listen 127.0.0.1:0 --token the.token");
    fs::write(place.join("wrong.token"), "0123\n").unwrap();
    fs::write(place.join("empty.token"), "\n").unwrap();
    // burn's server without operations of ours.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let stranger = format!("ws://{}", other.local_addr().unwrap());
    thread::spawn(|| RemoteServer::new([Device::flex()]).serve(WebSocketTransport::from_listener(other)));
    let id = "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6";

    let cases = [
        (format!("ws://{closed}"), vec!["cannot be used", "vae-train serve"]),
        (guarded.address.clone(), vec!["rejected the credential", "--token"]),
        (format!("{} --token wrong.token", guarded.address), vec!["rejected the credential", "--token"]),
        (format!("{} --token empty.token", guarded.address), vec!["empty.token holds no token"]),
        (format!("{} --token no.token", guarded.address), vec!["cannot read the token no.token"]),
        (stranger, vec!["does not know vae-train's operations", "of this version"]),
        (format!("{0},{0}", plain.address), vec!["twice", "each device once"]),
        (format!("{},ws://localhost:{}", plain.address, plain.address.rsplit(':').next().unwrap()), vec!["twice"]),
        ("ws://192.0.2.1:3000".to_owned(), vec!["nothing is encrypted", "iroh://", "--unencrypted"]),
        ("ws://127.0.0.1".to_owned(), vec!["`127.0.0.1` is no address", "HOST:PORT"]),
        ("http://127.0.0.1:1".to_owned(), vec!["begin with iroh:// or ws://"]),
        ("iroh://127.0.0.1:3000".to_owned(), vec!["iroh://ID@HOST:PORT"]),
        ("iroh://abc@127.0.0.1:3000 --token wrong.token".to_owned(), vec!["`abc` is no server's ID"]),
        (format!("iroh://{id}@127.0.0.1:3000"), vec!["asks for a token", "--token"]),
        (format!("{},{} --free-bits 0.1", plain.address, guarded.address), vec!["rejected the credential"]),
        (format!("{},flex --free-bits 0.1", plain.address), vec!["--free-bits", "one device"]),
        ("flex,gpu".to_owned(), vec!["no device `gpu`"]),
    ];
    for (devices, expected) in cases {
        let output = fit(place, "new", &devices, SMALL);
        let message = message(&output);
        assert_eq!(output.status.code(), Some(1), "{devices}: {message}");
        assert!(expected.iter().all(|part| message.contains(part)), "{devices}: {message}");
        assert!(!place.join("new").exists(), "{devices}");
    }

    let serve = |arguments: &str| command(place, &format!("serve {arguments}")).output().unwrap();
    for (arguments, expected) in [
        ("--listen 0.0.0.0:3999", "--token FILE"),
        ("--listen 0.0.0.0:0 --token the.token", "give a port"),
        ("--listen 127.0.0.1:0 --identity server.key", "leave out --identity"),
        ("--listen 127.0.0.1:0 --token empty.token", "holds no token"),
        ("--device gpu", "no device `gpu`"),
    ] {
        let output = serve(arguments);
        let message = message(&output);
        assert!(output.status.code() == Some(1) && message.contains(expected), "{arguments}: {message}");
    }
}

#[test]
fn a_fit_by_quic_needs_the_token_and_keeps_its_address() {
    let place = place();
    let place = place.path();
    // A port that is free; another process may take it, but hardly in this moment.
    let port = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let serve = format!("--listen 0.0.0.0:{port} --token the.token --identity server.key");
    let reached = |server: &Server| server.address.replace("0.0.0.0", "127.0.0.1");
    let mut server = Server::start(place, &serve);
    let address = reached(&server);
    assert!(address.starts_with("iroh://"), "{address}");
    let settings = format!("{SMALL} --token the.token");
    assert!(fitted(place, "here", "flex,flex", SMALL) == fitted(place, "there", &format!("{address},flex"), &settings));

    fs::write(place.join("wrong.token"), "0123\n").unwrap();
    let output = fit(place, "new", &address, &format!("{SMALL} --token wrong.token"));
    assert!(message(&output).contains("rejected the credential"), "{}", message(&output));

    server.kill();
    let again = Server::start(place, &serve);
    assert_eq!(reached(&again), address, "the identity is kept");
    #[cfg(unix)]
    for secret in ["the.token", "server.key"] {
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(place.join(secret)).unwrap());
        assert_eq!(mode & 0o077, 0, "{secret}");
    }
}
