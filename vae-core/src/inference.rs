//! What is asked of a model: encoding, decoding, scores, new windows, and whether it is sound.

pub(crate) mod attribute;
pub(crate) mod decode;
pub(crate) mod elbo;
pub(crate) mod encode;
pub(crate) mod estimator;
pub(crate) mod evidence;
pub(crate) mod generate;
pub(crate) mod importance;
pub(crate) mod related;
pub(crate) mod score_kind;
pub(crate) mod self_test;
pub(crate) mod vae;
pub(crate) mod verify;
