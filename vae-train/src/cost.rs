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
pub const TERMS: [&str; 15] = [
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
    "component of the prior",
    "component × latent",
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

/// Multiplications in the layers of a score at the mean.
///
/// # Errors
/// If the file is faulty.
pub fn products(model: &Model<'_>) -> Result<u64> {
    let mut products = 0;
    for layer in model.layers()? {
        let layer = layer?;
        products += u64::from(layer.rows) * u64::from(layer.columns);
    }
    Ok(products)
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
    let components = f64::from(model.header()?.prior_components);
    Ok([
        1.0,
        layers,
        features,
        dense,
        sparse,
        tail,
        rows,
        leaky,
        tanh,
        silu,
        sigmoid,
        softplus,
        latent,
        components,
        components * latent,
    ])
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
            2650.866, 1073.975, 28.982, 0.892, 0.869, 0.000, 14.396, 36.035, 113.830, 100.862, 96.518, 149.676,
            188.840, 0.0, 0.0,
        ],
        f32: [
            2245.016, 934.720, 34.889, 1.317, 1.429, 14.161, 47.604, 6.996, 79.873, 64.693, 63.132, 116.203, 196.679,
            0.0, 0.0,
        ],
    },
    Core {
        name: "Cortex-M33",
        int8: [
            2654.779, 1072.758, 28.941, 0.892, 0.869, 0.000, 14.419, 36.047, 113.817, 100.855, 96.489, 148.689,
            184.487, 0.0, 0.0,
        ],
        f32: [
            2035.967, 989.562, 35.824, 1.344, 1.373, 14.181, 45.094, 7.282, 79.838, 64.900, 63.474, 115.624, 203.623,
            0.0, 0.0,
        ],
    },
    Core {
        name: "Cortex-M3",
        int8: [
            2884.153, 1161.389, 301.430, 2.549, 1.105, 0.000, 34.833, 163.960, 1754.347, 1496.196, 1426.948, 2667.115,
            1960.088, 0.0, 0.0,
        ],
        f32: [
            36519.414, -4407.292, 375.030, 133.965, 108.321, 109.178, 106.113, 61.386, 1673.723, 1405.452, 1305.534,
            2592.981, -796.092, 0.0, 0.0,
        ],
    },
    Core {
        name: "Cortex-M0",
        int8: [
            6336.741, 1113.279, 503.841, 4.245, 2.531, 0.000, 67.888, 324.606, 3050.281, 2574.563, 2420.708, 4471.386,
            3234.586, 0.0, 0.0,
        ],
        f32: [
            89074.815, -13939.832, 532.740, 226.029, 165.051, 161.389, 306.790, 46.359, 2950.367, 2433.144, 2260.898,
            4305.661, -2846.473, 0.0, 0.0,
        ],
    },
    Core {
        name: "RV32IMC",
        int8: [
            4170.031, 1265.226, 268.944, 3.587, 1.684, 0.000, 41.636, 196.011, 1764.511, 1477.144, 1414.338, 2500.598,
            1870.854, 0.0, 0.0,
        ],
        f32: [
            47763.172, -6830.155, 277.171, 120.008, 91.272, 91.072, 208.726, -18.387, 1681.852, 1352.743, 1318.148,
            2395.325, -1042.344, 0.0, 0.0,
        ],
    },
];
