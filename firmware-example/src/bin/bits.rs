//! Scores what the host's tests put into the directory `VAE_BITS` (two models and their windows) and prints the scores'
//! bits, for comparison with the host's.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hprintln};
use panic_semihosting as _;
use vae_core::{InferError, Model, Score, Scratch, include_model};

static F32: Model<'static> = include_model!(concat!(env!("VAE_BITS"), "/f32.vae"));
static INT8: Model<'static> = include_model!(concat!(env!("VAE_BITS"), "/int8.vae"));

const SCRATCH: usize = if F32.scratch_len() > INT8.scratch_len() { F32.scratch_len() } else { INT8.scratch_len() };

#[entry]
fn main() -> ! {
    let mut memory = [0.0; SCRATCH];
    let mut scratch = Scratch::new(&mut memory);
    let windows = include_bytes!(concat!(env!("VAE_BITS"), "/windows.f32")).as_chunks::<4>().0;
    for (name, model) in [("f32", F32), ("int8", INT8)] {
        if let Err(error) = model.self_test(&mut scratch) {
            hprintln!("{}: {}", name, error);
            loop {
                debug::exit(debug::EXIT_FAILURE);
            }
        }
        for window in windows.chunks_exact(F32.features()) {
            let mut x = [0.0; F32.features()];
            for (x, bytes) in x.iter_mut().zip(window) {
                *x = f32::from_le_bytes(*bytes);
            }
            print(name, "mean", model.elbo_at_mean(&x, &mut scratch));
            print(name, "sigma", model.elbo_sigma_points(&x, &mut scratch));
        }
    }
    loop {
        debug::exit(debug::EXIT_SUCCESS);
    }
}

fn print(model: &str, method: &str, score: Result<Score, InferError>) {
    match score {
        Ok(Score { elbo, reconstruction, kl, standard_error, missing }) => {
            let [elbo, reconstruction, kl, standard_error] =
                [elbo, reconstruction, kl, standard_error].map(f32::to_bits);
            hprintln!(
                "{} {} {:08x} {:08x} {:08x} {:08x} {}",
                model,
                method,
                elbo,
                reconstruction,
                kl,
                standard_error,
                missing
            );
        }
        Err(error) => hprintln!("{} {} {:?}", model, method, error),
    }
}
