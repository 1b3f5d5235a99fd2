//! NOR flash, simulated in RAM, and a power supply that fails when it is told to.
//!
//! A page is erased to ones, and a word of an erased page is programmed once, as flash with error correction demands.

use core::{cell::Cell, fmt};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read, check_write,
};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Bytes that are erased together.
pub const PAGE: usize = 512;
/// Bytes that are programmed together.
pub const WORD: usize = 4;

const ERASED: u8 = 0xFF;

/// Where in an operation the power fails.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// In the middle of it: each bit that was to change has changed or not, by this seed.
    Midway(u32),
    /// As soon as it is done: before the next one, if there is one.
    After,
}

/// The power supply of all flash.
#[derive(Debug)]
pub struct Power {
    operations: Cell<u32>,
    cut: Option<(u32, Cut)>,
}

impl Power {
    /// Fails at the erasing or programming with this index, or never.
    #[must_use]
    pub const fn new(cut: Option<(u32, Cut)>) -> Self {
        Self { operations: Cell::new(0), cut }
    }

    /// Pages erased and words programmed so far.
    #[must_use]
    pub fn operations(&self) -> u32 {
        self.operations.get()
    }

    /// How far the next operation comes.
    fn next(&self) -> Extent {
        let index = self.operations.replace(self.operations.get() + 1);
        match self.cut {
            Some((last, _)) if index > last => Extent::Nothing,
            Some((last, Cut::Midway(seed))) if index == last => Extent::Part(seed),
            _ => Extent::Whole,
        }
    }
}

enum Extent {
    Nothing,
    Part(u32),
    Whole,
}

/// Bytes in no order, but the same for the same seed.
fn scattered(seed: u32) -> impl Iterator<Item = u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.into());
    core::iter::repeat_with(move || rng.next_u32() as u8)
}

/// A partition of the flash.
#[derive(Debug)]
pub struct Flash<'f> {
    bytes: &'f mut [u8],
    power: &'f Power,
}

impl<'f> Flash<'f> {
    /// On these bytes.
    pub fn new(bytes: &'f mut [u8], power: &'f Power) -> Self {
        Self { bytes, power }
    }

    /// What it holds, where the processor sees it.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

/// Why flash was not changed as it should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashError {
    /// The power has failed: nothing works until the next boot.
    PowerLost,
    /// A word was to be programmed twice.
    NotErased,
    /// Addresses out of bounds, or not aligned.
    Address(NorFlashErrorKind),
}

impl fmt::Display for FlashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerLost => f.write_str("the power is lost"),
            Self::NotErased => f.write_str("a word of flash was to be programmed twice"),
            Self::Address(kind) => write!(f, "flash: {kind}"),
        }
    }
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Address(kind) => *kind,
            _ => NorFlashErrorKind::Other,
        }
    }
}

impl ErrorType for Flash<'_> {
    type Error = FlashError;
}

impl ReadNorFlash for Flash<'_> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check_read(self, offset, bytes.len()).map_err(FlashError::Address)?;
        let held = self.bytes.iter().skip(offset as usize);
        bytes.iter_mut().zip(held).for_each(|(byte, held)| *byte = *held);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash<'_> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to).map_err(FlashError::Address)?;
        let range = self.bytes.get_mut(from as usize..to as usize).unwrap_or_default();
        for page in range.as_chunks_mut::<PAGE>().0 {
            match self.power.next() {
                Extent::Whole => page.fill(ERASED),
                Extent::Part(seed) => {
                    page.iter_mut().zip(scattered(seed)).for_each(|(byte, back)| *byte |= back);
                    return Err(FlashError::PowerLost);
                }
                Extent::Nothing => return Err(FlashError::PowerLost),
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len()).map_err(FlashError::Address)?;
        let held = self.bytes.get_mut(offset as usize..).unwrap_or_default();
        for (held, word) in held.as_chunks_mut::<WORD>().0.iter_mut().zip(bytes.as_chunks::<WORD>().0) {
            if *held != [ERASED; WORD] {
                return Err(FlashError::NotErased);
            }
            match self.power.next() {
                Extent::Whole => *held = *word,
                Extent::Part(seed) => {
                    held.iter_mut().zip(word).zip(scattered(seed)).for_each(|((held, byte), kept)| *held = byte | kept);
                    return Err(FlashError::PowerLost);
                }
                Extent::Nothing => return Err(FlashError::PowerLost),
            }
        }
        Ok(())
    }
}
