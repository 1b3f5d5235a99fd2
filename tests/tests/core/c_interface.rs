//! The C interface: its header is what the source says, its example computes the host's bits on the host and on a Cortex-M4F, and what C
//! can do wrong is answered.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use vae_core::{Activation, Scratch, format::LikelihoodKind};
use vae_tests::{bench, can_emulate, plain_model, root, skip};
use vae_train::{
    file::model_file::{AlignedFile, ModelFile},
    weights::dense::Dense,
};

#[path = "c_programs/printed_by_example.rs"]
mod printed_by_example;

const TARGET: &str = "thumbv7em-none-eabihf";

fn folder() -> PathBuf {
    root().join("vae-core/c")
}

/// What cbindgen makes of the source.
fn generated() -> String {
    let source = folder().join("src");
    let mut header = Vec::new();
    cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(folder().join("cbindgen.toml")).unwrap())
        .with_src(source.join("status.rs"))
        .with_src(source.join("verdict.rs"))
        .with_src(source.join("lib.rs"))
        .generate()
        .unwrap()
        .write(&mut header);
    String::from_utf8(header).unwrap()
}

#[test]
fn the_header_is_generated_from_the_source() {
    let committed = std::fs::read_to_string(folder().join("include/vae.h")).unwrap();
    assert!(
        committed == generated(),
        "include/vae.h is out of date: cargo test -p vae-tests --test core c_interface -- --ignored writes it"
    );
}

#[test]
#[ignore = "writes vae-core/c/include/vae.h"]
fn write_the_header() {
    std::fs::write(folder().join("include/vae.h"), generated()).unwrap();
}

/// Whether a compiler can be run here; says on standard error how, if not.
fn has(compiler: &str, package: &str) -> bool {
    let present = Command::new(compiler).arg("--version").output().is_ok_and(|output| output.status.success());
    if !present {
        skip(&format!("needs {compiler}: apt-get install --no-install-recommends {package}"));
    }
    present
}

/// Runs a program that must succeed; returns what it prints.
fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

/// A compiler with every warning an error, the header and the demo's model.
fn compiler(name: &str, standard: &str, image: &Path) -> Command {
    compiler_with(&root().join("firmware-example/model"), name, standard, image)
}

/// The same with the model and the stream in this folder.
fn compiler_with(model: &Path, name: &str, standard: &str, image: &Path) -> Command {
    let mut command = Command::new(name);
    command.args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-Os", "-Iinclude"]);
    command.arg(format!("-Wa,-I{}", model.display()));
    command.arg("-o").arg(image).current_dir(folder());
    command
}

/// The rest of a command that compiles this program for the emulated Cortex-M4F.
fn for_cortex_m4f(compiler: &mut Command, program: &[&str]) {
    compiler.args([
        "-mcpu=cortex-m4",
        "-mfpu=fpv4-sp-d16",
        "-mfloat-abi=hard",
        "-mthumb",
        "-ffreestanding",
        "-Iexample",
    ]);
    compiler.arg("-ffunction-sections").args(program).args(["example/mps2.c", "example/model.S"]);
    compiler.arg(library(Some(TARGET)));
    compiler.args(["-nostdlib", "-lgcc", "-Wl,--gc-sections,-z,noexecstack", "-T", "example/mps2.ld"]);
}

/// What an image prints on the emulated Cortex-M4F.
fn emulate(image: &Path) -> String {
    let mut machine = Command::new("qemu-system-arm");
    machine.args(["-machine", "mps2-an386", "-display", "none", "-serial", "none", "-monitor", "none"]);
    machine.args(["-chardev", "stdio,id=out", "-semihosting-config", "enable=on,target=native,chardev=out"]);
    succeed(machine.args(["-icount", "shift=0", "-kernel"]).arg(image))
}

/// The static library, for a target or for the host.
fn library(target: Option<&str>) -> PathBuf {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--quiet", "--locked"]).current_dir(folder());
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_TARGET_DIR");
    if let Some(target) = target {
        cargo.args(["--target", target]);
    }
    succeed(&mut cargo);
    folder().join("target").join(target.unwrap_or_default()).join("release/libvae.a")
}

/// What `vae-core/c/example/motor.c` prints, but for its last line, of a timer.
fn expected() -> Vec<String> {
    let model_folder = root().join("firmware-example/model");
    let file = AlignedFile::read(&model_folder.join("motor.vae")).unwrap();
    printed_by_example::lines(file.model().unwrap(), &std::fs::read(model_folder.join("stream.f32")).unwrap())
}

/// Compares what the example printed; returns the ticks that it counted.
fn compare(printed: &str) -> u32 {
    let lines: Vec<&str> = printed.lines().collect();
    let [verdicts @ .., last] = &lines[..] else { panic!("nothing is printed") };
    assert_eq!(verdicts, expected());
    for kind in ["normal", "ANOMALOUS", "SENSOR FAULT"] {
        assert!(verdicts.iter().any(|line| line.starts_with(kind)), "{kind} does not occur");
    }
    u32::from_str_radix(last.strip_prefix("ticks for 10 scores: ").unwrap(), 16).unwrap()
}

#[test]
fn the_header_is_c99_and_cplusplus() {
    let folder = tempfile::tempdir().unwrap();
    for (name, standard, language) in [("gcc", "-std=c99", "c"), ("g++", "-std=c++11", "c++")] {
        if has(name, name) {
            let mut command = compiler(name, standard, &folder.path().join("header.o"));
            succeed(command.args(["-Wundef", "-c", "-x", language, "include/vae.h"]));
        }
    }
}

#[test]
fn the_example_computes_the_hosts_bits_and_misuse_is_answered() {
    if !has("gcc", "gcc libc6-dev") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = library(None);
    for sources in
        [&["example/motor.c", "example/main.c", "example/host.c"][..], &["../../tests/tests/core/c_programs/misuse.c"]]
    {
        let image = folder.path().join("program");
        let mut command = compiler("gcc", "-std=c99", &image);
        command.args(["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]).args(sources);
        succeed(command.arg("example/model.S").arg(&library).arg("-lm"));
        let printed = succeed(&mut Command::new(&image));
        if sources.len() > 1 {
            compare(&printed);
        } else {
            assert_eq!(printed, "");
        }
    }
}

#[test]
fn the_example_computes_the_hosts_bits_on_a_cortex_m4f() {
    if !has("arm-none-eabi-gcc", "gcc-arm-none-eabi") || !can_emulate(TARGET) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("example.elf");
    let mut command = compiler("arm-none-eabi-gcc", "-std=c99", &image);
    for_cortex_m4f(&mut command, &["example/motor.c", "example/main.c"]);
    succeed(&mut command);
    assert_eq!(bench::unwanted_symbols(&image).unwrap(), Vec::<String>::new());
    let instructions = 40 * compare(&emulate(&image)) / 10;
    // What Rust's firmware takes, and a few hundred for the calls.
    assert!((45_000..65_000).contains(&instructions), "{instructions}");
    println!("{instructions} instructions a score");
}

/// A window of subnormal numbers scores otherwise where they are flushed to zero, though the golden vector scores the same; and sizes that
/// wrap in 32 bits are refused where they are asked for.
#[test]
fn a_cortex_m4f_in_another_floating_point_mode_is_refused_and_so_is_a_model_that_it_cannot_address() {
    if !has("arm-none-eabi-gcc", "gcc-arm-none-eabi") || !can_emulate(TARGET) {
        return;
    }
    const SCALE: f32 = 2e-38;
    let layer = |rows, columns, weight| Dense {
        activation: Activation::Identity,
        rows,
        columns,
        weights: vec![weight; rows * columns],
        bias: vec![0.25; rows],
    };
    let model = ModelFile {
        scale: vec![SCALE; 4],
        golden_inputs: vec![vec![3.0 * SCALE; 4]],
        ..plain_model(vec![layer(2, 4, 0.5)], vec![layer(4, 1, 0.5)], LikelihoodKind::GaussianFixed, 1.0)
    };
    let (place, file) = (tempfile::tempdir().unwrap(), model.to_bytes().unwrap());
    let window = [SCALE / 4.0; 4];
    assert!(window.iter().all(|value| value.is_subnormal()));
    std::fs::write(place.path().join("motor.vae"), &file).unwrap();
    std::fs::write(place.path().join("stream.f32"), window.map(f32::to_le_bytes).as_flattened()).unwrap();
    let file = AlignedFile::new(&file);
    let mut memory = vec![0.0; file.model().unwrap().scratch_len()];
    let score = file.model().unwrap().elbo_at_mean(&window, &mut Scratch::new(&mut memory)).unwrap().elbo.to_bits();

    let image = place.path().join("modes.elf");
    let mut command = compiler_with(place.path(), "arm-none-eabi-gcc", "-std=c99", &image);
    for_cortex_m4f(&mut command, &["../../tests/tests/core/c_programs/modes.c"]);
    succeed(&mut command);
    let printed = emulate(&image);
    let words = |line: &str| -> Vec<u32> {
        line.split_whitespace().map(|word| u32::from_str_radix(word, 16).unwrap()).collect()
    };
    let lines: Vec<Vec<u32>> = printed.lines().map(words).collect();
    let (modes, sizes) = lines.split_at(6);
    let codes: Vec<u32> = modes.iter().map(|mode| mode[1]).collect();
    // VAE_FLUSHES_TO_ZERO and VAE_ROUNDING.
    assert_eq!(codes, [0, 0, 20, 21, 21, 21], "{printed}");
    assert_eq!([modes[0][2], modes[1][2]], [score; 2], "as it is reset, and with default NaN: {printed}");
    assert_ne!(modes[2][2], score, "flushed to zero: {printed}");
    // VAE_TOO_LARGE.
    assert_eq!(sizes, [[1 << 13, 0, 1 << 28], [1 << 15, 22, 0], [1 << 16, 22, 0]], "{printed}");
}
