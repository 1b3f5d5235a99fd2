//! Model files.

pub mod model_file;
pub mod signing;
