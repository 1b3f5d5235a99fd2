//! What `fit`, `calibrate` and `export` say at their end is true, and the commands that they name can be typed.

use std::{fs, path::Path, process::Command};

use safetensors::SafeTensors;
use serde_json::Value;

use crate::workplace::{BINARY, fail, message, succeed};

/// The command behind a word at the beginning of one of the lines.
fn command<'a>(text: &'a str, word: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(word)).unwrap_or_else(|| panic!("no {word} in {text}"));
    let command = line.trim_start_matches(':').trim().strip_prefix("vae-train ").unwrap_or_else(|| panic!("{line}"));
    command.split(',').next().unwrap()
}

#[test]
fn each_step_names_the_next_and_a_fit_says_what_it_has_learnt() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    succeed(place, "simulate linear-gaussian --out data --rows 4000");
    let fit = "fit data/train.csv --out run --hidden 16 --latent 2 --epochs 8 --learning-rate 0.003";
    let text = succeed(place, fit);
    assert!(text.lines().count() <= 12, "{text}");
    for part in [
        "best epoch ",
        "nats above a model of independent features (",
        ": not over-fitted",
        "2 of 2 latent dimensions in use",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // The baseline by hand: standardised training data have mean 0 and variance 1, so that a held-out feature costs (z² + ln 2π) / 2.
    let json: Value = serde_json::from_str(&succeed(place, &format!("{fit} --force --json"))).unwrap();
    let standardiser = fs::read_to_string(place.join("run/standardiser.csv")).unwrap();
    let constants: Vec<(f64, f64)> = standardiser
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<f64> = line.split(',').skip(1).map(|field| field.parse().unwrap()).collect();
            (fields[0], fields[1])
        })
        .collect();
    let bytes = fs::read(place.join("run/holdout.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let held_out: Vec<f64> = tensors
        .tensor("holdout")
        .unwrap()
        .data()
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes).into())
        .collect();
    let windows = held_out.len() / constants.len();
    let cost = |(value, (mean, scale)): (&f64, &(f64, f64))| {
        0.5 * (((value - mean) / scale).powi(2) + std::f64::consts::TAU.ln())
    };
    let by_hand = -held_out.iter().zip(constants.iter().cycle()).map(cost).sum::<f64>() / windows as f64;
    let baseline = json["baseline"].as_f64().unwrap();
    assert!((baseline - by_hand).abs() < 0.05, "{baseline} for {by_hand}");
    // Six features of two latents depend on each other, and the model has seen it.
    assert!(json["validation_elbo"].as_f64().unwrap() > baseline + 1.0, "{json}");
    let gap = json["training_elbo"].as_f64().unwrap() - json["validation_elbo"].as_f64().unwrap();
    assert!(gap.abs() < 0.5, "{json}");

    // 1/week is more than so few rows support, and what else is said is typed as it stands.
    let next = command(&text, "next").replace("HOLDOUT.csv", "data/test.csv").replace("1/week", "40/hour");
    let calibrated = succeed(place, &next);
    let exported = succeed(place, command(&calibrated, "next"));
    assert!(!exported.contains("not calibrated"), "{exported}");
    let scored = command(&exported, "next").replace("NEW.csv", "data/test.csv");
    succeed(place, &scored);
    assert!(place.join("scores.csv").exists() && exported.contains("include_model!(\"model.vae\")"), "{exported}");

    // Without a calibration, too, which export then asks for.
    succeed(place, &format!("{fit} --force"));
    let exported = succeed(place, &format!("{} --force", command(&text, "then")));
    assert!(
        exported.contains("not calibrated") && exported.contains("vae-train calibrate run --normal HOLDOUT.csv"),
        "{exported}"
    );
}

/// What a shell makes of one of our commands.
fn typed(place: &Path, command: &str) -> String {
    let line = format!("{} {command}", BINARY);
    let output = Command::new("sh").args(["-c", &line]).current_dir(place).output().unwrap();
    assert!(output.status.success(), "{command}: {}", message(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_is_to_be_typed_next_is_quoted_where_a_shell_needs_it() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let mut uniform = uniforms();
    let rows: String = (0..600)
        .map(|_| {
            let a = uniform();
            format!("{a},run,{},idle,\"no, none\",0\n", a + 0.1 * uniform())
        })
        .collect();
    let header = "a,machine state,b,operator's,\"state, text\",is it bad?";
    fs::write(place.join("my log.csv"), format!("{header}\n{rows}")).unwrap();
    let text = typed(place, "inspect 'my log.csv' --label 'is it bad?'");
    let next = text.lines().last().unwrap().strip_prefix("next: vae-train ").unwrap();
    let ignored = r"--ignore 'machine state,operator'\''s' --ignore 'state, text' --out runs/a";
    assert_eq!(next, format!("fit 'my log.csv' --label 'is it bad?' {ignored}"));
    let fitted = typed(place, &next.replace("runs/a", "'my run' --epochs 8 --hidden 8 --latent 1"));
    let next = command(&fitted, "next").replace("HOLDOUT.csv", "'my log.csv'").replace("--alarms 1/week", "--force");
    let calibrated = typed(place, &next);
    assert!(calibrated.contains("evaluate model.vae TEST.csv --label 'is it bad?', if"), "{calibrated}");
    let exported = typed(place, &command(&calibrated, "next").replace("model.vae", "'my model.vae'"));
    typed(place, &command(&exported, "next").replace("NEW.csv", "'my log.csv'"));

    // In a list, such a column is not found; by itself it is, also as a condition.
    let fit = |options: &str| format!("fit my_log.csv --out other --epochs 2 --hidden 8 --latent 1 {options}");
    fs::write(place.join("my_log.csv"), format!("a,\"b, c\",d\n{}", "1,2,3\n2,3,4\n5,1,2\n".repeat(40))).unwrap();
    let message = fail(place, &fit("--ignore b,c"));
    assert!(message.contains("has no column `b` to ignore: its columns are `a`, `b, c`, `d`"), "{message}");
    typed(place, &fit("--ignore 'b, c' --condition d"));
    typed(place, &fit("--condition 'b, c' --ignore d --force"));
}

/// Independent uniform values: a multiplicative congruence by Lehmer.
fn uniforms() -> impl FnMut() -> f64 {
    let mut state = 1u64;
    move || {
        state = state * 48_271 % 2_147_483_647;
        state as f64 / 2_147_483_647.0
    }
}

#[test]
fn a_model_that_limits_would_beat_is_said_to_be_one_and_labels_are_not_forgotten() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    let mut uniform = uniforms();
    let alike: String = (0..600)
        .map(|_| {
            let a = uniform();
            format!("{a},{},0\n", a + 0.02 * uniform())
        })
        .collect();
    fs::write(place.join("alike.csv"), format!("a,b,fault\n{alike}")).unwrap();
    // Normal rows that only a model takes for strange, and anomalies that limits find at once.
    let normal: String = (0..50).map(|_| format!("{},{},0\n", uniform(), uniform())).collect();
    fs::write(place.join("test.csv"), format!("a,b,fault\n{normal}{}", "1.3,1.31,1\n".repeat(50))).unwrap();
    let fit = "fit alike.csv --label fault --out run --epochs 60 --hidden 16 --latent 2 --learning-rate 0.003";
    let fitted = succeed(place, fit);
    assert!(fitted.contains("calibrate run --normal HOLDOUT.csv --label fault --alarms"), "{fitted}");
    let calibrated = succeed(place, "calibrate run --normal alike.csv --label fault --force");
    assert!(calibrated.contains("TEST.csv --label fault,"), "{calibrated}");
    succeed(place, "export run --out model.vae --precision f32");
    let evaluated = succeed(place, "evaluate model.vae test.csv --label fault");
    assert!(evaluated.contains("limits on each column alone find these anomalies better"), "{evaluated}");
    let swapped = fs::read_to_string(place.join("test.csv")).unwrap().replace(",0\n", ",2\n").replace(",1\n", ",0\n");
    fs::write(place.join("swapped.csv"), swapped.replace(",2\n", ",1\n")).unwrap();
    let evaluated = succeed(place, "evaluate model.vae swapped.csv --label fault");
    assert!(!evaluated.contains("limits on each column alone find"), "{evaluated}");
}

#[test]
fn columns_that_have_nothing_in_common_are_said_to_teach_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut uniform = uniforms();
    let rows: String = (0..600).map(|_| format!("{},{},{}\n", uniform(), uniform(), uniform())).collect();
    fs::write(place.path().join("noise.csv"), format!("a,b,c\n{rows}")).unwrap();
    let text =
        succeed(place.path(), "fit noise.csv --out run --epochs 3 --hidden 8 --latent 1 --likelihood gaussian-fixed");
    assert!(text.contains("below a model of independent features (") && text.contains("nothing was learnt"), "{text}");
}
