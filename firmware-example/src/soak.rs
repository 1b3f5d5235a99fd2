//! A stream in which all that can happen to a detector happens, in seeded order, for as long as one likes. The host's soak has the same
//! file, and compares.

use vae_core::{Detector, DetectorError, Scratch, Verdict};

/// Channels of the stream.
pub const CHANNELS: usize = 2;

/// What the sensors can give: −`RANGE` to `RANGE`.
pub const RANGE: f32 = 1000.0;

/// What the stream does for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Episode {
    Normal,
    /// The first channel's level goes away and comes back.
    Drift,
    /// The amplitude goes up and comes back.
    Growth,
    /// The amplitude is larger at once and stays so.
    Fault,
    /// The same, by so little that no window shows it.
    SmallFault,
    Stuck,
    Missing,
    Wild,
    /// Beyond the sensor's range, or infinite.
    Spike,
}

/// What happens before a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing.
    None,
    /// Samples were lost.
    Gap,
    /// A new baseline is asked for.
    Rebaseline,
    /// The power fails: a snapshot is all that is left.
    Restart,
    /// The alarm is acknowledged, if there is one.
    Acknowledge,
    /// The machine is replaced by one as it was calibrated.
    Forget,
}

/// Two channels that depend on each other, and what befalls them.
#[derive(Clone, Debug)]
pub struct Stream {
    random: u64,
    is_eventful: bool,
    level: f32,
    episode: Episode,
    length: u32,
    left: u32,
    /// Of the episode, between −1 and 1, and the channel that it befalls.
    strength: f32,
    channel: usize,
    last: [f32; CHANNELS],
}

impl Stream {
    /// A stream in which nothing happens, or everything.
    #[must_use]
    pub fn new(seed: u64, is_eventful: bool) -> Self {
        Self {
            random: seed,
            is_eventful,
            level: 0.0,
            episode: Episode::Normal,
            length: 1,
            left: 0,
            strength: 0.0,
            channel: 0,
            last: [0.0; CHANNELS],
        }
    }

    /// SplitMix64 (Steele, Lea & Flood 2014).
    fn next(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed >> 32) as u32
    }

    /// Between 0 and 1.
    fn uniform(&mut self) -> f32 {
        (self.next() >> 8) as f32 / 16_777_216.0
    }

    /// Of mean 0 and variance 1, nearly Gaussian.
    fn noise(&mut self) -> f32 {
        let sum = self.uniform() + self.uniform() + self.uniform() + self.uniform();
        1.732_050_8 * (sum - 2.0)
    }

    /// The next sample, and what happens before it.
    pub fn sample(&mut self) -> (Event, [f32; CHANNELS]) {
        let event = if self.left == 0 && self.is_eventful { self.begin() } else { Event::None };
        self.left = self.left.saturating_sub(1);
        self.level = 0.9 * self.level + 0.435_889_9 * self.noise();
        // A triangle: away and back.
        let done = 1.0 - self.left as f32 / self.length as f32;
        let extent = self.strength * (1.0 - (2.0 * done - 1.0).abs());
        let gain = match self.episode {
            Episode::Growth => 1.0 + 0.5 * extent,
            Episode::Fault => 2.0 + 0.5 * self.strength,
            Episode::SmallFault => 1.2 + 0.1 * self.strength,
            Episode::Wild => 6.0,
            _ => 1.0,
        };
        let mut sample = [3.0 + gain * self.level, gain * (0.5 * self.level + 0.3 * self.noise()) - 1.0];
        match self.episode {
            Episode::Drift => sample[0] += 2.0 * extent,
            Episode::Stuck => sample[self.channel % CHANNELS] = self.last[self.channel % CHANNELS],
            Episode::Missing => sample[self.channel % CHANNELS] = f32::NAN,
            Episode::Spike => {
                sample[self.channel % CHANNELS] =
                    if self.strength > 0.5 { f32::INFINITY } else { 1e30 * self.strength };
            }
            Episode::Normal | Episode::Growth | Episode::Fault | Episode::SmallFault | Episode::Wild => {}
        }
        self.last = sample;
        (event, sample)
    }

    /// Draws the next episode, and what happens before it; a fault may last over that, and every other episode is a normal one.
    fn begin(&mut self) -> Event {
        let (draw, of) = (self.next(), self.next() % 64);
        let is_faulty = matches!(self.episode, Episode::Fault | Episode::SmallFault);
        let event = match (is_faulty, of) {
            (true, 0..16) => Event::Acknowledge,
            (true, 16..24) | (false, 16..18) => Event::Rebaseline,
            (true, 24..28) | (false, 24..30) => Event::Restart,
            (true, 28..32) | (false, 30..36) => Event::Gap,
            (true, 32) | (false, 36) => Event::Forget,
            (false, 0..2) => Event::Acknowledge,
            _ => Event::None,
        };
        let (episode, least, range) = match (self.episode, draw % 32) {
            (Episode::Fault, 0..8) => (Episode::Fault, 100, 4_000),
            (Episode::SmallFault, 0..8) => (Episode::SmallFault, 1_000, 10_000),
            (Episode::Normal, 0) => (Episode::Drift, 5_000, 60_000),
            (Episode::Normal, 1) => (Episode::Growth, 5_000, 60_000),
            (Episode::Normal, 2..6) => (Episode::Stuck, 2, 60),
            (Episode::Normal, 6..10) => (Episode::Missing, 1, 12),
            (Episode::Normal, 10..14) => (Episode::Wild, 4, 100),
            (Episode::Normal, 14..16) => (Episode::Spike, 1, 2),
            (Episode::Normal, 16..20) => (Episode::Fault, 100, 4_000),
            (Episode::Normal, 20..23) => (Episode::SmallFault, 1_000, 10_000),
            _ => (Episode::Normal, 100, 4_000),
        };
        self.episode = episode;
        self.length = least + self.next() % range;
        self.left = self.length;
        self.strength = 2.0 * self.uniform() - 1.0;
        self.channel = (self.next() >> 16) as usize;
        event
    }
}

/// What came of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// What happened before it.
    pub event: Event,
    /// Why the detector would not have it.
    pub refusal: Option<DetectorError>,
    /// The sample.
    pub sample: [f32; CHANNELS],
    /// Whether it completed a window.
    pub is_complete: bool,
    /// The verdict on that window.
    pub verdict: Option<Verdict>,
}

/// Lets the next thing happen to a detector. `record` has room for a snapshot, `baseline` are the windows of a new baseline.
///
/// # Errors
/// The detector's.
pub fn advance(
    stream: &mut Stream,
    detector: &mut Detector<'_, '_>,
    scratch: &mut Scratch<'_>,
    (record, baseline): (&mut [u8], u32),
) -> Result<Outcome, DetectorError> {
    let (event, sample) = stream.sample();
    let happened = match event {
        Event::None => Ok(()),
        Event::Gap => {
            detector.gap();
            Ok(())
        }
        Event::Rebaseline => detector.rebaseline(baseline),
        Event::Restart => {
            detector.snapshot(record)?;
            // All is forgotten; what comes back was in the record.
            detector.forget().and_then(|()| detector.restore(record))
        }
        Event::Acknowledge => {
            detector.acknowledge();
            Ok(())
        }
        Event::Forget => detector.forget(),
    };
    let refusal = match happened {
        Ok(()) => None,
        Err(refusal @ (DetectorError::Alarmed | DetectorError::Locked)) => Some(refusal),
        Err(error) => return Err(error),
    };
    let is_complete = detector.feed(&sample)?;
    let verdict = loop {
        if let core::task::Poll::Ready(verdict) = detector.step(scratch)? {
            break verdict;
        }
    };
    Ok(Outcome { event, refusal, sample, is_complete, verdict })
}

/// Mixes a verdict into a digest of those before it (FNV-1a, by words).
#[must_use]
pub fn digest(hash: u32, verdict: Option<Verdict>) -> u32 {
    let words = match verdict {
        None => [0; 4],
        Some(Verdict::Normal(window)) => [1, window.score.to_bits(), window.p_value.to_bits(), window.missing],
        Some(Verdict::Drifting(drift)) => [2, drift.assessment.score.to_bits(), drift.assessment.p_value.to_bits(), 0],
        Some(Verdict::SensorFault(fault)) => [3, fault.channel, fault.kind as u32, 0],
        Some(Verdict::Anomalous(anomaly)) => {
            [4, anomaly.assessment.score.to_bits(), anomaly.channel_nats.to_bits(), anomaly.feature]
        }
    };
    words.iter().fold(hash, |hash, word| (hash ^ word).wrapping_mul(0x0100_0193))
}
