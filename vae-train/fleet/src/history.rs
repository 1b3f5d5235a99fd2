//! Histories: files of a fleet's past, found, checked and read in the order of time.

pub mod files;
pub mod order;
pub mod rows;
pub mod scan;
#[cfg(feature = "ballista")]
pub mod together;
