//! Whether relations between columns are kept: fits, exports and evaluates made-up tables whose columns follow each other to half a per
//! cent, or exactly, through the trainer's own command line; anomalies break the relation by 3 % of a column's range.
//!
//! `relations --help` lists the options.

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use vae_tests::{
    detection::{
        figures::Report,
        measure::{Settings, measure},
        print,
    },
    relations::Relation,
    trainer::program_or_trainer,
};

/// What the tables are made by.
const SEED: u64 = 0;

/// Whether relations between columns are kept.
#[derive(Parser)]
struct Options {
    /// Which ones.
    #[arg(value_enum, default_values_t = Relation::value_variants().to_vec())]
    relations: Vec<Relation>,
    /// Training rows.
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [2000, 20_000])]
    rows: Vec<usize>,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> ExitCode {
    program_or_trainer(compare)
}

fn compare() -> Result<()> {
    let Options { relations, rows: sizes, settings } = Options::parse();
    if !settings.json {
        println!("AUROC / average precision / partial AUROC (FPR ≤ 0.1); models: mean of {} seeds\n", settings.seeds);
        println!("{}", print::head());
    }
    let mut reports: Vec<Report> = Vec::new();
    for (relation, rows) in relations.iter().flat_map(|relation| sizes.iter().map(move |rows| (relation, *rows))) {
        let place = tempfile::tempdir()?;
        let (train, tests) = relation.write(place.path(), rows, SEED)?;
        let found = measure(&train, &tests, &settings).with_context(|| format!("{relation} {rows}"))?;
        if !settings.json {
            found.iter().for_each(|report| println!("{}", print::line(report)));
        }
        reports.extend(found);
    }
    if settings.json {
        println!("{}", serde_json::to_string_pretty(&reports)?);
    } else {
        println!("{}\n{}", print::means(&reports), print::flips(&reports));
        println!("{}", print::least(&reports));
    }
    Ok(())
}
