//! What may be given as a vector.

use nalgebra::{DVectorView, Dim, IsContiguous, Matrix, RawStorage, U1};

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
