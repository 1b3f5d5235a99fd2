//! Sizes in a model file with a right checksum that do not fit each other: refused where they are used, also where nobody has called
//! `verify`, so that nothing depends on what was left in the scratch; and the work that many channels make.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use vae_core::{
    Activation, FrontEnd, LoadError, Model, ScoreKind, Scoring, Scratch,
    format::{LikelihoodKind, PRELUDE_LEN, PosteriorKind, Precision},
};
use vae_tests::{Family, family_model, plain_model, random_layer, varied_model};
use vae_train::file::model_file::{AlignedFile, ModelFile};

/// The file with a checksum that is right.
fn sealed(mut bytes: Vec<u8>) -> AlignedFile {
    const CRC: crc::Crc<u32, crc::Table<16>> = crc::Crc::<u32, crc::Table<16>>::new(&crc::CRC_32_ISO_HDLC);
    let checksum = CRC.checksum(&bytes[12..]);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    AlignedFile::new(&bytes)
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// What each function makes of a model that nobody has verified, with scratch and outputs that hold `left`: its results' bits, or its error.
fn outcomes(model: Model<'_>, left: f32) -> Vec<(&'static str, String)> {
    let model = model.given(&[0.3, -0.4][..model.conditions().min(2)]).unwrap_or(model);
    let x = vec![0.5; model.features()];
    let mut memory = vec![left; model.scratch_len()];
    let (mut z, mut mean) = (vec![left; model.latent()], vec![left; model.features()]);
    let mut results = Vec::new();
    let mut keep = |name, result: Result<Vec<u32>, String>| results.push((name, format!("{result:?}")));
    macro_rules! result {
        ($name:literal, $call:expr, $value:ident => $bits:expr) => {
            memory.fill(left);
            let mut scratch = Scratch::new(&mut memory);
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let _ = &mut rng;
            #[allow(clippy::redundant_closure_call)]
            let result = ($call)(&mut scratch, &mut rng).map(|$value| $bits).map_err(|error| error.to_string());
            keep($name, result);
        };
    }
    result!("encode", |scratch, _: &mut ChaCha8Rng| model.encode(&x[..], scratch), q => {
        [bits(q.location().as_slice()), bits(q.spread().as_slice())].concat()
    });
    result!("elbo_at_mean", |scratch, _: &mut ChaCha8Rng| model.elbo_at_mean(&x[..], scratch), score => {
        bits(&[score.elbo, score.reconstruction, score.kl])
    });
    result!("log_likelihood", |scratch, rng: &mut ChaCha8Rng| model.log_likelihood(&x[..], 2, rng, scratch), found => {
        bits(&[found.value, found.standard_error])
    });
    let mut nats = Vec::new();
    result!("attribute", |scratch, _: &mut ChaCha8Rng| {
        model.attribute(&x[..], scratch, &mut |feature, cost| nats.push(feature as u32 ^ cost.to_bits()))
    }, _all => nats.clone());
    let latent = vec![0.25; model.latent()];
    result!("decode", |scratch, _: &mut ChaCha8Rng| model.decode(&latent[..], &mut mean[..], scratch), _all => bits(&mean));
    result!("sample_second_stage", |scratch, rng: &mut ChaCha8Rng| {
        model.sample_second_stage(rng, &mut z[..], scratch)
    }, _all => bits(&z));
    let (samples, mut work) = (vec![0.5; model.window_len().min(1 << 16)], vec![left; model.window()]);
    let mut features = vec![left; model.features()];
    result!("extract", |_: &mut Scratch<'_>, _: &mut ChaCha8Rng| {
        model.extract(&samples, &mut work, &mut features)
    }, _all => bits(&features));
    results
}

/// The functions whose results depend on what was left.
fn dependent(file: &AlignedFile) -> Vec<&'static str> {
    let Ok(model) = Model::from_bytes(file.bytes()) else { return Vec::new() };
    let pairs = outcomes(model, 0.0).into_iter().zip(outcomes(model, 3.5));
    pairs.filter(|(one, other)| one != other).map(|(one, _)| one.0).collect()
}

/// Three channels with front-ends: 12 features.
fn front_end_model(precision: Precision) -> ModelFile {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut layer = |rows, columns| random_layer(&mut rng, rows, columns, Activation::Identity, 1.0);
    let (encoder, decoder) = (vec![layer(4, 12)], vec![layer(12, 2)]);
    ModelFile {
        precision,
        channels: ["x", "y", "z"].map(str::to_owned).to_vec(),
        window: 7,
        front_ends: vec![FrontEnd::Statistics, FrontEnd::Mean, FrontEnd::Bands(5)],
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianFixed, 1.0)
    }
}

/// Small models of every kind, in both precisions.
fn models() -> Vec<(String, Vec<u8>)> {
    use LikelihoodKind::{Bernoulli, GaussianPredicted};
    let mut models = Vec::new();
    for precision in [Precision::F32, Precision::Int8] {
        for (posterior, likelihood, conditions) in [
            (PosteriorKind::DiagonalGaussian, GaussianPredicted, 2),
            (PosteriorKind::FullGaussian, LikelihoodKind::GaussianFixed, 0),
            (PosteriorKind::FullGaussian, LikelihoodKind::GaussianCovariance(4), 0),
            (PosteriorKind::Bernoulli, Bernoulli, 0),
        ] {
            let mut file = family_model(Family { posterior, likelihood, conditions }, precision, 6);
            file.golden_inputs.clear();
            models.push((format!("{posterior:?} {precision:?}"), file.to_bytes().unwrap()));
        }
        let varied = ModelFile { golden_inputs: Vec::new(), ..varied_model(precision, 3) };
        models.push((format!("varied {precision:?}"), varied.to_bytes().unwrap()));
    }
    models
}

/// Of files in which one byte of the body is another one, as a size is where it is hostile.
#[test]
fn what_was_left_in_the_scratch_never_matters() {
    let mut found = BTreeMap::new();
    let mut tried = 0;
    for (name, bytes) in models() {
        assert_eq!(dependent(&AlignedFile::new(&bytes)), Vec::<&str>::new(), "{name}, untouched");
        let mutants: Vec<(usize, u8)> = (PRELUDE_LEN..bytes.len())
            .flat_map(|at| [bytes[at].wrapping_sub(1), bytes[at].wrapping_add(1), 0].map(|byte| (at, byte)))
            .filter(|(at, byte)| bytes[*at] != *byte)
            .collect();
        tried += mutants.len();
        let broken = mutants.into_par_iter().map(|(at, byte)| {
            let mut hostile = bytes.clone();
            hostile[at] = byte;
            dependent(&sealed(hostile))
        });
        for function in broken.collect::<Vec<_>>().concat() {
            *found.entry((name.clone(), function)).or_insert(0) += 1;
        }
    }
    assert!(found.is_empty(), "of {tried} files, so many give other results with another scratch: {found:#?}");
}

/// Of all bytes of a file that is opened and sampled at once: a second stage that says that it has less dimensions than its layers read.
#[test]
fn a_second_stage_of_impossible_sizes_is_refused_before_it_reads_the_scratch() {
    for precision in [Precision::F32, Precision::Int8] {
        let family = Family {
            posterior: PosteriorKind::DiagonalGaussian,
            likelihood: LikelihoodKind::GaussianFixed,
            conditions: 0,
        };
        let bytes = family_model(family, precision, 6).to_bytes().unwrap();
        // Its record: the dimensions, and the array of deviations, with its length in bytes and its padding.
        let deviations = [0.1f32, 0.2, 0.3].map(f32::to_le_bytes).concat();
        let at = bytes.windows(12).position(|window| window == deviations).unwrap();
        let padding = (0..4).find(|padding| usize::from(bytes[at - 1 - padding]) == 12 + padding).unwrap();
        let dimensions = at - padding - 2;
        assert_eq!(bytes[dimensions], 2);
        for wrong in [0, 1, 3, 4, 127] {
            let mut hostile = bytes.clone();
            hostile[dimensions] = wrong;
            let file = sealed(hostile);
            let model = Model::from_bytes(file.bytes()).unwrap();
            let sample = |left: f32| {
                let (mut memory, mut z) = (vec![left; model.scratch_len()], vec![left; 3]);
                let mut rng = ChaCha8Rng::seed_from_u64(1);
                model.sample_second_stage(&mut rng, &mut z[..], &mut Scratch::new(&mut memory)).map(|()| bits(&z))
            };
            let error = LoadError::Shape { expected: wrong.into(), found: 2 };
            assert_eq!(sample(0.0), sample(3.5), "{precision:?}, {wrong} dimensions");
            assert_eq!(sample(0.0), Err(error.into()), "{precision:?}, {wrong} dimensions");
            assert!(model.verify().is_err());
        }
    }
}

/// A calibration record whose front-ends make less of the samples than the model has features.
#[test]
fn front_ends_that_leave_features_unwritten_are_refused() {
    let bytes = front_end_model(Precision::F32).to_bytes().unwrap();
    let codes = [FrontEnd::Statistics, FrontEnd::Mean, FrontEnd::Bands(5)].map(FrontEnd::code);
    let at = bytes.windows(3).position(|window| window == codes).unwrap();
    let mut hostile = bytes.clone();
    hostile[at + 2] = FrontEnd::Mean.code();
    let file = sealed(hostile);
    let model = Model::from_bytes(file.bytes()).unwrap();
    assert_eq!(dependent(&file), Vec::<&str>::new());
    let mut features = [7.0; 12];
    let error = LoadError::Shape { expected: 12, found: 8 };
    assert_eq!(model.extract(&[0.5; 21], &mut [0.0; 7], &mut features), Err(error.into()));
}

fn model_of_front_ends(front_ends: Vec<FrontEnd>, channels: usize, window: usize) -> AlignedFile {
    let features = if front_ends.is_empty() {
        channels * window
    } else {
        front_ends.iter().map(|front_end| front_end.features(window)).sum()
    };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut layer = |rows, columns| random_layer(&mut rng, rows, columns, Activation::Identity, 1.0);
    let (encoder, decoder) = (vec![layer(2, features)], vec![layer(features, 1)]);
    let file = ModelFile {
        channels: (0..channels).map(|channel| format!("c{channel}")).collect(),
        window,
        front_ends,
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianFixed, 1.0)
    };
    AlignedFile::new(&file.to_bytes().unwrap())
}

/// The definition: samples lie side by side, and what front-ends make of channels one channel behind the other.
#[test]
fn features_belong_to_the_channels_that_they_are_made_of() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    for _ in 0..100 {
        let (channels, window) = (rng.random_range(1..9), 1 << rng.random_range(4..7));
        let mel = FrontEnd::Mel { bands: 3, frames: 2, rate: 8000 };
        let kinds = [FrontEnd::Raw, FrontEnd::Mean, FrontEnd::Statistics, FrontEnd::Bands(3), FrontEnd::Bands(4), mel];
        let mut front_ends: Vec<FrontEnd> = (0..channels).map(|_| kinds[rng.random_range(0..kinds.len())]).collect();
        if rng.random_bool(0.2) || front_ends.iter().all(|front_end| *front_end == FrontEnd::Raw) {
            front_ends.clear();
        }
        let expected: Vec<usize> = if front_ends.is_empty() {
            (0..window).flat_map(|_| 0..channels).collect()
        } else {
            let each = front_ends.iter().enumerate();
            each.flat_map(|(channel, front_end)| vec![channel; front_end.features(window)]).collect()
        };
        let file = model_of_front_ends(front_ends.clone(), channels, window);
        let model = file.model().unwrap();
        assert_eq!(model.feature_channels().unwrap().collect::<Vec<_>>(), expected, "{front_ends:?}");
        let single: Vec<usize> = (0..model.features()).map(|feature| model.channel_of(feature).unwrap()).collect();
        assert_eq!(single, expected, "{front_ends:?}");
    }
}

/// As many channels as a file may have. That asking for each feature anew would take two thousand million steps is seen in how long this takes.
#[test]
fn as_many_channels_as_a_file_may_have_are_scored() {
    const CHANNELS: usize = 65_536;
    let file = model_of_front_ends(vec![FrontEnd::Mean; CHANNELS], CHANNELS, 2);
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut x = vec![f32::NAN; model.features()];
    x[0] = 1.0;
    let calibration = model.calibration().unwrap();
    let scoring = Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 1 };
    let score = model.score(&x[..], &calibration, scoring, &mut Scratch::new(&mut memory)).unwrap();
    assert!(score.is_finite(), "{score}");
}
