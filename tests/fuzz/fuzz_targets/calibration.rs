//! Any calibration in a sound model: p-values are probabilities and fall with the score, or the record is refused.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vae_cases::{Digest, Seeds, calibration};

static SEEDS: LazyLock<Seeds> = LazyLock::new(Seeds::default);

fuzz_target!(|data: &[u8]| calibration::run(&SEEDS, data, true, &mut Digest::unkept()));
