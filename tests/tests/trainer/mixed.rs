//! Tables in which states stand beside numbers: `fit --column`, and what the other verbs make of it.

use std::fs;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::standard_normal;

use crate::workplace::Workplace;

/// States of a made-up plant, how often it is in each, its power and how often the valve is open there.
const STATES: [(&str, f64, f32, f64); 3] =
    [("run", 0.6, 5.0, 0.95), ("idle", 0.3, 1.0, 0.05), ("purge", 0.1, 3.0, 0.9)];

/// Rows of a plant whose power depends on its state, and its flow on its power. Each tenth row is an anomaly where `faults`: the state that is
/// written is another one than it is in, and each column by itself as ordinary as before.
fn plant(rows: usize, seed: u64, faults: bool) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = String::from("power,state,flow,valve,label\n");
    let mut state = 0;
    for row in 0..rows {
        // It stays in a state for some rows.
        if rng.random_bool(0.2) {
            let mut left: f64 = rng.random();
            let drawn = STATES.iter().position(|(_, share, ..)| {
                left -= share;
                left < 0.0
            });
            state = drawn.unwrap_or(0);
        }
        let (_, _, power, open) = STATES[state];
        let power = power + 0.4 * standard_normal(&mut rng);
        let flow = 2.0 + 0.4 * power + 0.2 * standard_normal(&mut rng);
        let valve = u8::from(rng.random_bool(open));
        let is_faulty = faults && row % 10 == 0;
        let written = if is_faulty { (state + rng.random_range(1..3)) % 3 } else { state };
        text += &format!("{power:.4},{},{flow:.4},{valve},{}\n", STATES[written].0, u8::from(is_faulty));
    }
    text
}

const FIT: &str = "--hidden 32,16 --latent 2 --batch 50 --epochs 40 --learning-rate 0.003 --seed 3";

/// The AUROC of a model of these settings, which is left in `{name}.vae`.
fn auroc(place: &Workplace, name: &str, settings: &str) -> f64 {
    place.succeed(&format!("fit train.csv {settings} {FIT} --out {name}"));
    place.succeed(&format!("export {name} --out {name}.vae"));
    place.json(&format!("evaluate {name}.vae test.csv --label label"))["auroc"].as_f64().unwrap()
}

#[test]
fn a_state_that_does_not_go_with_the_measurements_is_found() {
    let place = Workplace::new();
    place.write("train.csv", plant(2000, 1, false));
    place.write("test.csv", plant(2000, 2, true));
    let mixed = auroc(&place, "mixed", "--column state=categorical --column valve=bernoulli");
    let numbers = auroc(&place, "numbers", "--ignore state");
    println!("AUROC {mixed:.3} with the state as a category, {numbers:.3} of the numbers alone");
    assert!(mixed > 0.93 && numbers < 0.6, "{mixed} {numbers}");

    let info = place.succeed("info mixed.vae");
    assert!(["state=idle", "state=purge", "state=run"].iter().all(|name| info.contains(name)), "{info}");
    // Made-up rows keep the relation: of what they write, the state tells the power.
    place.succeed("generate mixed.vae -n 400 --sample --out made.csv");
    let made = fs::read_to_string(place.path("made.csv")).unwrap();
    assert!(made.starts_with("power,state,flow,valve\n"), "{made}");
    for (name, _, power, _) in STATES {
        let own = made.lines().filter(|line| line.split(',').nth(1) == Some(name));
        let powers: Vec<f32> = own.map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
        let mean = powers.iter().sum::<f32>() / powers.len() as f32;
        assert!(powers.len() >= 8 && (mean - power).abs() < 0.7, "{name}: {mean} of {}", powers.len());
    }
    // What it made up, it takes.
    place.succeed("score mixed.vae made.csv --out scores.csv");
}

#[test]
fn states_that_training_has_not_seen_and_fields_without_one_are_told_apart() {
    let place = Workplace::new();
    place.write("train.csv", plant(1000, 3, false));
    place.succeed("fit train.csv --column state=categorical,valve=bernoulli --hidden 16 --latent 2 --batch 50 --epochs 8 --out run");
    place.succeed("export run --precision f32 --out model.vae");
    place.write("new.csv", "power,state,flow,valve\n5,run,4,1\n5,,4,1\n5,broken,4,1\n5,NaN,4,1\n");
    let output = place.run("score model.vae new.csv --out scores.csv");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("column `state`") && said.contains("`broken` in 1; known are idle, purge, run"), "{said}");
    let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
    let names: Vec<&str> = scores.lines().next().unwrap().split(',').collect();
    let column = |name: &str| -> Vec<f64> {
        let at = names.iter().position(|found| *found == name).unwrap();
        scores.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
    };
    assert_eq!(column("missing"), [0.0, 3.0, 0.0, 3.0]);
    let reconstruction = column("reconstruction");
    // Of 1000 rows; the two rows have the same latent vector, as the encoder sees zeros for both.
    let other = reconstruction[2] - reconstruction[1];
    assert!((other + f64::ln(1002.0)).abs() < 1e-3, "{other}");
    assert_eq!(reconstruction[1], reconstruction[3]);
    let score = column("score");
    assert!(score[2] < score[1] - 4.0 && score[2] < score[0] - 4.0, "{score:?}");
    // The word as a missing value.
    let text = place.run("score model.vae new.csv --missing broken --out again.csv --force");
    assert!(!String::from_utf8(text.stderr).unwrap().contains("have a category"));
    let again = fs::read_to_string(place.path("again.csv")).unwrap();
    let fields =
        |line: usize| again.lines().nth(line).unwrap().split(',').skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(fields(3)[..3], fields(2)[..3]);

    place.write("other.csv", "power,flow,valve\n5,4,1\n");
    let lacks = place.fail("score model.vae other.csv --out x.csv");
    assert!(lacks.contains("lacks the column `state`") && lacks.contains("idle, purge, run"), "{lacks}");
}

#[test]
fn windows_of_states_are_calibrated_and_a_state_that_stays_is_no_fault() {
    let place = Workplace::new();
    place.write("train.csv", plant(3000, 5, false));
    place.write("normal.csv", plant(3000, 6, false));
    place.succeed(
        "fit train.csv --column state=categorical,valve=bernoulli --window 6 --hop 3 --hidden 32 --latent 4 --batch 50 --epochs 12 --out run",
    );
    place.succeed("calibrate run --normal normal.csv --votes 2/3");
    let refused = place.fail("calibrate run --normal train.csv");
    assert!(refused.contains("is what the model was trained on"), "{refused}");
    place.succeed("export run --out model.vae");
    // In the same state for much longer than the plant ever was.
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut text = String::from("state,power,flow,valve\n");
    for _ in 0..600 {
        let power = 5.0 + 0.4 * standard_normal(&mut rng);
        text += &format!("run,{power:.4},{:.4},1\n", 2.0 + 0.4 * power + 0.2 * standard_normal(&mut rng));
    }
    place.write("still.csv", text);
    let scored = place.json("score model.vae still.csv --out scores.csv");
    assert_eq!(scored["sensor_fault"], 0, "{scored}");
    let verdicts = fs::read_to_string(place.path("scores.csv")).unwrap();
    assert!(!verdicts.contains("of state=") && !verdicts.contains("of valve"), "{verdicts}");
    // As the condition, the state is given and not judged, and the rest as it is without it.
    place.succeed("fit train.csv --column state=categorical --condition state --hidden 16 --latent 2 --batch 50 --epochs 15 --learning-rate 0.003 --out given");
    place.succeed("export given --out given.vae");
    place.succeed("score given.vae normal.csv --out given.csv");
    place.succeed("generate given.vae -n 50 --condition state=idle --out idle.csv");
    let idle = fs::read_to_string(place.path("idle.csv")).unwrap();
    let powers: Vec<f32> = idle.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert!((powers.iter().sum::<f32>() / 50.0 - 1.0).abs() < 0.7, "{idle}");
    let unknown = place.fail("generate given.vae --condition state=off --out x.csv");
    assert!(unknown.contains("the categories of `state` are"), "{unknown}");
}

#[test]
fn what_states_cannot_be_is_refused() {
    let place = Workplace::new();
    place.write("train.csv", plant(400, 5, false));
    for (settings, expected) in [
        ("--column state", "COLUMN=FAMILY"),
        ("--column mode=categorical", "has no column `mode` for --column"),
        ("--column mode=bernoulli --ignore state", "no column `mode`"),
        ("--column power=bernoulli --ignore state", "a Bernoulli likelihood needs values between 0 and 1"),
        ("--column power=categorical --ignore state", "more than 255 different values"),
        ("--column state=categorical --likelihood gaussian-fixed", "leave out --likelihood"),
        ("--column state=categorical --drift 1", "states do not drift"),
        ("--column state=categorical --window 32 --front-end mean", "--front-end"),
        ("--column state=categorical --auto", "--auto"),
        ("", "--column state=categorical"),
    ] {
        let message = place.fail(&format!("fit train.csv {settings} --out run"));
        assert!(message.contains(expected), "{settings}: {message}");
    }
}

/// Length of a part, its weight, and the probabilities of three kinds of parts: multinomial logistic regression.
fn chances([a, b]: [f32; 2]) -> [f64; 3] {
    let logits = [0.5 + 1.5 * a, -0.5 - a + b, -2.0 * b].map(f64::from);
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.map(|logit| logit.exp() / sum)
}

#[test]
fn a_classifier_comes_to_the_likelihood_of_logistic_regression() {
    const ROWS: usize = 4000;
    let place = Workplace::new();
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let mut rows = |count: usize| {
        let (mut text, mut truth) = (String::from("length,weight,kind\n"), Vec::new());
        for _ in 0..count {
            let x = [(); 2].map(|()| standard_normal(&mut rng));
            let chances = chances(x);
            let mut left: f64 = rng.random();
            let drawn = chances.iter().position(|chance| {
                left -= chance;
                left < 0.0
            });
            let kind = drawn.unwrap_or(2);
            truth.push(chances[kind].ln());
            text += &format!("{},{},{}\n", 100.0 + 5.0 * x[0], 20.0 + 2.0 * x[1], ["bolt", "nut", "pin"][kind]);
        }
        (text, truth)
    };
    let (train, _) = rows(ROWS);
    let (test, truth) = rows(2000);
    place.write("train.csv", train);
    place.write("test.csv", test);
    // A linear model: logistic regression.
    place.write("vae.toml", "[model]\nhidden = []\nlatent = 1\nprior = 0\n[objective]\nbeta = 10.0\n");
    place.succeed(
        "fit train.csv --config vae.toml --column kind=categorical --condition length,weight --epochs 60 --batch 100 --learning-rate 0.01 \
         --out run",
    );
    place.succeed("export run --precision f32 --out model.vae");
    place.succeed("score model.vae test.csv --samples 200 --out scores.csv");
    let scores = fs::read_to_string(place.path("scores.csv")).unwrap();
    let names: Vec<&str> = scores.lines().next().unwrap().split(',').collect();
    let column = |name: &str| -> Vec<f64> {
        let at = names.iter().position(|found| *found == name).unwrap();
        scores.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (likelihood, elbo, kl) = (column("log_likelihood"), column("elbo"), column("kl"));
    let (found, expected) = (mean(&likelihood), mean(&truth));
    println!(
        "mean ln p(kind | length, weight) {found:.4}, by the true probabilities {expected:.4}, KL {:.5}",
        mean(&kl)
    );
    // Maximum likelihood with 6 free parameters loses 6 / (2 · 4000) nats a row of what the truth has; the rest is for early stopping and the noise
    // of the latent vector.
    assert!((found - expected).abs() < 0.01, "{found} for {expected}");
    assert!(mean(&kl) < 0.005, "{}", mean(&kl));
    assert!((mean(&elbo) - found).abs() < 0.01);
    // Row by row, not on average only.
    let worst = likelihood.iter().zip(&truth).map(|(a, b)| (a.exp() - b.exp()).abs()).fold(0.0, f64::max);
    assert!(worst < 0.1, "{worst}");
}
