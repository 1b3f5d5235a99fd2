//! Any record with a valid checksum, restored into a detector that then goes on.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vae_cases::{Digest, Seeds, snapshot};

static SEEDS: LazyLock<Seeds> = LazyLock::new(Seeds::default);

fuzz_target!(|data: &[u8]| snapshot::run(&SEEDS, data, &mut Digest::unkept()));
