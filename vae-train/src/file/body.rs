//! A model file's body in the making.

use anyhow::{Context, Result};
use serde::Serialize;
use vae_core::format::PRELUDE_LEN;

/// A postcard message in the making.
#[derive(Default)]
pub(super) struct Body(pub(super) Vec<u8>);

impl Body {
    /// A value as postcard has it.
    pub(super) fn value(&mut self, value: &impl Serialize) -> Result<()> {
        self.0 = postcard::to_extend(value, std::mem::take(&mut self.0)).context("cannot serialise a record")?;
        Ok(())
    }

    /// A byte string that ends with `values`, the first of which lies at a multiple of four from the start of the file.
    pub(super) fn array<T: bytemuck::NoUninit>(&mut self, values: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(values);
        // The length is a varint whose own length grows at multiples of four (128, 16384, …), which padding cannot cross
        // as long as the values' length is a multiple of four; halfwords come in fours.
        let length = postcard::to_allocvec(&(bytes.len() as u64)).context("cannot serialise a length")?.len();
        let padding = (4 - (PRELUDE_LEN + self.0.len() + length) % 4) % 4;
        self.value(&((bytes.len() + padding) as u64))?;
        self.0.extend(std::iter::repeat_n(0, padding));
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}
