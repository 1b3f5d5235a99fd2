//! Every kernel against plain 64-bit sums, on the host and on each emulated core.

use std::path::Path;

use vae_tests::bench::CORES;

#[path = "../../../firmware-example/src/kernel_checks.rs"]
mod kernel_checks;

#[test]
fn kernels_agree_with_plain_sums_on_the_host() {
    assert!(kernel_checks::check().unwrap() > 1000);
}

#[test]
fn kernels_agree_with_plain_sums_on_each_core() {
    // The M7 runs the M4F's code.
    for core in CORES.iter().filter(|core| core.name != "Cortex-M7" && core.can_emulate()) {
        let printed = core.emulate("kernels", Path::new(".")).unwrap();
        assert!(printed.starts_with("kernels agree in "), "{}: {printed}", core.name);
    }
}
