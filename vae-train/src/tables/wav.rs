//! WAV: recordings of sound or vibration.

use std::{
    io::{self, BufReader},
    path::Path,
};

use anyhow::{Context, Result};
use hound::{SampleFormat, WavReader};

use crate::tables::{
    growth::{Expected, reserve},
    recording::{Label, Recording},
    source::Source,
};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;

/// Reads a recording as a table: a row for each sample, a column `channel0`, `channel1`, … for each channel. Integers are divided by
/// their full scale (32,768 of 16 bits), so that they are within ±1; floating-point samples stay as they are.
///
/// # Errors
/// If it is not PCM of 8, 16, 24 or 32 bits or floating-point of 32, or is cut off.
pub(crate) fn read_wav(source: Source, label: Label<'_>) -> Result<Recording> {
    let path = source.name.clone();
    let mut reader = WavReader::new(BufReader::with_capacity(BUFFER, source)).with_context(|| {
        format!(
            "{} cannot be read as WAV: PCM of 8, 16, 24 or 32 bits and floating-point of 32 are accepted (ffmpeg -i {0} -c:a \
             pcm_s16le new.wav converts others)",
            path.display()
        )
    })?;
    let (spec, count) = (reader.spec(), reader.len() as usize);
    let values: hound::Result<Vec<f32>> = match spec.sample_format {
        SampleFormat::Float => collect(reader.samples::<f32>(), count, &path),
        SampleFormat::Int => {
            let unit = 0.5f32.powi(i32::from(spec.bits_per_sample) - 1);
            collect(reader.samples::<i32>().map(|sample| Ok(sample? as f32 * unit)), count, &path)
        }
    };
    let values = values.with_context(|| {
        format!(
            "{}: its header promises {} samples of {} bits × {} channels, and they cannot be read",
            path.display(),
            reader.duration(),
            spec.bits_per_sample,
            spec.channels
        )
    })?;
    let names = (0..spec.channels).map(|channel| format!("channel{channel}")).collect();
    let recording = Recording::of_columns(&path, names, values, label)?;
    Ok(Recording { rate: Some(f64::from(spec.sample_rate)), ..recording })
}

/// Grows with what is read, whatever the header promises.
fn collect(samples: impl Iterator<Item = hound::Result<f32>>, count: usize, path: &Path) -> hound::Result<Vec<f32>> {
    let mut values = Vec::new();
    for sample in samples {
        reserve(&mut values, 1, || Expected::Count(count), path)
            .map_err(|error| hound::Error::IoError(io::Error::other(error)))?;
        values.push(sample?);
    }
    Ok(values)
}
