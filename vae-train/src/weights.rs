//! What a network is made of once it is fitted.

pub mod attribute;
pub mod dense;
pub mod family;
pub mod mixture;
pub mod posteriors;
pub mod quantised;
pub mod relations;
pub mod second_stage;
