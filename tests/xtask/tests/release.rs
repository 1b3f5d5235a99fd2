//! A release as it is packed: with a program that stands in for the trainer, which takes minutes to build.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// Writes a manual page and a completion, as `vae-train manual` does.
const PROGRAM: &str = "#!/bin/sh\n[ \"$1\" = manual ] && mkdir -p \"$2/man\" \"$2/completions\" && echo page > \"$2/man/vae-train.1\" && \
                       echo words > \"$2/completions/vae-train.bash\"\n";
/// The smallest core's libraries.
const TARGET: &str = "thumbv6m-none-eabi";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Packs a release; returns what its files hold.
fn dist(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (program, wheel, out) = (folder.join("vae-train"), folder.join("vae.whl"), folder.join("out"));
    fs::write(&program, PROGRAM).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(&wheel, "a wheel").unwrap();
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.args(["dist", "--target", TARGET, "--out"]).arg(&out).arg("--program").arg(program).arg("--with").arg(wheel);
    let output = xtask.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let again = xtask.output().unwrap();
    assert!(String::from_utf8_lossy(&again.stderr).contains("is not empty"), "a release is not written over another");
    let checked =
        Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(&out).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let files = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())).collect()
}

#[test]
fn a_release_has_programs_packages_bills_and_checksums_and_the_same_bytes_each_time() {
    let installed = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output().unwrap();
    if !Path::new(String::from_utf8(installed.stdout).unwrap().trim()).is_dir() {
        return eprintln!("SKIPPED: needs rustup target add {TARGET}");
    }
    let [first, second] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let release = dist(first.path());
    assert!(release == dist(second.path()));

    let sums = String::from_utf8(release["SHA256SUMS"].clone()).unwrap();
    assert_eq!(sums.lines().count(), release.len() - 1);
    // The program, six packages, a bill for each; the wheel; the sums.
    assert_eq!(release.len(), 16, "{sums}");
    let (name, archive) =
        release.iter().find(|(name, _)| name.starts_with("vae-train-") && name.ends_with(".tar.gz")).unwrap();
    let folder = name.strip_suffix(".tar.gz").unwrap();
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&**archive));
    let mut packed = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let (path, mode, mut text) =
            (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap(), String::new());
        entry.read_to_string(&mut text).unwrap();
        packed.insert(path.strip_prefix(&format!("{folder}/")).unwrap().to_owned(), (mode, text));
    }
    assert_eq!(packed["vae-train"], (0o755, PROGRAM.to_owned()));
    assert_eq!(packed["man/vae-train.1"], (0o644, "page\n".to_owned()));
    assert_eq!(packed["completions/vae-train.bash"].1, "words\n");
    for path in ["LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"] {
        assert!(packed.contains_key(path), "{path}");
    }

    let bill: serde_json::Value = serde_json::from_slice(&release[&format!("{folder}.cdx.json")]).unwrap();
    let components = bill["components"].as_array().unwrap();
    let has = |name: &str| components.iter().any(|component| component["name"] == name);
    assert!(
        has("burn") && has("vae-core") && has("parquet") && !has("tempdir") && !has("vae-tests"),
        "{}",
        components.len()
    );
    let bills = release.iter().filter(|(name, _)| name.ends_with(".cdx.json"));
    for (name, bill) in bills {
        let path = first.path().join(name);
        fs::write(&path, bill).unwrap();
        validate(&path);
    }
}

/// Against CycloneDX's own schema, where its Python library is there.
fn validate(bill: &Path) {
    let python = std::env::var("PYTHON").unwrap_or("python3".to_owned());
    let checks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks.py");
    let output = Command::new(&python).arg(checks).arg("bill").arg(bill).output();
    match output.as_ref().map(|output| output.status.code()) {
        Ok(Some(0)) => {}
        Ok(Some(77)) | Err(_) => {
            eprintln!("SKIPPED: {}: pip install 'cyclonedx-python-lib[json-validation]'", bill.display())
        }
        Ok(_) => panic!("{}: {}", bill.display(), String::from_utf8_lossy(&output.unwrap().stderr)),
    }
}
