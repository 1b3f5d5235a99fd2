//! The detector: its scores, its verdicts on simulated motors, sensors that fail, drift, what it remembers, and what it refuses.

use std::task::Poll;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_pcg::Pcg32;
use vae_core::{
    Activation, Alarms, ChannelCalibration, Detector, DetectorError, DriftKind, FrontEnd, Importance, InferError,
    Location, Model, Proposal, ScoreKind, Scratch, SensorFaultKind, Tail, Verdict, Votes,
    format::{LikelihoodKind, PosteriorKind, Precision},
};
use vae_tests::{Family, family_model, plain_model, root, varied_model};
use vae_train::{
    calibration::{Normal, Settings, calibrate, false_alarms::FalseAlarms},
    file::{
        calibration::CalibrationRecord,
        model_file::{AlignedFile, ModelFile},
    },
    simulator::motor::{Condition, simulate},
    tables::table::Table,
    weights::dense::Dense,
};

/// Room for the windows of all models here.
type Buffer = heapless::Vec<f32, 512>;

/// The demonstration's model: three axes in g at 1600 Hz, windows of 64 samples.
fn motor() -> AlignedFile {
    AlignedFile::read(&root().join("firmware-example/model/motor.vae")).unwrap()
}

/// Runs `use_it` with a fresh detector for `model`.
fn with_detector<'m, T>(model: Model<'m>, use_it: impl FnOnce(&mut Detector<'m, '_>, &mut Scratch<'_>) -> T) -> T {
    let (mut state, mut memory) = (vec![0.0; model.state_len()], vec![0.0; 2 * model.scratch_len()]);
    let mut window = Buffer::new();
    let mut detector = Detector::new(model, &mut window, &mut state).unwrap();
    use_it(&mut detector, &mut Scratch::new(&mut memory))
}

fn run<const N: usize>(
    detector: &mut Detector<'_, '_>,
    scratch: &mut Scratch<'_>,
    samples: impl IntoIterator<Item = [f32; N]>,
) -> Vec<Verdict> {
    samples.into_iter().filter_map(|sample| detector.push(&sample, scratch).unwrap()).collect()
}

fn verdicts(model: Model<'_>, samples: impl IntoIterator<Item = [f32; 3]>) -> Vec<Verdict> {
    with_detector(model, |detector, scratch| run(detector, scratch, samples))
}

fn anomalies(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Anomalous(_))).count()
}

fn drifts(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Drifting(_))).count()
}

/// Calibrated so that nothing is out of the ordinary.
fn calibrated(score_kind: ScoreKind, threshold: f32) -> CalibrationRecord {
    CalibrationRecord { scores: 100, threshold, quantiles: vec![-1e3, 1e3], score_kind, ..CalibrationRecord::default() }
}

/// A power that may be off by such a share.
fn within(limit: f32) -> Location {
    Location { centre: 1.0, spread: 0.0, limit }
}

/// Words of a snapshot before the channels': see `vae-core/src/detector/snapshot.rs`.
const FIXED: usize = 21;

#[test]
fn scores_are_the_models_own_whatever_they_are_and_however_they_are_stepped() {
    let kinds = [ScoreKind::AtMean, ScoreKind::Samples(3), ScoreKind::Importance(20)];
    for (precision, kind) in [Precision::F32, Precision::Int8].into_iter().flat_map(|p| kinds.map(|kind| (p, kind))) {
        // Nothing is anomalous, so that nothing is attributed; the threshold is far, so that the samples end early.
        let file = ModelFile { calibration: calibrated(kind, -1e9), ..varied_model(precision, 5) };
        let file = AlignedFile::new(&file.to_bytes().unwrap());
        let model = file.model().unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let samples: Vec<[f32; 3]> = (0..60).map(|_| [(); 3].map(|()| rng.random_range(-3.0..3.0))).collect();
        let mut memory = vec![0.0; model.scratch_len()];
        let mut own = Scratch::new(&mut memory);
        let expected: Vec<f32> = (0..11u64)
            .map(|index| {
                let x = samples[5 * index as usize..][..10].as_flattened();
                let mut rng = Pcg32::seed_from_u64(index);
                match kind {
                    ScoreKind::AtMean => model.elbo_at_mean(x, &mut own).unwrap().elbo,
                    ScoreKind::Samples(count) => model.elbo(x, count, &mut rng, &mut own).unwrap().elbo,
                    ScoreKind::Importance(samples) => {
                        let decide = Some((-1e9, 3.0));
                        let importance = Importance { samples, proposal: Proposal::Posterior, decide };
                        model.log_likelihood_by(x, &importance, &mut rng, &mut own).unwrap().value
                    }
                }
            })
            .collect();
        let scores = |verdicts: &[Verdict]| -> Vec<f32> {
            verdicts.iter().map(|verdict| verdict.assessment().unwrap().score).collect()
        };
        let pushed = with_detector(model, |detector, scratch| run(detector, scratch, samples.clone()));
        assert_eq!(scores(&pushed), expected, "{precision:?} {kind:?}");

        let mut steps = 0;
        let stepped = with_detector(model, |detector, scratch| {
            let mut verdicts = Vec::new();
            for sample in &samples {
                if !detector.feed(sample).unwrap() {
                    assert_eq!(detector.step(scratch).unwrap(), Poll::Ready(None));
                    continue;
                }
                // What comes too early is refused, and nothing is lost.
                assert_eq!(detector.feed(sample), Err(DetectorError::Busy));
                verdicts.extend(loop {
                    steps += 1;
                    if let Poll::Ready(verdict) = detector.step(scratch).unwrap() {
                        break verdict;
                    }
                });
            }
            verdicts
        });
        assert_eq!(stepped, pushed, "{precision:?} {kind:?}");
        // The input, then each of four layers and, for each sample, each of four.
        let decodings = match kind {
            ScoreKind::AtMean => 1,
            ScoreKind::Samples(count) => count,
            ScoreKind::Importance(_) => 8,
        };
        assert_eq!(steps, 11 * (1 + 4 + 4 * decodings), "{kind:?}");
    }
}

#[test]
fn a_condition_and_a_front_end_are_the_models() {
    let family = Family {
        posterior: PosteriorKind::DiagonalGaussian,
        likelihood: LikelihoodKind::GaussianPredicted,
        conditions: 2,
    };
    let file =
        ModelFile { calibration: calibrated(ScoreKind::AtMean, -1e9), ..family_model(family, Precision::Int8, 3) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut own = Scratch::new(&mut memory);
    let (x, condition) = ([0.3; 7], [0.7, -0.2]);
    with_detector(model, |detector, scratch| {
        assert!(matches!(detector.given(&[1.0]), Err(DetectorError::Infer(InferError::WrongCondition { .. }))));
        assert!(matches!(
            detector.push(&x, scratch),
            Err(DetectorError::Infer(InferError::BadCondition { condition: 0 }))
        ));
        detector.given(&condition).unwrap();
        let found = detector.push(&x, scratch).unwrap().unwrap().assessment().unwrap().score;
        assert_eq!(found, model.given(&condition).unwrap().elbo_at_mean(&x, &mut own).unwrap().elbo);
    });

    // Six statistics of two channels each, and the samples of the last: thirty features of windows of 18.
    let file = ModelFile {
        front_ends: vec![FrontEnd::Statistics, FrontEnd::Statistics, FrontEnd::Raw],
        window: 18,
        hop: 9,
        calibration: calibrated(ScoreKind::AtMean, -1e9),
        ..varied_model(Precision::Int8, 6)
    };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    assert_eq!([0, 6, 12, 29].map(|feature| model.channel_of(feature).unwrap()), [0, 1, 2, 2]);
    let samples: Vec<[f32; 3]> = (0..18).map(|i| [(i as f32).sin(), (0.3 * i as f32).cos(), 0.1 * i as f32]).collect();
    let mut features = [0.0; 30];
    model.extract(samples.as_flattened(), &mut [0.0; 18], &mut features).unwrap();
    assert_eq!(features[12..], std::array::from_fn::<f32, 18, _>(|i| 0.1 * i as f32));
    let expected = model.elbo_at_mean(&features, &mut Scratch::new(&mut vec![0.0; model.scratch_len()])).unwrap().elbo;
    let found = verdicts(model, samples);
    assert_eq!(found[0].assessment().unwrap().score, expected);
}

#[test]
fn a_front_end_that_windows_do_not_fit_is_refused() {
    // Bands need a power of two.
    let front_ends = vec![FrontEnd::Statistics, FrontEnd::Bands(4), FrontEnd::Raw];
    let calibration = calibrated(ScoreKind::AtMean, 0.0);
    let file = ModelFile { front_ends, window: 20, calibration, ..varied_model(Precision::F32, 6) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let refused = Detector::new(model, &mut Buffer::new(), &mut vec![0.0; model.state_len()]).unwrap_err();
    assert_eq!(refused, DetectorError::Infer(InferError::Unsupported));
}

#[test]
fn normal_running_raises_no_alarm_and_each_fault_is_blamed_on_its_axis() {
    let file = motor();
    let model = file.model().unwrap();
    for seed in 0..3 {
        // 10,000 windows each, of which one in four million or so raises a false alarm.
        let found = verdicts(model, simulate(Condition::Normal, 200.0, 1000 + seed));
        assert_eq!((anomalies(&found), drifts(&found)), (0, 0), "seed {seed}");
    }
    // Where the simulator puts most of each fault: the radial axes, the axial one and a radial one.
    let axes: [(Condition, &[u32]); 4] = [
        (Condition::Imbalance, &[0, 1]),
        (Condition::Bearing, &[0, 1]),
        (Condition::Misalignment, &[0, 2]),
        (Condition::Looseness, &[1]),
    ];
    for (condition, axes) in axes {
        let found = verdicts(model, simulate(condition, 60.0, 7));
        let blamed =
            |verdict: &Verdict| matches!(verdict, Verdict::Anomalous(anomaly) if axes.contains(&anomaly.channel));
        let (anomalous, right) = (anomalies(&found), found.iter().filter(|verdict| blamed(verdict)).count());
        assert!(10 * anomalous >= 7 * found.len(), "{condition:?}: {anomalous} of {}", found.len());
        assert!(10 * right >= 9 * anomalous, "{condition:?}: {right} of {anomalous} blamed on {axes:?}");
    }
}

#[test]
fn the_nats_of_an_alarm_are_the_features_own() {
    let file = motor();
    let model = file.model().unwrap();
    let samples = simulate(Condition::Bearing, 4.0, 3);
    let found = verdicts(model, samples.clone());
    let (index, anomaly) = found
        .iter()
        .enumerate()
        .find_map(|(index, verdict)| match verdict {
            Verdict::Anomalous(anomaly) => Some((index, anomaly)),
            _ => None,
        })
        .unwrap();
    let x = samples[32 * index..][..64].as_flattened();
    let mut costs = vec![0.0; 192];
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    model.attribute(x, &mut scratch, &mut |feature, nats| costs[feature] = nats).unwrap();
    // ln p(x|z) is what the features would have at no cost, less what they cost: differences of it are differences of costs.
    let conditional = |x: &[f32], scratch: &mut Scratch<'_>| model.elbo_at_mean(x, scratch).unwrap().reconstruction;
    let normalisers = f64::from(conditional(x, &mut scratch)) + costs.iter().map(|c| f64::from(*c)).sum::<f64>();
    let other = samples[..64].as_flattened();
    let mut sum = 0.0;
    model.attribute(other, &mut scratch, &mut |_, nats| sum += f64::from(nats)).unwrap();
    assert!(
        (f64::from(conditional(other, &mut scratch)) + sum - normalisers).abs()
            < 2e-3 * costs.iter().sum::<f32>() as f64,
        "{normalisers}"
    );

    let normal = |channel: usize| model.calibration().unwrap().channel(channel).unwrap().nats;
    let channel = |channel: usize| costs.iter().skip(channel).step_by(3).sum::<f32>() - normal(channel);
    let worst = (0..3).max_by(|a, b| channel(*a).total_cmp(&channel(*b))).unwrap();
    let feature = (0..192).max_by(|a, b| costs[*a].total_cmp(&costs[*b])).unwrap();
    assert_eq!((anomaly.channel as usize, anomaly.feature as usize), (worst, feature));
    assert_eq!(anomaly.feature_nats, costs[feature]);
    assert!((anomaly.channel_nats - channel(worst)).abs() < 1e-3 * anomaly.channel_nats);
}

#[test]
fn a_dead_sensor_is_never_the_machines_fault() {
    let file = motor();
    let model = file.model().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for trial in 0..250 {
        let (axis, at) = (rng.random_range(0..3), rng.random_range(300..1500));
        // It holds its last value, shows 0, nothing, an end of its range, what is beyond, or no number.
        let (shown, kind) = [
            (None, SensorFaultKind::Stuck),
            (Some(0.0), SensorFaultKind::Stuck),
            (Some(f32::NAN), SensorFaultKind::Missing),
            (Some(-16.0), SensorFaultKind::Saturated),
            (Some(f32::INFINITY), SensorFaultKind::OutOfRange),
        ][trial % 5];
        let mut samples = simulate(Condition::Normal, 2.0, 5000 + trial as u64);
        let held = shown.unwrap_or(samples[at][axis]);
        samples[at..].iter_mut().for_each(|sample| sample[axis] = held);
        let found = verdicts(model, samples);
        assert_eq!(anomalies(&found), 0, "trial {trial}: axis {axis} at {at} shows {held}");
        match found.last() {
            Some(Verdict::SensorFault(fault)) => assert_eq!((fault.channel as usize, fault.kind), (axis, kind)),
            other => panic!("trial {trial}: axis {axis} at {at} shows {held}: {other:?}"),
        }
    }
}

#[test]
fn bursts_without_values_are_borne_or_blamed_on_the_sensor_but_raise_no_alarm() {
    let file = motor();
    let model = file.model().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut samples = simulate(Condition::Normal, 60.0, 99);
    let clean = verdicts(model, samples.clone());
    for sample in 0..samples.len() {
        if rng.random_range(0..100) == 0 {
            let (axis, len) = (rng.random_range(0..3), rng.random_range(1..6));
            samples.iter_mut().skip(sample).take(len).for_each(|sample| sample[axis] = f32::NAN);
        }
    }
    let found = verdicts(model, samples);
    assert_eq!(anomalies(&found), 0);
    let mean = |verdicts: &[Verdict]| {
        let scores: Vec<f32> = verdicts.iter().filter_map(Verdict::assessment).map(|a| a.score).collect();
        (scores.iter().sum::<f32>() / scores.len() as f32, scores.len())
    };
    let missing: u32 = found.iter().filter_map(Verdict::assessment).map(|assessment| assessment.missing).sum();
    // Features that were not observed count as ordinary ones: without that, each would lower the score by 2.5 nats (ln σ of the
    // noise and half a nat), two of them in a window.
    let ((clean, _), (found, judged)) = (mean(&clean), mean(&found));
    assert!(missing as usize > judged && (clean - found).abs() < 1.0, "{clean} {found}, {missing} of {judged} windows");
}

/// Normal running whose axes' gain rises by a share over `ramp` samples.
fn drifting(seconds: f64, share: f32, ramp: usize, seed: u64) -> impl Iterator<Item = [f32; 3]> {
    let samples = simulate(Condition::Normal, seconds, seed).into_iter().enumerate();
    samples
        .map(move |(index, sample)| sample.map(|value| value * (1.0 + share * (index as f32 / ramp as f32).min(1.0))))
}

/// Samples of ten minutes, five of the demonstration's memories.
const TEN_MINUTES: usize = 960_000;

#[test]
fn a_slow_gain_drift_is_drift_and_a_new_baseline_ends_it() {
    let file = motor();
    let model = file.model().unwrap();
    with_detector(model, |detector, scratch| {
        let found = run(detector, scratch, drifting(620.0, 0.005, TEN_MINUTES, 77));
        assert_eq!(anomalies(&found), 0);
        // Four thousandths of a g are more than the level ordinarily moves by; from there on all of it is reported as drift.
        let first = found.iter().position(|verdict| matches!(verdict, Verdict::Drifting(_))).unwrap();
        assert!(first * 32 < TEN_MINUTES, "drift is seen at window {first}");
        assert_eq!(drifts(&found[first..]), found.len() - first);
        // Gravity lies on y.
        match found.last() {
            Some(Verdict::Drifting(drift)) => match drift.kind {
                DriftKind::Mean { channel: 1, shift } => assert!((shift + 0.005).abs() < 0.002, "{shift}"),
                kind => panic!("{kind:?}"),
            },
            other => panic!("{other:?}"),
        }

        detector.rebaseline(8000).unwrap();
        assert!(detector.is_rebaselining());
        let raised = |seconds: f64, seed: u64| {
            simulate(Condition::Normal, seconds, seed).into_iter().map(|s| s.map(|v| 1.005 * v))
        };
        let quiet = run(detector, scratch, raised(150.0, 78));
        assert!(quiet.is_empty() && detector.is_rebaselining(), "{} verdicts while the baseline is made", quiet.len());
        let after = run(detector, scratch, raised(320.0, 79));
        assert!(!detector.is_rebaselining());
        assert_eq!((anomalies(&after), drifts(&after)), (0, 0));

        // A machine that fails on the new baseline is still found out.
        let faulty = simulate(Condition::Bearing, 20.0, 80).into_iter().map(|s| s.map(|v| 1.005 * v));
        let found = run(detector, scratch, faulty);
        assert!(20 * anomalies(&found) > 19 * found.len(), "{} of {}", anomalies(&found), found.len());
    });
}

#[test]
fn what_moves_far_within_five_memories_is_an_alarm_that_stays() {
    let file = motor();
    with_detector(file.model().unwrap(), |detector, scratch| {
        // A tenth of the gain is a tenth of a g on y, where gravity is: more than a standard deviation of the scores.
        let found = run(detector, scratch, drifting(1200.0, 0.1, TEN_MINUTES, 77));
        let first = found.iter().position(|verdict| matches!(verdict, Verdict::Anomalous(_))).unwrap();
        assert!(first * 32 < TEN_MINUTES / 2, "raised at window {first}");
        assert_eq!(anomalies(&found), found.len() - first);
    });
}

#[test]
fn a_machine_that_is_back_where_it_was_calibrated_is_normal_again() {
    let file = motor();
    let samples = |seconds: f64, seed: u64| simulate(Condition::Normal, seconds, seed).into_iter().enumerate();
    with_detector(file.model().unwrap(), |detector, scratch| {
        // A sensor's offset comes in ten minutes, which is a drift, and goes at once, as when it is zeroed.
        let moved = samples(620.0, 81)
            .map(|(index, [x, y, z])| [x + 0.01 * (index as f32 / TEN_MINUTES as f32).min(1.0), y, z]);
        let found = run(detector, scratch, moved);
        assert!(anomalies(&found) == 0 && drifts(&found) > 1000, "{} and {}", anomalies(&found), drifts(&found));
        let found = run(detector, scratch, samples(400.0, 82).map(|(_, sample)| sample));
        assert_eq!(anomalies(&found), 0);
        let last = &found[found.len() - 2000..];
        assert_eq!(drifts(last), 0);
    });
}

#[test]
fn a_fault_that_lasts_is_one_alarm_that_ends_with_it() {
    let file = motor();
    let model = file.model().unwrap();
    let calibration = model.calibration().unwrap();
    // 95 of 100 alarms are cleared within 90 (1 + τ) windows; these are a few.
    let clears = (2.0 * 90.0 * (1.0 + calibration.dependence())) as usize;
    for (condition, seed) in [(Condition::Looseness, 1), (Condition::Misalignment, 2), (Condition::Imbalance, 3)] {
        with_detector(model, |detector, scratch| {
            let mut alarm = Vec::new();
            let mut watch = |samples: Vec<[f32; 3]>, detector: &mut Detector<'_, '_>| {
                for sample in samples {
                    if detector.push(&sample, scratch).unwrap().is_some() {
                        alarm.push(detector.is_raised());
                    }
                }
                alarm.len()
            };
            let begin = watch(simulate(Condition::Normal, 20.0, 40 + seed), detector);
            // The same twenty seconds, thirty times.
            let fault = simulate(condition, 20.0, 50 + seed);
            let end = watch(fault.repeat(30), detector);
            watch(simulate(Condition::Normal, clears as f64 / 50.0 + 10.0, 60 + seed), detector);
            let first = begin + alarm[begin..end].iter().position(|on| *on).unwrap();
            assert!(first < begin + 50, "{condition:?}: raised at window {first}");
            let off: Vec<usize> = (first..end).filter(|window| !alarm[*window]).collect();
            assert!(off.is_empty(), "{condition:?}: from {begin} to {end}, raised at {first}, off in {off:?}");
            let cleared = alarm[end..].iter().position(|on| !on).unwrap();
            assert!(cleared < clears, "{condition:?}: cleared after {cleared} windows");
            assert!(!alarm[end + cleared..].contains(&true), "{condition:?}");
        });
    }
}

#[test]
fn baselines_are_made_of_machines_without_alarm_and_only_by_detectors_that_are_not_locked() {
    let file = motor();
    with_detector(file.model().unwrap(), |detector, scratch| {
        run(detector, scratch, simulate(Condition::Bearing, 2.0, 3));
        assert!(detector.is_raised());
        assert_eq!(detector.rebaseline(8000), Err(DetectorError::Alarmed));
        detector.acknowledge();
        assert!(!detector.is_raised());
        // The fault is still there.
        run(detector, scratch, simulate(Condition::Bearing, 2.0, 4));
        assert!(detector.is_raised());
        detector.acknowledge();
        detector.rebaseline(8000).unwrap();
        detector.forget().unwrap();
        assert!(!detector.is_rebaselining());
        let fresh = verdicts(*detector.model(), simulate(Condition::Normal, 2.0, 5));
        assert_eq!(run(detector, scratch, simulate(Condition::Normal, 2.0, 5)), fresh);

        let mut record = vec![0; detector.model().snapshot_len()];
        detector.snapshot(&mut record).unwrap();
        detector.lock();
        assert!(detector.is_locked());
        assert_eq!(detector.rebaseline(8000), Err(DetectorError::Locked));
        assert_eq!(detector.forget(), Err(DetectorError::Locked));
        assert_eq!(detector.restore(&record), Err(DetectorError::Locked));
        // It goes on judging, and scores vote as they are, however slowly they move.
        let found = run(detector, scratch, drifting(620.0, 0.005, TEN_MINUTES, 77));
        assert!(drifts(&found) > 1000);
        let scores = |verdict: &Verdict| matches!(verdict, Verdict::Drifting(drift) if matches!(drift.kind, DriftKind::Score(_) | DriftKind::Spread(_)));
        assert!(!found.iter().any(scores));
    });
}

#[test]
fn a_snapshot_of_another_version_says_so() {
    let file = motor();
    with_detector(file.model().unwrap(), |detector, _| {
        let mut record = vec![0; detector.model().snapshot_len()];
        detector.snapshot(&mut record).unwrap();
        record[3] = 1;
        assert_eq!(detector.restore(&record), Err(DetectorError::SnapshotVersion { supported: 2, found: 1 }));
    });
}

#[test]
fn zeros_and_ones_have_no_level_that_drifts() {
    let family =
        Family { posterior: PosteriorKind::DiagonalGaussian, likelihood: LikelihoodKind::Bernoulli, conditions: 0 };
    let level = Location { centre: 0.0, spread: 0.5, limit: 0.05 };
    let normal = ChannelCalibration { mean: 0.5, power: 0.25, level, ..ChannelCalibration::UNKNOWN };
    let calibration =
        CalibrationRecord { channels: vec![normal; 7], drift_memory: 16.0, ..calibrated(ScoreKind::AtMean, -1e9) };
    let file = ModelFile { calibration, ..family_model(family, Precision::F32, 1) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let samples: Vec<[f32; 7]> = (0..300).map(|_| [(); 7].map(|()| f32::from(rng.random_bool(0.8)))).collect();
    let mut memory = vec![0.0; model.scratch_len()];
    let last = model.elbo_at_mean(&samples[299], &mut Scratch::new(&mut memory)).unwrap().elbo;
    with_detector(model, |detector, scratch| {
        let found = run(detector, scratch, samples.clone());
        assert!(drifts(&found) > 200, "{} of {}", drifts(&found), found.len());
        assert_eq!(found[299].assessment().unwrap().score, last);
        detector.rebaseline(64).unwrap();
        let found = run(detector, scratch, samples.clone());
        assert_eq!((detector.is_rebaselining(), found.len()), (false, 236));
        assert_eq!(found[235].assessment().unwrap().score, last);
    });
}

#[test]
fn what_was_not_observed_counts_as_ordinary_whatever_variance_is_predicted() {
    // Every weight is 0, so that mean 0 and this log-variance are predicted for whatever is seen.
    let log_variance = -4.5f32;
    let layer = |rows: usize, columns: usize, bias: Vec<f32>| Dense {
        rows,
        columns,
        weights: vec![0.0; rows * columns],
        bias,
        activation: Activation::Identity,
    };
    let (encoder, decoder) = (layer(4, 8, vec![0.0; 4]), layer(16, 2, [0.0, log_variance].repeat(8)));
    let normal = ChannelCalibration { nats: 0.5, ..ChannelCalibration::UNKNOWN };
    let calibration = CalibrationRecord { channels: vec![normal; 8], ..calibrated(ScoreKind::AtMean, -1e9) };
    let plain = plain_model(vec![encoder], vec![decoder], LikelihoodKind::GaussianPredicted, 1.0);
    let file = AlignedFile::new(&ModelFile { calibration, ..plain }.to_bytes().unwrap());
    // A deviation from the mean costs half a nat, which is what a feature costs ordinarily.
    let ordinary = [(0.5 * log_variance).exp(); 8];
    let mut gaps = ordinary;
    (gaps[1], gaps[6]) = (f32::NAN, f32::NAN);
    with_detector(file.model().unwrap(), |detector, scratch| {
        let [whole, missing] =
            [ordinary, gaps].map(|x| detector.push(&x, scratch).unwrap().unwrap().assessment().unwrap());
        assert_eq!((whole.missing, missing.missing), (0, 2));
        assert!((whole.score - missing.score).abs() < 1e-4, "{} and {}", whole.score, missing.score);
    });
}

#[test]
fn one_absurd_value_does_not_spoil_a_new_baseline() {
    let normal = ChannelCalibration { power: 0.5, strength: within(0.5), ..ChannelCalibration::UNKNOWN };
    let calibration = CalibrationRecord { channels: vec![normal; 3], ..calibrated(ScoreKind::AtMean, -1e4) };
    let file = ModelFile { calibration, ..varied_model(Precision::F32, 5) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let ordinary =
        |index: usize| [(0.7 * index as f32).sin(), 2.0 + (0.3 * index as f32).cos(), (1.1 * index as f32).sin()];
    // Channels are measured up to sample 104, in hops of five; scores behind it.
    for spikes in [vec![], vec![7], vec![12], vec![70], vec![150], vec![12, 150]] {
        for size in [1e3, 1e9, -1e17] {
            with_detector(file.model().unwrap(), |detector, scratch| {
                detector.rebaseline(40).unwrap();
                let mut index = 0;
                while detector.is_rebaselining() {
                    let mut sample = ordinary(index);
                    sample[1] += if spikes.contains(&index) { size } else { 0.0 };
                    assert_eq!(detector.push(&sample, scratch).unwrap(), None);
                    index += 1;
                }
                let mut record = vec![0; detector.model().snapshot_len()];
                detector.snapshot(&mut record).unwrap();
                let [offset, gain] = [10, 11].map(|field| f32::from_bits(word(&record, FIXED + 14 + field)));
                assert!((offset - 2.0).abs() < 0.2 && gain == 1.0, "{spikes:?} of {size}: {offset}, {gain}");
                let found = run(detector, scratch, (0..40).map(ordinary));
                assert_eq!(anomalies(&found), 0, "{spikes:?} of {size}");
                let found = run(detector, scratch, (0..40).map(|index| ordinary(index).map(|value| 1e4 * value)));
                assert!(anomalies(&found) > 5, "{spikes:?} of {size}: {found:?}");
            });
        }
    }
}

#[test]
fn a_sensor_that_is_a_thousand_deviations_off_keeps_its_scale() {
    let normal = ChannelCalibration { power: 0.5, strength: within(0.5), ..ChannelCalibration::UNKNOWN };
    let calibration = CalibrationRecord { channels: vec![normal; 3], ..calibrated(ScoreKind::AtMean, -1e9) };
    let file = ModelFile { calibration, ..varied_model(Precision::F32, 5) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    for offset in [30.0, 700.0, 7000.0] {
        with_detector(file.model().unwrap(), |detector, scratch| {
            detector.rebaseline(400).unwrap();
            let samples = (0..1100).map(|index| [(0.7 * index as f32).sin() + offset, 0.0, 0.0]);
            run(detector, scratch, samples);
            assert!(detector.is_rebaselining(), "the channels' half is over at sample 1004");
            let mut record = vec![0; detector.model().snapshot_len()];
            detector.snapshot(&mut record).unwrap();
            let [found, gain, ordinary] = [10, 11, 12].map(|field| f32::from_bits(word(&record, FIXED + field)));
            assert!((found / offset - 1.0).abs() < 1e-3 && gain == 1.0, "{offset}: {found}, {gain}");
            assert!((ordinary - 1.0).abs() < 0.1, "{offset}: {ordinary}");
        });
    }
}

#[test]
fn a_channel_that_mostly_rests_has_the_power_of_its_pulses_on_average() {
    let normal = ChannelCalibration { power: 0.5, ..ChannelCalibration::UNKNOWN };
    let calibration = CalibrationRecord { channels: vec![normal; 3], ..calibrated(ScoreKind::AtMean, -1e9) };
    let file = ModelFile { calibration, ..varied_model(Precision::F32, 5) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    with_detector(file.model().unwrap(), |detector, scratch| {
        detector.rebaseline(200).unwrap();
        // The first window's hop has ten samples. Pulses come in every fourth of a hundred hops, and one is left out.
        let pulse = |index: usize| if index >= 10 && (index / 5).is_multiple_of(4) { 1.0 } else { 0.0 };
        run(detector, scratch, (0..510).map(|index| [pulse(index) * [1.0, -1.0][index % 2], 0.0, 0.0]));
        let mut record = vec![0; detector.model().snapshot_len()];
        detector.snapshot(&mut record).unwrap();
        let ordinary = f32::from_bits(word(&record, FIXED + 12));
        let pulses = (10..505).filter(|index| pulse(*index) > 0.0).count() / 5 - 1;
        let expected = pulses as f32 / 99.0 / 0.5;
        // Hops of five have a mean of their own, a fifth, whose average's square is taken off.
        assert!((ordinary / expected - 1.0).abs() < 0.03, "{ordinary} for {expected}");
    });
}

#[test]
fn votes_are_by_the_threshold_that_is_told_on_a_new_baseline_too() {
    let calibration = CalibrationRecord { location_and_scale: (10.0, 5.0), ..calibrated(ScoreKind::AtMean, -18.0) };
    let file = AlignedFile::new(&ModelFile { calibration, ..varied_model(Precision::F32, 5) }.to_bytes().unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    with_detector(file.model().unwrap(), |detector, scratch| {
        assert_eq!(detector.threshold(), -18.0);
        let mut samples = (0..1000).map(|_| [(); 3].map(|()| rng.random_range(-3.0..3.0f32)));
        detector.rebaseline(64).unwrap();
        while detector.is_rebaselining() {
            detector.push(&samples.next().unwrap(), scratch).unwrap();
        }
        let threshold = detector.threshold();
        let found = run(detector, scratch, samples);
        let below = |verdict: &&Verdict| verdict.assessment().unwrap().score < threshold;
        assert_eq!(found.iter().filter(below).count(), anomalies(&found));
        assert!((1..found.len()).contains(&anomalies(&found)), "{threshold}: {} of {}", anomalies(&found), found.len());
    });
}

#[test]
fn importance_weighted_scores_are_calibrated_as_the_device_has_them() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let values: Vec<f32> = (0..3 * 40_000).map(|_| rng.random_range(-3.0..3.0)).collect();
    let plain = varied_model(Precision::F32, 5);
    let table = |rows: std::ops::Range<usize>| Table {
        path: "normal".into(),
        columns: plain.channels.clone(),
        values: values[3 * rows.start..3 * rows.end].to_vec(),
        labels: None,
        starts: Vec::new(),
        origins: Vec::new(),
    };
    let settings = Settings { score: ScoreKind::Importance(200), sample_rate: Some(1.0), ..Settings::default() };
    let (calibration, _) = calibrate(&plain, &Normal { table: table(0..20_000).into(), settings }, 0.001).unwrap();
    let file = AlignedFile::new(&ModelFile { calibration, ..plain.clone() }.to_bytes().unwrap());
    let found = verdicts(file.model().unwrap(), table(20_000..40_000).values.as_chunks().0.iter().copied());
    let p_values: Vec<f32> = found.iter().map(|verdict| verdict.assessment().unwrap().p_value).collect();
    let mean = p_values.iter().sum::<f32>() / p_values.len() as f32;
    // Of 4000 uniform values, twice: six standard errors of 0.0065, as neighbours share half of a window.
    assert!((mean - 0.5).abs() < 0.04, "{mean}");
    assert_eq!(drifts(&found), 0);
}

#[test]
fn a_window_is_judged_by_one_model_under_one_condition() {
    let family =
        Family { posterior: PosteriorKind::DiagonalGaussian, likelihood: LikelihoodKind::GaussianFixed, conditions: 1 };
    let file =
        ModelFile { calibration: calibrated(ScoreKind::AtMean, -1e9), ..family_model(family, Precision::F32, 1) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut own = vec![0.0; model.scratch_len()];
    let expected = model.given(&[0.5]).unwrap().elbo_at_mean(&[0.3; 7], &mut Scratch::new(&mut own)).unwrap().elbo;
    with_detector(model, |detector, scratch| {
        detector.given(&[0.5]).unwrap();
        assert!(detector.feed(&[0.3; 7]).unwrap());
        for _ in 0..2 {
            assert_eq!(detector.step(scratch).unwrap(), Poll::Pending);
            assert_eq!(detector.given(&[-0.5]), Err(DetectorError::Busy));
            assert_eq!(detector.replace(model, scratch), Err(DetectorError::Busy));
        }
        let verdict = loop {
            if let Poll::Ready(verdict) = detector.step(scratch).unwrap() {
                break verdict.unwrap();
            }
        };
        assert_eq!(verdict.assessment().unwrap().score, expected);
        detector.replace(model, scratch).unwrap();
    });
}

#[test]
fn a_snapshot_goes_on_where_it_was_taken_and_no_other_record_does() {
    let file = motor();
    let model = file.model().unwrap();
    let samples = simulate(Condition::Looseness, 30.0, 4);
    let (before, after) = samples.split_at(20_000);
    let mut record = vec![0; model.snapshot_len()];
    let (expected, refused) = with_detector(model, |detector, scratch| {
        detector.rebaseline(3600).unwrap();
        run(detector, scratch, drifting(80.0, 0.1, 1000, 3));
        run(detector, scratch, before.to_vec());
        detector.snapshot(&mut record).unwrap();
        let refused = detector.snapshot(&mut vec![0; model.snapshot_len() - 1]).unwrap_err();
        // What was restored starts its window anew.
        detector.gap();
        (run(detector, scratch, after.to_vec()), refused)
    });
    assert!(anomalies(&expected) > 0);
    assert!(matches!(refused, DetectorError::SnapshotLength { .. }));
    with_detector(model, |detector, scratch| {
        detector.restore(&record).unwrap();
        assert_eq!(run(detector, scratch, after.to_vec()), expected);
    });

    // A detector that refuses a record is as it was: its verdicts are a fresh one's.
    let fresh = verdicts(model, after.to_vec());
    with_detector(model, |detector, scratch| {
        for bit in 0..8 * record.len() {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(detector.restore(&damaged).is_err(), "bit {bit}");
        }
        for len in 0..record.len() {
            assert!(detector.restore(&record[..len]).is_err(), "{len} bytes");
        }
        assert_eq!(run(detector, scratch, after.to_vec()), fresh);
    });
    let other = ModelFile { calibration: calibrated(ScoreKind::AtMean, 0.0), ..varied_model(Precision::Int8, 1) };
    let other = AlignedFile::new(&other.to_bytes().unwrap());
    let found = model.fingerprint();
    with_detector(other.model().unwrap(), |detector, _| {
        let model = detector.model().fingerprint();
        assert_eq!(detector.restore(&record), Err(DetectorError::OtherModel { model, found }));
    });
}

/// The numbers of a snapshot beside the channels'.
fn running(record: &[u8]) -> Vec<f32> {
    record.as_chunks::<4>().0[11..FIXED].iter().map(|word| f32::from_le_bytes(*word)).collect()
}

#[test]
fn a_sample_that_f32_can_hardly_hold_does_not_stay_in_a_baseline() {
    // Nothing is known of the channels, so that no sensor is out of its range.
    let calibration = CalibrationRecord { location_and_scale: (50.0, 50.0), ..calibrated(ScoreKind::AtMean, -1e9) };
    let file = ModelFile { calibration, ..varied_model(Precision::F32, 5) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let mut samples: Vec<[f32; 3]> = (0..800).map(|_| [(); 3].map(|()| rng.random_range(-3.0..3.0))).collect();
    // Windows of ten every five: channels are measured in the first 165 samples, scores in the 170 behind them.
    for glitch in [40, 41, 250] {
        samples[glitch] = [3e38; 3];
    }
    with_detector(model, |detector, scratch| {
        detector.rebaseline(64).unwrap();
        let found = run(detector, scratch, samples.clone());
        assert!(!detector.is_rebaselining() && found.len() > 60, "{} verdicts", found.len());
        let mut record = vec![0; model.snapshot_len()];
        detector.snapshot(&mut record).unwrap();
        assert!(running(&record).iter().all(|value| value.is_finite()), "{:?}", running(&record));
        detector.restore(&record).unwrap();
    });
}

#[test]
fn a_snapshot_that_no_detector_leaves_behind_is_refused() {
    const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    let file = motor();
    let model = file.model().unwrap();
    with_detector(model, |detector, scratch| {
        let mut record = vec![0; model.snapshot_len()];
        run(detector, scratch, simulate(Condition::Normal, 1.0, 5));
        detector.snapshot(&mut record).unwrap();
        let end = record.len() - 4;
        // Of the alarm: shift, widening, cumulative sum, evidence, what is needed, what is held; centre and factor of the scores. Of the
        // first channel: shift, gain, ordinary power.
        for (word, values) in [
            (11, &[f32::NAN, -0.1, f32::INFINITY][..]),
            (12, &[f32::NAN, 0.5, 5.0]),
            (13, &[f32::NAN, -1.0]),
            (14, &[f32::INFINITY, -1.0]),
            (15, &[f32::NAN]),
            (16, &[f32::NAN, f32::NEG_INFINITY]),
            (17, &[f32::NAN]),
            (18, &[f32::NAN, 0.0, -1.0, 2.0]),
            (FIXED + 8, &[f32::NAN, f32::NEG_INFINITY]),
            (FIXED + 11, &[0.0, -1.0, f32::INFINITY]),
            (FIXED + 12, &[0.0, f32::NAN]),
        ] {
            for value in values {
                let mut hostile = record.clone();
                hostile[4 * word..][..4].copy_from_slice(&value.to_le_bytes());
                let checksum = CRC.checksum(&hostile[..end]);
                hostile[end..].copy_from_slice(&checksum.to_le_bytes());
                assert_eq!(detector.restore(&hostile), Err(DetectorError::SnapshotDamaged), "word {word}: {value}");
            }
        }
        detector.restore(&record).unwrap();
    });
}

#[test]
fn another_model_takes_over_only_if_it_fits_and_passes_its_self_test() {
    let spec =
        |seed: u64, calibration: CalibrationRecord| ModelFile { calibration, ..varied_model(Precision::Int8, seed) };
    let good = || calibrated(ScoreKind::AtMean, -1e9);
    let bytes = |spec: ModelFile| AlignedFile::new(&spec.to_bytes().unwrap());
    let old = bytes(ModelFile { calibration: CalibrationRecord { sample_rate: 100.0, ..good() }, ..spec(1, good()) });
    let new = bytes(spec(2, good()));
    let renamed =
        |names: [&str; 3]| bytes(ModelFile { channels: names.map(str::to_owned).to_vec(), ..spec(2, good()) });
    // A golden vector that another arithmetic computed.
    let untrue = {
        let mut bytes = spec(2, good()).to_bytes().unwrap();
        let file = AlignedFile::new(&bytes);
        let at = file.model().unwrap().prelude().golden_at as usize + vae_core::format::PRELUDE_LEN + 4 * 30 + 6;
        bytes[at] ^= 0x40;
        let body = bytes.split_off(vae_core::format::PRELUDE_LEN);
        let mut whole = file.model().unwrap().prelude().to_bytes(&body).unwrap().to_vec();
        whole.extend(body);
        AlignedFile::new(&whole)
    };
    let samples: Vec<[f32; 3]> = (0..40).map(|i| [(i as f32).sin(), (0.3 * i as f32).cos(), 0.1 * i as f32]).collect();
    let expected = verdicts(old.model().unwrap(), samples.clone());
    let refuse = |file: AlignedFile| {
        let new = Model::from_bytes(file.bytes()).unwrap();
        with_detector(old.model().unwrap(), |detector, scratch| {
            let mut found = run(detector, scratch, samples[..17].to_vec());
            let refused = detector.replace(new, scratch).unwrap_err();
            found.extend(run(detector, scratch, samples[17..].to_vec()));
            assert_eq!(found, expected, "the old model goes on after {refused}");
            refused
        })
    };
    assert_eq!(refuse(renamed(["x", "z", "y"])), DetectorError::OtherChannels { model: 3, found: 3 });
    let fewer = ModelFile {
        calibration: good(),
        ..family_model(
            Family {
                posterior: PosteriorKind::DiagonalGaussian,
                likelihood: LikelihoodKind::GaussianFixed,
                conditions: 0,
            },
            Precision::F32,
            1,
        )
    };
    assert_eq!(refuse(bytes(fewer)), DetectorError::OtherChannels { model: 3, found: 7 });
    assert_eq!(refuse(bytes(spec(2, CalibrationRecord::default()))), DetectorError::NotCalibrated);
    let other_rate = bytes(spec(2, CalibrationRecord { sample_rate: 50.0, ..good() }));
    assert_eq!(refuse(other_rate), DetectorError::SampleRate { model: 50.0, found: 100.0 });
    assert!(matches!(refuse(untrue), DetectorError::SelfTest(vae_core::SelfTestError::Differs { .. })));

    let fresh = verdicts(new.model().unwrap(), samples[17..].to_vec());
    with_detector(old.model().unwrap(), |detector, scratch| {
        run(detector, scratch, samples[..17].to_vec());
        detector.replace(new.model().unwrap(), scratch).unwrap();
        assert_eq!(run(detector, scratch, samples[17..].to_vec()), fresh);
    });
}

#[test]
fn settings_that_cannot_be_kept_are_refused() {
    let alarms = Tail { start: 0.0, rate: 0.02, scale: 4.0, shape: 1.0, base: 1.0 };
    let spec = |calibration: CalibrationRecord| ModelFile { calibration, ..varied_model(Precision::F32, 1) };
    let plain = || calibrated(ScoreKind::AtMean, 0.0);
    let file = |calibration| AlignedFile::new(&spec(calibration).to_bytes().unwrap());
    let known = file(CalibrationRecord { sample_rate: 100.0, alarms, tail: alarms, votes: (2, 3), ..plain() });
    let unknown = file(CalibrationRecord { alarms, tail: alarms, ..plain() });
    let without = file(CalibrationRecord { sample_rate: 100.0, ..plain() });
    let mut window = Buffer::new();
    let mut state = vec![0.0; known.model().unwrap().state_len()];
    let mut detector = |file: &'_ AlignedFile, settings: &dyn Fn(Detector<'_, '_>) -> Result<f32, DetectorError>| {
        settings(Detector::new(Model::from_bytes(file.bytes()).unwrap(), &mut window, &mut state)?)
    };
    for (needed, of) in [(0, 5), (6, 5), (1, 33)] {
        let refused = detector(&known, &|d| Ok(d.votes(needed, of)?.threshold()));
        assert_eq!(refused, Err(DetectorError::Votes { needed, of }));
    }
    let refused = detector(&known, &|d| Ok(d.sample_rate(200.0)?.threshold()));
    assert_eq!(refused, Err(DetectorError::SampleRate { model: 100.0, found: 200.0 }));
    assert!(detector(&known, &|d| Ok(d.sample_rate(f32::NAN)?.threshold())).is_err());
    let refused = detector(&unknown, &|d| Ok(d.alarm_rate(Alarms::per_day(1.0))?.threshold()));
    assert_eq!(refused, Err(DetectorError::NoSampleRate));
    assert_eq!(
        detector(&without, &|d| Ok(d.alarm_rate(Alarms::per_day(1.0))?.threshold())),
        Err(DetectorError::NotCalibrated)
    );
    assert_eq!(
        detector(&file(CalibrationRecord::default()), &|d| Ok(d.threshold())),
        Err(DetectorError::NotCalibrated)
    );

    // 100 samples a second and a hop of 5 are 20 windows: an hour has 72,000. Exponential beyond 0: x = −(ln rate − ln 0.02).
    let level = |rate: f32| -(rate / 0.02).ln() * 4.0 / -(0.02f32.ln());
    let found = detector(&known, &|d| Ok(d.alarm_rate(Alarms::per_hour(1.0))?.threshold())).unwrap();
    assert!((found + level(1.0 / 72_000.0)).abs() < 1e-3, "{found}");
    // With other votes than the calibration's, so many windows may vote as there may be alarms, times the votes that each needs.
    let found = detector(&known, &|d| Ok(d.votes(3, 5)?.alarm_rate(Alarms::per_hour(1.0))?.threshold())).unwrap();
    assert!((found + level(3.0 / 72_000.0)).abs() < 1e-3, "{found}");
    let given =
        detector(&unknown, &|d| Ok(d.sample_rate(100.0)?.alarm_rate(Alarms::per_hour(1.0))?.threshold())).unwrap();
    assert!((given + level(1.0 / 72_000.0)).abs() < 1e-3, "{given}");

    let short = known.model().unwrap().state_len() - 1;
    let refused = Detector::new(known.model().unwrap(), &mut Buffer::new(), &mut vec![0.0; short]).unwrap_err();
    assert_eq!(refused, DetectorError::StateTooSmall { needed: short + 1, found: short });
    with_detector(known.model().unwrap(), |detector, scratch| {
        let wrong = DetectorError::Infer(InferError::WrongLength { needed: 3, found: 2 });
        assert_eq!(detector.push(&[1.0, 2.0], scratch), Err(wrong));
        assert_eq!(detector.rebaseline(5), Err(DetectorError::ShortBaseline { needed: 32, found: 5 }));
    });
}

#[test]
fn a_window_never_spans_a_gap() {
    let file = ModelFile { calibration: calibrated(ScoreKind::AtMean, -1e9), ..varied_model(Precision::F32, 5) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let samples: Vec<[f32; 3]> = (0..30).map(|i| [(i as f32).sin(); 3]).collect();
    let whole = verdicts(file.model().unwrap(), samples[7..].to_vec());
    with_detector(file.model().unwrap(), |detector, scratch| {
        assert!(run(detector, scratch, samples[..7].to_vec()).is_empty());
        detector.gap();
        assert_eq!(run(detector, scratch, samples[7..].to_vec()), whole);
    });
}

#[test]
fn an_unlikely_window_of_a_sensor_that_repeats_itself_has_no_vote() {
    let normal = ChannelCalibration {
        range: (-100.0, 100.0),
        longest_run: 2.0,
        longest_gap: 0.0,
        ..ChannelCalibration::UNKNOWN
    };
    // Every window is anomalous.
    let calibration = CalibrationRecord { channels: vec![normal; 3], ..calibrated(ScoreKind::AtMean, 1e9) };
    let file = AlignedFile::new(&ModelFile { calibration, ..varied_model(Precision::F32, 5) }.to_bytes().unwrap());
    let found = verdicts(file.model().unwrap(), (0..10).map(|i| [i as f32, (i.min(7)) as f32, -i as f32]));
    assert!(
        matches!(found[..], [Verdict::SensorFault(fault)] if fault.channel == 1 && fault.kind == SensorFaultKind::Stuck)
    );
    let found = verdicts(file.model().unwrap(), (0..10).map(|i| [i as f32, (i.min(8)) as f32, -i as f32]));
    assert!(matches!(found[..], [Verdict::Anomalous(_)]), "a run of two is ordinary");
}

#[test]
fn the_device_raises_as_many_false_alarms_as_are_asked_for() {
    // Half a chi-square of 8 degrees of freedom about 250 nats, as large as scores of wide windows, so that f32 rounds them.
    let scores = |seed: u64, count: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let score = move |_| (-250.0 + (0..4).map(|_| rng.random::<f64>().ln()).sum::<f64>()) as f32;
        (0..count).map(score)
    };
    let normal: Vec<f64> = scores(1, 200_000).map(|score| -f64::from(score)).collect();
    for (needed, of) in [(1, 1), (2, 3)] {
        let found = FalseAlarms::of(&normal, &[], Votes::new(needed, of).unwrap()).unwrap().alarms();
        let [start, rate, scale, shape, base] =
            [found.start, found.rate, found.scale, found.shape, found.base].map(|value| value as f32);
        let calibration = CalibrationRecord {
            alarms: Tail { start, rate, scale, shape, base },
            votes: (needed, of),
            // Windows every five samples: one a second.
            sample_rate: 5.0,
            ..calibrated(ScoreKind::AtMean, 0.0)
        };
        let file = ModelFile { calibration, ..varied_model(Precision::F32, 1) };
        let file = AlignedFile::new(&file.to_bytes().unwrap());
        let model = file.model().unwrap();
        let (mut window, mut state) = (Buffer::new(), vec![0.0; model.state_len()]);
        let detector = Detector::new(model, &mut window, &mut state).unwrap();
        let threshold = detector.alarm_rate(Alarms::per_hour(0.36)).unwrap().threshold();

        let (mut votes, mut was, mut alarms) = (Votes::new(needed, of).unwrap(), false, 0);
        for score in scores(2, 2_000_000) {
            let is = votes.push(score < threshold);
            alarms += u32::from(is && !was);
            was = is;
        }
        // 0.36 an hour are 200 in 2 million seconds: 0.07 is the standard error of the logarithm of their count, and 0.11 that of
        // the tail's rate there, with 20 windows of the normal data beyond it. ln 1.5 is three of both together.
        let ratio = f64::from(alarms) / 200.0;
        assert!(ratio.ln().abs() < 1.5f64.ln(), "{needed} of {of}: {alarms} alarms for 200");
        println!("{needed} of {of}: {alarms} alarms for 200");
    }
}

#[test]
fn features_in_the_state_are_no_channels() {
    // Front-ends and no calibration of channels: behind the channels' states lie samples and features.
    let file = ModelFile {
        front_ends: vec![FrontEnd::Statistics, FrontEnd::Statistics, FrontEnd::Raw],
        window: 18,
        hop: 1,
        calibration: calibrated(ScoreKind::AtMean, -1e9),
        ..varied_model(Precision::Int8, 6)
    };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    // Features that are constant, as are those of a steady channel, are no sensor that is stuck.
    let found = verdicts(file.model().unwrap(), (0..200).map(|i| [(i % 2) as f32, (i % 3) as f32, 1.0]));
    assert!(found.iter().all(|verdict| matches!(verdict, Verdict::Normal(_) | Verdict::Drifting(_))), "{found:?}");
}

/// A word of a snapshot: see `vae-core/src/detector/snapshot.rs`.
fn word(record: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(record.as_chunks::<4>().0[index])
}

#[test]
fn a_value_that_f32_cannot_square_does_not_blind_a_new_baseline() {
    let file = ModelFile { calibration: calibrated(ScoreKind::AtMean, -1e4), ..varied_model(Precision::F32, 5) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let ordinary = |index: usize| [(0.7 * index as f32).sin(), (0.3 * index as f32).cos(), (1.1 * index as f32).sin()];
    for spike in [usize::MAX, 40] {
        with_detector(file.model().unwrap(), |detector, scratch| {
            detector.rebaseline(40).unwrap();
            let mut index = 0;
            while detector.is_rebaselining() {
                let sample = if index == spike { [1e30, 0.0, 0.0] } else { ordinary(index) };
                assert_eq!(detector.push(&sample, scratch).unwrap(), None);
                index += 1;
            }
            let found = run(detector, scratch, (0..40).map(ordinary));
            assert_eq!(anomalies(&found), 0, "spike at {spike}");
            let found = run(detector, scratch, (0..40).map(|index| ordinary(index).map(|value| 1e4 * value)));
            assert!(anomalies(&found) > 5, "spike at {spike}: {found:?}");
        });
    }
}

#[test]
fn windows_that_are_given_up_leave_nothing_behind() {
    let family =
        Family { posterior: PosteriorKind::DiagonalGaussian, likelihood: LikelihoodKind::GaussianFixed, conditions: 1 };
    let file =
        ModelFile { calibration: calibrated(ScoreKind::AtMean, -1e9), ..family_model(family, Precision::F32, 1) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let averages = |before: usize| {
        with_detector(file.model().unwrap(), |detector, scratch| {
            for _ in 0..before {
                // Not judged until the condition is known.
                assert!(detector.push(&[100.0; 7], scratch).is_err());
            }
            detector.given(&[0.5]).unwrap();
            assert!(detector.push(&[0.5; 7], scratch).unwrap().is_some());
            let mut record = vec![0; detector.model().snapshot_len()];
            detector.snapshot(&mut record).unwrap();
            // Shift and power of the first channel.
            [FIXED + 8, FIXED + 9].map(|index| f32::from_bits(word(&record, index)))
        })
    };
    assert_eq!(averages(1000), averages(0));
}

#[test]
fn the_windows_count_wraps_and_nothing_else_changes() {
    // A bit at a time, as the standard of ISO/HDLC defines it.
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
        })
    };
    let file = motor();
    let model = file.model().unwrap();
    let mut record = vec![0; model.snapshot_len()];
    with_detector(model, |detector, scratch| {
        run(detector, scratch, simulate(Condition::Normal, 2.0, 1));
        detector.snapshot(&mut record).unwrap();
    });
    let end = record.len() - 4;
    assert_eq!(crc(&record[..end]), word(&record, end / 4), "the record's checksum is what this test takes it for");
    let samples = simulate(Condition::Looseness, 10.0, 2);
    let after = |windows: u32| {
        let mut record = record.clone();
        record[24..28].copy_from_slice(&windows.to_le_bytes());
        let checksum = crc(&record[..end]);
        record[end..].copy_from_slice(&checksum.to_le_bytes());
        with_detector(model, |detector, scratch| {
            detector.restore(&record).unwrap();
            let found = run(detector, scratch, samples.clone());
            detector.snapshot(&mut record).unwrap();
            (found, word(&record, 6).wrapping_sub(windows))
        })
    };
    let few = after(5);
    assert!(few.1 > 400 && anomalies(&few.0) > 0);
    for windows in [(1 << 24) - 3, u32::MAX - 3] {
        assert_eq!(after(windows), few, "from window {windows} on");
    }
}

#[test]
fn a_run_of_many_millions_of_samples_is_still_counted() {
    let normal = ChannelCalibration {
        range: (-100.0, 100.0),
        // Four times as much, and four, are just below what f32 counts to.
        longest_run: ((1 << 22) - 3) as f32,
        longest_gap: 0.0,
        ..ChannelCalibration::UNKNOWN
    };
    let calibration = CalibrationRecord { channels: vec![normal; 3], ..calibrated(ScoreKind::AtMean, -1e9) };
    let file = ModelFile { calibration, hop: 10_000, ..varied_model(Precision::F32, 5) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let found = verdicts(file.model().unwrap(), (0..(1 << 24) + 20_000).map(|i| [0.5, i as f32 % 7.0, i as f32 % 5.0]));
    let first = found.iter().position(|verdict| matches!(verdict, Verdict::SensorFault(_)));
    let first = first.unwrap_or_else(|| panic!("none of {} windows, the last {:?}", found.len(), found.last()));
    // Of the window that begins at sample 10,000 · first.
    assert!((10_000 * first).abs_diff(1 << 24) <= 10_000, "{first} of {}", found.len());
    assert!(found[first..].iter().all(|verdict| matches!(verdict, Verdict::SensorFault(_))));
}

#[test]
fn samples_between_windows_are_looked_at() {
    let normal = ChannelCalibration { longest_run: 2.0, longest_gap: 0.0, ..ChannelCalibration::UNKNOWN };
    let calibration = CalibrationRecord { channels: vec![normal; 3], ..calibrated(ScoreKind::AtMean, -1e9) };
    let file = ModelFile { calibration, hop: 100, ..varied_model(Precision::F32, 5) };
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    // Of the 56 samples that are the same, six lie in the second window.
    let stuck = |i: usize| if (50..106).contains(&i) { 50.0 } else { i as f32 };
    let found = verdicts(file.model().unwrap(), (0..210).map(|i| [i as f32, stuck(i), -(i as f32)]));
    assert!(
        matches!(found[..], [Verdict::Normal(_), Verdict::SensorFault(fault), Verdict::Normal(_)]
            if fault.channel == 1 && fault.kind == SensorFaultKind::Stuck),
        "{found:?}"
    );
}
