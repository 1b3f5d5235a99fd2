//! Missing values count alike for `score`, `evaluate` and the detector, in whatever unit a column is.

use std::fs;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, ChannelCalibration, FrontEnd, Importance, InferError, Proposal, ScoreKind, Scoring, Scratch, Verdict,
    format::{LikelihoodKind, Precision},
    standard_normal,
};
use vae_tests::{plain_model, varied_model};
use vae_train::{
    calibration,
    file::{
        calibration::CalibrationRecord,
        model_file::{AlignedFile, ModelFile},
    },
    run::{export::RunModel, lock::Access},
    scoring::{self, detection::detect},
    simulator::toy,
    statistics::metrics::Detection,
    tables::table::Table,
    weights::dense::Dense,
};

use crate::workplace::Workplace;

/// Factor and offset of each of four columns' units.
type Units = [(f32, f32); 4];

const COLUMNS: usize = 4;

/// Rows of four columns that follow two numbers, each fourth with a fault where `faults`, and a fifth of the values missing where `gaps`.
fn rows(count: usize, faults: bool, gaps: bool, seed: u64) -> (Vec<f32>, Vec<bool>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for row in 0..count {
        let [a, b] = [(); 2].map(|()| standard_normal(&mut rng));
        let is_faulty = faults && row % 4 == 0;
        let mut x = [a, a + b, a - 2.0 * b, 0.5 * b].map(|x| x + 0.3 * standard_normal(&mut rng));
        if is_faulty {
            x[rng.random_range(0..COLUMNS)] += 3.0;
        }
        values.extend(x.map(|x| if gaps && rng.random_range(0..5) == 0 { f32::NAN } else { x }));
        labels.push(is_faulty);
    }
    (values, labels)
}

fn csv(values: &[f32], labels: &[bool], units: &Units) -> String {
    let mut text = String::from("a,b,c,d,label\n");
    for (x, label) in values.chunks(COLUMNS).zip(labels) {
        for (x, (factor, offset)) in x.iter().zip(units) {
            text += &if x.is_nan() { ",".to_owned() } else { format!("{},", x * factor + offset) };
        }
        text += &format!("{}\n", u8::from(*label));
    }
    text
}

#[test]
fn units_change_no_verdict_and_score_evaluate_and_detector_agree() {
    let place = Workplace::new();
    let plain = [(1.0, 0.0); COLUMNS];
    let (values, labels) = rows(600, false, true, 1);
    place.write("train.csv", csv(&values, &labels, &plain));
    // Without relations, whose fit makes more of the rounding by units than a network does, and which do not count where something is missing.
    place.succeed(
        "fit train.csv --out run --epochs 60 --batch 16 --hidden 16 --latent 2 --learning-rate 0.01 --relations false",
    );
    let run = RunModel::open(&place.path("run"), Access::Read).unwrap();
    assert!(run.holdout.iter().any(|value| value.is_nan()), "the calibration, too, has to do with missing values");

    let (values, labels) = rows(1200, true, true, 2);
    let mixed = [(1000.0, 0.0), (0.001, 0.0), (1.0, 20.0), (0.001, -0.01)];
    let all = [plain, [(1000.0, 0.0); COLUMNS], [(0.001, 0.0); COLUMNS], [(1.0, 20.0); COLUMNS], mixed];
    let mut found = Vec::new();
    for (index, units) in all.into_iter().enumerate() {
        // The same model and the same held-out rows in these units.
        let mut file = run.file.clone();
        for ((mean, scale), (factor, offset)) in file.mean.iter_mut().zip(&mut file.scale).zip(units) {
            (*mean, *scale) = (*mean * factor + offset, *scale * factor);
        }
        let holdout: Vec<f32> =
            run.holdout.iter().zip(units.iter().cycle()).map(|(x, (factor, offset))| x * factor + offset).collect();
        file.calibration = calibration::of_windows(&file, &holdout, 0.05).unwrap();
        let bytes = file.to_bytes().unwrap();
        place.write("model.vae", &bytes);
        place.write("test.csv", csv(&values, &labels, &units));
        place.succeed("score model.vae test.csv --label label --out scores.csv --samples 1 --force");

        let text = fs::read_to_string(place.path("scores.csv")).unwrap();
        let mut reader = csv_rows(&text);
        let head = reader.remove(0);
        let column = |name: &str| head.iter().position(|column| column == name).unwrap();
        let number = |row: &[String], name: &str| row[column(name)].parse::<f32>().unwrap();
        let aligned = AlignedFile::new(&bytes);
        let model = aligned.model().unwrap();
        let normal = model.calibration().unwrap();
        let table = Table::read(&place.path("test.csv"), Some("label")).unwrap();
        let judged = detect(model, &table).unwrap();
        assert_eq!((reader.len(), judged.len()), (1200, 1200));
        let (mut scores, mut verdicts, mut without) = (Vec::new(), Vec::new(), 0);
        for ((row, judged), x) in reader.iter().zip(&judged).zip(values.chunks(COLUMNS)) {
            let (score, missing) = (number(row, "score"), x.iter().filter(|x| x.is_nan()).count());
            assert_eq!(number(row, "missing"), missing as f32);
            assert_eq!(number(row, "p_value"), normal.p_value(score));
            assert_eq!(number(row, "anomaly") == 1.0, score < normal.threshold());
            let assessment = judged.verdict.assessment().unwrap();
            assert_eq!((assessment.score, assessment.p_value), (score, number(row, "p_value")));
            assert_eq!(matches!(judged.verdict, Verdict::Anomalous(_)), score < normal.threshold());
            if missing == 0 {
                assert_eq!(score, number(row, "elbo"));
                without += 1;
            }
            scores.push(-f64::from(score));
            verdicts.push((row[column("anomaly")].clone(), row[column("verdict")].clone()));
        }
        assert!(without > 300, "{without}");
        let evaluation = place.json("evaluate model.vae test.csv --label label");
        let auroc = Detection::of(&scores, &labels).unwrap().auroc;
        assert_eq!(evaluation["auroc"].as_f64().unwrap(), auroc);
        found.push((auroc, verdicts, index));
    }
    println!("AUROC {:?}", found.iter().map(|(auroc, ..)| auroc).collect::<Vec<_>>());
    for (auroc, verdicts, index) in &found[1..] {
        // A score of some 5 nats is off by 1e-5 where rounding loses six bits to the offset: of 270,000 pairs few change places.
        assert!((auroc - found[0].0).abs() < 1e-4, "units {index}: {auroc} for {}", found[0].0);
        assert_eq!(*verdicts, found[0].1, "units {index}");
    }
    assert!(found[0].0 > 0.8, "{}", found[0].0);
}

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    text.lines().map(|line| line.splitn(12, ',').map(str::to_owned).collect()).collect()
}

/// Rows without values now and then, and for so long that the sensor is not believed.
fn stream() -> Table {
    let (mut values, _) = rows(200, false, true, 3);
    values[80..160].iter_mut().step_by(COLUMNS).for_each(|value| *value = f32::NAN);
    Table {
        path: "stream".into(),
        columns: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        values,
        labels: None,
        starts: Vec::new(),
        origins: Vec::new(),
    }
}

#[test]
fn drawn_scores_are_the_detectors_too_also_behind_a_sensors_fault() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut layer = |rows, columns| vae_tests::random_layer(&mut rng, rows, columns, Activation::Tanh, 2.0);
    let (encoder, mut decoder) = (vec![layer(4, 4)], vec![layer(4, 2)]);
    decoder[0].activation = Activation::Identity;
    let nats = |nats| ChannelCalibration { nats, longest_gap: 3.0, ..ChannelCalibration::UNKNOWN };
    for kind in [ScoreKind::AtMean, ScoreKind::Samples(3), ScoreKind::Importance(30)] {
        let calibration = CalibrationRecord {
            scores: 100,
            threshold: -9.0,
            quantiles: vec![-20.0, -5.0],
            score_kind: kind,
            channels: [0.3, 0.5, 0.7, 2.0].map(nats).to_vec(),
            ..CalibrationRecord::default()
        };
        let plain = plain_model(encoder.clone(), decoder.clone(), LikelihoodKind::GaussianFixed, 0.5);
        let file = AlignedFile::new(&ModelFile { calibration, ..plain }.to_bytes().unwrap());
        let model = file.model().unwrap();
        let table = stream();
        let judged = detect(model, &table).unwrap();
        let scores = scoring::of_device(&model, &table.values).unwrap();
        let faults = judged.iter().filter(|judged| judged.verdict.assessment().is_none()).count();
        assert!((15..60).contains(&faults), "{faults}");
        for (judged, score) in judged.iter().zip(scores) {
            assert!(
                judged.verdict.assessment().is_none_or(|assessment| assessment.score == score),
                "{kind:?} {judged:?}"
            );
        }
    }
}

#[test]
fn a_missing_feature_adds_its_normaliser_less_its_share_of_the_channels_nats() {
    let channels: Vec<ChannelCalibration> =
        [3.0, 4.0, 9.0].iter().map(|nats| ChannelCalibration { nats: *nats, ..ChannelCalibration::UNKNOWN }).collect();
    // Ten samples of each of three channels; and six, six and eighteen features of them.
    let statistics = vec![FrontEnd::Statistics, FrontEnd::Statistics, FrontEnd::Raw];
    let shapes = [(Vec::new(), 10, [10, 10, 10]), (statistics, 18, [6, 6, 18])];
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for (known, (front_ends, window, features)) in
        [true, false].into_iter().flat_map(|known| shapes.clone().map(|shape| (known, shape)))
    {
        let calibration = CalibrationRecord {
            channels: if known { channels.clone() } else { Vec::new() },
            ..CalibrationRecord::default()
        };
        let file = ModelFile { front_ends, window, calibration, ..varied_model(Precision::F32, 7) };
        let aligned = AlignedFile::new(&file.to_bytes().unwrap());
        let model = aligned.model().unwrap();
        let normal = model.calibration().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        for share in [0.0, 0.1, 0.5, 1.0] {
            let x: Vec<f32> =
                (0..30).map(|_| if rng.random_bool(share) { f32::NAN } else { rng.random_range(-3.0..3.0) }).collect();
            let elbo = model.elbo_at_mean(&x[..], &mut scratch).unwrap().elbo;
            let scoring = Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 0 };
            let score = model.score(&x[..], &normal, scoring, &mut scratch).unwrap();
            let mut missing = 0.0;
            for feature in (0..30).filter(|feature| x[*feature].is_nan()) {
                let (variance, scale) = (f64::from(file.variance[feature]), f64::from(file.scale[feature]));
                let channel = model.channel_of(feature).unwrap();
                let cost = if known { [3.0, 4.0, 9.0][channel] / f64::from(features[channel]) } else { 0.5 };
                missing -= 0.5 * (std::f64::consts::TAU * variance).ln() + scale.ln() + cost;
            }
            // Sums of thirty terms of a few nats each, in f32.
            assert!(
                (f64::from(score - elbo) - missing).abs() < 3e-5 * (1.0 + f64::from(elbo.abs())),
                "{share}: {score} {elbo} {missing}"
            );
            if share == 0.0 {
                assert_eq!(score, elbo);
            }
            for kind in [ScoreKind::Samples(0), ScoreKind::Importance(0)] {
                let none = Scoring { kind, ..scoring };
                assert_eq!(model.score(&x[..], &normal, none, &mut scratch), Err(InferError::NoSamples));
            }
        }
    }
}

#[test]
fn a_calibration_may_know_the_nats_alone() {
    let nats = |nats| ChannelCalibration { nats, ..ChannelCalibration::UNKNOWN };
    let channels = vec![nats(0.25), nats(4.0), nats(0.0)];
    let size = |channels: &[ChannelCalibration]| {
        let calibration = CalibrationRecord { channels: channels.to_vec(), ..CalibrationRecord::default() };
        let bytes = ModelFile { calibration, ..varied_model(Precision::Int8, 8) }.to_bytes().unwrap();
        let file = AlignedFile::new(&bytes);
        let found: Vec<_> = (0..4).map(|index| file.model().unwrap().calibration().unwrap().channel(index)).collect();
        let expected: Vec<_> = (0..4).map(|index| channels.get(index).copied()).collect();
        assert_eq!(found, expected);
        bytes.len()
    };
    let (none, alone) = (size(&[]), size(&channels));
    // Four bytes a channel, one more for the array's length, which comes to 128, and the padding of what lies behind.
    assert!((none + 9..=none + 16).contains(&alone), "{none} {alone}");
    let mut known = channels;
    known[1].mean = 7.0;
    assert!(size(&known) > alone + 90);
}

#[test]
fn the_toys_evidence_is_found_from_half_its_features() {
    const ROWS: usize = 1000;
    let place = Workplace::new();
    place.succeed("simulate linear-gaussian --out data --rows 3000");
    place.succeed("fit data/train.csv --out run --hidden 16 --latent 2 --batch 50 --epochs 60 --learning-rate 0.003");
    place.succeed("export run --out model.vae --precision f32");
    let file = AlignedFile::read(&place.path("model.vae")).unwrap();
    let model = file.model().unwrap();
    let ((features, latent), weights) = (toy::LINEAR, toy::linear_weights());
    let w = nalgebra::DMatrix::from_row_slice(features, latent, &weights);
    let covariance = &w * w.transpose() + nalgebra::DMatrix::identity(features, features) * toy::LINEAR_VARIANCE;
    let complete = toy::linear_gaussian(ROWS, 99);
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let importance = Importance { samples: 200, proposal: Proposal::Posterior, decide: None };
    // What is found less the source's own marginal, N(0, (W Wᵀ + σ² I)ₒₒ): mean, standard error, and the bias of a logarithm of weights.
    let mut bias = |missing: usize| {
        let mut x = complete.clone();
        let mut exact = Vec::new();
        for row in x.chunks_mut(features) {
            let mut order: Vec<usize> = (0..features).collect();
            (0..missing).for_each(|i| order.swap(i, rng.random_range(i..features)));
            let (hidden, observed) = order.split_at(missing);
            let values = nalgebra::DVector::from_iterator(observed.len(), observed.iter().map(|i| f64::from(row[*i])));
            let cholesky = covariance.select_rows(observed).select_columns(observed).cholesky().unwrap();
            let log_determinant = 2.0 * cholesky.l().diagonal().map(f64::ln).sum();
            let constant = observed.len() as f64 * std::f64::consts::TAU.ln() + log_determinant;
            exact.push(-0.5 * (constant + values.dot(&cholesky.solve(&values))));
            hidden.iter().for_each(|i| row[*i] = f32::NAN);
        }
        let found = scoring::log_likelihood(&model, &x, &importance, 5).unwrap();
        let of_logarithm = found.iter().map(|found| 0.5 * f64::from(found.standard_error).powi(2)).sum::<f64>();
        let differences: Vec<f64> =
            found.iter().zip(&exact).map(|(found, exact)| f64::from(found.value) - exact).collect();
        let mean = differences.iter().sum::<f64>() / ROWS as f64;
        let squares = differences.iter().map(|difference| (difference - mean).powi(2)).sum::<f64>();
        (mean, squares.sqrt() / ROWS as f64, of_logarithm / ROWS as f64)
    };
    let (whole, whole_error, _) = bias(0);
    assert!(whole > -0.25, "{whole} ± {whole_error}");
    for missing in 1..features {
        let (mean, error, of_logarithm) = bias(missing);
        println!("{missing} missing: {mean} ± {error}, of which {of_logarithm} by the draws; complete {whole}");
        // A model is no further from its source in some features than in all (its divergence falls when features are left out): beyond that
        // there is the bias of a logarithm, known from the same skewed weights and so doubled, and four standard errors.
        let allowed = 2.0 * of_logarithm + 4.0 * error.hypot(whole_error);
        assert!(mean > whole - allowed, "{missing} missing: {mean} for {whole} ± {allowed}");
        assert!(allowed < 0.2, "{allowed} says little");
        assert!(mean < 4.0 * error, "{missing} missing: {mean} is above the truth");
    }
}

#[test]
fn what_is_ordinary_is_measured_on_what_was_observed() {
    // A network that always gives z = 0 and the mean: a feature costs half its squared distance, in variances.
    let layer = |rows, columns| Dense {
        activation: Activation::Identity,
        rows,
        columns,
        weights: vec![0.0; rows * columns],
        bias: vec![0.0; rows],
    };
    let file = plain_model(vec![layer(2, 4)], vec![layer(4, 1)], LikelihoodKind::GaussianFixed, 0.5);
    let (mut values, _) = rows(500, false, true, 9);
    // Of the last channel nothing is known: half a nat, as of a Gaussian.
    values.iter_mut().skip(3).step_by(COLUMNS).for_each(|value| *value = f32::NAN);
    let found = calibration::of_windows(&file, &values, 0.1).unwrap();
    for (channel, known) in found.channels.iter().enumerate().take(3) {
        let column = values.iter().skip(channel).step_by(COLUMNS).filter(|value| !value.is_nan());
        let costs: Vec<f64> = column.map(|value| f64::from(*value).powi(2) / (2.0 * 0.5)).collect();
        let expected = costs.iter().sum::<f64>() / costs.len() as f64;
        assert!((f64::from(known.nats) / expected - 1.0).abs() < 1e-5, "{channel}: {} for {expected}", known.nats);
    }
    assert_eq!(found.channels[3].nats, 0.5);
    // Each missing value stands for the mean of those that were there: the scores' mean is that of all of them.
    let normaliser = -0.5 * (std::f64::consts::TAU * 0.5).ln();
    let expected: f64 = found.channels.iter().map(|channel| f64::from(channel.nats) - normaliser).sum();
    assert!(
        (f64::from(found.location_and_scale.0) / expected - 1.0).abs() < 1e-4,
        "{:?} {expected}",
        found.location_and_scale
    );
}
