//! Tables, from files of several formats.

pub mod clock;
pub mod format;
pub mod idx;
pub mod npy;
pub mod open;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod table;
pub mod wav;
