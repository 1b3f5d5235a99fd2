//! Two processes on one machine: one lends its device, the other trains on it.
#![cfg(feature = "remote")]

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

const BINARY: &str = env!("CARGO_BIN_EXE_vae-train");

/// A server that ends with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_fit_on_a_served_device_is_the_fit_on_that_device() {
    let place = tempfile::tempdir().unwrap();
    let rows: String = (0..200).map(|i| format!("{},{}\n", (i * 37) % 101, (i * 37) % 101 + i % 7)).collect();
    fs::write(place.path().join("train.csv"), format!("a,b\n{rows}")).unwrap();

    let mut server = Command::new(BINARY);
    let mut server = Server(server.args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stderr.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.split_whitespace().last().unwrap();
    assert!(address.starts_with("ws://127.0.0.1:"), "{line}");

    let fit = |run: &str, device: &str| -> Output {
        let fit = format!("fit train.csv --out {run} --epochs 3 --batch 32 --hidden 8 --latent 2 --device {device}");
        Command::new(BINARY).args(fit.split_whitespace()).current_dir(place.path()).output().unwrap()
    };
    for (run, device) in [("here", "flex"), ("there", address)] {
        let output = fit(run, device);
        assert!(output.status.success(), "{device}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let metrics = |run: &str| fs::read_to_string(place.path().join(run).join("metrics.csv")).unwrap();
    assert_eq!(metrics("here"), metrics("there"), "the same backend gives the same numbers");

    drop(server);
    let output = fit("late", address);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && message.contains("vae-train serve"), "{message}");
}
