//! Three slots for files of which a device believes one, and the record that says which.
//!
//! **What always holds**: whatever was sent, whenever the power failed, and whichever one bit of the flash has rotted, a boot starts a file
//! that this device has accepted (the newest, or where that has rotted the one before), and what it accepts next is not older than that newest
//! one.
//!
//! - A file is received into the slot that is neither the one in use nor the one before, so that no sender reaches these two.
//! - A file is accepted once it is signed by somebody trusted, not older than the newest that was accepted, sound, and fit for this device.
//!   What is refused is erased.
//! - The record names the slots of the last two accepted files with their fingerprints, and the newest counter. It is held twice, and a boot
//!   mends the copy that is lost.
//! - A boot believes a slot that the record names if it holds what the record says. Any other slot, and all of them where no record can be
//!   read, must pass everything that an acceptance asks for.

use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind, ReadNorFlash};

use super::{
    flash::{Flash, FlashError, WORD},
    records::Records,
};

/// How many slots there are: for the file in use, the one before, and the one that is received.
pub const SLOTS: usize = 3;

/// Who decides what a device believes.
pub trait Authority {
    /// Why a file was refused.
    type Error: From<FlashError>;

    /// Bytes of the file that a slot begins with; 0 where it holds none.
    fn file_len(&self, slot: &[u8]) -> usize;

    /// The counter that a file was signed with.
    ///
    /// # Errors
    /// If the file is not signed by somebody trusted, or with a counter below `least`.
    fn authenticate(&mut self, file: &[u8], least: u32) -> Result<u32, Self::Error>;

    /// The fingerprint of the file that a slot begins with.
    ///
    /// # Errors
    /// If the file is not sound, or the device cannot work with it.
    fn identify(&mut self, slot: &[u8]) -> Result<u32, Self::Error>;
}

/// A file that was accepted: where it is, and its fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Accepted {
    slot: u8,
    fingerprint: u32,
}

/// What the record says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Selection {
    /// Files that come earlier are taken earlier.
    accepted: [Option<Accepted>; 2],
    /// Of the newest file that was ever accepted.
    counter: u32,
}

/// Bytes of the record: two slots, two bytes that are not used, the counter, and two fingerprints.
const SELECTION: usize = 4 * WORD;
/// In the place of a slot.
const NONE: u8 = 0xFF;

impl Selection {
    fn to_bytes(self) -> [u8; SELECTION] {
        let [[a, first @ ..], [b, second @ ..]] = self.accepted.map(|accepted| {
            let Accepted { slot, fingerprint } = accepted.unwrap_or(Accepted { slot: NONE, fingerprint: u32::MAX });
            let [w, x, y, z] = fingerprint.to_le_bytes();
            [slot, w, x, y, z]
        });
        let mut bytes = [NONE; SELECTION];
        let fields = [a, b, NONE, NONE].into_iter().chain(self.counter.to_le_bytes()).chain(first).chain(second);
        bytes.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        bytes
    }

    fn from_bytes(bytes: [u8; SELECTION]) -> Self {
        let [slots, counter, first, second] = *bytes.as_chunks::<WORD>().0 else {
            return Self { accepted: [None; 2], counter: 0 };
        };
        let [a, b, ..] = slots;
        let accepted = |slot, fingerprint| {
            (usize::from(slot) < SLOTS).then_some(Accepted { slot, fingerprint: u32::from_le_bytes(fingerprint) })
        };
        Self { accepted: [accepted(a, first), accepted(b, second)], counter: u32::from_le_bytes(counter) }
    }

    fn names(&self, slot: u8) -> bool {
        self.accepted.iter().flatten().any(|accepted| accepted.slot == slot)
    }
}

/// The slots, and the record.
#[derive(Debug)]
pub struct Slots<'f> {
    slots: [Flash<'f>; SLOTS],
    record: Records<'f, SELECTION>,
}

impl<'f> Slots<'f> {
    /// The record takes the first two pages of `record`. A factory leaves these empty, and a signed file in one of the slots.
    #[must_use]
    pub fn new(slots: [Flash<'f>; SLOTS], record: Flash<'f>) -> Self {
        Self { slots, record: Records::new(record) }
    }

    /// Starts the newest file that was accepted, or the one before where that is lost.
    ///
    /// # Errors
    /// Where no slot holds a file that may be started: why not the first that was tried.
    pub fn boot<A: Authority>(&mut self, authority: &mut A) -> Result<Running<'_, 'f>, A::Error> {
        let recorded = self.record.newest()?.map(Selection::from_bytes);
        let as_recorded = recorded.and_then(|selection| Some((selection, self.whole(&selection, authority)?)));
        let (selection, running) = match as_recorded {
            Some(found) => found,
            None => self.search(recorded.map_or(0, |selection| selection.counter), authority)?,
        };
        // A device whose flash no longer takes a record still does its work.
        let _ = self.record.store_twice(&selection.to_bytes());
        let [mut spare, mut other] = match running.slot {
            0 => [1, 2],
            1 => [0, 2],
            _ => [0, 1],
        };
        if selection.names(spare) {
            core::mem::swap(&mut spare, &mut other);
        }
        let Ok([slot, spare_slot, other_slot]) =
            self.slots.get_disjoint_mut([running.slot, spare, other].map(usize::from))
        else {
            return Err(FlashError::Address(NorFlashErrorKind::OutOfBounds).into());
        };
        Ok(Running {
            slot,
            accepted: running,
            spare: (spare, spare_slot),
            other: (other, other_slot),
            record: &mut self.record,
            counter: selection.counter,
        })
    }

    /// The first of the recorded slots that still holds what was accepted.
    fn whole<A: Authority>(&self, selection: &Selection, authority: &mut A) -> Option<Accepted> {
        selection.accepted.into_iter().flatten().find(|accepted| {
            let slot = self.slots.get(usize::from(accepted.slot)).map(Flash::bytes).unwrap_or_default();
            authority.identify(slot).is_ok_and(|fingerprint| fingerprint == accepted.fingerprint)
        })
    }

    /// The slots that hold what would be accepted now: the two newest, of which the first is started.
    fn search<A: Authority>(&self, least: u32, authority: &mut A) -> Result<(Selection, Accepted), A::Error> {
        let mut newest: [Option<(u32, Accepted)>; 2] = [None; 2];
        let mut refusal = None;
        for (index, slot) in (0..).zip(&self.slots) {
            let slot = slot.bytes();
            let file = slot.get(..authority.file_len(slot)).unwrap_or(slot);
            let examined =
                authority.authenticate(file, least).and_then(|counter| Ok((counter, authority.identify(slot)?)));
            match examined {
                Ok((counter, fingerprint)) => {
                    let found = Some((counter, Accepted { slot: index, fingerprint }));
                    let is_newer = |than: Option<(u32, Accepted)>| than.is_none_or(|(other, _)| counter > other);
                    let [first, second] = newest;
                    if is_newer(first) {
                        newest = [found, first];
                    } else if is_newer(second) {
                        newest = [first, found];
                    }
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        match (newest, refusal) {
            ([Some((counter, running)), before], _) => {
                let accepted = [Some(running), before.map(|(_, accepted)| accepted)];
                Ok((Selection { accepted, counter }, running))
            }
            (_, Some(error)) => Err(error),
            (_, None) => Err(FlashError::Address(NorFlashErrorKind::OutOfBounds).into()),
        }
    }
}

/// A file that was started, and the flash that meanwhile may change.
#[derive(Debug)]
pub struct Running<'s, 'f> {
    slot: &'s Flash<'f>,
    accepted: Accepted,
    /// Where the next file is received, and the slot that then is no longer needed; with their indices.
    spare: (u8, &'s mut Flash<'f>),
    other: (u8, &'s mut Flash<'f>),
    record: &'s mut Records<'f, SELECTION>,
    counter: u32,
}

impl<'s> Running<'s, '_> {
    /// The slot that was started.
    #[must_use]
    pub fn slot(&self) -> &'s [u8] {
        self.slot.bytes()
    }

    /// Bytes of a slot.
    #[must_use]
    pub fn room(&self) -> usize {
        self.spare.1.capacity()
    }

    /// The counter of the newest file that was accepted: none with a lower one is.
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.counter
    }

    /// Receives a file into the slot that no boot needs, and accepts it: every boot will then start from it.
    ///
    /// # Errors
    /// If the file is refused; it is then erased. If the power fails, the next boot starts as before or as after.
    pub fn install<A: Authority>(&mut self, file: &[u8], authority: &mut A) -> Result<(), A::Error> {
        let judged = match self.receive(file) {
            Ok(()) => self.judge(file.len(), authority),
            Err(error) => Err(error.into()),
        };
        let (newest, counter) = judged.inspect_err(|_| {
            let spare = &mut *self.spare.1;
            // What could not be erased is not believed either.
            let _ = spare.erase(0, spare.capacity() as u32);
        })?;
        // The counter is raised with the same write that selects the file.
        self.record.store_twice(&Selection { accepted: [Some(newest), Some(self.accepted)], counter }.to_bytes())?;
        self.counter = counter;
        core::mem::swap(&mut self.spare, &mut self.other);
        Ok(())
    }

    fn receive(&mut self, file: &[u8]) -> Result<(), FlashError> {
        let spare = &mut *self.spare.1;
        spare.erase(0, spare.capacity() as u32)?;
        let (words, rest) = file.as_chunks::<WORD>();
        let words = words.as_flattened();
        spare.write(0, words)?;
        if rest.is_empty() {
            return Ok(());
        }
        // The file's last bytes, filled up to a word.
        let mut last = [0xFF; WORD];
        last.iter_mut().zip(rest).for_each(|(byte, rest)| *byte = *rest);
        spare.write(words.len() as u32, &last)
    }

    /// Judges what was written, not what was received.
    fn judge<A: Authority>(&self, len: usize, authority: &mut A) -> Result<(Accepted, u32), A::Error> {
        let (slot, spare) = &self.spare;
        let counter = authority.authenticate(spare.bytes().get(..len).unwrap_or_default(), self.counter)?;
        Ok((Accepted { slot: *slot, fingerprint: authority.identify(spare.bytes())? }, counter))
    }

    /// The slot of the file that was installed last.
    #[must_use]
    pub fn installed(self) -> &'s [u8] {
        self.other.1.bytes()
    }
}
