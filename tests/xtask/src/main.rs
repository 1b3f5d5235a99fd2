//! `cargo xtask`: packs what a release consists of. See `docs/releasing.md`.

mod archive;
mod dist;
mod libraries;
mod packages;
mod programs;
mod repository;
mod sbom;
mod static_archive;

#[allow(unreachable_pub, dead_code, reason = "a module of vae-train's library, of which the packages need the half")]
#[path = "../../../vae-train/src/file/source_text.rs"]
mod source_text;

use std::{env, path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Parser;

use crate::{dist::Dist, libraries::Target, packages::Ecosystem, repository::Repository};

/// Packs what a release consists of.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// Pack `vae-core/c` for each ecosystem of C firmware: static libraries, header, licences, example.
    CPackages(CPackages),
    /// Pack a release: programs with manual pages and completions, the C packages, bills of materials, checksums.
    Dist(Dist),
}

#[derive(Debug, clap::Args)]
struct CPackages {
    /// Folder to write the packages into.
    #[arg(long)]
    out: PathBuf,
    /// Libraries to build, by their folder's name, several by commas [default: all].
    #[arg(long = "target", value_delimiter = ',')]
    targets: Vec<Target>,
    /// Packages to write, several by commas [default: all].
    #[arg(long = "package", value_delimiter = ',')]
    packages: Vec<Ecosystem>,
    /// Folder that keeps what is built for the next time [default: target/c-packages].
    #[arg(long)]
    build: Option<PathBuf>,
}

impl CPackages {
    fn run(self, repository: &Repository) -> Result<()> {
        let build = self.build.unwrap_or_else(|| repository.root().join("target/c-packages"));
        let all = |chosen: Vec<Target>| if chosen.is_empty() { Target::ALL.to_vec() } else { chosen };
        let libraries = libraries::build(repository, &build, &all(self.targets))?;
        let ecosystems = if self.packages.is_empty() { Ecosystem::ALL.to_vec() } else { self.packages };
        for ecosystem in ecosystems {
            let written = packages::write(repository, ecosystem, &libraries, &self.out)?;
            println!("{}: {} bytes", written.path.display(), written.bytes);
        }
        Ok(())
    }
}

fn run(task: Task) -> Result<()> {
    let repository = Repository::around(&env::current_dir()?)?;
    match task {
        Task::CPackages(task) => task.run(&repository),
        Task::Dist(task) => task.run(&repository),
    }
}

fn main() -> ExitCode {
    if let Err(error) = run(Task::parse()) {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
