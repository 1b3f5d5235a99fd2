//! A model of one motor on nine others of its kind, before and after [`vae_core::Detector::rebaseline`]: the table of
//! `docs/calibration.md`.

use std::process::{Command, ExitCode};

use anyhow::Result;
use vae_tests::machines::{ASKED, Plan, compare, model};

/// First argument that makes this program the trainer.
const TRAINER: &str = "vae-train";

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(TRAINER) {
        return vae_train::cli::run(std::env::args_os().skip(1));
    }
    match print() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn print() -> Result<()> {
    let plan = Plan {
        training: 600,
        calibration: 7200,
        epochs: 300,
        motors: 9,
        healthy: 1800,
        faulty: 60,
        baselines: vec![512, 1024, 2048, 4096],
    };
    let folder = tempfile::tempdir()?;
    let file = model(&plan, folder.path(), || {
        let mut command = Command::new(std::env::current_exe().unwrap_or_default());
        command.arg(TRAINER);
        command
    })?;
    let model = file.model()?;
    println!("dependence {:.1}; {ASKED} alarm an hour is asked for\n", model.calibration()?.dependence());
    println!(
        "| motors | baseline, windows | AUROC | least | faulty windows with alarm | healthy ones | alarms an hour |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for row in compare(model, &plan)? {
        println!(
            "| {} | {} | {:.3} | {:.3} | {:.1} % | {:.2} % | {:.2} |",
            if row.is_own { "its own" } else { "others" },
            row.baseline.map_or_else(|| "none".to_owned(), |windows| windows.to_string()),
            row.auroc,
            row.least,
            100.0 * row.found,
            100.0 * row.on,
            row.alarms
        );
    }
    Ok(())
}
