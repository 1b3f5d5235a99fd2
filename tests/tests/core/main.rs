//! The core: on the host, on the emulated cores, and in C.

mod adaptation;
mod alarms;
mod bad_models;
mod bits;
mod c_interface;
mod closed_forms;
mod detector;
mod example;
mod firmware;
mod footprint;
mod generation;
mod house;
mod kernels;
mod normal;
mod ota;
mod parity;
mod slot_search;
mod soak;
mod tiny_model;
