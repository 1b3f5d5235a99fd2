//! What a score costs on a device, in executed instructions, from a cost model.
//!
//! The model is linear in what a score is made of. Its coefficients were fitted to counts in QEMU, with the firmware of
//! `firmware-example` (release, optimised for size), by `cargo run -p vae-tests --bin bench -- --fit`; a test holds its
//! predictions to within 5 % of what is counted.

use anyhow::Result;
use vae_core::{
    Activation, Model,
    format::{Precision, padded_rows},
};

/// What a score at the mean is made of.
pub const TERMS: [&str; 13] = [
    "score",
    "layer",
    "feature",
    "product",
    "product behind a ReLU",
    "product of a tail",
    "row",
    "leaky ReLU",
    "tanh",
    "SiLU",
    "sigmoid",
    "softplus",
    "latent",
];

/// Instructions per term on a kind of core.
#[derive(Clone, Copy, Debug)]
pub struct Core {
    /// As the bench names it.
    pub name: &'static str,
    /// Coefficients of [`TERMS`] for int8 models.
    pub int8: [f64; TERMS.len()],
    /// Coefficients of [`TERMS`] for f32 models.
    pub f32: [f64; TERMS.len()],
}

/// How often each of [`TERMS`] occurs in a score of `model`.
///
/// # Errors
/// If the file is faulty.
pub fn terms(model: &Model<'_>) -> Result<[f64; TERMS.len()]> {
    let precision = model.header()?.precision;
    let [mut layers, mut dense, mut sparse, mut tail, mut rows] = [0.0; 5];
    let mut activations = [0.0; 5];
    let mut behind_relu = false;
    let decoder = model.header()?.encoder_layers as usize;
    for (index, layer) in model.layers()?.enumerate() {
        let layer = layer?;
        behind_relu &= index != decoder;
        let (rows_in_blocks, columns) = (padded_rows(layer.rows as usize), layer.columns as usize);
        // Columns behind the last four of an f32 row are computed one by one; int8 rows are padded.
        let (fours, ones) = match precision {
            Precision::F32 => (columns & !3, columns & 3),
            Precision::Int8 => (columns.next_multiple_of(4), 0),
        };
        *(if behind_relu { &mut sparse } else { &mut dense }) += (rows_in_blocks * fours) as f64;
        tail += (rows_in_blocks * ones) as f64;
        layers += 1.0;
        rows += f64::from(layer.rows);
        let slot = match layer.activation {
            Activation::Identity | Activation::Relu => None,
            Activation::LeakyRelu(_) => Some(0),
            Activation::Tanh => Some(1),
            Activation::Silu => Some(2),
            Activation::Sigmoid => Some(3),
            Activation::Softplus => Some(4),
        };
        if let Some(slot) = slot {
            activations[slot] += f64::from(layer.rows);
        }
        behind_relu = layer.activation == Activation::Relu;
    }
    let [leaky, tanh, silu, sigmoid, softplus] = activations;
    let (features, latent) = (model.features() as f64, model.latent() as f64);
    Ok([1.0, layers, features, dense, sparse, tail, rows, leaky, tanh, silu, sigmoid, softplus, latent])
}

/// Instructions of a score at the mean on each kind of core: a window without missing or extreme values, a Gaussian likelihood
/// with a variance per feature, a diagonal posterior.
///
/// # Errors
/// If the file is faulty.
pub fn instructions(model: &Model<'_>) -> Result<Vec<(&'static str, u64)>> {
    let terms = terms(model)?;
    let int8 = model.header()?.precision == Precision::Int8;
    let cost = |core: &Core| {
        let coefficients = if int8 { core.int8 } else { core.f32 };
        terms.iter().zip(coefficients).map(|(count, each)| count * each).sum::<f64>().max(0.0).round() as u64
    };
    Ok(CORES.iter().map(|core| (core.name, cost(core))).collect())
}

/// The coefficients, as `bench --fit` prints them. A Cortex-M7 executes what a Cortex-M4F does.
pub const CORES: [Core; 5] = [
    Core {
        name: "Cortex-M4F",
        int8: [
            2659.072, 1069.745, 28.852, 0.893, 0.869, -0.000, 14.431, 35.945, 113.747, 100.791, 96.431, 149.598,
            188.888,
        ],
        f32: [2149.601, 952.869, 35.093, 1.320, 1.428, 13.943, 45.896, 6.895, 79.791, 64.431, 63.098, 116.180, 204.512],
    },
    Core {
        name: "Cortex-M33",
        int8: [
            2656.100, 1069.710, 28.865, 0.892, 0.870, 0.000, 14.435, 35.953, 113.769, 100.801, 96.448, 148.615, 184.824,
        ],
        f32: [
            1938.926, 1007.680, 36.053, 1.347, 1.371, 13.972, 43.365, 7.195, 79.785, 64.626, 63.467, 115.622, 211.686,
        ],
    },
    Core {
        name: "Cortex-M3",
        int8: [
            3950.292, 874.851, 286.394, 2.454, 1.232, -0.000, 49.987, 159.854, 1750.076, 1492.328, 1423.212, 2667.106,
            1980.702,
        ],
        f32: [
            36519.373, -4402.857, 375.953, 134.965, 109.320, 110.223, 104.753, 61.343, 1674.485, 1406.395, 1306.540,
            2594.997, -794.881,
        ],
    },
    Core {
        name: "Cortex-M0",
        int8: [
            6400.230, 1198.879, 501.752, 4.276, 2.551, 0.000, 86.543, 321.377, 3046.051, 2570.413, 2416.049, 4467.785,
            3240.918,
        ],
        f32: [
            89017.423, -13846.040, 534.655, 226.287, 165.315, 161.672, 306.200, 46.644, 2950.378, 2433.467, 2261.404,
            4306.007, -2845.104,
        ],
    },
    Core {
        name: "RV32IMC",
        int8: [
            5002.499, 1053.313, 257.757, 3.530, 1.780, -0.000, 57.300, 193.208, 1760.505, 1473.164, 1410.252, 2499.106,
            1884.105,
        ],
        f32: [
            47771.546, -6834.436, 277.031, 120.008, 91.271, 91.078, 208.523, -18.383, 1681.891, 1352.777, 1318.163,
            2395.341, -1044.112,
        ],
    },
];
