//! Puts the emulated machine's memory map where the linker finds it, and names the linker's scripts.

use std::{env, fs, path::PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let map = match &target[..] {
        _ if env::var_os("CARGO_FEATURE_CASES").is_some() => "memory/cases.x",
        _ if env::var_os("CARGO_FEATURE_SMALLEST").is_some() => "memory/smallest.x",
        target if target.starts_with("thumbv8m") && env::var_os("CARGO_CFG_VAE_MVE").is_some() => "memory/mps3.x",
        target if target.starts_with("thumbv8m") => "memory/armv8m.x",
        target if target.starts_with("riscv32") => "memory/riscv.x",
        _ => "memory/armv7m.x",
    };
    fs::copy(map, out.join("memory.x")).expect("the memory map is copied to OUT_DIR");
    println!("cargo::rustc-link-search={}", out.display());
    // Here and not in .cargo/config.toml, which holds for the folders below as well.
    if target.starts_with("riscv32") {
        println!("cargo::rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo::rustc-link-arg-bin=verdicts=-Tdefmt.x");
    }
    println!("cargo::rerun-if-changed=memory");
}
