//! The file that a recording becomes, and the one that it grows in until then.

use std::{
    ffi::OsString,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

#[cfg(feature = "parquet")]
use crate::recorder::parquet::write_parquet;
use crate::{
    recorder::{rows::TIME, wav::write_wav},
    words::output::{Csv, Existing, begin_file, is_there, rename_file},
};

/// Bytes of rows that are given to the system in one go, more than ever come at once: a kill between two goes cuts no row.
const ROWS_AT_ONCE: usize = 1 << 20;

/// What a recording is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Csv,
    Wav,
    Parquet,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        Ok(match &*ending {
            "csv" => Self::Csv,
            "wav" | "wave" => Self::Wav,
            "parquet" if cfg!(feature = "parquet") => Self::Parquet,
            "parquet" => bail!(
                "{} would be Parquet, which this build does not write: give a name that ends in .csv or .wav, or build with --features parquet",
                path.display()
            ),
            _ => {
                bail!("{}: the name says what is written: give one that ends in .csv, .wav or .parquet", path.display())
            }
        })
    }
}

/// Where a recording goes.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
    /// Beside it, with `.part` behind the name.
    part: PathBuf,
    format: Format,
    existing: Existing,
}

impl Place {
    /// Refuses what is there, before anything is recorded.
    pub(super) fn new(path: &Path, existing: Existing) -> Result<Self> {
        let format = Format::of(path)?;
        existing.check(path)?;
        let mut part = OsString::from(path);
        part.push(".part");
        let part = PathBuf::from(part);
        // Not even by --force: it is of another recording, and all that is left of it.
        ensure!(
            !is_there(&part),
            "{0} is a recording that was broken off, or is under way: it is CSV, which vae-train reads as it is; give it another name \
             (mv {0} earlier.csv), or remove it",
            part.display()
        );
        Ok(Self { path: path.to_owned(), part, format, existing })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Begins the file that grows.
    pub(super) fn begin(self, names: &[String], rate: f32) -> Result<Growing> {
        ensure!(
            self.format != Format::Wav || rate >= 1.0 && rate.fract() == 0.0,
            "{}: WAV has whole rates only, and the device takes {rate} samples a second: give a name that ends in .csv or .parquet",
            self.path.display()
        );
        let header = || std::iter::once(TIME).chain(names.iter().map(String::as_str));
        let file = begin_file(&self.part, Existing::Keep, |out| Csv::under(header(), out)?.flush())?;
        let sync = file.try_clone().with_context(|| format!("cannot write {}", self.part.display()))?;
        Ok(Growing {
            place: self,
            csv: Csv::headless(BufWriter::with_capacity(ROWS_AT_ONCE, file)),
            sync,
            digits: digits(rate),
            channels: names.len(),
            rate,
            rows: 0,
        })
    }
}

/// Decimals in which a time is exact to a thousandth of the step between samples.
fn digits(rate: f32) -> usize {
    (3..12).find(|digits| 10f64.powi(*digits) >= 1e3 * f64::from(rate)).unwrap_or(12) as usize
}

/// A recording that grows: CSV, whatever it is to become, so that whatever ends the program costs at most the line that it is writing.
pub(super) struct Growing {
    place: Place,
    csv: Csv<BufWriter<File>>,
    sync: File,
    digits: usize,
    channels: usize,
    rate: f32,
    rows: u64,
}

impl Growing {
    /// Adds a row.
    pub(super) fn push(&mut self, time: f64, values: &[f32]) -> Result<()> {
        self.rows += 1;
        let fields = std::iter::once(format!("{time:.*}", self.digits)).chain(values.iter().map(f32::to_string));
        self.csv.write_record(fields).with_context(|| self.failed())
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Gives what was added to the system.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.csv.flush().with_context(|| self.failed())
    }

    fn failed(&self) -> String {
        format!("cannot write {}: what has been recorded is in it", self.place.part.display())
    }

    /// Makes the file of it, of pieces that begin with these rows; returns the files that there are now, of which there are several where the
    /// format has no times and there are gaps.
    pub(super) fn finish(mut self, pieces: &[u64]) -> Result<Vec<PathBuf>> {
        self.flush()?;
        self.sync.sync_all().with_context(|| self.failed())?;
        let Self { place: Place { path, part, format, existing }, channels, rate, rows, .. } = self;
        let kept = || format!("what was recorded is kept, as CSV, in {}", part.display());
        let files = match format {
            Format::Csv => return rename_file(&part, &path, existing).with_context(kept).map(|()| vec![path]),
            Format::Wav => write_wav(&part, &path, existing, rate as u32, channels, pieces, rows).with_context(kept)?,
            #[cfg(feature = "parquet")]
            Format::Parquet => write_parquet(&part, &path, existing).with_context(kept).map(|()| vec![path.clone()])?,
            #[cfg(not(feature = "parquet"))]
            Format::Parquet => bail!("this build does not write Parquet"),
        };
        std::fs::remove_file(&part)
            .with_context(|| format!("{} is written, and {} is left", path.display(), part.display()))?;
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{open::open, reading::Reading, recording::Label};

    fn recorded(name: &str, rows: &[(f64, [f32; 2])], pieces: &[u64]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let place = tempfile::tempdir().unwrap();
        let names = ["a, b".to_owned(), "=c".to_owned()];
        let mut growing = Place::new(&place.path().join(name), Existing::Keep).unwrap().begin(&names, 1600.0).unwrap();
        rows.iter().for_each(|(time, values)| growing.push(*time, values).unwrap());
        let files = growing.finish(pieces).unwrap();
        assert!(!place.path().join(format!("{name}.part")).exists());
        (place, files)
    }

    const ROWS: [(f64, [f32; 2]); 5] = [
        (0.0, [0.1, -8.0]),
        (0.000_625, [f32::MIN_POSITIVE, 0.25]),
        (0.00125, [1.0 / 3.0, 7.999]),
        (2.0, [4.0, 5.0]),
        (2.000_625, [6.0, 1e-9]),
    ];

    #[test]
    fn every_format_gives_back_the_numbers_and_the_gap() {
        for name in [
            "a.csv",
            "a.wav",
            #[cfg(feature = "parquet")]
            "a.parquet",
        ] {
            let (_place, files) = recorded(name, &ROWS, &[0, 3]);
            let read: Vec<_> = files
                .iter()
                .map(|file| open(file, Label::None, &Reading::default(), &mut |_, _| ()).unwrap())
                .collect();
            let values: Vec<f32> = read.iter().flat_map(|recording| recording.table.values.clone()).collect();
            let is_wav = name == "a.wav";
            // A clock is a column of the table, before a fit leaves it out.
            let columns: Vec<f32> = match is_wav {
                true => values,
                false => values.chunks(3).flat_map(|row| row[1..].to_vec()).collect(),
            };
            assert_eq!(columns, ROWS.iter().flat_map(|(_, values)| *values).collect::<Vec<f32>>(), "{name}");
            assert_eq!(files.len(), if is_wav { 2 } else { 1 });
            if !is_wav {
                assert_eq!(read[0].table.columns, ["time", "a, b", "=c"], "{name}");
            }
        }
    }

    #[test]
    fn times_tell_samples_apart_at_any_rate() {
        for (rate, expected) in [(0.1, 3), (1.0, 3), (1600.0, 7), (48_000.0, 8)] {
            assert_eq!(digits(rate), expected, "{rate}");
        }
    }

    #[test]
    fn what_is_there_is_kept_and_other_endings_are_refused() {
        let (place, files) = recorded("a.csv", &ROWS, &[0]);
        let refused = |name: &str, existing: Existing| {
            format!("{:#}", Place::new(&place.path().join(name), existing).unwrap_err())
        };
        assert!(refused("a.csv", Existing::Keep).contains("--force"));
        assert!(refused("a.txt", Existing::Keep).contains(".parquet"));
        std::fs::write(place.path().join("b.csv.part"), "time,a\n0.0,1\n").unwrap();
        assert!(refused("b.csv", Existing::Replace).contains("broken off"));
        assert!(Place::new(&files[0], Existing::Replace).is_ok());
        let slow = Place::new(&place.path().join("c.wav"), Existing::Keep).unwrap().begin(&["a".to_owned()], 12.5);
        assert!(format!("{:#}", slow.map(drop).unwrap_err()).contains("12.5 samples a second"));
    }
}
