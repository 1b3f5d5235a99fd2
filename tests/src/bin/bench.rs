//! What a score costs on each core: instructions by stage, bytes of code, RAM and stack.
//!
//! Usage: `bench [--json | --fit | --front-ends | --recipe | --host] [core…]`, with the cores' names as the table prints them; all of them by
//! default. `--fit` prints the coefficients of the cost model in `vae-train/src/cost.rs`; `--front-ends` what those take of a window;
//! `--recipe` counts scores of the default recipe without and with relations; `--host` scores a million rows here.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Result, bail};
use nalgebra::{DMatrix, DVector};
use serde::Serialize;
use vae_core::format::Precision;
use vae_tests::bench::{
    CORES, Counts, FrontEndCount, MODELS,
    cycles::Traced,
    dearest,
    footprint::{Footprint, Footprints},
    measured_model,
    recipe::{RECIPE_FEATURES, recipe_models},
    rows_model, varied_shapes, write_models,
};
use vae_train::{
    file::model_file::{AlignedFile, ModelFile},
    scoring::{self, cost, window_cost::front_end_terms},
};

#[derive(Serialize)]
struct Cost {
    instructions: Counts,
    /// Of the measured models in order, on the core that there are rules for.
    cycles: Vec<Traced>,
    footprint: Option<Footprints>,
}

/// Published figures for the bare forward pass of model (a)'s shape: see `docs/performance.md`.
const PEERS: &str = "\
For comparison, one forward pass of the same layers, 640-128-128-128-128-8-128-128-128-128-640 (264,192 products), int8:
  TFLM + CMSIS-NN      M4F 582,847  M0 1,763,271                        code 26,828  RAM 3,392
  CMSIS-NN alone       M4F 579,454  M0 1,759,305  M3 953,046  M33 579,665  M55 147,150  code  4,472  RAM 1,676
  microflow 0.1.3      M4F 7,865,402                                    code 47,760  RAM 18,692
Counted in QEMU in the same way, not in this run: docs/performance.md.";

fn main() -> Result<()> {
    let (mut json, mut fit, mut front_ends, mut recipe) = (false, false, false, false);
    let mut wanted = Vec::new();
    for argument in std::env::args().skip(1) {
        match &argument[..] {
            "--json" => json = true,
            "--fit" => fit = true,
            "--front-ends" => front_ends = true,
            "--recipe" => recipe = true,
            "--host" => return score_on_the_host(),
            name if CORES.iter().any(|core| core.name == name) => wanted.push(argument),
            other => bail!("no core is called {other}: {}", CORES.map(|core| core.name).join(", ")),
        }
    }
    let folder = tempfile::tempdir()?;
    let shapes = match (fit, recipe) {
        (true, _) => varied_shapes(),
        (_, true) => recipe_models(),
        _ => Vec::new(),
    };
    write_models(folder.path(), &shapes)?;
    let mut costs = BTreeMap::new();
    for core in CORES.iter().filter(|core| wanted.is_empty() || wanted.iter().any(|name| name == core.name)) {
        if fit && core.can_emulate() {
            print_coefficients(core.name, &core.count(folder.path())?, &shapes)?;
        } else if front_ends && core.can_emulate() {
            println!("{}: instructions of a window of so many samples", core.name);
            let counted = core.count_front_ends(folder.path())?;
            for FrontEndCount { name, window, instructions, .. } in &counted {
                println!("  {name:<10} {window:>5} {instructions:>12}");
            }
            print_front_end_coefficients(core.name, &counted)?;
        } else if recipe && core.can_emulate() {
            print_recipe(core.name, &core.count(folder.path())?);
        } else if core.can_emulate() {
            let (instructions, footprint) = (core.count(folder.path())?, core.footprint(folder.path())?);
            let cycles = if core.name == "Cortex-M4F" { core.trace(folder.path())? } else { Vec::new() };
            let cost = Cost { instructions, cycles, footprint };
            if !json {
                print(core.name, &cost)?;
            }
            costs.insert(core.name, cost);
        }
    }
    if fit || front_ends || recipe {
        return Ok(());
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&costs)?);
    } else {
        println!("{PEERS}");
    }
    Ok(())
}

fn print(core: &str, Cost { instructions: counts, cycles, footprint }: &Cost) -> Result<()> {
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
            score as f64 / cost::products(&measured_model(name)?.model()?)? as f64,
            encode.saturating_sub(standardise + kl),
            score.saturating_sub(encode),
        );
    }
    if let Some(stages) = counts.get("motor") {
        println!("  (d) motor, importance-weighted: K = 1 {}, K = 16 {}", stages["k1"], stages["k16"]);
        println!(
            "  (e) motor, detector: a sample {}, a window with its verdict {}, in an alarm {}",
            stages["sample"], stages["window"], stages["alarm"]
        );
    }
    if let Some(load) = counts.get("int8").and_then(|stages| stages.get("load")) {
        println!("  (a) loading {load}");
    }
    if let Some(dearest) = dearest(counts) {
        println!("  (a) worst {dearest:>12}");
    }
    for (name, Traced { instructions, cycles }) in MODELS.iter().zip(cycles) {
        println!("  {name}: estimated cycles {cycles} of {instructions} instructions");
    }
    if let Some(Footprints { whole, least, built_in }) = footprint {
        for (what, footprint) in [("whole", whole), ("least features", least), ("least, built in", built_in)] {
            let Footprint { code, static_ram, stack } = footprint;
            println!("  (a) {what:<15} code {code} bytes, static RAM {static_ram}, stack with scratch {stack}");
        }
    }
    println!();
    Ok(())
}

/// Prints what relations add to a score of the default recipe.
fn print_recipe(core: &str, counts: &Counts) {
    println!("{core:<11} {:>8} {:>16} {:>12} {:>8}", "features", "without", "relations", "more, %");
    for (index, features) in RECIPE_FEATURES.iter().enumerate() {
        let score = |place: usize| counts[&(MODELS.len() + 2 * index + place).to_string()]["judged"];
        let (plain, related) = (score(0), score(1));
        let more = 100.0 * (related as f64 / plain as f64 - 1.0);
        println!("{:<11} {features:>8} {plain:>16} {related:>12} {more:>8.1}", "");
    }
    println!();
}

/// Fits the cost model to the counted scores, by least squares of the relative errors.
fn print_coefficients(core: &str, counts: &Counts, shapes: &[ModelFile]) -> Result<()> {
    println!("    Core {{\n        name: \"{core}\",");
    for precision in [Precision::Int8, Precision::F32] {
        let mut rows = Vec::new();
        for (index, file) in shapes.iter().enumerate().filter(|(_, file)| file.precision == precision) {
            let number = (MODELS.len() + index).to_string();
            let measured = counts[&number]["score"] as f64;
            let file = AlignedFile::new(&file.to_bytes()?);
            rows.push(cost::terms(&file.model()?)?.map(|term| term / measured));
        }
        let (list, worst) = fitted(&rows)?;
        println!("        {}: [{list}],", if precision == Precision::Int8 { "int8" } else { "f32" });
        eprintln!("{core} {precision:?}: the worst of {} is off by {worst:.2} %", rows.len());
    }
    println!("    }},");
    Ok(())
}

/// Fits the cost model of front-ends to their counts.
fn print_front_end_coefficients(core: &str, counted: &[FrontEndCount]) -> Result<()> {
    let terms = |count: &FrontEndCount| {
        front_end_terms(count.front_end, count.window).map(|term| term / count.instructions as f64)
    };
    let (list, worst) = fitted(&counted.iter().map(terms).collect::<Vec<_>>())?;
    println!("  front_end: [{list}],");
    eprintln!("{core}: the worst of {} is off by {worst:.2} %", counted.len());
    Ok(())
}

/// Coefficients by least squares of the relative errors of rows of terms, each over what was counted, and the worst error in per cent.
fn fitted<const TERMS: usize>(rows: &[[f64; TERMS]]) -> Result<(String, f64)> {
    let terms = DMatrix::from_fn(rows.len(), TERMS, |row, column| rows[row][column]);
    let ones = DVector::from_element(rows.len(), 1.0);
    let fitted = terms.clone().svd(true, true).solve(&ones, 1e-12).map_err(|error| anyhow::anyhow!(error))?;
    let worst = (&terms * &fitted - ones).amax();
    Ok((fitted.iter().map(|value| format!("{value:.3}")).collect::<Vec<_>>().join(", "), 100.0 * worst))
}

/// Prints how fast this machine scores rows of a 64-32-8 model, through the code that the device runs.
fn score_on_the_host() -> Result<()> {
    const ROWS: usize = 1_000_000;
    for precision in [Precision::Int8, Precision::F32] {
        let file = AlignedFile::new(&rows_model(precision).to_bytes()?);
        let model = file.model()?;
        let rows: Vec<f32> = (0..64 * ROWS).map(|index| ((index * 7919 % 1021) as f32 - 510.0) / 300.0).collect();
        let products = cost::products(&model)?;
        let start = Instant::now();
        let scores = scoring::elbo(&model, &rows)?;
        let (seconds, threads) = (start.elapsed().as_secs_f64(), std::thread::available_parallelism()?);
        let rate = products as f64 * scores.len() as f64 / seconds;
        println!(
            "{precision:?}: {} rows in {seconds:.2} s on {threads} threads: {:.2} G products/s, {:.2} a thread",
            scores.len(),
            rate / 1e9,
            rate / 1e9 / threads.get() as f64
        );
    }
    Ok(())
}
