//! Checks the kernels on the target: see `kernel_checks`.
#![no_std]
#![no_main]

#[path = "../kernel_checks.rs"]
mod kernel_checks;

use semihosting::println;

/// Runs the checks.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let result = kernel_checks::check();
    match result {
        Ok(cases) => println!("kernels agree in {cases} cases"),
        Err(difference) => println!("{difference:?}"),
    }
    firmware_example::exit(result.is_err())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}
