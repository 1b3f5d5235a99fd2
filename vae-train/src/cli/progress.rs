//! Progress on standard error: a bar on a terminal, now and then a line in a pipe.

use std::{
    io::IsTerminal,
    path::Path,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::terminal::tell;
use crate::{
    cli::context::note,
    training::{
        checkpoint::{Checkpoint, EpochMetrics},
        listener::{Listener, Progress},
    },
    words::foreign::line,
};

/// At least this long between two lines in a pipe.
const BETWEEN_LINES: Duration = Duration::from_secs(5);
/// At least this long between two changes of what a terminal shows.
const BETWEEN_DRAWS: Duration = Duration::from_millis(100);

/// Where progress goes, and when it last did.
struct Display {
    /// `None` in a pipe.
    bar: Option<ProgressBar>,
    shown: Instant,
}

impl Display {
    #[expect(clippy::disallowed_methods, reason = "nothing is printed")]
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            // A template that indicatif does not take would cost the bar its look, not the fit.
            let style = ProgressStyle::with_template("{wide_bar} {percent} % {prefix}\n{wide_msg}");
            ProgressBar::new(1).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, shown: Instant::now() }
    }

    /// Whether it is time for something new.
    fn is_due(&self) -> bool {
        self.shown.elapsed() >= if self.bar.is_some() { BETWEEN_DRAWS } else { BETWEEN_LINES }
    }

    /// Shows a message and how fast things go.
    fn show(&mut self, done: usize, of: usize, message: &str, pace: &str) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(of as u64);
                bar.set_position(done as u64);
                bar.set_prefix(pace.to_owned());
                bar.set_message(line(message).into_owned());
            }
            None => tell(&format!("{message}; {pace}")),
        }
        self.shown = Instant::now();
    }

    fn note(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note(message)),
            None => note(message),
        }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Progress of reading a file, silent for one that is read at once.
pub(super) fn reading(path: &Path) -> impl FnMut(usize, Option<f64>) + use<> {
    let name = path.display().to_string();
    let mut display = Display::new();
    move |rows, part| {
        if display.is_due() {
            let percent = part.map(|part| (100.0 * part) as usize);
            let pace = percent.map_or(format!("{rows} rows"), |percent| format!("{rows} rows, {percent} %"));
            display.show(percent.unwrap_or(0), 100, &format!("reading {name}"), &pace);
        }
    }
}

/// Progress of a fit, which Ctrl-C stops.
#[derive(Default)]
pub(super) struct Fitting {
    /// While training runs.
    training: Option<Training>,
}

impl Listener for Fitting {
    fn note(&mut self, message: &str) {
        match &self.training {
            Some(training) => training.display.note(message),
            None => note(message),
        }
    }

    fn progress(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Begun { epochs } => self.training = Some(Training::new(epochs)),
            Progress::Ended => self.training.take().map_or((), Training::finish),
            progress => self.training.iter_mut().for_each(|training| training.show(progress)),
        }
    }

    fn is_stopped(&self) -> bool {
        interrupted().load(Ordering::Relaxed)
    }
}

/// What is shown while training runs.
struct Training {
    display: Display,
    /// Most epochs.
    epochs: usize,
    started: Instant,
    /// Windows trained on since then.
    windows: usize,
    /// Of them, in this epoch.
    in_epoch: usize,
    /// Windows in an epoch.
    of: usize,
    /// What was said of the last epoch, and whether it was shown.
    latest: Option<(String, bool)>,
}

impl Training {
    fn new(epochs: usize) -> Self {
        let started = Instant::now();
        Self { display: Display::new(), epochs, started, windows: 0, in_epoch: 0, of: 1, latest: None }
    }

    fn show(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Begun { .. } | Progress::Ended => {}
            Progress::Step { epoch, windows, of, elbo } => self.step(epoch, windows, of, elbo),
            Progress::Epoch(metrics, checkpoint) => self.epoch(metrics, checkpoint),
            Progress::TakenBack(divergence) => {
                self.in_epoch = 0;
                self.display.note(&format!(
                    "training diverged in {divergence}; the epoch is repeated at half the learning rate"
                ));
            }
            Progress::Lost(lost, devices) => {
                self.in_epoch = 0;
                self.display.note(&format!("{lost}; the epoch is repeated on {}", devices.list()));
            }
        }
    }

    fn step(&mut self, epoch: usize, windows: usize, of: usize, elbo: f64) {
        self.windows += if windows > self.in_epoch { windows - self.in_epoch } else { windows };
        (self.in_epoch, self.of) = (windows, of);
        if self.display.is_due() {
            let percent = 100 * windows / of;
            let message = format!("epoch {epoch} of {}: {percent} % of {of} windows, ELBO {elbo:.3}", self.epochs);
            // A terminal has one line for both.
            let before = self.latest.as_ref().filter(|_| self.display.bar.is_some());
            let message = before.map_or(message, |(latest, _)| latest.clone());
            self.display_at(epoch - 1, windows, &message);
        }
    }

    fn epoch(&mut self, metrics: &EpochMetrics, checkpoint: &Checkpoint) {
        // What matters first: a narrow terminal cuts the rest off.
        let message = format!(
            "epoch {} of {}: ELBO {:.3}, validation {:.3} (best {:.3} in epoch {}), reconstruction {:.3}, KL {:.3}",
            metrics.epoch,
            self.epochs,
            metrics.elbo,
            metrics.validation_elbo,
            checkpoint.best_elbo(),
            checkpoint.best_epoch,
            metrics.reconstruction,
            metrics.kl
        );
        let shown = self.latest.is_none() || self.display.is_due();
        if shown {
            self.display_at(metrics.epoch, 0, &message);
        }
        self.latest = Some((message, shown));
        self.in_epoch = 0;
    }

    /// Shows a message with the rate and the time left after `epochs` epochs and `windows` windows of the next.
    fn display_at(&mut self, epochs: usize, windows: usize, message: &str) {
        let (done, of) = (epochs * self.of + windows, self.epochs * self.of);
        let rate = self.windows as f64 / self.started.elapsed().as_secs_f64().max(1e-3);
        let left = Duration::from_secs_f64((of.saturating_sub(done)) as f64 / rate.max(1e-3));
        let pace = format!("{rate:.0} windows/s, at most {} left", HumanDuration(left));
        self.display.show(done, of, message, &pace);
    }

    /// Shows the last epoch, where that has not happened yet.
    fn finish(mut self) {
        if let Some((message, false)) = self.latest.take()
            && self.display.bar.is_none()
        {
            tell(&message);
        }
    }
}

/// Set by Ctrl-C.
pub(super) fn interrupted() -> &'static AtomicBool {
    static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(|| {
        let flag = Arc::new(AtomicBool::new(false));
        let set = flag.clone();
        if let Err(error) = ctrlc::set_handler(move || set.store(true, Ordering::Relaxed)) {
            note(&format!("Ctrl-C will end the program at once ({error}); what is written is kept all the same"));
        }
        flag
    });
    &INTERRUPTED
}
