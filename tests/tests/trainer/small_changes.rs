//! Changes that are small beside the values they are of: of a column that never varies, and of one with a large offset.

use std::fmt::Write as _;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::workplace::Workplace;

/// Rows of three sensors, and of a setpoint that is what is said.
fn with_setpoint(seed: u64, rows: usize, setpoint: &str) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut text = "a,setpoint,b,c\n".to_owned();
    for row in 0..rows {
        let phase = 0.2 * row as f64;
        let mut noise = || 0.1 * rng.random_range(-1.0..1.0);
        let (a, b, c) = (phase.sin() + noise(), 300.0 + 20.0 * phase.cos() + noise(), 2.0 * phase.sin() + noise());
        writeln!(text, "{a:.4},{setpoint},{b:.4},{c:.4}").unwrap();
    }
    text
}

#[test]
fn a_constant_column_that_moves_by_what_the_message_says_is_an_anomaly_whatever_the_model() {
    let place = Workplace::new();
    place.write("train.csv", with_setpoint(1, 1500, "50.0"));
    // The least change that is promised is 50/16384, in two digits; a last digit of f32 is 50 + 2^-18.
    for (name, setpoint) in [("same", "50.0"), ("rounded", "50.000003815"), ("above", "50.0032"), ("below", "49.9968")]
    {
        place.write(&format!("{name}.csv"), with_setpoint(2, 300, setpoint));
    }
    let inspected = place.succeed("inspect train.csv");
    assert!(inspected.contains("will count as an anomaly: `setpoint` by 0.0031"), "{inspected}");
    for likelihood in ["gaussian", "gaussian-fixed", "gaussian-predicted"] {
        for (window, hop) in [(1, 1), (16, 4)] {
            let fit =
                format!("fit train.csv --out run --force --likelihood {likelihood} --window {window} --hop {hop}");
            let output = place.run(&format!("{fit} --epochs 15 --batch 32 --hidden 16 --latent 2"));
            let notes = String::from_utf8(output.stderr).unwrap();
            assert!(output.status.success() && notes.contains("`setpoint` by 0.0031"), "{notes}");
            for precision in ["f32", "int8"] {
                place.succeed(&format!("export run --out model.vae --force --precision {precision}"));
                let anomalous = |name: &str| {
                    let scored = place.json(&format!("score model.vae {name}.csv --out scores.csv --force"));
                    let count = |key: &str| scored[key].as_f64().unwrap();
                    count("anomalies") / count("windows")
                };
                let case = format!("{likelihood}, windows of {window}, {precision}");
                assert!(anomalous("same") < 0.15 && anomalous("rounded") < 0.15, "{case}");
                assert_eq!((anomalous("above"), anomalous("below")), (1.0, 1.0), "{case}");
            }
        }
    }
}
