//! From a table to scores: by `vae-train score`, and by `docs/score.py` from nothing but the exported safetensors file.

use std::{fmt::Write, fs, process::Command};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

use crate::workplace::Workplace;

/// The columns of numbers of a CSV file by their names.
fn columns(text: &str) -> impl Fn(&str) -> Vec<f64> + use<> {
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let rows: Vec<_> = lines.collect();
    move |name| {
        let column = names.iter().position(|column| column == name).unwrap();
        rows.iter().map(|row| row[column].parse().unwrap()).collect()
    }
}

/// Fits by these options, exports, scores `new.csv` both ways, and compares the two.
fn compare(place: &Workplace, python: &str, options: &str) {
    place.succeed(&format!("fit train.csv --out run --hidden 12 --epochs 4 --batch 32 --seed 1 --force {options}"));
    place.succeed("export run --out model.vae --precision f32 --safetensors weights.safetensors --force");
    place.succeed("score model.vae new.csv --out scores.csv --force");
    let script = vae_tests::root().join("docs/score.py");
    let files = ["weights.safetensors", "new.csv"].map(|name| place.path(name));
    let output = Command::new(python).arg(script).args(files).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = columns(std::str::from_utf8(&output.stdout).unwrap());
    let expected = columns(&fs::read_to_string(place.path("scores.csv")).unwrap());
    for name in ["row", "missing"] {
        assert_eq!(found(name), expected(name), "{options}: {name}");
    }
    let size = expected("reconstruction");
    for (name, relative, least) in [
        // Relative to the score's own size: features and the chain of layers lose a few of f32's 7 digits.
        ("elbo", 3e-5, 1e-3),
        ("reconstruction", 3e-5, 1e-3),
        ("kl", 3e-5, 1e-3),
        ("score", 3e-5, 1e-3),
        // What a hundredth of a nat makes of it.
        ("p_value", 0.0, 0.01),
    ] {
        for (row, ((found, expected), size)) in found(name).iter().zip(expected(name)).zip(&size).enumerate() {
            let allowed = relative * size.abs().max(expected.abs()) + least;
            assert!((found - expected).abs() <= allowed, "{options}: {name} of window {row}: {found} for {expected}");
        }
    }
    let lowered = expected("score").iter().zip(expected("elbo")).filter(|(score, elbo)| **score < elbo - 1.0).count();
    assert!(lowered > 0 || options.contains("false"), "{options}: no score was lowered by relations");
}

#[test]
fn numpy_and_an_exported_file_give_the_scores_of_a_table() {
    let Some(python) = vae_tests::python("import numpy", "numpy") else { return };
    let place = Workplace::new();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    // Columns that keep a sum, at a speed; one is far from 0, so that an origin is subtracted from it.
    let mut table = |rows: usize, is_new: bool| {
        let mut text = "sum,speed,a,far,b\n".to_owned();
        for row in 0..rows {
            let [a, b, c, speed] = [(); 4].map(|()| f64::from(standard_normal(&mut rng)));
            let broken = if is_new && row % 5 == 0 { 2.0 } else { 0.0 };
            let gap = is_new && rng.random_bool(0.1);
            let sum = if gap { String::new() } else { format!("{:.5}", a + b + 0.02 * c + broken) };
            writeln!(text, "{sum},{speed:.4},{a:.5},{:.5},{b:.5}", 4e7 + a - b + 0.1 * c).unwrap();
        }
        text
    };
    place.write("train.csv", table(500, false));
    place.write("new.csv", table(120, true));
    compare(&place, &python, "--condition speed");
    compare(
        &place,
        &python,
        "--ignore speed --posterior full --prior 3 --likelihood gaussian-predicted --relations false",
    );
    compare(&place, &python, "--condition speed --likelihood gaussian-covariance --covariance-rank 1");

    // A stream through front-ends.
    let mut stream = |samples: usize| {
        let mut text = "x,y,z\n".to_owned();
        for sample in 0..samples {
            let phase = 0.7 * sample as f64;
            let noise = [(); 3].map(|()| f64::from(standard_normal(&mut rng)));
            let values = [phase.sin() + 0.3 * noise[0], (1.9 * phase).cos() + 0.2 * noise[1], noise[2]];
            writeln!(text, "{:.4},{:.4},{:.4}", values[0], values[1], values[2]).unwrap();
        }
        text
    };
    place.write("train.csv", stream(6000));
    place.write("new.csv", stream(1500));
    compare(
        &place,
        &python,
        "--window 64 --hop 24 --front-end x=statistics,y=bands:6,z=mel:5x3 --rate 1000 --relations false",
    );
}
