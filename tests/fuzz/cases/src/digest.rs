//! A number that every bit of a result changes.

use core::fmt::{Debug, Write};

use vae_core::{DriftKind, InferError, LoadError, Score, Verdict};

/// What came out of a case, or of many. Only equality means something, so it is quick and not safe from those who mean harm.
#[derive(Debug)]
pub struct Digest {
    state: u64,
    /// Where nobody compares it, errors need not be written.
    is_kept: bool,
}

impl Default for Digest {
    fn default() -> Self {
        Self { state: 0, is_kept: true }
    }
}

impl Digest {
    /// One that is not kept.
    #[must_use]
    pub fn unkept() -> Self {
        Self { is_kept: false, ..Self::default() }
    }

    /// Its value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.state
    }

    /// Adds a word.
    pub fn word(&mut self, word: u32) {
        self.state = (self.state ^ u64::from(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
    }

    /// Adds the bits of a number; all NaNs are one, for processors choose their bits.
    pub fn number(&mut self, value: f32) {
        self.word(if value.is_nan() { f32::NAN } else { value }.to_bits());
    }

    /// Adds numbers.
    pub fn numbers(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.number(*value));
    }

    /// Adds bytes, whole words of them.
    pub fn bytes(&mut self, bytes: &[u8]) {
        bytes.as_chunks::<4>().0.iter().for_each(|word| self.word(u32::from_le_bytes(*word)));
    }

    /// Adds what is written of a value that has no numbers with a fraction.
    pub fn written(&mut self, value: &impl Debug) {
        if self.is_kept {
            // Nothing that this writes to refuses it.
            let _ = write!(Writer(self), "{value:?}");
        }
    }

    /// Adds why a file was refused; sizes as far as a core can tell them.
    pub fn fault(&mut self, error: &LoadError) {
        match error {
            LoadError::Shape { expected, found } => {
                for size in [*expected, *found] {
                    self.word(u32::try_from(size).unwrap_or(u32::MAX));
                }
            }
            error => self.written(error),
        }
    }

    /// Adds why something was refused.
    pub fn error(&mut self, error: &InferError) {
        match error {
            InferError::OutsideUnitInterval { feature, value } => {
                self.word(*feature as u32);
                self.number(*value);
            }
            InferError::Model(error) => self.fault(error),
            error => self.written(error),
        }
    }

    /// Adds a number, or why there is none.
    pub fn outcome(&mut self, outcome: &Result<f32, InferError>) {
        match outcome {
            Ok(value) => self.number(*value),
            Err(error) => self.error(error),
        }
    }

    /// Adds a score, or why there is none.
    pub fn score(&mut self, outcome: &Result<Score, InferError>) {
        match outcome {
            Ok(Score { elbo, reconstruction, kl, standard_error, missing }) => {
                self.numbers(&[*elbo, *reconstruction, *kl, *standard_error]);
                self.word(*missing);
            }
            Err(error) => self.error(error),
        }
    }

    /// Adds a verdict.
    pub fn verdict(&mut self, verdict: &Verdict) {
        if let Some(assessment) = verdict.assessment() {
            self.numbers(&[assessment.score, assessment.p_value]);
            self.word(assessment.missing);
        }
        match verdict {
            Verdict::Normal(_) => self.word(0),
            Verdict::Anomalous(anomaly) => {
                self.word(1);
                self.numbers(&[anomaly.channel_nats, anomaly.feature_nats]);
                self.word(anomaly.channel);
                self.word(anomaly.feature);
            }
            Verdict::SensorFault(fault) => {
                self.word(2);
                self.word(fault.channel);
                self.word(fault.kind as u32);
            }
            Verdict::Drifting(drift) => {
                self.word(3);
                let (kind, channel, value) = match drift.kind {
                    DriftKind::Mean { channel, shift } => (0, channel, shift),
                    DriftKind::Power { channel, factor } => (1, channel, factor),
                    DriftKind::Score(shift) => (2, 0, shift),
                    DriftKind::Spread(factor) => (3, 0, factor),
                };
                self.word(kind);
                self.word(channel);
                self.number(value);
            }
        }
    }
}

struct Writer<'d>(&'d mut Digest);

impl Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        text.bytes().for_each(|byte| self.0.word(byte.into()));
        Ok(())
    }
}
