//! The packages of the C interface, as their users meet them: unpacked, built with, run; and built twice.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use vae_core::{Model, include_model};

#[expect(unreachable_pub, reason = "shared with another crate's tests")]
#[path = "../../tests/core/c_programs/printed_by_example.rs"]
mod printed_by_example;

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

/// As the README of the package says, and the image computes the core's own bits.
#[test]
fn a_cmake_project_that_finds_the_package_gives_the_cores_verdicts_on_a_cortex_m4f() {
    if !has_targets()
        || !has("cmake", "cmake")
        || !has("arm-none-eabi-gcc", "gcc-arm-none-eabi")
        || !has("qemu-system-arm", "qemu-system-arm")
    {
        return;
    }
    let folder = unpacked("-cmake.tar.gz");
    let package = inner(folder.path());
    let readme = fs::read_to_string(package.join("README.md")).unwrap();
    let (_, commands) = readme.split_once("```sh\n").unwrap();
    let (commands, _) = commands.split_once("```").unwrap();
    let mut shell = Command::new("bash");
    let printed = succeed(shell.args(["-e", "-c", commands]).current_dir(&package));
    assert!(printed.contains("100% tests passed"), "{printed}");

    let example = package.join("example");
    let verbose = succeed(Command::new("ctest").args(["--test-dir", "build", "--verbose"]).current_dir(&example));
    let lines: Vec<&str> = verbose.lines().filter_map(|line| line.strip_prefix("1: ")).collect();
    const MODEL: Model<'static> = include_model!("../../../firmware-example/model/motor.vae");
    let stream = fs::read(root().join("firmware-example/model/stream.f32")).unwrap();
    let expected = printed_by_example::lines(MODEL, &stream);
    let begin = lines.iter().position(|line| *line == expected[0]).unwrap();
    assert_eq!(lines[begin..begin + expected.len()], expected);
    for kind in ["normal", "ANOMALOUS", "SENSOR FAULT"] {
        assert!(expected.iter().any(|line| line.starts_with(kind)), "{kind} does not occur");
    }
}

#[test]
fn cmake_finds_each_cores_library_and_says_what_to_do_where_there_is_none() {
    if !has_targets() || !has("cmake", "cmake") || !has("arm-none-eabi-gcc", "gcc-arm-none-eabi") {
        return;
    }
    let folder = unpacked("-cmake.tar.gz");
    let package = inner(folder.path());
    fill_libraries(&package);
    let project = tempfile::tempdir().unwrap();
    let list = "cmake_minimum_required(VERSION 3.16)\nproject(consumer C)\nfind_package(vae REQUIRED)\n\
                get_target_property(plain vae::vae IMPORTED_LOCATION)\nget_target_property(full vae::full IMPORTED_LOCATION)\n\
                message(STATUS \"found ${plain} ${full}\")\n";
    fs::write(project.path().join("CMakeLists.txt"), list).unwrap();
    let configure = |flags: &str, more: &[&str]| {
        let mut cmake = Command::new("cmake");
        cmake.args(["-B", "build", "--fresh", "-DCMAKE_SYSTEM_NAME=Generic", "-DCMAKE_C_COMPILER=arm-none-eabi-gcc"]);
        cmake.args(["-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY", &format!("-DCMAKE_C_FLAGS=-mthumb {flags}")]);
        let output =
            cmake.arg(format!("-Dvae_ROOT={}", package.display())).args(more).current_dir(&project).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for (library, flags) in CORES {
        let said = configure(flags, &[]);
        let [plain, full] =
            ["libvae.a", "libvae_full.a"].map(|file| format!("{}/lib/{library}/{file}", package.display()));
        assert!(said.contains(&format!("found {plain} {full}")), "{flags}: {said}");
    }
    let asked = configure("-mcpu=cortex-m0", &["-DVAE_TARGET=riscv32imc-unknown-none-elf"]);
    assert!(asked.contains("/lib/riscv32imc-unknown-none-elf/libvae.a"), "{asked}");
    let refused = configure("-mcpu=cortex-a7", &[]);
    assert!(refused.contains("set VAE_TARGET") && refused.contains("thumbv6m-none-eabi"), "{refused}");
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
            // Installed already; and the tests' own targets are no folder of the README's.
            let commands: Vec<&str> = block.lines().filter(|line| !line.starts_with("rustup ")).collect();
            let mut shell = Command::new("bash");
            shell.args(["-e", "-c", &commands.join("\n")]).current_dir(&folder);
            succeed(shell.env_remove("CARGO_TARGET_DIR").env_remove("RUSTFLAGS"))
        })
        .collect();
    assert!(printed.contains("target/packages/vae-"), "{printed}");
    assert!(printed.lines().any(|line| line.starts_with("ANOMALOUS, ")), "{printed}");
}

/// The sources of each example, with the little that they take of their ecosystem, and the library behind them.
#[test]
fn the_examples_of_all_packages_compile_and_link() {
    if !has_targets() || !has("arm-none-eabi-gcc", "gcc-arm-none-eabi") {
        return;
    }
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/headers");
    for (suffix, headers_of, sources, library) in [
        ("-zephyr.tar.gz", "", "samples/motor/src", "lib/thumbv7em-none-eabihf/libvae.a"),
        ("-esp-idf.tar.gz", "esp", "examples/motor/main", ""),
        ("-platformio.tar.gz", "arduino", "examples/motor/src", "lib/thumbv7em-none-eabihf/libvae.a"),
        ("-arduino.zip", "arduino", "examples/Motor", "src/cortex-m4/fpv4-sp-d16-hard/libvae.a"),
    ] {
        let folder = unpacked(suffix);
        let package = inner(folder.path());
        let mut gcc = Command::new("arm-none-eabi-gcc");
        gcc.args(
            "-mcpu=cortex-m4 -mthumb -mfpu=fpv4-sp-d16 -mfloat-abi=hard -Wall -Wextra -Werror -Os -r -nostdlib"
                .split(' '),
        );
        gcc.args(["-ffreestanding", "-Iinclude", "-Isrc", "-o", "all.o"]).arg("-I").arg(headers.join(headers_of));
        for entry in fs::read_dir(package.join(sources)).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                // What Arduino makes of a sketch.
                Some("ino") => gcc.args(["-x", "c++", "-include", "Arduino.h"]).arg(path).args(["-x", "none"]),
                Some("c" | "cpp") => gcc.arg(path),
                _ => &mut gcc,
            };
        }
        // Of Arm's there is none for the chips of ESP-IDF.
        gcc.args((!library.is_empty()).then_some(library));
        succeed(gcc.current_dir(&package));
        let symbols = succeed(Command::new("arm-none-eabi-nm").arg("all.o").current_dir(&package));
        assert!(symbols.contains("T motor"), "{suffix}: {symbols}");
        assert_eq!(symbols.contains("U vae_"), library.is_empty(), "{suffix}: {symbols}");
    }
}

/// A Python that has what a check needs; `PYTHON` names one with packages.
fn check(what: &str, folder: &Path, input: &str) {
    let python = std::env::var("PYTHON").unwrap_or("python3".to_owned());
    let mut command = Command::new(&python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks.py")).arg(what).arg(folder);
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = started else { return skip(&format!("{what}: needs {python}")) };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    match status.code() {
        Some(77) => skip(&format!("{what}: {said}")),
        code => assert_eq!(code, Some(0), "{what}: {said}{complaint}"),
    }
}

#[test]
fn kconfig_chooses_each_cores_library() {
    if has_targets() {
        let folder = unpacked("-zephyr.tar.gz");
        fill_libraries(&inner(folder.path()));
        check("kconfig", &inner(folder.path()), "");
    }
}

#[test]
fn platformio_packs_the_library_and_links_each_cores() {
    if !has_targets() {
        return;
    }
    let folder = unpacked("-platformio.tar.gz");
    let package = inner(folder.path());
    check("platformio", &package, "");
    if has("arm-none-eabi-gcc", "gcc-arm-none-eabi") {
        fill_libraries(&package);
        check("link", &package, &serde_json::to_string(&CORES).unwrap());
    }
}

#[test]
fn the_component_manager_packs_the_component() {
    if !has_targets() {
        return;
    }
    let folder = unpacked("-esp-idf.tar.gz");
    let package = inner(folder.path());
    // Beside the Python that has it, or in the path.
    let beside = std::env::var("PYTHON").ok().map(|python| Path::new(&python).with_file_name("compote"));
    let compote = beside.filter(|path| path.is_file()).unwrap_or("compote".into());
    if Command::new(&compote).arg("version").output().is_err() {
        return skip("needs compote: pip install idf-component-manager");
    }
    succeed(Command::new(&compote).args(["component", "pack", "--name", "vae"]).current_dir(&package));
    let packed = package.join("dist").join(format!("vae_{}.tgz", env!("CARGO_PKG_VERSION")));
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(packed).unwrap()));
    let names: Vec<_> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    for name in
        ["include/vae.h", "lib/riscv32imc-unknown-none-elf/libvae.a", "CMakeLists.txt", "Kconfig", "LICENSE-MIT"]
    {
        assert!(names.iter().any(|packed| packed.trim_start_matches("./") == name), "{name} is not in {names:?}");
    }
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
