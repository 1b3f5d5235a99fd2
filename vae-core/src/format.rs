//! The model file: a fixed prelude and a postcard body, read in place. `FORMAT.md` specifies it byte by byte.
//!
//! The records here derive serde's traits and are what a writer serialises; `vae-train` holds the writer.

pub(crate) mod checksum;
pub(crate) mod error;
pub(crate) mod kind;
pub(crate) mod prelude;
pub(crate) mod record;
#[cfg(feature = "signature")]
pub(crate) mod signature;
pub(crate) mod size;

pub use kind::{LikelihoodKind, PosteriorKind, Precision};
pub use prelude::{MAGIC, PRELUDE_LEN, Prelude, VERSION};
pub use record::{Card, GoldenVector, Header, LayerRecord, NamedArray, SecondStage, mixture_len, values};
pub use size::{MAX_INT8_COLUMNS, MAX_LAYER_SIDE, hidden_len, padded_rows, vector_len};
