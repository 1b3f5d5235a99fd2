//! A device's bytes, taken apart into frames.

use crate::recorder::frame::{Frame, MOST_BYTES, ReadError};

/// What was sent and is no frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Pieces between zeros.
    pub pieces: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first bytes that were dropped, for a message.
    pub beginning: Vec<u8>,
    /// The layout that frames had which this program does not know.
    pub format: Option<u8>,
}

impl Dropped {
    const BEGINNING: usize = 48;

    fn count(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        let room = Self::BEGINNING.saturating_sub(self.beginning.len());
        self.beginning.extend(piece.iter().take(room));
    }
}

/// Finds the frames in a stream of bytes that may begin, break off and be damaged anywhere.
///
/// What stands between two zeros is a frame or is dropped: behind whatever is damaged, the next zero begins anew.
#[derive(Clone, Debug, Default)]
pub struct FrameStream {
    /// Since the last zero.
    piece: Vec<u8>,
    /// Whether the piece is longer than any frame, and what comes of it is dropped up to the next zero.
    is_too_long: bool,
    dropped: Dropped,
}

impl FrameStream {
    /// Takes what has come, in pieces of any length; hands each frame that it completes to `take`.
    ///
    /// # Errors
    /// Those of `take`, at once: what stands behind that frame is lost.
    pub fn push<E>(&mut self, bytes: &[u8], mut take: impl FnMut(&Frame<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut parts = bytes.split(|byte| *byte == 0);
        if let Some(part) = parts.next() {
            self.extend(part);
        }
        for part in parts {
            self.end_piece(&mut take)?;
            self.extend(part);
        }
        Ok(())
    }

    /// What has been dropped so far.
    #[must_use]
    pub fn dropped(&self) -> &Dropped {
        &self.dropped
    }

    /// What has been dropped so far, and what has begun since and is no whole frame yet: of a stream in which no frame is.
    #[must_use]
    pub fn rejected(&self) -> Dropped {
        let mut stream = self.clone();
        stream.cut();
        stream.dropped
    }

    /// Gives up the frame that has begun: the line was cut.
    pub fn cut(&mut self) {
        let piece = std::mem::take(&mut self.piece);
        if !piece.is_empty() || self.is_too_long {
            self.dropped.pieces += 1;
            self.dropped.count(&piece);
        }
        self.is_too_long = false;
    }

    fn extend(&mut self, part: &[u8]) {
        if self.piece.len() + part.len() > MOST_BYTES {
            self.is_too_long = true;
        }
        match self.is_too_long {
            true => {
                let piece = std::mem::take(&mut self.piece);
                self.dropped.count(&piece);
                self.dropped.count(part);
            }
            false => self.piece.extend(part),
        }
    }

    fn end_piece<E>(&mut self, take: &mut impl FnMut(&Frame<'_>) -> Result<(), E>) -> Result<(), E> {
        if self.is_too_long {
            self.cut();
        }
        if self.piece.is_empty() {
            return Ok(());
        }
        // Reading destroys what it reads, and of what is no frame the bytes are told.
        let mut piece = std::mem::take(&mut self.piece);
        let sent = piece.clone();
        let result = match Frame::read(&mut piece) {
            Ok(frame) => take(&frame),
            Err(error) => {
                if let ReadError::Format(format) = error {
                    self.dropped.format = Some(format);
                }
                self.dropped.pieces += 1;
                self.dropped.count(&sent);
                Ok(())
            }
        };
        piece.clear();
        self.piece = piece;
        result
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::recorder::frame::{Counts, Head, write};

    const HEAD: Head<'static> = Head { rate: 100.0, scale: 1.0, full_scale: 0.0, channels: "a,b" };

    fn frame(first: u64) -> Vec<u8> {
        let mut buffer = [0; 256];
        let counts: Vec<i16> = (0..20).map(|count| (first as i16).wrapping_mul(7919).wrapping_add(count)).collect();
        write(&HEAD, first, Counts::Short(&counts), &mut buffer).unwrap().to_vec()
    }

    /// The numbers of the frames that are found in pieces of so many bytes, and what was dropped.
    fn found(bytes: &[u8], length: usize) -> (Vec<u64>, Dropped) {
        let (mut stream, mut numbers) = (FrameStream::default(), Vec::new());
        for piece in bytes.chunks(length) {
            let taken = stream.push(piece, |frame| {
                numbers.push(frame.first);
                Ok::<(), Infallible>(())
            });
            taken.unwrap();
        }
        (numbers, stream.dropped().clone())
    }

    #[test]
    fn frames_come_in_pieces_of_any_length() {
        let bytes: Vec<u8> = (0..20).flat_map(|number| frame(10 * number)).collect();
        let expected: Vec<u64> = (0..20).map(|number| 10 * number).collect();
        for length in [1, 2, 7, 64, bytes.len()] {
            assert_eq!(found(&bytes, length), (expected.clone(), Dropped::default()));
        }
    }

    #[test]
    fn garbage_costs_itself_and_no_frame_behind_it() {
        let boot = b"\x1b[32mboot\r\nI (310) app: threshold 3\r\n";
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let noise: Vec<u8> = (0..3 * MOST_BYTES).map(|_| rng.random_range(1..=255)).collect();
        for garbage in [&boot[..], &noise] {
            let bytes = [garbage, &frame(0), garbage, &frame(10), &frame(20)].concat();
            for length in [1, 50, bytes.len()] {
                let (numbers, dropped) = found(&bytes, length);
                assert_eq!((numbers, dropped.pieces), (vec![0, 10, 20], 2));
                assert_eq!(dropped.bytes, 2 * garbage.len() as u64);
                assert_eq!(dropped.beginning[..20], garbage[..20]);
            }
        }
    }

    #[test]
    fn a_frame_that_breaks_off_anywhere_costs_itself() {
        let (broken, next) = (frame(0), frame(10));
        for end in 0..broken.len() - 1 {
            let (numbers, dropped) = found(&[&broken[..end], &next].concat(), 13);
            assert_eq!((numbers, dropped.bytes), (vec![10], (end as u64).saturating_sub(1)), "{end}");
        }
    }

    #[test]
    fn what_is_lost_or_changed_in_a_long_stream_costs_the_frames_that_it_hits() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut bytes: Vec<u8> = (0..1000).flat_map(|number| frame(10 * number)).collect();
        for _ in 0..50 {
            let at = rng.random_range(0..bytes.len() - 40);
            match rng.random_range(0..3) {
                0 => drop(bytes.drain(at..at + rng.random_range(1..40))),
                1 => bytes[at] ^= 1 << rng.random_range(0..8),
                _ => drop(bytes.splice(at..at, (0..rng.random_range(1..40)).map(|byte| byte * 6).collect::<Vec<u8>>())),
            }
        }
        let (numbers, dropped) = found(&bytes, 100);
        assert!(numbers.is_sorted() && numbers.iter().all(|number| number % 10 == 0 && *number < 10_000));
        // Each of the fifty hits at most two frames, and most of them one.
        assert!((900..1000).contains(&numbers.len()) && (40..200).contains(&dropped.pieces), "{}", numbers.len());
    }

    #[test]
    fn what_has_no_zero_is_rejected_once_it_is_asked_for_and_dropped_once_the_line_is_cut() {
        let mut stream = FrameStream::default();
        stream.push(b"boot\n", |_| Ok::<(), Infallible>(())).unwrap();
        assert_eq!((stream.dropped().bytes, stream.rejected().bytes), (0, 5));
        stream.cut();
        assert_eq!((stream.dropped().bytes, &*stream.dropped().beginning), (5, &b"boot\n"[..]));
    }

    #[test]
    fn another_layout_is_told() {
        let mut plain = vec![2, 0, 0];
        plain.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&plain).to_le_bytes());
        // A zero, the stuffed bytes, and the zeros that are behind them.
        let mut bytes = vec![0; 2 + cobs::max_encoding_length(plain.len())];
        cobs::encode(&plain, &mut bytes[1..]);
        assert_eq!(found(&bytes, 100).1.format, Some(2));
    }
}
