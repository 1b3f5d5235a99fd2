//! WAV: recordings of sound or vibration.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result, ensure};
use hound::{SampleFormat, WavReader};

use crate::tables::table::Table;

/// Reads a recording as a table: a row for each sample, a column `channel0`, `channel1`, … for each channel. Integers are divided by
/// their full scale (32,768 of 16 bits), so that they are within ±1; floating-point samples stay as they are.
///
/// # Errors
/// If it is not PCM of 8, 16, 24 or 32 bits or floating-point of 32, or is cut off.
pub fn read_wav(path: &Path, label: Option<&str>) -> Result<Table> {
    let mut reader = open(path)?;
    let spec = reader.spec();
    let values: hound::Result<Vec<f32>> = match spec.sample_format {
        SampleFormat::Float => collect(reader.samples::<f32>()),
        SampleFormat::Int => {
            let unit = 0.5f32.powi(i32::from(spec.bits_per_sample) - 1);
            collect(reader.samples::<i32>().map(|sample| Ok(sample? as f32 * unit)))
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
    Table::of_columns(path, names(spec.channels), values, label)
}

/// Names of a recording's channels.
///
/// # Errors
/// If its header cannot be read.
pub fn wav_columns(path: &Path) -> Result<Vec<String>> {
    Ok(names(open(path)?.spec().channels))
}

/// Samples a second.
///
/// # Errors
/// If the header cannot be read, or says none.
pub fn wav_rate(path: &Path) -> Result<f64> {
    let rate = open(path)?.spec().sample_rate;
    ensure!(rate > 0, "{}: its header says 0 samples a second: mend it, or give --rate", path.display());
    Ok(f64::from(rate))
}

/// Grows with what is read, whatever the header promises.
fn collect(samples: impl Iterator<Item = hound::Result<f32>>) -> hound::Result<Vec<f32>> {
    let mut values = Vec::new();
    for sample in samples {
        values.try_reserve(1).map_err(|_| std::io::Error::from(std::io::ErrorKind::OutOfMemory))?;
        values.push(sample?);
    }
    Ok(values)
}

fn names(channels: u16) -> Vec<String> {
    (0..channels).map(|channel| format!("channel{channel}")).collect()
}

fn open(path: &Path) -> Result<WavReader<BufReader<File>>> {
    WavReader::open(path).with_context(|| {
        format!(
            "{} cannot be read as WAV: PCM of 8, 16, 24 or 32 bits and floating-point of 32 are accepted (ffmpeg -i {0} -c:a \
             pcm_s16le new.wav converts others)",
            path.display()
        )
    })
}
