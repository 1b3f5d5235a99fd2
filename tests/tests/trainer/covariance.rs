//! `fit --likelihood gaussian-covariance`: features that vary together otherwise from `z` to `z`, beside their true density.

use std::fs;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

use crate::workplace::Workplace;

/// Standard deviation of each value's own noise.
const OWN: f64 = 0.2;

/// Mean and loadings of the four values at `z`: the first two go around a circle, which no factor does, and tell z; the last goes with the third
/// the more, the greater z is.
fn at(z: f64) -> ([f64; 4], [f64; 4]) {
    let angle = 1.2 * z;
    ([2.0 * angle.cos(), 2.0 * angle.sin(), 0.0, 0.5 * z], [0.0, 0.0, 1.0, 1.0 + (2.0 * z).tanh()])
}

/// Rows of `x = μ(z) + u(z) w + 0.2 ε`.
fn rows(count: usize, seed: u64) -> Vec<[f64; 4]> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || f64::from(standard_normal(&mut rng));
    (0..count)
        .map(|_| {
            let ((mean, loadings), w) = (at(normal()), normal());
            [0, 1, 2, 3].map(|j| mean[j] + loadings[j] * w + OWN * normal())
        })
        .collect()
}

fn table(rows: &[[f64; 4]]) -> String {
    let line = |row: &[f64; 4]| format!("{:.5},{:.5},{:.5},{:.5}\n", row[0], row[1], row[2], row[3]);
    "a,b,c,d\n".to_owned() + &rows.iter().map(line).collect::<String>()
}

/// `ln p(x)`, by the trapezoidal rule over z. Of a single factor the inverse and the determinant are those of Sherman and Morrison.
fn log_density(x: &[f64; 4]) -> f64 {
    const STEP: f64 = 0.005;
    let total: f64 = (-1400..=1400)
        .map(|place| {
            let z = f64::from(place) * STEP;
            let (mean, loadings) = at(z);
            let own = OWN * OWN;
            let [square, along, shared] = (0..4).fold([0.0; 3], |[square, along, shared], j| {
                let off = x[j] - mean[j];
                [square + off * off / own, along + loadings[j] * off / own, shared + loadings[j] * loadings[j] / own]
            });
            let log_determinant = 4.0 * own.ln() + shared.ln_1p();
            let quadratic = square - along * along / (1.0 + shared) + z * z;
            STEP * (-0.5 * (quadratic + log_determinant + 5.0 * std::f64::consts::TAU.ln())).exp()
        })
        .sum();
    total.ln()
}

#[test]
fn what_varies_together_otherwise_from_z_to_z_is_learnt_as_it_is() {
    const TEST: usize = 600;
    let place = Workplace::new();
    let test = rows(TEST, 2);
    place.write("train.csv", table(&rows(3000, 1)));
    place.write("test.csv", table(&test));
    let truth = test.iter().map(log_density).sum::<f64>() / TEST as f64;
    let nats = |likelihood: &str| {
        place.succeed(&format!(
            "fit train.csv --out {likelihood} --purpose density --likelihood {likelihood} --covariance-rank 1 --latent 1 --prior 0 \
             --hidden 32,32 --epochs 60 --batch 50 --learning-rate 0.005 --seed 4"
        ));
        place.succeed(&format!("export {likelihood} --precision f32 --out {likelihood}.vae"));
        let report = place.json(&format!("evaluate {likelihood}.vae test.csv --likelihood --windows {TEST}"));
        report["importance_weighted"][2][1]["mean"].as_f64().unwrap()
    };
    let (together, apart) = (nats("gaussian-covariance"), nats("gaussian-predicted"));
    println!("ln p(x) of a row: {truth:.3} in truth, {together:.3} with a covariance, {apart:.3} with variances");
    // What independent features lose at a z, `½ (Σ ln Σⱼⱼ − ln |Σ|)`, is up to a nat and a half.
    assert!(together > apart + 0.5, "{together} {apart}");
    assert!(together > truth - 0.25 && together < truth + 0.05, "{together} {truth}");

    let info = place.succeed("info gaussian-covariance.vae");
    assert!(info.contains("GaussianCovariance(1)"), "{info}");
    // What is made up goes together on one side of the circle, and hardly on the other.
    place.succeed("generate gaussian-covariance.vae -n 2000 --sample --out made.csv --seed 1");
    let text = fs::read_to_string(place.path("made.csv")).unwrap();
    let made = text.lines().skip(1).map(|line| line.split(',').map(|x| x.parse::<f64>().unwrap()).collect::<Vec<_>>());
    let (right, left): (Vec<_>, Vec<_>) = made.filter(|row| row[1].abs() > 1.0).partition(|row| row[1] > 0.0);
    let correlation = |rows: &[Vec<f64>]| {
        let mean = |of: &dyn Fn(&[f64]) -> f64| rows.iter().map(|row| of(row)).sum::<f64>() / rows.len() as f64;
        let (c, d) = (mean(&|row| row[2]), mean(&|row| row[3]));
        let product = |i: usize, j: usize| mean(&|row| row[i] * row[j]);
        (product(2, 3) - c * d) / ((product(2, 2) - c * c) * (product(3, 3) - d * d)).sqrt()
    };
    let found = (correlation(&right), correlation(&left));
    assert!(found.0 > 0.85 && found.1 < 0.6, "{found:?}");
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
