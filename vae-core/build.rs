//! Tells the kernels what they are built for: stable Rust does not say which extensions an Arm core has.

use std::env::{var, var_os};

fn main() {
    println!(
        "cargo::rustc-check-cfg=cfg(vae_dsp, vae_v8m, vae_fpu, vae_v7m, vae_v6m, vae_riscv32, vae_soft, vae_portable)"
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
    set("vae_fpu", dsp && hard_float);
    set("vae_v7m", target.starts_with("thumbv7m-") || target == "thumbv8m.main-none-eabi");
    set("vae_v6m", target.starts_with("thumbv6m-") || target.starts_with("thumbv8m.base-"));
    set("vae_riscv32", target.starts_with("riscv32im"));
    set("vae_soft", (target.starts_with("thumb") || target.starts_with("riscv32")) && !hard_float);
}
