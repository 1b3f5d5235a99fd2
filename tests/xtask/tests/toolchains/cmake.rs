//! `find_package(vae)`.

use std::{fs, process::Command};

use vae_core::{Model, include_model};

use crate::{CORES, RISCV, fill_libraries, has, has_targets, inner, root, succeed, unpacked};

#[expect(unreachable_pub, reason = "shared with another crate's tests")]
#[path = "../../../tests/core/c_programs/printed_by_example.rs"]
mod printed_by_example;

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
    const MODEL: Model<'static> = include_model!("../../../../firmware-example/model/motor.vae");
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
    let configure = |compiler: &str, flags: &str, more: &[&str]| {
        let mut cmake = Command::new("cmake");
        cmake.args([
            "-B",
            "build",
            "--fresh",
            "-DCMAKE_SYSTEM_NAME=Generic",
            "-DCMAKE_TRY_COMPILE_TARGET_TYPE=STATIC_LIBRARY",
        ]);
        cmake.args([&format!("-DCMAKE_C_COMPILER={compiler}"), &format!("-DCMAKE_C_FLAGS={flags}")]);
        let output =
            cmake.arg(format!("-Dvae_ROOT={}", package.display())).args(more).current_dir(&project).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    let arm = CORES.map(|(library, flags)| ("arm-none-eabi-gcc", library, format!("-mthumb {flags}")));
    let riscv = RISCV.map(|library| {
        let (_, isa) = library.split_once("riscv").unwrap();
        let (isa, _) = isa.split_once('-').unwrap();
        ("riscv64-unknown-elf-gcc", library, format!("-march=rv{isa} -mabi=ilp32"))
    });
    let riscv = has("riscv64-unknown-elf-gcc", "gcc-riscv64-unknown-elf").then_some(riscv);
    for (compiler, library, flags) in arm.into_iter().chain(riscv.into_iter().flatten()) {
        let said = configure(compiler, &flags, &[]);
        let [plain, full] =
            ["libvae.a", "libvae_full.a"].map(|file| format!("{}/lib/{library}/{file}", package.display()));
        assert!(said.contains(&format!("found {plain} {full}")), "{flags}: {said}");
    }
    let asked =
        configure("arm-none-eabi-gcc", "-mthumb -mcpu=cortex-m0", &["-DVAE_TARGET=riscv32imc-unknown-none-elf"]);
    assert!(asked.contains("/lib/riscv32imc-unknown-none-elf/libvae.a"), "{asked}");
    let refused = configure("arm-none-eabi-gcc", "-mcpu=cortex-a7", &[]);
    assert!(refused.contains("set VAE_TARGET") && refused.contains("thumbv6m-none-eabi"), "{refused}");
}
