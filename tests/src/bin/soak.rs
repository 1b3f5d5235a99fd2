//! The detector over 10⁸ windows beside a reference in `f64`, and over 10⁵ in QEMU, bit for bit as on the host:
//! `cargo run --release -p vae-tests --bin soak`; a number says how many windows instead.

use std::time::Instant;

use anyhow::{Result, ensure};
use vae_tests::{
    bench::CORES,
    soak::{Soak, compare, digests, model, write_settings},
};
use vae_train::file::model_file::AlignedFile;

fn main() -> Result<()> {
    let windows = std::env::args().nth(1).map_or(Ok(100_000_000), |count| count.parse())?;
    let file = model()?;
    let start = Instant::now();
    let report = compare(&file, Soak { seed: 1, windows, unlocked: u64::MAX })?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{} windows in {seconds:.0} s, {:.0} a second", report.windows, report.windows as f64 / seconds);
    for (name, count) in &report.counts {
        println!("{name:<34}{count:>12}");
    }
    println!("decisions within rounding: {}, ties: {}", report.open, report.ties);
    println!("{:<22}{:>14}{:>14}", "", "deviation", "of its bound");
    for (name, deviation) in &report.deviations {
        println!("{name:<22}{:>14.3e}{:>12.2} %", deviation.greatest, 100.0 * deviation.share);
    }
    println!("largest value in the state: {:.3e}", report.peak);

    let (seed, windows, every) = (2, (windows / 1000).clamp(1000, 100_000) as u32, 1000);
    let Some(core) = CORES.iter().find(|core| core.name == "Cortex-M4F" && core.can_emulate()) else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    write_settings(folder.path(), &file, seed, windows, every)?;
    let start = Instant::now();
    let printed = core.emulate("soak", folder.path())?;
    println!("{windows} windows on the {} in {:.0} s", core.name, start.elapsed().as_secs_f64());
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let expected = digests(bytes.model()?, seed, windows, every)?;
    ensure!(printed == expected, "the device's digests differ:\n{printed}\n{expected}");
    println!("bit for bit the host's: {}", printed.lines().last().unwrap_or_default());
    Ok(())
}
