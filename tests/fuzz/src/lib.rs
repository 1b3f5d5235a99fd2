//! What the targets share: mutations that keep a model file a model file.

use libfuzzer_sys::fuzzer_mutate;
use vae_cases::{Numbers, generate::changed_again};

/// For `fuzz_mutator!` of what is given model files: half of the mutations change records and constants and seal the file, the others are
/// libFuzzer's own.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    if seed.is_multiple_of(2)
        && let Some(changed) = changed_again(&data[..size], &mut Numbers::seeded(seed.into()))
        && changed.len() <= max_size
    {
        data[..changed.len()].copy_from_slice(&changed);
        return changed.len();
    }
    fuzzer_mutate(data, size, max_size)
}
