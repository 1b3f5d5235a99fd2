//! Windows that are made to cost a score more than others do: what is missing, far, extreme, or such that no activation is zero.

use rand::{Rng, RngExt};

/// Kinds of windows that [`fill`] makes.
pub const KINDS: [&str; 21] = [
    "missing",
    "alternating",
    "chunks",
    "half",
    "zeros",
    "means",
    "largest",
    "signs",
    "limits",
    "far",
    "nine",
    "single",
    "rising",
    "late",
    "subnormal",
    "gaps",
    "patterns",
    "farther",
    "wide",
    "first",
    "last",
];

/// Features that a score computes at a time.
const CHUNK: usize = 48;

/// Makes `x` a window of this kind. `normal` is an ordinary one; of feature `i` the mean is `mean[i]`, and `inverse_scale[i]` a standard deviation's reciprocal.
pub fn fill(kind: &str, x: &mut [f32], normal: &[f32], (mean, inverse_scale): (&[f32], &[f32]), rng: &mut impl Rng) {
    let len = x.len();
    for (index, (x, ((normal, mean), inverse_scale))) in
        x.iter_mut().zip(normal.iter().zip(mean).zip(inverse_scale)).enumerate()
    {
        let sign = if rng.random() { 1.0 } else { -1.0 };
        let (even, first, last) = (index % 2 == 0, index % CHUNK == 0, index % CHUNK == CHUNK - 1);
        let away = |deviations: f32| mean + sign * deviations / inverse_scale;
        *x = match kind {
            "missing" => f32::NAN,
            "alternating" if even => f32::NAN,
            "chunks" if first => f32::NAN,
            "half" if rng.random() => f32::NAN,
            "zeros" => 0.0,
            "means" => *mean,
            "largest" => f32::MAX,
            "signs" => sign * f32::MAX,
            "limits" => away(1e9),
            "far" => away(100.0),
            "nine" => away(9.0),
            "single" if last => away(70.0),
            "rising" => away(libm::exp2f(31.0 * index as f32 / len as f32 - 1.0)),
            "late" if index + 1 == len => away(1e6),
            "subnormal" => sign * 1e-40,
            "gaps" => {
                if even {
                    f32::NAN
                } else {
                    f32::MAX
                }
            }
            "patterns" => finite(f32::from_bits(rng.random())),
            "farther" if first => f32::NAN,
            "farther" => away(if last { 1e8 } else { 63.0 }),
            "wide" => away(40.0 * rng.random::<f32>()),
            "first" if index == 0 => f32::NAN,
            "last" if index + 1 == len => f32::NAN,
            _ => *normal,
        };
    }
}

/// Changes a few values of a window, as a search for the dearest one does from one step to the next.
pub fn change(x: &mut [f32], normal: &[f32], (mean, inverse_scale): (&[f32], &[f32]), rng: &mut impl Rng) {
    let (kind, spread) = (rng.random_range(0..12), rng.random_range(0.1..12.0f32));
    let (len, start) = (1 << rng.random_range(0..9), rng.random_range(0..x.len()));
    for (x, ((normal, mean), inverse_scale)) in
        x.iter_mut().zip(normal.iter().zip(mean).zip(inverse_scale)).skip(start).take(len)
    {
        *x = match kind {
            0 => f32::NAN,
            1 => 0.0,
            2 => *mean,
            3 => *normal,
            4 => mean + 65.0 * spread / inverse_scale,
            5 => f32::MAX,
            6 => finite(f32::from_bits(rng.random())),
            _ => mean + rng.random_range(-spread..spread) / inverse_scale,
        };
    }
}

/// Infinities, which no score takes, as the largest number.
fn finite(x: f32) -> f32 {
    if x.is_infinite() { f32::MAX } else { x }
}
