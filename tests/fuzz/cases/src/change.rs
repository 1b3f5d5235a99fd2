//! Changes to the records of a model file.

use alloc::{vec, vec::Vec};

use vae_core::{
    Activation,
    format::{LikelihoodKind, PosteriorKind, Precision},
};

use crate::{
    Numbers, Parts,
    parts::{LayerParts, NamedParts},
};

/// So many changes to the records.
pub(crate) fn change_some(parts: &mut Parts, changes: usize, numbers: &mut Numbers) {
    (0..changes).for_each(|_| change(parts, numbers));
    // Otherwise the numbers and lengths contradict the records.
    if !numbers.once_in(4) {
        parts.count();
    }
}

fn change(parts: &mut Parts, numbers: &mut Numbers) {
    match numbers.below(24) {
        0..8 => change_numbers(parts, numbers),
        8..13 => {
            let layers = some_layers(parts, numbers);
            if !layers.is_empty() {
                let index = numbers.below(layers.len());
                change_layer(&mut layers[index], numbers);
            }
        }
        13 => {
            let layers = some_layers(parts, numbers);
            change_order(layers, numbers);
        }
        14 => match numbers.below(3) {
            0 => change_order(&mut parts.attributes, numbers),
            1 => change_order(&mut parts.golden, numbers),
            _ => change_order(&mut parts.mixture, numbers),
        },
        15 => {
            let index = numbers.below(parts.counts.len());
            parts.counts[index] = count_instead_of(numbers, parts.counts[index]);
        }
        16 | 17 => {
            let index = numbers.below(parts.sizes.len());
            parts.sizes[index] = count_instead_of(numbers, parts.sizes[index]);
        }
        18 => match numbers.below(3) {
            0 => parts.precision = numbers.one_of(&[Precision::F32, Precision::Int8]),
            1 => {
                use PosteriorKind::{Bernoulli, Categorical, DiagonalGaussian, FullGaussian};
                let categories = count_instead_of(numbers, 3);
                parts.posterior =
                    numbers.one_of(&[DiagonalGaussian, FullGaussian, Bernoulli, Categorical { categories }]);
            }
            _ => {
                use LikelihoodKind::{
                    Bernoulli, GaussianCovariance, GaussianFixed, GaussianPerFeature, GaussianPredicted, Mixed,
                };
                let covariance = GaussianCovariance(count_instead_of(numbers, 2) as u8);
                parts.likelihood = numbers.one_of(&[
                    Bernoulli,
                    GaussianFixed,
                    GaussianPerFeature,
                    GaussianPredicted,
                    Mixed,
                    covariance,
                ]);
            }
        },
        19 => {
            let codes = &mut parts.calibration.name;
            if numbers.once_in(4) {
                // Eight are mel bands of two channels.
                codes.resize(numbers.below(10), 3);
            }
            let (at, code) = (numbers.below(codes.len().max(1)), numbers.bits() as u8);
            if let Some(slot) = codes.get_mut(at) {
                *slot = if numbers.once_in(2) { code % 8 } else { code };
            }
        }
        20 => {
            // As long as their samples are.
            let [features, channels, window] = [0, 2, 3].map(|index| parts.sizes[index] as usize);
            if features == channels.saturating_mul(window) && numbers.once_in(2) {
                parts.sizes[2..4].copy_from_slice(&[window as u32, channels as u32]);
            } else {
                parts.sizes[4] = numbers.below(40) as u32;
            }
        }
        21 => {
            if let Some((inputs, _)) = parts.second_stage.first_mut() {
                *inputs = count_instead_of(numbers, *inputs);
            }
        }
        22 => {
            if let Some(attribute) = parts.attributes.first_mut() {
                attribute.name = vec![numbers.bits() as u8; numbers.below(6)];
            }
        }
        _ => {
            let (at, byte) = (numbers.below(parts.card.len().max(1)), numbers.one_of(b"\n\0\x01\x7F\x80\xFF ab"));
            if let Some(slot) = parts.card.get_mut(at) {
                *slot = byte;
            }
        }
    }
}

fn some_layers<'p>(parts: &'p mut Parts, numbers: &mut Numbers) -> &'p mut Vec<LayerParts> {
    match numbers.below(5) {
        0 | 1 => &mut parts.encoder,
        2 | 3 => &mut parts.decoder,
        _ => &mut parts.second_layers,
    }
}

/// Leaves one out, doubles one, or exchanges two.
fn change_order<T: Clone>(records: &mut Vec<T>, numbers: &mut Numbers) {
    if records.is_empty() {
        return;
    }
    let [from, to] = [(); 2].map(|()| numbers.below(records.len()));
    match numbers.below(3) {
        0 => drop(records.remove(from)),
        1 => records.insert(to, records[from].clone()),
        _ => records.swap(from, to),
    }
}

fn change_numbers(parts: &mut Parts, numbers: &mut Numbers) {
    let array = match numbers.below(10) {
        0..3 => &mut parts.tables[0],
        3 => &mut parts.tables[1],
        4 | 5 => &mut parts.calibration.array,
        6 => {
            let index = numbers.below(parts.constants.len());
            parts.constants[index] = numbers.instead_of(parts.constants[index]);
            return;
        }
        7 => {
            let Some((_, deviation)) = parts.second_stage.first_mut() else { return };
            deviation
        }
        8 => {
            let Some(NamedParts { array, .. }) = parts.mixture.first_mut() else { return };
            array
        }
        _ => {
            let Some(NamedParts { array, .. }) = parts.attributes.first_mut() else { return };
            array
        }
    };
    change_array(array, numbers);
}

/// Changes a number of an array, or all, or its length.
fn change_array(array: &mut Vec<u8>, numbers: &mut Numbers) {
    let words = array.len() / 4;
    if words == 0 || numbers.once_in(12) {
        let len = array.len() + numbers.below(16);
        array.resize(len.saturating_sub(8), 0x3F);
        return;
    }
    let all = numbers.once_in(6);
    let words = array.as_chunks_mut::<4>().0;
    let at = numbers.below(words.len());
    let value = numbers.instead_of(f32::from_le_bytes(words[at])).to_le_bytes();
    if all {
        words.fill(value);
    } else {
        words[at] = value;
    }
}

fn change_layer(layer: &mut LayerParts, numbers: &mut Numbers) {
    match numbers.below(12) {
        0 | 1 => {
            use Activation::{Identity, LeakyRelu, Relu, Sigmoid, Silu, Softplus, Tanh};
            let slope = numbers.instead_of(0.1);
            layer.activation = numbers.one_of(&[Identity, LeakyRelu(slope), Relu, Sigmoid, Silu, Softplus, Tanh]);
        }
        2 => {
            let index = numbers.below(2);
            layer.shape[index] = count_instead_of(numbers, layer.shape[index]);
        }
        3 | 4 => {
            let index = numbers.below(2);
            let old = layer.exponents[index];
            layer.exponents[index] = match numbers.below(4) {
                0 => numbers.one_of(&[i32::MIN, i32::MAX, -80, 80, 127, -127, -150, 0]),
                1 => numbers.bits() as i32,
                _ => old.wrapping_add(numbers.below(64) as i32 - 32),
            };
        }
        // Integers: weights, biases and multipliers at their ends.
        5..8 => {
            let index = numbers.below(2);
            let array = &mut layer.arrays[index];
            let byte = numbers.one_of(&[0x00, 0x7F, 0x80, 0x81, 0xFF]);
            if array.is_empty() || numbers.once_in(3) {
                array.fill(byte);
                return;
            }
            let at = numbers.below(array.len());
            let end = array.len().min(at + 1 + numbers.below(8));
            array[at..end].fill(byte);
        }
        _ => {
            let index = numbers.below(2);
            change_array(&mut layer.arrays[index], numbers);
        }
    }
}

/// What a size or a number of records may be changed to.
pub(crate) fn count_instead_of(numbers: &mut Numbers, count: u32) -> u32 {
    match numbers.below(8) {
        0 => 0,
        1 => count.wrapping_mul(2),
        2 => numbers.one_of(&[65_535, 65_536, 65_537, u32::MAX, i32::MAX as u32, 32_768, 1 << 30]),
        3 => numbers.bits() >> numbers.below(32),
        4 | 5 => count.wrapping_add(1),
        6 => count.wrapping_sub(1),
        _ => numbers.below(64) as u32,
    }
}
