//! How likely is a window? The parts of a score, of an ordinary window and of one that no machine gives:
//! `cargo run -p vae-core --example score`.
#![allow(clippy::print_stdout)]

use rand_pcg::{Pcg32, rand_core::SeedableRng};
use vae_core::{InferError, Model, Scratch, include_model};

/// Two channels, four samples each; read and checked while this is compiled.
const MODEL: Model<'static> = include_model!("../tests/tiny.vae");

fn main() -> Result<(), InferError> {
    let mut memory = [0.0; MODEL.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    println!("{} features, {} latents, {} bytes of scratch", MODEL.features(), MODEL.latent(), 4 * MODEL.scratch_len());

    let ordinary = [0.6, -0.4, 0.2, 0.5, -0.3, 0.1, -0.7, -0.2];
    let [mut strange, mut gap] = [ordinary; 2];
    strange[3] = 40.0;
    gap[3] = f32::NAN; // a sample that did not come
    for (name, window) in [("ordinary", ordinary), ("strange", strange), ("with a gap", gap)] {
        let score = MODEL.elbo_at_mean(&window, &mut scratch)?;
        println!(
            "{name}: ELBO {:.2} nats = {:.2} (reconstruction) − {:.2} (KL), {} of {} features missing",
            score.elbo,
            score.reconstruction,
            score.kl,
            score.missing,
            MODEL.features(),
        );
    }

    // The bound by samples of the posterior, and what it bounds, by importance weights.
    let mut rng = Pcg32::seed_from_u64(1);
    let bound = MODEL.elbo(&ordinary, 100, &mut rng, &mut scratch)?;
    let evidence = MODEL.log_likelihood(&ordinary, 100, &mut rng, &mut scratch)?;
    println!("ELBO {:.2} ± {:.2} nats, ln p(x) about {:.2}", bound.elbo, bound.standard_error, evidence.value);
    Ok(())
}
