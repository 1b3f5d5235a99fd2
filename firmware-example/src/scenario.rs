//! What the demonstration's motor and its sensor go through, and what is printed of it. The host's test has the same file, and expects
//! the same lines.

use core::{
    fmt,
    mem::{Discriminant, discriminant},
};

use vae_core::Verdict;

use super::motor::Condition;

/// Of the motor.
pub const SEED: u64 = 1;
/// The detector gives a verdict every so many samples.
const HOP: u32 = 32;
/// As long as nothing changes, every so many verdicts are printed.
const EVERY: u32 = 1000;

/// A part of the demonstration.
pub struct Part {
    /// What happens.
    pub title: &'static str,
    /// Verdicts that it is long.
    pub windows: u32,
    /// Of the motor.
    pub condition: Condition,
    /// What the sensor multiplies accelerations by, at the part's beginning and its end.
    gain: (f32, f32),
    /// What happens beside.
    pub event: Event,
}

/// What happens while a part lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing else.
    None,
    /// Somebody has looked at the machine, and presses the button that makes its present state the normal one.
    Rebaseline,
    /// The cable of the sensor's z axis is torn.
    TornCable,
}

impl Part {
    const fn new(title: &'static str, windows: u32, gain: (f32, f32)) -> Self {
        Self { title, windows, condition: Condition::Normal, gain, event: Event::None }
    }

    /// Samples that it is long.
    pub fn samples(&self) -> u32 {
        HOP * self.windows
    }

    /// What the sensor shows of the part's sample with this index.
    pub fn sense(&self, index: u32, sample: [f32; 3]) -> [f32; 3] {
        let gain = self.gain.0 + (self.gain.1 - self.gain.0) * (index as f32 / self.samples() as f32);
        let [x, y, z] = sample.map(|value| gain * value);
        [x, y, if self.event == Event::TornCable { f32::NAN } else { z }]
    }
}

/// Before the power is lost.
pub const BEFORE: [Part; 4] = [
    Part::new("the motor runs normally", 600, (1.0, 1.0)),
    Part::new("the sensor's gain drifts by 0.8 %, in six minutes", 18_000, (1.0, 1.008)),
    Part {
        event: Event::Rebaseline,
        ..Part::new("the machine is inspected and found healthy: a new baseline is made", 3600, (1.008, 1.008))
    },
    Part::new("it runs on", 300, (1.008, 1.008)),
];

/// After the power is back.
pub const AFTER: [Part; 6] = [
    Part::new("it runs as before", 300, (1.008, 1.008)),
    Part { condition: Condition::StuckSensor, ..Part::new("the sensor's x axis sticks", 100, (1.008, 1.008)) },
    Part::new("it recovers", 100, (1.008, 1.008)),
    Part { event: Event::TornCable, ..Part::new("the cable of the z axis is torn", 100, (1.008, 1.008)) },
    Part::new("it is repaired", 200, (1.008, 1.008)),
    Part { condition: Condition::Bearing, ..Part::new("a bearing spalls", 300, (1.008, 1.008)) },
];

/// Prints when the verdict changes, and now and then while it does not: the lines that `vae-train watch` reads.
pub struct Log<W> {
    out: W,
    seconds: f32,
    /// The last verdict's kind, and how often it came since it was printed.
    kind: Option<Discriminant<Verdict>>,
    count: u32,
}

impl<W: fmt::Write> Log<W> {
    /// A log that has nothing to say yet.
    pub fn new(out: W) -> Self {
        Self { out, seconds: 0.0, kind: None, count: 0 }
    }

    /// Says how late it is.
    pub fn set_time(&mut self, seconds: f32) {
        self.seconds = seconds;
    }

    /// Prints what happens.
    pub fn event(&mut self, event: fmt::Arguments<'_>) {
        // Where nobody listens, the detector works all the same.
        let _ = writeln!(self.out, "{:>6.2} s  -- {event}", self.seconds);
        self.kind = None;
    }

    /// Prints the score below which a window votes for an alarm.
    pub fn threshold(&mut self, nats: f32) {
        let _ = writeln!(self.out, "{:>6.2} s  threshold     {nats:.3} nats", self.seconds);
    }

    /// Takes a verdict.
    pub fn verdict(&mut self, verdict: &Verdict) {
        let kind = Some(discriminant(verdict));
        if kind != self.kind || self.count == EVERY {
            let _ = writeln!(self.out, "{:>6.2} s  {verdict}", self.seconds);
            (self.kind, self.count) = (kind, 0);
        }
        self.count += 1;
    }
}
