//! Words, numbers and files, as people read them.

pub mod foreign;
pub mod input;
pub(crate) mod messages;
pub(crate) mod numbers;
pub mod output;
pub mod rates;
