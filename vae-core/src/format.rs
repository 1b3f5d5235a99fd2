//! The model file: a fixed prelude and a postcard body, read in place. `FORMAT.md` specifies it byte by byte.
//!
//! The records here derive serde's traits and are what a writer serialises; `vae-train` holds the writer. A device reads them by a cursor of its own,
//! which is smaller and which the compiler can run, too.

pub(crate) mod check;
pub(crate) mod checksum;
pub(crate) mod cursor;
pub(crate) mod error;
pub(crate) mod feature;
pub(crate) mod kind;
pub(crate) mod prelude;
pub(crate) mod record;
#[cfg(feature = "signature")]
pub(crate) mod signature;
pub(crate) mod size;

pub use feature::Feature;
#[cfg(feature = "covariance")]
pub use kind::COVARIANCE_RANKS;
#[cfg(feature = "mixed")]
pub use kind::FeatureFamily;
pub use kind::{LikelihoodKind, PosteriorKind, Precision};
pub use prelude::{MAGIC, PRELUDE_LEN, Prelude, VERSION};
pub use record::{
    Card, GoldenVector, Header, LayerRecord, MAX_MIXED_INPUTS, NamedArray, RELATION_CONSTANTS, SecondStage,
    input_mixture_len, mixture_len, values,
};
pub use size::{MAX_INT8_COLUMNS, MAX_LAYER_SIDE, hidden_len, padded_rows, vector_len};
