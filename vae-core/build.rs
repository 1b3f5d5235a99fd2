//! Tells the kernels what they are built for: stable Rust does not say which extensions an Arm core has.

use std::env::{var, var_os};

fn main() {
    println!(
        "cargo::rustc-check-cfg=cfg(vae_dsp, vae_v8m, vae_vectors, vae_fpu, vae_v7m, vae_v6m, vae_riscv32, vae_soft, vae_fused, vae_portable, vae_mve)"
    );
    println!("cargo::rerun-if-changed=build.rs");
    let target = var("TARGET").unwrap_or_default();
    let hard_float =
        target.ends_with("hf") || var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|f| f.split(',').any(|f| f == "f"));
    // `RUSTFLAGS=--cfg vae_portable` is for a core that lacks what its target's name promises.
    let portable = var_os("CARGO_CFG_VAE_PORTABLE").is_some();
    let set = |cfg: &str, here: bool| {
        if here && !portable {
            println!("cargo::rustc-cfg={cfg}");
        }
    };
    // ARMv7E-M always has the DSP extension. On ARMv8-M it is optional, but cores with an FPU have it as well.
    let dsp = target.starts_with("thumbv7em-") || target == "thumbv8m.main-none-eabihf";
    set("vae_dsp", dsp);
    set("vae_v8m", dsp && target.starts_with("thumbv8m"));
    let vectors = target == "thumbv8m.main-none-eabihf" && has_mve();
    set("vae_vectors", vectors);
    set("vae_fpu", dsp && hard_float);
    set("vae_v7m", target.starts_with("thumbv7m-") || target == "thumbv8m.main-none-eabi");
    set("vae_v6m", target.starts_with("thumbv6m-") || target.starts_with("thumbv8m.base-"));
    set("vae_riscv32", target.starts_with("riscv32im"));
    let soft = (target.starts_with("thumb") || target.starts_with("riscv32")) && !hard_float;
    set("vae_soft", soft);
    // Where an input is standardised and used in one pass; the kernel for vectors and those without an FPU do it in two.
    if portable || !(vectors || soft) {
        println!("cargo::rustc-cfg=vae_fused");
    }
}

/// Whether the core is said to have MVE: by `RUSTFLAGS=--cfg vae_mve`, as no target's name says so, or by what the compiler is told
/// of the core.
fn has_mve() -> bool {
    const NAMES: [&str; 4] = ["cortex-m52", "cortex-m55", "cortex-m85", "+mve.fp"];
    let flags = var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    var_os("CARGO_CFG_VAE_MVE").is_some() || NAMES.iter().any(|name| flags.contains(name))
}
