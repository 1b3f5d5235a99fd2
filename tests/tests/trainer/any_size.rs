//! Tables of any size: fits by way of a scratch file, and what else reads them in memory that does not grow with them.

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Output, Stdio},
    thread::sleep,
    time::Duration,
};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::workplace::{BINARY, Workplace, message};

/// A fit that is over soon.
const FIT: &str = "--epochs 6 --patience 6 --batch 256 --hidden 8 --latent 2";

impl Workplace {
    /// With so many rows of `columns` that depend on each other, at times with a gap behind each 1,000 rows, and labels of which 1 in 500 is 1.
    fn with_recording(name: &str, rows: usize, columns: usize) -> Self {
        let place = Self::new();
        place.record(name, rows, columns);
        place
    }

    fn record(&self, name: &str, rows: usize, columns: usize) {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let names: Vec<String> = (0..columns).map(|column| format!("c{column}")).collect();
        let mut table = format!("time,{},label\n", names.join(","));
        for row in 0..rows {
            let level: f32 = rng.random_range(-1.0..1.0);
            write!(table, "{:.2}", 0.01 * row as f64 + 5.0 * (row / 1000) as f64).unwrap();
            for column in 0..columns {
                let noise: f32 = rng.random_range(-0.2..0.2);
                write!(table, ",{:.4}", (1 + column) as f32 * level + noise).unwrap();
            }
            writeln!(table, ",{}", u8::from(row % 500 == 250)).unwrap();
        }
        self.write(name, table);
    }

    /// What lies here, by name.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path(".")).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn exported(&self, run: &str) -> Vec<u8> {
        self.succeed(&format!("export {run} --force --out {run}.vae"));
        fs::read(self.path(&format!("{run}.vae"))).unwrap()
    }
}

/// What a fit said of where its windows are.
fn goes_through_a_scratch_file(output: &Output) -> bool {
    message(output).contains("they go through a scratch file")
}

fn succeed(place: &Workplace, arguments: &str) -> Output {
    let output = place.run(arguments);
    assert!(output.status.success(), "{arguments}: {}", message(&output));
    output
}

#[test]
fn a_fit_from_one_block_of_a_scratch_file_is_the_fit_in_memory_bit_for_bit() {
    let place = Workplace::with_recording("train.csv", 3000, 3);
    for (index, settings) in
        ["", "--window 16 --hop 4 --purpose density", "--window 8 --condition c2 --purpose density"].iter().enumerate()
    {
        let (memory, blocks) = (format!("memory{index}"), format!("blocks{index}"));
        let in_memory = succeed(&place, &format!("fit train.csv {FIT} {settings} --out {memory}"));
        assert!(!goes_through_a_scratch_file(&in_memory));
        let in_blocks = succeed(&place, &format!("fit train.csv {FIT} {settings} --out {blocks} --memory 10KiB"));
        assert!(goes_through_a_scratch_file(&in_blocks), "{}", message(&in_blocks));
        assert!(place.exported(&memory) == place.exported(&blocks), "{settings}");
        let told = |run: &str| -> serde_json::Value {
            let mut summary: serde_json::Value =
                serde_json::from_slice(&fs::read(place.path(run).join("summary.json")).unwrap()).unwrap();
            let fields = summary.as_object_mut().unwrap();
            assert!(fields.remove("run").is_some() && fields.remove("notes").is_some());
            summary
        };
        assert_eq!(told(&memory), told(&blocks), "{settings}");
    }
    // What fits is not spooled, whatever may be.
    assert!(!goes_through_a_scratch_file(&succeed(&place, &format!("fit train.csv {FIT} --out fits --memory 1GiB"))));
}

#[test]
fn a_fit_from_many_blocks_has_one_result_and_a_killed_one_goes_on_to_it() {
    // Blocks of 256 KiB, of 9 values a row, are 7,281 rows.
    let place = Workplace::with_recording("train.csv", 40_000, 8);
    let fit = format!("fit train.csv {FIT} --purpose density --memory 1MiB");
    let first = succeed(&place, &format!("{fit} --out a"));
    assert!(goes_through_a_scratch_file(&first) && message(&first).contains("6 block(s) of a scratch file"));
    place.succeed(&format!("{fit} --out b"));
    let expected = place.exported("a");
    assert!(expected == place.exported("b"), "the same seed and another file");
    place.succeed(&format!("{fit} --out other --seed 1"));
    assert!(expected != place.exported("other"));

    let mut child = place.command(&format!("{fit} --out killed")).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = place.path("killed/checkpoint.bin");
    while !checkpoint.exists() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // Of a scratch file nothing is left, whatever ends the program.
    assert!(place.names().iter().all(|name| !name.starts_with('.')), "{:?}", place.names());
    place.succeed("fit train.csv --out killed --resume");
    assert!(expected == place.exported("killed"), "a resumed fit differs from an uninterrupted one");
    // Another table is refused as ever.
    place.record("test.csv", 39_000, 8);
    assert!(
        place.fail("fit test.csv --out killed --resume").contains("is not what the run in killed was started with")
    );
}

#[test]
fn what_is_done_in_memory_only_and_a_full_disk_are_said_and_leave_nothing() {
    let place = Workplace::with_recording("train.csv", 3000, 3);
    for (settings, expected) in [
        ("--window 16 --front-end statistics", "--front-end is for tables that fit into memory"),
        ("--drift 1", "--drift is for tables that fit into memory"),
        ("--trim", "--trim is for tables that fit into memory"),
        ("--likelihood bernoulli", "--likelihood bernoulli is for tables that fit into memory"),
        ("--group c1", "does not fit into --memory: give more, or save it as CSV or Parquet"),
    ] {
        let message = place.fail(&format!("fit train.csv {FIT} {settings} --memory 10KiB --out new"));
        assert!(message.contains(expected) && !place.path("new").exists(), "{settings}: {message}");
    }
    let script =
        format!("trap '' XFSZ; exec prlimit --fsize=20000 \"$0\" fit train.csv {FIT} --memory 10KiB --out new");
    let output = Command::new("bash").args(["-c", &script, BINARY]).current_dir(place.path(".")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message(&output).contains("the scratch file ends at 0 rows of 16 bytes, as there is no room for more"));
    assert_eq!(place.names(), ["train.csv"]);
}

/// The most memory that a command takes, in bytes.
fn peak(place: &Workplace, arguments: &str) -> f64 {
    let mut child = place.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    while child.try_wait().unwrap().is_none() {
        let words = fs::read_to_string(&status).unwrap_or_default();
        let line = words.lines().find(|line| line.starts_with("VmHWM:"));
        let own = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
        peak = peak.max(1024.0 * own.unwrap_or(0.0));
        sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success(), "{arguments}");
    peak
}

#[test]
fn a_fit_from_a_scratch_file_takes_memory_that_does_not_grow_with_the_table() {
    // Each has more windows than an epoch, and more held-out ones than are kept.
    const ROWS: usize = 1_300_000;
    let place = Workplace::with_recording("small.csv", ROWS, 2);
    place.record("large.csv", 2 * ROWS, 2);
    let fit = "--epochs 1 --batch 4096 --hidden 4 --latent 1 --purpose density --memory 1MiB --out";
    let [small, large] = ["small", "large"].map(|name| peak(&place, &format!("fit {name}.csv {fit} {name}")));
    // Two values of 32 bits, a time of 64 and three indices would be more than 40 bytes a row.
    assert!(large - small < 16.0 * ROWS as f64, "{small} and {large} bytes");
    println!("peaks: {small} bytes of {ROWS} rows, {large} of twice as many");
}

#[test]
fn what_reads_a_table_takes_memory_that_does_not_grow_with_it() {
    // Each has portions enough that one is read, one judged and one written, and values enough to fill what inspect has room for.
    const ROWS: usize = 350_000;
    let place = Workplace::with_recording("train.csv", 3000, 8);
    place.succeed(&format!("fit train.csv {FIT} --purpose density --out run"));
    place.succeed("export run --out model.vae");
    place.succeed(&format!("fit train.csv {FIT} --window 8 --hop 8 --purpose density --out windows"));
    let commands = [
        "score model.vae new.csv --samples 1 --force --out scores.csv",
        "calibrate windows --normal new.csv --force",
        "evaluate model.vae new.csv",
        "inspect new.csv",
    ];
    let peaks = [ROWS, 4 * ROWS].map(|rows| {
        place.record("new.csv", rows, 8);
        commands.map(|command| peak(&place, command))
    });
    for (command, [small, large]) in commands.iter().zip([0, 1, 2, 3].map(|index| peaks.map(|of| of[index]))) {
        println!("{command}: {small} bytes of {ROWS} rows, {large} of four times as many");
        // The rows that are more are 32 bytes each, and what is told of them a hundred.
        assert!(large - small < 16.0 * (3 * ROWS) as f64, "{command}: {small} and {large} bytes");
    }
    // What calibrate keeps of a window are some forty bytes, and of a row a bit; and a full disk leaves the run as it was.
    let before = fs::read(place.path("windows/normal.bin")).unwrap();
    let script = "trap '' XFSZ; exec prlimit --fsize=1000000 \"$0\" calibrate windows --normal new.csv --force";
    let output = Command::new("bash").args(["-c", script, BINARY]).current_dir(place.path(".")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(message(&output).contains("the scratch file ends at 0 rows of 32 bytes"), "{}", message(&output));
    assert!(before == fs::read(place.path("windows/normal.bin")).unwrap());
    assert!(place.names().iter().all(|name| !name.starts_with('.')), "{:?}", place.names());
}

#[test]
fn a_table_in_portions_is_calibrated_inspected_and_evaluated_as_one_in_memory() {
    // An array is read as a whole, and the text of the same numbers in three portions.
    const ROWS: usize = 900_000;
    let place = Workplace::with_recording("train.csv", 3000, 4);
    let (mut rng, mut text, mut array) = (ChaCha8Rng::seed_from_u64(12), String::from("x0,x1,x2,x3,x4\n"), Vec::new());
    for row in 0..ROWS {
        let level: f32 = rng.random_range(-1.0..1.0);
        let is_event = (row / 60).is_multiple_of(400) && row > 60;
        for column in 0..4 {
            let noise: f32 = rng.random_range(-0.2..0.2);
            let value = (1 + column) as f32 * level + noise + if is_event { 3.0 } else { 0.0 };
            // What is missing, and a sensor that is stuck for a while.
            let value = if row % 4001 == 7 { f32::NAN } else { value };
            let value = if column == 2 && (500_000..500_300).contains(&row) { 0.25 } else { value };
            let shown = if value.is_nan() { String::new() } else { value.to_string() };
            write!(text, "{shown},").unwrap();
            array.extend(value.to_le_bytes());
        }
        writeln!(text, "{}", u8::from(is_event)).unwrap();
        array.extend(f32::from(u8::from(is_event)).to_le_bytes());
    }
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, 5), }}\n");
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    place.write("new.npy", [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &array].concat());
    place.write("new.csv", text);
    place.write(
        "train.csv",
        fs::read_to_string(place.path("train.csv")).unwrap().replacen("c0,c1,c2,c3", "x0,x1,x2,x3", 1),
    );
    for (index, settings) in ["--window 8 --hop 8", "--window 6 --hop 40"].iter().enumerate() {
        let fit = format!("fit train.csv {FIT} {settings} --purpose density --out");
        let calibrated = ["npy", "csv"].map(|kind| {
            let run = format!("{kind}{index}");
            place.succeed(&format!("{fit} {run}"));
            let normal = format!("--normal new.{kind} --label x4 --rate 50 --alarms 20/hour --force");
            let mut told = place.json(&format!("calibrate {run} {normal}"));
            let fields = told.as_object_mut().unwrap();
            assert!(fields.remove("run").is_some() && fields.remove("notes").is_some());
            fields.remove("refusal");
            (told, place.exported(&run))
        });
        assert_eq!(calibrated[0].0, calibrated[1].0, "{settings}");
        assert!(calibrated[0].1 == calibrated[1].1, "{settings}: the same data and other models");
        let evaluate = |kind: &str| place.json(&format!("evaluate npy{index}.vae new.{kind} --label x4"));
        let [of_array, of_text] = ["npy", "csv"].map(evaluate);
        assert!(of_array["events"]["events"].as_array().unwrap().len() > 30, "{}", of_array["events"]);
        assert_eq!(of_array, of_text, "{settings}");
    }
    let [of_array, of_text] = ["npy", "csv"].map(|kind| {
        let mut told = place.json(&format!("inspect new.{kind} --label x4"));
        let fields = told.as_object_mut().unwrap();
        assert!(fields.remove("file").is_some() && fields.remove("notes").is_some());
        told
    });
    assert_eq!(of_array, of_text);
    assert!(!of_array["columns"][2]["stuck"].is_null());
}

#[test]
fn a_table_that_is_scored_in_portions_has_the_scores_of_its_pieces_by_themselves() {
    // Portions of 4 MiB, of 10 columns, are 104,857 rows; pieces of 1,000 rows begin anew.
    let place = Workplace::with_recording("train.csv", 3000, 8);
    place.succeed(&format!("fit train.csv {FIT} --window 8 --hop 8 --purpose density --out run"));
    place.succeed("export run --out model.vae");
    place.record("long.csv", 112_000, 8);
    place.succeed("score model.vae long.csv --samples 1 --out all.csv");
    let all = fs::read_to_string(place.path("all.csv")).unwrap();
    // Of the pieces about the end of the first portion.
    let text = fs::read_to_string(place.path("long.csv")).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let fields = |line: &str, row: usize| -> Vec<String> {
        // Draws are by the window's number in the file.
        let kept = line.split(',').enumerate().filter(|(column, _)| ![4, 10].contains(column));
        let mut fields: Vec<String> = kept.map(|(_, field)| field.to_owned()).collect();
        fields[0] = (fields[0].parse::<usize>().unwrap() + row).to_string();
        fields
    };
    for piece in [0, 103, 104, 105, 111] {
        let own = &rows[piece * 1000..(piece + 1) * 1000];
        place.write("piece.csv", format!("{header}\n{}\n", own.join("\n")));
        place.succeed("score model.vae piece.csv --samples 1 --force --out piece-scores.csv");
        let alone = fs::read_to_string(place.path("piece-scores.csv")).unwrap();
        let found: Vec<_> = all.lines().skip(1 + piece * 125).take(125).map(|line| fields(line, 0)).collect();
        let expected: Vec<_> = alone.lines().skip(1).map(|line| fields(line, piece * 1000)).collect();
        assert_eq!(found, expected, "piece {piece}");
    }
    assert_eq!(all.lines().count(), 1 + 112 * 125);
}
