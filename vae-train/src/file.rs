//! Model files.

mod body;
pub mod calibration;
pub mod card;
mod layer;
pub mod model_file;
pub mod signing;
pub mod source_text;
