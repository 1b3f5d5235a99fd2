//! Counts the instructions of scores on an emulated core, for `vae-tests`' bench to gather.
//!
//! QEMU runs with `-icount shift=0`: every instruction takes a nanosecond of virtual time, which the core's timer counts.
//! Each count is taken over many runs; what the loop itself costs, a few instructions a run, is in it.
#![no_std]
#![no_main]

use core::hint::black_box;

use firmware_example::{exit, pack, start_timer, ticks, ticks_since, worst};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use semihosting::println;
use vae_core::{
    Aligned, Detector, DetectorError, InferError, Model, ScoreKind, Scoring, Scratch, Verdict, format::Precision,
    kernel,
};

/// As [`pack::models`] reads it.
static PACK: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("VAE_BENCH"), "/models.pack")));

/// Enough for the models that are measured, in `f32`s.
const SCRATCH: usize = 2048;
const FEATURES: usize = 768;
const STATE: usize = 256;
/// What makes vibration a fault.
const FAR: f32 = 2.0;
const CHUNK: usize = 48;
/// Steps of the search for the dearest window.
const SEARCHED: u32 = 300;

/// Counts.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    start_timer();
    let result = run();
    if let Err(error) = result {
        println!("{error}");
    }
    exit(result.is_err())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}

fn run() -> Result<(), DetectorError> {
    let mut memory = [0.0; SCRATCH];
    let mut room = [0.0; FEATURES];
    for (index, (file, window)) in (0..).zip(pack::models(&PACK.0)) {
        let model = Model::from_bytes(file).map_err(InferError::Model)?;
        let x = room.get_mut(..window.len()).unwrap_or_default();
        for (x, bytes) in x.iter_mut().zip(window) {
            *x = f32::from_le_bytes(*bytes);
        }
        if index == 0 {
            let mut loaded = Ok(());
            count(index, "load", 1, || loaded = Model::from_bytes(file).map(drop));
            loaded.map_err(InferError::Model)?;
        }
        stages(index, &model, x, &mut Scratch::new(&mut memory))?;
        if index == 0 {
            search(index, &model, x, &mut Scratch::new(&mut memory))?;
        }
        // The third has a calibration.
        if index == 2 {
            watch(index, model, x, &mut Scratch::new(&mut memory))?;
        }
    }
    Ok(())
}

fn stages(index: u32, model: &Model<'_>, x: &[f32], scratch: &mut Scratch<'_>) -> Result<(), InferError> {
    let mut result = Ok(());
    count(index, "score", 10, || result = result.and(model.elbo_at_mean(x, scratch).map(drop)));
    result?;
    let calibration = model.calibration()?;
    let scoring = Scoring { kind: ScoreKind::AtMean, threshold: None, seed: 0 };
    count(index, "judged", 10, || result = result.and(model.score(x, &calibration, scoring, scratch).map(drop)));
    result?;
    // The first three are the table's; the cost model is fitted to the whole scores of the others.
    if index > 2 {
        return Ok(());
    }
    let (mean, inverse_scale) = model.standardiser()?;
    let int8 = model.header()?.precision == Precision::Int8;
    // As the encoder reads its input: in chunks, of which the largest value is sought, and quantised where it is int8.
    count(index, "standardise", 10, || {
        let (mut chunk, mut halfwords, mut largest) = ([0.0; CHUNK], [0; CHUNK], 0);
        for (x, (mean, inverse_scale)) in x.chunks(CHUNK).zip(mean.chunks(CHUNK).zip(inverse_scale.chunks(CHUNK))) {
            let chunk = chunk.get_mut(..x.len()).unwrap_or_default();
            kernel::standardise(x, mean, inverse_scale, chunk);
            largest = kernel::largest_bits(chunk, largest);
            if int8 {
                kernel::quantise(chunk, 1.5 * 262_144.0, &mut halfwords);
            }
        }
        _ = black_box((largest, halfwords));
    });
    count(index, "encode", 10, || _ = black_box(model.encode(x, scratch).is_ok()));
    let posterior = model.encode(x, scratch)?;
    count(index, "kl", 100, || _ = black_box(posterior.kl()));
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (samples, stage) in [(1, "k1"), (16, "k16")] {
        // The third, whose turn is short.
        if index == 2 {
            count(index, stage, 10, || _ = black_box(model.log_likelihood(x, samples, &mut rng, scratch).is_ok()));
        }
    }
    Ok(())
}

/// What windows cost that are made to cost much, and the dearest that a search from each of the dearer ones finds.
fn search(index: u32, model: &Model<'_>, normal: &[f32], scratch: &mut Scratch<'_>) -> Result<(), InferError> {
    let (mut dearest, mut room, mut rng) = ([0.0; FEATURES], [0.0; FEATURES], ChaCha8Rng::seed_from_u64(2));
    let (standardiser, len) = (model.standardiser()?, normal.len());
    let (Some(dearest), Some(x)) = (dearest.get_mut(..len), room.get_mut(..len)) else { return Ok(()) };
    let mut most = 0;
    let mut price = |x: &[f32]| {
        let start = ticks();
        _ = black_box(model.elbo_at_mean(x, scratch).is_ok());
        ticks_since(start)
    };
    for kind in worst::KINDS {
        worst::fill(kind, x, normal, standardiser, &mut rng);
        let ticks = price(x);
        println!("{index} worst/{kind} 1 {ticks}");
        if ticks > most {
            most = ticks;
            dearest.copy_from_slice(x);
        }
    }
    for _ in 0..SEARCHED {
        x.copy_from_slice(dearest);
        worst::change(x, normal, standardiser, &mut rng);
        let ticks = price(x);
        if ticks > most {
            most = ticks;
            dearest.copy_from_slice(x);
        }
    }
    println!("{index} worst/searched 1 {most}");
    Ok(())
}

/// What a detector costs for a sample that completes no window, and for one that does, with its verdict.
fn watch(index: u32, model: Model<'_>, x: &[f32], scratch: &mut Scratch<'_>) -> Result<(), DetectorError> {
    let (mut window, mut state) = ([0.0; FEATURES], [0.0; STATE]);
    let mut detector = Detector::over(model, &mut window, &mut state)?;
    let (channels, hop) = (model.channels(), model.hop() as u32);
    let mut samples = x.chunks_exact(channels).cycle();
    let mut push = |detector: &mut Detector<'_, '_>| detector.push(samples.next().unwrap_or_default(), scratch);
    // Until the first verdict.
    while push(&mut detector)?.is_none() {}
    let mut result = Ok(());
    count(index, "sample", hop - 1, || result = result.and(push(&mut detector).map(drop)));
    count(index, "window", 1, || result = result.and(push(&mut detector).map(drop)));
    result?;
    // Up to the last sample of a window with the alarm raised.
    let (mut far, mut left) = ([0.0; FEATURES], hop);
    far.iter_mut().zip(x).for_each(|(far, x)| *far = FAR * x);
    let mut samples = far.get(..x.len()).unwrap_or_default().chunks_exact(channels).cycle();
    let mut push = || detector.push(samples.next().unwrap_or_default(), scratch);
    while left > 0 {
        let verdict = push()?;
        left -= u32::from(left < hop || matches!(verdict, Some(Verdict::Anomalous(_))));
    }
    count(index, "alarm", 1, || result = result.and(push().map(drop)));
    result
}

/// Prints the ticks of the timer that `runs` of `stage` take.
fn count(model: u32, stage: &str, runs: u32, mut run: impl FnMut()) {
    let start = ticks();
    for _ in 0..runs {
        run();
    }
    println!("{model} {stage} {runs} {}", ticks_since(start));
}
