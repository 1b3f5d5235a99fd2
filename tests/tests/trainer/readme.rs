//! What the README shows is what there is.

use std::fs;

use vae_tests::root;

/// The lines of the README's first code block of a language.
fn block(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once(&format!("```{language}\n")).unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    block.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn firmware_lines_are_the_compiled_example() {
    let example = fs::read_to_string(root().join("firmware-example/src/main.rs")).unwrap();
    let mut rest = example.lines().map(str::trim);
    let lines = block("rust");
    assert!(lines.len() >= 10);
    for line in lines {
        assert!(rest.any(|found| found == line), "the README's line is not in main.rs, or not in this order:\n{line}");
    }
}

#[test]
fn it_is_read_in_minutes() {
    let words = fs::read_to_string(root().join("README.md")).unwrap().split_whitespace().count();
    assert!(words <= 900, "{words} words: what only some readers need stands in docs/");
}

#[test]
fn dependency_lines_are_the_examples() {
    let manifest = fs::read_to_string(root().join("firmware-example/Cargo.toml")).unwrap();
    let lines = block("toml");
    assert_eq!((lines.len(), lines[0].as_str()), (4, "[dependencies]"));
    assert_eq!(lines[1], "vae-core = { path = \"../vae-core\" }", "the whole of it, for any model");
    for line in &lines[2..] {
        assert!(manifest.lines().any(|found| found == line), "not in firmware-example/Cargo.toml: {line}");
    }
}

#[test]
fn figures_of_the_example_model_are_the_model() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let file =
        vae_train::file::model_file::AlignedFile::read(&root().join("firmware-example/model/motor.vae")).unwrap();
    let model = file.model().unwrap();
    let thousands = model.flash_len() / 1000;
    assert!(
        readme.contains(&format!("{thousands},{:03} bytes", model.flash_len() % 1000)),
        "flash {}",
        model.flash_len()
    );
    assert!(readme.contains(&format!("{} + {} bytes", 4 * model.scratch_len(), 4 * model.features())));
}
