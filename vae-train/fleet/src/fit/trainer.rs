//! The program that fits, a process for each step.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// Characters of the program's message that a line of the summary has room for.
const MESSAGE: usize = 600;

/// `vae-train`.
#[derive(Clone, Debug)]
pub struct Trainer {
    program: PathBuf,
    /// Threads of each process.
    threads: usize,
}

impl Trainer {
    /// The program that is given, or that beside this one, or that on the path.
    ///
    /// # Errors
    /// If there is none, or it does not run.
    pub fn find(given: Option<&Path>, threads: usize) -> Result<Self> {
        let name = format!("vae-train{}", env::consts::EXE_SUFFIX);
        let beside =
            env::current_exe().ok().and_then(|path| Some(path.parent()?.join(&name))).filter(|path| path.is_file());
        let program = given.map(Path::to_owned).or(beside).unwrap_or_else(|| PathBuf::from(&name));
        let output = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
        let output = output.with_context(|| {
            format!(
                "cannot run {}: put vae-train beside this program or on the PATH, or give --vae-train",
                program.display()
            )
        })?;
        let says = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && says.starts_with("vae-train "),
            "{} is not vae-train: asked for its version it says {:?}",
            program.display(),
            says.trim()
        );
        Ok(Self { program, threads: threads.max(1) })
    }

    /// Runs it with these arguments to its end.
    ///
    /// # Errors
    /// If it fails: with its own message.
    pub fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("RAYON_NUM_THREADS", self.threads.to_string());
        let output = command.stdin(Stdio::null()).output();
        let output = output.with_context(|| format!("cannot run {}", self.program.display()))?;
        if output.status.success() {
            return Ok(());
        }
        bail!("{}", message(&String::from_utf8_lossy(&output.stderr), &output.status.to_string()))
    }
}

/// What the program says is wrong; how it ended, where it says nothing.
fn message(stderr: &str, status: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let error: Vec<&str> = lines().skip_while(|line| !line.starts_with("error: ")).collect();
    let text = if error.is_empty() {
        lines().next_back().map_or_else(|| format!("vae-train ended with {status}"), str::to_owned)
    } else {
        error.join(" ").trim_start_matches("error: ").to_owned()
    };
    crate::words::foreign::short(&text, MESSAGE).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_error_is_the_reason() {
        let said = "note: no --rate\nerror: machine.csv: too short\n  give more\n";
        assert_eq!(message(said, "exit status: 1"), "machine.csv: too short give more");
        assert_eq!(message("", "signal: 9 (SIGKILL)"), "vae-train ended with signal: 9 (SIGKILL)");
        assert_eq!(message("thread panicked\n", "exit status: 101"), "thread panicked");
    }
}
