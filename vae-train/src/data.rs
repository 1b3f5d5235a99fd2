//! From a table to standardised windows.

pub mod blocks;
pub(crate) mod columns;
pub mod cuts;
pub mod dataset;
pub mod dataset_in_blocks;
pub mod drift;
pub(crate) mod families;
pub mod fingerprint;
pub mod footprint;
pub mod for_model;
pub mod front_end;
pub mod held_out;
pub mod outliers;
pub mod part;
pub mod schema;
pub mod spooled_table;
pub mod standardiser;
pub mod stream_for_model;
pub mod supply;
pub mod windows;
