//! The trainer as a second face of the program that judges it, so that nothing else has to be built or found.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};

/// First argument that makes the program the trainer.
const TRAINER: &str = "vae-train";

/// What `main` returns: the program's outcome, or the trainer's where [`trainer`] has started this process.
pub fn program_or_trainer(program: impl FnOnce() -> Result<()>) -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(TRAINER) {
        return vae_train::cli::run(std::env::args_os().skip(1));
    }
    match program() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The trainer's command line, of a program that starts with [`program_or_trainer`].
#[must_use]
pub fn trainer() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap_or_default());
    command.arg(TRAINER);
    command
}

/// What a command prints.
///
/// # Errors
/// Says what it says of its failure.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().context("the trainer cannot be started")?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
