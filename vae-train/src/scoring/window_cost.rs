//! What a detector costs a device beside scores, in executed instructions, from a cost model as [`cost`] has it.
//!
//! `cargo run -p vae-tests --bin bench -- --front-ends` prints the coefficients of the front-ends, fitted to its counts; those of the detector, to
//! two digits, are of five calibrated models of one to eight channels, counted by `firmware-example/src/bin/bench.rs`. A test holds both to 10 % of what is counted.

use anyhow::Result;
use serde::Serialize;
use vae_core::{FrontEnd, Model, ScoreKind};

use crate::scoring::cost;

/// What front-ends are made of: of each kind the call, or its frames, and its samples; of spectra samples times their `log₂` and bands, too.
pub const FRONT_END_TERMS: usize = 14;

/// Instructions on a kind of core.
#[derive(Clone, Copy, Debug)]
struct Core {
    /// As the bench names it.
    name: &'static str,
    front_end: [f64; FRONT_END_TERMS],
    /// Of a sample that completes no window, beside what each channel takes.
    sample: [f64; 2],
    /// Of a window beside its score and front-ends, and beside what each channel takes.
    window: [f64; 2],
    /// Of an alarm beside its window and the decoder's last layer, and what each feature takes.
    alarm: [f64; 2],
}

/// What a detector costs on a kind of core, in instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WindowCost {
    /// Of a sample that completes no window.
    pub sample: u64,
    /// Of what a window is put through before it is scored.
    pub front_ends: u64,
    /// Of the sample that completes a window, with its verdict.
    pub window: u64,
    /// The same while an alarm is raised, which says what is to blame.
    pub alarm: u64,
}

/// How often each of [`FRONT_END_TERMS`] occurs in what a front-end makes of a channel's window of so many samples.
#[must_use]
pub fn front_end_terms(front_end: FrontEnd, window: usize) -> [f64; FRONT_END_TERMS] {
    let spectrum = |samples: f64, bands: u8| vec![1.0, samples, samples * libm::log2(samples), f64::from(bands)];
    let samples = window as f64;
    let (place, counts) = match front_end {
        FrontEnd::Raw => (0, vec![1.0, samples]),
        FrontEnd::Mean => (2, vec![1.0, samples]),
        FrontEnd::Statistics => (4, vec![1.0, samples]),
        FrontEnd::Bands(bands) => (6, spectrum(samples, bands)),
        FrontEnd::Mel { bands, frames, .. } => {
            let frames = f64::from(frames);
            let of_a_frame = spectrum(2.0 * samples / (frames + 1.0), bands);
            (10, of_a_frame.into_iter().map(|count| frames * count).collect())
        }
    };
    let mut terms = [0.0; FRONT_END_TERMS];
    terms[place..].iter_mut().zip(counts).for_each(|(term, count)| *term = count);
    terms
}

/// What a front-end makes of a channel's window of so many samples costs a kind of core, as the bench names it; none for one that is not known.
#[must_use]
pub fn front_end_instructions(core: &str, front_end: FrontEnd, window: usize) -> Option<u64> {
    let core = CORES.iter().find(|known| known.name == core)?;
    Some(core.front_ends(&front_end_terms(front_end, window)))
}

impl Core {
    fn front_ends(&self, terms: &[f64; FRONT_END_TERMS]) -> u64 {
        terms.iter().zip(self.front_end).map(|(count, each)| count * each).sum::<f64>().max(0.0).round() as u64
    }
}

/// What a detector costs on each kind of core: with a window without missing or extreme values, of a model that is calibrated for rates of alarms and for drift,
/// as [`cost::instructions`] has it. Empty for a model that is scored by samples: then it depends on how many decide.
///
/// # Errors
/// If the file is faulty.
pub fn window_costs(model: &Model<'_>) -> Result<Vec<(&'static str, WindowCost)>> {
    if model.calibration()?.score_kind() != ScoreKind::AtMean {
        return Ok(Vec::new());
    }
    let mut front_ends = [0.0; FRONT_END_TERMS];
    if model.has_front_end() {
        for channel in 0..model.channels() {
            let terms = front_end_terms(model.front_end(channel)?, model.window());
            front_ends.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        }
    }
    let (channels, features) = (model.channels() as f64, model.features() as f64);
    let last_layer = cost::last_layer(model)?;
    let scores = cost::instructions(model)?;
    let cost = |(name, score): (&'static str, u64)| {
        let core = CORES.iter().find(|core| core.name == name)?;
        let linear = |[own, each]: [f64; 2], count: f64| own + each * count;
        let front_ends = core.front_ends(&front_ends);
        let window = (score + front_ends) as f64 + linear(core.window, channels);
        let last = last_layer.iter().find(|(found, _)| *found == name).map_or(0.0, |(_, last)| *last);
        let alarm = window + last + linear(core.alarm, features);
        let [sample, window, alarm] =
            [linear(core.sample, channels), window, alarm].map(|count| count.max(0.0).round() as u64);
        Some((name, WindowCost { sample, front_ends, window, alarm }))
    };
    Ok(scores.into_iter().filter_map(cost).collect())
}

/// The coefficients. A Cortex-M7 executes what a Cortex-M4F does.
const CORES: [Core; 5] = [
    Core {
        name: "Cortex-M4F",
        front_end: [
            30.716, 13.117, 70.674, 33.119, 496.722, 56.976, -245.530, 88.140, 6.079, 323.370, 213.333, 74.802, 6.875,
            174.917,
        ],
        sample: [150.0, 231.0],
        window: [3300.0, 1900.0],
        alarm: [1300.0, 84.0],
    },
    Core {
        name: "Cortex-M33",
        front_end: [
            42.469, 12.894, 88.415, 32.022, 402.607, 53.053, -259.273, 87.528, 6.036, 310.908, 156.667, 75.872, 6.777,
            160.625,
        ],
        sample: [150.0, 231.0],
        window: [3300.0, 1900.0],
        alarm: [1300.0, 84.0],
    },
    Core {
        name: "Cortex-M3",
        front_end: [
            73.627, 12.825, 177.193, 311.457, 4281.612, 801.126, -11643.680, 730.153, 190.293, 7799.528, 3804.444,
            687.774, 193.151, 3401.000,
        ],
        sample: [170.0, 1300.0],
        window: [8000.0, 7000.0],
        alarm: [12000.0, 480.0],
    },
    Core {
        name: "Cortex-M0",
        front_end: [
            40.000, 15.000, 445.083, 400.062, 7802.167, 1153.044, -18473.359, 1047.947, 307.056, 12926.589, 6008.000,
            1068.771, 311.297, 5861.584,
        ],
        sample: [290.0, 1945.0],
        window: [14000.0, 10500.0],
        alarm: [22000.0, 880.0],
    },
    Core {
        name: "RV32IMC",
        front_end: [
            52.000, 15.000, 342.301, 257.545, 4515.516, 665.216, -10893.342, 679.246, 183.297, 7370.281, 3175.467,
            686.518, 186.179, 3346.981,
        ],
        sample: [230.0, 1178.0],
        window: [9000.0, 7000.0],
        alarm: [12000.0, 520.0],
    },
];
