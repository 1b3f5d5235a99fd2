//! Categorical latents: what `fit --posterior categorical` finds of clusters, by either estimator, and what other verbs make of it.

use std::fs;

use vae_core::Scratch;
use vae_train::file::model_file::AlignedFile;

use crate::workplace::Workplace;

const CLUSTERS: usize = 8;

/// Of each row of a table with a header, two numbers.
fn points(text: &str) -> Vec<[f32; 2]> {
    let point = |line: &str| {
        let (x, y) = line.split_once(',').unwrap();
        [x, y].map(|number| number.parse().unwrap())
    };
    text.lines().skip(1).map(point).collect()
}

/// Which of the eight clusters, which lie on a circle, a point is of: they are so narrow that its direction tells.
fn cluster([x, y]: [f32; 2]) -> usize {
    let turns = f64::from(y).atan2(f64::from(x)) / std::f64::consts::TAU;
    (CLUSTERS as f64 * turns).round().rem_euclid(CLUSTERS as f64) as usize
}

/// Of all points, the share whose likeliest category is the one that most of their cluster have, and how many categories these are.
fn agreement(place: &Workplace, model: &str, points: &[[f32; 2]]) -> (f64, usize) {
    let file = AlignedFile::read(&place.path(model)).unwrap();
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut counts = [[0; CLUSTERS]; CLUSTERS];
    for point in points {
        let mut chances = [0.0f32; CLUSTERS];
        model.encode(point, &mut scratch).unwrap().mean(&mut chances).unwrap();
        let likeliest = (0..CLUSTERS).max_by(|a, b| chances[*a].total_cmp(&chances[*b])).unwrap();
        counts[cluster(*point)][likeliest] += 1;
    }
    let of_most = counts.iter().map(|counts| (0..CLUSTERS).max_by_key(|category| counts[*category]).unwrap());
    let mut categories: Vec<usize> = of_most.collect();
    let agreeing: usize = counts.iter().zip(&categories).map(|(counts, category)| counts[*category]).sum();
    categories.sort_unstable();
    categories.dedup();
    (agreeing as f64 / points.len() as f64, categories.len())
}

#[test]
fn eight_clusters_become_the_categories_of_a_latent_by_enumeration() {
    let place = Workplace::new();
    let truth = place.json("simulate eight-gaussians --out data --rows 2000")["log_density"].as_f64().unwrap();
    let points = points(&fs::read_to_string(place.path("data/test.csv")).unwrap());
    // Each fit has as many gradients; of samples as many decodings, too.
    let found = ["enumeration", "score-function --samples 8"].map(|estimator| {
        let said = place.succeed(&format!(
            "fit data/train.csv --out run --force --posterior categorical --latent 8 --estimator {estimator} --hidden 32 --epochs 60 \
             --batch 50 --learning-rate 0.005 --variance-floor 0.0001 --input-noise 0 --warm-up 5 --relations false"
        ));
        place.succeed("export run --precision f32 --out model.vae --force");
        let report = place.json("evaluate model.vae data/test.csv --likelihood");
        let found = report["importance_weighted"][3][1]["mean"].as_f64().unwrap();
        let (share, categories) = agreement(&place, "model.vae", &points);
        println!(
            "{estimator}: ln p(x) {found:.3} nats, by the source {truth:.3}; {:.1} % of the points in {categories} categories",
            100.0 * share
        );
        (said, found, share, categories)
    });
    let [(said, likelihood, share, categories), (_, by_samples, ..)] = found;
    assert!(said.contains("8 of 8 latent dimensions in use"), "{said}");
    // The source is a mixture that the decoder can be: what is left is the noise of two thousand rows and of short training.
    assert!(likelihood > truth - 0.1 && likelihood < truth + 0.1, "{likelihood} where the source has {truth}");
    assert!(share > 0.99 && categories == CLUSTERS, "{share} {categories}");
    assert!(by_samples < likelihood + 0.05, "{by_samples} by samples, {likelihood}");
}

#[test]
fn categories_are_written_described_and_generated_from() {
    let place = Workplace::new();
    place.succeed("simulate eight-gaussians --out data --rows 300");
    let fit = "fit data/train.csv --posterior categorical --hidden 8 --epochs 2";
    place.succeed(&format!("{fit} --out run --categories 3 --posteriors 20"));
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    for line in ["posterior = \"categorical\"", "categories = 3", "latent = 3", "prior = 0"] {
        assert!(config.contains(line), "{line}: {config}");
    }
    place.succeed("export run --out model.vae");
    let info = place.json("info model.vae");
    assert_eq!((&info["posterior"], &info["categories"]), (&"Categorical".into(), &3.into()));
    assert!(place.succeed("info model.vae").contains("latent       3 dimensions: 1 of 3 categories each\n"));
    place.succeed("evaluate model.vae data/test.csv --generation --run run");
    place.succeed("score model.vae data/test.csv --samples 20 --out scores.csv");
    place.succeed("generate model.vae -n 20 --out new.csv");
    place.succeed("generate model.vae -n 20 --from posteriors --run run --out others.csv");
    assert_eq!(fs::read_to_string(place.path("others.csv")).unwrap().lines().count(), 21);
    // A single latent of as many categories as there are latent values, and the same configuration from its file.
    place.succeed(&format!("{fit} --out single --latent 4"));
    assert!(fs::read_to_string(place.path("single/config.toml")).unwrap().contains("categories = 4"));
    place.succeed("fit data/train.csv --out again --config single/config.toml");
    place.succeed(&format!("{fit} --out several --latent 6 --categories 2 --estimator enumeration --free-bits 0.1"));
    place.succeed(&format!("{fit} --out coins --posterior bernoulli --latent 3 --estimator enumeration").replacen(
        "--posterior categorical",
        "",
        1,
    ));
}
