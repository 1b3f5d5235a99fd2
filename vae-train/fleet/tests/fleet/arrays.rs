//! The job arrays of docs/scale.md, as they stand there: its scripts are run, with stand-ins for Slurm's `sbatch` and for `vae-train`.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use crate::fit::{fleet, names, stand_in};

const PAGE: &str = include_str!("../../../../docs/scale.md");
/// Parts in the documentation's examples.
const PARTS: usize = 16;

/// Runs what was submitted: a command, or a script once for each index of its array, as a job that depends on the one before it.
const SBATCH: &str = r#"#!/bin/bash
set -e
if [ "$1" = --parsable ] && [ "$2" = --wrap ]; then
    bash -c "$3" >&2
    echo 7
elif [ "$1" = --dependency=afterok:7 ]; then
    range=$(sed -n 's/^#SBATCH --array=\([0-9-]*\) .*/\1/p' "$2")
    export SLURM_ARRAY_TASK_MAX=${range#*-}
    for SLURM_ARRAY_TASK_ID in $(seq "${range%-*}" "$SLURM_ARRAY_TASK_MAX"); do
        SLURM_ARRAY_TASK_ID=$SLURM_ARRAY_TASK_ID bash "$2"
    done
else
    echo "sbatch: $*" >&2
    exit 1
fi
"#;

/// The page's block of this language that has this text in it.
fn block(language: &str, text: &str) -> &'static str {
    let fence = format!("```{language}\n");
    let blocks = PAGE.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    let mut fitting = blocks.filter(|block| block.contains(text));
    fitting.next().unwrap_or_else(|| panic!("docs/scale.md has no block of {language} with {text}"))
}

/// Writes a program for the scripts to find.
fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a script in which `/plant` is this folder, where the programs are.
fn run(folder: &Path, script: &str, variables: &[(&str, String)]) -> Output {
    let path = format!("{}:{}", folder.join("bin").display(), env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-e", "-c", &script.replace("/plant/", &format!("{}/", folder.display()))]).current_dir(folder);
    command.env("PATH", path).envs(variables.iter().cloned()).output().unwrap()
}

/// A plant with five machines that are long enough, and the programs.
fn plant(folder: &Path) {
    fleet(folder, 5, 2000);
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    fs::rename(stand_in(folder), bin.join("vae-train")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_vae-fleet"), bin.join("vae-fleet")).unwrap();
    program(&bin.join("sbatch"), SBATCH);
}

fn check(folder: &Path, output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(names(&folder.join("models"), ".vae").len(), 5, "{said}");
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.starts_with("fit ")).count(), 1, "one base model: {log}");
    assert_eq!(log.lines().filter(|line| line.starts_with("calibrate ")).count(), 5, "each machine once: {log}");
}

#[test]
fn slurms_array_is_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    plant(folder);
    let array = block("bash", "#SBATCH --array");
    fs::write(folder.join("fleet.sh"), array.replace("/plant/", &format!("{}/", folder.display()))).unwrap();
    check(folder, &run(folder, block("bash", "sbatch --parsable"), &[]));
}

#[test]
fn kubernetes_indices_are_as_documented() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    plant(folder);
    let job = block("yaml", "completionMode: Indexed");
    assert!(job.contains(&format!("completions: {PARTS}\n")), "{job}");
    let command = job.split("args: [\"").nth(1).and_then(|rest| rest.split("\"]").next()).unwrap();
    let base = command.split(" --shard ").next().unwrap();
    let mut output = run(folder, &format!("{base} --shard 0/{PARTS}"), &[]);
    for index in 0..PARTS {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output = run(folder, command, &[("JOB_COMPLETION_INDEX", index.to_string())]);
        // A part that has no machine of six says so, and is no failure of the job.
    }
    check(folder, &output);
}
