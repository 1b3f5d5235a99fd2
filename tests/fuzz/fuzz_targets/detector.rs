//! Streams of any samples and any operations on a detector, over models whose calibration and front-ends are hostile.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vae_cases::{Digest, Seeds, detector};

static SEEDS: LazyLock<Seeds> = LazyLock::new(Seeds::default);

fuzz_target!(|data: &[u8]| detector::run(&SEEDS, data, &mut Digest::unkept()));
