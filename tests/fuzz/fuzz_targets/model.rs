//! A hostile body behind a valid checksum, and then all that can be asked of a model.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};
use vae_cases::{Digest, model};

fuzz_target!(|data: &[u8]| -> Corpus {
    if model::run(data, &mut Digest::unkept()) { Corpus::Keep } else { Corpus::Reject }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    vae_fuzz::mutate(data, size, max_size, seed)
});
