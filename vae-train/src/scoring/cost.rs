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
    /// What a feature costs more at most, where something is missing, or too large for what is expected.
    pub care: f64,
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

/// Where [`TERMS`] has a product of a layer whose input is dense, and of one behind a ReLU.
const PRODUCT: usize = 3;
const PRODUCT_BEHIND_RELU: usize = 4;

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
    let terms = terms(model)?;
    priced(model, |_, coefficients| linear(&terms, coefficients))
}

/// What [`instructions`] are at most, whatever the window is: no activation is zero, so that no product is passed over, and each feature needs care.
///
/// # Errors
/// If the file is faulty.
pub fn worst_instructions(model: &Model<'_>) -> Result<Vec<(&'static str, u64)>> {
    let (terms, features) = (terms(model)?, model.features() as f64);
    priced(model, |core, coefficients| {
        let mut coefficients = *coefficients;
        coefficients[PRODUCT_BEHIND_RELU] = coefficients[PRODUCT_BEHIND_RELU].max(coefficients[PRODUCT]);
        linear(&terms, &coefficients) + features * core.care
    })
}

fn linear(terms: &[f64; TERMS.len()], coefficients: &[f64; TERMS.len()]) -> f64 {
    terms.iter().zip(coefficients).map(|(count, each)| count * each).sum::<f64>().max(0.0)
}

/// What a price of the network and the mixture of the input come to on each kind of core.
fn priced(model: &Model<'_>, network: impl Fn(&Core, &[f64; TERMS.len()]) -> f64) -> Result<Vec<(&'static str, u64)>> {
    let mixture = input_mixture_products(model)? as f64;
    let int8 = model.header()?.precision == Precision::Int8;
    let cost = |core: &Core| {
        let network = network(core, if int8 { &core.int8 } else { &core.f32 });
        // In 32-bit numbers whatever the layers are.
        (core.name, (network + mixture * core.f32[PRODUCT_OF_A_TAIL]).round() as u64)
    };
    Ok(CORES.iter().map(cost).collect())
}

/// Instructions of the decoder's last layer on each kind of core, which the attribution of an alarm runs again.
///
/// # Errors
/// If the file is faulty.
pub(super) fn last_layer(model: &Model<'_>) -> Result<Vec<(&'static str, f64)>> {
    const ROW: usize = 6;
    let Some(layer) = model.layers()?.last() else { return Ok(Vec::new()) };
    let (layer, precision) = (layer?, model.header()?.precision);
    let products = (padded_rows(layer.rows as usize) * layer.columns as usize) as f64;
    let cost = |core: &Core| {
        let coefficients = if precision == Precision::Int8 { core.int8 } else { core.f32 };
        (core.name, products * coefficients[PRODUCT] + f64::from(layer.rows) * coefficients[ROW])
    };
    Ok(CORES.iter().map(cost).collect())
}

/// The coefficients, as `bench --fit` prints them; but the int8 product behind a ReLU (0.91, 0.91, 1.04, 2.43, 1.61 by the fit) half way to what (a) takes, whose
/// wide layers leave other shares of zeros to pass over than the fit's models do; the M4F and the M33, which pass over none, have one price for both (0.89 and 0.91). A Cortex-M7 executes what a Cortex-M4F does.
pub const CORES: [Core; 5] = [
    Core {
        name: "Cortex-M4F",
        int8: [
            2956.562, 816.972, 16.357, 0.860, 0.860, 0.000, 11.571, 30.785, 35.842, 29.831, 39.709, 38.263, 181.854,
            127.569, 6.671,
        ],
        f32: [
            3491.103, 496.646, 19.934, 2.291, 2.476, 12.692, 40.639, 6.865, 83.731, 67.097, 67.460, 120.950, 140.306,
            116.962, 7.382,
        ],
        care: 48.0,
    },
    Core {
        name: "Cortex-M33",
        int8: [
            2956.258, 815.256, 16.396, 0.860, 0.860, 0.000, 11.596, 30.794, 37.848, 29.840, 41.749, 40.270, 175.130,
            127.204, 6.751,
        ],
        f32: [
            3079.456, 586.149, 23.114, 2.318, 2.394, 12.765, 37.724, 7.246, 83.886, 67.581, 68.637, 120.210, 135.609,
            114.900, 7.854,
        ],
        care: 48.0,
    },
    Core {
        name: "Cortex-M3",
        int8: [
            3259.080, 975.827, 262.992, 2.372, 1.120, 0.000, 47.839, 161.923, 44.800, 33.781, 37.544, 32.654, 1977.847,
            1716.103, 331.608,
        ],
        f32: [
            17503.334, -3307.276, 351.823, 134.837, 107.252, 135.572, 98.055, -15.546, 1634.854, 1279.163, 1256.915,
            2545.710, 660.965, 806.293, 446.617,
        ],
        care: 85.0,
    },
    Core {
        name: "Cortex-M0",
        int8: [
            4315.239, 1397.177, 403.524, 4.114, 2.680, 0.000, 73.013, 321.721, 60.341, 44.908, 49.028, 47.717,
            3243.990, 2946.531, 528.067,
        ],
        f32: [
            23445.709, -4830.474, 532.281, 226.972, 161.790, 217.602, 144.498, -126.806, 2816.922, 2134.568, 2120.128,
            4173.915, 1324.005, 1237.916, 728.566,
        ],
        care: 150.0,
    },
    Core {
        name: "RV32IMC",
        int8: [
            4798.307, 1058.246, 256.865, 3.400, 1.820, 0.000, 51.950, 182.410, 49.789, 37.065, 37.808, 39.851,
            1938.583, 1632.294, 297.584,
        ],
        f32: [
            11849.151, -1512.787, 317.716, 120.616, 89.829, 115.527, 101.256, -102.127, 1623.046, 1215.065, 1239.506,
            2334.921, 1239.385, 953.290, 383.920,
        ],
        care: 90.0,
    },
];
