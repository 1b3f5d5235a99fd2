//! The C interface: its header is what the source says, its example computes the host's bits on the host and on a Cortex-M4F, and what C
//! can do wrong is answered.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use vae_core::{Alarms, Anomaly, Assessment, Detector, Drift, DriftKind, Scratch, SensorFault, Verdict};
use vae_tests::{bench, can_emulate, root, skip};
use vae_train::model_file::AlignedFile;

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
        "include/vae.h is out of date: cargo test -p vae-tests --test c_interface -- --ignored writes it"
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
    let mut command = Command::new(name);
    command.args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-Os", "-Iinclude"]);
    command.arg(format!("-Wa,-I{}", root().join("firmware-example/model").display()));
    command.arg("-o").arg(image).current_dir(folder());
    command
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

/// What `vae-core/c/example/main.c` prints, but for its last line, of a timer.
fn expected() -> Vec<String> {
    let model_folder = root().join("firmware-example/model");
    let file = AlignedFile::read(&model_folder.join("motor.vae")).unwrap();
    let model = file.model().unwrap();
    let (mut memory, mut state) = (vec![0.0; model.scratch_len()], vec![0.0; model.state_len()]);
    let (mut window, mut other_state) = (vec![0.0; model.window_len()], state.clone());
    let mut other_window = window.clone();
    let mut scratch = Scratch::new(&mut memory);
    let bytes = std::fs::read(model_folder.join("stream.f32")).unwrap();
    let stream: Vec<f32> = bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let samples = stream.as_chunks::<3>().0;
    let (first, second) = samples.split_at(samples.len() / 2);

    let mut lines = Vec::new();
    let mut detector =
        Detector::over(model, &mut window, &mut state).unwrap().alarm_rate(Alarms::per_day(1.0)).unwrap();
    lines.extend(first.iter().filter_map(|sample| detector.push(sample, &mut scratch).unwrap()).map(line));
    let mut record = vec![0; model.snapshot_len()];
    detector.snapshot(&mut record).unwrap();
    let restored = Detector::over(model, &mut other_window, &mut other_state).unwrap();
    let mut detector = restored.alarm_rate(Alarms::per_day(1.0)).unwrap();
    detector.restore(&record).unwrap();
    lines.push("restored".to_owned());
    lines.extend(second.iter().filter_map(|sample| detector.push(sample, &mut scratch).unwrap()).map(line));
    let score = model.elbo_at_mean(&stream[..model.features()], &mut scratch).unwrap();
    let [elbo, reconstruction, kl] = [score.elbo, score.reconstruction, score.kl].map(f32::to_bits);
    lines.push(format!("score {elbo:08x}, reconstruction {reconstruction:08x}, kl {kl:08x}"));
    lines
}

/// A verdict as the example prints it.
fn line(verdict: Verdict) -> String {
    let scored = |Assessment { score, p_value, .. }| {
        let [score, p_value] = [score, p_value].map(f32::to_bits);
        format!("score {score:08x}, p {p_value:08x}")
    };
    match verdict {
        Verdict::Normal(assessment) => format!("normal, {}", scored(assessment)),
        Verdict::Anomalous(Anomaly { assessment, channel, channel_nats, feature, feature_nats }) => {
            let [channel_nats, feature_nats] = [channel_nats, feature_nats].map(f32::to_bits);
            let blame = format!(
                "channel {channel:08x} costs {channel_nats:08x}, feature {feature:08x} costs {feature_nats:08x}"
            );
            format!("ANOMALOUS, {}, {blame}", scored(assessment))
        }
        Verdict::SensorFault(SensorFault { channel, kind }) => {
            format!("SENSOR FAULT, channel {channel:08x}, fault {:08x}", kind as u32 + 1)
        }
        Verdict::Drifting(Drift { assessment, kind }) => {
            let (what, channel, by) = match kind {
                DriftKind::Score(shift) => (1, 0, shift),
                DriftKind::Spread(factor) => (4, 0, factor),
                DriftKind::Mean { channel, shift } => (2, channel, shift),
                DriftKind::Power { channel, factor } => (3, channel, factor),
            };
            format!("drifting, {}, what {what:08x}, channel {channel:08x} by {:08x}", scored(assessment), by.to_bits())
        }
    }
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
    for sources in [&["example/main.c", "example/host.c"][..], &["../../tests/tests/c_interface/misuse.c"]] {
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
    let library = library(Some(TARGET));
    let image = folder.path().join("example.elf");
    let mut command = compiler("arm-none-eabi-gcc", "-std=c99", &image);
    command.args(["-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard", "-mthumb", "-ffreestanding"]);
    command.args(["-ffunction-sections", "example/main.c", "example/mps2.c", "example/model.S"]).arg(library);
    command.args(["-nostdlib", "-lgcc", "-Wl,--gc-sections,-z,noexecstack", "-T", "example/mps2.ld"]);
    succeed(&mut command);
    assert_eq!(bench::unwanted_symbols(&image).unwrap(), Vec::<String>::new());

    let mut machine = Command::new("qemu-system-arm");
    machine.args(["-machine", "mps2-an386", "-display", "none", "-serial", "none", "-monitor", "none"]);
    machine.args(["-chardev", "stdio,id=out", "-semihosting-config", "enable=on,target=native,chardev=out"]);
    let printed = succeed(machine.args(["-icount", "shift=0", "-kernel"]).arg(&image));
    let instructions = 40 * compare(&printed) / 10;
    // What Rust's firmware takes, and a few hundred for the calls.
    assert!((60_000..80_000).contains(&instructions), "{instructions}");
    println!("{instructions} instructions a score");
}
