//! Models of other programs: their scores against PyTorch's, Keras' and an `f64` computation of the same weights.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;
use vae_core::Scratch;
use vae_train::file::model_file::AlignedFile;

use crate::workplace::{fail, run, succeed};

/// Relative to the parts of a score: `f32` loses a few of its 7 digits on the way through the layers.
const ACCURACY: f64 = 2e-6;

const IMPORT: &str = "import weights.safetensors --mapping mapping.toml --normal data.csv --out run";

/// The columns reconstruction and KL of what `score` writes.
fn scores(path: &Path) -> Vec<(f64, f64)> {
    let text = fs::read_to_string(path).unwrap();
    let number = |line: &str, index: usize| line.split(',').nth(index).unwrap().parse().unwrap();
    text.lines().skip(1).map(|line| (number(line, 2), number(line, 3))).collect()
}

/// Imports, exports in `f32` and scores the rows of `data.csv`; all that is expected of a row is within [`ACCURACY`].
fn assert_scores(place: &Path, expected: &[(f64, f64)]) {
    succeed(place, IMPORT);
    succeed(place, "export run --out f32.vae --precision f32");
    succeed(place, "score f32.vae data.csv --out scores.csv");
    let found = scores(&place.join("scores.csv"));
    assert_eq!(found.len(), expected.len());
    let mut largest = 0.0f64;
    for ((reconstruction, kl), expected) in found.iter().zip(expected) {
        let size = 1.0 + expected.0.abs() + expected.1.abs();
        largest = largest.max((reconstruction - expected.0).abs() / size).max((kl - expected.1).abs() / size);
    }
    assert!(largest < ACCURACY, "{}: scores are off by {largest:e} of their parts", place.display());
    println!("{}: scores are off by at most {largest:.1e} of their parts", place.display());
}

/// Runs a script of `tests/python` and compares the scores of each folder that it makes.
fn compare_with(script: &str, python: &str, cases: &[&str]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let root = vae_tests::root();
    let output = Command::new(python)
        .arg(root.join("tests/python").join(script))
        .arg(place.path())
        .arg(root.join("docs/import.md"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for case in cases {
        let place = place.path().join(case);
        let expected: Value = serde_json::from_slice(&fs::read(place.join("scores.json")).unwrap()).unwrap();
        let numbers = |key: &str| expected[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
        assert_scores(&place, &numbers("reconstruction").zip(numbers("kl")).collect::<Vec<_>>());
    }
    place
}

#[test]
fn models_of_pytorch_score_as_they_do_there() {
    let cases = ["rows", "images", "windows", "linear"];
    let Some(python) = vae_tests::python("import torch, safetensors", "torch safetensors") else { return };
    let place = compare_with("import_torch.py", &python, &cases);
    // The linear decoder's ELBO: sigma points are exact, and many samples come near.
    let place = place.path().join("linear");
    let expected: Value = serde_json::from_slice(&fs::read(place.join("scores.json")).unwrap()).unwrap();
    let file = AlignedFile::read(&place.join("f32.vae")).unwrap();
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let text = fs::read_to_string(place.join("data.csv")).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (line, expected) in text.lines().skip(1).zip(expected["expected"].as_array().unwrap()).take(50) {
        let x: Vec<f32> = line.split(',').map(|field| field.parse().unwrap()).collect();
        let expected = expected.as_f64().unwrap();
        let exact = f64::from(model.elbo_sigma_points(&x[..], &mut scratch).unwrap().elbo);
        assert!((exact - expected).abs() < 2e-5 * (1.0 + expected.abs()), "{exact} for {expected}");
        let sampled = f64::from(model.elbo(&x[..], 4000, &mut rng, &mut scratch).unwrap().elbo);
        assert!((sampled - expected).abs() < 0.1 * (1.0 + expected.abs()), "{sampled} for {expected}");
    }
}

#[test]
fn a_model_of_keras_scores_as_it_does_there() {
    let check = "import safetensors; from importlib.util import find_spec as found
assert found('keras') and (found('torch') or found('jax'))";
    let Some(python) = vae_tests::python(check, "keras jax safetensors") else { return };
    compare_with("import_keras.py", &python, &["keras"]);
}

/// Tensors that are written to a safetensors file.
#[derive(Clone, Default)]
struct Weights(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl Weights {
    fn random(shapes: &[(&str, &[usize])], seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tensor = |(name, shape): &(&str, &[usize])| {
            let count = shape.iter().product();
            let values = (0..count).map(|_| rng.random_range(-1.0..1.0f32)).collect();
            ((*name).to_owned(), (shape.to_vec(), values))
        };
        Self(shapes.iter().map(tensor).collect())
    }

    fn set(&mut self, name: &str, shape: &[usize], values: Vec<f32>) {
        self.0.insert(name.to_owned(), (shape.to_vec(), values));
    }

    fn write(&self, path: &Path) {
        let view = |values: &'_ [f32], shape: &[usize]| {
            TensorView::new(Dtype::F32, shape.to_vec(), bytemuck::cast_slice(values)).map(|view| view.data().to_vec())
        };
        let data: Vec<(String, Vec<usize>, Vec<u8>)> = self
            .0
            .iter()
            .map(|(name, (shape, values))| (name.clone(), shape.clone(), view(values, shape).unwrap()))
            .collect();
        let views =
            data.iter().map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap()));
        fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    }

    fn value(&self, name: &str, index: usize) -> f64 {
        f64::from(self.0[name].1[index])
    }

    /// `x K + b` of a kernel as Keras has it, `[inputs, outputs]`.
    fn dense(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let outputs = self.0[&format!("{name}/kernel")].0[1];
        let (kernel, bias) = (format!("{name}/kernel"), format!("{name}/bias"));
        let weight = |input: usize, output: usize| self.value(&kernel, input * outputs + output);
        let sum = |output: usize| x.iter().enumerate().map(|(input, x)| x * weight(input, output)).sum::<f64>();
        (0..outputs).map(|output| sum(output) + self.value(&bias, output)).collect()
    }
}

fn write_rows(path: &Path, names: &str, rows: &[Vec<f32>]) {
    let lines = rows.iter().map(|row| row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n");
    fs::write(path, format!("{names}\n{}", lines.collect::<String>())).unwrap();
}

/// Weights in Keras' layout: a batch normalisation, a swish, a variance that is predicted.
fn keras_layout() -> (Weights, &'static str, Vec<Vec<f32>>) {
    let mut weights = Weights::random(
        &[
            ("a/kernel", &[4, 7]),
            ("a/bias", &[7]),
            ("norm/gamma", &[7]),
            ("norm/beta", &[7]),
            ("norm/mean", &[7]),
            ("z_mean/kernel", &[7, 2]),
            ("z_mean/bias", &[2]),
            ("z_log_var/kernel", &[7, 2]),
            ("z_log_var/bias", &[2]),
            ("b/kernel", &[2, 5]),
            ("b/bias", &[5]),
            ("out/kernel", &[5, 8]),
            ("out/bias", &[8]),
            ("input/mean", &[1, 4]),
            ("optimizer/step", &[1]),
        ],
        3,
    );
    weights.set("norm/variance", &[7], (1..=7).map(|v| v as f32 / 3.0).collect());
    weights.set("input/variance", &[1, 4], vec![0.25, 1.0, 4.0, 9.0]);
    let mapping = r#"
transposed = true
[standardise]
mean = "input/mean"
variance = "input/variance"
[encoder]
layers = [{ weight = "a/kernel", bias = "a/bias", activation = "silu", norm = { weight = "norm/gamma", bias = "norm/beta", mean =
    "norm/mean", variance = "norm/variance", epsilon = 0.001 } }]
mean = { weight = "z_mean/kernel", bias = "z_mean/bias" }
log_variance = { weight = "z_log_var/kernel", bias = "z_log_var/bias" }
[decoder]
layers = [{ weight = "b/kernel", bias = "b/bias", activation = "tanh" }]
mean_and_log_variance = { weight = "out/kernel", bias = "out/bias" }
"#;
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let rows = (0..600).map(|_| (0..4).map(|_| rng.random_range(-4.0..4.0)).collect()).collect();
    (weights, mapping, rows)
}

/// Reconstruction at the mean and KL of that model, by its definition.
fn keras_score(w: &Weights, x: &[f32]) -> (f64, f64) {
    let scale: Vec<f64> = (0..4).map(|i| w.value("input/variance", i).sqrt()).collect();
    let x: Vec<f64> = (0..4).map(|i| (f64::from(x[i]) - w.value("input/mean", i)) / scale[i]).collect();
    let mut h = w.dense("a", &x);
    for (i, v) in h.iter_mut().enumerate() {
        let deviation = (w.value("norm/variance", i) + 0.001).sqrt();
        *v = w.value("norm/gamma", i) * (*v - w.value("norm/mean", i)) / deviation + w.value("norm/beta", i);
        *v /= 1.0 + (-*v).exp();
    }
    let (mean, log_variance) = (w.dense("z_mean", &h), w.dense("z_log_var", &h));
    let kl = mean.iter().zip(&log_variance).map(|(m, v)| 0.5 * (v.exp() + m * m - 1.0 - v)).sum();
    let hidden: Vec<f64> = w.dense("b", &mean).into_iter().map(f64::tanh).collect();
    let out = w.dense("out", &hidden);
    let nats = (0..4).map(|i| {
        let (m, v) = (out[i], out[4 + i]);
        -0.5 * ((x[i] - m).powi(2) * (-v).exp() + v + std::f64::consts::TAU.ln()) - scale[i].ln()
    });
    (nats.sum(), kl)
}

fn keras_place() -> (tempfile::TempDir, Weights, Vec<Vec<f32>>) {
    let place = tempfile::tempdir().unwrap();
    let (weights, mapping, rows) = keras_layout();
    weights.write(&place.path().join("weights.safetensors"));
    fs::write(place.path().join("mapping.toml"), mapping).unwrap();
    write_rows(&place.path().join("data.csv"), "a,b,c,d", &rows);
    (place, weights, rows)
}

#[test]
fn keras_layout_scores_as_its_definition() {
    let (place, weights, rows) = keras_place();
    let expected: Vec<_> = rows.iter().map(|x| keras_score(&weights, x)).collect();
    assert_scores(place.path(), &expected);
}

#[test]
fn an_imported_model_is_calibrated_exported_and_used_as_a_fitted_one() {
    let (place, ..) = keras_place();
    let place = place.path();
    let output = run(place, IMPORT);
    let (text, notes) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(text.contains("mean ELBO") && notes.contains("does not use: `optimizer/step`"), "{text}{notes}");
    succeed(place, "calibrate run --normal data.csv --alarms 100/hour --rate 1 --votes 1/1 --force");
    let rows = fs::read_to_string(place.join("data.csv")).unwrap();
    let labelled = rows.lines().enumerate().map(|(i, row)| match i {
        0 => format!("{row},side\n"),
        i => format!("{row},{}\n", i % 2),
    });
    fs::write(place.join("sides.csv"), labelled.collect::<String>()).unwrap();
    succeed(place, "attribute run sides.csv --label side");
    succeed(place, "export run --out model.vae --safetensors again.safetensors --force");
    let info: Value = serde_json::from_str(&succeed(place, "info model.vae --json")).unwrap();
    assert_eq!(
        (&info["latent"], &info["likelihood"], &info["calibration_windows"]),
        (&2.into(), &"GaussianPredicted".into(), &600.into())
    );
    assert_eq!(
        (&info["attributes"][0], &info["sample_rate"], &info["channels"][3]["name"]),
        (&"side".into(), &1.0.into(), &"d".into())
    );
    assert!(info["data"].as_str().unwrap().starts_with("imported, weights.safetensors crc32 "), "{info}");
    succeed(place, "score model.vae data.csv --out scores.csv");
    succeed(place, "evaluate model.vae sides.csv --label side");
    succeed(place, "generate model.vae -n 3 --out new.csv");
    succeed(place, "diff model.vae model.vae --data data.csv");

    // What a logger writes beside the model's columns; its clock is found without being named.
    let beside = |name: &str, header: &str, fields: &dyn Fn(usize) -> String| {
        let rows = rows.lines().enumerate().map(|(i, row)| match i {
            0 => format!("{header},{row}\n"),
            i => format!("{},{row}\n", fields(i)),
        });
        fs::write(place.join(name), rows.collect::<String>()).unwrap();
    };
    beside("timed.csv", "time", &|i| i.to_string());
    beside("logged.csv", "time,state", &|i| format!("2026-03-09 10:{:02}:{:02},running", i / 60, i % 60));
    let import = "import weights.safetensors --mapping mapping.toml --out timed --force --normal";
    let output = run(place, &format!("{import} timed.csv --json"));
    let notes = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && notes.contains("column `time` tells the time and is left out"), "{notes}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["channels"], serde_json::json!(["a", "b", "c", "d"]));
    assert!(fail(place, &format!("{import} logged.csv")).contains("5 names are columns of the data (`channels` in"));
    let mapping = fs::read_to_string(place.join("mapping.toml")).unwrap();
    let channels =
        |names: &str| fs::write(place.join("mapping.toml"), format!("channels = [{names}]\n{mapping}")).unwrap();
    channels("\"a\", \"b\", \"c\", \"d\"");
    succeed(place, &format!("{import} logged.csv"));
    succeed(place, "calibrate timed --normal logged.csv");
    channels("\"a\", \"b\", \"c\", \"state\"");
    let message = fail(place, &format!("{import} logged.csv"));
    assert!(
        message.contains("`channels` in the mapping names the model's inputs: logged.csv: row 1")
            && message.contains("`running`"),
        "{message}"
    );
    fs::write(place.join("mapping.toml"), mapping).unwrap();

    // A directory holds one or the other.
    assert!(fail(place, IMPORT).contains("--force"));
    succeed(place, &format!("{IMPORT} --force"));
    assert!(fail(place, "fit data.csv --out run --force").contains("holds an imported model"));
    assert!(fail(place, "fit data.csv --out run --resume").contains("no fit to go on with"));
    let message = fail(place, "report run --out report.html --data data.csv");
    assert!(message.contains("run holds an imported model, and report needs a run of fit"), "{message}");
}

#[test]
fn what_does_not_fit_is_named_with_what_was_found_and_expected() {
    let (place, weights, _) = keras_place();
    let place = place.path();
    let mapping = fs::read_to_string(place.join("mapping.toml")).unwrap();
    let refused = |from: &str, to: &str, expected: &[&str]| {
        assert!(mapping.contains(from), "{from}");
        fs::write(place.join("mapping.toml"), mapping.replacen(from, to, 1)).unwrap();
        let message = fail(place, IMPORT);
        assert!(expected.iter().all(|part| message.contains(part)), "{to}: {message}");
        assert!(!place.join("run").exists(), "{to}");
    };
    refused("a/kernel", "c/kernel", &["weights.safetensors has no tensor `c/kernel`: it has `a/bias`, `a/kernel`"]);
    refused(
        "transposed = true",
        "",
        &["tensor `a/bias` has shape [7] where 4 values", "`a/kernel`, [4, 7] without `transposed = true`"],
    );
    refused(
        "z_log_var/kernel",
        "b/kernel",
        &["tensor `b/kernel` has shape [2, 5] where [7, 2] is expected, [inputs, outputs]"],
    );
    refused(
        "\"norm/gamma\"",
        "\"z_mean/bias\"",
        &["tensor `z_mean/bias` has shape [2] where 7 values are expected", "output of `a/kernel`"],
    );
    refused("out/kernel", "a/kernel", &["tensor `a/kernel` has shape [4, 7] where [5, 8] is expected"]);
    refused(
        "transposed = true",
        "transposed = true\nchannels = [\"a\", \"b\"]",
        &["4 inputs", "2 names are in the mapping"],
    );
    refused("transposed = true", "transposed = true\nwindow = 3", &["4 inputs", "`window = 3`"]);
    refused("\"input/variance\"", "[1, 2]", &["variance of standardise has 2 values: give one, 4 (channels)"]);
    refused("\"input/variance\"", "-1", &["a scale is -1: it must be positive"]);
    refused("\"silu\"", "\"gelu\"", &["gelu", "expected one of", "leaky-relu"]);
    refused("\"silu\"", "\"silu\", slope = 0.1", &["`slope` behind `a/kernel` is for the activation leaky-relu"]);
    refused("log_variance =", "log_std =", &["unknown field `log_std`"]);
    refused("mean_and_log_variance", "mean", &["with `mean`, and only with it, give one of `variance`"]);
    refused("mean_and_log_variance", "variance = \"x\"\nmean_and_log_variance", &["with `mean`, and only with it"]);
    let pairs = "mean_and_log_variance = { weight = \"out/kernel\", bias = \"out/bias\" }";
    refused(pairs, "", &["decoder: give one of `logits`, `probabilities`"]);

    fs::write(place.join("mapping.toml"), &mapping).unwrap();
    let mut damaged = weights.clone();
    damaged.0.get_mut("b/bias").unwrap().1[3] = f32::NAN;
    damaged.write(&place.join("weights.safetensors"));
    assert!(fail(place, IMPORT).contains("tensor `b/bias` holds NaN at position 3"));
    for (bytes, expected) in
        [(&b"PK\x03\x04"[..], "a zip archive, as PyTorch's or Keras'"), (b"\x89HDF\r\n", "HDF5"), (b"", "safetensors")]
    {
        fs::write(place.join("weights.safetensors"), bytes).unwrap();
        let message = fail(place, IMPORT);
        assert!(message.contains(expected) && message.contains("docs/import.md"), "{message}");
    }
}
