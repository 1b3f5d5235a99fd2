//! How a fit goes, told to Python; Ctrl-C stops it.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use pyo3::{prelude::*, types::PyDict};
use vae_train::training::listener::{Listener, Progress};

/// How often Python is asked for signals, and told of steps.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells a callable what happens, as an event's name and its numbers, and stops for what it or a signal raises.
pub(crate) struct Listening {
    told: Option<Py<PyAny>>,
    raised: RefCell<Option<PyErr>>,
    asked: Cell<Instant>,
    shown: Instant,
}

impl Listening {
    pub(crate) fn new(told: Option<Py<PyAny>>) -> Self {
        let now = Instant::now();
        Self { told, raised: RefCell::new(None), asked: Cell::new(now), shown: now }
    }

    /// What was raised meanwhile, before what the library says of having been stopped.
    pub(crate) fn or_raised<T>(self, result: PyResult<T>) -> PyResult<T> {
        match self.raised.into_inner() {
            Some(raised) => Err(raised),
            None => result,
        }
    }

    fn tell(&self, event: &str, fill: impl FnOnce(&Bound<'_, PyDict>) -> PyResult<()>) {
        let Some(told) = &self.told else { return };
        let said = Python::attach(|py| {
            let numbers = PyDict::new(py);
            fill(&numbers)?;
            told.call1(py, (event, numbers)).map(drop)
        });
        if let Err(error) = said {
            self.raised.borrow_mut().get_or_insert(error);
        }
    }
}

impl Listener for Listening {
    fn note(&mut self, message: &str) {
        self.tell("note", |numbers| numbers.set_item("message", message));
    }

    fn progress(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Begun { epochs } => self.tell("begun", |numbers| numbers.set_item("epochs", epochs)),
            Progress::Step { epoch, windows, of, elbo } if self.shown.elapsed() >= PAUSE => {
                self.shown = Instant::now();
                self.tell("step", |numbers| {
                    numbers.set_item("epoch", epoch)?;
                    numbers.set_item("windows", windows)?;
                    numbers.set_item("of", of)?;
                    numbers.set_item("elbo", elbo)
                });
            }
            Progress::Step { .. } => {}
            Progress::Epoch(metrics, checkpoint) => self.tell("epoch", |numbers| {
                numbers.set_item("epoch", metrics.epoch)?;
                numbers.set_item("elbo", metrics.elbo)?;
                numbers.set_item("validation_elbo", metrics.validation_elbo)?;
                numbers.set_item("reconstruction", metrics.reconstruction)?;
                numbers.set_item("kl", metrics.kl)?;
                numbers.set_item("best_epoch", checkpoint.best_epoch)
            }),
            Progress::TakenBack(divergence) => {
                self.note(&format!(
                    "training diverged in {divergence}; the epoch is repeated at half the learning rate"
                ));
            }
            Progress::Lost(lost, devices) => {
                self.note(&format!("{lost}; the epoch is repeated on {}", devices.list()));
            }
            Progress::Ended => self.tell("ended", |_| Ok(())),
        }
    }

    fn is_stopped(&self) -> bool {
        if self.raised.borrow().is_some() {
            return true;
        }
        if self.asked.get().elapsed() < PAUSE {
            return false;
        }
        self.asked.set(Instant::now());
        match Python::attach(|py| py.check_signals()) {
            Ok(()) => false,
            Err(error) => {
                self.raised.replace(Some(error));
                true
            }
        }
    }
}
