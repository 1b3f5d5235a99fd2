//! A short soak; `cargo run --release -p vae-tests --bin soak` is the long one.

use vae_tests::{
    bench::CORES,
    soak::{Report, Soak, compare, digests, model, write_settings},
};
use vae_train::file::model_file::AlignedFile;

/// What is to have happened, so that all of it was compared.
const HAPPENED: [&str; 20] = [
    "no verdict",
    "normal",
    "anomalous",
    "sensor fault",
    "drifting",
    "gaps",
    "restarts",
    "forgotten",
    "refusals",
    "baselines",
    "baselines made",
    "channels scaled",
    "alarms by votes",
    "alarms by the sum",
    "alarms soon after another",
    "alarms cleared",
    "alarms acknowledged",
    "windows that are followed",
    "windows that are compensated",
    "widenings taken over",
];

#[test]
fn what_a_detector_remembers_is_what_f64_computes() {
    let report = compare(&model().unwrap(), Soak { seed: 3, windows: 400_000, unlocked: u64::MAX }).unwrap();
    for name in HAPPENED {
        assert!(report.counts.contains_key(name), "no {name}: {report:?}");
    }
    // Of the rule, a baseline, the alarm and the channels.
    assert_eq!(report.deviations.len(), 2 + 5 + 2 + 6 + 2, "{report:?}");
    assert!(report.open < 2000 && report.ties < 50, "{report:?}");
}

#[test]
fn a_locked_detector_is_compensated_for_nothing_and_refuses_what_would_change_it() {
    let report = compare(&model().unwrap(), Soak { seed: 5, windows: 200_000, unlocked: 50_000 }).unwrap();
    let unlocked = compare(&model().unwrap(), Soak { seed: 5, windows: 50_000, unlocked: u64::MAX }).unwrap();
    let count = |report: &Report, name| report.counts.get(name).copied().unwrap_or(0);
    let more = |name| count(&report, name) - count(&unlocked, name);
    assert_eq!((more("windows that are compensated"), more("restarts"), more("forgotten")), (0, 0, 0), "{report:?}");
    assert!(more("refusals") > 5 && more("windows that are followed") > 1000, "{report:?}");
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
