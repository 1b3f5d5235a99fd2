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
    let components = model.prior_components()? as f64;
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
            2959.854, 1073.272, 30.575, 0.911, 0.934, 0.000, 11.682, 38.199, 115.517, 101.110, 100.296, 150.715,
            169.221, 212.698, 6.906,
        ],
        f32: [
            3404.042, 705.498, 26.381, 1.304, 1.471, 14.489, 50.502, 7.348, 82.100, 65.578, 64.120, 117.685, 158.779,
            212.391, 7.134,
        ],
    },
    Core {
        name: "Cortex-M33",
        int8: [
            2956.235, 1074.360, 30.559, 0.912, 0.934, -0.000, 11.655, 38.196, 115.516, 101.109, 100.300, 149.699,
            165.632, 211.518, 6.936,
        ],
        f32: [
            3111.085, 768.707, 29.057, 1.321, 1.407, 14.545, 48.349, 7.729, 82.757, 66.034, 65.011, 117.013, 154.380,
            207.753, 7.612,
        ],
    },
    Core {
        name: "Cortex-M3",
        int8: [
            6180.766, 1099.705, 287.050, 2.688, 1.352, -0.000, 19.116, 157.328, 1775.851, 1462.739, 1411.710, 2719.121,
            2012.170, 3180.532, 303.765,
        ],
        f32: [
            17594.672, -3186.878, 393.572, 133.977, 106.493, 133.382, 107.756, -12.405, 1634.688, 1279.056, 1251.045,
            2546.404, 527.473, 2135.787, 439.118,
        ],
    },
    Core {
        name: "Cortex-M0",
        int8: [
            8761.834, 2275.341, 482.538, 4.515, 2.844, -0.000, 29.494, 313.177, 3088.345, 2514.677, 2392.726, 4539.078,
            3066.528, 4987.641, 529.558,
        ],
        f32: [
            23447.055, -4544.258, 659.786, 226.753, 161.747, 214.937, 156.042, -123.554, 2816.783, 2142.021, 2118.918,
            4183.000, 1097.372, 3302.218, 720.409,
        ],
    },
    Core {
        name: "RV32IMC",
        int8: [
            8309.427, 1191.978, 260.417, 3.769, 1.986, -0.000, 20.127, 190.980, 1792.896, 1447.543, 1390.568, 2553.800,
            1901.203, 2925.742, 275.286,
        ],
        f32: [
            11815.210, -1562.595, 346.392, 120.485, 89.806, 114.287, 123.686, -99.091, 1620.023, 1212.201, 1228.598,
            2331.049, 1088.048, 2115.592, 380.244,
        ],
    },
];
