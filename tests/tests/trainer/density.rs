//! `fit --purpose density`: what it sets, that it may be overruled, and that it learns a ring that a model for detection does not; and how a fit
//! says that latents have collapsed.

use std::fs;

use serde_json::Value;

use crate::workplace::Workplace;

fn mean(value: &Value) -> f64 {
    value["mean"].as_f64().unwrap()
}

#[test]
fn a_ring_is_learnt_for_its_density_and_not_for_detection_which_says_so() {
    let place = Workplace::new();
    let simulated = place.json("simulate ring --out data --rows 1500");
    let truth = simulated["log_density"].as_f64().unwrap();
    let column: Vec<f64> = fs::read_to_string(place.path("data/density.csv"))
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(column.len(), 1500);
    assert!((truth - column.iter().sum::<f64>() / 1500.0).abs() < 1e-6);

    const SMALL: &str = "--hidden 32,32 --epochs 80 --batch 32 --learning-rate 0.003";
    let fits = [
        ("detection", ""),
        ("density", "--purpose density --warm-up 20"),
        ("collapsed", "--purpose density --objective elbo --prior 16 --warm-up 0 --variance-floor 0.01"),
    ];
    let [detection, density, collapsed] = fits.map(|(run, options)| {
        let text = place.succeed(&format!("fit data/train.csv --out {run} {SMALL} {options}"));
        place.succeed(&format!("export {run} --precision f32 --out {run}.vae --force"));
        let report = place.json(&format!("evaluate {run}.vae data/test.csv --likelihood --windows 300"));
        (text, mean(&report["importance_weighted"][2][1]))
    });
    // 3,000 steps are few, and three tenths of a nat from the truth.
    assert!(density.1 > detection.1 + 0.5 && density.1 > truth - 0.3, "{} {} {truth}", density.1, detection.1);
    assert!(density.0.contains("2 of 2 latent dimensions in use\n"), "{}", density.0);
    assert!(density.0.contains("next: vae-train export density --precision f32"), "{}", density.0);

    assert!(collapsed.1 < density.1 - 0.3, "{} {}", collapsed.1, density.1);
    for part in [
        "of 2 latent dimensions in use, not because fewer would do: the other has collapsed",
        "\n  tried: predicted variances of at least 0.01, --warm-up 0, --prior 16\n  would help: --warm-up 26; ",
    ] {
        assert!(collapsed.0.contains(part), "{part}: {}", collapsed.0);
    }
    assert!(!collapsed.0.contains("would do\n"), "{}", collapsed.0);
    let summary: Value = serde_json::from_slice(&fs::read(place.path("collapsed/summary.json")).unwrap()).unwrap();
    let unused = &summary["unused"];
    assert_eq!((&unused["collapsed"], &summary["purpose"]), (&true.into(), &"density".into()), "{unused}");
    let likelihoods = &unused["likelihoods"];
    assert!(likelihoods["kernels"].as_f64().unwrap() > likelihoods["model"].as_f64().unwrap() + 0.2, "{unused}");

    // By a broad likelihood and N(0, I) the ring is two independent columns, although the posterior's means vary a little.
    let text = place.succeed("fit data/train.csv --out blurred --prior 0 --epochs 12");
    for part in [
        "\n0 of 2 latent dimensions in use, not because fewer would do: they have collapsed. Without any, Gaussians of 0.",
        "\n  would help: --purpose density,",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_purpose_sets_what_is_not_given_and_the_run_keeps_it() {
    let place = Workplace::new();
    place.succeed("simulate eight-gaussians --out data --rows 300");
    let config = |run: &str| fs::read_to_string(place.path(run).join("config.toml")).unwrap();
    place.succeed("fit data/train.csv --out run --purpose density --epochs 2");
    let text = config("run");
    for line in [
        "purpose = \"density\"",
        "likelihood = \"gaussian-predicted\"",
        "relations = false",
        "variance_floor = 0.0001",
        "prior = 64",
        "objective = \"importance\"",
        "samples = 8",
        "hidden = [\n    128,\n    128,\n]",
        "input_noise = 0.0",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // What is given, in a file or as an option, stands.
    place.write("vae.toml", "purpose = \"density\"\nlikelihood = \"gaussian\"\n[objective]\ninput_noise = 0.1\n");
    place.succeed(
        "fit data/train.csv --out other --config vae.toml --prior 4 --learning-rate 0.01 --epochs 2 --batch 16",
    );
    let text = config("other");
    let lines = ["purpose = \"density\"", "likelihood = \"gaussian\"", "input_noise = 0.1", "prior = 4", "batch = 16"];
    for line in lines.into_iter().chain(["learning_rate = 0.01", "relations = false"]) {
        assert!(text.contains(line), "{line}: {text}");
    }
    place.succeed("fit data/train.csv --out run --resume");
    let message = place.fail("fit data/train.csv --out third --purpose density --auto");
    assert!(message.contains("--auto judges settings by how well they tell anomalies"), "{message}");
    let message = place.fail("fit data/train.csv --out third --last-rate 0.1");
    assert!(message.contains("last rate 0.1: give a value above 0, at most the learning rate of 0.001"), "{message}");
}
