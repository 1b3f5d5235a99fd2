//! What `vae_train` in Python is made of: `vae-train`'s library and the core, with numbers taken from Python's buffers. Arguments are checked and
//! documented by the Python that stands over it (`python/vae_train`); nothing is computed here that the library does not compute.

mod detector;
mod errors;
mod fit;
mod listening;
mod model;
mod rows;
mod run;
mod scores;

#[pyo3::pymodule(gil_used = true)]
mod _native {
    #[pymodule_export]
    use crate::{
        detector::Detector,
        fit::{fit, settings},
        model::Model,
        run::{calibrate, export, model_of, report},
    };
}
