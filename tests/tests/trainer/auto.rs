//! `fit --auto`: a window and a front-end by a search without labels, within a budget.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use vae_core::standard_normal;

use crate::workplace::Workplace;

/// Two columns of noise, of which the second is the first four rows late: no row tells that they belong together, and windows do.
fn recording() -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let noise: Vec<f32> = (0..2404).map(|_| standard_normal(&mut rng)).collect();
    let rows =
        (0..2400).map(|row| format!("{:.4},{:.4}\n", noise[row + 4], noise[row] + 0.1 * standard_normal(&mut rng)));
    format!("a,b\n{}", rows.collect::<String>())
}

const FIT: &str = "fit recording.csv --auto --epochs 2 --out";

fn tried(found: &Value) -> &Vec<Value> {
    found["search"]["tried"].as_array().unwrap()
}

#[test]
fn a_search_finds_the_window_that_a_recording_needs_keeps_what_it_tried_and_is_the_same_again() {
    let place = Workplace::new();
    place.write("recording.csv", recording());
    let found = place.json(&format!("{FIT} run"));
    let tried = tried(&found);
    let names: Vec<_> =
        tried.iter().map(|one| (one["window"].as_u64().unwrap(), one["front_end"].as_str().unwrap())).collect();
    assert_eq!(names, [(1, "raw"), (8, "raw"), (16, "raw"), (16, "statistics")]);
    let measure = |index: usize| tried[index]["measure"].as_f64().unwrap();
    // Rows by themselves tell nothing that independent columns do not.
    let independent = found["search"]["independent"].as_f64().unwrap();
    assert!((measure(0) - independent).abs() < 0.03 && measure(1) > independent + 0.03, "{found}");
    let chosen = &tried[found["search"]["chosen"].as_u64().unwrap() as usize];
    assert!(chosen["window"].as_u64().unwrap() >= 8, "{found}");
    let config = std::fs::read_to_string(place.path("run/config.toml")).unwrap();
    assert!(config.contains(&format!("window = {}\nhop = {}\n", chosen["window"], chosen["hop"])), "{config}");

    // The mixture of the input may have fewer components than it is allowed. What it says of flash and RAM is what the exported file takes.
    place.succeed("export run --out model.vae --force");
    let info = place.json("info model.vae");
    let close = |said: &Value, is: f64, part: f64| (said.as_f64().unwrap() / is - 1.0).abs() < part;
    assert!(close(&chosen["cost"]["flash"], info["flash"].as_f64().unwrap(), 0.05), "{info} {chosen}");
    assert!(
        close(&chosen["cost"]["instructions"], info["instructions"]["Cortex-M4F"].as_f64().unwrap(), 0.1),
        "{info}"
    );

    let kept = std::fs::read(place.path("run/auto.json")).unwrap();
    let text = place.succeed(&format!("{FIT} run --force"));
    assert!(text.contains("chosen: --window ") && text.contains("independent Gaussians, a row"), "{text}");
    assert_eq!(kept, std::fs::read(place.path("run/auto.json")).unwrap());
    // Another fit in its place has no search.
    place.succeed("fit recording.csv --epochs 1 --out run --force");
    assert!(!place.path("run/auto.json").exists());
}

#[test]
fn what_is_beyond_the_budget_is_left_out_with_the_reason() {
    let place = Workplace::new();
    place.write("recording.csv", recording());
    // Room for single rows only: the smallest networks of windows are larger.
    let text = place.succeed(&format!("{FIT} run --flash 2KiB"));
    assert!(text.contains("> ") && text.contains("chosen: --window 1 --hop 1"), "{text}");
    assert!(text.contains("bytes of flash, 2,048 are given"), "{text}");
    assert!(text.contains("independent Gaussians of the columns do as well"), "{text}");

    let message = place.fail(&format!("{FIT} none --ram 100"));
    assert!(
        message.contains("no setting is within the budget: --window 1 --front-end raw: ")
            && message.contains("bytes of RAM, 100"),
        "{message}"
    );
    let load = "--core cortex-m0 --clock 1MHz --load 1%";
    assert!(place.fail(&format!("{FIT} none {load}")).contains("give --rate"));
    assert!(place.fail(&format!("{FIT} none {load} --rate 200")).contains("a load of "));
    assert!(!place.path("none").exists());

    place.write("short.csv", recording().lines().take(300).map(|line| format!("{line}\n")).collect::<String>());
    let message = place.fail("fit short.csv --auto --out none");
    assert!(message.contains("299 rows are too few to search for a window: --auto needs 1280"), "{message}");
    let refused = place.run("fit recording.csv --auto --window 16 --out none");
    assert_eq!(refused.status.code(), Some(2));
}
