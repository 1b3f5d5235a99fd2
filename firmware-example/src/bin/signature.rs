//! The least firmware that verifies a signed model, for what that costs: `signed.vae` and `key.pub` from the directory `VAE_BENCH`.
//!
//! It prints the timer's ticks, in hexadecimal digits and without formatting, so that its size is that of a verification.
#![no_std]
#![no_main]

use core::{hint::black_box, panic::PanicInfo};

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hio};
use firmware_example::{start_timer, ticks, ticks_since};
use vae_core::SignedModel;

static FILE: &[u8] = include_bytes!(concat!(env!("VAE_BENCH"), "/signed.vae"));
static KEYS: [[u8; 32]; 1] = [*include_bytes!(concat!(env!("VAE_BENCH"), "/key.pub"))];

#[entry]
fn main() -> ! {
    start_timer();
    let start = ticks();
    let is_genuine = SignedModel::from_bytes(black_box(FILE)).and_then(|signed| signed.verify(&KEYS, 1)).is_ok();
    let taken = ticks_since(start);
    if let Ok(mut out) = hio::hstdout() {
        for digit in (0..8).rev() {
            let digit = (taken >> (4 * digit)) as u8 & 15;
            let _ = out.write_all(&[if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }]);
        }
        let _ = out.write_all(b"\n");
    }
    loop {
        debug::exit(if is_genuine { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        cortex_m::asm::wfi();
    }
}
