//! Recordings of simulated motors, as files of a history.

use std::{fs::File, io::Write as _, path::Path, sync::Arc};

use datafusion::{
    arrow::{
        array::{ArrayRef, Float32Array, RecordBatch, StringArray, TimestampNanosecondArray},
        datatypes::SchemaRef,
    },
    parquet::arrow::ArrowWriter,
};

use crate::motor::{CHANNELS, Condition, Individual, Motor, SAMPLE_RATE};

/// Nanoseconds from one sample to the next.
pub const PERIOD: i64 = 1_000_000_000 / SAMPLE_RATE as i64;
/// 2026-01-01, in nanoseconds since 1970.
pub const START: i64 = 1_767_225_600_000_000_000;
/// Rows of a batch.
const BATCH: usize = 16_384;

/// A machine's samples and their times.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub machine: String,
    /// Nanoseconds since 1970.
    pub times: Vec<i64>,
    /// `[x, y, z]` in g.
    pub samples: Vec<[f32; 3]>,
}

impl Recording {
    /// A motor that goes through conditions, each for so many samples.
    pub fn of(machine: &str, individual: Individual, seed: u64, course: &[(Condition, usize)]) -> Self {
        let mut motor = Motor::of(individual, seed, 0);
        let samples: Vec<[f32; 3]> = course
            .iter()
            .flat_map(|(condition, count)| vec![*condition; *count])
            .map(|condition| motor.sample(condition))
            .collect();
        let times = (0..samples.len() as i64).map(|sample| START + sample * PERIOD).collect();
        Self { machine: machine.to_owned(), times, samples }
    }

    /// Leaves out the samples in this range: a gap.
    pub fn without(mut self, range: std::ops::Range<usize>) -> Self {
        self.times.drain(range.clone());
        self.samples.drain(range);
        self
    }

    /// The times in seconds.
    pub fn seconds(&self) -> impl Iterator<Item = f64> {
        self.times.iter().map(|time| *time as f64 / 1e9)
    }

    /// Columns `time`, `x`, `y`, `z`, and before them `machine` where it is `named`.
    pub fn batch(&self, named: bool) -> RecordBatch {
        let mut columns: Vec<(&str, ArrayRef)> = Vec::new();
        if named {
            columns.push(("machine", Arc::new(StringArray::from(vec![&*self.machine; self.times.len()]))));
        }
        columns.push(("time", Arc::new(TimestampNanosecondArray::from(self.times.clone()))));
        for (axis, name) in CHANNELS.into_iter().enumerate() {
            columns
                .push((name, Arc::new(self.samples.iter().map(|sample| Some(sample[axis])).collect::<Float32Array>())));
        }
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// As CSV, the times in seconds from the first on, shortest digits that give the same numbers again.
    pub fn csv(&self, path: &Path) {
        let mut text = String::from("machine,time,x,y,z\n");
        for (time, [x, y, z]) in self.times.iter().zip(&self.samples) {
            text += &format!("{},{},{x},{y},{z}\n", self.machine, (time - START) as f64 / 1e9);
        }
        create(path).write_all(text.as_bytes()).unwrap();
    }

    /// As JSON, an object a line.
    pub fn json(&self, path: &Path) {
        let mut text = String::new();
        for (time, [x, y, z]) in self.times.iter().zip(&self.samples) {
            text += &format!(
                "{{\"machine\":\"{}\",\"time\":{},\"x\":{x},\"y\":{y},\"z\":{z}}}\n",
                self.machine,
                (time - START) as f64 / 1e9
            );
        }
        create(path).write_all(text.as_bytes()).unwrap();
    }
}

/// Writes batches to a Parquet file.
pub fn parquet(path: &Path, batches: &[RecordBatch]) {
    let schema: SchemaRef = batches[0].schema();
    let mut writer = ArrowWriter::try_new(create(path), schema, None).unwrap();
    for batch in batches {
        for start in (0..batch.num_rows()).step_by(BATCH) {
            writer.write(&batch.slice(start, BATCH.min(batch.num_rows() - start))).unwrap();
        }
    }
    writer.close().unwrap();
}

/// A file in folders that are made where they are missing.
pub fn create(path: &Path) -> File {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap()
}
