//! What may be given as a vector.

use nalgebra::{DVectorView, Dim, IsContiguous, Matrix, RawStorage, RawStorageMut, U1};

/// A vector of `f32` that lies in one piece in memory: a slice, an array or a nalgebra column vector.
pub trait AsVector {
    /// The values as a nalgebra view, without copying.
    fn as_vector(&self) -> DVectorView<'_, f32>;
}

impl AsVector for [f32] {
    fn as_vector(&self) -> DVectorView<'_, f32> {
        DVectorView::from_slice(self, self.len())
    }
}

impl<const N: usize> AsVector for [f32; N] {
    fn as_vector(&self) -> DVectorView<'_, f32> {
        DVectorView::from_slice(self, N)
    }
}

impl<R: Dim, S: RawStorage<f32, R, U1> + IsContiguous> AsVector for Matrix<f32, R, U1, S> {
    fn as_vector(&self) -> DVectorView<'_, f32> {
        DVectorView::from_slice(self.as_slice(), self.nrows())
    }
}

/// A vector of `f32` that lies in one piece in memory and is written to: a slice, an array or a nalgebra column vector.
pub trait AsVectorMut {
    /// The values, without copying; not as a view, which nalgebra makes with a panic that would stay in the smallest images.
    fn values_mut(&mut self) -> &mut [f32];
}

impl AsVectorMut for [f32] {
    fn values_mut(&mut self) -> &mut [f32] {
        self
    }
}

impl<const N: usize> AsVectorMut for [f32; N] {
    fn values_mut(&mut self) -> &mut [f32] {
        self
    }
}

impl<R: Dim, S: RawStorageMut<f32, R, U1> + IsContiguous> AsVectorMut for Matrix<f32, R, U1, S> {
    fn values_mut(&mut self) -> &mut [f32] {
        self.as_mut_slice()
    }
}

/// A view's values, for as long as what it views lives.
pub(crate) fn as_slice(view: DVectorView<'_, f32>) -> &[f32] {
    view.data.into_slice()
}

/// A window's values, in one piece in memory.
#[derive(Clone, Copy, Debug)]
pub enum Samples<'a> {
    /// In physical units; NaN means *not observed*.
    F32(&'a [f32]),
    /// As they come from a converter, for a model that was trained on the converter's counts.
    I16(&'a [i16]),
}

impl Samples<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F32(x) => x.len(),
            Self::I16(x) => x.len(),
        }
    }

    /// The value of a feature; NaN where there is none.
    pub(crate) fn get(&self, feature: usize) -> f32 {
        match self {
            Self::F32(x) => x.get(feature).copied(),
            Self::I16(x) => x.get(feature).copied().map(f32::from),
        }
        .unwrap_or(f32::NAN)
    }
}

/// A window: whatever is [`AsVector`], and slices and arrays of `i16` samples, which are not copied either.
///
/// A window of samples scores as the same numbers in `f32` would, bit for bit.
pub trait AsWindow {
    /// The window's values.
    fn as_window(&self) -> Samples<'_>;
}

impl<T: AsVector + ?Sized> AsWindow for T {
    fn as_window(&self) -> Samples<'_> {
        Samples::F32(self.as_vector().data.into_slice())
    }
}

impl AsWindow for [i16] {
    fn as_window(&self) -> Samples<'_> {
        Samples::I16(self)
    }
}

impl<const N: usize> AsWindow for [i16; N] {
    fn as_window(&self) -> Samples<'_> {
        Samples::I16(self)
    }
}
