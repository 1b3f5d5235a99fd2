//! What a score costs on each core: instructions by stage, bytes of code, RAM and stack.
//!
//! Usage: `bench [--json] [core…]`, with the cores' names as the table prints them; all of them by default.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde::Serialize;
use vae_tests::bench::{CORES, Counts, Footprint, products, write_models};

#[derive(Serialize)]
struct Cost {
    instructions: Counts,
    footprint: Option<Footprint>,
}

/// Published figures for the bare forward pass of model (a)'s shape: see `docs/performance.md`.
const PEERS: &str = "\
For comparison, one forward pass of the same layers, 640-128-128-128-128-8-128-128-128-128-640 (264,192 products), int8:
  TFLM + CMSIS-NN      M4F 582,847  M0 1,763,271                        code 26,828  RAM 3,392
  CMSIS-NN alone       M4F 579,454  M0 1,759,305  M3 953,046  M33 579,665  code  4,472  RAM 1,676
  microflow 0.1.3      M4F 7,865,402                                    code 47,760  RAM 18,692
Counted in QEMU in the same way (sources and versions: docs/performance.md).";

fn main() -> Result<()> {
    let mut json = false;
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match &argument[..] {
            "--json" => json = true,
            name if CORES.iter().any(|core| core.name == name) => wanted.push(argument),
            other => bail!("no core is called {other}: {}", CORES.map(|core| core.name).join(", ")),
        }
    }
    let folder = tempfile::tempdir()?;
    write_models(folder.path())?;
    let mut costs = BTreeMap::new();
    for core in CORES.iter().filter(|core| wanted.is_empty() || wanted.iter().any(|name| name == core.name)) {
        if core.can_emulate() {
            let (instructions, footprint) = (core.count(folder.path())?, core.footprint(folder.path())?);
            if !json {
                print(core.name, &instructions, footprint);
            }
            costs.insert(core.name, Cost { instructions, footprint });
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&costs)?);
    } else {
        println!("{PEERS}");
    }
    Ok(())
}

fn print(core: &str, counts: &Counts, footprint: Option<Footprint>) {
    println!(
        "{core:<11} {:>12} {:>9} {:>12} {:>12} {:>14} {:>8}",
        "score", "/product", "standardise", "encode", "decode", "KL"
    );
    for (name, title) in [("int8", "(a) int8"), ("f32", "(b) f32"), ("motor", "(c) motor")] {
        let Some(stages) = counts.get(name) else { continue };
        let stage = |name: &str| stages.get(name).copied().unwrap_or_default();
        let (score, encode, standardise, kl) = (stage("score"), stage("encode"), stage("standardise"), stage("kl"));
        println!(
            "  {title:<9} {score:>12} {:>9.3} {standardise:>12} {:>12} {:>14} {kl:>8}",
            score as f64 / products(name) as f64,
            encode.saturating_sub(standardise + kl),
            score.saturating_sub(encode),
        );
    }
    if let Some(stages) = counts.get("motor") {
        println!("  (d) motor, importance-weighted: K = 1 {}, K = 16 {}", stages["k1"], stages["k16"]);
    }
    if let Some(Footprint { code, static_ram, stack }) = footprint {
        println!("  (a) code {code} bytes, static RAM {static_ram}, stack with scratch {stack}");
    }
    println!();
}
