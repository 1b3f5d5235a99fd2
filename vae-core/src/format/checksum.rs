//! The checksum of files and records.

/// CRC-32 (ISO-HDLC, as in zip and PNG) of bytes that come piece by piece: polynomial 0xEDB88320 with the lowest bit first, all ones before
/// the first bit, and inverted behind the last. `const`, so that a damaged model fails the build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checksum(u32);

impl Checksum {
    /// The remainder of each four bits: a fifth of the instructions that single bits need, and a sixteenth of a table of bytes.
    const REMAINDERS: [u32; 16] = {
        let mut remainders = [0; 16];
        let mut bits = 0;
        while bits < 16 {
            let (mut remainder, mut bit) = (bits as u32, 0);
            while bit < 4 {
                remainder = (remainder >> 1) ^ if remainder & 1 == 1 { 0xEDB8_8320 } else { 0 };
                bit += 1;
            }
            remainders[bits] = remainder;
            bits += 1;
        }
        remainders
    };

    /// Of no bytes.
    pub(crate) const fn new() -> Self {
        Self(u32::MAX)
    }

    /// Of the bytes so far and these behind them.
    pub(crate) const fn with(self, mut bytes: &[u8]) -> Self {
        let mut state = self.0;
        // By words: half the instructions.
        while let Some((word, rest)) = bytes.split_first_chunk() {
            let word = state ^ u32::from_le_bytes(*word);
            state = if cfg!(any(vae_dsp, vae_v7m)) { rotated(word) } else { byte(byte(byte(byte(word)))) };
            bytes = rest;
        }
        while let Some((value, rest)) = bytes.split_first() {
            state = byte(state ^ *value as u32);
            bytes = rest;
        }
        Self(state)
    }

    /// The CRC-32.
    pub(crate) const fn value(self) -> u32 {
        !self.0
    }
}

/// Takes the lowest byte of a remainder into it.
#[inline(always)]
const fn byte(state: u32) -> u32 {
    let state = (state >> 4) ^ Checksum::REMAINDERS[(state & 15) as usize];
    (state >> 4) ^ Checksum::REMAINDERS[(state & 15) as usize]
}

/// Takes all of a word into a remainder, as [`byte`] does in four steps, for cores that rotate an operand for nothing. No two of its steps are the same
/// instructions: of such, an optimiser for size makes a function, and calling it takes half as long again.
#[cfg_attr(not(any(vae_dsp, vae_v7m)), allow(dead_code, reason = "for some cores"))]
const fn rotated(word: u32) -> u32 {
    let word = nibble::<12>(nibble::<8>(nibble::<4>(nibble::<0>(word))));
    nibble::<28>(nibble::<24>(nibble::<20>(nibble::<16>(word))))
}

/// Takes the four bits at a place into a remainder that is rotated to the left by as many.
#[inline(always)]
const fn nibble<const PLACE: u32>(state: u32) -> u32 {
    /// The remainders, with the bits that they are of, which are thus taken out.
    const TURNED: [u32; 16] = {
        let mut turned = Checksum::REMAINDERS;
        let mut bits = 0;
        while bits < 16 {
            turned[bits] ^= (bits as u32) << 28;
            bits += 1;
        }
        turned
    };
    state ^ TURNED[((state >> PLACE) & 15) as usize].rotate_left((PLACE + 4) % 32)
}

/// The CRC-32 of all of a record.
pub(crate) const fn checksum_of(record: &[u8]) -> u32 {
    Checksum::new().with(record).value()
}

/// A record's little-endian word; 0 behind its end.
pub(crate) fn word_at(words: &[[u8; 4]], index: usize) -> u32 {
    words.get(index).map_or(0, |word| u32::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_catalogue() {
        // The check value of CRC-32/ISO-HDLC, and the known ones of nothing and of zeros.
        assert_eq!(checksum_of(b"123456789"), 0xCBF4_3926);
        assert_eq!(checksum_of(b""), 0);
        assert_eq!(checksum_of(&[0; 4]), 0x2144_DF1C);
        for word in [0, 1, 0x8000_0000, 0xDEAD_BEEF, 0x1234_5678, u32::MAX] {
            assert_eq!(rotated(word), byte(byte(byte(byte(word)))), "{word:#x}");
        }
        let apart = Checksum::new().with(b"1234").with(b"").with(b"56789");
        assert_eq!(apart.value(), 0xCBF4_3926);
    }
}
