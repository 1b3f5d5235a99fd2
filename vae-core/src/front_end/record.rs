//! Front-ends as a model file has them.

use crate::front_end::FrontEnd;

/// Bytes of the sample rate, behind those of the channels.
const RATE: usize = 4;

impl FrontEnd {
    /// The front-end of a channel by the file's record of all `channels`: a byte for each, 0 raw, 1 mean, 2 statistics, n > 2 so many bands.
    /// Where any has mel bands, a byte for each follows, and the sample rate in Hz (four bytes, little-endian): the channel has frames where its
    /// second byte is not 0, so many, and its first byte says of how many mel bands. Raw for a channel without a byte.
    #[must_use]
    pub fn of_record(record: &[u8], channel: usize, channels: usize) -> Self {
        let Some(code) = record.get(channel) else { return Self::Raw };
        let frames = match record.split_last_chunk::<RATE>() {
            Some((bytes, rate)) if channels.checked_mul(2) == Some(bytes.len()) => {
                bytes.get(channels + channel).map(|frames| (*frames, u32::from_le_bytes(*rate)))
            }
            _ => None,
        };
        match (*code, frames) {
            (bands, Some((frames @ 1.., rate))) => Self::Mel { bands, frames, rate },
            (0, _) => Self::Raw,
            (1, _) => Self::Mean,
            (2, _) => Self::Statistics,
            (bands, _) => Self::Bands(bands),
        }
    }

    /// The file's first byte of a channel.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Mean => 1,
            Self::Statistics => 2,
            Self::Bands(bands) | Self::Mel { bands, .. } => bands,
        }
    }

    /// The file's second byte of a channel: 0 but for [`Self::Mel`].
    #[must_use]
    pub const fn frames(self) -> u8 {
        match self {
            Self::Mel { frames, .. } => frames,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_a_channel_is_what_it_was_and_two_with_a_rate_are_mel() {
        for code in 0..=u8::MAX {
            for record in [&[7, code][..], &[7, code, 0, 0, 0, 0, 0, 0]] {
                let found = FrontEnd::of_record(record, 1, 2);
                assert_eq!((found.code(), found.frames()), (code, 0));
                assert!(!matches!(found, FrontEnd::Mel { .. }), "{found:?}");
                assert_eq!(FrontEnd::of_record(record, 0, 2), FrontEnd::Bands(7));
            }
            for frames in [1, 2, 5, 127, 128, 255] {
                let record = [code, 5, frames, 0, 0x80, 0x3E, 0, 0];
                let mel = FrontEnd::Mel { bands: code, frames, rate: 16_000 };
                assert_eq!([0, 1].map(|at| FrontEnd::of_record(&record, at, 2)), [mel, FrontEnd::Bands(5)]);
                assert_eq!((mel.code(), mel.frames()), (code, frames));
            }
        }
    }

    #[test]
    fn a_record_of_another_length_has_no_frames() {
        let record = [3, 4, 1, 1, 0x80, 0x3E, 0, 0, 1];
        for len in (0..=9).filter(|len| *len != 8) {
            let found = [0, 1].map(|channel| FrontEnd::of_record(&record[..len], channel, 2));
            let expected = [FrontEnd::Bands(3), FrontEnd::Bands(4)];
            assert_eq!(found, [0, 1].map(|channel| if channel < len { expected[channel] } else { FrontEnd::Raw }));
        }
    }
}
