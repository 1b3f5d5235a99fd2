//! Records that outlive a power cut: two pages of flash, written in turn.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};

use super::flash::{Flash, FlashError, PAGE, WORD};

static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The newest of the records that were stored in two pages in turn: while one is written, the one before is still there.
///
/// A record is its number, its payload of `N` bytes (whole words), and a checksum of both, which is written last.
#[derive(Debug)]
pub struct Records<'f, const N: usize> {
    flash: Flash<'f>,
}

/// What a page holds.
struct Record<const N: usize> {
    page: u32,
    number: u32,
    payload: [u8; N],
}

impl<'f, const N: usize> Records<'f, N> {
    /// In the first two pages of `flash`.
    pub fn new(flash: Flash<'f>) -> Self {
        Self { flash }
    }

    /// The newest payload, if any was stored.
    ///
    /// # Errors
    /// If the flash cannot be read.
    pub fn newest(&mut self) -> Result<Option<[u8; N]>, FlashError> {
        Ok(self.find()?.map(|record| record.payload))
    }

    fn find(&mut self) -> Result<Option<Record<N>>, FlashError> {
        let (first, second) = (self.read(0)?, self.read(1)?);
        // Numbers that wrap around, compared as is done with times.
        let is_newer = |one: &Record<N>, other: &Option<Record<N>>| {
            other.as_ref().is_none_or(|other| one.number.wrapping_sub(other.number) as i32 > 0)
        };
        Ok(match second {
            Some(second) if is_newer(&second, &first) => Some(second),
            _ => first,
        })
    }

    /// The record in a page, if it is whole.
    fn read(&mut self, page: u32) -> Result<Option<Record<N>>, FlashError> {
        let (mut number, mut payload, mut sum) = ([0; WORD], [0; N], [0; WORD]);
        let [at, payload_at, sum_at] = Self::addresses(page);
        self.flash.read(at, &mut number)?;
        self.flash.read(payload_at, &mut payload)?;
        self.flash.read(sum_at, &mut sum)?;
        let is_whole = checksum(number, &payload) == sum;
        Ok(is_whole.then(|| Record { page, number: u32::from_le_bytes(number), payload }))
    }

    /// Stores a record in the place of the older one.
    ///
    /// # Errors
    /// If the power fails; the newest record is then this one or the one before.
    pub fn store(&mut self, payload: &[u8; N]) -> Result<(), FlashError> {
        let (page, number) = self.find()?.map_or((0, 0), |newest| (1 - newest.page, newest.number.wrapping_add(1)));
        let number = number.to_le_bytes();
        let [at, payload_at, sum_at] = Self::addresses(page);
        self.flash.erase(at, at + PAGE as u32)?;
        self.flash.write(at, &number)?;
        self.flash.write(payload_at, payload)?;
        self.flash.write(sum_at, &checksum(number, payload))
    }

    /// Has both pages hold this record, so that it outlives the loss of either; writes nothing where they do.
    ///
    /// # Errors
    /// If the power fails; the newest record is then this one or the one before.
    pub fn store_twice(&mut self, payload: &[u8; N]) -> Result<(), FlashError> {
        for _ in 0..2 {
            let holds = |record: Option<Record<N>>| record.is_some_and(|record| record.payload == *payload);
            if holds(self.read(0)?) && holds(self.read(1)?) {
                break;
            }
            self.store(payload)?;
        }
        Ok(())
    }

    /// Of a page's number, payload and checksum.
    fn addresses(page: u32) -> [u32; 3] {
        let at = page * PAGE as u32;
        [at, at + WORD as u32, at + (WORD + N) as u32]
    }
}

fn checksum(number: [u8; WORD], payload: &[u8]) -> [u8; 4] {
    let mut digest = CRC.digest();
    digest.update(&number);
    digest.update(payload);
    digest.finalize().to_le_bytes()
}
