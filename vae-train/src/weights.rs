//! What a network is made of once it is fitted.

pub mod attribute;
pub mod dense;
pub mod family;
pub mod mixture;
pub mod quantised;
pub mod second_stage;
