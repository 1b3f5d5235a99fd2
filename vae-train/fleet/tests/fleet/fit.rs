//! A fleet's models, by a stand-in for `vae-train`, and by itself where it is there.

use std::{
    collections::HashSet,
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    device::{baseline, motor_model},
    motor::{Condition, Individual},
    program::{printed, refused, vae_fleet},
    recording::{Recording, parquet},
};

/// A fleet of motors in folders, and one that is too short.
pub fn fleet(folder: &Path, machines: usize, rows: usize) {
    for index in 0..machines {
        let recording = Recording::of("", Individual::TYPICAL, 100 + index as u64, &[(Condition::Normal, rows)]);
        parquet(&folder.join(format!("history/machine={index:03}/a.parquet")), &[recording.batch(false)]);
    }
    let short = Recording::of("", Individual::TYPICAL, 1, &[(Condition::Normal, 300)]);
    parquet(&folder.join("history/machine=short/a.parquet"), &[short.batch(false)]);
}

pub fn names(folder: &Path, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

/// A program that makes what `vae-train` would, always the same model, and notes how it was called; it refuses machine 001 while `refuse` is there.
#[cfg(unix)]
pub fn stand_in(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let script = format!(
        "#!/bin/sh
set -e
echo \"$@\" >> '{log}'
case $1 in
--version) echo 'vae-train 0.0.0' ;;
fit) mkdir -p \"$4\"; cp \"$2\" \"$4/table.csv\" ;;
calibrate) cksum < \"$4\" >> '{sums}'; cp \"$4\" \"$2/normal.csv\"; if [ -e '{refuse}' ] && grep -q '^001,' \"$4\"; then echo 'error: too few' >&2; exit 1; fi ;;
export) test -s \"$2/normal.csv\"; cp '{model}' \"$4\" ;;
esac
",
        log = folder.join("log").display(),
        sums = folder.join("sums").display(),
        refuse = folder.join("refuse").display(),
        model = motor_model().display()
    );
    let path = folder.join("stand-in");
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn what_is_done_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fleet(folder, 4, 3000);
    let program = stand_in(folder);
    fs::write(folder.join("refuse"), "").unwrap();
    let arguments = [
        "fit",
        "history/**/*.parquet",
        "--by",
        "machine",
        "--out",
        "models",
        "--sample",
        "4000",
        "--vae-train",
        program.to_str().unwrap(),
    ];
    let summary = printed(folder, &arguments);
    assert!(summary.contains("5 machines, 3 with a model"), "{summary}");
    assert!(
        summary.contains("001: too few") && summary.contains("short: too few rows: 300 of at least 1000"),
        "{summary}"
    );
    assert_eq!(names(&folder.join("models"), ".vae"), ["000.vae", "002.vae", "003.vae"]);
    // The sample: a thousand rows of each that is long enough, from its first half.
    let sample = fs::read_to_string(folder.join("models/base/table.csv")).unwrap();
    assert_eq!(sample.lines().count(), 4001);
    assert!(sample.starts_with("machine,time,x,y,z\n000,"), "{sample:.60}");
    // Again: the base is there, and three models are.
    fs::remove_file(folder.join("refuse")).unwrap();
    fs::remove_file(folder.join("log")).unwrap();
    let summary = printed(folder, &arguments);
    assert!(summary.contains("5 machines, 4 with a model"), "{summary}");
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.starts_with("calibrate")).count(), 1, "{log}");
    assert!(!log.contains("fit "), "{log}");
    // What calibrates is what was not trained on, and nothing is left behind.
    assert_eq!(
        names(&folder.join("models"), ""),
        ["000.vae", "001.vae", "002.vae", "003.vae", "base", "fleet.json", "outcomes", "summary.json"]
    );
    let message = refused(folder, &[&arguments[..], &["--alarms", "1/day"]].concat());
    assert!(message.contains("begun with other settings: alarms"), "{message}");
}

#[cfg(unix)]
#[test]
fn shards_share_a_fleet_and_each_has_models_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fleet(folder, 5, 2000);
    let program = stand_in(folder);
    let fit = |more: &[&str]| {
        let all = ["fit", "history/**/*.parquet", "--by", "machine", "--vae-train", program.to_str().unwrap()];
        [&all[..], more].concat().iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>()
    };
    let call = |more: &[&str]| fit(more);
    let run = |more: &[&str]| printed(folder, &call(more).iter().map(String::as_str).collect::<Vec<_>>());
    let fails = |more: &[&str]| refused(folder, &call(more).iter().map(String::as_str).collect::<Vec<_>>());
    assert!(fails(&["--out", "models", "--shard", "2/2"]).contains("--shard 0/2 first"));
    run(&["--out", "models", "--shard", "0/2"]);
    assert_eq!(names(&folder.join("models"), ".vae").len(), 0);
    let second = run(&["--out", "models", "--shard", "2/2"]);
    assert!(second.contains("6 machines, 2 with a model, 3 not begun"), "{second}");
    let all = run(&["--out", "models", "--shard", "1/2"]);
    assert!(all.contains("6 machines, 5 with a model\n"), "{all}");
    run(&["--out", "each", "--each", "--", "--window", "64"]);
    let log = fs::read_to_string(folder.join("log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.starts_with("fit") && line.contains("--window 64")).count(), 5, "{log}");
    assert!(!folder.join("each/base").exists());
}

#[cfg(unix)]
#[test]
fn a_column_gives_the_tables_that_folders_give() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fleet(folder, 4, 3000);
    let program = stand_in(folder);
    // The same rows in one file, a few of each machine in turn; and with the later half of all first.
    let batches: Vec<_> = (0..4_u64)
        .map(|index| {
            let course = [(Condition::Normal, 3000)];
            Recording::of(&format!("{index:03}"), Individual::TYPICAL, 100 + index, &course).batch(true)
        })
        .collect();
    let turns = |rows: std::ops::Range<usize>| {
        let starts: Vec<usize> = rows.step_by(30).collect();
        starts.into_iter().flat_map(|start| batches.iter().map(move |batch| batch.slice(start, 30))).collect::<Vec<_>>()
    };
    parquet(&folder.join("turns.parquet"), &turns(0..3000));
    parquet(&folder.join("halves.parquet"), &[turns(1500..3000), turns(0..1500)].concat());
    let mut found = Vec::new();
    for (out, history) in [("a", "history/**/*.parquet"), ("b", "turns.parquet"), ("c", "halves.parquet")] {
        let arguments = ["fit", history, "--by", "machine", "--out", out, "--sample", "4000", "--jobs", "1"];
        printed(folder, &[&arguments[..], &["--vae-train", program.to_str().unwrap()]].concat());
        let sums = fs::read_to_string(folder.join("sums")).unwrap();
        let mut sums: Vec<String> = sums.lines().map(str::to_owned).collect();
        sums.sort();
        fs::remove_file(folder.join("sums")).unwrap();
        found.push((sums, fs::read_to_string(folder.join(out).join("base/table.csv")).unwrap()));
        assert_eq!(names(&folder.join(out), ".vae").len(), 4, "{out}");
        assert!(names(&folder.join(out), "").iter().all(|name| !name.starts_with('.')), "nothing is left behind");
    }
    assert_eq!(found[0].0.len(), 4);
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0], found[2]);
}

#[cfg(unix)]
#[test]
fn baselines_are_what_the_devices_would_learn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fleet(folder, 2, 30_000);
    let program = stand_in(folder);
    let call = |out: &'static str, windows: &'static str| {
        let arguments = ["fit", "history/**/*.parquet", "--by", "machine", "--out", out, "--baseline", windows];
        [&arguments[..], &["--vae-train", program.to_str().unwrap()]].concat()
    };
    let output = vae_fleet(folder, &call("models", "400"));
    let summary = fs::read_to_string(folder.join("models/summary.json")).unwrap();
    assert!(output.status.success(), "{summary}");
    let mut found = HashSet::new();
    for index in 0..2_u64 {
        let recording = Recording::of("", Individual::TYPICAL, 100 + index, &[(Condition::Normal, 30_000)]);
        let snapshot = fs::read(folder.join(format!("models/{index:03}.baseline"))).unwrap();
        // Of the rows that calibrate, which are the second half.
        assert_eq!(snapshot, baseline(&recording.samples[15_000..], 400), "{index:03}");
        assert!(found.insert(snapshot), "each machine has its own");
    }
    // A machine without what was asked for has no model either, and what is missing is said.
    let message = refused(folder, &call("long", "1024"));
    assert!(message.contains("no machine has a model"), "{message}");
    let summary = fs::read_to_string(folder.join("long/summary.json")).unwrap();
    assert!(summary.contains("a baseline of 1024 windows is not complete after 15000 rows"), "{summary}");
    assert_eq!(names(&folder.join("long"), ".vae").len() + names(&folder.join("long"), ".baseline").len(), 0);
    refused(folder, &call("short", "2"));
    let summary = fs::read_to_string(folder.join("short/summary.json")).unwrap();
    assert!(summary.contains("a baseline of its own cannot be learnt"), "{summary}");
    assert!(refused(folder, &call("models", "401")).contains("begun with other settings: baseline"));
}

/// `vae-train`, where the workspace beside this one has built it, or where `VAE_TRAIN` says.
fn vae_train() -> Option<PathBuf> {
    let given = env::var_os("VAE_TRAIN").map(PathBuf::from);
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target"));
    let built = ["release", "debug"].map(|profile| root.join(profile).join("vae-train"));
    given.or_else(|| built.into_iter().find(|path| path.is_file()))
}

#[test]
fn the_trainers_models_judge_their_machines() {
    let Some(program) = vae_train() else {
        eprintln!("SKIPPED: no vae-train: cargo build -p vae-train --bin vae-train, or VAE_TRAIN=…");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fleet(folder, 3, 24_000);
    let arguments = [
        "fit",
        "history/**/*.parquet",
        "--by",
        "machine",
        "--out",
        "models",
        "--jobs",
        "2",
        "--vae-train",
        program.to_str().unwrap(),
        "--",
    ];
    let options = ["--window", "32", "--hop", "32", "--hidden", "16", "--latent", "2", "--epochs", "2"];
    let summary = printed(folder, &[&arguments[..], &options].concat());
    assert!(summary.contains("4 machines, 3 with a model") && summary.contains("short: too few rows"), "{summary}");
    let mut fingerprints = HashSet::new();
    for name in names(&folder.join("models"), ".vae") {
        let model = format!("models/{name}");
        let pattern = format!("history/machine={}/*.parquet", name.trim_end_matches(".vae"));
        let found: Value =
            serde_json::from_str(&printed(folder, &["backtest", &model, &pattern, "--by", "machine", "--json"]))
                .unwrap();
        assert_eq!(found["machines"][0]["windows"], 24_000 / 32, "{found}");
        assert!(
            fingerprints.insert(found["fingerprint"].as_u64().unwrap()),
            "each machine has its own calibration: {found}"
        );
    }
}
