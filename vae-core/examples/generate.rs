//! Windows that the model makes up: a latent vector from the prior, by the way of the decoder and of its noise:
//! `cargo run -p vae-core --example generate`.
#![allow(clippy::print_stdout)]

use rand_pcg::{Pcg32, rand_core::SeedableRng};
use vae_core::{InferError, Model, Scratch, include_model};

const MODEL: Model<'static> = include_model!("../tests/tiny.vae");

fn main() -> Result<(), InferError> {
    let mut memory = [0.0; MODEL.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut rng = Pcg32::seed_from_u64(7);
    let (mut z, mut mean, mut window) = ([0.0; MODEL.latent()], [0.0; MODEL.features()], [0.0; MODEL.features()]);
    for _ in 0..3 {
        MODEL.sample_prior(&mut rng, &mut z)?;
        MODEL.decode(&z, &mut mean, &mut scratch)?;
        MODEL.decode_sample(&z, &mut rng, &mut window, &mut scratch)?;
        println!("z {z:6.2?}\n  mean   {mean:6.2?}\n  window {window:6.2?}");
    }
    Ok(())
}
