//! `fit --likelihood gaussian-covariance`: features that vary together otherwise from load to load, beside their true density.

use std::fs;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

use crate::workplace::Workplace;

/// Standard deviation of each value's own noise.
const OWN: f64 = 0.3;

/// Means of four values at a load, and the loadings of each on the factor that it shares with its neighbour: the second goes with the first the more,
/// and the fourth with the third the less, the greater the load is.
fn at(load: f64) -> ([f64; 4], [f64; 4]) {
    let more = 1.0 + (2.0 * load).tanh();
    ([load, 0.0, 0.5 * load * load, 0.0], [1.0, more, 1.0, 2.0 - more])
}

/// Rows of four values and their load.
fn rows(count: usize, seed: u64) -> Vec<[f64; 5]> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || f64::from(standard_normal(&mut rng));
    (0..count)
        .map(|_| {
            let (load, factors) = (normal(), [normal(), normal()]);
            let (mean, loadings) = at(load);
            let mut value = |j: usize| mean[j] + loadings[j] * factors[j / 2] + OWN * normal();
            [value(0), value(1), value(2), value(3), load]
        })
        .collect()
}

fn table(rows: &[[f64; 5]]) -> String {
    let line = |[a, b, c, d, load]: &[f64; 5]| format!("{a:.5},{b:.5},{c:.5},{d:.5},{load:.5}\n");
    "a,b,c,d,load\n".to_owned() + &rows.iter().map(line).collect::<String>()
}

/// `ln p(values|load)`: two Gaussians of two values each.
fn log_density(row: &[f64; 5]) -> f64 {
    let (mean, loadings) = at(row[4]);
    let of_pair = |i: usize| {
        let ([x, y], [u, v]) = ([row[i] - mean[i], row[i + 1] - mean[i + 1]], [loadings[i], loadings[i + 1]]);
        let (a, b, c) = (u * u + OWN * OWN, u * v, v * v + OWN * OWN);
        let determinant = a * c - b * b;
        let quadratic = (c * x * x - 2.0 * b * x * y + a * y * y) / determinant;
        -0.5 * (quadratic + determinant.ln()) - std::f64::consts::TAU.ln()
    };
    of_pair(0) + of_pair(2)
}

#[test]
fn what_varies_together_otherwise_from_load_to_load_is_learnt_as_it_is() {
    const TEST: usize = 600;
    let place = Workplace::new();
    let test = rows(TEST, 2);
    place.write("train.csv", table(&rows(3000, 1)));
    place.write("test.csv", table(&test));
    let truth = test.iter().map(log_density).sum::<f64>() / TEST as f64;
    // One latent dimension can be one of the factors, but not both.
    let nats = |likelihood: &str| {
        place.succeed(&format!(
            "fit train.csv --out {likelihood} --purpose density --condition load --likelihood {likelihood} --latent 1 --prior 0 \
             --hidden 32,32 --epochs 40 --batch 50 --learning-rate 0.005 --seed 4"
        ));
        place.succeed(&format!("export {likelihood} --precision f32 --out {likelihood}.vae"));
        let report = place.json(&format!("evaluate {likelihood}.vae test.csv --likelihood --windows {TEST}"));
        report["importance_weighted"][2][1]["mean"].as_f64().unwrap()
    };
    let (together, apart) = (nats("gaussian-covariance"), nats("gaussian-predicted"));
    println!("ln p(x|load) of a row: {truth:.3} in truth, {together:.3} with a covariance, {apart:.3} with variances");
    // What a pair of independent values loses, `½ (Σ ln Σⱼⱼ − ln |Σ|)`, is up to 1.1 nats.
    assert!(together > apart + 0.3, "{together} {apart}");
    assert!(together > truth - 0.2 && together < truth + 0.05, "{together} {truth}");

    let info = place.succeed("info gaussian-covariance.vae");
    assert!(info.contains("GaussianCovariance(2)"), "{info}");
    // What is made up goes together at a high load, and hardly at a low one.
    let correlation = |load: &str| {
        place.succeed(&format!(
            "generate gaussian-covariance.vae -n 2000 --sample --condition load={load} --out made{load}.csv --seed 1"
        ));
        let text = fs::read_to_string(place.path(&format!("made{load}.csv"))).unwrap();
        let rows = text.lines().skip(1).map(|line| line.split(',').map(|x| x.parse().unwrap()).collect());
        let rows: Vec<Vec<f64>> = rows.collect();
        let mean = |of: &dyn Fn(&[f64]) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / rows.len() as f64;
        let (a, b) = (mean(&|row| row[0]), mean(&|row| row[1]));
        let product = |i: usize, j: usize| mean(&|row| row[i] * row[j]);
        (product(0, 1) - a * b) / ((product(0, 0) - a * a) * (product(1, 1) - b * b)).sqrt()
    };
    // 0.95 and 0.11 in truth.
    let found = (correlation("1"), correlation("-1"));
    assert!(found.0 > 0.85 && found.1 < 0.4, "{found:?}");
}

#[test]
fn a_rank_is_given_in_a_file_or_as_an_option_and_others_are_refused() {
    let place = Workplace::new();
    place.write("train.csv", table(&rows(300, 3)));
    place.write("vae.toml", "likelihood = \"gaussian-covariance\"\n[model]\ncovariance_rank = 4\n");
    place.succeed("fit train.csv --out run --config vae.toml --epochs 2");
    place.succeed("fit train.csv --out run --resume");
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    assert!(config.contains("likelihood = \"gaussian-covariance\"\ncovariance_rank = 4\n"), "{config}");
    place.succeed("export run --out model.vae");
    assert!(place.succeed("info model.vae").contains("GaussianCovariance(4)"));
    place.succeed("score model.vae train.csv --out scores.csv");
    let message = place.fail("fit train.csv --out other --config vae.toml --covariance-rank 3");
    assert!(message.contains("covariance_rank 3: give one of [1, 2, 4, 6, 10, 14]"), "{message}");
}
