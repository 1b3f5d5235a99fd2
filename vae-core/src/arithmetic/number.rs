//! Numbers within bounds, and what is kept where `f32` cannot hold one.

pub(crate) const LN_TWO_PI: f32 = 1.837_877_1;

/// `v` within the bounds; without the panic of `f32::clamp` for bounds that a hostile file has out of order.
pub(crate) fn clamp(v: f32, (low, high): (f32, f32)) -> f32 {
    if v > high {
        high
    } else if v < low {
        low
    } else {
        v
    }
}

/// An average that comes to `value` now; as it was where `f32` cannot hold that, which would stay so for ever.
pub(crate) fn held(average: f32, value: f32) -> f32 {
    if value.is_finite() { value } else { average }
}

/// A number that is computed from measurements, where `f32` can hold it; the nearest that it can hold where it cannot, and the greatest for NaN, a
/// quotient of such: far from everything ordinary, and no reason to give a window up.
pub(crate) fn finite(value: f32) -> f32 {
    if value.is_nan() { f32::MAX } else { clamp(value, (f32::MIN, f32::MAX)) }
}
