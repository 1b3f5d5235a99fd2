//! Features that are judged together: against an f64 computation of its own, with what is missing, and what is blamed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    LoadError, Model, ScoreKind, Scoring, Scratch,
    format::{Precision, input_mixture_len},
};
use vae_tests::related_model;
use vae_train::{
    file::model_file::{AlignedFile, ModelFile},
    weights::relations::Relations,
};

const FEATURES: usize = 7;

/// What the file says of a window, in f64, from what the same model without relations makes of it.
struct Judged {
    /// Half the squares of each feature's differences: alone, and given the others.
    alone: Vec<f64>,
    given_others: Vec<f64>,
    /// The log-likelihood where all differences are none: alone, and given the others; and the most that counts of either.
    best: [f64; 3],
    kl: f64,
    /// The score that the window has at most, and the features that are out of range.
    outside: f64,
    out_of_range: Vec<usize>,
    /// Each component's log-density, and what it would regain of each feature.
    components: Vec<(f64, Vec<f64>)>,
}

impl Judged {
    fn of(file: &ModelFile, x: &[f32]) -> Self {
        let Relations { of_inputs, offset, ceiling, given_others, range, outside, mixture } =
            file.relations.as_ref().unwrap();
        let plain = AlignedFile::new(&ModelFile { relations: None, ..file.clone() }.to_bytes().unwrap());
        let model = plain.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        let kl = f64::from(model.elbo_at_mean(x, &mut scratch).unwrap().kl);
        let (mut z, mut mean) = (vec![0.0; model.latent()], [0.0; FEATURES]);
        model.encode(x, &mut scratch).unwrap().mean(&mut z[..]).unwrap();
        model.decode(&z[..], &mut mean[..], &mut scratch).unwrap();

        let units = file.scale.iter().zip(&file.variance);
        let units: Vec<f64> = units.map(|(scale, v)| f64::from(*scale) * f64::from(*v).sqrt()).collect();
        let off = |centre: &[f32]| -> Vec<f64> {
            x.iter().zip(centre).zip(&units).map(|((x, c), unit)| (f64::from(*x) - f64::from(*c)) / unit).collect()
        };
        let (y, r) = (off(&file.mean), off(&mean));
        let rows = given_others.weights.chunks(FEATURES).zip(&given_others.bias);
        let of = if *of_inputs { &y } else { &r };
        let expected = rows.map(|(row, bias)| {
            let off = row.iter().zip(of).map(|(w, r)| f64::from(*w) * r).sum::<f64>() + f64::from(*bias);
            0.5 * off * off
        });
        let normaliser: f64 = units.iter().map(|unit| -0.5 * std::f64::consts::TAU.ln() - unit.ln()).sum();
        let components = mixture.chunks(input_mixture_len(FEATURES)).map(|values| {
            let at = |feature: usize, step: f64| {
                let mut y = y.clone();
                y[feature] += step;
                half_square(&values[1..], &y)
            };
            let regained = |feature: usize| {
                // A parabola through three points.
                let (before, here, after) = (at(feature, -1.0), at(feature, 0.0), at(feature, 1.0));
                let (slope, curvature) = (0.5 * (after - before), after + before - 2.0 * here);
                0.5 * slope * slope / curvature
            };
            (normaliser + f64::from(values[0]) - at(0, 0.0), (0..FEATURES).map(regained).collect())
        });
        let limits = range.iter().zip(file.mean.iter().zip(&file.scale)).zip(x);
        let beyond = limits
            .map(|(((least, largest), (mean, scale)), x)| x < &(mean + scale * least) || x > &(mean + scale * largest));
        let out_of_range: Vec<usize> =
            beyond.enumerate().filter(|(_, beyond)| *beyond).map(|(feature, _)| feature).collect();
        Self {
            outside: if out_of_range.is_empty() { f64::INFINITY } else { normaliser + f64::from(*outside) },
            out_of_range,
            alone: r.iter().map(|r| 0.5 * r * r).collect(),
            given_others: expected.collect(),
            best: [normaliser, normaliser + f64::from(*offset), normaliser + f64::from(*ceiling)],
            kl,
            components: components.collect(),
        }
    }

    /// The log-density of each way to judge, as an ELBO: alone, given the others, at the ceiling, by the mixture, by the range.
    fn ways(&self) -> [f64; 5] {
        let [alone, given_others, ceiling] = self.best;
        let reconstruction =
            [alone - self.alone.iter().sum::<f64>(), given_others - self.given_others.iter().sum::<f64>(), ceiling];
        let [alone, given_others, ceiling] = reconstruction.map(|nats| nats - self.kl);
        [alone, given_others, ceiling, self.nearest().0, self.outside]
    }

    fn nearest(&self) -> &(f64, Vec<f64>) {
        self.components.iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
    }
}

/// `½ ‖U y − b‖²` of a component's values behind its constant.
fn half_square(mut rest: &[f32], y: &[f64]) -> f64 {
    let mut sum = 0.0;
    for row in 0..y.len() {
        let (entries, behind) = rest.split_at(row + 1);
        let off = entries.iter().zip(y).map(|(u, y)| f64::from(*u) * y).sum::<f64>() - f64::from(behind[0]);
        sum += 0.5 * off * off;
        rest = &behind[1..];
    }
    sum
}

fn window(rng: &mut ChaCha8Rng, spread: f32) -> [f32; FEATURES] {
    std::array::from_fn(|_| 0.5 + spread * rng.random_range(-1.0..1.0))
}

fn score(model: &Model<'_>, x: &[f32]) -> f32 {
    let mut memory = vec![0.0; model.scratch_len()];
    let scoring = Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 0 };
    model.score(x, &model.calibration().unwrap(), scoring, &mut Scratch::new(&mut memory)).unwrap()
}

/// int8: weights and differences in 127 and 256 steps, so that squares of what is off by a hundredth are off by a fiftieth.
fn allowed(precision: Precision, exact: f64) -> f64 {
    match precision {
        Precision::F32 => 1e-4 * (1.0 + exact.abs()),
        Precision::Int8 => 0.3 + 0.05 * exact.abs(),
    }
}

const KINDS: [(bool, Precision); 4] =
    [(false, Precision::F32), (true, Precision::F32), (false, Precision::Int8), (true, Precision::Int8)];

#[test]
fn the_score_is_the_least_of_what_features_say_alone_together_and_by_the_mixture() {
    // Which way to judge was the least: each has its turn.
    let mut turns = [0; 5];
    for (of_inputs, precision) in KINDS {
        let file = related_model(of_inputs, precision, 4);
        let bytes = AlignedFile::new(&file.to_bytes().unwrap());
        let model = bytes.model().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for index in 0..600 {
            let x = window(&mut rng, [0.1, 0.4, 0.8, 5.0][index % 4]);
            let (ways, found) = (Judged::of(&file, &x).ways(), score(&model, &x));
            let least = (0..5).min_by(|a, b| ways[*a].total_cmp(&ways[*b])).unwrap();
            turns[least] += 1;
            let (elbo, exact) = (f64::from(found), ways[least]);
            assert!((elbo - exact).abs() < allowed(precision, exact), "{index}: {elbo} for {exact}, {ways:?}");
        }
    }
    assert!(turns.iter().all(|count| *count > 20), "{turns:?}");
}

#[test]
fn a_window_of_which_something_is_missing_is_judged_feature_by_feature() {
    let file = related_model(false, Precision::F32, 4);
    let plain = ModelFile { relations: None, ..file.clone() };
    let [related, plain] = [file, plain].map(|file| AlignedFile::new(&file.to_bytes().unwrap()));
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for _ in 0..20 {
        let mut x = window(&mut rng, 0.5);
        x[3] = f32::NAN;
        assert_eq!(score(&related.model().unwrap(), &x), score(&plain.model().unwrap(), &x));
    }
}

#[test]
fn a_feature_costs_what_would_be_regained_if_it_were_as_expected() {
    let mut turns = [0; 4];
    for (of_inputs, precision) in KINDS {
        let file = related_model(of_inputs, precision, 4);
        let bytes = AlignedFile::new(&file.to_bytes().unwrap());
        let model = bytes.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for index in 0..800 {
            let x = window(&mut rng, [0.1, 0.4, 0.7, 4.5][index % 4]);
            let judged = Judged::of(&file, &x);
            let mut costs = [f64::NAN; FEATURES];
            let mut each = |feature: usize, nats: f32| costs[feature] = f64::from(nats);
            model.attribute(&x[..], &mut Scratch::new(&mut memory), &mut each).unwrap();
            let [alone, given_others, ceiling, mixed, outside] = judged.ways();
            let reconstructed = alone.min(given_others).min(ceiling);
            let within = mixed.min(reconstructed);
            let least = [(outside - within, 3), (mixed - reconstructed, 0), (given_others - alone, 1), (0.0, 2)];
            // Rounding may decide between what is nearly equal.
            if least[..3].iter().map(|(gap, _)| gap).any(|gap| gap.abs() < allowed(precision, alone)) {
                continue;
            }
            let (_, which) = *least.iter().find(|(gap, _)| *gap <= 0.0).unwrap();
            turns[which] += 1;
            let gap: Vec<f64> = (0..FEATURES)
                .map(|feature| if judged.out_of_range.contains(&feature) { within - outside } else { f64::NAN })
                .collect();
            let exact = [&judged.nearest().1, &judged.given_others, &judged.alone, &gap][which];
            for (found, exact) in costs.iter().zip(exact) {
                if exact.is_nan() {
                    assert!(found.is_nan(), "{index}: {costs:?}");
                    continue;
                }
                assert!(
                    (found - exact).abs() < allowed(precision, *exact) * 4.0,
                    "{index} {which}: {costs:?} for {exact}"
                );
            }
        }
    }
    assert!(turns.iter().all(|count| *count > 20), "{turns:?}");
}

#[test]
fn relations_that_do_not_fit_the_features_are_refused() {
    let file = related_model(false, Precision::F32, 4);
    let relations = file.relations.clone().unwrap();
    let mut fewer = relations.given_others.clone();
    fewer.rows = 6;
    fewer.weights.truncate(6 * FEATURES);
    fewer.bias.truncate(6);
    let fewer = Relations { given_others: fewer, ..relations.clone() };
    let error = ModelFile { relations: Some(fewer), ..file.clone() }.to_bytes().unwrap_err().to_string();
    assert!(error.contains("(6, 7)"), "{error}");
    let infinite = Relations { offset: f32::INFINITY, ..relations };
    let error = ModelFile { relations: Some(infinite), ..file }.to_bytes().unwrap_err();
    assert_eq!(error.downcast_ref(), Some(&LoadError::Value), "{error:?}");
}
