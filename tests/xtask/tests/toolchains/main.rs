//! The packages of the C interface, as their users meet them: unpacked, built with, run; and built twice.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod cmake;
mod ecosystems;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// What is built here: an Arm and a RISC-V, of nine.
const TARGETS: [&str; 2] = ["thumbv7em-none-eabihf", "riscv32imc-unknown-none-elf"];
/// All folders of libraries, and a compiler's flags for them; the checks of names do not need the libraries.
const CORES: [(&str, &str); 7] = [
    ("thumbv6m-none-eabi", "-mcpu=cortex-m0plus"),
    ("thumbv7m-none-eabi", "-mcpu=cortex-m3"),
    ("thumbv7em-none-eabi", "-mcpu=cortex-m4"),
    ("thumbv7em-none-eabihf", "-mcpu=cortex-m7 -mfpu=fpv5-d16 -mfloat-abi=hard"),
    ("thumbv8m.main-none-eabi", "-mcpu=cortex-m33"),
    ("thumbv8m.main-none-eabihf", "-mcpu=cortex-m33 -mfpu=fpv5-sp-d16 -mfloat-abi=hard"),
    ("thumbv8.1m.main-none-eabihf", "-mcpu=cortex-m55 -mfloat-abi=hard"),
];
const RISCV: [&str; 2] = ["riscv32imc-unknown-none-elf", "riscv32imac-unknown-none-elf"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Says on standard error what is not checked, and how it would be.
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

fn has(program: &str, package: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_there {
        skip(&format!("needs {program}: apt-get install --no-install-recommends {package}"));
    }
    is_there
}

fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let printed = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {printed}{}", String::from_utf8_lossy(&stderr));
    printed
}

/// Whether Rust has what the libraries are built for.
fn has_targets() -> bool {
    let there = |target: &&str| {
        let folder = succeed(Command::new("rustc").args(["--print", "target-libdir", "--target", target]));
        Path::new(folder.trim()).is_dir()
    };
    let missing: Vec<_> = TARGETS.into_iter().filter(|target| !there(target)).collect();
    if !missing.is_empty() {
        skip(&format!("needs rustup target add {}", missing.join(" ")));
    }
    missing.is_empty()
}

/// The packages of a repository.
fn pack(repository: &Path, build: &Path, out: &Path) {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.arg("c-packages").arg("--out").arg(out).arg("--build").arg(build).args(["--target", &TARGETS.join(",")]);
    succeed(xtask.current_dir(repository));
}

/// The packages of this repository, made once; the build is kept for the next time.
fn packages() -> &'static Path {
    static PACKED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = PACKED.get_or_init(|| {
        let out = tempfile::tempdir().unwrap();
        pack(&root(), &root().join("target/c-packages"), out.path());
        out
    });
    folder.path()
}

/// A package's files, in a folder of their own.
fn unpacked(suffix: &str) -> tempfile::TempDir {
    let mut files = fs::read_dir(packages()).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.to_string_lossy().ends_with(suffix)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    if suffix.ends_with(".tar.gz") {
        let bytes = fs::read(file).unwrap();
        tar::Archive::new(flate2::read::GzDecoder::new(&*bytes)).unpack(folder.path()).unwrap();
    } else {
        zip::ZipArchive::new(fs::File::open(file).unwrap()).unwrap().extract(folder.path()).unwrap();
    }
    folder
}

/// The one folder in a folder.
fn inner(folder: &Path) -> PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

/// Puts a file in the place of each library that was not built.
fn fill_libraries(package: &Path) {
    for library in CORES.iter().map(|(library, _)| *library).chain(RISCV) {
        let folder = package.join("lib").join(library);
        fs::create_dir_all(&folder).unwrap();
        for file in ["libvae.a", "libvae_full.a"] {
            fs::OpenOptions::new().append(true).create(true).open(folder.join(file)).unwrap();
        }
    }
}

/// As they stand, from the folder that the README is in.
#[test]
fn the_commands_of_the_c_readme_run() {
    if !has_targets() || !has("arm-none-eabi-gcc", "gcc-arm-none-eabi") || !has("qemu-system-arm", "qemu-system-arm") {
        return;
    }
    let folder = root().join("vae-core/c");
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```sh\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert_eq!(blocks.len(), 2);
    let printed: String = blocks
        .into_iter()
        .map(|block| {
            // Installed already.
            let commands: Vec<&str> = block.lines().filter(|line| !line.starts_with("rustup ")).collect();
            let mut shell = Command::new("bash");
            // QEMU prints what the program does as a complaint.
            shell.args(["-e", "-c", &format!("exec 2>&1\n{}", commands.join("\n"))]).current_dir(&folder);
            succeed(shell.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))
        })
        .collect();
    assert!(printed.contains("target/packages/vae-"), "{printed}");
    assert!(printed.lines().any(|line| line.starts_with("ANOMALOUS, ")), "{printed}");
}

/// In another folder, whose name has another length, from nothing: byte for byte the same.
#[test]
fn packages_that_are_built_twice_in_different_folders_are_the_same() {
    if !has_targets() {
        return;
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("another name for the repository");
    for name in
        ["Cargo.toml", "rust-toolchain.toml", "LICENSE-APACHE", "LICENSE-MIT", "vae-core", "firmware-example/model"]
    {
        copy_all(&root().join(name), &copy.join(name));
    }
    pack(&copy, &elsewhere.path().join("build"), &elsewhere.path().join("out"));
    let mut names: Vec<_> = fs::read_dir(packages()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 6);
    for name in names {
        let [first, second] =
            [packages(), &elsewhere.path().join("out")].map(|folder| fs::read(folder.join(&name)).unwrap());
        assert!(first == second, "{} differs", name.display());
    }
}

fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        if from.file_name().is_some_and(|name| name == "target") {
            return;
        }
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy_all(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }
}
