//! Changes that are small beside the values they are of: of a column that never varies, and of one with a large offset.

use std::{fmt::Write as _, fs};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use serde_json::Value;
use vae_tests::tables::npy;
use vae_train::file::model_file::AlignedFile;

use crate::workplace::Workplace;

/// Rows of three sensors, and of a setpoint that is what is said.
fn with_setpoint(seed: u64, rows: usize, setpoint: &str) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = "a,setpoint,b,c\n".to_owned();
    for row in 0..rows {
        let phase = 0.2 * row as f64;
        let mut noise = || 0.1 * rng.random_range(-1.0..1.0);
        let (a, b, c) = (phase.sin() + noise(), 300.0 + 20.0 * phase.cos() + noise(), 2.0 * phase.sin() + noise());
        writeln!(text, "{a:.4},{setpoint},{b:.4},{c:.4}").unwrap();
    }
    text
}

#[test]
fn a_constant_column_that_moves_by_what_the_message_says_is_an_anomaly_whatever_the_model() {
    let place = Workplace::new();
    place.write("train.csv", with_setpoint(1, 1500, "50.0"));
    // The least change that is promised is 50/16384, in two digits; a last digit of f32 is 50 + 2^-18.
    for (name, setpoint) in [("same", "50.0"), ("rounded", "50.000003815"), ("above", "50.0032"), ("below", "49.9968")]
    {
        place.write(&format!("{name}.csv"), with_setpoint(2, 300, setpoint));
    }
    let inspected = place.succeed("inspect train.csv");
    assert!(inspected.contains("will count as an anomaly: `setpoint` by 0.0031"), "{inspected}");
    for likelihood in ["gaussian", "gaussian-fixed", "gaussian-predicted"] {
        for (window, hop) in [(1, 1), (16, 4)] {
            let fit =
                format!("fit train.csv --out run --force --likelihood {likelihood} --window {window} --hop {hop}");
            let output = place.run(&format!("{fit} --epochs 15 --batch 32 --hidden 16 --latent 2"));
            let notes = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && notes.contains("`setpoint` by 0.0031"), "{notes}");
            for precision in ["f32", "int8"] {
                place.succeed(&format!("export run --out model.vae --force --precision {precision}"));
                let anomalous = |name: &str| {
                    let scored = place.json(&format!("score model.vae {name}.csv --out scores.csv --force"));
                    let count = |key: &str| scored[key].as_f64().unwrap();
                    count("anomalies") / count("windows")
                };
                let case = format!("{likelihood}, windows of {window}, {precision}");
                assert!(anomalous("same") < 0.15 && anomalous("rounded") < 0.15, "{case}");
                assert_eq!((anomalous("above"), anomalous("below")), (1.0, 1.0), "{case}");
            }
        }
    }
}

/// An oscillator's frequency about `offset`, in quarters of a hertz, and what it depends on; where the last rows are faulty, it does not.
fn oscillator(seed: u64, rows: usize, faulty: usize, offset: f64) -> Vec<[f64; 3]> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let row = |row: usize| {
        let [load, noise, other]: [f64; 3] = std::array::from_fn(|_| rng.random_range(-4.0..4.0));
        let is_faulty = row >= rows - faulty;
        let frequency = (4.0 * (if is_faulty { other } else { load } + 0.1 * noise)).round() / 4.0;
        [offset + frequency, (64.0 * load).round() / 64.0, f64::from(u8::from(is_faulty))]
    };
    (0..rows).map(row).collect()
}

fn csv(rows: &[[f64; 3]]) -> String {
    let lines = rows.iter().map(|[f, load, label]| format!("{f},{load},{label}\n"));
    format!("freq_hz,load,label\n{}", lines.collect::<String>())
}

const FIT: &str = "--epochs 20 --batch 32 --hidden 16 --latent 2 --learning-rate 0.01 --force";

#[test]
fn small_changes_of_a_large_value_are_judged_as_if_they_stood_alone() {
    let place = Workplace::new();
    let mut evaluated = Vec::new();
    for (name, offset) in [("alone", 0.0), ("mega", 9_999_980.0), ("giga", 2e9)] {
        place.write(&format!("{name}.csv"), csv(&oscillator(1, 1500, 0, offset)));
        place.write(&format!("{name}-test.csv"), csv(&oscillator(2, 400, 200, offset)));
        place.write(&format!("{name}-holdout.csv"), csv(&oscillator(3, 3000, 0, offset)));
        let notes = String::from_utf8(place.run(&format!("fit {name}.csv --out {name} {FIT}")).stderr).unwrap();
        assert_eq!(notes.contains("`freq_hz` less "), offset != 0.0, "{notes}");
        let calibrate =
            format!("calibrate {name} --normal {name}-holdout.csv --rate 1 --alarms 60/hour --votes 1/1 --force");
        place.succeed(&format!("{calibrate} --range freq_hz={}:{}", offset - 256.0, offset + 256.0));
        place.succeed(&format!("export {name} --out {name}.vae"));
        let mut evaluation = place.json(&format!("evaluate {name}.vae {name}-test.csv"));
        assert!(evaluation["auroc"].as_f64().unwrap() > 0.9, "{evaluation}");
        for key in ["model", "data", "run"] {
            evaluation.as_object_mut().unwrap().remove(key);
        }
        evaluated.push(evaluation);
        let info = place.json(&format!("info {name}.vae"));
        let channel = &info["channels"][0];
        let number = |value: &Value| value.as_f64().unwrap();
        assert!((number(&channel["origin"]) - offset).abs() <= 4.0, "{channel}");
        assert!((number(&channel["mean"]) - offset).abs() < 1.0, "{channel}");
        assert_eq!(channel["range"], serde_json::json!([offset - 256.0, offset + 256.0]));
        place.succeed(&format!("generate {name}.vae --out made.csv --force -n 20"));
        let made = fs::read_to_string(place.path("made.csv")).unwrap();
        let mut made = made.lines().skip(1).map(|line| line.split(',').next().unwrap().parse::<f64>().unwrap());
        assert!(made.all(|value| (value - offset).abs() < 40.0));
    }
    // Origins are about medians, and only nearly those of the others: 2e9, and ten times a million and some.
    for other in &evaluated[1..] {
        let auroc = |of: &Value| of["auroc"].as_f64().unwrap();
        assert!((auroc(other) - auroc(&evaluated[0])).abs() < 0.02, "{evaluated:?}");
    }
    // What the device reads.
    let aligned = AlignedFile::read(&place.path("mega.vae")).unwrap();
    let model = aligned.model().unwrap();
    let origin: i32 = model.card().unwrap().origin("freq_hz").unwrap().parse().unwrap();
    assert!((9_999_970..=9_999_990).contains(&origin) && model.card().unwrap().origin("load").is_none());
}

#[test]
fn files_of_any_format_and_beginning_are_brought_to_the_model_s_origin() {
    let place = Workplace::new();
    place.write("train.csv", csv(&oscillator(1, 1500, 0, 1e8)));
    place.succeed(&format!("fit train.csv --out run {FIT}"));
    place.succeed("export run --out model.vae");
    // A file about one level, and one that begins about another, of which it says so; and an array.
    let (usual, far) = (oscillator(2, 100, 0, 1e8), oscillator(4, 100, 0, 1e8 + 50.0));
    place.write("far.csv", csv(&far));
    place.write("both.csv", csv(&[usual, far.clone()].concat()));
    let doubles: Vec<u8> = far.iter().flat_map(|[f, load, _]| [*f, *load]).flat_map(f64::to_le_bytes).collect();
    place.write("far.npy", npy("<f8", false, "(100, 2)", &doubles));
    let elbos = |data: &str, rows: std::ops::Range<usize>| -> Vec<String> {
        place.succeed(&format!("score model.vae {data} --out scores.csv --force"));
        let text = fs::read_to_string(place.path("scores.csv")).unwrap();
        text.lines()
            .skip(1)
            .skip(rows.start)
            .take(rows.len())
            .map(|line| line.split(',').nth(1).unwrap().to_owned())
            .collect()
    };
    let alone = elbos("far.csv", 0..100);
    assert!(alone.len() == 100 && alone == elbos("both.csv", 100..200));
    // The model of an array knows its columns by other names.
    place.succeed(&format!("fit far.npy --out array {FIT}"));
    place.succeed("export array --out array.vae");
    let metrics = place.json("info array.vae")["metrics"].to_string();
    assert!(metrics.contains("origin 1000000") && metrics.contains(" x0"), "{metrics}");
    // Two models of different origins are each given what is theirs: the second knows the level at which the first sees a fault.
    place.write("moved.csv", csv(&oscillator(1, 1500, 0, 1e8 + 50.0)));
    place.succeed(&format!("fit moved.csv --out moved {FIT}"));
    place.succeed("export moved --out moved.vae");
    let scores = &place.json("diff model.vae moved.vae --data far.csv")["scores"];
    assert!(scores["no_longer_anomalous"].as_u64().unwrap() >= 90, "{scores}");
    // Files that are fitted together have one origin.
    let notes = String::from_utf8(place.run(&format!("fit train.csv far.csv --out two {FIT}")).stderr).unwrap();
    assert!(notes.contains("`freq_hz` less 100000000"), "{notes}");
    let inspected = place.succeed("inspect train.csv");
    assert!(inspected.contains("it is taken less 100000000, which the model keeps"), "{inspected}");
    assert!(!inspected.contains("is always"), "{inspected}");
}
