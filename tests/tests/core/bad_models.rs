//! A bad model cannot hurt: any byte string gives a model or an error, and scores are never NaN.

use std::{collections::BTreeMap, ops::Range};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vae_core::{
    Detector, InferError, LoadError, Model, Scratch, SelfTestError, Tail,
    format::{LikelihoodKind, PRELUDE_LEN, PosteriorKind, Precision},
};
use vae_tests::{Family, family_model, fuzz_models::fuzz_models, root, varied_model};
use vae_train::file::{
    calibration::CalibrationRecord,
    model_file::{AlignedFile, ModelFile},
};

fn bytes(precision: Precision) -> Vec<u8> {
    varied_model(precision, 5).to_bytes().unwrap()
}

#[test]
fn every_truncation_and_every_flipped_bit_is_refused() {
    let whole = bytes(Precision::Int8);
    for len in 0..whole.len() {
        let error = Model::from_bytes(&whole[..len]).unwrap_err();
        assert!(matches!(error, LoadError::TooShort { found, .. } if found == len), "{len}: {error:?}");
    }
    let mut damaged = whole.clone();
    for bit in 0..8 * whole.len() {
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Model::from_bytes(&damaged).is_err(), "bit {bit}");
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(Model::from_bytes(&damaged).is_ok());
}

/// How many bits of a region ended how.
type Outcomes = BTreeMap<(&'static str, String), usize>;

/// The demonstration's model, and what each of its bytes belongs to.
fn demo() -> (AlignedFile, Vec<&'static str>) {
    let file = AlignedFile::read(&root().join("firmware-example/model/motor.vae")).unwrap();
    let bytes = file.bytes();
    let model = file.model().unwrap();
    let mut regions = vec!["4 header, layers' sizes"; bytes.len()];
    let mut name = |range: Range<usize>, region| regions[range].fill(region);
    let place = |part: &[u8]| {
        let start = part.as_ptr().addr() - bytes.as_ptr().addr();
        start..start + part.len()
    };
    let [extras, golden] = [model.prelude().extras_at, model.prelude().golden_at].map(|at| PRELUDE_LEN + at as usize);
    let card = place(model.card().unwrap().channels.as_bytes()).start - 1;
    name(0..8, "0 magic, version");
    name(8..12, "1 checksum");
    name(12..16, "2 length");
    name(16..PRELUDE_LEN, "3 sizes and places");
    name(place(model.header().unwrap().features), "5 features' constants");
    name(place(model.header().unwrap().conditions_and_prior), "6 prior");
    for layer in model.layers().unwrap() {
        let layer = layer.unwrap();
        name(place(layer.weights), "7 weights");
        name(place(layer.row_constants), "8 biases, multipliers");
    }
    name(extras..golden, "9 calibration");
    name(golden..card, "A golden vectors");
    name(card..bytes.len(), "B card");
    (file, regions)
}

/// What `judge` says of the file with each of these bits flipped, by the regions that they lie in.
fn flipped(
    bits: Vec<usize>,
    file: &AlignedFile,
    regions: &[&'static str],
    judge: impl Fn(&[u8]) -> String + Sync,
) -> Outcomes {
    let whole = || file.bytes().to_vec();
    let outcomes = bits.into_par_iter().map_init(whole, |damaged, bit| {
        damaged[bit / 8] ^= 1 << (bit % 8);
        let outcome = judge(damaged);
        damaged[bit / 8] ^= 1 << (bit % 8);
        (regions[bit / 8], outcome)
    });
    let mut table = Outcomes::new();
    for outcome in outcomes.collect::<Vec<_>>() {
        *table.entry(outcome).or_default() += 1;
    }
    table
}

/// An error's variant, without its numbers.
fn variant(error: &impl std::fmt::Debug) -> String {
    let text = format!("{error:?}");
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

fn print(title: &str, table: &Outcomes) {
    println!("{title}");
    for ((region, outcome), count) in table {
        println!("  {:24} {outcome:36} {count:>7}", &region[2..]);
    }
}

#[test]
fn every_flipped_bit_and_every_truncation_of_the_demonstrations_model_is_refused() {
    let (file, regions) = demo();
    for len in 0..file.bytes().len() {
        let error = Model::from_bytes(&file.bytes()[..len]).unwrap_err();
        assert!(matches!(error, LoadError::TooShort { found, .. } if found == len), "{len}: {error:?}");
    }
    let bits = 8 * file.bytes().len();
    let table = flipped((0..bits).collect(), &file, &regions, |damaged| match Model::from_bytes(damaged) {
        Ok(_) => "accepted".to_owned(),
        Err(error) => variant(&error),
    });
    print("each bit flipped", &table);
    assert_eq!(table.values().sum::<usize>(), bits);
    assert!(table.keys().all(|(_, outcome)| outcome != "accepted"), "{table:?}");
    let named = |region: &str, outcome: &str| table.get(&(region, outcome.to_owned())).copied().unwrap_or(0);
    // What is before the checksum is named for what it is.
    assert_eq!((named("0 magic, version", "NotAModel"), named("0 magic, version", "UnsupportedVersion")), (32, 32));
    assert_eq!(named("2 length", "TooShort") + named("2 length", "TooLong"), 32);
    let rest = table.iter().filter(|((region, _), _)| !["0 magic, version", "2 length"].contains(region));
    assert!(rest.clone().all(|((_, outcome), _)| outcome == "Checksum"), "{table:?}");
}

/// What becomes of a file with a valid checksum: who refuses it, or that it is used. Scores are finite or errors.
fn used(damaged: &[u8], windows: &[f32]) -> String {
    let file = AlignedFile::new(&sealed(damaged));
    let model = match Model::from_bytes(file.bytes()) {
        Ok(model) => model,
        Err(error) => return format!("from_bytes: {}", variant(&error)),
    };
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    match model.self_test(&mut scratch) {
        Ok(()) => {}
        Err(SelfTestError::Model(error)) => return format!("verify: {}", variant(&error)),
        Err(error) => return format!("self-test: {}", variant(&error)),
    }
    for x in windows.chunks_exact(model.features()).take(4) {
        match model.elbo_at_mean(x, &mut scratch) {
            Ok(score) => assert!(score.elbo.is_finite() && score.kl.is_finite(), "{score:?}"),
            Err(error) => assert!(!matches!(error, InferError::Model(_)), "verified, yet {error}"),
        }
    }
    let (mut state, mut room) = (vec![0.0; model.state_len()], heapless::Vec::<f32, 192>::new());
    let mut detector = match Detector::new(model, &mut room, &mut state) {
        Ok(detector) => detector,
        Err(error) => {
            return format!("Detector::new: {error:?}").split([' ', '{']).take(2).collect::<Vec<_>>().join(" ");
        }
    };
    for sample in windows.chunks_exact(3).take(64 + 3 * 32) {
        if let Some(assessment) = detector.push(sample, &mut scratch).unwrap().and_then(|verdict| verdict.assessment())
        {
            assert!(assessment.score.is_finite() && (0.0..=1.0).contains(&assessment.p_value), "{assessment:?}");
        }
    }
    "used".to_owned()
}

/// The demonstration's samples.
fn stream() -> Vec<f32> {
    let bytes = std::fs::read(root().join("firmware-example/model/stream.f32")).unwrap();
    bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// Flips bits behind a valid checksum, `stride` bits apart in the long arrays.
fn behind_a_valid_checksum(stride: usize) -> Outcomes {
    let (file, regions) = demo();
    let windows = stream();
    // With a new checksum, a flipped bit of the old one is none.
    let bits = (0..8 * regions.len()).filter(|bit| match regions[bit / 8] {
        "1 checksum" => false,
        "0 magic, version" | "2 length" | "3 sizes and places" | "4 header, layers' sizes" | "B card" => true,
        _ => bit % stride == 0,
    });
    let table = flipped(bits.collect(), &file, &regions, |damaged| used(damaged, &windows));
    print(&format!("each bit flipped ({stride} apart in arrays) behind a valid checksum"), &table);
    table
}

#[test]
fn flipped_bits_behind_a_valid_checksum_are_refused_or_harmless() {
    let table = behind_a_valid_checksum(97);
    let share = |region: &str, refused: bool| {
        let outcomes = table.iter().filter(|((found, _), _)| *found == region);
        let (some, all) = outcomes.fold((0, 0), |(some, all), ((_, outcome), count)| {
            (some + if (outcome != "used") == refused { *count } else { 0 }, all + count)
        });
        some as f64 / all as f64
    };
    // A self-test sees what changes a golden vector's score, which the last digits of a constant do not: it finds accidents, and
    // is no protection against somebody who computes a checksum.
    assert_eq!(share("2 length", true), 1.0);
    assert!(share("3 sizes and places", true) > 0.9 && share("7 weights", true) > 0.5, "{table:?}");
    assert!(share("5 features' constants", true) > 0.3, "{table:?}");
    // Texts may say anything.
    assert!(share("B card", false) > 0.5, "{table:?}");
}

#[test]
#[ignore = "every bit: some minutes in release"]
fn every_bit_flipped_behind_a_valid_checksum_is_refused_or_harmless() {
    behind_a_valid_checksum(1);
}

/// The file with a checksum that is right.
fn sealed(file: &[u8]) -> Vec<u8> {
    const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
    let mut bytes = file.to_vec();
    let checksum = CRC.checksum(&bytes[12..]);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// A file of some hundred bytes may say that four thousand million records follow.
#[test]
fn records_end_with_the_first_that_cannot_be_read() {
    for name in ["endless_layers", "endless_attributes"] {
        let mut bytes = std::fs::read(root().join("tests/fuzz/corpus/loader").join(name)).unwrap();
        let length = bytes.len() as u32;
        bytes[12..16].copy_from_slice(&length.to_le_bytes());
        let file = AlignedFile::new(&sealed(&bytes));
        let model = Model::from_bytes(file.bytes()).unwrap();
        let layers = model.layers().map_or(0, |layers| layers.take(1000).count());
        let attributes = model.attributes().map_or(0, |attributes| attributes.take(1000).count());
        assert!(layers < 1000 && attributes < 1000 && layers + attributes > 0, "{name}: {layers}, {attributes}");
        assert!(model.verify().is_err());
    }
}

#[test]
fn the_fuzzers_models_are_of_this_version() {
    for (name, bytes) in fuzz_models().unwrap() {
        let committed = std::fs::read(root().join("tests/fuzz/models").join(&name).with_extension("vae")).unwrap();
        assert!(committed == bytes, "{name}.vae differs: cargo run --release -p vae-tests --bin fuzz_models");
    }
}

#[test]
fn a_calibration_whose_p_values_are_no_probabilities_is_refused() {
    let tail = Tail { start: 10.0, rate: 0.1, scale: 2.0, shape: 0.5, base: 1.0 };
    let good = CalibrationRecord {
        quantiles: vec![-20.0, -10.0, -5.0],
        scores: 50,
        tail,
        alarms: tail,
        ..CalibrationRecord::default()
    };
    let calibration_of = |calibration: CalibrationRecord| {
        let file = ModelFile { calibration, golden_inputs: Vec::new(), ..varied_model(Precision::F32, 5) };
        let file = AlignedFile::new(&file.to_bytes().unwrap());
        file.model().unwrap().calibration().map(|calibration| calibration.p_value(-1e30))
    };
    assert!(calibration_of(good.clone()).is_ok_and(|p| (0.0..=0.1).contains(&p)));
    use vae_core::{ChannelCalibration, Location, ScoreKind};
    let no_power = ChannelCalibration { power: 0.0, ..ChannelCalibration::UNKNOWN };
    let no_strength = ChannelCalibration { strength: Location::UNKNOWN, ..ChannelCalibration::UNKNOWN };
    let bad = [
        ("quantiles that fall", CalibrationRecord { quantiles: vec![-5.0, -10.0, -20.0], ..good.clone() }),
        ("more events than windows", CalibrationRecord { tail: Tail { rate: 1.5, base: 2.0, ..tail }, ..good.clone() }),
        ("a tail that rises", CalibrationRecord { tail: Tail { scale: -2.0, ..tail }, ..good.clone() }),
        ("a tail without a width", CalibrationRecord { tail: Tail { scale: 0.0, ..tail }, ..good.clone() }),
        ("a rate above its base", CalibrationRecord { alarms: Tail { base: 0.05, ..tail }, ..good.clone() }),
        ("the same of the sum", CalibrationRecord { changes: Tail { base: 0.05, ..tail }, ..good.clone() }),
        ("less than one window tells", CalibrationRecord { dependence: 0.5, ..good.clone() }),
        ("a memory of less than two windows", CalibrationRecord { drift_memory: 1.5, ..good.clone() }),
        ("a shift that flees the scores", CalibrationRecord { drift_step: -1.0, ..good.clone() }),
        ("work without end", CalibrationRecord { score_kind: ScoreKind::Samples(1 << 30), ..good.clone() }),
        ("the same", CalibrationRecord { score_kind: ScoreKind::Importance(100_001), ..good.clone() }),
        ("a channel without power", CalibrationRecord { channels: vec![no_power; 3], ..good.clone() }),
        ("a channel whose power is on average none", CalibrationRecord { channels: vec![no_strength; 3], ..good }),
    ];
    for (what, calibration) in bad {
        assert_eq!(calibration_of(calibration), Err(LoadError::Value), "{what}");
    }
}

/// The record's constants, and quantiles of which there are fewer or more than it says.
#[test]
fn a_calibration_of_another_length_is_refused() {
    let mut values = vec![0.0; 29 + 13 * 2 + 3];
    values[28] = 3.0;
    for channel in values[29..][..26].chunks_exact_mut(13) {
        (channel[6], channel[10]) = (1.0, 1.0);
    }
    assert!(vae_core::Calibration::new(&values, 2).is_ok());
    for (said, channels, expected) in [(2.0, 2, 26), (4.0, 2, 26), (3.0, 1, 13), (1e9, 2, 1_000_000_000)] {
        values[28] = said;
        let found = if said > 29.0 { 29 } else { 29 - said as usize };
        assert_eq!(
            vae_core::Calibration::new(&values, channels).map(|_| ()),
            Err(LoadError::Shape { expected, found }),
            "{said}"
        );
    }
    assert_eq!(
        vae_core::Calibration::new(&values[..28], 0).map(|_| ()),
        Err(LoadError::Shape { expected: 29, found: 28 })
    );
}

#[test]
fn what_f32_cannot_hold_is_an_error_and_not_a_number() {
    let huge = |file: &mut ModelFile| file.decoder[1].weights.iter_mut().for_each(|weight| *weight = 3e38);
    let mut file = family_model(
        Family {
            posterior: PosteriorKind::DiagonalGaussian,
            likelihood: LikelihoodKind::GaussianPredicted,
            conditions: 0,
        },
        Precision::F32,
        9,
    );
    file.golden_inputs.clear();
    huge(&mut file);
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let z = [5.0, -3.0, 2.0];
    assert_eq!(model.decode(&z, &mut [0.0; 7], &mut scratch), Err(InferError::Overflow));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    assert_eq!(model.decode_sample(&z, &mut rng, &mut [0.0; 7], &mut scratch), Err(InferError::Overflow));
    // A learned mixture, all of whose components are infinitely far away.
    assert_eq!(model.log_prior(&[1e30; 3]), Err(InferError::Overflow));
}

#[test]
fn foreign_and_misplaced_files_are_named_as_such() {
    let whole = bytes(Precision::F32);
    assert_eq!(Model::from_bytes(b"\x7fELF").unwrap_err(), LoadError::NotAModel);
    assert_eq!(Model::from_bytes(&[0; 100]).unwrap_err(), LoadError::NotAModel);
    let mut newer = whole.clone();
    newer[4] = 9;
    assert_eq!(Model::from_bytes(&newer).unwrap_err(), LoadError::UnsupportedVersion { found: 9, supported: 1 });
    let mut longer = whole.clone();
    longer.push(0);
    assert!(matches!(Model::from_bytes(&longer).unwrap_err(), LoadError::TooLong { .. }));

    // At an odd address the prelude can be read and the weights cannot.
    let mut words = vec![0u32; whole.len().div_ceil(4) + 1];
    let shifted: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    shifted[1..=whole.len()].copy_from_slice(&whole);
    assert_eq!(Model::from_bytes(&shifted[1..=whole.len()]).unwrap().verify(), Err(LoadError::Misaligned));
}

/// Changes bytes of a body behind a valid checksum and uses whatever loads. The two outcomes that are allowed are an
/// error and a finite score.
#[test]
fn hostile_bodies_give_errors_or_finite_scores() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut refused, mut scored) = (0, 0);
    for precision in [Precision::F32, Precision::Int8] {
        let whole = bytes(precision);
        let sizes = *AlignedFile::new(&whole).model().unwrap().prelude();
        for round in 0..6000 {
            let mut body = whole[PRELUDE_LEN..].to_vec();
            // Mostly near the start, where the structure is dense.
            for _ in 0..rng.random_range(1..4) {
                let end = if round % 2 == 0 { 60 } else { body.len() };
                let at = rng.random_range(0..end);
                body[at] = rng.random();
            }
            if round % 7 == 0 {
                body.truncate(rng.random_range(0..body.len()));
            }
            let mut file = sizes.to_bytes(&body).unwrap().to_vec();
            file.extend_from_slice(&body);
            let file = AlignedFile::new(&file);
            let model = file.model().unwrap();
            let mut memory = vec![0.0; model.scratch_len()];
            let mut scratch = Scratch::new(&mut memory);
            let sound = model.verify().is_ok();
            match model.elbo_at_mean(&[1.0f32; 30], &mut scratch) {
                Ok(score) => {
                    assert!(score.elbo.is_finite() && score.kl.is_finite());
                    scored += 1;
                }
                Err(error) => {
                    assert!(!sound || !matches!(error, InferError::Model(_)), "verified, yet {error}");
                    refused += 1;
                }
            }
            let _ = model.self_test(&mut scratch);
        }
    }
    assert!(refused > 1000 && scored > 1000, "{refused} refused, {scored} scored: one outcome is hardly tried");
}

#[test]
fn a_model_that_scores_otherwise_fails_its_self_test() {
    let mut file = varied_model(Precision::Int8, 5);
    let good = AlignedFile::new(&file.to_bytes().unwrap());
    let mut memory = vec![0.0; good.model().unwrap().scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    assert_eq!(good.model().unwrap().self_test(&mut scratch), Ok(()));

    // The golden scores of one model in the file of another: exchange the tails behind the layers.
    file.decoder[0].bias[0] += 0.5;
    let other = file.to_bytes().unwrap();
    let good = good.bytes().to_vec();
    let tail = 2 * (4 * 30 + 12) + 40;
    let mut body = good[PRELUDE_LEN..good.len() - tail].to_vec();
    body.extend_from_slice(&other[other.len() - tail..]);
    let mut mixed = AlignedFile::new(&good).model().unwrap().prelude().to_bytes(&body).unwrap().to_vec();
    mixed.extend_from_slice(&body);
    let mixed = AlignedFile::new(&mixed);
    let result = mixed.model().unwrap().self_test(&mut scratch);
    assert!(matches!(result, Err(SelfTestError::Differs { .. })), "{result:?}");
}

#[test]
fn wrong_inputs_are_errors_with_numbers() {
    let file = AlignedFile::new(&bytes(Precision::Int8));
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut x = [0.0; 30];
    {
        let mut small = Scratch::new(&mut memory[1..]);
        let needed = model.scratch_len();
        let error = model.elbo_at_mean(&x, &mut small).unwrap_err();
        assert_eq!(error, InferError::ScratchTooSmall { needed, found: needed - 1 });
    }
    let mut scratch = Scratch::new(&mut memory);
    let error = model.elbo_at_mean(&x[..29], &mut scratch).unwrap_err();
    assert_eq!(error, InferError::WrongLength { needed: 30, found: 29 });
    x[7] = f32::NEG_INFINITY;
    assert_eq!(model.encode(&x, &mut scratch).unwrap_err(), InferError::Infinite { feature: 7 });
    x[7] = f32::NAN;
    assert_eq!(model.elbo_at_mean(&x, &mut scratch).unwrap().missing, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    assert_eq!(model.elbo(&x, 0, &mut rng, &mut scratch).unwrap_err(), InferError::NoSamples);
    assert_eq!(model.log_likelihood(&x, 0, &mut rng, &mut scratch).unwrap_err(), InferError::NoSamples);
    let error = model.decode(&[0.0; 4], &mut [0.0; 30], &mut scratch).unwrap_err();
    assert_eq!(error, InferError::WrongLength { needed: 3, found: 4 });
    // The ends of what f32 holds are scored, not refused: nothing is clipped away before a billion deviations.
    for extreme in [f32::MAX, -f32::MAX, 1e30, 1e-40] {
        assert!(model.elbo_at_mean(&[extreme; 30], &mut scratch).unwrap().elbo.is_finite());
    }
}

/// Scores of a small model after `change`, for one input.
fn score_changed(
    posterior: PosteriorKind,
    likelihood: LikelihoodKind,
    x: &[f32],
    change: impl FnOnce(&mut ModelFile),
) -> Result<f32, InferError> {
    let mut file = family_model(Family { posterior, likelihood, conditions: 0 }, Precision::F32, 9);
    file.golden_inputs.clear();
    change(&mut file);
    let file = AlignedFile::new(&file.to_bytes().unwrap());
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    if let Ok(q) = model.encode(x, &mut scratch) {
        assert!(q.kl() >= -1e-5 && q.kl().is_finite(), "{}", q.kl());
    }
    model.elbo_at_mean(x, &mut scratch).map(|score| score.elbo)
}

#[test]
fn extreme_parameters_give_errors_or_limits_and_never_nan() {
    use LikelihoodKind::{Bernoulli, GaussianFixed, GaussianPredicted};
    use PosteriorKind::{DiagonalGaussian, FullGaussian};
    let x = [0.5; 7];
    let error = InferError::OutsideUnitInterval { feature: 1, value: 1.5 };
    assert_eq!(score_changed(DiagonalGaussian, Bernoulli, &[0.5, 1.5, 0.0, 0.0, 0.0, 0.0, 0.0], |_| ()), Err(error));

    // Logits beyond the range of f32.
    let infinite = |file: &mut ModelFile| file.decoder[1].weights.iter_mut().for_each(|w| *w = 3e38);
    assert_eq!(score_changed(DiagonalGaussian, Bernoulli, &x, infinite), Err(InferError::Overflow));
    // Logits of ±100 cost a hundred nats each and no more.
    let hundred = |sign: f32| move |file: &mut ModelFile| file.decoder[1].bias.fill(100.0 * sign);
    for sign in [1.0, -1.0] {
        let elbo = score_changed(DiagonalGaussian, Bernoulli, &x, hundred(sign)).unwrap();
        assert!((-400.0..-300.0).contains(&elbo), "seven features at half of 100 nats: {elbo}");
    }
    // Log-variances far beyond their bounds are limited, not exponentiated.
    let spread = |value: f32, latent: usize| move |file: &mut ModelFile| file.encoder[1].bias[latent..].fill(value);
    for value in [1e9, -1e9] {
        assert!(score_changed(DiagonalGaussian, GaussianFixed, &x, spread(value, 3)).unwrap().is_finite());
    }
    // A Cholesky factor whose entries overflow the covariance.
    assert_eq!(score_changed(FullGaussian, GaussianFixed, &x, spread(3e38, 3)), Err(InferError::Overflow));
    let predicted = |file: &mut ModelFile| file.decoder[1].bias.iter_mut().skip(1).step_by(2).for_each(|v| *v = -1e9);
    assert!(score_changed(FullGaussian, GaussianPredicted, &x, predicted).unwrap().is_finite());
}
