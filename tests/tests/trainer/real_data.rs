//! Real tables, where `VAE_DATA` says that there are some.

use std::{path::PathBuf, process::Command};

use serde_json::Value;
use tempfile::TempDir;
use vae_tests::{real_data, real_data_file};
use vae_train::statistics::uniformity::Uniformity;

fn run(arguments: &[&str]) -> Value {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vae-train-under-test")).args(arguments).arg("--json").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A model of a table, fitted with no setting but the label.
struct Fitted {
    name: &'static str,
    data: PathBuf,
    place: TempDir,
}

impl Fitted {
    fn of(name: &'static str) -> Option<Self> {
        let fitted = Self { name, data: real_data(name)?, place: tempfile::tempdir().unwrap() };
        run(&["fit", &fitted.file("train.csv"), "--label", "label", "--out", &fitted.path("run")]);
        Some(fitted)
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str) -> String {
        self.data.join(name).to_str().unwrap().to_owned()
    }

    /// Exported in both precisions, it must reach `least` in int8 and stay close to that in f32.
    fn reaches(&self, least: f64) {
        let auroc = |precision: &str| {
            let model = self.path(&format!("{precision}.vae"));
            run(&["export", &self.path("run"), "--out", &model, "--precision", precision]);
            run(&["evaluate", &model, &self.file("test.csv"), "--label", "label"])["auroc"].as_f64().unwrap()
        };
        let (name, int8, f32) = (self.name, auroc("int8"), auroc("f32"));
        println!("{name}: AUROC int8 {int8:.4}, f32 {f32:.4}");
        assert!(int8 >= least, "{name}: AUROC {int8} is below {least}");
        assert!((int8 - f32).abs() <= 0.005, "{name}: int8 {int8}, f32 {f32}");
    }
}

fn check(name: &'static str, least: f64) {
    if let Some(fitted) = Fitted::of(name) {
        fitted.reaches(least);
    }
}

#[test]
fn cardio() {
    check("cardio", 0.91);
}

#[test]
fn optdigits() {
    check("optdigits", 0.96);
}

/// Heart beats, a sample a column: the best of the baselines in the data's README has 0.989, on average of three seeds. This is one of
/// ours; seeds 0, 1 and 2 have 0.993, 0.991 and 0.980.
#[test]
fn ecg5000() {
    check("ecg5000", 0.989);
}

/// A fan's vibration in 32 raw samples of three axes, whose fault lowers the energy: a Gaussian mixture has 0.950.
#[test]
fn fan_low_raw32() {
    check("fan_low_raw32", 0.950);
}

/// The same fan in log-band features: 1.000 to three digits, as all others.
#[test]
fn fan_low() {
    check("fan_low", 0.9995);
}

impl Fitted {
    /// Held-out normal rows have uniform p-values by a calibration of the fit's validation rows: Kolmogorov–Smirnov at 1 %. The epoch was chosen
    /// by those rows, which has not shown in any of the tables.
    fn has_uniform_p_values(&self) {
        let (model, scores) = (self.path("model.vae"), self.path("scores.csv"));
        let exported = run(&["export", &self.path("run"), "--out", &model]);
        let test = self.file("test.csv");
        run(&["score", &model, &test, "--label", "label", "--out", &scores, "--samples", "1"]);
        let fields = |path: &str, column: &str| -> Vec<f64> {
            let text = std::fs::read_to_string(path).unwrap();
            let index = text.lines().next().unwrap().split(',').position(|name| name == column).unwrap();
            text.lines().skip(1).map(|line| line.split(',').nth(index).unwrap().parse().unwrap()).collect()
        };
        let scored = fields(&scores, "p_value").into_iter().zip(fields(&test, "label"));
        let p_values: Vec<f64> = scored.filter(|(_, label)| *label == 0.0).map(|(p_value, _)| p_value).collect();
        let distance = Uniformity::of(&p_values).unwrap().distance;
        // The calibration is a sample as well: of two samples, n is n m / (n + m). 1.6276 is exceeded by chance once in a hundred.
        let (n, m) = (p_values.len() as f64, exported["calibration_windows"].as_f64().unwrap());
        let root = (n * m / (n + m)).sqrt();
        let largest = 1.6276 / (root + 0.12 + 0.11 / root);
        let name = self.name;
        println!("{name}: {n} rows by {m}: distance {distance:.4} of at most {largest:.4}");
        assert!(distance < largest, "{name}: {distance} is more than {largest}, of {n} rows by {m}");
    }
}

fn check_p_values(name: &'static str) {
    if let Some(fitted) = Fitted::of(name) {
        fitted.has_uniform_p_values();
    }
}

#[test]
fn p_values_of_pendigits_are_uniform() {
    check_p_values("pendigits");
}

#[test]
fn p_values_of_annthyroid_are_uniform() {
    check_p_values("annthyroid");
}

#[test]
fn satellite() {
    let Some(fitted) = Fitted::of("satellite") else { return };
    fitted.reaches(0.835);
    fitted.has_uniform_p_values();
}

#[test]
fn p_values_of_mnist_are_uniform() {
    check_p_values("mnist");
}

/// A file of each part of SKAB by its own protocol, with the recipe that is measured on all 34 by
/// `cargo run --release -p vae-tests --bin skab -- $VAE_DATA/public/skab` (some minutes).
#[test]
fn three_experiments_of_skab() {
    let files = ["valve1/0.csv", "valve2/1.csv", "other/9.csv"];
    let Some(data) = real_data_file("skab", files[0]) else { return };
    let place = tempfile::tempdir().unwrap();
    for file in files {
        std::fs::create_dir_all(place.path().join(file).parent().unwrap()).unwrap();
        std::fs::copy(data.join(file), place.path().join(file)).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_skab")).arg(place.path()).args(["--seeds", "1"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    let int8: Vec<&str> = text.lines().find(|line| line.contains("int8")).unwrap().split_whitespace().collect();
    let [f1, pooled] = [2, 5].map(|column| int8[column].parse::<f64>().unwrap());
    // To call all rows anomalous has an F1 of 0.69 here; one seed has 0.819 and 0.863.
    assert!(f1 > 0.77 && pooled > 0.83, "{text}");
}

#[test]
fn only_series_ask_for_a_window() {
    let tables = ["cardio", "satellite", "optdigits", "letter", "mnist", "annthyroid", "shuttle", "waveform"];
    let series = ["smd_machine_1_6", "asd_omi_8"];
    for (name, is_series) in tables.map(|name| (name, false)).into_iter().chain(series.map(|name| (name, true))) {
        let Some(data) = real_data(name) else { continue };
        let suggestion = &run(&["inspect", data.join("train.csv").to_str().unwrap()])["suggestion"];
        assert_eq!(suggestion["window"].as_u64().unwrap() > 1, is_series, "{name}: {suggestion}");
    }
}

/// An hour and a half for each model on a core: run it with
/// `VAE_DATA=… cargo test --release -p vae-tests --test trainer real_data -- --ignored --nocapture`.
#[test]
#[ignore = "trains for hours"]
fn mnist_is_explained_as_well_as_the_literature_says() {
    let Some(data) = real_data_file("mnist28", "train-images-idx3-ubyte.gz") else { return };
    let file = |name: &str| data.join(name).to_str().unwrap().to_owned();
    // With four and nine times as many epochs, and smaller batches, Burda et al. (2016) come to −86.76 and −85.54.
    for (options, least) in [("--epochs 800", -88.3), ("--epochs 350 --objective importance --samples 5", -87.5)] {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
        let (images, directory) = (file("train-images-idx3-ubyte.gz"), path("run"));
        let mut arguments = vec!["fit", &images, "--out", &directory];
        let fit = format!(
            "--likelihood bernoulli --binarise dynamic --hidden 200,200 --latent 50 --activation tanh --batch 100 --validation 0.02 \
             --prior 0 --learning-rate 0.002 --last-rate 0.00001 {options}"
        );
        arguments.extend(fit.split_whitespace());
        run(&arguments);
        run(&["export", &directory, "--out", &path("mnist.vae"), "--precision", "f32"]);
        let test = file("t10k-images-idx3-ubyte.gz");
        let report = run(&["evaluate", &path("mnist.vae"), &test, "--likelihood", "--binarise", "--windows", "2500"]);
        println!("{report:#}");
        let log_likelihood = report["importance_weighted"][3][1]["mean"].as_f64().unwrap();
        assert!(log_likelihood > least - 1.0, "2,500 images have a standard error near 0.5: {log_likelihood}");
    }
}
