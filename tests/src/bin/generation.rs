//! How near what a model generates comes to data, by the source of its latent vectors: fits with a second stage, a mixture and stored posteriors,
//! with the standard and with the learned prior, through the trainer's own command line, and compares with rows that were not trained on.
//!
//! `generation --help` lists the options.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use serde_json::Value;
use vae_tests::trainer::{output, program_or_trainer, trainer};
use vae_train::simulator::plane::Shape;

/// Rows of a shape to train on, and as many to compare with.
const ROWS: usize = 3000;
/// Sources in the order in which they are printed, by their names in `--json`.
const SOURCES: [&str; 5] = ["standard_normal", "prior", "aggregate", "posteriors", "second_stage"];

/// How near what a model generates comes to data.
#[derive(Parser)]
struct Options {
    /// Folders with train.csv and test.csv, labelled; the simulator's shapes are there in any case.
    folders: Vec<PathBuf>,
    /// Further options of the fits.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    fit: String,
}

fn main() -> ExitCode {
    program_or_trainer(compare)
}

fn compare() -> Result<()> {
    let Options { folders, fit } = Options::parse();
    let place = tempfile::tempdir()?;
    let mut sets = Vec::new();
    for shape in Shape::value_variants() {
        let folder = place.path().join(shape.name());
        fs::create_dir(&folder)?;
        for (seed, file) in [(0, "train.csv"), (1, "test.csv")] {
            let rows = shape.points(ROWS, seed).iter().fold("x0,x1,label\n".to_owned(), |mut text, [a, b]| {
                let _ = writeln!(text, "{a},{b},0");
                text
            });
            fs::write(folder.join(file), rows)?;
        }
        sets.push(folder);
    }
    println!(
        "MMD² to rows not trained on, of latent vectors / of windows, in 1/10,000 (± by chance); times: that of N(0, I) over it\n"
    );
    println!("| set, prior | explained | {} |", SOURCES.join(" | "));
    for folder in sets.iter().chain(&folders) {
        for (prior, option) in [("N(0, I)", "--prior 0"), ("learned", "")] {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            let found = measured(folder, &place.path().join("run"), &format!("{option} {fit}"))
                .with_context(|| format!("{name}, {prior}"))?;
            println!("| {name}, {prior} | {found} |");
        }
    }
    Ok(())
}

/// The cells of a line.
fn measured(folder: &Path, run: &Path, options: &str) -> Result<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let (run, model) = (run.display().to_string(), run.with_extension("vae").display().to_string());
    let call = |arguments: String| -> Result<Value> {
        Ok(serde_json::from_slice(&output(trainer().args(arguments.split_whitespace()).arg("--json"))?)?)
    };
    let kept = "--second-stage --mixture 8 --posteriors 500";
    let fitted = call(format!("fit {} --label label --out {run} --force {kept} {options}", file("train.csv")))?;
    call(format!("export {run} --out {model} --force"))?;
    let found = call(format!("evaluate {model} {} --label label --generation --run {run}", file("test.csv")))?;
    let of = |source: &str| found["sources"].as_array()?.iter().find(|found| found["origin"] == source).cloned();
    let of_part = |found: &Value, part: &str| {
        let figure = |key: &str| 1e4 * found[part][key].as_f64().unwrap_or(f64::NAN);
        [figure("mmd_squared"), figure("by_chance")]
    };
    // The standard normal is the prior where that is not learned.
    let normal = of("standard_normal").or_else(|| of("prior")).map(|found| of_part(&found, "latent_vectors")[0]);
    let cell = |source: &&str| {
        let Some(found) = of(source) else { return "none".to_owned() };
        let [[z, z_chance], [x, x_chance]] = ["latent_vectors", "windows"].map(|part| of_part(&found, part));
        let times = normal.filter(|_| z > 0.0).map_or("∞".to_owned(), |normal| format!("{:.0}", normal / z));
        format!("{z:.1} ± {z_chance:.1} ({times} times) / {x:.1} ± {x_chance:.1}")
    };
    let judged = &fitted["second_stage"];
    let explained = 100.0 * judged["explained"].as_f64().unwrap_or(f64::NAN);
    let stored = if judged["is_stored"] == true { "" } else { ", left out" };
    let cells: Vec<String> = SOURCES.iter().map(cell).collect();
    Ok(format!("{explained:.0} %{stored} | {}", cells.join(" | ")))
}
