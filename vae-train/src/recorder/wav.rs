//! A recording as WAV: floating-point samples in the channels' unit, a file for each piece without gaps, as the format knows no times.
//!
//! # Source
//! Multimedia Programming Interface and Data Specifications 1.0 (IBM, Microsoft, 1991) and its New Multimedia Data Types (1994), for `fact` and
//! the tag 3 of IEEE floating-point samples.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{
    recorder::rows::Rows,
    words::output::{Existing, write_file},
};

/// Bytes from the length of all to the first sample.
const HEAD: u64 = 4 + (8 + 18) + (8 + 4) + 8;

/// Writes the rows of `part` as a file for each piece, which begins with one of these rows: at `path`, and of the later ones beside it, with a
/// number behind the name. Returns the files.
///
/// # Errors
/// If a piece is longer than the format allows, which is 4 GiB, a file exists and must be kept, or cannot be written.
pub(super) fn write_wav(
    part: &Path,
    path: &Path,
    existing: Existing,
    rate: u32,
    channels: usize,
    pieces: &[u64],
    rows: u64,
) -> Result<Vec<PathBuf>> {
    let ends = pieces.iter().skip(1).copied().chain([rows]);
    let pieces: Vec<Range<u64>> = pieces.iter().zip(ends).map(|(start, end)| *start..end).collect();
    let files: Vec<PathBuf> = (1..=pieces.len()).map(|number| numbered(path, number)).collect();
    files.iter().try_for_each(|file| existing.check(file))?;
    let mut rows = Rows::open(part)?;
    let mut values = Vec::new();
    for (file, piece) in files.iter().zip(pieces) {
        write_file(file, existing, |out| {
            let count = piece.end - piece.start;
            out.write_all(&header(rate, channels, count)?)?;
            for _ in 0..count {
                rows.next(&mut values)?.context("it has fewer rows than were written")?;
                values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
            }
            Ok(())
        })?;
    }
    Ok(files)
}

/// `day1.wav`, `day1-2.wav`, …
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}."));
    name.push(path.extension().unwrap_or_default());
    path.with_file_name(name)
}

fn header(rate: u32, channels: usize, rows: u64) -> Result<Vec<u8>> {
    let frame = u16::try_from(4 * channels).context("WAV holds at most 16383 channels")?;
    let bytes = rows * u64::from(frame);
    let too_long = "WAV holds at most 4 GiB: convert it in parts, or record to .csv or .parquet";
    let [whole, bytes, rows] = [HEAD + bytes, bytes, rows].map(u32::try_from);
    let (whole, bytes, rows) = (whole.context(too_long)?, bytes.context(too_long)?, rows.context(too_long)?);
    let per_second = rate.checked_mul(frame.into()).context("WAV holds at most 4 GiB a second")?;
    let mut header = Vec::new();
    header.extend([*b"RIFF", whole.to_le_bytes(), *b"WAVE", *b"fmt ", 18u32.to_le_bytes()].as_flattened());
    header.extend([3, channels as u16].iter().flat_map(|half| half.to_le_bytes()));
    header.extend([rate, per_second].iter().flat_map(|word| word.to_le_bytes()));
    header.extend([frame, 32, 0].iter().flat_map(|half| half.to_le_bytes()));
    header.extend([*b"fact", 4u32.to_le_bytes(), rows.to_le_bytes(), *b"data", bytes.to_le_bytes()].as_flattened());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_numbered_behind_the_name() {
        assert_eq!(numbered(Path::new("new/day.1.wav"), 1), Path::new("new/day.1.wav"));
        assert_eq!(numbered(Path::new("new/day.1.wav"), 12), Path::new("new/day.1-12.wav"));
    }

    #[test]
    fn the_header_says_what_follows() {
        let header = header(1600, 3, 1000).unwrap();
        assert_eq!(header.len() as u64, 8 + HEAD);
        assert_eq!(header[4..8], (HEAD as u32 + 12_000).to_le_bytes());
        assert_eq!(header[header.len() - 4..], 12_000u32.to_le_bytes());
        assert!(format!("{:#}", super::header(1600, 3, 1 << 31).unwrap_err()).contains("4 GiB"));
    }
}
