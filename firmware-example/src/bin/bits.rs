//! Scores what the host's tests put into the directory `VAE_BITS` (models, each with its windows, as the bench's pack has them) and prints the
//! scores' bits, for comparison with the host's.
#![no_std]
#![no_main]

use firmware_example::{exit, pack};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use semihosting::println;
use vae_core::{Aligned, InferError, LogLikelihood, Model, Score, ScoreKind, Scoring, Scratch};

/// As [`pack::models`] reads it; each window has its condition behind it.
static PACK: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("VAE_BITS"), "/models.pack")));

/// Samples of the longest window, which are its features where there is no front-end, and its condition.
const INPUTS: usize = 3 * 2048;
const WINDOW: usize = 2048;
const FEATURES: usize = 192;
const SCRATCH: usize = 1024;

/// Scores and prints.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    for (index, (file, windows)) in (0..).zip(pack::models(&PACK.0)) {
        let model = Model::from_bytes(file).map_err(InferError::Model);
        if let Err(error) = model.and_then(|model| print_scores(index, model, windows)) {
            println!("{index}: {error}");
            exit(true);
        }
    }
    exit(false)
}

/// The scores of each window.
fn print_scores(index: u32, model: Model<'_>, windows: &[[u8; 4]]) -> Result<(), InferError> {
    let mut memory = [0.0; SCRATCH];
    let mut inputs = [0.0; INPUTS];
    let mut work = [0.0; WINDOW];
    let mut features = [0.0; FEATURES];
    let mut scratch = Scratch::new(&mut memory);
    if let Err(error) = model.self_test(&mut scratch) {
        println!("{index}: {error}");
        exit(true);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let inputs = inputs.get_mut(..model.window_len() + model.conditions()).unwrap_or_default();
    let work = work.get_mut(..model.window()).unwrap_or_default();
    let x = features.get_mut(..model.features()).unwrap_or_default();
    for window in windows.chunks_exact(inputs.len().max(1)) {
        for (input, bytes) in inputs.iter_mut().zip(window) {
            *input = f32::from_le_bytes(*bytes);
        }
        let (samples, condition) = inputs.split_at_checked(model.window_len()).unwrap_or_default();
        let model = model.given(condition)?;
        model.extract(samples, work, x)?;
        let x = &*x;
        if model.has_front_end() {
            let sum = x.iter().fold(0u32, |sum, x| sum.wrapping_mul(31).wrapping_add(x.to_bits()));
            println!("{index} features {sum:08x}");
        }
        print(index, "mean", model.elbo_at_mean(x, &mut scratch));
        print(index, "sigma", model.elbo_sigma_points(x, &mut scratch));
        print_judged(index, &model, x, &mut scratch);
        if let Ok(estimate) = model.log_likelihood(x, 3, &mut rng, &mut scratch) {
            let LogLikelihood { value, standard_error, effective_samples, .. } = estimate;
            let [value, error, samples] = [value, standard_error, effective_samples].map(f32::to_bits);
            println!("{} importance {:08x} {:08x} {:08x}", index, value, error, samples);
        }
    }
    Ok(())
}

/// The score by which a window is judged, and a digest of what its features cost.
fn print_judged(name: u32, model: &Model<'_>, x: &[f32], scratch: &mut Scratch<'_>) {
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

fn print(model: u32, method: &str, score: Result<Score, InferError>) {
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
