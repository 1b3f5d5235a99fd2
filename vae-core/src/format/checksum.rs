//! The checksum of files and records.

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// Bit by bit: a table would be as large as a sixteenth of all other code, for what runs at boot alone.
pub(crate) static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// The CRC-32 (ISO-HDLC, as in zip and PNG) of all of a record.
pub(crate) fn checksum_of(record: &[u8]) -> u32 {
    CRC.checksum(record)
}

/// A record's little-endian word; 0 behind its end.
pub(crate) fn word_at(words: &[[u8; 4]], index: usize) -> u32 {
    words.get(index).map_or(0, |word| u32::from_le_bytes(*word))
}
