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

/// The coefficients, as `bench --fit` prints them. A Cortex-M7 executes what a Cortex-M4F does.
pub const CORES: [Core; 5] = [
    Core {
        name: "Cortex-M4F",
        int8: [
            2929.090, 1079.261, 30.471, 0.912, 0.934, -0.000, 11.604, 38.079, 115.560, 101.011, 100.266, 150.627,
            168.548, 197.825, 6.928,
        ],
        f32: [
            3388.606, 706.607, 26.495, 1.303, 1.472, 14.477, 50.470, 7.265, 82.138, 65.511, 64.147, 117.651, 157.058,
            197.452, 7.125,
        ],
    },
    Core {
        name: "Cortex-M33",
        int8: [
            2931.233, 1078.667, 30.483, 0.912, 0.934, -0.000, 11.599, 38.088, 115.557, 101.009, 100.273, 149.628,
            164.469, 194.701, 6.945,
        ],
        f32: [
            3093.169, 768.887, 29.210, 1.320, 1.407, 14.537, 48.370, 7.636, 82.794, 65.959, 65.016, 116.980, 152.327,
            190.368, 7.653,
        ],
    },
    Core {
        name: "Cortex-M3",
        int8: [
            6150.462, 1105.460, 286.954, 2.689, 1.353, 0.000, 18.980, 157.320, 1775.102, 1461.690, 1410.673, 2717.106,
            2011.508, 3155.270, 303.903,
        ],
        f32: [
            17557.059, -3184.855, 393.781, 133.727, 106.243, 133.094, 107.777, -12.566, 1633.933, 1277.879, 1250.053,
            2544.315, 526.662, 2113.138, 438.981,
        ],
    },
    Core {
        name: "Cortex-M0",
        int8: [
            8749.915, 2286.746, 482.214, 4.516, 2.844, -0.000, 29.291, 313.139, 3088.454, 2514.478, 2392.594, 4539.002,
            3064.281, 4961.831, 529.132,
        ],
        f32: [
            23435.794, -4541.218, 660.346, 226.752, 161.748, 214.864, 156.056, -123.815, 2816.825, 2141.748, 2118.951,
            4182.906, 1093.094, 3281.043, 719.511,
        ],
    },
    Core {
        name: "RV32IMC",
        int8: [
            8228.191, 1361.745, 261.695, 3.769, 1.986, 0.000, 19.039, 191.506, 1798.327, 1454.295, 1396.903, 2560.477,
            1906.822, 2897.432, 275.543,
        ],
        f32: [
            11818.103, -1427.425, 346.792, 120.481, 89.807, 114.301, 124.871, -98.910, 1624.697, 1218.405, 1234.619,
            2337.217, 1083.821, 2086.817, 380.669,
        ],
    },
];
