//! What `calibrate` takes: data that the model has not seen, at the rate that they say, for a model that `export` writes.

use std::fs;

use crate::workplace::{Workplace, message};

/// Three columns that depend on each other, a row every eighth of a second; that many came before, and the clock began at `start`.
fn log(rows: usize, before: usize, start: f64) -> String {
    let noise = |i: usize, k: usize| ((i * 7919 + k * 104_729) % 1000) as f64 / 1000.0 - 0.5;
    let row = |i: usize| {
        let t = 4.0 * noise(i, 1);
        let [b, c] = [2.0 * t + 0.1 * noise(i, 2), 5.0 - t + 0.1 * noise(i, 3)];
        format!("{},{t},{b},{c},{},0\n", start + 0.125 * i as f64, i % 7)
    };
    (before..before + rows).fold("time,a,b,c,counter,label\n".to_owned(), |text, i| text + &row(i))
}

const FIT: &str = "fit train.csv --out run --ignore counter --epochs 3 --hidden 8 --latent 1 --batch 32";

fn fitted() -> Workplace {
    let place = Workplace::new();
    place.write("train.csv", log(400, 0, 0.0));
    place.write("normal.csv", log(400, 400, 0.0));
    place.succeed(FIT);
    place
}

#[test]
fn the_file_that_was_trained_on_is_refused_by_whatever_name() {
    let place = fitted();
    place.write("copy.tsv", log(400, 0, 0.0).replace(',', "\t"));
    // What is not trained on makes it no other file.
    place.write("another-clock.csv", log(400, 0, 1e6));
    for name in ["train.csv", "copy.tsv", "another-clock.csv"] {
        let said = place.fail(&format!("calibrate run --normal {name}"));
        let expected = format!("{name} is what the model was trained on (crc32 ");
        assert!(said.contains(&expected) && said.contains(", 400 rows)") && said.contains("too strict"), "{said}");
        assert!(said.contains("give normal data that it was not trained on") && said.contains("--force"), "{said}");
        assert!(!place.path("run/normal.bin").exists(), "{name}");
    }
    // Others are taken, with as many rows or not.
    place.write("some.csv", log(300, 0, 0.0));
    for name in ["normal.csv", "some.csv"] {
        let output = place.run(&format!("calibrate run --normal {name}"));
        assert!(output.status.success() && !message(&output).contains("trained on"), "{}", message(&output));
    }
    let output = place.run("calibrate run --normal train.csv --force");
    let said = message(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("taken with --force, although train.csv is what the model was trained on"), "{said}");
}

#[test]
fn a_rate_that_contradicts_the_clock_is_refused_with_both() {
    let place = fitted();
    let said = place.fail("calibrate run --normal normal.csv --rate 100");
    assert!(
        said.contains("--rate 100: normal.csv has 8 rows a second, by its column `time`: leave --rate out"),
        "{said}"
    );
    assert!(said.contains("--force takes it as it is"), "{said}");
    assert!(place.fail("calibrate run --normal normal.csv --rate 8.1").contains("--rate 8.1: normal.csv has 8 rows"));
    // Of two that are the same, the one that is given counts.
    let rate = |arguments: &str| {
        place.succeed(&format!("calibrate run --normal {arguments}"));
        place.succeed("export run --out model.vae --force");
        place.json("info model.vae")["sample_rate"].as_f64().unwrap()
    };
    assert_eq!(rate("normal.csv --rate 8.05"), 8.05);
    assert_eq!(rate("normal.csv"), 8.0);
    assert_eq!(rate("normal.csv --rate 100 --force"), 100.0);
    let without_clock: String =
        log(400, 400, 0.0).lines().map(|line| format!("{}\n", line.split_once(',').unwrap().1)).collect();
    place.write("bare.csv", without_clock);
    assert_eq!(rate("bare.csv --rate 100"), 100.0);

    let said = place.fail("inspect normal.csv --rate 100");
    assert!(said.contains("--rate 100: normal.csv has 8 rows a second, by its column `time`"), "{said}");
    assert_eq!(place.json("inspect normal.csv --rate 8.05")["rate"], 8.05);
    assert_eq!(place.json("inspect normal.csv --rate 100 --force")["rate"], 100.0);
}

#[test]
fn a_channel_that_counts_up_is_no_clock_of_its_own_model() {
    let place = Workplace::new();
    // `t` is a temperature: up and down in training, only up while it is calibrated.
    let rows = |value: &dyn Fn(usize) -> f64| {
        (0..200).fold("t,b\n".to_owned(), |text, i| text + &format!("{},{}\n", value(i), (i * 7919) % 1000))
    };
    place.write("train.csv", rows(&|i| 20.0 + ((i * 37) % 100) as f64 / 100.0));
    place.write("warm.csv", rows(&|i| 20.0 + i as f64 / 200.0));
    place.succeed("fit train.csv --out run --epochs 2 --hidden 8 --latent 1 --batch 32");
    place.succeed("calibrate run --normal warm.csv --rate 10");
}

#[test]
fn what_calibrate_takes_export_writes() {
    let place = fitted();
    for (calibrate, export) in [("", ""), ("", " --precision f32"), (" --precision f32", " --precision f32")] {
        let said = place.succeed(&format!("calibrate run --normal normal.csv{calibrate}"));
        assert!(said.contains(&format!("vae-train export run --out model.vae{calibrate}\n")), "{said}");
        let name = format!("model{}.vae", calibrate.len() + 10 * export.len());
        place.succeed(&format!("export run --out {name}{export}"));
    }
    // A likelihood that is far sharper than int8 can resolve.
    place.write("sharp.toml", "likelihood = \"gaussian-fixed\"\nvariance = 1e-6\nfalse_alarms = 0.1\n");
    place.succeed(
        "fit train.csv --out run --ignore counter --force --config sharp.toml --epochs 60 --batch 16 --hidden 16 --latent 2 \
         --learning-rate 0.01",
    );
    let said = place.fail("calibrate run --normal normal.csv");
    for part in
        ["export would refuse this model: int8 flips the verdict on ", " of 80 held-out windows", "--precision f32"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("--force takes it as it is") && !place.path("run/normal.bin").exists(), "{said}");
    place.succeed("calibrate run --normal normal.csv --precision f32");
    place.succeed("export run --out sharp.vae --precision f32");
    let output = place.run("calibrate run --normal normal.csv --force");
    assert!(output.status.success() && message(&output).contains("taken with --force, although export would refuse"));
    assert!(place.fail("export run --out int8.vae").contains("int8 flips the verdict on"));
}

#[test]
fn alarms_are_asked_for_by_the_month() {
    let place = fitted();
    place.write("long.csv", log(20_000, 400, 0.0));
    let calibrated = place.json("calibrate run --normal long.csv --alarms 1/month --votes 1/1 --force");
    let asked = calibrated["alarms"][0].as_f64().unwrap();
    assert!((asked * 365.25 * 86_400.0 / 12.0 - 1.0).abs() < 1e-6, "{calibrated}");
    let text = place.succeed("calibrate run --normal long.csv --alarms 1/month --votes 1/1 --force");
    assert!(text.contains("1/month asked for; with 90 % confidence"), "{text}");
    assert!(fs::exists(place.path("run/normal.bin")).unwrap());
}
