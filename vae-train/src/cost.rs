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
            2687.586, 1017.775, 26.888, 0.858, 0.890, 0.000, 16.173, 42.821, 119.308, 103.794, 97.626, 166.708,
            227.002, 147.200, 7.166,
        ],
        f32: [
            3419.287, 724.691, 28.878, 1.279, 1.389, 14.839, 54.806, 7.614, 86.956, 66.302, 65.030, 130.552, 115.491,
            80.252, 15.332,
        ],
    },
    Core {
        name: "Cortex-M33",
        int8: [
            2683.512, 1018.065, 26.900, 0.858, 0.889, -0.000, 16.184, 42.808, 119.329, 103.770, 97.627, 165.703,
            222.769, 146.792, 7.232,
        ],
        f32: [
            3498.657, 669.887, 29.859, 1.272, 1.321, 14.535, 55.456, 8.826, 87.885, 67.629, 66.343, 130.744, 117.968,
            76.084, 15.314,
        ],
    },
    Core {
        name: "Cortex-M3",
        int8: [
            884.476, 1572.295, 218.568, 1.967, -0.097, -0.000, 79.918, 178.641, 1798.173, 1464.694, 1388.867, 2673.160,
            2481.594, 2925.190, 206.957,
        ],
        f32: [
            50908.512, -7403.392, 331.833, 135.568, 109.848, 112.069, 56.629, -21.016, 1656.249, 1310.071, 1516.089,
            2621.424, -449.332, 2630.845, 266.483,
        ],
    },
    Core {
        name: "Cortex-M0",
        int8: [
            4721.939, 1834.282, 383.641, 3.555, 0.883, -0.000, 116.002, 344.475, 3121.259, 2527.225, 2375.048,
            4483.091, 4156.961, 4621.813, 340.901,
        ],
        f32: [
            87039.204, -11889.915, 455.190, 231.092, 171.252, 173.427, -46.312, -120.545, 2934.460, 2209.407, 2706.918,
            4438.027, -251.478, 6373.707, 252.569,
        ],
    },
    Core {
        name: "RV32IMC",
        int8: [
            1448.612, 1769.145, 198.233, 2.946, 0.456, -0.000, 86.652, 220.689, 1814.273, 1447.177, 1375.017, 2511.763,
            2416.095, 3007.274, 152.128,
        ],
        f32: [
            46127.221, -5272.580, 232.254, 122.654, 94.185, 98.570, 24.295, -90.456, 1668.870, 1229.208, 1525.647,
            2436.552, -20.603, 3545.834, 151.547,
        ],
    },
];
