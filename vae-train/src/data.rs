//! From a table to standardised windows.

pub mod dataset;
pub mod drift;
pub mod front_end;
pub mod part;
pub mod windows;
