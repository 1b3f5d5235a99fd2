//! Tables, from files of several formats, each read once.
//!
//! [`open::open`] is the one way in: what it gives holds the numbers and all else that is to be known of the file, so that
//! nobody opens it again, and a pipe does as well.

mod array_shape;
mod blanks;
mod calendar;
pub(crate) mod categories;
pub mod category;
pub mod clock;
pub mod copy;
mod csv;
mod csv_text;
mod dialect;
mod encoding;
mod fields;
mod fillers;
mod format;
mod groups;
mod growth;
mod header;
mod idx;
mod intervals;
mod labels;
mod lines;
pub mod long_recording;
pub mod long_table;
mod meant;
pub mod memory;
mod npy;
mod npz;
pub mod open;
mod origin;
mod packed;
#[cfg(feature = "parquet")]
mod parquet;
mod pcm;
pub mod portions;
pub mod reading;
pub mod recording;
mod riff;
pub(crate) mod roles;
mod rows;
pub mod several;
pub mod sorting;
mod source;
pub mod spool;
mod steps;
pub mod table;
mod texts;
mod time_unit;
mod times;
mod unread;
mod wav;
