//! The numbers and byte strings of a body, as postcard writes them.

use crate::format::{error::LoadError, feature::Feature};

/// Why a record cannot be used.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Malformed,
    Needs(Feature),
}

/// Reads the body's numbers and byte strings one after the other; `const`, so that the compiler checks a model that is built in.
///
/// What cannot be read is 0 or empty, and remembered: a record is asked once, at its end, whether all of it was there. That is a branch less for
/// each field, and a kilobyte less on a device than what serde makes of the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'m> {
    rest: &'m [u8],
    fault: Option<Fault>,
    /// Bytes of all of the body, whose end is aligned as its arrays are to it.
    body: usize,
    /// Whether an array does not end at a multiple of four bytes from the body's start; its values are of words.
    pub(crate) is_misaligned: bool,
}

impl<'m> Cursor<'m> {
    /// At the start of `rest`, the end of a body of so many bytes.
    pub(crate) const fn new(rest: &'m [u8], body: usize) -> Self {
        Self { rest, fault: None, body, is_misaligned: false }
    }

    /// What is left once a record has been read, of which, with all that follows, `remaining` bytes were left before.
    pub(crate) const fn end(&self, remaining: usize) -> Result<&'m [u8], LoadError> {
        match self.fault {
            None => Ok(self.rest),
            Some(Fault::Malformed) => Err(LoadError::Malformed { remaining }),
            Some(Fault::Needs(feature)) => Err(LoadError::NeedsFeature { feature }),
        }
    }

    /// The record is not what the format prescribes.
    pub(crate) const fn fail(&mut self) {
        self.give_up(Fault::Malformed);
    }

    /// The record is of a kind that a feature brings, which this build may not have.
    pub(crate) const fn need(&mut self, feature: Feature) {
        if !feature.is_here() {
            self.give_up(Fault::Needs(feature));
        }
    }

    /// The first fault counts; nothing more is read.
    #[inline(never)]
    const fn give_up(&mut self, fault: Fault) {
        self.rest = &[];
        if self.fault.is_none() {
            self.fault = Some(fault);
        }
    }

    /// A byte.
    #[inline(never)]
    pub(crate) const fn byte(&mut self) -> u8 {
        match self.rest.split_first() {
            Some((byte, rest)) => {
                self.rest = rest;
                *byte
            }
            None => {
                self.fail();
                0
            }
        }
    }

    /// A varint, of at most 32 bits.
    #[inline(never)]
    pub(crate) const fn word(&mut self) -> u32 {
        // Each score reads all layers' records, and most numbers are a byte or two.
        match self.rest {
            [low @ ..0x80, rest @ ..] => {
                self.rest = rest;
                *low as u32
            }
            [low, high @ ..0x80, rest @ ..] => {
                self.rest = rest;
                (*low & 0x7F) as u32 | (*high as u32) << 7
            }
            _ => self.long_word(),
        }
    }

    /// A varint that may have several bytes.
    #[inline(never)]
    const fn long_word(&mut self) -> u32 {
        let (mut value, mut shift, mut rest) = (0, 0, self.rest);
        while let Some((byte, behind)) = rest.split_first() {
            value |= ((*byte & 0x7F) as u32) << shift;
            rest = behind;
            if *byte < 0x80 {
                // The fifth byte has the last four bits.
                if shift == 28 && *byte > 0x0F {
                    break;
                }
                self.rest = rest;
                return value;
            }
            shift += 7;
            if shift > 28 {
                break;
            }
        }
        self.fail();
        0
    }

    /// A varint whose lowest bit is the sign.
    pub(crate) const fn signed(&mut self) -> i32 {
        let word = self.word();
        (word >> 1) as i32 ^ -((word & 1) as i32)
    }

    /// Passes a varint of at most 64 bits.
    pub(crate) const fn skip_long(&mut self) {
        let mut left = 9;
        loop {
            let byte = self.byte();
            if byte < 0x80 && (left > 0 || byte < 2) {
                return;
            }
            if left == 0 {
                return self.fail();
            }
            left -= 1;
        }
    }

    /// Four bytes.
    #[inline(never)]
    pub(crate) const fn number(&mut self) -> f32 {
        match self.rest.split_first_chunk() {
            Some((bytes, rest)) => {
                self.rest = rest;
                f32::from_bits(u32::from_le_bytes(*bytes))
            }
            None => {
                self.fail();
                0.0
            }
        }
    }

    /// A byte string.
    #[inline(never)]
    pub(crate) const fn bytes(&mut self) -> &'m [u8] {
        let len = self.word() as usize;
        match self.rest.split_at_checked(len) {
            Some((bytes, rest)) => {
                self.rest = rest;
                bytes
            }
            None => {
                self.fail();
                &[]
            }
        }
    }

    /// A byte string that ends with values of four bytes each, or of multiples of four.
    pub(crate) const fn array(&mut self) -> &'m [u8] {
        let bytes = self.bytes();
        self.is_misaligned |= (self.body ^ self.rest.len()) & 3 != 0;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What postcard makes of a value, and what is read of it.
    fn read<T: serde::Serialize, R>(value: &T, read: impl Fn(&mut Cursor<'_>) -> R) -> Result<(R, usize), LoadError> {
        let mut room = [0xFF; 32];
        let len = postcard::to_slice(value, &mut room).unwrap().len();
        let mut cursor = Cursor::new(&room, room.len());
        let found = read(&mut cursor);
        cursor.end(room.len()).map(|rest| (found, len + rest.len() - room.len()))
    }

    #[test]
    fn numbers_are_what_postcard_wrote() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 28, u32::MAX - 1, u32::MAX] {
            assert_eq!(read(&value, |cursor| cursor.word()), Ok((value, 0)));
            assert_eq!(read(&(value as i32), |cursor| cursor.signed()), Ok((value as i32, 0)));
            assert_eq!(read(&f32::from_bits(value), |cursor| cursor.number().to_bits()), Ok((value, 0)));
            assert_eq!(read(&(value as u8), |cursor| cursor.byte()), Ok((value as u8, 0)));
        }
        for value in [0, 127, 128, u64::from(u32::MAX), u64::MAX >> 1, u64::MAX] {
            assert_eq!(read(&value, |cursor| cursor.skip_long()), Ok(((), 0)));
        }
        for text in ["", "a", "motor"] {
            assert_eq!(read(&text, |cursor| cursor.bytes().len()), Ok((text.len(), 0)));
        }
    }

    #[test]
    fn what_postcard_refuses_is_refused() {
        // A sixth byte, a fifth of more than four bits, none, and a string longer than what is left.
        for bytes in [&[0x80, 0x80, 0x80, 0x80, 0x80, 0][..], &[0xFF, 0xFF, 0xFF, 0xFF, 0x10], &[], &[0x80]] {
            let mut cursor = Cursor::new(bytes, 0);
            assert_eq!(cursor.word(), 0);
            assert!(postcard::from_bytes::<u32>(bytes).is_err());
            assert_eq!(cursor.end(7), Err(LoadError::Malformed { remaining: 7 }), "{bytes:?}");
        }
        for bytes in [&[0x80; 10][..], &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]] {
            let mut cursor = Cursor::new(bytes, 0);
            cursor.skip_long();
            assert!(cursor.end(7).is_err() && postcard::from_bytes::<u64>(bytes).is_err(), "{bytes:?}");
        }
        let mut cursor = Cursor::new(&[3, 1, 2], 0);
        assert_eq!((cursor.bytes(), cursor.number(), cursor.byte()), (&[][..], 0.0, 0));
        assert!(cursor.end(3).is_err());
    }
}
