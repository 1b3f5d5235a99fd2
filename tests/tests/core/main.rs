//! The core: on the host, on the emulated cores, and in C.

mod adaptation;
mod alarms;
mod bad_models;
mod bits;
mod c_interface;
mod categorical;
mod closed_forms;
mod covariance;
mod detector;
mod evidence;
mod example;
mod firmware;
mod footprint;
mod generation;
mod house;
mod kernels;
mod mel;
mod mixed;
mod normal;
mod numpy;
mod ota;
mod parity;
mod relations;
mod slot_search;
mod soak;
mod tiny_model;
