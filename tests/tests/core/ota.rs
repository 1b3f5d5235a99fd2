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
    file::{
        calibration::CalibrationRecord,
        model_file::{AlignedFile, ModelFile},
        signing::{generate, sign},
    },
    tables::table::Table,
};

use crate::example::{
    flash::{PAGE, Power},
    slots::SLOTS,
    update::{Board, Models, Room, Sensor, UpdateError},
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
        starts: Vec::new(),
        origins: Vec::new(),
    };
    let alarms = Some(f64::from(Alarms::per_day(1.0).per_second()));
    let settings = Settings { alarms, votes: (2, 3), sample_rate: Some(rate), ..Settings::default() };
    file.calibration = calibrate(&file, &Normal { table: table.into(), settings }, 0.01).unwrap().0;
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

/// What is sent to the device of these tests, and whom it trusts.
struct Sent {
    /// Of the models that are accepted, without signatures.
    old: Vec<u8>,
    new: Vec<u8>,
    files: Vec<(&'static str, Vec<u8>)>,
    keys: [[u8; 32]; 2],
}

/// Those of [`Sent::files`] that are refused by a device that has accepted one with the counter 3.
const REFUSED: [&str; 15] = [
    "unsigned",
    "stranger",
    "impostor",
    "altered",
    "truncated",
    "flipped",
    "foreign",
    "version",
    "golden",
    "channels",
    "rate",
    "uncalibrated",
    "large",
    "first",
    "second",
];

impl Sent {
    fn file(&self, name: &str) -> &[u8] {
        &self.files.iter().find(|(file, _)| *file == name).unwrap().1
    }
}

fn sent() -> Sent {
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
        ("uncalibrated", bytes(&ModelFile { calibration: CalibrationRecord::default(), ..new.clone() })),
        ("large", bytes(&varied_model(Precision::F32, 2))),
    ];
    // Newer than any other, so that only what is wrong with them is in the way.
    let faulty = faulty.map(|(name, bytes)| (name, signed(&bytes, 9)));
    let others = [
        ("old", old_bytes.clone()),
        ("first", signed(&old_bytes, 0)),
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
    let keys = [*retired.pk, *key.pk];
    Sent { old: old_bytes, new: new_bytes, files: others.into_iter().chain(faulty).collect(), keys }
}

#[test]
fn bad_models_are_refused_and_power_cuts_survived() {
    if !can_emulate(TARGET) {
        return;
    }
    let sent = sent();
    let (old_bytes, new_bytes) = (&sent.old, &sent.new);
    let directory = tempfile::tempdir().unwrap();
    for (name, bytes) in &sent.files {
        fs::write(directory.path().join(name).with_extension("vae"), bytes).unwrap();
    }
    for (name, key) in ["retired.pub", "key.pub"].iter().zip(sent.keys) {
        fs::write(directory.path().join(name), key).unwrap();
    }
    let printed = emulate(TARGET, "ota", &[("VAE_OTA", directory.path())], &["ota"]).unwrap();
    let mut lines = printed.lines();
    let mut next = |expected: &str| {
        let line = lines.next().unwrap_or("nothing");
        assert!(line.contains(expected), "expected {expected}, printed {line}\n{printed}");
    };

    let fingerprint = |bytes: &[u8]| AlignedFile::new(bytes).model().unwrap().fingerprint();
    let in_use = |bytes: &[u8]| format!("model {:08x} in use", fingerprint(bytes));
    next(&in_use(old_bytes));
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
        "other channels: refused, the model's channels are not this device's",
        "other sample rate: refused, samples come at 100 Hz and the model was trained at 50 Hz",
        "not calibrated: refused, the model file holds no calibration",
        "too large: refused",
    ] {
        next(refusal);
    }
    next(&in_use(old_bytes));
    // A cut leaves what was before, until the last word of a record is written, which is its checksum.
    let writes =
        |count: usize, after: usize| format!("{count} writes: {} × as before, {after} × as after", 2 * count - after);
    let page = 512;
    let snapshot = AlignedFile::new(old_bytes).model().unwrap().snapshot_len();
    let store = |bytes: usize| 1 + 1 + bytes / 4 + 1;
    next(&writes(store(snapshot), 1));
    for bytes in [new_bytes, old_bytes, new_bytes] {
        let trailer = SIGNATURE_TRAILER_LEN;
        let slot = (old_bytes.len().max(new_bytes.len()) + trailer).div_ceil(page);
        // The record is held twice: once the first is written, the second is a copy.
        let record = store(16);
        next(&writes(slot + (bytes.len() + trailer).div_ceil(4) + 2 * record, 2 * record + 1));
        next(&in_use(bytes));
    }
    next(&writes(store(snapshot), 1));
    next("signed, but older: refused, the file's counter is 3 and that of the model in use 4");
    next(&in_use(old_bytes));
    assert_eq!(lines.next(), None);
}

/// More values than any of these models takes.
const ENOUGH: usize = 4096;

/// A device of these models on the host.
struct Host<'s> {
    sent: &'s Sent,
    sensor: Sensor<'s>,
    scratch: Vec<f32>,
    window: heapless::Vec<f32, 64>,
    state: Vec<f32>,
}

/// A snapshot's bytes, which these tests take none of.
type Device<'f> = Board<'f, 4>;

impl<'s> Host<'s> {
    fn new(sent: &'s Sent, channels: &'s str) -> Self {
        let [scratch, state] = [vec![0.0; ENOUGH], vec![0.0; ENOUGH]];
        Self { sent, sensor: Sensor { channels, hz: 100.0 }, scratch, window: heapless::Vec::new(), state }
    }

    /// The fingerprint of the model that a boot starts, its least counter, and what became of a file that was sent then.
    fn boot(
        &mut self,
        flash: &mut [u8],
        file: Option<&[u8]>,
    ) -> Result<(u32, u32, Result<(), UpdateError>), UpdateError> {
        let power = Power::new(None);
        let mut board = Device::new(flash, &power);
        let room = Room { window: &mut self.window, state: &mut self.state };
        let mut scratch = Scratch::new(&mut self.scratch);
        let mut models = Models { keys: &self.sent.keys, sensor: self.sensor, room, scratch: &mut scratch };
        let mut booted = board.boot(&mut models)?;
        let (started, least) = (booted.model.fingerprint(), booted.counter());
        Ok((started, least, file.map_or(Ok(()), |file| booted.install(file, &mut models))))
    }
}

/// The search of `slots` with files that are real: each single bit of the whole flash, before and behind a file that is refused.
#[test]
fn no_bit_that_rots_and_no_refused_file_start_another_model() {
    let sent = sent();
    let [old, new] = [&sent.old, &sent.new].map(|bytes| AlignedFile::new(bytes));
    let [old, new] = [&old, &new].map(|file| file.model().unwrap());
    let mut host = Host::new(&sent, old.card().unwrap().channels);
    let slot = (sent.old.len().max(sent.new.len()) + SIGNATURE_TRAILER_LEN).next_multiple_of(PAGE);
    // Aligned as flash is.
    let mut words = vec![u32::MAX; (SLOTS * slot + Device::RECORDS) / 4];
    let flash: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    for slot in flash.chunks_exact_mut(slot).take(2) {
        slot[..sent.file("first").len()].copy_from_slice(sent.file("first"));
    }
    assert_eq!(host.boot(flash, None), Ok((old.fingerprint(), 0, Ok(()))));
    for (name, before) in [("third", &old), ("fourth", &old)] {
        assert_eq!(host.boot(flash, Some(sent.file(name))).unwrap().0, before.fingerprint());
    }
    let newest = (new.fingerprint(), 4, Ok(()));
    assert_eq!(host.boot(flash, None), Ok(newest));

    let accepted = flash.to_vec();
    let mut refused = None;
    for name in REFUSED {
        let (.., outcome) = host.boot(flash, Some(sent.file(name))).unwrap();
        assert!(outcome.is_err(), "{name}");
        let is_large = matches!(outcome, Err(UpdateError::TooLarge { .. }));
        // All of them leave the same: nothing.
        assert!(is_large || flash == refused.get_or_insert_with(|| flash.to_vec()), "{name}");
        assert_eq!(host.boot(flash, None), Ok(newest), "{name}");
    }
    let refused = refused.unwrap();
    let mut fell_back = 0;
    for bit in 0..8 * accepted.len() {
        for (first, name) in [(&refused, None), (&accepted, Some(REFUSED[bit % REFUSED.len()]))] {
            flash.copy_from_slice(first);
            flash[bit / 8] ^= 1 << (bit % 8);
            if let Some(name) = name {
                assert!(host.boot(flash, Some(sent.file(name))).unwrap().2.is_err(), "bit {bit}, {name}");
            }
            let (started, least, _) = host.boot(flash, None).unwrap();
            assert_eq!(least, 4, "bit {bit}, {name:?}");
            let is_newest = started == new.fingerprint();
            assert!(is_newest || started == old.fingerprint(), "bit {bit}, {name:?}");
            fell_back += usize::from(!is_newest);
        }
    }
    // Each bit of the newest model, and no other.
    assert_eq!(fell_back, 2 * 8 * sent.new.len());
}
