//! Errors as Python's exceptions, with the program's words.

use std::io;

use pyo3::{
    PyErr,
    exceptions::{PyFileNotFoundError, PyOSError, PyPermissionError, PyValueError},
};

/// What an error of the library is in Python: of the system's, an `OSError`; else a `ValueError`.
pub(crate) fn raised(error: anyhow::Error) -> PyErr {
    let words = format!("{error:#}");
    match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => PyFileNotFoundError::new_err(words),
        Some(io::ErrorKind::PermissionDenied) => PyPermissionError::new_err(words),
        Some(_) => PyOSError::new_err(words),
        None => PyValueError::new_err(words),
    }
}
