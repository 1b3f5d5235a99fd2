//! What a score costs on a device, in executed instructions, from a cost model.
//!
//! The model is linear in what a score is made of. Its coefficients were fitted to counts in QEMU, with the firmware of
//! `firmware-example` (release, optimised for size), by `cargo run -p vae-tests --bin bench -- --fit`; a test holds its
//! predictions to within 5 % of what is counted.

use anyhow::Result;
use vae_core::{
    Activation, Model,
    format::{Precision, RELATION_CONSTANTS, padded_rows},
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
    if relation_values(model)?.is_some() {
        // A layer of the features' differences.
        let columns = model.features();
        layers += 1.0;
        rows += columns as f64;
        dense += (padded_rows(columns) * columns.next_multiple_of(4)) as f64;
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

/// Where [`TERMS`] has the product of an f32 row's last columns, one by one, as those of the mixture of the input are computed.
const PRODUCT_OF_A_TAIL: usize = 5;

/// Numbers that a Gaussian model has behind its features' constants, where features are judged together.
fn relation_values(model: &Model<'_>) -> Result<Option<usize>> {
    let header = model.header()?;
    let values = header.features.len() / size_of::<f32>() - header.likelihood.feature_arrays() * model.features();
    Ok((values > 0).then_some(values))
}

/// Multiplications by the values of the mixture of the input, if no component is left before its last row.
fn input_mixture_products(model: &Model<'_>) -> Result<usize> {
    Ok(relation_values(model)?.map_or(0, |values| values.saturating_sub(2 * model.features() + RELATION_CONSTANTS)))
}

/// Instructions of a score at the mean on each kind of core: a window without missing or extreme values, a Gaussian likelihood
/// with a variance per feature, a diagonal posterior.
///
/// # Errors
/// If the file is faulty.
pub fn instructions(model: &Model<'_>) -> Result<Vec<(&'static str, u64)>> {
    let (terms, mixture) = (terms(model)?, input_mixture_products(model)? as f64);
    let int8 = model.header()?.precision == Precision::Int8;
    let cost = |core: &Core| {
        let coefficients = if int8 { core.int8 } else { core.f32 };
        let network = terms.iter().zip(coefficients).map(|(count, each)| count * each).sum::<f64>().max(0.0);
        // In 32-bit numbers whatever the layers are.
        (network + mixture * core.f32[PRODUCT_OF_A_TAIL]).round() as u64
    };
    Ok(CORES.iter().map(|core| (core.name, cost(core))).collect())
}

/// Instructions of the decoder's last layer on each kind of core, which the attribution of an alarm runs again.
///
/// # Errors
/// If the file is faulty.
pub(super) fn last_layer(model: &Model<'_>) -> Result<Vec<(&'static str, f64)>> {
    const DENSE: usize = 3;
    const ROW: usize = 6;
    let Some(layer) = model.layers()?.last() else { return Ok(Vec::new()) };
    let (layer, precision) = (layer?, model.header()?.precision);
    let products = (padded_rows(layer.rows as usize) * layer.columns as usize) as f64;
    let cost = |core: &Core| {
        let coefficients = if precision == Precision::Int8 { core.int8 } else { core.f32 };
        (core.name, products * coefficients[DENSE] + f64::from(layer.rows) * coefficients[ROW])
    };
    Ok(CORES.iter().map(cost).collect())
}

/// The coefficients, as `bench --fit` prints them. A Cortex-M7 executes what a Cortex-M4F does.
pub const CORES: [Core; 5] = [
    Core {
        name: "Cortex-M4F",
        int8: [
            3189.515, 1163.736, 30.576, 0.897, 0.922, -0.000, 11.718, 28.641, 36.486, 40.936, 39.505, 38.013, 210.937,
            127.119, 5.065,
        ],
        f32: [
            3588.062, 813.128, 28.463, 1.306, 1.476, 14.245, 42.216, 7.129, 87.746, 66.593, 68.126, 136.402, 196.130,
            134.618, 5.628,
        ],
    },
    Core {
        name: "Cortex-M33",
        int8: [
            3185.448, 1164.646, 30.576, 0.897, 0.922, -0.000, 11.677, 28.638, 38.478, 42.934, 41.532, 39.972, 205.054,
            126.938, 5.100,
        ],
        f32: [
            3213.284, 893.310, 31.883, 1.328, 1.395, 14.318, 39.537, 7.621, 88.562, 67.141, 69.191, 135.795, 188.949,
            129.654, 6.294,
        ],
    },
    Core {
        name: "Cortex-M3",
        int8: [
            3592.151, 1118.229, 283.255, 2.285, 0.963, 0.000, 50.717, 169.307, 44.895, 40.837, 38.515, 20.367,
            1969.977, 1431.981, 272.859,
        ],
        f32: [
            17156.881, -2892.048, 383.618, 134.868, 107.295, 133.517, 95.188, -14.369, 1633.237, 1282.660, 1257.072,
            2543.194, 737.700, 849.034, 377.109,
        ],
    },
    Core {
        name: "Cortex-M0",
        int8: [
            4069.414, 1711.359, 494.953, 3.988, 2.314, -0.000, 79.483, 334.849, 60.796, 58.136, 51.544, 25.894,
            3225.969, 2442.048, 430.679,
        ],
        f32: [
            22130.962, -4091.841, 628.078, 227.038, 161.875, 214.139, 143.916, -126.278, 2815.659, 2141.989, 2122.416,
            4170.851, 1444.456, 1313.699, 611.434,
        ],
    },
    Core {
        name: "RV32IMC",
        // The kernels' terms as they were fitted before activations had tables, which leave more zeros to pass over than the fit's models tell apart
        // from products; those of SiLU and of the prior by the default recipe of 24 features and the motor's model.
        int8: [
            8228.191, 1361.745, 261.695, 3.769, 1.986, 0.000, 19.039, 191.506, 99.0, 94.8, 93.0, 75.0, 1906.822, 616.0,
            275.543,
        ],
        f32: [
            11818.103, -1427.425, 346.792, 120.481, 89.807, 114.301, 124.871, -98.910, 1624.697, 1218.405, 1234.619,
            2337.217, 1083.821, 2086.817, 380.669,
        ],
    },
];
