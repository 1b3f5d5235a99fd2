//! Budgets of code, RAM and instructions on each emulated core, and the cost model's predictions.

use vae_tests::bench::{CORES, Core, MODELS, dearest, measured_model, write_models};
use vae_train::scoring::cost;

/// Instructions of a score of model (a) that a core may take.
fn budget(core: &Core) -> u64 {
    match core.name {
        "Cortex-M3" => 750_000,
        "Cortex-M0" => 1_400_000,
        "RV32IMC" => 1_000_000,
        _ => 290_000,
    }
}

/// Instructions of a score of model (a) that a core may take whatever the window is.
fn worst(core: &Core) -> u64 {
    match core.name {
        "Cortex-M3" => 950_000,
        "Cortex-M0" => 1_700_000,
        "RV32IMC" => 1_300_000,
        _ => 325_000,
    }
}

#[test]
fn scores_cost_what_is_promised_and_predicted() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path(), &[]).unwrap();
    let files = MODELS.map(|name| measured_model(name).unwrap());
    for core in CORES.iter().filter(|core| core.can_emulate()) {
        let counts = core.count(folder.path()).unwrap();
        let score = |model: &str| counts[model]["score"];
        assert!(score("int8") <= budget(core), "{}: {} instructions", core.name, score("int8"));
        let dearest = dearest(&counts).unwrap();
        assert!(dearest <= worst(core), "{}: {dearest} instructions in the worst case", core.name);
        if core.target.ends_with("hf") {
            let products = cost::products(&files[1].model().unwrap()).unwrap();
            assert!(score("f32") as f64 <= 2.9 * products as f64, "{}: {}", core.name, score("f32"));
        }
        for (name, file) in MODELS.iter().zip(&files) {
            // The M7 has the M4F's coefficients.
            let modelled = if core.name == "Cortex-M7" { "Cortex-M4F" } else { core.name };
            let predicted = cost::instructions(&file.model().unwrap()).unwrap();
            let (_, predicted) = predicted.iter().find(|(name, _)| *name == modelled).unwrap();
            let error = *predicted as f64 / score(name) as f64 - 1.0;
            assert!(error.abs() <= 0.05, "{} {name}: {predicted} for {}", core.name, score(name));
        }
        if core.name == "Cortex-M4F" {
            assert_eq!(core.count(folder.path()).unwrap(), counts, "two runs differ");
        }
    }
}

#[test]
fn the_least_firmware_fits_its_budgets_and_holds_nothing_unwanted() {
    let folder = tempfile::tempdir().unwrap();
    write_models(folder.path(), &[]).unwrap();
    for core in CORES.iter().filter(|core| core.can_emulate()) {
        let Some(footprint) = core.footprint(folder.path()).unwrap() else { continue };
        // Without an FPU, the compiler's functions for f32 come on top.
        let code = if core.target.ends_with("hf") { 19 * 1024 } else { 22 * 1024 };
        assert!(footprint.code <= code, "{}: {footprint:?}", core.name);
        assert!(footprint.static_ram + footprint.stack <= 3_400, "{}: {footprint:?}", core.name);
        for binary in ["footprint", "watch"] {
            let unwanted = core.unwanted_symbols(binary, folder.path(), &[]).unwrap();
            assert!(unwanted.is_empty(), "{}, {binary}: {unwanted:?}", core.name);
        }
        // The check itself can fail: it names what is put into the same image for that.
        let controls = [("control_panic", "9panicking"), ("control_fmt", "4core3fmt"), ("control_f64", "aeabi_dmul")];
        let controls = if core.name == "Cortex-M4F" { &controls[..] } else { &controls[..1] };
        for (control, expected) in controls {
            let unwanted = core.unwanted_symbols("watch", folder.path(), &[control]).unwrap();
            assert!(unwanted.iter().any(|name| name.contains(expected)), "{}, {control}: {unwanted:?}", core.name);
        }
    }
}

#[test]
fn front_ends_cost_what_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(vae_tests::root().join("docs/performance.md")).unwrap();
    let documented = text.split("## Front-ends").nth(1).unwrap();
    // The first core's figures.
    for core in CORES[..1].iter().filter(|core| core.can_emulate()) {
        for (name, count) in core.count_front_ends(folder.path()).unwrap() {
            let (front_end, window) = name.split_once(' ').unwrap();
            let row = |line: &&str| line.starts_with(&format!("| `{front_end}` | {window} |"));
            let line = documented.lines().find(row).unwrap();
            let figure: u64 = line.split('|').nth(3).unwrap().trim().replace(',', "").parse().unwrap();
            // Another compiler may need some more.
            assert!(count as f64 <= 1.03 * figure as f64, "{name}: {count} for {figure}");
        }
    }
}
