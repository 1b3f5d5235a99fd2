//! What is simulated, as CSV files to train on, to hold out and to test on.

use std::{
    iter,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::Result;

#[cfg(feature = "parquet")]
use crate::words::output::Pending;
use crate::{
    simulator::{
        motor::{CHANNELS, Condition, simulate, simulate_course},
        plane::Shape,
        plant::{self, Plant},
        pump::{self, Pump},
    },
    words::output::{Csv, Existing, write_file},
};

/// Seconds of the motor's normal running to train on, by default.
pub const TRAINING_SECONDS: f64 = 80.0;

/// Seconds of normal running before and after each fault of the motor's test.csv: long enough for an alarm to clear, so that each
/// fault is an event of its own.
const NORMAL_BETWEEN_SECONDS: f64 = 40.0;

/// A table of a toy set.
#[derive(Clone, Debug)]
pub struct ToyTable {
    /// Of its file.
    pub name: &'static str,
    /// Names of its columns.
    pub columns: Vec<String>,
    /// Row after row.
    pub values: Vec<f32>,
}

/// Writes a toy set's tables; returns their paths.
///
/// # Errors
/// If a file exists or cannot be written.
pub fn write_toy(out: &Path, existing: Existing, tables: &[ToyTable]) -> Result<Vec<PathBuf>> {
    let files: Vec<PathBuf> = tables.iter().map(|table| out.join(table.name)).collect();
    files.iter().try_for_each(|file| existing.check(file))?;
    for (file, ToyTable { columns, values, .. }) in files.iter().zip(tables) {
        write_file(file, existing, |out| {
            let mut csv = Csv::under(columns.clone(), out)?;
            for row in values.chunks(columns.len()) {
                csv.write_record(row.iter().map(f32::to_string))?;
            }
            csv.flush()
        })?;
    }
    Ok(files)
}

/// The points of a shape: train.csv, as many in test.csv, and `ln p(x)` of the latter in density.csv, in nats.
#[must_use]
pub fn plane_tables(shape: Shape, points: usize, seed: u64) -> [ToyTable; 3] {
    let columns = || vec!["x0".to_owned(), "x1".to_owned()];
    let (train, test) = (shape.points(points, seed), shape.points(points, test_seed(seed)));
    let nats = test.iter().map(|x| shape.log_density(x.map(f64::from)) as f32).collect();
    [
        ToyTable { name: "train.csv", columns: columns(), values: train.into_flattened() },
        ToyTable { name: "test.csv", columns: columns(), values: test.into_flattened() },
        ToyTable { name: "density.csv", columns: vec!["log_density".to_owned()], values: nats },
    ]
}

/// Of the data to test on: another seed than the training data's, whatever the user's seed is.
#[must_use]
pub const fn test_seed(seed: u64) -> u64 {
    seed ^ 0x7E57
}

/// Seconds of each condition to test on.
fn test_seconds(seconds: f64) -> f64 {
    (seconds / 4.0).max(1.0)
}

/// The samples that `seed` gives for a condition, apart from those trained on.
#[must_use]
pub fn test_samples(condition: Condition, seconds: f64, seed: u64) -> Vec<[f32; 3]> {
    simulate(condition, test_seconds(seconds), test_seed(seed))
}

/// The conditions that the motor of test.csv goes through, and for how many seconds: each fault between normal running.
fn test_course(seconds: f64) -> Vec<(Condition, f64)> {
    // So that small data stay small.
    let normal = (Condition::Normal, NORMAL_BETWEEN_SECONDS.min(seconds / 2.0));
    let faults = Condition::FAULTS.into_iter().flat_map(|fault| [(fault, test_seconds(seconds)), normal]);
    iter::once(normal).chain(faults).collect()
}

/// Writes train.csv, test.csv, in which one motor has every fault between normal running, and one file per condition; returns their
/// paths.
///
/// # Errors
/// If a file exists or cannot be written.
pub fn write_motor(out: &Path, seconds: f64, seed: u64, existing: Existing) -> Result<Vec<PathBuf>> {
    let conditions = iter::once(Condition::Normal).chain(Condition::FAULTS);
    let tests: Vec<_> = conditions.map(|c| (c, test_samples(c, seconds, seed))).collect();
    let path = |name: &str| out.join(name).with_extension("csv");
    let mut files = vec![path("train"), path("test")];
    files.extend(tests.iter().map(|(condition, _)| path(condition.name())));
    for file in &files {
        existing.check(file)?;
    }
    write_csv(&files[0], existing, &[(false, &simulate(Condition::Normal, seconds, seed))], false)?;
    let course = simulate_course(&test_course(seconds), test_seed(seed));
    let labelled: Vec<_> = course.iter().map(|(c, samples)| (*c != Condition::Normal, &samples[..])).collect();
    write_csv(&files[1], existing, &labelled, true)?;
    for (file, (_, samples)) in files[2..].iter().zip(&tests) {
        write_csv(file, existing, &[(false, samples)], false)?;
    }
    Ok(files)
}

/// The pressure sensor sticks and the filter clogs in these seconds of the pump's test.csv.
const PUMP_STUCK: Range<u32> = 2400..2580;
const PUMP_CLOGGING: Range<u32> = 4800..5400;

/// Writes the pump's files, train.csv, holdout.csv and test.csv; returns their paths.
///
/// # Errors
/// If a file exists or cannot be written.
pub fn write_pump(out: &Path, seed: u64, existing: Existing) -> Result<Vec<PathBuf>> {
    const HOUR: u32 = 3600;
    // Monday, Tuesday to Thursday, and Friday morning; test.csv alone has faults and says where.
    let parts = [("train.csv", 2, 2, 18 * HOUR), ("holdout.csv", 3, 3, 72 * HOUR), ("test.csv", 4, 6, 2 * HOUR)];
    let files: Vec<PathBuf> = parts.iter().map(|(name, ..)| out.join(name)).collect();
    files.iter().try_for_each(|file| existing.check(file))?;
    for (file, (name, stream, first_day, seconds)) in files.iter().zip(parts) {
        let is_test = name == "test.csv";
        let mut pump = Pump::new(seed.wrapping_mul(8).wrapping_add(stream));
        let (mut stuck, mut row) = (0.0, [0.0; 4]);
        write_file(file, existing, |out| {
            let mut csv = Csv::under(iter::once("time").chain(pump::COLUMNS).chain(is_test.then_some("label")), out)?;
            for second in 0..seconds {
                let clogging = (second as f32 - PUMP_CLOGGING.start as f32) / PUMP_CLOGGING.len() as f32;
                stuck = row[1];
                row = pump.row(if is_test { clogging.clamp(0.0, 1.0) } else { 0.0 });
                if is_test && PUMP_STUCK.contains(&second) {
                    row[1] = stuck;
                }
                let (day, hour) = (first_day + second / (24 * HOUR), second / HOUR % 24);
                let time = format!("2026-03-0{day} {hour:02}:{:02}:{:02}", second / 60 % 60, second % 60);
                let label = is_test.then(|| u8::from(second >= PUMP_CLOGGING.start).to_string());
                let values = row.iter().map(|value| format!("{value:.2}"));
                csv.write_record(iter::once(time).chain(values).chain(label))?;
            }
            csv.flush()
        })?;
    }
    Ok(files)
}

/// What a plant's rows are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Lines of decimal numbers.
    Csv,
    /// Columns of 32-bit numbers, with the Cargo feature `parquet`.
    Parquet,
}

/// Writes rows of a plant to train on, and a tenth as many to test on, each as it is simulated, so that there may be as many as the disk holds;
/// returns the paths.
///
/// # Errors
/// If a file exists or cannot be written, or this program was built without Parquet.
pub fn write_plant(out: &Path, rows: usize, seed: u64, format: Format, existing: Existing) -> Result<Vec<PathBuf>> {
    let ending = if format == Format::Csv { "csv" } else { "parquet" };
    let parts = [("train", seed, rows), ("test", test_seed(seed), rows.div_ceil(10))];
    let files = parts.map(|(name, ..)| out.join(name).with_extension(ending));
    files.iter().try_for_each(|file| existing.check(file))?;
    let names: Vec<String> = (0..plant::SENSORS).map(|sensor| format!("s{sensor}")).collect();
    for (file, (_, seed, rows)) in files.iter().zip(parts) {
        let mut plant = Plant::new(seed);
        let rows = (0..rows).map(|_| plant.row());
        match format {
            Format::Csv => write_file(file, existing, |out| {
                let mut csv = Csv::under(&names, out)?;
                rows.into_iter().try_for_each(|row| csv.write_record(row.map(|value| value.to_string())))?;
                csv.flush()
            })?,
            #[cfg(feature = "parquet")]
            Format::Parquet => write_parquet(file, existing, &names, rows)?,
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => anyhow::bail!(
                "this program was built without Parquet: build it with `cargo build --release -p vae-train --features parquet`"
            ),
        }
    }
    Ok(files.into())
}

/// Rows of a group of a Parquet file.
#[cfg(feature = "parquet")]
const GROUP: usize = 1 << 18;

#[cfg(feature = "parquet")]
fn write_parquet<const N: usize>(
    path: &Path,
    existing: Existing,
    names: &[String],
    mut rows: impl Iterator<Item = [f32; N]>,
) -> Result<()> {
    use parquet::{data_type::FloatType, file::writer::SerializedFileWriter, schema::parser::parse_message_type};

    let fields: String = names.iter().map(|name| format!("REQUIRED FLOAT {name}; ")).collect();
    let schema = std::sync::Arc::new(parse_message_type(&format!("message rows {{ {fields} }}"))?);
    let write = |file: &mut std::fs::File| -> Result<()> {
        let mut writer = SerializedFileWriter::new(file, schema, std::sync::Arc::default())?;
        loop {
            let group: Vec<[f32; N]> = rows.by_ref().take(GROUP).collect();
            if group.is_empty() {
                break;
            }
            let mut out = writer.next_row_group()?;
            let mut column = 0;
            while let Some(mut chunk) = out.next_column()? {
                let values: Vec<f32> = group.iter().map(|row| row[column]).collect();
                chunk.typed::<FloatType>().write_batch(&values, None, None)?;
                chunk.close()?;
                column += 1;
            }
            out.close()?;
        }
        writer.close()?;
        Ok(())
    };
    Pending::write_to(path, existing, write)?.publish()
}

fn write_csv(path: &Path, existing: Existing, parts: &[(bool, &[[f32; 3]])], with_label: bool) -> Result<()> {
    write_file(path, existing, |out| {
        let label = with_label.then_some("label");
        let mut csv = Csv::under(CHANNELS.iter().copied().chain(label), out)?;
        for (anomalous, samples) in parts {
            let label = with_label.then(|| u8::from(*anomalous).to_string());
            for sample in *samples {
                // The shortest decimal that reads back as the same f32.
                csv.write_record(sample.iter().map(f32::to_string).chain(label.clone()))?;
            }
        }
        csv.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_of_the_motor_is_an_event_of_its_own() {
        let course = test_course(TRAINING_SECONDS);
        let normal = |(condition, seconds): &(Condition, f64)| *condition == Condition::Normal && *seconds == 40.0;
        assert_eq!(course.len(), 11);
        assert!(course.iter().step_by(2).all(normal));
        let faults: Vec<Condition> = course.iter().skip(1).step_by(2).map(|(condition, _)| *condition).collect();
        assert_eq!(faults, Condition::FAULTS);
        assert!(course.iter().skip(1).step_by(2).all(|(_, seconds)| *seconds == 20.0));
        // Of little data: a second of each fault, and half of what is trained on between them.
        assert_eq!((test_course(2.0)[0].1, test_course(2.0)[1].1), (1.0, 1.0));
    }
}
