//! Writes the models that the fuzzer begins with.
//!
//! Usage: `fuzz_models`, after a change of the model file.

use anyhow::Result;
use vae_tests::{fuzz_models::fuzz_models, root};

fn main() -> Result<()> {
    for (name, bytes) in fuzz_models()? {
        std::fs::write(root().join("tests/fuzz/models").join(name).with_extension("vae"), bytes)?;
    }
    Ok(())
}
