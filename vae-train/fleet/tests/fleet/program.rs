//! Runs the program.

use std::{
    path::Path,
    process::{Command, Output},
};

/// The program in this folder, with these arguments.
pub fn vae_fleet(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vae-fleet")).current_dir(folder).args(arguments).output().unwrap()
}

/// What it prints; it must succeed.
pub fn printed(folder: &Path, arguments: &[&str]) -> String {
    let output = vae_fleet(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Its message; it must fail, by exit code 1 and in its own words.
pub fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = vae_fleet(folder, arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {message}{}", String::from_utf8_lossy(&output.stdout));
    assert!(message.contains("error: "), "{message}");
    message
}
