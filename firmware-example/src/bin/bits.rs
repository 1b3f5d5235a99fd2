//! Scores what the host's tests put into the directory `VAE_BITS` (two models and their windows) and prints the scores'
//! bits, for comparison with the host's.
#![no_std]
#![no_main]

use firmware_example::exit;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use semihosting::println;
use vae_core::{InferError, LogLikelihood, Model, Score, ScoreKind, Scoring, Scratch, include_model};

static F32: Model<'static> = include_model!(concat!(env!("VAE_BITS"), "/f32.vae"));
static INT8: Model<'static> = include_model!(concat!(env!("VAE_BITS"), "/int8.vae"));

/// Samples of a window, which are its features where there is no front-end.
const INPUTS: usize = F32.window_len() + F32.conditions();
const SCRATCH: usize = if F32.scratch_len() > INT8.scratch_len() { F32.scratch_len() } else { INT8.scratch_len() };

/// Scores and prints.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let (mut memory, mut work, mut features) = ([0.0; SCRATCH], [0.0; F32.window()], [0.0; F32.features()]);
    let mut scratch = Scratch::new(&mut memory);
    let windows = include_bytes!(concat!(env!("VAE_BITS"), "/windows.f32")).as_chunks::<4>().0;
    for (name, model) in [("f32", F32), ("int8", INT8)] {
        if let Err(error) = model.self_test(&mut scratch) {
            println!("{name}: {error}");
            exit(true);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for window in windows.chunks_exact(INPUTS) {
            let mut inputs = [0.0; INPUTS];
            for (input, bytes) in inputs.iter_mut().zip(window) {
                *input = f32::from_le_bytes(*bytes);
            }
            let (samples, condition) = inputs.split_at(F32.window_len());
            let Ok(model) = model.given(condition) else { continue };
            if let Err(error) = model.extract(samples, &mut work, &mut features) {
                println!("{name}: {error}");
                continue;
            }
            if model.has_front_end() {
                let sum = features.iter().fold(0u32, |sum, x| sum.wrapping_mul(31).wrapping_add(x.to_bits()));
                println!("{name} features {sum:08x}");
            }
            let x = &features;
            print(name, "mean", model.elbo_at_mean(x, &mut scratch));
            print(name, "sigma", model.elbo_sigma_points(x, &mut scratch));
            print_judged(name, &model, x, &mut scratch);
            if let Ok(estimate) = model.log_likelihood(x, 3, &mut rng, &mut scratch) {
                let LogLikelihood { value, standard_error, effective_samples, .. } = estimate;
                let [value, error, samples] = [value, standard_error, effective_samples].map(f32::to_bits);
                println!("{} importance {:08x} {:08x} {:08x}", name, value, error, samples);
            }
        }
    }
    exit(false)
}

/// The score by which a window is judged, and a digest of what its features cost.
fn print_judged(name: &str, model: &Model<'_>, x: &[f32], scratch: &mut Scratch<'_>) {
    let scoring = Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 0 };
    let scored = model.calibration().map_err(InferError::Model);
    let scored = scored.and_then(|calibration| model.score(x, &calibration, scoring, scratch));
    let mut digest = 0u32;
    let mut each =
        |feature: usize, nats: f32| digest = digest.wrapping_mul(31).wrapping_add(nats.to_bits() ^ feature as u32);
    match scored.and_then(|score| model.attribute(x, scratch, &mut each).map(|()| score)) {
        Ok(score) => println!("{} score {:08x} {:08x}", name, score.to_bits(), digest),
        Err(error) => println!("{} score {}", name, error),
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}

fn print(model: &str, method: &str, score: Result<Score, InferError>) {
    match score {
        Ok(Score { elbo, reconstruction, kl, standard_error, missing }) => {
            let [elbo, reconstruction, kl, standard_error] =
                [elbo, reconstruction, kl, standard_error].map(f32::to_bits);
            println!(
                "{} {} {:08x} {:08x} {:08x} {:08x} {}",
                model, method, elbo, reconstruction, kl, standard_error, missing
            );
        }
        Err(error) => println!("{} {} {:?}", model, method, error),
    }
}
