//! Second stages and stored posteriors, as users train, judge and generate by them.

use std::fs;

use serde_json::Value;

use crate::workplace::Workplace;

/// Mean distance from the origin of the points in a table.
fn mean_radius(place: &Workplace, name: &str) -> f64 {
    let text = fs::read_to_string(place.path(name)).unwrap();
    let radii: Vec<f64> = text
        .lines()
        .skip(1)
        .map(|line| {
            let (a, b) = line.split_once(',').unwrap();
            a.parse::<f64>().unwrap().hypot(b.parse().unwrap())
        })
        .collect();
    radii.iter().sum::<f64>() / radii.len() as f64
}

fn source(report: &Value, origin: &str) -> Value {
    let sources = report["sources"].as_array().unwrap();
    sources.iter().find(|source| source["origin"] == origin).cloned().unwrap_or(Value::Null)
}

#[test]
fn the_posteriors_themselves_and_their_mixture_are_nearer_to_a_ring_than_the_prior() {
    let place = Workplace::new();
    place.succeed("simulate ring --out data --rows 1500");
    place.succeed(
        "fit data/train.csv --out run --hidden 32,32 --latent 2 --batch 50 --epochs 60 --learning-rate 0.003 --warm-up 20 --prior 0 \
         --posteriors 300 --mixture 6",
    );
    place.succeed("export run --out model.vae");
    let report = place.json("evaluate model.vae data/test.csv --generation --run run");
    let figure = |origin: &str| source(&report, origin)["latent_vectors"]["mmd_squared"].as_f64().unwrap();
    // Measured: 0.0078, 0.0005 and −0.0008, each ± 0.0008 by chance.
    for origin in ["aggregate", "posteriors"] {
        assert!(figure(origin) < 0.5 * figure("prior"), "{report:#}");
    }
    let nats = |origin: &str| source(&report, origin)["log_density"]["mean"].as_f64().unwrap();
    assert!(nats("posteriors") > nats("prior"), "{report:#}");
    assert!(source(&report, "aggregate")["log_density"].is_null() && source(&report, "second_stage").is_null());
    place.succeed("generate model.vae -n 400 --from posteriors --run run --sample --out drawn.csv");
    // The ring's mean radius is 1.125; a model that ignores its latents is a blob with 0.89.
    let radius = mean_radius(&place, "drawn.csv");
    assert!((radius - 1.125).abs() < 0.12, "mean radius {radius}");

    // The posteriors are the run's, and of this model alone.
    assert_eq!(place.run("generate model.vae --from posteriors --out x.csv").status.code(), Some(2));
    place.succeed("fit data/train.csv --out other --epochs 1 --hidden 8 --latent 2 --seed 5");
    assert!(
        place.fail("generate model.vae --from posteriors --run other --out x.csv").contains("not of the run in other")
    );
    place.succeed("export other --out other.vae");
    let message = place.fail("generate other.vae --from posteriors --run other --out x.csv");
    assert!(message.contains("keeps no posteriors: fit with --posteriors"), "{message}");
}

#[test]
fn a_second_stage_comes_nearer_to_sharp_latent_vectors_than_the_prior() {
    let place = Workplace::new();
    place.succeed("simulate ring --out data --rows 1500");
    // So small a variance makes posteriors narrow, and their sum the ring that they lie on.
    let fitted = place.json(
        "fit data/train.csv --out run --hidden 32,32 --latent 2 --batch 50 --epochs 15 --learning-rate 0.003 \
         --likelihood gaussian-fixed --variance 0.003 --prior 0 --second-stage",
    );
    let judged = &fitted["second_stage"];
    assert!(judged["is_stored"] == true && judged["explained"].as_f64().unwrap() > 0.5, "{judged:#}");
    assert!(judged["standard_normal"].is_null(), "N(0, I) is the prior itself: {judged:#}");
    place.succeed("export run --out model.vae");
    let report = place.json("evaluate model.vae data/test.csv --generation");
    for part in ["latent_vectors", "windows"] {
        let figure = |origin: &str| source(&report, origin)[part]["mmd_squared"].as_f64().unwrap();
        // Measured with 12 epochs: a 63rd of the prior's, and a 115th. By the place and the spread alone it would be a fifth.
        assert!(figure("second_stage") < figure("prior") / 10.0, "{part}: {report:#}");
    }
    place.succeed("generate model.vae -n 10 --from second-stage --out drawn.csv");
}

#[test]
fn a_second_stage_that_is_no_nearer_than_the_prior_is_left_out_and_the_fit_says_so() {
    let place = Workplace::new();
    // A linear source's posteriors add up to N(0, I), as its prior says.
    place.succeed("simulate linear-gaussian --out data --rows 600");
    let fit = "fit data/train.csv --out run --hidden 8 --latent 2 --epochs 10 --second-stage";
    let output = place.run(&format!("{fit} --prior 0"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the second stage is left out: it explains"), "{said}");
    assert!(said.contains("of the prior N(0, I)") && said.contains("no nearer than the prior"), "{said}");
    place.succeed("export run --out model.vae");
    assert_eq!(place.json("info model.vae")["second_stage"], false);
    assert!(place.fail("generate model.vae --from second-stage --out x.csv").contains("--second-stage"));
    // Nothing is lost, and nothing tried again, by asking once more.
    let again = place.json("fit data/train.csv --out run --resume");
    assert_eq!(again["second_stage"]["is_stored"], false);
    // A learned prior is what must be beaten, and N(0, I) is named beside it.
    let learned = place.json(&format!("{fit} --force"));
    assert!(learned["second_stage"]["standard_normal"]["mmd_squared"].is_number(), "{learned}");
    let gain = &learned["second_stage"]["gain"];
    let is_shown = gain["mmd_squared"].as_f64() > gain["standard_error"].as_f64().map(|error| 2.0 * error);
    assert_eq!(learned["second_stage"]["is_stored"], is_shown, "{learned}");
}
