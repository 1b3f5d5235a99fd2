//! What is fuzzed, and what it begins with.

use alloc::{vec, vec::Vec};
use core::ops::Range;

use vae_core::{
    Aligned, Detector, Model, Scratch,
    format::{NamedArray, PRELUDE_LEN},
};

use crate::{
    Digest, File, Numbers, Parts, calibration,
    checks::zeros,
    checksum, detector, generate, loader, model,
    snapshot::{self, record_of},
};

macro_rules! models {
    ($($name:literal)*) => {
        [$({
            const FILE: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!("../../models/", $name, ".vae")));
            &FILE.0
        }),*]
    };
}

/// The models of `models/`, which `cargo run --release -p vae-tests --bin fuzz_models` writes.
static FILES: [&[u8]; 22] = models!(
    "bands" "bernoulli-bernoulli" "bernoulli-fixed" "bernoulli-per-feature" "bernoulli-predicted" "diagonal-bernoulli" "diagonal-fixed"
    "diagonal-per-feature" "diagonal-predicted" "full-bernoulli" "full-fixed" "full-per-feature" "full-predicted" "plain" "statistics"
    "stream" "mel" "related" "related-inputs" "mixed" "full-covariance" "categorical-per-feature"
);

/// What all cases are made from: the models, taken apart, and what detectors with them remember after a while.
#[derive(Debug)]
pub struct Seeds {
    models: Vec<Model<'static>>,
    pub(crate) parts: Vec<Parts>,
    places: Vec<Places>,
    records: Vec<Vec<Vec<u8>>>,
}

impl Default for Seeds {
    fn default() -> Self {
        let mut seeds = Self::without_snapshots();
        seeds.records = seeds.models.iter().map(|model| remembered(*model).unwrap_or_default()).collect();
        seeds
    }
}

impl Seeds {
    /// For all subjects but [`Subject::Snapshot`], whose records take long to make on a core.
    #[must_use]
    pub fn without_snapshots() -> Self {
        let models: Vec<Model<'static>> = FILES.iter().map(|file| Model::from_bytes(file).unwrap()).collect();
        let places = FILES.iter().zip(&models).map(|(file, model)| Places::of(file, model).unwrap()).collect();
        let parts = FILES.iter().map(|file| Parts::of(file).unwrap()).collect();
        Self { models, parts, places, records: Vec::new() }
    }

    /// The model that a byte chooses.
    #[must_use]
    pub fn model(&self, which: u8) -> Model<'static> {
        self.models[usize::from(which) % self.models.len()]
    }

    /// Its file.
    #[must_use]
    pub fn bytes(&self, which: u8) -> &'static [u8] {
        FILES[usize::from(which) % FILES.len()]
    }

    /// Its file, to be changed.
    #[must_use]
    pub fn file(&self, which: u8) -> File {
        File::new(self.bytes(which))
    }

    /// Snapshots of its detector, the first of them before any sample; none for a model without a calibration.
    #[must_use]
    pub fn snapshots(&self, which: u8) -> &[Vec<u8>] {
        &self.records[usize::from(which) % self.models.len()]
    }

    pub(crate) fn places(&self, which: u8) -> &Places {
        &self.places[usize::from(which) % self.places.len()]
    }
}

/// Where a file has the codes of its channels' front-ends, and the constants of its calibration.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) codes: Range<usize>,
    pub(crate) constants: Range<usize>,
}

impl Places {
    fn of(file: &[u8], model: &Model<'_>) -> Option<Self> {
        let at = PRELUDE_LEN + model.prelude().extras_at as usize;
        let (record, rest): (NamedArray<'_>, _) = postcard::take_from_bytes(file.get(at..)?).ok()?;
        let end = file.len() - rest.len();
        // Behind the byte that says how many there are.
        let codes = at + 1..at + 1 + record.name.len();
        Some(Self { codes, constants: end - record.array.len() / 4 * 4..end })
    }
}

/// Snapshots of a detector that judges ordinary samples, then others, then makes a new baseline; none for a model without a calibration.
fn remembered(model: Model<'_>) -> Option<Vec<Vec<u8>>> {
    let (mut window, mut state) = (zeros(model.window_len()), zeros(model.state_len()));
    let mut detector = Detector::over(model, &mut window, &mut state).ok()?;
    let mut memory = zeros(model.scratch_len());
    let mut scratch = Scratch::new(&mut memory);
    detector.given(&vec![0.5; model.conditions()]).ok()?;
    let mut numbers = Numbers::seeded(0);
    let mut records = vec![record_of(&detector)];
    for phase in 0..4 {
        if phase == 2 {
            detector.acknowledge();
            detector.rebaseline(64).ok()?;
        }
        for _ in 0..50 * model.hop() {
            let sample: Vec<f32> = (0..model.channels())
                .map(|_| numbers.next(false).abs() * if phase == 1 { 0.25 } else { 0.2 })
                .collect();
            // What is refused is not remembered.
            let _ = detector.push(&sample, &mut scratch);
        }
        records.push(record_of(&detector));
    }
    Some(records)
}

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// [`loader`]
    Loader,
    /// [`model`]
    Model,
    /// [`detector`]
    Detector,
    /// [`snapshot`]
    Snapshot,
    /// [`calibration`]
    Calibration,
}

/// All of them, and their names.
pub const SUBJECTS: [(&str, Subject); 5] = [
    ("loader", Subject::Loader),
    ("model", Subject::Model),
    ("detector", Subject::Detector),
    ("snapshot", Subject::Snapshot),
    ("calibration", Subject::Calibration),
];

impl Subject {
    /// The bytes of a case, all of which follow from seed and number.
    #[must_use]
    pub fn generate(self, seeds: &Seeds, seed: u32, number: u32) -> Vec<u8> {
        // Two steps, so that neighbours in either have nothing in common.
        let [seed, number, subject] = [seed, number, self as u32].map(u32::to_le_bytes);
        let mixed = checksum(&[seed, number, subject].concat());
        let numbers = &mut Numbers::seeded(u64::from(u32::from_le_bytes(number)) << 32 | u64::from(mixed));
        match self {
            Self::Loader => generate::loader(seeds, numbers),
            Self::Model => generate::model(seeds, numbers),
            Self::Detector => generate::detector(seeds, numbers),
            Self::Snapshot => generate::snapshot(seeds, numbers),
            Self::Calibration => generate::calibration(seeds, numbers),
        }
    }

    /// Asserts what holds of a case, and adds what comes out to the digest.
    pub fn run(self, seeds: &Seeds, case: &[u8], digest: &mut Digest) {
        match self {
            Self::Loader => loader::run(case, digest),
            Self::Model => drop(model::run(case, digest)),
            Self::Detector => detector::run(seeds, case, digest),
            Self::Snapshot => snapshot::run(seeds, case, digest),
            Self::Calibration => {
                let whole = checksum(case).is_multiple_of(calibration::SELDOM);
                calibration::run(seeds, case, whole, digest);
            }
        }
    }
}
