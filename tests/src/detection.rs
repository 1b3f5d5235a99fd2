//! How well the trainer's recipe finds anomalies, next to classical detectors and to what others have published: what the programs
//! `detection` and `relations` measure and print.

pub mod figures;
pub mod folders;
pub mod measure;
pub mod print;
pub mod published;
pub mod standings;
pub mod stream;
