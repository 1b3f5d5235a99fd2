//! The linker's scripts: the chip's memory map, the vector table's, the RP2040's second boot stage and defmt's.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let rp2040 = env::var("TARGET")?.starts_with("thumbv6m");
    let map = if rp2040 { "memory/rp2040.x" } else { "memory/rp2350.x" };
    fs::copy(map, out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rustc-link-arg-bins=--nmagic"); // sections need not begin at a page
    println!("cargo::rustc-link-arg-bins=-Tlink.x");
    if rp2040 {
        println!("cargo::rustc-link-arg-bins=-Tlink-rp.x");
    }
    println!("cargo::rustc-link-arg-bins=-Tdefmt.x");
    println!("cargo::rerun-if-changed=memory");
    Ok(())
}
