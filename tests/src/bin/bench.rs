//! What a score costs on each core, in executed instructions.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use vae_tests::bench::{CORES, Core, write_models};

fn main() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_models(folder.path())?;
    let only: Vec<String> = std::env::args().skip(1).collect();
    for core in CORES.iter().filter(|core| only.is_empty() || only.iter().any(|name| name == core.name)) {
        for ((model, stage), instructions) in counts(core, folder.path())? {
            println!("{:<12} {model:<6} {stage:<12} {instructions:>10}", core.name);
        }
    }
    Ok(())
}

/// Instructions by model and stage.
fn counts(core: &Core, folder: &Path) -> Result<BTreeMap<(String, String), u64>> {
    let printed = core.emulate("bench", &[("VAE_BENCH", folder)], &["bench"])?;
    let mut counts = BTreeMap::new();
    for line in printed.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [model, stage, runs, ticks] = words[..] else { anyhow::bail!("unexpected line: {line}") };
        let (runs, ticks): (u64, u64) = (runs.parse()?, ticks.parse().context("ticks")?);
        counts.insert((model.to_owned(), stage.to_owned()), ticks * core.instructions_per_tick / runs);
    }
    Ok(counts)
}
