//! Real tables, where `VAE_DATA` says that there are some.

use std::process::Command;

use serde_json::Value;
use vae_tests::real_data;

fn run(arguments: &[&str]) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vae-train-under-test")).args(arguments).arg("--json").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Fits, exports in both precisions and evaluates; the int8 model must reach `least` and stay close to the f32 one.
fn check(name: &str, least: f64) {
    let Some(data) = real_data(name) else { return };
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let file = |name: &str| data.join(name).to_str().unwrap().to_owned();
    run(&["fit", &file("train.csv"), "--label", "label", "--out", &path("run")]);
    let auroc = |precision: &str| {
        let model = path(&format!("{precision}.vae"));
        run(&["export", &path("run"), "--out", &model, "--precision", precision]);
        run(&["evaluate", &model, &file("test.csv"), "--label", "label"])["auroc"].as_f64().unwrap()
    };
    let (int8, f32) = (auroc("int8"), auroc("f32"));
    println!("{name}: AUROC int8 {int8:.4}, f32 {f32:.4}");
    assert!(int8 >= least, "{name}: AUROC {int8} is below {least}");
    assert!((int8 - f32).abs() <= 0.005, "{name}: int8 {int8}, f32 {f32}");
}

#[test]
fn cardio() {
    check("cardio", 0.90);
}

#[test]
fn satellite() {
    check("satellite", 0.80);
}

#[test]
fn optdigits() {
    check("optdigits", 0.85);
}
