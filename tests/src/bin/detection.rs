//! How well models find anomalies, next to classical detectors and to published methods: fits, exports and evaluates every table of some
//! folders through the trainer's own command line, with no other option than the label.
//!
//! Each subfolder of a `FOLDER` (or only the tables named behind it, or a `FOLDER` that is a table itself) holds `train.csv` and `test.csv`, with
//! a column `label`: 0 normal, 1 anomaly. Where the folder has a `published.csv` (`table,metric,method,percent`), our models are ranked among
//! its methods. `detection --help` lists the options.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, ensure};
use clap::Parser;
use serde::Serialize;
use vae_tests::{
    detection::{
        figures::Report,
        folders::{Folder, folders},
        measure::{Settings, Test, measure},
        print,
        published::Published,
        standings::Standings,
        stream::Lengths,
    },
    trainer::program_or_trainer,
};

/// How well models find anomalies, next to classical detectors and to published methods.
#[derive(Parser)]
struct Options {
    /// Folders, each with the tables of it that are judged behind it (default: all).
    #[arg(required = true, value_name = "FOLDER [TABLE…]")]
    names: Vec<String>,
    /// The test rows are in the order of time, in pieces of so many rows, as in 960,800x21 (`whole`: in one): they are ranked by evidence over
    /// time as well, and fits hold out the last rows.
    #[arg(long, value_name = "LENGTHS")]
    stream: Option<Lengths>,
    #[command(flatten)]
    settings: Settings,
}

/// A folder's tables, judged.
#[derive(Serialize)]
struct Outcome {
    folder: PathBuf,
    tables: Vec<Report>,
    /// None where nothing is published.
    standings: Option<Standings>,
}

fn main() -> ExitCode {
    program_or_trainer(compare)
}

fn compare() -> Result<()> {
    let Options { names, stream, settings } = Options::parse();
    let settings = Settings { stream, ..settings };
    let asked = folders(&names)?;
    // Before hours of fits, so that one that cannot be read is no news at their end.
    let published: Vec<Option<Published>> =
        asked.iter().map(|folder| Published::read(&folder.path)).collect::<Result<_>>()?;
    if !settings.json {
        println!(
            "AUROC / average precision / partial AUROC (FPR ≤ 0.1); models: mean of {} seeds, range of their AUROC in int8; gap: AUROC \
             in int8 less that of the best of the three",
            settings.seeds
        );
    }
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for (folder, published) in asked.iter().zip(&published) {
        let tables = judge(folder, &settings, &mut failed);
        let standings = published.as_ref().and_then(|published| Standings::of(published, &tables));
        if !settings.json {
            print_end(&tables, standings.as_ref());
        }
        outcomes.push(Outcome { folder: folder.path.clone(), tables, standings });
    }
    if settings.json {
        println!("{}", serde_json::to_string_pretty(&outcomes)?);
    }
    ensure!(failed.is_empty(), "{} table(s) could not be judged: {}", failed.len(), failed.join(", "));
    Ok(())
}

/// Judges a folder's tables, and prints each when it is done; names those that cannot be judged.
fn judge(folder: &Folder, settings: &Settings, failed: &mut Vec<String>) -> Vec<Report> {
    if !settings.json {
        println!("\n{}\n{}", folder.path.display(), print::head());
    }
    let mut reports = Vec::new();
    for name in &folder.tables {
        let data = folder.path.join(name);
        let test = Test { name: name.clone(), path: data.join("test.csv") };
        match measure(&data.join("train.csv"), &[test], settings) {
            Ok(found) => {
                if !settings.json {
                    found.iter().for_each(|report| println!("{}", print::line(report)));
                }
                reports.extend(found);
            }
            // The others are judged all the same.
            Err(error) => {
                eprintln!("{}: {error:#}", data.display());
                failed.push(data.display().to_string());
            }
        }
    }
    reports
}

fn print_end(tables: &[Report], standings: Option<&Standings>) {
    if tables.is_empty() {
        return;
    }
    println!("{}", print::means(tables));
    tables.iter().map(print::stream).filter(|text| !text.is_empty()).for_each(|text| println!("{text}"));
    if let Some(standings) = standings {
        println!("{}", print::standings(standings));
    }
}
