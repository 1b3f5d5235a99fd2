//! The chunks of a WAV file, up to its samples.

use std::{
    io::{BufRead, ErrorKind, Read},
    path::Path,
};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::tables::pcm::Encoding;

/// Most bytes of a chunk `fmt ` that are looked at: those of `WAVEFORMATEXTENSIBLE`.
const FORMAT_BYTES: usize = 40;
/// Programs that write into a pipe put a length of about this into the header, or one of 0xFFFFFFFF.
pub(crate) const OF_PIPES: u64 = 0x7FFF_0000;
/// Most bytes that a chunk `ds64` may promise.
const NO_LENGTH: u64 = i64::MAX as u64;

/// How many bytes of samples there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    Known(u64),
    /// The recorder did not know, or did not come to write it: to the end of the file.
    Unknown,
}

/// What stands before the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) channels: u16,
    /// Samples a second.
    pub(crate) rate: u32,
    pub(crate) encoding: Encoding,
    pub(crate) length: Length,
}

impl Head {
    /// Reads up to the first sample.
    ///
    /// # Errors
    /// If there are no samples, or none of a kind that is read: with what to do.
    pub(crate) fn read(input: &mut impl BufRead, path: &Path) -> Result<Self> {
        let name = path.display();
        let ends = || format!("{name} ends in its header, before the first sample: the recording is lost");
        let mut start = [0; 12];
        input.read_exact(&mut start).with_context(ends)?;
        let (mut format, mut long) = (None, None);
        loop {
            let (kind, length) = chunk(input).with_context(ends)?;
            match &kind {
                b"fmt " => {
                    let mut body = Vec::new();
                    let bytes = (length as usize).min(FORMAT_BYTES);
                    input.by_ref().take(bytes as u64).read_to_end(&mut body).with_context(ends)?;
                    skip(input, u64::from(length) - body.len() as u64).with_context(ends)?;
                    format = Some(Format::parse(&body, path)?);
                }
                b"ds64" => {
                    let mut body = [0; 16];
                    ensure!(
                        length >= 16,
                        "{name}: its chunk `ds64` has {length} bytes and not 28: the file is damaged"
                    );
                    input.read_exact(&mut body).with_context(ends)?;
                    skip(input, u64::from(length) - 16).with_context(ends)?;
                    let [_, _, _, _, _, _, _, _, data @ ..] = body;
                    long = Some(u64::from_le_bytes(data));
                }
                b"data" => {
                    let Some(Format { channels, rate, encoding }) = format else {
                        bail!(
                            "{name} has its samples before the chunk `fmt ` that says what they are: the file is damaged"
                        );
                    };
                    let length = known(length, long, input).with_context(ends)?;
                    return Ok(Self { channels, rate, encoding, length });
                }
                _ => skip(input, u64::from(length)).with_context(ends)?,
            }
            if length % 2 == 1 {
                skip_pad(input).with_context(ends)?;
            }
        }
    }

    /// Bytes of one sample of each channel.
    pub(crate) fn frame(&self) -> usize {
        usize::from(self.channels) * self.encoding.bytes()
    }
}

/// Whether something follows that is no chunk behind `promised` bytes of samples, and not the zeros to a full sector of a recorder's card.
pub(crate) fn has_more_samples(input: &mut impl Read, promised: u64) -> std::io::Result<bool> {
    let mut rest = Vec::new();
    input.take(9).read_to_end(&mut rest)?;
    let after = if promised % 2 == 1 && rest.first() == Some(&0) { &rest[1..] } else { &rest[..] };
    let is_chunk = |bytes: &[u8]| bytes.len() >= 8 && bytes[..4].iter().all(|byte| (b' '..=b'~').contains(byte));
    Ok(after.iter().any(|byte| *byte != 0) && !is_chunk(after) && !is_chunk(&rest))
}

/// What the chunk `fmt ` says.
struct Format {
    channels: u16,
    rate: u32,
    encoding: Encoding,
}

impl Format {
    fn parse(body: &[u8], path: &Path) -> Result<Self> {
        let name = path.display();
        let short = || anyhow!("{name}: its chunk `fmt ` has {} bytes and not 16: the file is damaged", body.len());
        let u16_at = |at: usize| -> Option<u16> { Some(u16::from_le_bytes(*body.get(at..)?.first_chunk()?)) };
        let u32_at = |at: usize| -> Option<u32> { Some(u32::from_le_bytes(*body.get(at..)?.first_chunk()?)) };
        let read = || Some((u16_at(0)?, u16_at(2)?, u32_at(4)?, u16_at(12)?, u16_at(14)?));
        let (tag, channels, rate, frame, bits) = read().ok_or_else(short)?;
        ensure!(channels > 0, "{name} has 0 channels, by its header: the file is damaged");
        // What the sub-format's name begins with is the tag.
        let tag = if tag == 0xFFFE { u16_at(24).ok_or_else(short)? } else { tag };
        let valid = if body.len() >= FORMAT_BYTES { u16_at(18).filter(|valid| *valid > 0) } else { None };
        let encoding = Encoding::of(tag, frame / channels, valid.unwrap_or(bits));
        let encoding = encoding.map_err(|found| {
            anyhow!(
                "{name} holds {found}: PCM of 8, 16, 24 or 32 bits and floating-point of 32 or 64 are read (ffmpeg -i {name} -c:a \
                 pcm_s16le new.wav converts others)"
            )
        })?;
        ensure!(
            frame % channels == 0,
            "{name}: its header says {frame} bytes for {channels} channels: the file is damaged"
        );
        Ok(Self { channels, rate, encoding })
    }
}

/// A chunk's name and length.
fn chunk(input: &mut impl Read) -> std::io::Result<([u8; 4], u32)> {
    let (mut kind, mut length) = ([0; 4], [0; 4]);
    input.read_exact(&mut kind)?;
    input.read_exact(&mut length)?;
    Ok((kind, u32::from_le_bytes(length)))
}

/// The length of the samples of which a chunk says one, and a chunk `ds64` another. What follows on a length of 0 is samples, unless it is
/// another chunk.
fn known(length: u32, long: Option<u64>, input: &mut impl BufRead) -> std::io::Result<Length> {
    Ok(match (length, long) {
        (u32::MAX, Some(long)) if long > 0 && long < NO_LENGTH => Length::Known(long),
        (u32::MAX, _) => Length::Unknown,
        (0, _) => match input.fill_buf()? {
            [] | [b'L', b'I', b'S', b'T', ..] | [b'i', b'd', b'3', b' ', ..] => Length::Known(0),
            _ => Length::Unknown,
        },
        _ => Length::Known(length.into()),
    })
}

fn skip(input: &mut impl Read, bytes: u64) -> std::io::Result<()> {
    let skipped = std::io::copy(&mut input.take(bytes), &mut std::io::sink())?;
    if skipped == bytes { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// Skips the byte that makes a chunk's length even; some programs forget it, and then a chunk's name follows.
fn skip_pad(input: &mut impl BufRead) -> std::io::Result<()> {
    if input.fill_buf()?.first().is_some_and(|byte| !byte.is_ascii_alphanumeric()) {
        input.consume(1);
    }
    Ok(())
}
