//! A short soak; `cargo run --release -p vae-tests --bin soak` is the long one.

use vae_tests::{
    bench::CORES,
    soak::{compare, digests, model, write_settings},
};
use vae_train::model_file::AlignedFile;

#[test]
fn what_a_detector_remembers_is_what_f64_computes() {
    let report = compare(&model().unwrap(), 3, 200_000).unwrap();
    // Everything has happened, so that all of it was compared.
    assert!(report.verdicts.iter().all(|count| *count > 100), "{report:?}");
    assert!(report.events.iter().all(|count| *count > 0) && report.deviations.len() == 12, "{report:?}");
    assert!(report.ties < 50, "{report:?}");
}

#[test]
fn a_core_remembers_the_same_bits() {
    let Some(core) = CORES.iter().find(|core| core.name == "Cortex-M4F" && core.can_emulate()) else { return };
    let file = model().unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_settings(folder.path(), &file, 4, 5000, 500).unwrap();
    let bytes = AlignedFile::new(&file.to_bytes().unwrap());
    let expected = digests(bytes.model().unwrap(), 4, 5000, 500).unwrap();
    assert_eq!(core.emulate("soak", folder.path()).unwrap(), expected);
    assert_eq!(expected.lines().count(), 10);
}
