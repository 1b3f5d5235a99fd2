//! The tutorial's commands, one after the other, and what they print.

use std::{env, fs, iter, os::unix::fs::symlink, path::Path, process::Command};

use vae_tests::{can_emulate, root};

const TARGET: &str = "thumbv7em-none-eabihf";

/// The code blocks of a Markdown file: language and text.
fn blocks(markdown: &str) -> Vec<(&str, &str)> {
    markdown.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// Whether a line says the same as a printed one: equal words, and numbers of the same size, as training rounds differently on different
/// processors; very small ones, written with an exponent, may have any.
fn agrees(shown: &str, printed: &str) -> bool {
    let (shown, printed): (Vec<&str>, Vec<&str>) =
        (shown.split_whitespace().collect(), printed.split_whitespace().collect());
    shown.len() == printed.len() && iter::zip(shown, printed).all(|(a, b)| a == b || are_near(a, b))
}

fn are_near(a: &str, b: &str) -> bool {
    let number = |word: &str| -> Option<(f64, String)> {
        let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e');
        let start = word.find(|c: char| c.is_ascii_digit() || c == '-')?;
        let digits = word[start..].split(|c| !is_part(c)).next()?.trim_end_matches(['.', 'e']);
        Some((digits.parse().ok()?, word.replacen(digits, "#", 1)))
    };
    match (number(a), number(b)) {
        (Some((x, before)), Some((y, after))) => {
            before == after && (a.contains("e-") || (x - y).abs() <= 0.5 * x.abs().max(y.abs()))
        }
        _ => false,
    }
}

#[test]
fn words_must_agree_and_numbers_nearly() {
    assert!(agrees(
        "row   4991  ANOMALOUS -1215.2 nats, p = 1.2e-9, (39 %)",
        "row 4991 ANOMALOUS -1100.0 nats, p = 3e-20, (40 %)"
    ));
    assert!(!agrees("row 4991 ANOMALOUS", "row 4991 normal") && !agrees("row 4991", "row 9991"));
    assert!(!agrees("-12.0 nats", "12.0 nats") && !agrees("12.0 nats", "12.0 bits") && !agrees("a b", "a"));
}

#[test]
fn every_command_prints_what_the_tutorial_shows() {
    let tutorial = fs::read_to_string(root().join("docs/tutorial.md")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let programs = place.path().join("bin");
    fs::create_dir(&programs).unwrap();
    symlink(env!("CARGO_BIN_EXE_vae-train-under-test"), programs.join("vae-train")).unwrap();
    symlink(fs::canonicalize(root().join("firmware-example")).unwrap(), place.path().join("firmware-example")).unwrap();
    let path = env::join_paths(iter::once(programs).chain(env::split_paths(&env::var_os("PATH").unwrap()))).unwrap();

    let blocks = blocks(&tutorial);
    assert_eq!(blocks.iter().filter(|(language, _)| *language == "sh").count(), 14);
    for (index, (language, commands)) in blocks.iter().enumerate() {
        // The motor's recordings come from an emulated board.
        let is_emulated = ["firmware-example", "motor/"].iter().any(|word| commands.contains(word));
        if *language != "sh" || (is_emulated && !can_emulate(TARGET)) {
            continue;
        }
        let expected = match blocks.get(index + 1) {
            Some(("text", shown)) => *shown,
            _ => "",
        };
        run(commands, expected, place.path(), &path);
    }
}

/// Runs a block of commands, and finds the lines that are shown in what they print, in their order.
fn run(commands: &str, expected: &str, place: &Path, path: &std::ffi::OsStr) {
    let output = Command::new("bash")
        .args(["-e", "-c", &format!("exec 2>&1\n{commands}")])
        .current_dir(place)
        .env("PATH", path)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let fails = expected.lines().any(|line| line.starts_with("error: "));
    assert_eq!(output.status.code(), Some(i32::from(fails)), "{commands}{printed}");
    let mut rest = printed.lines();
    for line in expected.lines().filter(|line| !line.trim().is_empty()) {
        assert!(
            rest.any(|found| agrees(line, found)),
            "not printed, or not in this order:\n{line}\nby:\n{commands}which printed:\n{printed}"
        );
    }
}
