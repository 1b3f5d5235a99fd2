//! What a setting costs on a device, before anything is trained, and whether that is within a budget.

use anyhow::{Result, bail};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use vae_core::{FrontEnd, format::Precision};

use crate::{
    file::model_file::{AlignedFile, ModelFile},
    model::{architecture::Architecture, network::Vae},
    run::{relations, screening::model_of_standardised},
    scoring::cost::{CORES, instructions},
    words::numbers::{count, percent},
};

/// Bytes of flash that a calibration takes for each channel.
const CALIBRATION_OF_A_CHANNEL: usize = 36;
/// Bytes of RAM of a detector beside what its model asks for.
const DETECTOR: usize = 512;
/// The core by which settings are compared where none is named.
const USUAL_CORE: &str = "Cortex-M4F";

/// What a model may take on the device; what is not given is not limited.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// One of the cost model's cores.
    pub core: Option<String>,
    /// Cycles a second.
    pub clock: Option<f64>,
    /// Share of the cycles.
    pub load: Option<f64>,
    /// Bytes of the model file.
    pub flash: Option<usize>,
    /// Bytes of scratch, window and detector, beside the stack.
    pub ram: Option<usize>,
}

/// What a setting costs as an int8 model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Bytes.
    pub flash: usize,
    /// Bytes of scratch, window and detector.
    pub ram: usize,
    /// Instructions of a score on the budget's core or, where it names none, a Cortex-M4F; without those of a front-end.
    pub instructions: u64,
    /// Of them so many a second; none where the rate of the samples is not known.
    pub per_second: Option<f64>,
}

/// The cost model's name of a core, as people write it.
///
/// # Errors
/// Lists the cores that there are.
pub fn core_named(text: &str) -> Result<String> {
    let plain = |name: &str| name.to_lowercase().replace(['-', '+', ' '], "").replace("cortex", "");
    let wanted = match &plain(text)[..] {
        "m0plus" => "m0".to_owned(),
        "m4" | "m7" | "m4f" => "m4f".to_owned(),
        "m33f" => "m33".to_owned(),
        "rv32" | "rv32imac" | "riscv32" | "riscv" => "rv32imc".to_owned(),
        other => other.to_owned(),
    };
    match CORES.iter().find(|core| plain(core.name) == wanted) {
        Some(core) => Ok(core.name.to_owned()),
        None => {
            let names: Vec<&str> = CORES.iter().map(|core| core.name).collect();
            bail!(
                "no cost is known of the core `{text}`: give one of {} (a Cortex-M7 costs what a Cortex-M4F does)",
                names.join(", ")
            )
        }
    }
}

/// What a model of this architecture costs with windows of these channels, of which it scores one every `hop` samples.
///
/// # Errors
/// If no file can be written of it.
pub fn cost(
    architecture: &Architecture,
    (channels, window, hop): (usize, usize, usize),
    front_ends: &[FrontEnd],
    budget: &Budget,
    rate: Option<f64>,
) -> Result<Cost> {
    let weights = Vae::init(architecture, 0, &Device::flex()).weights()?;
    let (features, conditions) = (architecture.features, architecture.conditions);
    let names = |prefix: &str, count: usize| (0..count).map(|index| format!("{prefix}{index}")).collect();
    let file = ModelFile {
        precision: Precision::Int8,
        channels: names("channel", channels),
        window,
        hop,
        front_ends: front_ends.to_vec(),
        conditions: names("condition", conditions),
        golden_inputs: vec![vec![0.0; features + conditions]; 2],
        relations: relations::largest(architecture),
        ..model_of_standardised(architecture, weights)
    };
    let bytes = AlignedFile::new(&file.to_bytes()?);
    let model = bytes.model()?;
    let core = budget.core.as_deref().unwrap_or(USUAL_CORE);
    let instructions = instructions(&model)?.into_iter().find(|(name, _)| *name == core).map_or(0, |(_, count)| count);
    Ok(Cost {
        flash: model.flash_len() + CALIBRATION_OF_A_CHANNEL * channels,
        ram: 4 * (model.scratch_len() + model.window_len() + model.state_len()) + DETECTOR,
        instructions,
        per_second: rate.map(|rate| instructions as f64 * rate / hop as f64),
    })
}

impl Budget {
    /// Why a cost is beyond the budget; none where it is within.
    #[must_use]
    pub fn excludes(&self, cost: &Cost) -> Option<String> {
        let beyond = |what: &str, found: usize, most: Option<usize>| {
            most.filter(|most| found > *most)
                .map(|most| format!("{} bytes of {what}, {} are given", count(found), count(most)))
        };
        let load = || {
            let (clock, most) = (self.clock?, self.load?);
            let load = cost.per_second? / clock;
            (load > most).then(|| format!("a load of {}, {} are given", percent(load), percent(most)))
        };
        beyond("flash", cost.flash, self.flash).or_else(|| beyond("RAM", cost.ram, self.ram)).or_else(load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn cores_are_known_by_what_people_call_them() {
        for (text, expected) in [
            ("cortex-m0", "Cortex-M0"),
            ("M0+", "Cortex-M0"),
            ("Cortex-M7", "Cortex-M4F"),
            ("m33", "Cortex-M33"),
            ("rv32imc", "RV32IMC"),
        ] {
            assert_eq!(core_named(text).unwrap(), expected);
        }
        assert!(core_named("z80").unwrap_err().to_string().contains("Cortex-M33"));
    }

    #[test]
    fn a_budget_says_what_is_beyond_it() {
        let mut config = Config::default();
        config.model.hidden = Some(vec![16, 8]);
        let shape = (3, 16, 8);
        let budget = Budget { core: Some("Cortex-M0".into()), ..Budget::default() };
        let found = cost(&config.architecture(48), shape, &[], &budget, Some(200.0)).unwrap();
        // 25 windows a second.
        assert!((found.per_second.unwrap() / found.instructions as f64 - 25.0).abs() < 1e-9);
        let m4 = cost(&config.architecture(48), shape, &[], &Budget::default(), None).unwrap();
        assert!(m4.instructions * 5 < found.instructions && m4.per_second.is_none(), "{m4:?} {found:?}");
        assert_eq!(budget.excludes(&found), None);
        let within =
            |flash, ram, load| Budget { flash, ram, clock: Some(48e6), load, ..budget.clone() }.excludes(&found);
        let load = found.per_second.unwrap() / 48e6;
        assert_eq!(within(Some(found.flash), Some(found.ram), Some(load)), None);
        assert!(within(Some(found.flash - 1), None, None).unwrap().contains("bytes of flash"));
        assert!(within(None, Some(found.ram - 1), None).unwrap().contains("bytes of RAM"));
        assert!(within(None, None, Some(0.9 * load)).unwrap().contains("a load of"));
        // Twice as many units take about four times the weights of the layer between.
        config.model.hidden = Some(vec![128, 64]);
        assert!(cost(&config.architecture(48), shape, &[], &budget, None).unwrap().flash > 2 * found.flash);
    }
}
