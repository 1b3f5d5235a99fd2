//! Counts the instructions of front-ends: prints a line each, its name, the samples in a window and the timer's ticks for one.
//!
//! Run by the host's bench (`cargo run -p vae-tests --bin bench -- --front-ends`), as `src/bin/bench.rs` is.
#![no_std]
#![no_main]

use core::hint::black_box;

use firmware_example::{exit, start_timer, ticks, ticks_since};
use semihosting::println;
use vae_core::FrontEnd;

const RATE: u32 = 16_000;
const COUNTED: [(&str, FrontEnd, usize); 20] = [
    ("raw", FrontEnd::Raw, 16),
    ("raw", FrontEnd::Raw, 64),
    ("raw", FrontEnd::Raw, 256),
    ("mean", FrontEnd::Mean, 16),
    ("mean", FrontEnd::Mean, 64),
    ("mean", FrontEnd::Mean, 256),
    ("statistics", FrontEnd::Statistics, 32),
    ("statistics", FrontEnd::Statistics, 256),
    ("statistics", FrontEnd::Statistics, 2048),
    ("bands:4", FrontEnd::Bands(4), 32),
    ("bands:16", FrontEnd::Bands(16), 64),
    ("bands:16", FrontEnd::Bands(16), 256),
    ("bands:8", FrontEnd::Bands(8), 512),
    ("bands:16", FrontEnd::Bands(16), 1024),
    ("bands:64", FrontEnd::Bands(64), 2048),
    ("mel:8", FrontEnd::Mel { bands: 8, frames: 1, rate: RATE }, 64),
    ("mel:32", FrontEnd::Mel { bands: 32, frames: 1, rate: RATE }, 256),
    ("mel:32", FrontEnd::Mel { bands: 32, frames: 1, rate: RATE }, 1024),
    ("mel:32x5", FrontEnd::Mel { bands: 32, frames: 5, rate: RATE }, 3072),
    ("mel:128x5", FrontEnd::Mel { bands: 128, frames: 5, rate: RATE }, 3072),
];
const MOST: usize = 3072;

/// Counts.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    start_timer();
    let (mut samples, mut work, mut features) = ([0.0; MOST], [0.0; MOST], [0.0; 640]);
    let mut noise = 1u32;
    for sample in &mut samples {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample = (noise >> 16) as f32 / 32_768.0 - 1.0;
    }
    for (name, front_end, window) in COUNTED {
        let count = front_end.features(window);
        let (Some(samples), Some(work), Some(features)) =
            (samples.get(..window), work.get_mut(..window), features.get_mut(..count))
        else {
            exit(true)
        };
        let start = ticks();
        let result = front_end.extract(black_box(samples), (0, 1), work, features);
        let taken = ticks_since(start);
        _ = black_box(features);
        if result.is_err() {
            exit(true);
        }
        println!("{name} {window} {taken}");
    }
    exit(false)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}
