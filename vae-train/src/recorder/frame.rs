//! A frame of samples, as a device sends it and the desktop reads it: `no_std`, so that `firmware-example` builds this very file.
//!
//! A frame stands between zeros, its bytes by COBS, which have none. Numbers are little-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | [`FORMAT`] |
//! | 1 | bytes of a count, 2 or 4 |
//! | 1 | `n`, bytes of the channels' names |
//! | 8 | the number of the first sample, counted since the device started |
//! | 4 | samples a second, `f32` |
//! | 4 | what a count is worth in the channels' unit, `f32`; the largest count times it is finite |
//! | 4 | where the sensor's scale ends, in the channels' unit, `f32`: 0 if that is not known |
//! | `n` | the channels' names, UTF-8 without control characters, with commas between them |
//! | the rest | signed counts, sample after sample, in each a count of each channel |
//! | 4 | CRC-32 of all before (ISO-HDLC, as in Ethernet and zip) |
//!
//! # Source
//! S. Cheshire and M. Baker, Consistent Overhead Byte Stuffing, IEEE/ACM Transactions on Networking 7 (2), 1999.

use core::fmt;

use cobs::CobsEncoder;
use crc::{CRC_32_ISO_HDLC, Crc, NoTable};

/// The first byte of a frame: another layout will have another one.
pub const FORMAT: u8 = 1;
/// Bytes before the names, and behind the samples.
const HEAD: usize = 23;
const CHECKSUM: usize = 4;
/// The most bytes of a frame that a reader has to keep, zeros included.
pub const MOST_BYTES: usize = 4096;

// Without a table, which would take a kilobyte of flash.
static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

/// What all frames of a stream say of its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head<'a> {
    /// Samples a second.
    pub rate: f32,
    /// What a count is worth, in the channels' unit.
    pub scale: f32,
    /// Where the sensor's scale ends, in the channels' unit: a sample that far from 0 is clipped. 0 if that is not known.
    pub full_scale: f32,
    /// The channels' names, with commas between them.
    pub channels: &'a str,
}

/// Counts to send: sample after sample, in each a count of each channel.
#[derive(Clone, Copy, Debug)]
pub enum Counts<'a> {
    /// Of sensors with up to 16 bits.
    Short(&'a [i16]),
    /// Of sensors with more.
    Long(&'a [i32]),
}

impl Counts<'_> {
    fn width(self) -> u8 {
        match self {
            Self::Short(_) => 2,
            Self::Long(_) => 4,
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Short(counts) => counts.len(),
            Self::Long(counts) => counts.len(),
        }
    }
}

/// The bytes that a frame of so many counts takes at most, of a head with names of so many bytes.
#[must_use]
pub const fn frame_len(names: usize, counts: usize, bytes_of_a_count: usize) -> usize {
    let plain = HEAD + names + counts * bytes_of_a_count + CHECKSUM;
    2 + plain + plain.div_ceil(254) // a zero before it and behind it, and a byte for each 254 of COBS
}

/// Why a frame cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The buffer is smaller than [`frame_len`] says.
    BufferTooSmall {
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// The names have more than 255 bytes, which is what these are.
    LongNames(usize),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferTooSmall { needed, found } => write!(f, "a frame of {needed} bytes for a buffer of {found}"),
            Self::LongNames(bytes) => write!(f, "names of {bytes} bytes, where there may be 255"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Writes a frame of `counts`, of which the first sample has the number `first`, into `buffer`; returns what is to be sent of it, zeros before
/// and behind it included.
///
/// # Errors
/// [`WriteError`]
pub fn write<'b>(
    head: &Head<'_>,
    first: u64,
    counts: Counts<'_>,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], WriteError> {
    let names = head.channels.as_bytes();
    let length = u8::try_from(names.len()).map_err(|_| WriteError::LongNames(names.len()))?;
    let needed = frame_len(names.len(), counts.len(), counts.width().into());
    let too_small = WriteError::BufferTooSmall { needed, found: buffer.len() };
    let (start, rest) = buffer.get_mut(..needed).and_then(<[u8]>::split_first_mut).ok_or(too_small)?;
    *start = 0;
    let mut frame = CobsEncoder::new(rest);
    let mut digest = CRC.digest();
    let mut push = |bytes: &[u8]| {
        digest.update(bytes);
        frame.push(bytes).map_err(|_| too_small)
    };
    push(&[FORMAT, counts.width(), length])?;
    push(&first.to_le_bytes())?;
    for value in [head.rate, head.scale, head.full_scale] {
        push(&value.to_le_bytes())?;
    }
    push(names)?;
    match counts {
        Counts::Short(counts) => counts.iter().try_for_each(|count| push(&count.to_le_bytes()))?,
        Counts::Long(counts) => counts.iter().try_for_each(|count| push(&count.to_le_bytes()))?,
    }
    let checksum = digest.finalize().to_le_bytes();
    frame.push(&checksum).map_err(|_| too_small)?;
    let end = 1 + frame.finalize();
    *buffer.get_mut(end).ok_or(too_small)? = 0;
    buffer.get(..=end).ok_or(too_small)
}

/// A frame that has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frame<'a> {
    /// What it says of its samples.
    pub head: Head<'a>,
    /// The number of its first sample.
    pub first: u64,
    width: u8,
    counts: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// They are shorter than any frame, no COBS, or not what was sent: the checksum differs.
    Damaged,
    /// A frame of another layout than [`FORMAT`], which is this.
    Format(u8),
    /// The checksum is right, and what the frame says cannot be: no whole samples, no rate above 0, no scale, names that are no text.
    Absurd,
}

impl<'a> Frame<'a> {
    /// Reads what stands between two zeros, which becomes the frame that it encodes.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn read(bytes: &'a mut [u8]) -> Result<Self, ReadError> {
        let length = cobs::decode_in_place(bytes).map_err(|_| ReadError::Damaged)?;
        let plain = bytes.get(..length).ok_or(ReadError::Damaged)?;
        let (body, checksum) = plain.split_last_chunk::<CHECKSUM>().ok_or(ReadError::Damaged)?;
        if CRC.checksum(body) != u32::from_le_bytes(*checksum) {
            return Err(ReadError::Damaged);
        }
        match body {
            [FORMAT, ..] => Self::parse(body).ok_or(ReadError::Absurd),
            [format, ..] => Err(ReadError::Format(*format)),
            [] => Err(ReadError::Damaged),
        }
    }

    fn parse(body: &'a [u8]) -> Option<Self> {
        let ([_, width, names], rest) = body.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (rate, rest) = rest.split_first_chunk()?;
        let (scale, rest) = rest.split_first_chunk()?;
        let (full_scale, rest) = rest.split_first_chunk()?;
        let (names, counts) = rest.split_at_checked((*names).into())?;
        let [rate, scale, full_scale] = [rate, scale, full_scale].map(|bytes| f32::from_le_bytes(*bytes));
        let channels = core::str::from_utf8(names).ok()?;
        let frame = Self {
            head: Head { rate, scale, full_scale, channels },
            first: u64::from_le_bytes(*first),
            width: *width,
            counts,
        };
        let is_number = |value: f32, least: f32| value.is_finite() && value >= least;
        // Whatever the counts are, the values are numbers.
        let largest = if *width == 2 { scale * 32_768.0 } else { scale * 2_147_483_648.0 };
        let is_right = matches!(width, 2 | 4)
            && is_number(rate, f32::MIN_POSITIVE)
            && is_number(scale, f32::MIN_POSITIVE)
            && is_number(largest, 0.0)
            && is_number(full_scale, 0.0)
            && frame.names().all(|name| !name.trim().is_empty() && !name.chars().any(char::is_control))
            && !counts.is_empty()
            && counts.len().is_multiple_of(usize::from(*width) * frame.names().count());
        is_right.then_some(frame)
    }

    /// The channels' names.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.head.channels.split(',')
    }

    /// How many samples it holds, at least one.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.counts.len() / (usize::from(self.width) * self.names().count())
    }

    /// The values, sample after sample, in the channels' unit.
    pub fn values(&self) -> impl Iterator<Item = f32> + use<'a> {
        let (width, scale) = (self.width, f64::from(self.head.scale));
        self.counts.chunks_exact(width.into()).map(move |bytes| {
            let count = match *bytes {
                [a, b] => i16::from_le_bytes([a, b]).into(),
                [a, b, c, d] => i32::from_le_bytes([a, b, c, d]),
                _ => 0, // there are no other widths
            };
            (f64::from(count) * scale) as f32
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    const HEADER: Head<'static> = Head { rate: 1600.0, scale: 0.25, full_scale: 8.0, channels: "x,y,z" };
    const SHORT: [i16; 9] = [1, -2, 3, 0, i16::MAX, i16::MIN, 256, 0, -1];

    fn sent(first: u64, counts: Counts<'_>) -> Vec<u8> {
        let mut buffer = [0xAA; 4096];
        write(&HEADER, first, counts, &mut buffer).unwrap().to_vec()
    }

    /// What stands between the zeros.
    fn read(sent: &[u8]) -> Result<(u64, Vec<f32>), ReadError> {
        let mut inner = sent[1..sent.len() - 1].to_vec();
        let frame = Frame::read(&mut inner)?;
        assert_eq!(frame.head, HEADER);
        Ok((frame.first, frame.values().collect()))
    }

    #[test]
    fn what_is_sent_is_read_whatever_its_length() {
        for samples in [1, 2, 30, 200] {
            let short: Vec<i16> = (0..3 * samples).map(|index: i32| (index * 7919 - 9000) as i16).collect();
            let long: Vec<i32> = short.iter().map(|count| i32::from(*count) * 50_000).collect();
            for (counts, width) in [(Counts::Short(&short), 2), (Counts::Long(&long), 4)] {
                let bytes = sent(u64::MAX - 5, counts);
                assert!(bytes.len() <= frame_len(5, short.len(), width) && bytes.len() + 3 > 27 + width * short.len());
                assert_eq!(bytes.iter().filter(|byte| **byte == 0).count(), 2, "zeros are at the ends only");
                let expected = short.iter().map(|count| if width == 2 { 0.25 } else { 12_500.0 } * f32::from(*count));
                assert_eq!(read(&bytes).unwrap(), (u64::MAX - 5, expected.collect()));
            }
        }
    }

    /// By hand, of the layout as it stands above: what a program in another language has to send.
    #[test]
    fn the_layout_is_the_documented_one() {
        let mut plain = std::vec![1, 2, 5];
        plain.extend(7u64.to_le_bytes());
        plain.extend([1600f32, 0.25, 8.0].iter().flat_map(|value| value.to_le_bytes()));
        plain.extend(b"x,y,z");
        plain.extend(SHORT.iter().flat_map(|count| count.to_le_bytes()));
        // Bit by bit, as RFC 1952 has it.
        let crc = !plain.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
        });
        plain.extend(crc.to_le_bytes());
        // Each run up to a zero, with its length and one before it.
        let mut stuffed = std::vec![0];
        for run in plain.split(|byte| *byte == 0) {
            stuffed.push(run.len() as u8 + 1);
            stuffed.extend(run);
        }
        stuffed.push(0);
        assert_eq!(sent(7, Counts::Short(&SHORT)), stuffed);
    }

    #[test]
    fn a_frame_that_is_cut_or_has_a_flipped_bit_is_none() {
        let bytes = sent(300, Counts::Short(&SHORT));
        for end in 2..bytes.len() - 1 {
            assert_eq!(read(&[&bytes[..end], &[0]].concat()), Err(ReadError::Damaged), "cut at {end}");
        }
        for bit in 8..8 * (bytes.len() - 1) {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged), Err(ReadError::Damaged), "bit {bit}");
        }
    }

    #[test]
    fn frames_of_another_layout_and_absurd_ones_are_told_from_damage() {
        let changed = |change: fn(&mut Vec<u8>)| {
            let bytes = sent(300, Counts::Short(&SHORT));
            let mut plain = bytes[1..bytes.len() - 1].to_vec();
            let length = cobs::decode_in_place(&mut plain).unwrap();
            plain.truncate(length);
            plain.truncate(plain.len() - 4);
            change(&mut plain);
            let checksum = CRC.checksum(&plain);
            plain.extend(checksum.to_le_bytes());
            let mut stuffed = std::vec![0; cobs::max_encoding_length(plain.len())];
            let length = cobs::encode(&plain, &mut stuffed);
            Frame::read(&mut stuffed[..length]).map(|frame| frame.first)
        };
        assert_eq!(changed(|_| ()), Ok(300));
        assert_eq!(changed(|plain| plain[0] = 2), Err(ReadError::Format(2)));
        for change in [
            (|plain: &mut Vec<u8>| plain[1] = 3) as fn(&mut Vec<u8>),
            |plain| plain[2] = 200,
            |plain| plain[11..15].copy_from_slice(&0f32.to_le_bytes()),
            |plain| plain[11..15].copy_from_slice(&f32::NAN.to_le_bytes()),
            |plain| plain[15..19].copy_from_slice(&f32::INFINITY.to_le_bytes()),
            |plain| plain[15..19].copy_from_slice(&2e34f32.to_le_bytes()),
            |plain| plain[19..23].copy_from_slice(&(-1f32).to_le_bytes()),
            |plain| plain[23..28].copy_from_slice(b"x,,,z"),
            |plain| plain[23] = 0xFF,
            |plain| plain[23] = b'\n',
            |plain| plain.push(0),
            |plain| plain.truncate(28),
            |plain| plain.truncate(20),
        ] {
            assert_eq!(changed(change), Err(ReadError::Absurd));
        }
    }

    #[test]
    fn a_buffer_that_is_too_small_is_refused_with_the_size_that_is_not() {
        let mut buffer = [0; 64];
        let needed = frame_len(5, 18, 2);
        let refused = write(&HEADER, 0, Counts::Short(&[0; 18]), &mut buffer);
        assert_eq!(refused, Err(WriteError::BufferTooSmall { needed, found: 64 }));
        let mut buffer = std::vec![0; needed];
        assert!(write(&HEADER, 0, Counts::Short(&[0; 18]), &mut buffer).is_ok());
        let names = "a".repeat(256);
        let head = Head { channels: &names, ..HEADER };
        assert_eq!(write(&head, 0, Counts::Short(&[0; 1]), &mut buffer), Err(WriteError::LongNames(256)));
    }
}
