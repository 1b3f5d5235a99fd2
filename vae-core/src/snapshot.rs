//! What a detector remembers, as a record that survives a power loss.

use crate::{
    Detector, DetectorError, Model, Votes,
    channel::{CHANNEL_STATE, Channel},
    detector::Running,
    format::{checksum_of, word_at},
};

const MAGIC: u32 = u32::from_le_bytes(*b"VDS\x01");

/// Words before the channels': magic, fingerprint of the model, votes, and what the detector has beside its channels.
const FIXED: usize = 2 + 4 + 12;

impl Model<'_> {
    /// Bytes of a [`Detector::snapshot`] with this model.
    #[must_use]
    pub const fn snapshot_len(&self) -> usize {
        4 * (FIXED + CHANNEL_STATE * self.channels() + 1)
    }
}

impl Detector<'_, '_> {
    /// Writes what the detector remembers (baseline, drift, votes; not the window nor what sensors did last, which would be stale) to
    /// the first [`Model::snapshot_len`] bytes of `record`, which it returns: with the model's fingerprint and a checksum, so that a
    /// record that was only half written is known as such. Store two in turn, as flash is best written.
    ///
    /// # Errors
    /// [`DetectorError::SnapshotLength`]; nothing is written.
    pub fn snapshot<'r>(&self, record: &'r mut [u8]) -> Result<&'r [u8], DetectorError> {
        let (needed, found) = (self.model().snapshot_len(), record.len());
        let record = record.get_mut(..needed).ok_or(DetectorError::SnapshotLength { needed, found })?;
        let (running, votes, channels) = self.remembered();
        let (rule, state) = (votes.rule(), votes.state());
        let fixed = [MAGIC, self.model().fingerprint(), rule.0, rule.1, state[0], state[1]];
        let Running { windows, baseline_windows, baseline_done, baseline_size, is_drifting, .. } = *running;
        let floats = [
            running.p_value,
            running.mean,
            running.variance,
            running.score_centre,
            running.score_factor,
            running.baseline_mean,
            running.baseline_variance,
        ];
        let words =
            fixed.into_iter().chain([windows, baseline_windows, baseline_done, baseline_size, is_drifting.into()]);
        let words = words.chain(floats.iter().chain(channels).map(|value| value.to_bits()));
        let slots = record.as_chunks_mut::<4>().0;
        for (slot, word) in slots.iter_mut().zip(words) {
            *slot = word.to_le_bytes();
        }
        if let Some((end, words)) = slots.split_last_mut() {
            *end = checksum_of(words.as_flattened()).to_le_bytes();
        }
        Ok(record)
    }

    /// Goes on from a [`Self::snapshot`]; the window starts anew, as after a gap.
    ///
    /// # Errors
    /// [`DetectorError::SnapshotLength`], [`DetectorError::SnapshotDamaged`] or [`DetectorError::OtherModel`]; the detector is then as
    /// it was.
    pub fn restore(&mut self, record: &[u8]) -> Result<(), DetectorError> {
        let words = record.as_chunks::<4>().0;
        let (found, needed) = (record.len(), self.model().snapshot_len());
        if word_at(words, 0) != MAGIC {
            return Err(DetectorError::SnapshotDamaged);
        }
        let (model, of) = (self.model().fingerprint(), word_at(words, 1));
        if model != of && found >= needed.min(8) {
            return Err(DetectorError::OtherModel { model, found: of });
        }
        if found != needed {
            return Err(DetectorError::SnapshotLength { needed, found });
        }
        let Some((end, words)) = words.split_last() else { return Err(DetectorError::SnapshotDamaged) };
        if checksum_of(words.as_flattened()) != u32::from_le_bytes(*end) {
            return Err(DetectorError::SnapshotDamaged);
        }
        let mut votes = Votes::new(word_at(words, 2), word_at(words, 3)).ok_or(DetectorError::SnapshotDamaged)?;
        votes.set_state([word_at(words, 4), word_at(words, 5)]);
        let float = |index| f32::from_bits(word_at(words, index));
        let running = Running {
            windows: word_at(words, 6),
            baseline_windows: word_at(words, 7),
            baseline_done: word_at(words, 8),
            baseline_size: word_at(words, 9),
            is_drifting: word_at(words, 10) != 0,
            p_value: float(11),
            mean: float(12),
            variance: float(13),
            score_centre: float(14),
            score_factor: float(15),
            baseline_mean: float(16),
            baseline_variance: float(17),
        };
        let (channels, _) = words.get(FIXED..).unwrap_or_default().as_chunks::<CHANNEL_STATE>();
        let mut channels = channels.iter().map(|words| words.map(|word| f32::from_bits(u32::from_le_bytes(word))));
        if !running.is_sound() || !channels.all(|mut state| Channel::new(&mut state).is_sound()) {
            return Err(DetectorError::SnapshotDamaged);
        }
        self.recall(running, votes, words.iter().skip(FIXED).map(|word| f32::from_bits(u32::from_le_bytes(*word))));
        Ok(())
    }
}
