//! Models whose features have families of their own, through the core: scores, blame, generation and the detector, beside computations in f64.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::{
    ChannelCalibration, InferError, LEAST_BASELINE, Model, Scratch, SensorFaultKind, Verdict,
    format::{FeatureFamily, LikelihoodKind, Precision},
    standard_normal,
};
use vae_tests::mixed::{CHANNELS, LOG_OTHER, SAMPLE, mixed_model, sample_window};
use vae_train::file::{
    calibration::CalibrationRecord,
    model_file::{AlignedFile, ModelFile},
};

/// What each column of a window costs and its normaliser, in f64, by the mean of `p(x|z)` that the core decodes: the feature that it is owed to,
/// and `ln p`.
fn columns(x: &[f32], mean: &[f32]) -> Vec<(usize, f64)> {
    let known = (-f64::from(LOG_OTHER).exp()).ln_1p();
    let mut found = Vec::new();
    for start in (0..x.len()).step_by(CHANNELS) {
        for (place, family) in SAMPLE.iter().enumerate() {
            let feature = start + place;
            let (value, m) = (f64::from(x[feature]), f64::from(mean[feature]));
            match family {
                FeatureFamily::Gaussian => {
                    let variance = 0.3 * 0.25;
                    let square = (value - m).powi(2) / variance;
                    found.push((feature, -0.5 * (square + (std::f64::consts::TAU * variance).ln())));
                }
                FeatureFamily::Bernoulli => found.push((feature, if value == 1.0 { m.ln() } else { (1.0 - m).ln() })),
                FeatureFamily::FirstCategory { .. } => {
                    let count =
                        1 + SAMPLE[place + 1..].iter().take_while(|f| **f == FeatureFamily::NextCategory).count();
                    let seen = (feature..feature + count).find(|feature| x[*feature] == 1.0);
                    found.push(match seen {
                        Some(seen) => (seen, f64::from(mean[seen]).ln() + known),
                        None => (feature, f64::from(LOG_OTHER)),
                    });
                }
                FeatureFamily::NextCategory => {}
            }
        }
    }
    found
}

/// The mean of `p(x|z)` at the posterior's mean of a window.
fn reconstruction(model: &Model<'_>, x: &[f32], scratch: &mut Scratch<'_>) -> Vec<f32> {
    let (mut z, mut mean) = (vec![0.0; model.latent()], vec![0.0; model.features()]);
    model.encode(x, scratch).unwrap().mean(&mut z[..]).unwrap();
    model.decode(&z[..], &mut mean[..], scratch).unwrap();
    mean
}

#[test]
fn a_score_is_the_sum_of_each_columns_own_family() {
    for (window, precision) in [1, 10, 30].into_iter().flat_map(|w| [(w, Precision::F32), (w, Precision::Int8)]) {
        let file = AlignedFile::new(&mixed_model(window, precision).to_bytes().unwrap());
        let model = file.model().unwrap();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut scratch = Scratch::new(&mut memory);
        model.self_test(&mut scratch).unwrap();
        assert!(model.families().unwrap().eq(SAMPLE.repeat(window)));
        let mut normal = sample_window(window, 3);
        for is_known in [true, false] {
            if !is_known {
                // A mode that training has not seen, in the last sample.
                normal[CHANNELS * (window - 1) + 1..][..5].fill(0.0);
            }
            let mean = reconstruction(&model, &normal, &mut scratch);
            let expected = columns(&normal, &mean);
            let nats: f64 = expected.iter().map(|(_, nats)| nats).sum();
            let score = model.elbo_at_mean(&normal[..], &mut scratch).unwrap();
            // The probabilities that were decoded have rounding errors of their own.
            let allowed = 1e-5 * expected.iter().map(|(_, nats)| nats.abs() + 1.0).sum::<f64>();
            assert!(
                (f64::from(score.reconstruction) - nats).abs() < allowed,
                "{window} {precision:?}: {score:?} {nats}"
            );

            let mut costs = vec![f32::NAN; model.features()];
            model.attribute(&normal[..], &mut scratch, &mut |feature, cost| costs[feature] = cost).unwrap();
            let mut owed = vec![0.0; model.features()];
            for (feature, nats) in &expected {
                let normaliser = if SAMPLE[feature % CHANNELS].is_discrete() {
                    0.0
                } else {
                    -0.5 * (std::f64::consts::TAU * 0.075).ln()
                };
                owed[*feature] = normaliser - nats;
            }
            for (feature, (found, expected)) in costs.iter().zip(&owed).enumerate() {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-4 * (1.0 + expected.abs()),
                    "{feature}: {found} for {expected}"
                );
            }
        }
    }
}

#[test]
fn what_is_not_observed_is_left_out_and_what_is_no_state_refused() {
    let file = AlignedFile::new(&mixed_model(2, Precision::F32).to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut x = sample_window(2, 5);
    for feature in [0, 1, 2, 3, 4, 5, 16, 18, 19] {
        x[feature] = f32::NAN;
    }
    let mean = reconstruction(&model, &x, &mut scratch);
    let observed = columns(&x, &mean).into_iter().filter(|(feature, _)| !x[*feature].is_nan());
    let nats: f64 = observed.map(|(_, nats)| nats).sum();
    let score = model.elbo_at_mean(&x[..], &mut scratch).unwrap();
    assert_eq!(score.missing, 9);
    assert!((f64::from(score.reconstruction) - nats).abs() < 1e-4, "{score:?} {nats}");
    let mut given = Vec::new();
    model.attribute(&x[..], &mut scratch, &mut |feature, _| given.push(feature)).unwrap();
    given.sort_unstable();
    assert_eq!(given, (0..20).filter(|feature| !x[*feature].is_nan()).collect::<Vec<_>>());

    for (feature, value) in [(6, 2.0), (1, -0.5), (19, 1.5)] {
        let mut x = sample_window(2, 5);
        x[feature] = value;
        let refused = model.elbo_at_mean(&x[..], &mut scratch).unwrap_err();
        assert_eq!(refused, InferError::OutsideUnitInterval { feature, value });
    }
}

#[test]
fn made_up_windows_have_one_state_each_as_often_as_the_decoder_says() {
    let file = AlignedFile::new(&mixed_model(1, Precision::F32).to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let (z, mut mean, mut x) = ([0.3, -0.2, 0.1], [0.0; CHANNELS], [0.0; CHANNELS]);
    model.decode(&z, &mut mean, &mut scratch).unwrap();
    for group in [&mean[1..6], &mean[8..10]] {
        assert!((group.iter().sum::<f32>() - 1.0).abs() < 1e-6 && group.iter().all(|p| *p > 0.0), "{group:?}");
    }
    const DRAWS: u32 = 4000;
    let (mut rng, mut sums) = (ChaCha8Rng::seed_from_u64(9), [0.0f64; CHANNELS]);
    for _ in 0..DRAWS {
        model.decode_sample(&z, &mut rng, &mut x, &mut scratch).unwrap();
        assert!(x[1..7].iter().chain(&x[8..]).all(|x| *x == 0.0 || *x == 1.0));
        assert_eq!((x[1..6].iter().sum::<f32>(), x[8] + x[9]), (1.0, 1.0));
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += f64::from(x));
    }
    for (feature, family) in SAMPLE.iter().enumerate() {
        let (found, p) = (sums[feature] / f64::from(DRAWS), f64::from(mean[feature]));
        let variance = if family.is_discrete() { p * (1.0 - p) } else { 0.3 * 0.25 };
        assert!((found - p).abs() < 5.0 * (variance / f64::from(DRAWS)).sqrt() + 1e-6, "{feature}: {found} for {p}");
    }
}

#[test]
fn files_whose_families_make_no_sense_are_refused() {
    let refused = |change: &dyn Fn(&mut ModelFile)| {
        let mut file = mixed_model(2, Precision::F32);
        change(&mut file);
        assert!(file.to_bytes().is_err());
    };
    refused(&|file| file.families[0] = FeatureFamily::NextCategory);
    refused(&|file| file.families[10] = FeatureFamily::NextCategory);
    refused(&|file| file.families[1] = FeatureFamily::FirstCategory { log_other: 0.5 });
    refused(&|file| file.scale[1] = 2.0);
    refused(&|file| file.mean[6] = 0.5);
    refused(&|file| file.variance[9] = 0.5);
    refused(&|file| {
        file.families.pop();
    });
    refused(&|file| file.likelihood = LikelihoodKind::GaussianPerFeature);
    mixed_model(2, Precision::F32).to_bytes().unwrap();
}

#[test]
fn a_state_that_stays_is_no_stuck_sensor_and_has_no_baseline() {
    let plain = mixed_model(1, Precision::F32);
    let of = |family: &FeatureFamily| match family.is_discrete() {
        true => ChannelCalibration { range: (0.0, 1.0), ..ChannelCalibration::UNKNOWN },
        false => ChannelCalibration { longest_run: 3.0, mean: 2.0, power: 1.0, ..ChannelCalibration::UNKNOWN },
    };
    let calibration = CalibrationRecord {
        threshold: -1e6,
        scores: 100,
        quantiles: vec![-100.0, 0.0],
        channels: SAMPLE.iter().map(of).collect(),
        ..CalibrationRecord::default()
    };
    let file = AlignedFile::new(&ModelFile { calibration, ..plain }.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let (mut window, mut state) = (vec![0.0; model.window_len()], vec![0.0; model.state_len()]);
    let mut detector = vae_core::Detector::over(model, &mut window, &mut state).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut push = |detector: &mut vae_core::Detector<'_, '_>, power: Option<f32>, valve: f32| {
        let noise = standard_normal(&mut rng);
        let x = [power.unwrap_or(2.0 + noise), 0.0, 1.0, 0.0, 0.0, 0.0, valve, 2.0 - noise, 1.0, 0.0];
        detector.push(&x, &mut scratch).unwrap()
    };
    for _ in 0..500 {
        assert!(matches!(push(&mut detector, None, 1.0), Some(Verdict::Normal(_))));
    }
    // A measurement that stays is one.
    let stuck = (0..40).find_map(|_| match push(&mut detector, Some(2.5), 1.0) {
        Some(Verdict::SensorFault(fault)) => Some((fault.channel, fault.kind)),
        _ => None,
    });
    assert_eq!(stuck, Some((0, SensorFaultKind::Stuck)));
    let beyond = push(&mut detector, None, 2.0);
    assert!(
        matches!(beyond, Some(Verdict::SensorFault(fault)) if (fault.channel, fault.kind) == (6, SensorFaultKind::OutOfRange)),
        "{beyond:?}"
    );
    // Power is 0.7 more on this machine, and the state is another than before: a baseline moves the former alone.
    detector.forget().unwrap();
    detector.rebaseline(2 * LEAST_BASELINE).unwrap();
    // Windows far below the others may cost as many more.
    for taken in 0.. {
        if !detector.is_rebaselining() {
            break;
        }
        assert!(taken < 6 * LEAST_BASELINE && push(&mut detector, None, 0.0).is_none());
    }
    for valve in [0.0, 1.0, 0.0] {
        assert!(matches!(push(&mut detector, None, valve), Some(Verdict::Normal(_))));
    }
}
