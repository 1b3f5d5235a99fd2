//! Writes a history of simulated motors, to measure with: `cargo run --release --example history -- FOLDER MACHINES ROWS`.
//!
//! Parquet files of a million rows in folders `machine=0000/`: `time` (nanoseconds since 1970), `x`, `y`, `z` in g, 1,600 rows a second.
#![expect(clippy::disallowed_methods, reason = "files to measure with")]

use std::{env, error::Error, fs, fs::File, path::PathBuf, sync::Arc};

use datafusion::{
    arrow::array::{ArrayRef, Float32Array, RecordBatch, TimestampNanosecondArray},
    parquet::arrow::ArrowWriter,
};

#[path = "../../src/simulator/motor/simulator.rs"]
#[allow(dead_code, unreachable_pub, reason = "the trainer's, which needs more of it")]
mod motor;

use motor::{CHANNELS, Condition, Motor, SAMPLE_RATE};

/// Rows of a file, and of a batch in it.
const FILE: usize = 1_000_000;
const BATCH: usize = 65_536;
/// 2026-01-01, in nanoseconds since 1970.
const START: i64 = 1_767_225_600_000_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [folder, machines, rows] = &arguments[..] else {
        return Err("give a folder, a number of machines and a number of rows of each".into());
    };
    let (machines, rows) = (machines.parse::<usize>()?, rows.parse::<usize>()?);
    for machine in 0..machines {
        let folder = PathBuf::from(folder).join(format!("machine={machine:04}"));
        fs::create_dir_all(&folder)?;
        let mut motor = Motor::new(machine as u64, 0);
        for start in (0..rows).step_by(FILE) {
            write(&folder.join(format!("{:04}.parquet", start / FILE)), &mut motor, start..rows.min(start + FILE))?;
        }
    }
    Ok(())
}

fn write(path: &std::path::Path, motor: &mut Motor, rows: std::ops::Range<usize>) -> Result<(), Box<dyn Error>> {
    let mut writer = None;
    for start in rows.clone().step_by(BATCH) {
        let batch = start..rows.end.min(start + BATCH);
        let samples: Vec<[f32; 3]> = batch.clone().map(|_| motor.sample(Condition::Normal)).collect();
        let times = batch.map(|row| START + row as i64 * 1_000_000_000 / SAMPLE_RATE as i64);
        let mut columns: Vec<(&str, ArrayRef)> =
            vec![("time", Arc::new(TimestampNanosecondArray::from_iter_values(times)))];
        for (axis, name) in CHANNELS.into_iter().enumerate() {
            columns.push((name, Arc::new(Float32Array::from_iter_values(samples.iter().map(|sample| sample[axis])))));
        }
        let batch = RecordBatch::try_from_iter(columns)?;
        if writer.is_none() {
            writer = Some(ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?);
        }
        if let Some(writer) = &mut writer {
            writer.write(&batch)?;
        }
    }
    if let Some(writer) = writer {
        writer.close()?;
    }
    Ok(())
}
