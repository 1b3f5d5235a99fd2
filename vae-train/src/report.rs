//! A run as a page for people: one HTML file that loads nothing; and a model's card for programs, `model_card`.
//!
//! [`Material`] is what the other modules have found out; nothing is computed here that `evaluate`, `calibrate`, `export` or `info` would
//! compute otherwise. [`Fitness`] says what it comes to, and each of the other modules draws a part: `training`, `scores`, `detection`,
//! `latent`, `windows`, `generated` and `device`, with `chart`, `bars` and `page` to draw with. Text is escaped by maud.

pub mod image;

mod bars;
mod chart;
mod detection;
mod device;
mod false_alarms;
mod generated;
mod latent;
pub mod material;
pub mod model_card;
mod page;
mod plane;
mod scores;
mod training;
mod verdict;
mod windows;
pub mod written;

use self::material::Material;
use anyhow::Result;
use maud::html;

use crate::fitness::Fitness;

impl Material<'_> {
    /// What it all comes to.
    #[must_use]
    pub fn verdict(&self) -> Fitness {
        verdict::fitness(self)
    }

    /// The page.
    ///
    /// # Errors
    /// If the model is faulty, or a window cannot be scored.
    pub fn page(&self) -> Result<String> {
        let title = format!("Anomaly detector of {}", self.run);
        let subtitle = training::subtitle(self)?;
        let mut sections = vec![("summary", "Summary", verdict::draw(&self.verdict(), self)?)];
        sections.push(("data", "Data and settings", training::data(self)?));
        sections.push(("training", "Training", training::curves(self)));
        sections.push(("scores", "Scores and threshold", scores::threshold(self)));
        if let Some(detection) = detection::detection(self) {
            sections.push(("detection", "Detection", detection));
        }
        sections.push(("windows", "Strangest windows", windows::worst(self)?));
        sections.push(("latent", "Latent space", latent::space(self)?));
        sections.push(("generated", "Generated windows", generated::generated(self)?));
        sections.push(("device", "On the device", device::device(self)?));
        sections.push(("glossary", "Words", glossary()));
        Ok(page::page(&title, &subtitle, &sections))
    }
}

fn glossary() -> maud::Markup {
    let words = [
        ("Window", "What is judged at once: one row of a table, or so many samples of a stream."),
        (
            "Score",
            "How well the model explains a window, in nats: the evidence lower bound (ELBO), or the log-likelihood where calibrate was \
             told so. Higher is more normal. It may be above 0, as a density may.",
        ),
        ("Nat", "A unit of improbability: each nat less is a window that is e = 2.7 times less probable."),
        ("Threshold", "A window that scores lower is anomalous, and votes for an alarm."),
        (
            "Alarm",
            "Raised when enough of the last windows vote for it. A rate such as 1 per week counts alarms, not windows.",
        ),
        (
            "Vote",
            "A window below the threshold. An alarm takes several of the last windows, 2 of 3 say, so that one odd window raises none.",
        ),
        (
            "Event",
            "A run of rows that are labelled 1: one fault, however many windows it takes. It is detected if an alarm is on during most of it.",
        ),
        (
            "p-value",
            "The chance that a normal window scores as low as this one or lower, by the windows that were calibrated on. Small is strange.",
        ),
        (
            "Drift",
            "Normal windows that are no longer like those calibrated on, though none is strange by itself: wear, a season, a sensor that ages. \
             It is reported and raises no alarm; a new baseline is made on the device.",
        ),
        (
            "Sensor's fault",
            "A channel repeats one value, stays at an end of its range or is missing: the sensor is to blame, not the machine, and no alarm is raised.",
        ),
        (
            "Prior",
            "How latent numbers are distributed over all normal windows, before one of them is looked at: what generated windows are drawn from.",
        ),
        ("Posterior", "How the latent numbers of one window are distributed, once it has been looked at."),
        (
            "Reconstruction",
            "What the model expects a window to look like, after compressing it into a few latent numbers.",
        ),
        (
            "KL",
            "Kullback–Leibler divergence from the prior: what the latent numbers of a window tell, in nats. Score = reconstruction term − KL.",
        ),
        ("AUROC", "The chance that an anomalous window scores lower than a normal one; 0.5 is guessing, 1 is perfect."),
        (
            "Average precision",
            "Area under the curve of precision over recall; guessing gives the share of anomalies in the data.",
        ),
    ];
    html! { dl class="words" { @for (word, meaning) in words { dt { (word) } dd { (meaning) } } } }
}
