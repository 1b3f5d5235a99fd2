//! From a table to standardised windows.

pub(crate) mod columns;
pub mod cuts;
pub mod dataset;
pub mod drift;
pub(crate) mod families;
pub mod fingerprint;
pub mod for_model;
pub mod front_end;
pub mod held_out;
pub mod outliers;
pub mod part;
pub mod schema;
pub mod standardiser;
pub mod windows;
