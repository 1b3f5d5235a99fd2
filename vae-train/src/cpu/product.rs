//! Matrix products on the CPU, with the same bits on every processor.
//!
//! An entry is a sum of blocks of [`BLOCK`] columns, each block one chain of fused multiply-adds in the columns' order. Where the CPU
//! has the instruction, burn's product computes just that, faster than loops here could; where it does not, and for the shapes that
//! burn sums otherwise, a loop does.

use burn::{
    backend::{
        Autodiff, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::NoCheckpointing},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        flex::FlexTensor,
        ops::FloatTensorOps,
    },
    tensor::{Tensor, TensorData},
};
use macerator::{AutoArch, Simd, VFma, WithSimd};

use crate::cpu::tensor::{OnCpu, on_cpu};

/// Columns of a block: burn sums as many in one chain, whatever the CPU's caches; of more, the caches say how many.
const BLOCK: usize = 512;

/// Entries up to which burn may sum by lanes, along the columns, as wide as the CPU's registers.
const FEW: usize = 256;

pub(crate) fn transposed(tensor: FlexTensor) -> FlexTensor {
    tensor.transpose(0, 1)
}

/// `a · b`
pub(crate) fn product(a: &FlexTensor, b: &FlexTensor) -> FlexTensor {
    let depth = a.layout().shape()[1];
    let block = |start: usize| {
        let columns = BLOCK.min(depth - start);
        block(a.narrow(1, start, columns), b.narrow(0, start, columns))
    };
    let mut sum = block(0);
    for start in (BLOCK..depth).step_by(BLOCK) {
        let (sums, block) = (sum.storage_mut::<f32>().iter_mut(), block(start));
        sums.zip(block.storage::<f32>()).for_each(|(sum, more)| *sum += more);
    }
    sum
}

fn block(a: FlexTensor, b: FlexTensor) -> FlexTensor {
    let shape = [a.layout().shape()[0], b.layout().shape()[1]];
    let depth = a.layout().shape()[1];
    let by_lanes = shape[0] * shape[1] <= FEW && a.layout().strides()[1] == 1 && b.layout().strides()[0] == 1;
    // Of one row, one column or so few products burn has loops of their own.
    let usual = shape[0] > 1 && shape[1] > 1 && depth > 2 && !by_lanes;
    if usual && AutoArch::new().dispatch(HasFma) {
        return Flex::float_matmul(a, b);
    }
    let (a, b) = (a.to_contiguous(), b.to_contiguous());
    let mut output = vec![0.0; shape[0] * shape[1]];
    AutoArch::new().dispatch(Chains { a: a.storage(), b: b.storage(), depth, output: &mut output });
    FlexTensor::from_data(TensorData::new(output, shape))
}

/// Whether the CPU multiplies and adds with one rounding.
struct HasFma;

impl WithSimd for HasFma {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self) -> bool {
        f32::is_accelerated::<S>()
    }
}

/// One chain an entry.
struct Chains<'a> {
    /// `[rows, depth]`
    a: &'a [f32],
    /// `[depth, columns]`
    b: &'a [f32],
    depth: usize,
    /// `[rows, columns]`, zeros.
    output: &'a mut [f32],
}

impl Chains<'_> {
    /// Calls `add` with an entry of `a`, a row of `b`, and the sums that their products are added to.
    #[inline(always)]
    fn run(self, add: impl Fn(f32, &[f32], &mut [f32])) {
        let columns = self.b.len() / self.depth;
        for (sums, a) in self.output.chunks_exact_mut(columns).zip(self.a.chunks_exact(self.depth)) {
            for (a, b) in a.iter().zip(self.b.chunks_exact(columns)) {
                add(*a, b, sums);
            }
        }
    }
}

impl WithSimd for Chains<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self) {
        if f32::is_accelerated::<S>() {
            self.run(add_fused);
        } else {
            self.run(add_emulated);
        }
    }
}

#[inline(always)]
fn add_fused(a: f32, b: &[f32], sums: &mut [f32]) {
    for (sum, b) in sums.iter_mut().zip(b) {
        *sum = a.mul_add(*b, *sum);
    }
}

/// [`add_fused`] where the instruction is missing and `mul_add` is a call: in f64, where products are exact, with what is in doubt
/// done once more.
#[inline(always)]
fn add_emulated(a: f32, b: &[f32], sums: &mut [f32]) {
    const LANES: usize = 16;
    let (b, rest) = b.as_chunks::<LANES>();
    let (sums, other_sums) = sums.as_chunks_mut::<LANES>();
    for (sums, b) in sums.iter_mut().zip(b) {
        let (mut rounded, mut doubtful) = ([0.0; LANES], false);
        for ((rounded, sum), b) in rounded.iter_mut().zip(&*sums).zip(b) {
            let exact = f64::from(a) * f64::from(*b) + f64::from(*sum);
            *rounded = exact as f32;
            // Halfway between two f32: on which side the sum lay before its first rounding is not seen. Of subnormal ones the halves are
            // elsewhere.
            let halfway = exact.to_bits() as u32 & 0x1fff_ffff == 0x1000_0000;
            doubtful |= halfway | (rounded.abs() <= f32::MIN_POSITIVE);
        }
        if doubtful {
            sums.iter_mut().zip(b).for_each(|(sum, b)| *sum = emulated_mul_add(a, *b, *sum));
        } else {
            *sums = rounded;
        }
    }
    other_sums.iter_mut().zip(rest).for_each(|(sum, b)| *sum = emulated_mul_add(a, *b, *sum));
}

/// `a b + c` with one rounding.
///
/// # Source
/// Boldo & Melquiond (2008), *Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd*: the product is exact
/// in f64, and a sum rounded to odd there and then to f32 is as if rounded once. The sum's error: Knuth, *The Art of Computer
/// Programming*, volume 2, section 4.2.2.
#[inline(always)]
fn emulated_mul_add(a: f32, b: f32, c: f32) -> f32 {
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    let part = sum - product;
    let error = (product - (sum - part)) + (c - part);
    // NaN, where the sum is not finite, is neither.
    let (above, below) = (error > 0.0, error < 0.0);
    let bits = sum.to_bits();
    let to_odd = u64::from(above | below) & !bits;
    let away_from_zero = if sum > 0.0 { above } else { below };
    f64::from_bits(if away_from_zero { bits + to_odd } else { bits - to_odd }) as f32
}

/// [`product`] of tensors that may be differentiable; burn's own where they are not on the CPU.
pub(crate) fn matmul(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    match (on_cpu(a.clone()), on_cpu(b.clone())) {
        (Ok(OnCpu::Plain(a)), Ok(OnCpu::Plain(b))) => Tensor::from_primitive::<Flex>(product(&a, &b)),
        (Ok(OnCpu::Differentiable(a)), Ok(OnCpu::Differentiable(b))) => {
            let preparation = Product.prepare::<NoCheckpointing>([a.node(), b.node()]).compute_bound().stateful();
            let factors = [a.into_primitive(), b.into_primitive()];
            let output = product(&factors[0], &factors[1]);
            let output = match preparation {
                OpsKind::Tracked(preparation) => preparation.finish(factors, output),
                OpsKind::UnTracked(preparation) => preparation.finish(output),
            };
            Tensor::from_primitive::<Autodiff<Flex>>(output)
        }
        _ => a.matmul(b),
    }
}

#[derive(Debug)]
struct Product;

impl Backward<Flex, 2> for Product {
    type State = [FlexTensor; 2];

    fn backward(self, ops: Ops<[FlexTensor; 2], 2>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let [a, b] = ops.state;
        let [a_node, b_node] = ops.parents;
        if let Some(node) = a_node {
            gradients.register::<Flex>(node.id, product(&gradient, &transposed(b)));
        }
        if let Some(node) = b_node {
            gradients.register::<Flex>(node.id, product(&transposed(a), &gradient));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of all magnitudes that f32 has, and special ones.
    fn numbers(count: usize) -> Vec<f32> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state
        };
        let special =
            [0.0, -0.0, 1.0, -1.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::from_bits(1), f32::EPSILON];
        let mut numbers = special.to_vec();
        while numbers.len() < count {
            let (bits, close) = (next() ^ (next() >> 16), next());
            // Half of them near one, so that sums cancel.
            let number = if close & (1 << 31) == 0 {
                f32::from_bits(bits)
            } else {
                f32::from_bits(bits & 0x807f_ffff | 0x3f80_0000)
            };
            if !number.is_nan() {
                numbers.push(number);
            }
        }
        numbers
    }

    /// Both ways in which a row's entries may go.
    fn assert_emulated(a: f32, b: f32, c: f32) {
        let expected = a.mul_add(b, c);
        let mut sums = [c; 17];
        add_emulated(a, &[b; 17], &mut sums);
        for found in [sums[0], sums[16]] {
            let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
            assert!(same, "{found:e} and not {expected:e} for {a:e} · {b:e} + {c:e}");
        }
    }

    #[test]
    fn the_emulated_multiply_add_is_the_instruction_s() {
        let numbers = numbers(300_000);
        numbers.windows(3).for_each(|abc| assert_emulated(abc[0], abc[1], abc[2]));
        let special = &numbers[..9];
        for (a, b) in special.iter().flat_map(|a| special.iter().map(move |b| (*a, *b))) {
            special.iter().for_each(|c| assert_emulated(a, b, -c));
        }
        // (1 + ε)(1 − ε) = 1 − ε²: half a step of c, but for less than f64 sees beside it.
        let (above, below) = (1.0 + f32::EPSILON, 1.0 - f32::EPSILON);
        for c in [1.0, above, -1.0, -above] {
            for half in [0.5 * f32::EPSILON, -0.5 * f32::EPSILON] {
                assert_emulated(above * half, below, c);
                assert_emulated(above * half, above, c);
                assert_emulated(half, 1.0, c);
            }
        }
        let wrong = f64::from(above * 0.5 * f32::EPSILON) * f64::from(below) + f64::from(above);
        assert_ne!(wrong as f32, (above * 0.5 * f32::EPSILON).mul_add(below, above), "the case above shows nothing");
    }

    /// As the module says it: blocks of chains, one entry at a time.
    fn by_entry(a: &[f32], b: &[f32], [rows, depth, columns]: [usize; 3]) -> Vec<f32> {
        let entries = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
        let entry = |(row, column): (usize, usize)| {
            let blocks = (0..depth).step_by(BLOCK).map(|start| {
                (start..depth.min(start + BLOCK))
                    .fold(0.0_f32, |sum, k| a[row * depth + k].mul_add(b[k * columns + column], sum))
            });
            blocks.reduce(|sum, block| sum + block).unwrap()
        };
        entries.map(entry).collect()
    }

    #[test]
    fn every_shape_and_order_of_memory_has_the_bits_of_its_chains() {
        let sizes = [1, 2, 3, 8, 16, 17, 40];
        let depths = [1, 2, 3, 8, 64, 511, 512, 513, 1100];
        let shapes = sizes.iter().flat_map(|rows| sizes.iter().map(move |columns| (*rows, *columns)));
        let shapes: Vec<_> = shapes.flat_map(|(rows, columns)| depths.map(|depth| [rows, depth, columns])).collect();
        // Enough for several threads.
        for shape in shapes.into_iter().chain([[300, 512, 200], [513, 300, 129]]) {
            let [rows, depth, columns] = shape;
            let values = |count: usize, seed: usize| -> Vec<f32> {
                (0..count).map(|i| ((i + seed) * 7919 % 10_007) as f32 / 5003.0 - 1.0).collect()
            };
            let (a, b) = (values(rows * depth, 1), values(depth * columns, 5));
            let expected = by_entry(&a, &b, shape);
            let matrix = |values: &[f32], shape: [usize; 2], turned: bool| {
                let plain = FlexTensor::from_data(TensorData::new(values.to_vec(), shape));
                if turned { transposed(transposed(plain).to_contiguous()) } else { plain }
            };
            for (a_turned, b_turned) in [(false, false), (false, true), (true, false), (true, true)] {
                let found = product(&matrix(&a, [rows, depth], a_turned), &matrix(&b, [depth, columns], b_turned));
                let found = found.to_contiguous();
                let same = found.storage::<f32>().iter().zip(&expected).all(|(found, expected)| found == expected);
                assert!(same, "{shape:?}, in memory {a_turned} {b_turned}");
            }
        }
    }

    #[test]
    fn the_loop_has_the_same_bits_with_and_without_the_instruction() {
        let numbers: Vec<f32> = numbers(64 * 48 + 48 * 24).iter().map(|v| v.clamp(-1e9, 1e9)).collect();
        let (a, b) = numbers.split_at(64 * 48);
        let [mut plain, mut emulated] = [(); 2].map(|()| vec![0.0; 64 * 24]);
        Chains { a, b, depth: 48, output: &mut plain }.run(add_fused);
        Chains { a, b, depth: 48, output: &mut emulated }.run(add_emulated);
        assert_eq!(plain, emulated);
    }

    #[test]
    fn gradients_are_those_of_burns_product() {
        let device = burn::tensor::Device::flex().autodiff();
        let leaf = |shape: [usize; 2]| {
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
            Tensor::<2>::from_data(TensorData::new(values, shape), &device).require_grad()
        };
        let gradients = |product: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let (a, b) = (leaf([30, 20]), leaf([20, 25]));
            let y = product(a.clone(), b.clone());
            let gradients = (y.clone() * y).sum().backward();
            [a, b].map(|leaf| crate::cpu::tensor::read(leaf.grad(&gradients).unwrap()).unwrap())
        };
        for (found, expected) in gradients(matmul).iter().flatten().zip(gradients(Tensor::matmul).iter().flatten()) {
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found} for {expected}");
        }
    }
}
