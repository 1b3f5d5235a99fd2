//! What has been seen of a device so far.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use serde::Serialize;
use vae_core::Verdict;

use super::history::History;
use crate::{
    device_log::{Content, Line},
    scoring::detection::{Verdicts, verdict_in_words},
    words::foreign::short,
};

/// What has been seen so far.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Seen {
    pub(super) source: String,
    pub(super) lines: usize,
    /// Lines with a verdict that cannot be read, or longer than a line, and frames that cannot be decoded.
    pub(super) malformed: usize,
    /// Those with a verdict that cannot be read.
    pub(super) unreadable: usize,
    /// The score below which a window votes for an alarm, in nats.
    pub(super) threshold: Option<f32>,
    #[serde(flatten)]
    pub(super) verdicts: Verdicts,
    pub(super) out: Option<PathBuf>,
    /// The channels'.
    #[serde(skip)]
    pub(super) names: Vec<String>,
    #[serde(skip)]
    pub(super) last: Option<Verdict>,
    /// Number and text of the first line with a verdict that cannot be read.
    #[serde(skip)]
    pub(super) first_unreadable: Option<(usize, String)>,
    /// Whether the device's alarm is raised.
    #[serde(skip)]
    pub(super) is_raised: bool,
    #[serde(skip)]
    pub(super) history: History,
}

impl Seen {
    pub(super) fn in_words(&self, verdict: &Verdict) -> String {
        verdict_in_words(verdict, &self.names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Takes a line that came so many seconds after the beginning.
    pub(super) fn push(&mut self, line: &Line, seconds: f64) {
        self.lines += 1;
        match line.content {
            Content::Verdict(verdict) => {
                let is_news = self.last.is_none_or(|last| self.in_words(&last) != self.in_words(&verdict));
                self.verdicts.count(&verdict);
                let was_raised = self.is_raised;
                self.is_raised = match verdict {
                    Verdict::Anomalous(_) => true,
                    Verdict::Normal(_) | Verdict::Drifting(_) => false,
                    Verdict::SensorFault(_) => was_raised, // the window has no vote
                };
                self.verdicts.alarms += usize::from(self.is_raised && !was_raised);
                self.last = Some(verdict);
                self.history.push(line.time.unwrap_or(seconds), verdict);
                if is_news {
                    self.history.say(&line.text);
                }
            }
            Content::Threshold(nats) => self.threshold = Some(nats),
            Content::Remark => self.history.say(&line.text),
            Content::Malformed => {
                self.malformed += 1;
                self.unreadable += 1;
                self.history.say(&format!("cannot be read: {}", line.text));
                self.first_unreadable.get_or_insert_with(|| (self.lines, shortened(&line.text)));
            }
            Content::Noise => self.malformed += 1,
        }
    }

    /// Whether all of a log that has ended was understood.
    pub(super) fn check(&self, formats: Option<&Path>) -> Result<()> {
        let Self { source, lines, malformed, unreadable, .. } = self;
        ensure!(
            self.history.has_verdicts(),
            "{source}: no verdict in {lines} line(s), {malformed} of them malformed: the firmware must print one `vae_core::Verdict` a \
             line, as in `{EXAMPLE}`{}",
            if formats.is_none() {
                "; if it logs by defmt, give --elf"
            } else {
                "; if it prints text, leave out --elf"
            }
        );
        if let Some((number, text)) = &self.first_unreadable {
            bail!(
                "{source}: {unreadable} of {lines} line(s) have a verdict that cannot be read and is not counted, first line {number}: \
                 `{text}`: the firmware must print a `vae_core::Verdict` as it is, as in `{EXAMPLE}`"
            );
        }
        Ok(())
    }

    pub(super) fn summary(&self) -> String {
        let Verdicts { normal, anomalous, sensor_fault, drifting, alarms } = self.verdicts;
        let mut text = format!(
            "{}: {} lines, {} malformed; {alarms} alarm(s); windows by verdict: {normal} normal, {anomalous} anomalous, {sensor_fault} with a \
             sensor's fault, {drifting} drifting",
            self.source, self.lines, self.malformed
        );
        if let Some(out) = &self.out {
            text += &format!("\nwritten to {}", out.display());
        }
        text
    }
}

/// A line's text, of which a message has room for the beginning.
pub(super) fn shortened(text: &str) -> String {
    short(text, LONGEST_SHOWN).into_owned()
}

/// Characters of a line that a message shows, and lines that messages are about: a wrong baud rate makes many.
const LONGEST_SHOWN: usize = 200;

const EXAMPLE: &str = "12.00 s  normal  412.345 nats, p = 0.226";
