//! What the targets share: files with a valid checksum, seed models, and numbers that are seldom tried.

use rand_pcg::{
    Pcg32,
    rand_core::{Rng, SeedableRng},
};
use vae_core::{
    Assessment, DetectorError, InferError, Model, Verdict,
    format::{MAGIC, NamedArray, PRELUDE_LEN, VERSION},
};

/// The models of `models/`, which `cargo run --release -p vae-tests --bin fuzz_models` writes.
pub const MODELS: [&[u8]; 16] = [
    include_bytes!("../models/bands.vae"),
    include_bytes!("../models/bernoulli-bernoulli.vae"),
    include_bytes!("../models/bernoulli-fixed.vae"),
    include_bytes!("../models/bernoulli-per-feature.vae"),
    include_bytes!("../models/bernoulli-predicted.vae"),
    include_bytes!("../models/diagonal-bernoulli.vae"),
    include_bytes!("../models/diagonal-fixed.vae"),
    include_bytes!("../models/diagonal-per-feature.vae"),
    include_bytes!("../models/diagonal-predicted.vae"),
    include_bytes!("../models/full-bernoulli.vae"),
    include_bytes!("../models/full-fixed.vae"),
    include_bytes!("../models/full-per-feature.vae"),
    include_bytes!("../models/full-predicted.vae"),
    include_bytes!("../models/plain.vae"),
    include_bytes!("../models/statistics.vae"),
    include_bytes!("../models/stream.vae"),
];

/// Numbers at which arithmetic goes wrong.
pub const EXTREMES: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-45,
    -1e-40,
    1e19,
    -1e19,
    1e10,
    16_777_216.0,
];

/// A model file in memory, at an address divisible by four.
#[derive(Clone)]
pub struct File {
    words: Vec<u32>,
    len: usize,
}

impl File {
    /// These bytes as they are.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0u32; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, len: bytes.len() }
    }

    /// These bytes with magic, version, length and checksum made right.
    #[must_use]
    pub fn sealed(bytes: &[u8]) -> Self {
        let mut file = Self::new(bytes);
        file.seal();
        file
    }

    /// Makes magic, version, length and checksum right.
    pub fn seal(&mut self) {
        let len = self.len as u32;
        let bytes = self.bytes_mut();
        if bytes.len() < PRELUDE_LEN {
            return;
        }
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&u32::from(VERSION).to_le_bytes());
        bytes[12..16].copy_from_slice(&len.to_le_bytes());
        let checksum = checksum(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }

    /// The file's bytes, to be changed: then [`Self::seal`] is needed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

/// CRC-32, as model files and snapshots have it.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}

/// Where the values of a file's calibration begin, and how many there are; none where there is no calibration.
#[must_use]
pub fn calibration_at(file: &[u8]) -> Option<(usize, usize)> {
    let at = PRELUDE_LEN + Model::from_bytes(file).ok()?.prelude().extras_at as usize;
    let (record, rest): (NamedArray<'_>, _) = postcard::take_from_bytes(file.get(at..)?).ok()?;
    let count = record.array.len() / 4;
    Some((file.len() - rest.len() - 4 * count, count))
}

/// Numbers for one run, all of which follow from a seed.
pub struct Numbers(Pcg32);

impl Numbers {
    /// Numbers that depend on all of `data`.
    #[must_use]
    pub fn of(data: &[u8]) -> Self {
        Self(Pcg32::seed_from_u64(checksum(data).into()))
    }

    /// The generator, for what draws itself.
    pub fn generator(&mut self) -> &mut Pcg32 {
        &mut self.0
    }

    /// An ordinary number, within ± 4, or seldom an extreme one.
    pub fn next(&mut self, extremes: bool) -> f32 {
        let bits = self.0.next_u32();
        match bits >> 28 {
            0 if extremes => EXTREMES[bits as usize % EXTREMES.len()],
            1 if extremes => f32::from_bits(self.0.next_u32()),
            _ => (bits & 0xFFFF) as f32 / 8192.0 - 4.0,
        }
    }

    /// So many of them; all ordinary, all within 0 and 1, or some extreme.
    pub fn vector(&mut self, len: usize) -> Vec<f32> {
        let kind = self.0.next_u32() % 4;
        let number = |numbers: &mut Self| match kind {
            0 => numbers.next(false),
            1 => numbers.next(false).abs() / 4.0,
            2 if numbers.0.next_u32() % 64 == 0 => f32::NAN,
            2 => numbers.next(false).abs() / 4.0,
            _ => numbers.next(true),
        };
        (0..len).map(|_| number(self)).collect()
    }
}

/// What was asked of a model, `sound` where [`Model::verify`] passed it: such a one never turns out to be faulty.
pub fn judge<T>(sound: bool, outcome: Result<T, InferError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(InferError::Model(error)) if sound => panic!("verified, yet {error}"),
        Err(_) => None,
    }
}

/// What holds of every verdict.
pub fn check_verdict(model: &Model<'_>, verdict: &Verdict) {
    if let Some(Assessment { score, p_value, missing }) = verdict.assessment() {
        assert!(score.is_finite(), "{verdict:?}");
        assert!((0.0..=1.0).contains(&p_value), "{verdict:?}");
        assert!(missing as usize <= model.features(), "{verdict:?}");
    }
    match verdict {
        Verdict::Normal(_) | Verdict::Drifting(_) => {}
        Verdict::SensorFault(fault) => assert!((fault.channel as usize) < model.channels(), "{verdict:?}"),
        Verdict::Anomalous(anomaly) => {
            assert!((anomaly.channel as usize) < model.channels(), "{verdict:?}");
            assert!((anomaly.feature as usize) < model.features(), "{verdict:?}");
        }
    }
}

/// Words of a snapshot before the numbers that a detector has beside its channels'.
const SNAPSHOT_NUMBERS: usize = 11;
/// Those numbers.
const RUNNING: usize = 10;
/// Numbers of a channel, and those of them that neither a gap nor the next window clears.
const CHANNEL: usize = 14;
const LASTING: std::ops::Range<usize> = 8..13;

/// What holds of everything that a detector remembers: it is finite, and nothing in it silences the detector.
pub fn check_snapshot(model: &Model<'_>, record: &[u8]) {
    let numbers: Vec<f32> =
        record.as_chunks::<4>().0.iter().skip(SNAPSHOT_NUMBERS).map(|word| f32::from_le_bytes(*word)).collect();
    let (running, learned) = numbers[..numbers.len() - 1].split_at(RUNNING);
    let (channels, shifts) = learned.split_at(CHANNEL * model.channels());
    assert!(shifts.iter().all(|shift| shift.is_finite()), "{shifts:?}");
    assert!(running.iter().all(|value| value.is_finite()), "{running:?}");
    let [shift, widening, change, health, needed, _, _, factor, _, _] = *running else { panic!("{running:?}") };
    assert!([shift, change, health, needed].iter().all(|sum| *sum >= 0.0), "{running:?}");
    assert!((1.0..=4.0).contains(&widening) && (0.25..=1.0).contains(&factor), "{running:?}");
    for channel in channels.chunks_exact(CHANNEL) {
        let [_, _, _, gain, ordinary_power] = channel[LASTING] else { panic!("{channel:?}") };
        assert!(channel[LASTING].iter().all(|value| value.is_finite()), "{channel:?}");
        assert!(gain > 0.0 && ordinary_power > 0.0, "{channel:?}");
    }
}

/// Room for a window: the least of some capacities that is enough for `len` values, and the largest that is not.
pub fn with_window<T>(len: usize, small: bool, use_it: impl FnOnce(&mut heapless::VecView<f32>) -> T) -> Option<T> {
    macro_rules! capacities {
        ($($capacity:literal)*) => {{
            let chosen = if small {
                [$($capacity),*].into_iter().filter(|capacity| *capacity < len).max()?
            } else {
                [$($capacity),*].into_iter().find(|capacity| *capacity >= len)?
            };
            match chosen {
                $($capacity => Some(use_it(&mut *Box::new(heapless::Vec::<f32, $capacity>::new()))),)*
                _ => None,
            }
        }};
    }
    capacities!(1 2 3 6 7 8 12 16 24 30 31 32 48 54 64 128 256 1024 8192 65_536)
}

/// Whether a detector refused for a reason that a sound model cannot give it.
#[must_use]
pub fn is_faulty(error: &DetectorError) -> bool {
    matches!(error, DetectorError::Infer(InferError::Model(_) | InferError::ScratchTooSmall { .. }))
}
