//! Whether one Gaussian, or limits on each column, would do: a fit says so where they do, and nothing where they do not.

use std::fs;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use vae_core::standard_normal;

use crate::workplace::Workplace;

fn table<const COLUMNS: usize>(row: impl Fn(&mut ChaCha8Rng) -> [f32; COLUMNS]) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let names: Vec<String> = (0..COLUMNS).map(|column| format!("c{column}")).collect();
    let mut text = names.join(",") + "\n";
    for _ in 0..2000 {
        text += &(row(&mut rng).map(|x| format!("{x:.4}")).join(",") + "\n");
    }
    text
}

const FIT: &str = "--hidden 32,16 --latent 2 --epochs 60 --batch 32 --learning-rate 0.003 --seed 4";

#[test]
fn a_fit_says_where_something_simpler_does_and_is_quiet_where_not() {
    let place = Workplace::new();
    place.write("independent.csv", table(|rng| std::array::from_fn::<_, 3, _>(|_| standard_normal(rng))));
    place.write(
        "linear.csv",
        table(|rng| {
            let common = standard_normal(rng);
            [common + 0.2 * standard_normal(rng), 0.2 * standard_normal(rng) - 2.0 * common, standard_normal(rng)]
        }),
    );
    place.write(
        "clusters.csv",
        table(|rng| {
            let centres = [[-1.0, -1.0, 1.0, 1.0], [1.0, -1.0, -1.0, 1.0], [0.0, 1.0, 1.0, -1.0]];
            centres[rng.random_range(0..centres.len())].map(|x: f32| x + 0.2 * standard_normal(rng))
        }),
    );
    for (name, suffices, line) in [
        (
            "independent",
            Value::from("limits"),
            "\nlimits on each feature, in standard deviations, find made-up anomalies",
        ),
        (
            "linear",
            Value::from("gaussian"),
            "\na Gaussian with full covariance finds made-up anomalies of these data as well",
        ),
        ("clusters", Value::Null, ""),
    ] {
        let text = place.succeed(&format!("fit {name}.csv {FIT} --out {name}"));
        let summary: Value =
            serde_json::from_slice(&fs::read(place.path(&format!("{name}/summary.json"))).unwrap()).unwrap();
        let found = &summary["simpler"];
        assert_eq!(found["suffices"], suffices, "{name}: {found}\n{text}");
        assert_eq!(text.contains("made-up anomalies"), !line.is_empty(), "{text}");
        assert!(text.contains(line), "{text}");
        assert_eq!(text.contains("evaluate with labelled data tells"), !line.is_empty(), "{text}");
        for figure in ["model", "gaussian", "limits"] {
            assert!((0.5..=1.0).contains(&found[figure]["auroc"].as_f64().unwrap()), "{name}: {found}");
        }
    }
}
