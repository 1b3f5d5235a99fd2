//! Model files whose checksum is right whatever they hold.

use alloc::{vec, vec::Vec};

use vae_core::format::{MAGIC, PRELUDE_LEN, VERSION};

/// A model file in memory, at an address divisible by four.
#[derive(Clone, Debug)]
pub struct File {
    words: Vec<u32>,
    len: usize,
}

impl File {
    /// These bytes as they are.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut words = vec![0u32; bytes.len().div_ceil(4)];
        bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, len: bytes.len() }
    }

    /// These bytes with magic, version, length and checksum made right.
    #[must_use]
    pub fn sealed(bytes: &[u8]) -> Self {
        let mut file = Self::new(bytes);
        file.seal();
        file
    }

    /// Makes magic, version, length and checksum right.
    pub fn seal(&mut self) {
        let len = self.len as u32;
        let bytes = self.bytes_mut();
        if bytes.len() < PRELUDE_LEN {
            return;
        }
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&u32::from(VERSION).to_le_bytes());
        bytes[12..16].copy_from_slice(&len.to_le_bytes());
        let checksum = checksum(&bytes[12..]);
        bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    }

    /// The file's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.len]
    }

    /// The file's bytes, to be changed: then [`Self::seal`] is needed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.words)[..self.len]
    }
}

/// CRC-32, as model files and snapshots have it.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
    CRC.checksum(bytes)
}
