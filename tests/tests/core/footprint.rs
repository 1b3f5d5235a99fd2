//! Budgets of code, RAM and instructions on each emulated core, and the cost model's predictions.

use vae_tests::bench::{
    CORES, Core, FrontEndCount, MODELS, dearest,
    footprint::{Footprints, write_smallest},
    measured_model, write_models,
};
use vae_train::scoring::{
    cost,
    window_cost::{front_end_instructions, window_costs},
};

/// Instructions of a score of model (a) that a core may take.
fn budget(core: &Core) -> u64 {
    match core.name {
        "Cortex-M3" => 750_000,
        "Cortex-M0" => 1_400_000,
        "RV32IMC" => 1_000_000,
        "Cortex-M55" => 130_000,
        _ => 265_000,
    }
}

/// Instructions of a score of model (a) that a core may take whatever the window is.
fn worst(core: &Core) -> u64 {
    match core.name {
        "Cortex-M3" => 950_000,
        "Cortex-M0" => 1_700_000,
        "RV32IMC" => 1_300_000,
        _ => 300_000,
    }
}

/// Bytes of code of a core with an FPU: all that is there by default, what model (a) needs, and that built in.
const HARD: [usize; 3] = [21_200, 15_700, 12 * 1024];
/// And of one without, where the compiler's functions for `f32` come on top.
const SOFT: [usize; 3] = [22_300, 16_700, 12_950];

/// A core's, of what there is for each that the cost model knows.
fn of<T>(name: &str, costs: Vec<(&'static str, T)>) -> T {
    costs.into_iter().find(|(core, _)| *core == name).unwrap().1
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
        // The cost model does not know vectors.
        if core.name == "Cortex-M55" {
            continue;
        }
        // The M7 has the M4F's coefficients.
        let modelled = if core.name == "Cortex-M7" { "Cortex-M4F" } else { core.name };
        for (name, file) in MODELS.iter().zip(&files) {
            let predicted = of(modelled, cost::instructions(&file.model().unwrap()).unwrap());
            let error = predicted as f64 / score(name) as f64 - 1.0;
            assert!(error.abs() <= 0.05, "{} {name}: {predicted} for {}", core.name, score(name));
        }
        let stated = of(modelled, cost::worst_instructions(&files[0].model().unwrap()).unwrap());
        assert!(dearest <= stated, "{}: {dearest} for at most {stated}", core.name);
        let (cost, stages) = (of(modelled, window_costs(&files[2].model().unwrap()).unwrap()), &counts["motor"]);
        for (stage, predicted) in [("sample", cost.sample), ("window", cost.window), ("alarm", cost.alarm)] {
            let error = predicted as f64 / stages[stage] as f64 - 1.0;
            assert!(error.abs() <= 0.1, "{} {stage}: {predicted} for {}", core.name, stages[stage]);
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
    // To build costs the most here. The M7's firmware is the M4F's, and those of the M33 and M55 have other kernels alone; the sizes are looked at on
    // one core with an FPU and one without.
    let looked_at = |core: &&Core| matches!(core.name, "Cortex-M4F" | "Cortex-M3" | "Cortex-M0");
    for core in CORES.iter().filter(looked_at).filter(|core| core.can_emulate()) {
        if let "Cortex-M4F" | "Cortex-M0" = core.name {
            let Footprints { whole, least, built_in } = core.footprint(folder.path()).unwrap().unwrap();
            let budgets = if core.target.ends_with("hf") { HARD } else { SOFT };
            for (footprint, code) in [whole, least, built_in].into_iter().zip(budgets) {
                assert!(footprint.code <= code, "{}: {footprint:?}", core.name);
                assert!(footprint.static_ram + footprint.stack <= 3_400, "{}: {footprint:?}", core.name);
            }
        }
        for binary in ["footprint", "watch"] {
            let unwanted = core.unwanted_symbols(binary, folder.path(), &[]).unwrap();
            assert!(unwanted.is_empty(), "{}, {binary}: {unwanted:?}", core.name);
        }
        // The check itself can fail: it names what is put into the same image for that.
        let controls = [("control_panic", "9panicking"), ("control_fmt", "4core3fmt"), ("control_f64", "aeabi_dmul")];
        let controls = if core.name == "Cortex-M4F" { &controls[..] } else { &[] };
        for (control, expected) in controls {
            let unwanted = core.unwanted_symbols("watch", folder.path(), &[control]).unwrap();
            assert!(unwanted.iter().any(|name| name.contains(expected)), "{}, {control}: {unwanted:?}", core.name);
        }
    }
}

#[test]
fn front_ends_cost_what_is_predicted() {
    let folder = tempfile::tempdir().unwrap();
    // The M7 has the M4F's coefficients, and vectors are not known.
    let known = |core: &&Core| core.name != "Cortex-M7" && core.name != "Cortex-M55" && core.can_emulate();
    for core in CORES.iter().filter(known) {
        for count in core.count_front_ends(folder.path()).unwrap() {
            let FrontEndCount { name, front_end, window, instructions } = count;
            let predicted = front_end_instructions(core.name, front_end, window).unwrap();
            let error = predicted as f64 / instructions as f64 - 1.0;
            assert!(error.abs() <= 0.1, "{} {name} {window}: {predicted} for {instructions}", core.name);
        }
    }
}

#[test]
fn a_detector_runs_on_the_smallest_parts() {
    let folder = tempfile::tempdir().unwrap();
    write_smallest(folder.path()).unwrap();
    for core in CORES.iter().filter(|core| core.name == "Cortex-M0" && core.can_emulate()) {
        // The firmware says whether its alarm was raised when it should be, and the linker whether all of it has its place.
        let (flash, ram) = core.smallest(folder.path()).unwrap();
        assert!(flash <= 16 * 1024 && ram <= 2 * 1024, "{flash} bytes of flash, {ram} of RAM");
    }
}

#[test]
fn front_ends_cost_what_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(vae_tests::root().join("docs/performance.md")).unwrap();
    let documented = text.split("## Front-ends").nth(1).unwrap().split("\n## ").next().unwrap();
    // The first core's figures.
    for core in CORES[..1].iter().filter(|core| core.can_emulate()) {
        let mut rows = 0;
        for FrontEndCount { name, window, instructions, .. } in core.count_front_ends(folder.path()).unwrap() {
            let row = |line: &&str| line.starts_with(&format!("| `{name}` | {window} |"));
            let Some(line) = documented.lines().find(row) else { continue };
            let figure: u64 = line.split('|').nth(3).unwrap().trim().replace(',', "").parse().unwrap();
            // Another compiler may need some more.
            assert!(instructions as f64 <= 1.03 * figure as f64, "{name} {window}: {instructions} for {figure}");
            rows += 1;
        }
        assert_eq!(rows, documented.lines().filter(|line| line.starts_with("| `")).count());
    }
}
