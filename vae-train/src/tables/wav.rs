//! WAV: recordings of sound or vibration.
//!
//! # Source
//! Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991), `WAVEFORMATEXTENSIBLE` of Windows' `mmreg.h`, and
//! EBU Tech 3306 (RF64) for what is longer than 4 GiB.

use std::{
    io::{BufReader, Read},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use crate::tables::{
    growth::{Expected, reserve},
    pcm::Justification,
    recording::{Label, Recording},
    riff::{self, Head, Length},
    source::Source,
};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;
/// Frames (a sample of each channel) that are converted at once.
const CHUNK: usize = 4096;

/// Reads a recording as a table: a row for each sample, a column `channel0`, `channel1`, … for each channel. Integers are divided by
/// their full scale (32,768 of 16 bits), so that they are within ±1; floating-point samples stay as they are. A recording whose length is
/// not known, or that was cut off, is read to its end, and a note says so.
///
/// # Errors
/// If it is neither PCM of 8, 16, 24 or 32 bits nor floating-point of 32 or 64, or holds no whole sample.
pub(crate) fn read_wav(source: Source, label: Label<'_>) -> Result<Recording> {
    let path = source.name.clone();
    let mut input = BufReader::with_capacity(BUFFER, source);
    let head = Head::read(&mut input, &path)?;
    let mut values = Vec::new();
    let bytes = samples(&mut input, &head, &mut values, &path)?;
    let note = note(&head, bytes, &mut input, &path)?;
    ensure!(!values.is_empty(), "{} has no rows: its header is followed by no whole sample", path.display());
    let names = (0..head.channels).map(|channel| format!("channel{channel}")).collect();
    let recording = Recording::of_columns(&path, names, values, label)?;
    let rate = (head.rate > 0).then_some(f64::from(head.rate));
    Ok(Recording { rate, notes: note.into_iter().collect(), ..recording })
}

/// Reads all whole frames that the header promises, or that there are; returns the bytes that were read, those of a last frame that is not
/// whole among them. Memory grows with what is read, whatever the header promises.
fn samples(input: &mut impl Read, head: &Head, values: &mut Vec<f32>, path: &Path) -> Result<u64> {
    let frame = head.frame();
    let most = if let Length::Known(bytes) = head.length { bytes } else { u64::MAX };
    let mut bytes = Vec::new();
    let mut read = 0;
    let mut justification = Justification::default();
    while read < most {
        let wanted = (most - read).min((CHUNK * frame) as u64);
        bytes.clear();
        let found = input.by_ref().take(wanted).read_to_end(&mut bytes);
        let found = found.with_context(|| format!("{} cannot be read to its end", path.display()))?;
        read += found as u64;
        bytes.truncate(found / frame * frame);
        if read == found as u64 {
            justification = head.encoding.justification(&bytes);
        }
        let count = bytes.len() / frame * usize::from(head.channels);
        let expected = || match head.length {
            Length::Known(bytes) => Expected::Count((bytes / frame as u64) as usize * usize::from(head.channels)),
            Length::Unknown => Expected::Unknown,
        };
        reserve(values, count, expected, path)?;
        head.encoding.decode(&bytes, justification, values);
        if (found as u64) < wanted {
            break;
        }
    }
    Ok(read)
}

/// What is to be said of a length that the header does not know, or that is another one: the header's, and what `bytes` were found.
fn note(head: &Head, bytes: u64, input: &mut impl Read, path: &Path) -> Result<Option<String>> {
    let (name, frame) = (path.display(), head.frame() as u64);
    let (rows, rest) = (bytes / frame, bytes % frame);
    let broken = if rest == 0 { String::new() } else { format!(", and {rest} bytes of one more, which are left out") };
    let unknown =
        || format!("{name}: its header does not say how long it is: it is read to its end, {rows} samples{broken}");
    Ok(match head.length {
        Length::Unknown => Some(unknown()),
        // A length that is there is one, however large.
        Length::Known(promised) if bytes < promised && promised >= riff::OF_PIPES && promised <= u32::MAX.into() => {
            Some(unknown())
        }
        Length::Known(promised) if bytes < promised || rest > 0 => Some(format!(
            "{name}: its header promises {} samples, and there are {rows}{broken}: it was cut off, and what is whole is read",
            promised / frame
        )),
        Length::Known(promised)
            if riff::has_more_samples(input, promised).with_context(|| format!("cannot read {name}"))? =>
        {
            Some(format!(
                "{name}: its header promises {rows} samples, and more bytes follow, which are not read: if they are samples, too, \
                 ffmpeg -ignore_length 1 -i {name} -c copy new.wav mends the header"
            ))
        }
        Length::Known(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of these chunks, padded to an even length where they are not.
    fn file(start: &[u8; 4], chunks: &[(&[u8; 4], u32, &[u8])]) -> Vec<u8> {
        let mut bytes = [&start[..], &[0; 4], b"WAVE"].concat();
        for (kind, length, body) in chunks {
            bytes.extend([&kind[..], &length.to_le_bytes(), body].concat());
            bytes.extend(&[0][..body.len() % 2]);
        }
        bytes
    }

    fn format(tag: u16, channels: u16, bits: u16) -> Vec<u8> {
        let frame = channels * bits / 8;
        let fields = [&tag.to_le_bytes()[..], &channels.to_le_bytes(), &8000u32.to_le_bytes(), &[0; 4]];
        [&fields.concat()[..], &frame.to_le_bytes(), &bits.to_le_bytes()].concat()
    }

    fn read(bytes: &[u8]) -> Result<(Vec<f32>, Vec<String>), String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.wav");
        std::fs::write(&path, bytes).unwrap();
        let recording = Source::open(&path).and_then(|source| read_wav(source, Label::None));
        recording.map(|found| (found.table.values, found.notes)).map_err(|error| format!("{error:#}"))
    }

    /// The samples 0.5, −0.5 and 0.25 of 16 bits.
    const SAMPLES: [u8; 6] = [0, 0x40, 0, 0xC0, 0, 0x20];
    const VALUES: [f32; 3] = [0.5, -0.5, 0.25];

    #[test]
    fn chunks_of_odd_size_have_a_byte_more_or_not() {
        let pcm = format(1, 1, 16);
        let sound = file(
            b"RIFF",
            &[(b"fmt ", 16, &pcm), (b"note", 5, b"hello"), (b"data", 6, &SAMPLES), (b"LIST", 4, b"INFO")],
        );
        assert_eq!(read(&sound).unwrap(), (VALUES.to_vec(), vec![]));
        let mut without_pad = sound;
        assert_eq!(without_pad.remove(12 + 24 + 8 + 5), 0);
        assert_eq!(read(&without_pad).unwrap(), (VALUES.to_vec(), vec![]));
        // A chunk `fmt ` of another length, and samples of one byte, of which the last is padded.
        let byte = [&format(1, 1, 8)[..], &[0; 3]].concat();
        let odd = file(b"RIFF", &[(b"fmt ", 19, &byte), (b"data", 3, &[128, 0, 192]), (b"LIST", 4, b"INFO")]);
        assert_eq!(read(&odd).unwrap(), (vec![0.0, -1.0, 0.5], vec![]));
    }

    #[test]
    fn doubles_and_extensible_formats_are_read() {
        let doubles: Vec<u8> = VALUES.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
        let double = format(3, 1, 64);
        assert_eq!(read(&file(b"RIFF", &[(b"fmt ", 16, &double), (b"data", 24, &doubles)])).unwrap().0, VALUES);
        for (tag, bits, bytes) in [(3, 64, &doubles[..]), (1, 16, &SAMPLES)] {
            let identity =
                [&[22, 0, bits, 0, 4, 0, 0, 0, tag, 0][..], b"\0\0\0\0\x10\0\x80\0\0\xAA\0\x38\x9B\x71"].concat();
            let extensible = [&format(0xFFFE, 1, bits.into())[..], &identity].concat();
            let bytes = file(b"RIFF", &[(b"fmt ", 40, &extensible), (b"data", bytes.len() as u32, bytes)]);
            assert_eq!(read(&bytes).unwrap(), (VALUES.to_vec(), vec![]));
        }
    }

    #[test]
    fn a_length_that_is_not_known_means_to_the_end_and_is_said() {
        let pcm = format(1, 1, 16);
        for length in [0, u32::MAX, 0x7FFF_FFFF, 0x7FFF_F000] {
            let (values, notes) = read(&file(b"RIFF", &[(b"fmt ", 16, &pcm), (b"data", length, &SAMPLES)])).unwrap();
            assert_eq!(values, VALUES, "{length}");
            assert!(notes[0].contains("does not say how long it is: it is read to its end, 3 samples"), "{notes:?}");
        }
        // Longer than 4 GiB, whose length is in a chunk of its own; what follows is no sample.
        let long = [[0; 8], 6u64.to_le_bytes(), [0; 8], [0; 8]].concat();
        for start in [b"RF64", b"BW64"] {
            let chunks: [(&[u8; 4], u32, &[u8]); 4] =
                [(b"ds64", 32, &long), (b"fmt ", 16, &pcm), (b"data", u32::MAX, &SAMPLES), (b"LIST", 4, b"INFO")];
            assert_eq!(read(&file(start, &chunks)).unwrap(), (VALUES.to_vec(), vec![]));
        }
        let nothing = file(b"RIFF", &[(b"fmt ", 16, &pcm), (b"data", 0, &[]), (b"LIST", 4, b"INFO")]);
        assert!(read(&nothing).unwrap_err().contains("has no rows"));
    }

    #[test]
    fn what_is_whole_of_a_recording_that_was_cut_off_is_read() {
        let stereo = format(1, 2, 16);
        let whole = file(b"RIFF", &[(b"fmt ", 16, &stereo), (b"data", 80, &SAMPLES)]);
        let (values, notes) = read(&whole).unwrap();
        assert_eq!(values, VALUES[..2]);
        assert!(
            notes[0].contains("its header promises 20 samples, and there are 1, and 2 bytes of one more"),
            "{notes:?}"
        );
        let (values, notes) = read(&whole[..whole.len() - 2]).unwrap();
        assert_eq!(values, VALUES[..2]);
        assert!(notes[0].contains("promises 20 samples, and there are 1: it was cut off"), "{notes:?}");
        assert!(read(&whole[..40]).unwrap_err().contains("ends in its header"));
        assert!(read(&whole[..46]).unwrap_err().contains("has no rows: its header is followed by no whole sample"));
        // A recorder that fills the last sector of its card with zeros, and one that counted wrong.
        for (rest, is_said) in [(&[0; 100][..], false), (&[0, 1, 200, 7, 0, 0, 1, 0, 0], true)] {
            let bytes = [&file(b"RIFF", &[(b"fmt ", 16, &stereo), (b"data", 4, &SAMPLES[..4])])[..], rest].concat();
            let (values, notes) = read(&bytes).unwrap();
            assert_eq!((&values[..], notes.is_empty()), (&VALUES[..2], !is_said), "{notes:?}");
            assert!(notes.iter().all(|note| note.contains("-ignore_length 1")), "{notes:?}");
        }
    }

    #[test]
    fn what_is_compressed_is_named_with_what_converts_it() {
        for (tag, name) in [(6, "A-law"), (7, "µ-law"), (0x11, "ADPCM")] {
            let message =
                read(&file(b"RIFF", &[(b"fmt ", 16, &format(tag, 1, 8)), (b"data", 6, &SAMPLES)])).unwrap_err();
            assert!(message.contains(name) && message.contains("ffmpeg -i") && message.contains("a.wav"), "{message}");
        }
        let early = file(b"RIFF", &[(b"data", 6, &SAMPLES), (b"fmt ", 16, &format(1, 1, 16))]);
        assert!(read(&early).unwrap_err().contains("its samples before the chunk `fmt `"));
    }
}
