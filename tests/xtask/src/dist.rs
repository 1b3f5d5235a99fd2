//! A release: programs with their manual and completions, the C interface's packages, bills of materials, checksums.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};

use crate::{
    archive::{Tree, files_below, write},
    libraries::{self, Target, Variant, run},
    packages::{self, Ecosystem},
    programs::Program,
    repository::Repository,
    sbom::{self, Built},
};

/// What the released programs read beside what the crate does by default.
const FEATURES: &str = "vae-train/parquet";

#[derive(Debug, clap::Args)]
pub(crate) struct Dist {
    /// Folder to write the release into, which must not exist or be empty.
    #[arg(long)]
    out: PathBuf,
    /// Rust targets to build the program for, several by commas.
    #[arg(
        long = "program-target",
        value_delimiter = ',',
        default_value = "x86_64-unknown-linux-gnu,x86_64-unknown-linux-musl,aarch64-unknown-linux-gnu"
    )]
    triples: Vec<String>,
    /// A program that was built before, to be packed as it is, for the first of the targets.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Cargo's profile for the program.
    #[arg(long, default_value = "release")]
    profile: String,
    /// Libraries of the C packages, by their folder's name, several by commas [default: all].
    #[arg(long = "target", value_delimiter = ',')]
    targets: Vec<Target>,
    /// A file that belongs to the release and was made elsewhere, such as the wheel; may be repeated.
    #[arg(long = "with")]
    others: Vec<PathBuf>,
}

impl Dist {
    pub(crate) fn run(self, repository: &Repository) -> Result<()> {
        let is_free = fs::read_dir(&self.out).map_or(true, |mut entries| entries.next().is_none());
        ensure!(is_free, "{} is not empty: give another folder", self.out.display());
        let manual = self.add_programs(repository)?;
        drop(manual);
        self.add_c_packages(repository)?;
        for other in &self.others {
            let name = other.file_name().with_context(|| format!("{} is no file", other.display()))?;
            write(&self.out.join(name), &fs::read(other).with_context(|| other.display().to_string())?)?;
        }
        write(&self.out.join("SHA256SUMS"), sums(&self.out)?.as_bytes())?;
        println!("{}: check with sha256sum --check SHA256SUMS", self.out.display());
        Ok(())
    }

    /// Builds the programs and packs them, all with what the first of them says of itself; returns the folder of that.
    fn add_programs(&self, repository: &Repository) -> Result<tempfile::TempDir> {
        let manual = tempfile::tempdir()?;
        let version = repository.version()?;
        for (index, triple) in self.triples.iter().enumerate() {
            let built = match &self.program {
                Some(_) if index > 0 => break,
                Some(program) => program.clone(),
                None => {
                    let (workspace, profile) = (repository.root(), &*self.profile);
                    Program { workspace, package: "vae-train", features: FEATURES, profile, triple }.build()?
                }
            };
            if index == 0 {
                // The others run elsewhere; their words are the same.
                run(Command::new(&built).arg("manual").arg(manual.path()))
                    .with_context(|| format!("{}, which must run here", built.display()))?;
            }
            let name = format!("vae-train-{version}-{triple}");
            let mut tree = Tree::default();
            tree.add_program("vae-train", fs::read(&built).with_context(|| built.display().to_string())?)?;
            for file in ["LICENSE-APACHE", "LICENSE-MIT", "CHANGELOG.md"] {
                tree.add(file, repository.read(file)?)?;
            }
            tree.add("README.md", repository.read("vae-train/README.md")?)?;
            for file in files_below(manual.path())? {
                let path = file.strip_prefix(manual.path())?.display().to_string().replace('\\', "/");
                tree.add(path, fs::read(&file)?)?;
            }
            let file = format!("{name}.tar.gz");
            write(&self.out.join(&file), &tree.below(&name).tar_gz()?)?;
            let built =
                Built { workspace: repository.root(), package: "vae-train", features: FEATURES, triple, file: &file };
            write(&self.out.join(format!("{name}.cdx.json")), &sbom::of(&built)?)?;
            println!("{}", self.out.join(file).display());
        }
        Ok(manual)
    }

    fn add_c_packages(&self, repository: &Repository) -> Result<()> {
        let targets = if self.targets.is_empty() { Target::ALL.to_vec() } else { self.targets.clone() };
        let libraries = libraries::build(repository, &repository.root().join("target/c-packages"), &targets)?;
        for ecosystem in Ecosystem::ALL {
            let written = packages::write(repository, ecosystem, &libraries, &self.out)?;
            let file = written.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let built = Built {
                workspace: &repository.root().join("vae-core/c"),
                package: "vae-core-c",
                features: Variant::Full.features(),
                // The same crates for all of them.
                triple: "thumbv7em-none-eabihf",
                file: &file,
            };
            write(&self.out.join(format!("{file}.cdx.json")), &sbom::of(&built)?)?;
            println!("{}", written.path.display());
        }
        Ok(())
    }
}

/// The lines of SHA256SUMS, as `sha256sum` writes them.
fn sums(folder: &Path) -> Result<String> {
    let mut lines = String::new();
    for path in files_below(folder)? {
        let name = path.strip_prefix(folder)?.display();
        let digest: String = Sha256::digest(fs::read(&path)?).iter().map(|byte| format!("{byte:02x}")).collect();
        lines.push_str(&format!("{digest}  {name}\n"));
    }
    Ok(lines)
}
