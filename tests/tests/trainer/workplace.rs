//! A directory in which tests run the trainer as its users do.
#![allow(dead_code, reason = "no test needs all of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

/// The trainer.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_vae-train-under-test");

/// A directory to work in; relative paths of commands start there.
pub(crate) struct Workplace(pub(crate) tempfile::TempDir);

impl Workplace {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.path(name), contents).unwrap();
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        command(self.0.path(), arguments)
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        run(self.0.path(), arguments)
    }

    /// Runs a command that must succeed; returns its standard output.
    pub(crate) fn succeed(&self, arguments: &str) -> String {
        succeed(self.0.path(), arguments)
    }

    pub(crate) fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.succeed(&format!("{arguments} --json"))).unwrap()
    }

    /// Runs a command that must fail with exit code 1; returns its message.
    pub(crate) fn fail(&self, arguments: &str) -> String {
        fail(self.0.path(), arguments)
    }
}

/// The trainer with these arguments in that directory.
fn command(directory: &Path, arguments: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments.split_whitespace()).current_dir(directory).stdin(Stdio::null());
    command
}

pub(crate) fn run(directory: &Path, arguments: &str) -> Output {
    command(directory, arguments).output().unwrap()
}

/// Runs a command that must succeed; returns its standard output.
pub(crate) fn succeed(directory: &Path, arguments: &str) -> String {
    let output = run(directory, arguments);
    assert!(output.status.success(), "{arguments}: {}", message(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command that must fail with exit code 1; returns its message.
pub(crate) fn fail(directory: &Path, arguments: &str) -> String {
    let output = run(directory, arguments);
    let message = message(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments}: {message}");
    assert!(message.contains("error: ") && !message.contains("panicked"), "{message}");
    message
}

/// What a program has written to standard error.
pub(crate) fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file below a directory with its contents, and every directory.
pub(crate) fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let contents = if path.is_dir() {
            found.extend(files(&path));
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        found.push((path, contents));
    }
    found.sort();
    found
}
