//! Any bytes, as they are and with a valid checksum, given to everything that reads a model file.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use vae_cases::{Digest, loader};

fuzz_target!(|data: &[u8]| loader::run(data, &mut Digest::unkept()));

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    vae_fuzz::mutate(data, size, max_size, seed)
});
