//! What a detector remembers, as a record that survives a power loss.

use crate::{
    detector::{
        Detector,
        alarm::{Alarm, AlarmState},
        channel::{CHANNEL_STATE, Channel},
        error::DetectorError,
        memory::Parts,
        running::Running,
        votes::Votes,
    },
    format::checksum::{checksum_of, word_at},
    model::Model,
};

const MAGIC: [u8; 3] = *b"VDS";

const VERSION: u8 = 2;

/// Words before the channels': magic and version, fingerprint of the model, votes, and what the detector has beside its channels. Behind
/// these: what features are off, for a model with front-ends, and the checksum.
const FIXED: usize = 2 + 3 + 6 + 10;

impl Model<'_> {
    /// Bytes of a [`Detector::snapshot`] with this model.
    #[must_use]
    pub const fn snapshot_len(&self) -> usize {
        4 * (FIXED + CHANNEL_STATE * self.channels() + self.adaptation_len() + 1)
    }
}

impl Detector<'_, '_> {
    /// Writes what the detector remembers (baseline, drift, votes, alarm; not the window nor what sensors did last, which would be stale) to
    /// the first [`Model::snapshot_len`] bytes of `record`, which it returns: with the model's fingerprint and a checksum, so that a
    /// record that was only half written is known as such. Store two in turn, as flash is best written.
    ///
    /// # Errors
    /// [`DetectorError::SnapshotLength`]; nothing is written.
    pub fn snapshot<'r>(&self, record: &'r mut [u8]) -> Result<&'r [u8], DetectorError> {
        let (needed, found) = (self.model().snapshot_len(), record.len());
        let record = record.get_mut(..needed).ok_or(DetectorError::SnapshotLength { needed, found })?;
        let (running, alarm, learned) = self.remembered()?;
        let (rule, state) = (alarm.votes().rule(), &alarm.state);
        let [a, b, c] = MAGIC;
        let fixed = [
            u32::from_le_bytes([a, b, c, VERSION]),
            self.model().fingerprint(),
            rule.0,
            rule.1,
            alarm.votes().history(),
            flags([state.is_raised, state.is_change, state.is_drifting, running.is_drifting]),
            running.windows,
            running.baseline_windows,
            running.baseline_done,
            running.baseline_size,
            state.since,
        ];
        let floats = [
            state.shift,
            state.widening,
            state.change,
            state.health,
            state.needed,
            state.held,
            running.score_centre,
            running.score_factor,
            running.baseline_mean,
            running.baseline_variance,
        ];
        let words = fixed.into_iter().chain(floats.iter().chain(learned).map(|value| value.to_bits()));
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
    /// [`DetectorError::SnapshotLength`], [`DetectorError::SnapshotVersion`], [`DetectorError::SnapshotDamaged`],
    /// [`DetectorError::OtherModel`] or [`DetectorError::Locked`]; the detector is then as it was.
    pub fn restore(&mut self, record: &[u8]) -> Result<(), DetectorError> {
        let words = record.as_chunks::<4>().0;
        let (found, needed) = (record.len(), self.model().snapshot_len());
        let [magic @ .., version] = word_at(words, 0).to_le_bytes();
        if magic != MAGIC {
            return Err(DetectorError::SnapshotDamaged);
        }
        if version != VERSION {
            return Err(DetectorError::SnapshotVersion { supported: VERSION, found: version });
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
        votes.set_history(word_at(words, 4));
        let flag = |bit: u32| word_at(words, 5) & (1 << bit) != 0;
        let float = |index| f32::from_bits(word_at(words, index));
        let state = AlarmState {
            is_raised: flag(0),
            is_change: flag(1),
            is_drifting: flag(2),
            since: word_at(words, 10),
            shift: float(11),
            widening: float(12),
            change: float(13),
            health: float(14),
            needed: float(15),
            held: float(16),
        };
        let running = Running {
            is_drifting: flag(3),
            windows: word_at(words, 6),
            baseline_windows: word_at(words, 7),
            baseline_done: word_at(words, 8),
            baseline_size: word_at(words, 9),
            score_centre: float(17),
            score_factor: float(18),
            baseline_mean: float(19),
            baseline_variance: float(20),
        };
        let value = |word: &[u8; 4]| f32::from_bits(u32::from_le_bytes(*word));
        let learned = words.get(FIXED..).ok_or(DetectorError::SnapshotDamaged)?;
        let parts = learned.split_at_checked(CHANNEL_STATE * self.model().channels());
        let (channels, shifts) = parts.ok_or(DetectorError::SnapshotDamaged)?;
        let mut channels = channels.as_chunks::<CHANNEL_STATE>().0.iter().map(|words| words.each_ref().map(value));
        if !running.is_sound()
            || !state.is_sound()
            || !channels.all(|mut state| Channel::new(&mut state).is_sound())
            || !shifts.iter().all(|word| value(word).is_finite())
        {
            return Err(DetectorError::SnapshotDamaged);
        }
        self.recall(running, Alarm { votes, state }, learned.iter().map(value))
    }

    /// What a snapshot holds: also the channels' states, and what features are off.
    fn remembered(&self) -> Result<(&Running, &Alarm, impl Iterator<Item = &f32>), DetectorError> {
        let (needed, found) = (self.model.state_len(), self.state.len());
        let parts = self.state.split_at_checked(CHANNEL_STATE * self.model.channels());
        let (channels, rest) = parts.ok_or(DetectorError::StateTooSmall { needed, found })?;
        let shifts = rest.iter().skip(self.model.conditions()).take(self.model.adaptation_len());
        Ok((&self.running, &self.alarm, channels.iter().chain(shifts)))
    }

    /// Takes what a snapshot held.
    ///
    /// # Errors
    /// [`DetectorError::Locked`].
    fn recall(
        &mut self,
        running: Running,
        alarm: Alarm,
        channels_and_shifts: impl Iterator<Item = f32>,
    ) -> Result<(), DetectorError> {
        self.check_unlocked()?;
        // Votes by another rule than today's count for nothing, nor does an alarm that they raised.
        let rule = *self.alarm.votes();
        self.alarm = alarm;
        if alarm.votes().rule() != rule.rule() {
            self.alarm.votes = rule;
            self.alarm.clear();
        }
        self.running = running;
        self.set_rule()?;
        let Parts { channels, shifts, .. } = Parts::of(self.state, &self.model)?;
        for (slot, value) in channels.iter_mut().chain(shifts).zip(channels_and_shifts) {
            *slot = value;
        }
        self.gap();
        Ok(())
    }
}

/// A bit for each, the first in the lowest.
fn flags(flags: [bool; 4]) -> u32 {
    flags.iter().rev().fold(0, |bits, flag| 2 * bits + u32::from(*flag))
}
