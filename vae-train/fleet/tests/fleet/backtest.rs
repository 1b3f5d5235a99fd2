//! A fleet's past, judged.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

use crate::{
    device::{motor_model, verdicts},
    motor::{Condition, Individual, SAMPLE_RATE},
    program::{printed, refused},
    recording::{Recording, parquet},
};

/// A well machine, one that is faulty for a while, one whose sensor is stuck, one of another kind, one that is too short, one with gaps.
fn fleet() -> Vec<Recording> {
    let normal =
        |machine: &str, seed, rows| Recording::of(machine, Individual::TYPICAL, seed, &[(Condition::Normal, rows)]);
    let faulty = [(Condition::Normal, 4000), (Condition::Imbalance, 3200), (Condition::Normal, 4000)];
    let stuck = [(Condition::Normal, 4000), (Condition::StuckSensor, 3200), (Condition::Normal, 4000)];
    let loud = Individual { gain: 1.5, noise: 0.12, ..Individual::TYPICAL };
    vec![
        normal("well", 11, 12_000),
        Recording::of("faulty", Individual::TYPICAL, 12, &faulty),
        Recording::of("stuck", Individual::TYPICAL, 13, &stuck),
        Recording::of("other", loud, 14, &[(Condition::Normal, 12_000)]),
        normal("short", 15, 63),
        normal("gaps", 16, 12_000).without(3000..3160).without(7000..7001),
    ]
}

fn in_folders(folder: &Path, fleet: &[Recording]) {
    for recording in fleet {
        // Two files, whose names are not in the order of time.
        let (batch, half) = (recording.batch(false), recording.times.len() / 2);
        let place = folder.join(format!("machine={}", recording.machine));
        parquet(&place.join("b.parquet"), &[batch.slice(0, half)]);
        parquet(&place.join("a.parquet"), &[batch.slice(half, batch.num_rows() - half)]);
    }
}

fn backtest(folder: &Path, arguments: &[&str]) -> Value {
    let model = motor_model();
    let mut all = vec!["backtest", model.to_str().unwrap()];
    all.extend(arguments);
    all.push("--json");
    serde_json::from_str(&printed(folder, &all)).unwrap()
}

fn machine<'v>(found: &'v Value, name: &str) -> &'v Value {
    found["machines"].as_array().unwrap().iter().find(|machine| machine["machine"] == name).unwrap()
}

/// Against what the device says of each recording.
fn check(found: &Value, fleet: &[Recording]) {
    for recording in fleet {
        let said = verdicts(recording);
        let machine = machine(found, &recording.machine);
        assert_eq!(machine["rows"], recording.times.len());
        assert_eq!(machine["windows"], said.len());
        let (mut alarms, mut was_raised) = (Vec::new(), false);
        for (row, _, is_raised) in &said {
            if *is_raised && !was_raised {
                alarms.push(recording.seconds().nth(*row).unwrap());
            }
            was_raised = *is_raised;
        }
        assert_eq!(machine["alarms"]["raised"], alarms.len());
        let times: Vec<f64> =
            machine["alarm_times"].as_array().unwrap().iter().map(|time| time.as_f64().unwrap()).collect();
        assert_eq!(times, alarms);
        let faults = said.iter().filter(|(_, verdict, _)| matches!(verdict, vae_core::Verdict::SensorFault(_))).count();
        assert_eq!(
            machine["faults"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>(),
            faults as u64
        );
    }
}

#[test]
fn machines_in_folders_are_judged_as_by_their_devices() {
    let (folder, fleet) = (tempfile::tempdir().unwrap(), fleet());
    in_folders(folder.path(), &fleet);
    let found = backtest(folder.path(), &["**/*.parquet", "--by", "machine"]);
    check(&found, &fleet);
    assert_eq!(found["fleet"]["machines"], fleet.len());
    assert_eq!(machine(&found, "well")["needs_baseline"], Value::Null);
    assert!(machine(&found, "other")["needs_baseline"].is_string(), "{}", machine(&found, "other"));
    assert!(machine(&found, "stuck")["faults"]["x stuck"].as_u64().unwrap() > 10);
    assert!(machine(&found, "short")["remarks"][0].as_str().unwrap().contains("too few rows"));
    let gaps = machine(&found, "gaps");
    assert_eq!(gaps["gaps"], 2);
    assert!((gaps["missing_seconds"].as_f64().unwrap() - 161.0 / f64::from(SAMPLE_RATE)).abs() < 1e-6, "{gaps}");
    for recording in &fleet {
        assert_eq!(
            machine(&found, &recording.machine)["was_sorted"],
            false,
            "files are read in the order of their first times"
        );
    }
}

#[test]
fn machines_in_a_column_are_judged_as_by_their_devices() {
    let (folder, fleet) = (tempfile::tempdir().unwrap(), fleet());
    let batches: Vec<_> = fleet.iter().map(|recording| recording.batch(true)).collect();
    // In turns, a few rows of each.
    let longest = fleet.iter().map(|recording| recording.times.len()).max().unwrap();
    let turns = (0..longest).step_by(7).flat_map(|start| {
        let has = batches.iter().filter(move |batch| start < batch.num_rows());
        has.map(move |batch| batch.slice(start, 7.min(batch.num_rows() - start)))
    });
    parquet(&folder.path().join("all.parquet"), &turns.collect::<Vec<_>>());
    for jobs in ["1", "3"] {
        let found = backtest(folder.path(), &["all.parquet", "--by", "machine", "--jobs", jobs]);
        check(&found, &fleet);
        assert_eq!(machine(&found, "well")["was_sorted"], false);
    }
}

#[test]
fn rows_out_of_order_are_sorted_within_the_memory() {
    let (folder, fleet) = (tempfile::tempdir().unwrap(), fleet());
    // 600,000 rows more, so that sorting them takes more memory than is given.
    let long = Recording::of("long", Individual::TYPICAL, 17, &[(Condition::Normal, 600_000)]);
    let reversed = |recording: &Recording| {
        let batch = recording.batch(true);
        let half = batch.num_rows() / 2;
        [batch.slice(half, batch.num_rows() - half), batch.slice(0, half)]
    };
    let fleet: Vec<Recording> = fleet.into_iter().chain([long]).collect();
    parquet(&folder.path().join("all.parquet"), &fleet.iter().flat_map(reversed).collect::<Vec<_>>());
    let found = backtest(folder.path(), &["all.parquet", "--by", "machine", "--memory", "32MiB", "--jobs", "2"]);
    check(&found, &fleet);
    assert_eq!(machine(&found, "well")["was_sorted"], true);
}

#[test]
fn text_is_judged_and_what_differs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::of("0007", Individual::TYPICAL, 18, &[(Condition::Normal, 3000)]);
    recording.csv(&folder.path().join("a.csv"));
    fs::write(folder.path().join("b.csv"), "machine,time,x,y\n0008,0,1,2\n").unwrap();
    fs::write(folder.path().join("c.csv"), "machine,time,x,y,z\n0009,0,1,2,broken\n").unwrap();
    let found = backtest(folder.path(), &["*.csv", "--by", "machine"]);
    assert_eq!(machine(&found, "0007")["windows"], verdicts(&recording).len());
    let left_out = found["left_out"].as_array().unwrap();
    let reason = |index: usize| left_out[index]["reason"].as_str().unwrap();
    assert!(reason(0).contains("no column z"), "{left_out:?}");
    assert!(reason(1).contains("z is of type"), "{left_out:?}");
}

#[test]
fn the_page_names_the_machines_and_is_not_overwritten() {
    let (folder, fleet) = (tempfile::tempdir().unwrap(), fleet());
    in_folders(folder.path(), &fleet);
    let (folder, model) = (folder.path(), motor_model());
    let model = model.to_str().unwrap();
    let arguments = ["backtest", model, ".", "--by", "machine", "--alarms", "1/week", "--out", "page.html"];
    let summary = printed(folder, &arguments);
    assert!(summary.contains("1/week a machine asked for") && summary.contains("with 90 % confidence"), "{summary}");
    assert!(summary.contains("other") && summary.contains("needs a baseline of its own"), "{summary}");
    let page = fs::read_to_string(folder.join("page.html")).unwrap();
    for recording in &fleet {
        assert!(page.contains(&format!(">{}</th>", recording.machine)), "{}", recording.machine);
    }
    assert!(refused(folder, &arguments).contains("--force"));
}

/// Compressed by gzip, if the program knows it.
#[test]
fn compressed_text_is_judged_or_said_to_need_another_build() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::of("0007", Individual::TYPICAL, 19, &[(Condition::Normal, 3000)]);
    let path = folder.path().join("a.csv");
    recording.csv(&path);
    let mut gzip = Command::new("gzip");
    if !gzip.arg(&path).status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no gzip");
        return;
    }
    if cfg!(feature = "compression") {
        let found = backtest(folder.path(), &["*.csv.gz", "--by", "machine"]);
        assert_eq!(machine(&found, "0007")["windows"], verdicts(&recording).len());
    } else {
        let model = motor_model();
        let message = refused(folder.path(), &["backtest", model.to_str().unwrap(), "*.csv.gz", "--by", "machine"]);
        assert!(message.contains("--features compression"), "{message}");
    }
}
