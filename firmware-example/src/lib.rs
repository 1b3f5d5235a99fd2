//! What the programs for emulated cores share: a timer, a way out, frames of samples, the host's models, windows that cost much, and the machines and flash that they simulate.
#![no_std]

use core::panic::PanicInfo;

pub mod flash;
#[path = "../../vae-train/src/recorder/frame.rs"]
pub mod frame;
#[path = "../../vae-train/src/simulator/motor/simulator.rs"]
pub mod motor;
pub mod pack;
#[cfg(feature = "ota")]
pub mod records;
pub mod scenario;
#[cfg(feature = "ota")]
pub mod slots;
pub mod soak;
#[cfg(feature = "ota")]
pub mod update;
pub mod worst;

/// Starts the timer that [`ticks`] reads; to be called once.
pub fn start_timer() {
    #[cfg(target_arch = "arm")]
    if let Some(peripherals) = cortex_m::Peripherals::take() {
        let mut systick = peripherals.SYST;
        systick.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
        systick.set_reload(TIMER);
        systick.clear_current();
        systick.enable_counter();
    }
}

/// The timer counts to this and starts again.
#[cfg(target_arch = "arm")]
const TIMER: u32 = 0x00FF_FFFF;
#[cfg(target_arch = "riscv32")]
const TIMER: u32 = u32::MAX;

/// Ticks since an earlier reading; what a tick is worth depends on the machine.
#[must_use]
pub fn ticks_since(start: u32) -> u32 {
    ticks().wrapping_sub(start) & TIMER
}

/// The timer's count, upwards.
#[must_use]
pub fn ticks() -> u32 {
    #[cfg(target_arch = "arm")]
    return TIMER - cortex_m::peripheral::SYST::get_current();
    #[cfg(target_arch = "riscv32")]
    return riscv::register::minstret::read() as u32;
}

/// Ends the emulation.
pub fn exit(failed: bool) -> ! {
    semihosting::process::exit(i32::from(failed))
}

/// For a panic handler: prints what happened and ends the emulation.
pub fn panic(info: &PanicInfo<'_>) -> ! {
    semihosting::println!("{info}");
    exit(true)
}
