//! Faults among the training data that nobody has labelled: they are listed after a fit, and left out with `--trim`.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use vae_core::standard_normal;

use crate::workplace::Workplace;

/// A speed that wanders, and flow, pressure and current that follow it; in the rows `faults` flow and pressure are as at another speed.
fn recording(rows: usize, faults: &[std::ops::Range<usize>], with_label: bool) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut text = format!("flow,pressure,current{}\n", if with_label { ",label" } else { "" });
    for row in 0..rows {
        let mut noise = || 0.02 * standard_normal(&mut rng);
        let speed = (row as f32 / 37.0).sin() + 0.4 * (row as f32 / 11.0).sin();
        let is_faulty = faults.iter().any(|fault| fault.contains(&row));
        let flow = if is_faulty { speed - 1.5 } else { speed };
        text += &format!("{:.4},{:.4},{:.4}", flow + noise(), 0.5 * speed * speed + noise(), speed + noise());
        text += if !with_label {
            "\n"
        } else if is_faulty {
            ",1\n"
        } else {
            ",0\n"
        };
    }
    text
}

const FIT: &str = "--window 8 --hop 4 --hidden 24 --latent 3 --epochs 60 --batch 16 --learning-rate 0.003";

/// Ranges of rows that are listed, each as its first and last row.
fn ranges(found: &Value) -> Vec<(u64, u64)> {
    let rows = found["rows"].as_array().unwrap();
    rows.iter().map(|rows| (rows["first"].as_u64().unwrap(), rows["last"].as_u64().unwrap())).collect()
}

#[test]
fn faults_in_the_training_data_are_listed_and_left_out_where_asked() {
    let place = Workplace::new();
    let faults = [400..440, 1200..1240];
    place.write("clean.csv", recording(2000, &[], false));
    place.write("train.csv", recording(2000, &faults, false));
    place.write("test.csv", recording(1000, &vec![500..600; 1], true));

    let clean = place.json(&format!("fit clean.csv {FIT} --out clean"));
    assert_eq!((&clean["standing_out"]["windows"], ranges(&clean["standing_out"]).len()), (&0.into(), 0), "{clean}");
    assert_eq!(clean["standing_out"]["screened"], 499);

    let found = place.json(&format!("fit train.csv {FIT} --out run"));
    let listed = ranges(&found["standing_out"]);
    // Each stretch to within a window.
    assert_eq!(listed.len(), 2, "{found}");
    for ((first, last), fault) in listed.iter().zip(&faults) {
        let [from, to] = [fault.start as u64 + 1, fault.end as u64];
        assert!(first.abs_diff(from) < 8 && last.abs_diff(to) < 8, "{listed:?}");
    }
    assert_eq!(found["trimmed"]["windows"], 0);

    let fit = format!("fit train.csv {FIT} --trim --out trimmed");
    let text = place.succeed(&fit);
    assert!(text.contains("stood out of the others by far and were left out"), "{text}");
    let trimmed = place.json(&format!("{fit} --force"));
    assert_eq!(ranges(&trimmed["trimmed"]), listed);
    let windows =
        |fitted: &Value| fitted["training_windows"].as_u64().unwrap() + fitted["held_out_windows"].as_u64().unwrap();
    assert!(windows(&trimmed) + 16 <= windows(&found), "{trimmed}");
    // The run knows what was left out, and goes on without it.
    let resumed = place.json("fit train.csv --out trimmed --resume");
    assert_eq!(
        (&resumed["trimmed"], &resumed["training_windows"]),
        (&trimmed["trimmed"], &trimmed["training_windows"])
    );

    let auroc = |run: &str| {
        place.succeed(&format!("export {run} --out {run}.vae --precision f32"));
        place.json(&format!("evaluate {run}.vae test.csv"))["auroc"].as_f64().unwrap()
    };
    let (with, without) = (auroc("run"), auroc("trimmed"));
    assert!(without > 0.99 && without >= with, "{with} with the faults, {without} without");

    // No more than the share that is given, which is said.
    let message = place.run(&format!("fit train.csv {FIT} --trim=0.01 --out some"));
    let message = String::from_utf8_lossy(&message.stderr).into_owned();
    assert!(message.contains("more windows stand out than the 1 % that --trim leaves out at most"), "{message}");
    assert!(place.fail(&format!("fit train.csv {FIT} --trim=0.5 --out most")).contains("at most 0.4"));
}
