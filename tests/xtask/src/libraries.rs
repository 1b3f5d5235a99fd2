//! The static libraries of `vae-core/c`, a pair for each core, with the same bytes wherever they are built.
//!
//! Cargo mixes the path of a crate outside the workspace into its symbols' names, and `vae-core` is outside that of `vae-core/c`: a copy
//! has the one inside the other. What rustc makes is then linked into one object, without what `vae.h` does not need of the compiler's support
//! functions and without debug information: 200 KB for 5 MB.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum as _;
use toml::{Table, Value};

use crate::{
    archive::files_below,
    repository::{Repository, table},
    static_archive,
};

/// A core, or several that run the same code and pass floats in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Target {
    /// Cortex-M0, M0+, M1, M23.
    #[value(name = "thumbv6m-none-eabi")]
    Armv6M,
    /// Cortex-M3.
    #[value(name = "thumbv7m-none-eabi")]
    Armv7M,
    /// Cortex-M4 and M7, floats in general registers.
    #[value(name = "thumbv7em-none-eabi")]
    Armv7EM,
    /// Cortex-M4 and M7 with an FPU.
    #[value(name = "thumbv7em-none-eabihf")]
    Armv7EMHard,
    /// Cortex-M33, M35P, M55, M85, floats in general registers.
    #[value(name = "thumbv8m.main-none-eabi")]
    Armv8M,
    /// Cortex-M33, M35P with an FPU.
    #[value(name = "thumbv8m.main-none-eabihf")]
    Armv8MHard,
    /// Cortex-M52, M55, M85 with an FPU and vectors (MVE).
    #[value(name = "thumbv8.1m.main-none-eabihf")]
    Armv81MVectors,
    /// RV32IMC: ESP32-C2, C3.
    #[value(name = "riscv32imc-unknown-none-elf")]
    Rv32Imc,
    /// RV32IMAC: ESP32-C5, C6, H2.
    #[value(name = "riscv32imac-unknown-none-elf")]
    Rv32Imac,
}

impl Target {
    pub(crate) const ALL: [Self; 9] = [
        Self::Armv6M,
        Self::Armv7M,
        Self::Armv7EM,
        Self::Armv7EMHard,
        Self::Armv8M,
        Self::Armv8MHard,
        Self::Armv81MVectors,
        Self::Rv32Imc,
        Self::Rv32Imac,
    ];

    /// The folder of its libraries.
    pub(crate) fn folder(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// The cores, and the compiler's flags that agree with the library.
    pub(crate) fn cores(self) -> (&'static str, &'static str) {
        match self {
            Self::Armv6M => ("Cortex-M0, M0+, M1, M23", "-mcpu=cortex-m0plus"),
            Self::Armv7M => ("Cortex-M3", "-mcpu=cortex-m3"),
            Self::Armv7EM => ("Cortex-M4, M7, no FPU", "-mcpu=cortex-m4 -mfloat-abi=soft"),
            Self::Armv7EMHard => ("Cortex-M4F, M7F", "-mcpu=cortex-m4 -mfpu=fpv4-sp-d16 -mfloat-abi=hard"),
            Self::Armv8M => ("Cortex-M33, M35P, M55, M85, no FPU", "-mcpu=cortex-m33 -mfloat-abi=soft"),
            Self::Armv8MHard => ("Cortex-M33F, M35PF", "-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard"),
            Self::Armv81MVectors => ("Cortex-M52, M55, M85 with MVE", "-mcpu=cortex-m55 -mfloat-abi=hard"),
            Self::Rv32Imc => ("RV32IMC (ESP32-C2, C3)", "-march=rv32imc -mabi=ilp32"),
            Self::Rv32Imac => ("RV32IMAC (ESP32-C5, C6, H2)", "-march=rv32imac -mabi=ilp32"),
        }
    }

    /// What Rust calls it.
    fn triple(self) -> String {
        match self {
            Self::Armv81MVectors => Self::Armv8MHard.folder(),
            _ => self.folder(),
        }
    }

    /// The kernel that is asked for beside what the target has.
    fn flags(self) -> &'static [&'static str] {
        if self == Self::Armv81MVectors { &["--cfg=vae_mve"] } else { &[] }
    }
}

/// What a library reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Variant {
    /// What `fit` makes by default.
    Plain,
    /// Every model.
    Full,
}

impl Variant {
    const ALL: [Self; 2] = [Self::Plain, Self::Full];

    /// The library's file.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Plain => "libvae.a",
            Self::Full => "libvae_full.a",
        }
    }

    /// Cargo's features, by commas.
    pub(crate) fn features(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Full => "spectrum,mixed,covariance,categorical",
        }
    }
}

/// The libraries' bytes.
pub(crate) type Libraries = BTreeMap<(Target, Variant), Vec<u8>>;

/// Builds both libraries of these targets; `build` keeps what cargo makes.
///
/// # Errors
/// If a target of Rust's is not installed, or a library cannot be built.
pub(crate) fn build(repository: &Repository, build: &Path, targets: &[Target]) -> Result<Libraries> {
    let toolchain = Toolchain::find()?;
    toolchain.check(targets)?;
    let symbols = symbols(&String::from_utf8(repository.read("vae-core/c/include/vae.h")?)?);
    // One at a time: the sources are copied anew.
    fs::create_dir_all(build).with_context(|| build.display().to_string())?;
    let lock = fs::File::create(build.join("lock"))?;
    lock.lock()?;
    let sources = stage(repository, build)?;
    let mut libraries = Libraries::new();
    for &target in targets {
        for variant in Variant::ALL {
            let library = compile(&sources, build, target, variant)
                .and_then(|whole| toolchain.link(build, &whole, &symbols))
                .with_context(|| format!("{} for {}", variant.file(), target.folder()))?;
            libraries.insert((target, variant), library);
        }
    }
    Ok(libraries)
}

/// The compiler's linker, and the targets that there are.
struct Toolchain {
    linker: PathBuf,
    rustlib: PathBuf,
}

impl Toolchain {
    fn find() -> Result<Self> {
        let printed = |argument: &[&str]| -> Result<String> {
            Ok(String::from_utf8(run(Command::new("rustc").args(argument))?)?.trim().to_owned())
        };
        let rustlib = Path::new(&printed(&["--print", "sysroot"])?).join("lib/rustlib");
        let version = printed(&["-vV"])?;
        let host =
            version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not name its host")?;
        let linker = rustlib.join(host).join("bin").join(format!("rust-lld{}", env::consts::EXE_SUFFIX));
        ensure!(linker.is_file(), "{} is not there: install Rust with rustup", linker.display());
        Ok(Self { linker, rustlib })
    }

    /// Refuses targets that are not installed, all at once.
    fn check(&self, targets: &[Target]) -> Result<()> {
        let is_missing = |triple: &String| !self.rustlib.join(triple).join("lib").is_dir();
        let mut missing: Vec<String> = targets.iter().map(|target| target.triple()).filter(is_missing).collect();
        missing.dedup();
        ensure!(missing.is_empty(), "not installed: rustup target add {}", missing.join(" "));
        Ok(())
    }

    /// The library of what these symbols need.
    fn link(&self, build: &Path, whole: &Path, symbols: &[String]) -> Result<Vec<u8>> {
        let (script, object) = (build.join("link.ld"), build.join("vae.o"));
        fs::write(
            &script,
            "SECTIONS { /DISCARD/ : { *(.debug_*) *(.rel.debug_*) *(.rela.debug_*) *(.llvmbc) *(.llvmcmd) } }",
        )?;
        let mut linker = Command::new(&self.linker);
        linker.args(["-flavor", "gnu", "--relocatable", "-T"]).arg(script);
        linker.args(symbols.iter().map(|symbol| format!("--undefined={symbol}")));
        run(linker.arg(whole).arg("-o").arg(&object))?;
        static_archive::of("vae.o", &fs::read(object)?, symbols)
    }
}

/// Copies `vae-core/c` with `vae-core` inside it to a folder below `build`; returns that.
fn stage(repository: &Repository, build: &Path) -> Result<PathBuf> {
    let (core, library, sources) =
        (repository.root().join("vae-core"), repository.root().join("vae-core/c"), build.join("sources"));
    if sources.exists() {
        fs::remove_dir_all(&sources).with_context(|| sources.display().to_string())?;
    }
    for file in files_below(&core)? {
        let copy = match file.strip_prefix(&library) {
            Ok(name) => sources.join(name),
            Err(_) => sources.join("core").join(file.strip_prefix(&core)?),
        };
        fs::create_dir_all(copy.parent().unwrap_or(&sources))?;
        fs::copy(&file, &copy).with_context(|| file.display().to_string())?;
        // What has not changed is not compiled anew.
        fs::File::options().write(true).open(&copy)?.set_modified(fs::metadata(&file)?.modified()?)?;
    }
    let mut manifest = table(&library.join("Cargo.toml"))?;
    section(&mut manifest, &["workspace"])?.insert("exclude".to_owned(), Value::from(vec!["core"]));
    section(&mut manifest, &["dependencies", "vae-core"])?.insert("path".to_owned(), "core".into());
    fs::write(sources.join("Cargo.toml"), manifest.to_string())?;

    let mut manifest = table(&core.join("Cargo.toml"))?;
    for (key, value) in section(&mut manifest, &["package"])? {
        // What the workspace says for all its crates.
        if value.get("workspace").is_some() {
            *value =
                repository.package(key).with_context(|| format!("Cargo.toml has no workspace.package.{key}"))?.clone();
        }
    }
    fs::write(sources.join("core/Cargo.toml"), manifest.to_string())?;
    Ok(sources)
}

/// A table of a manifest.
fn section<'t>(manifest: &'t mut Table, path: &[&str]) -> Result<&'t mut Table> {
    let mut table = manifest;
    for name in path {
        table =
            table.get_mut(*name).and_then(Value::as_table_mut).with_context(|| format!("a manifest has no {name}"))?;
    }
    Ok(table)
}

/// What rustc makes of the staged sources.
fn compile(sources: &Path, build: &Path, target: Target, variant: Variant) -> Result<PathBuf> {
    let built = build.join("target");
    let triple = target.triple();
    let sources = sources.canonicalize()?;
    let flags: Vec<String> = target.flags().iter().map(|flag| (*flag).to_owned()).chain(remap(&sources)).collect();
    let mut cargo = cargo();
    cargo.args(["build", "--quiet", "--locked", "--release", "-p", "vae-core-c", "--target", &triple]);
    cargo.args(["--features", variant.features(), "--target-dir"]).arg(&built).current_dir(&sources);
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}")).env("CARGO_INCREMENTAL", "0");
    run(&mut cargo)?;
    Ok(built.join(triple).join("release/libvae.a"))
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
}

/// Flags of rustc that keep this machine's paths out of what it makes of the sources in this folder.
pub(crate) fn remap(sources: &Path) -> Vec<String> {
    let flag = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    [flag(sources, "/vae")].into_iter().chain(cargo_home().map(|home| flag(&home, "/cargo"))).collect()
}

/// Where cargo keeps the sources of other crates.
fn cargo_home() -> Option<PathBuf> {
    let home = || env::home_dir().map(|home| home.join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home)
}

/// The functions that a header declares.
fn symbols(header: &str) -> Vec<String> {
    let code: String =
        header.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let calls =
        code.match_indices('(').map(|(at, _)| code[..at].rsplit(|letter| !is_name(letter)).next().unwrap_or(""));
    let mut names: Vec<String> = calls.filter(|name| name.starts_with("vae_")).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

/// Runs a program that must succeed; returns what it prints.
///
/// # Errors
/// If it cannot be started, or fails: with what it says.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    if !output.status.success() {
        let (program, said) = (command.get_program().display(), String::from_utf8_lossy(&output.stderr));
        bail!("{program} failed ({}): {}", output.status, said.trim());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_functions_are_found_and_nothing_else() {
        let header = "// vae_old(1) is gone.\nuint32_t vae_version(void);\nstruct vae_score vae_elbo(const vae_model *model,\n float x);\n#if defined(VAE_X)";
        assert_eq!(symbols(header), ["vae_elbo", "vae_version"]);
        let repository = Repository::around(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let real = symbols(&String::from_utf8(repository.read("vae-core/c/include/vae.h").unwrap()).unwrap());
        assert!(real.len() >= 19 && real.contains(&"vae_detector_push".to_owned()), "{real:?}");
    }

    #[test]
    fn a_target_that_is_not_installed_is_named_with_the_command_that_installs_it() {
        let toolchain = Toolchain { linker: PathBuf::new(), rustlib: PathBuf::from("/nowhere") };
        let refused = toolchain.check(&[Target::Armv8MHard, Target::Armv81MVectors]).unwrap_err().to_string();
        assert_eq!(refused, "not installed: rustup target add thumbv8m.main-none-eabihf");
    }
}
