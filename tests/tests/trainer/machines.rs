//! A model of one motor on others of its kind: a baseline of their own makes them as well judged as the one that it was trained on.

use std::process::Command;

use vae_tests::machines::{Plan, Row, compare, model};

#[test]
fn a_baseline_makes_another_motor_as_well_known_as_the_models_own() {
    let plan = Plan {
        training: 600,
        calibration: 3600,
        epochs: 150,
        motors: 4,
        healthy: 900,
        faulty: 30,
        baselines: vec![512],
    };
    let folder = tempfile::tempdir().unwrap();
    let file = model(&plan, folder.path(), || Command::new(env!("CARGO_BIN_EXE_vae-train-under-test"))).unwrap();
    let rows = compare(file.model().unwrap(), &plan).unwrap();
    let [own, others, adapted] = &rows[..] else { panic!("{rows:?}") };
    let Row { auroc, least, on, found, .. } = *adapted;
    // Strangers are in alarm most of the time, which is not worth much as a fault that is found.
    assert!(others.on > 0.5 && on < 0.05 && found > 0.8, "{rows:?}");
    assert!(auroc > others.auroc && least > 0.95 && (auroc - own.auroc).abs() < 0.02, "{rows:?}");
}
