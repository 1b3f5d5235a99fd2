//! The packages whose ecosystems are not to be had whole: what of them can be tried.

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{CORES, fill_libraries, has, has_targets, inner, skip, succeed, unpacked};

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
        let paths: Vec<_> = fs::read_dir(package.join(sources)).unwrap().map(|entry| entry.unwrap().path()).collect();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                // What Arduino makes of a sketch.
                Some("ino") => {
                    let sketch = path.with_extension("cpp");
                    let text = fs::read_to_string(&path).unwrap();
                    fs::write(&sketch, format!("#include <Arduino.h>\n{text}")).unwrap();
                    gcc.arg(sketch)
                }
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

/// With stand-ins for the commands that Zephyr and ESP-IDF give their modules.
#[test]
fn the_lists_of_zephyr_and_esp_idf_take_libraries_that_are_there() {
    if !has_targets() || !has("cmake", "cmake") {
        return;
    }
    let stand_ins = "function(zephyr_library_import name file)\nmessage(\"library ${file}\")\nendfunction()\n\
                     function(zephyr_include_directories folder)\nmessage(\"include ${folder}\")\nendfunction()\n\
                     function(idf_component_register kind folder)\nadd_library(component INTERFACE)\n\
                     message(\"include ${CMAKE_CURRENT_SOURCE_DIR}/${folder}\")\nendfunction()\n\
                     function(add_prebuilt_library name file)\nmessage(\"library ${file}\")\nendfunction()\n";
    for (suffix, list, setting, library) in [
        (
            "-zephyr.tar.gz",
            "zephyr",
            "-DCONFIG_VAE=y;-DCONFIG_VAE_TARGET=thumbv7em-none-eabihf",
            "thumbv7em-none-eabihf/libvae.a",
        ),
        (
            "-zephyr.tar.gz",
            "zephyr",
            "-DCONFIG_VAE=y;-DCONFIG_VAE_TARGET=thumbv7em-none-eabihf;-DCONFIG_VAE_FULL=y",
            "thumbv7em-none-eabihf/libvae_full.a",
        ),
        ("-esp-idf.tar.gz", ".", "-DIDF_TARGET=esp32c3", "riscv32imc-unknown-none-elf/libvae.a"),
        (
            "-esp-idf.tar.gz",
            ".",
            "-DIDF_TARGET=esp32c6;-DCONFIG_VAE_FULL=y",
            "riscv32imac-unknown-none-elf/libvae_full.a",
        ),
    ] {
        let folder = unpacked(suffix);
        let package = inner(folder.path());
        fill_libraries(&package);
        let project = tempfile::tempdir().unwrap();
        let lists = format!(
            "cmake_minimum_required(VERSION 3.16)\nproject(consumer NONE)\nset(COMPONENT_LIB component)\n{stand_ins}\
             add_subdirectory({} module)\n",
            package.join(list).display()
        );
        fs::write(project.path().join("CMakeLists.txt"), lists).unwrap();
        let mut cmake = Command::new("cmake");
        cmake.args(["-B", "build"]).args(setting.split(';')).current_dir(&project);
        let output = cmake.output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let named = |what: &str| {
            let line =
                said.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_else(|| panic!("{suffix}: {said}"));
            Path::new(line.trim()).canonicalize().unwrap()
        };
        let package = package.canonicalize().unwrap();
        assert_eq!(named("library "), package.join("lib").join(library));
        assert!(named("include ").join("vae.h").is_file());
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
