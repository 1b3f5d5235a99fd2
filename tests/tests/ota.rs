//! A model over the air: what the device refuses, signed or not, and that a power cut never leaves it without a model.

use std::fs;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Alarms, SIGNATURE_TRAILER_LEN, Scratch, SelfTestError,
    format::{LikelihoodKind, PRELUDE_LEN, PosteriorKind, Precision},
    standard_normal,
};
use vae_tests::{Family, can_emulate, emulate, family_model, varied_model};
use vae_train::{
    calibration::{Normal, Settings, calibrate},
    model_file::{AlignedFile, Calibration, ModelFile},
    signing::{generate, sign},
    table::Table,
};

const TARGET: &str = "thumbv7em-none-eabihf";

/// A model that is calibrated on what the device's sensor gives.
fn calibrated(seed: u64, rate: f64) -> ModelFile {
    let (posterior, likelihood) = (PosteriorKind::DiagonalGaussian, LikelihoodKind::GaussianPerFeature);
    let mut file = family_model(Family { posterior, likelihood, conditions: 0 }, Precision::Int8, seed);
    // Small, for the power is cut at each of its words.
    (file.prior, file.mixture, file.second_stage) = (None, None, None);
    file.attributes.clear();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let table = Table {
        path: "normal".into(),
        columns: file.channels.clone(),
        values: (0..70_000).map(|_| 2.0 * standard_normal(&mut rng)).collect(),
        labels: None,
    };
    let alarms = Some(f64::from(Alarms::per_day(1.0).per_second()));
    let settings = Settings { alarms, votes: (2, 3), sample_rate: Some(rate), ..Settings::default() };
    file.calibration = calibrate(&file, &Normal { table, settings }, 0.01).unwrap().0;
    file.calibration.quantiles = file.calibration.quantiles.into_iter().step_by(8).collect();
    // So that the least new baseline is enough.
    file.calibration.dependence = 1.0;
    file
}

/// A file like `good`, with a valid checksum, that loads and whose self-test finds another score than the file says.
fn scoring_differently(good: &[u8]) -> Vec<u8> {
    let sizes = *AlignedFile::new(good).model().unwrap().prelude();
    (PRELUDE_LEN..good.len())
        .rev()
        .find_map(|at| {
            let mut body = good[PRELUDE_LEN..].to_vec();
            body[at - PRELUDE_LEN] ^= 0x40;
            let file = [&sizes.to_bytes(&body).unwrap()[..], &body].concat();
            let aligned = AlignedFile::new(&file);
            let model = aligned.model().unwrap();
            let mut memory = vec![0.0; model.scratch_len()];
            let result = model.self_test(&mut Scratch::new(&mut memory));
            matches!(result, Err(SelfTestError::Differs { expected, found, .. }) if expected != found).then_some(file)
        })
        .unwrap()
}

#[test]
fn bad_models_are_refused_and_power_cuts_survived() {
    if !can_emulate(TARGET) {
        return;
    }
    let [old, new] = [1, 2].map(|seed| calibrated(seed, 100.0));
    let bytes = |file: &ModelFile| file.to_bytes().unwrap();
    let (old_bytes, new_bytes) = (bytes(&old), bytes(&new));
    let mut flipped = new_bytes.clone();
    flipped[new_bytes.len() / 3] ^= 4;
    let mut later = new_bytes.clone();
    later[4] += 1;
    let mut channels = new.channels.clone();
    channels.swap(0, 1);
    let [key, retired, stranger] = [(); 3].map(|()| generate().unwrap());
    let signed = |bytes: &[u8], counter| sign(bytes, counter, &key).unwrap();
    // As the key's holder would sign it, but by another.
    let mut impostor = signed(&new_bytes, 1);
    let message = impostor.len() - 64;
    let forged = stranger.sk.sign(&impostor[..message], None);
    impostor[message..].copy_from_slice(&forged[..]);
    // With a checksum that is right, so that the signature alone tells.
    let altered = [&scoring_differently(&new_bytes)[..], &signed(&new_bytes, 1)[new_bytes.len()..]].concat();
    let faulty = [
        ("truncated", new_bytes[..new_bytes.len() / 2].to_vec()),
        ("flipped", flipped),
        ("foreign", vec![0; 1000]),
        ("version", later),
        ("golden", scoring_differently(&new_bytes)),
        ("channels", bytes(&ModelFile { channels, ..new.clone() })),
        ("rate", bytes(&calibrated(2, 50.0))),
        ("uncalibrated", bytes(&ModelFile { calibration: Calibration::default(), ..new.clone() })),
        ("large", bytes(&varied_model(Precision::F32, 2))),
    ];
    let faulty = faulty.map(|(name, bytes)| (name, signed(&bytes, 1)));
    let others = [
        ("old", old_bytes.clone()),
        ("new", new_bytes.clone()),
        ("second", signed(&new_bytes, 2)),
        // As is its right: the retired key is still trusted.
        ("third", sign(&old_bytes, 3, &retired).unwrap()),
        ("fourth", signed(&new_bytes, 4)),
        ("unsigned", new_bytes.clone()),
        ("stranger", sign(&new_bytes, 1, &stranger).unwrap()),
        ("impostor", impostor),
        ("altered", altered),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in others.iter().chain(&faulty) {
        fs::write(directory.path().join(name).with_extension("vae"), bytes).unwrap();
    }
    fs::write(directory.path().join("key.pub"), *key.pk).unwrap();
    fs::write(directory.path().join("retired.pub"), *retired.pk).unwrap();
    let printed = emulate(TARGET, "ota", &[("VAE_OTA", directory.path())], &["ota"]).unwrap();
    let mut lines = printed.lines();
    let mut next = |expected: &str| {
        let line = lines.next().unwrap_or("nothing");
        assert!(line.contains(expected), "expected {expected}, printed {line}\n{printed}");
    };

    let fingerprint = |bytes: &[u8]| AlignedFile::new(bytes).model().unwrap().fingerprint();
    let in_use = |bytes: &[u8]| format!("model {:08x} in use", fingerprint(bytes));
    next(&in_use(&old_bytes));
    for refusal in [
        "not signed: refused, the file is not signed",
        "signed by a stranger: refused, the file is signed with key",
        "signed by a stranger in another's name: refused, the signature is wrong",
        "changed after it was signed: refused, the signature is wrong",
        "truncated: refused, model file is truncated",
        "one bit flipped: refused, model file is damaged",
        "no model: refused, not a model file",
        "a later format: refused, model file has a format version",
        "scores differently: refused, golden vector 0 scores",
        "other channels: refused, the new model's channels or conditions differ",
        "other sample rate: refused, samples come at 100 Hz and the model was trained at 50 Hz",
        "not calibrated: refused, the model file holds no calibration",
        "too large: refused",
    ] {
        next(refusal);
    }
    next(&in_use(&old_bytes));
    // Of each write, the one before it is left, but of the last one, which is the record's checksum.
    let writes = |count: usize| format!("{count} writes: {} × as before, 1 × as after", 2 * count - 1);
    let page = 512;
    let snapshot = AlignedFile::new(&old_bytes).model().unwrap().snapshot_len();
    let store = |bytes: usize| 1 + 1 + bytes / 4 + 1;
    next(&writes(store(snapshot)));
    for bytes in [&new_bytes, &old_bytes, &new_bytes] {
        let trailer = SIGNATURE_TRAILER_LEN;
        let slot = (old_bytes.len().max(new_bytes.len()) + trailer).div_ceil(page);
        next(&writes(slot + (bytes.len() + trailer).div_ceil(4) + store(8)));
        next(&in_use(bytes));
    }
    next(&writes(store(snapshot)));
    next("signed, but older: refused, the file's counter is 3 and that of the model in use 4");
    next(&in_use(&old_bytes));
    assert_eq!(lines.next(), None);
}
