//! The rows of a recording as CSV, read back.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};

/// The name of the column of times, in seconds since the first sample.
pub(super) const TIME: &str = "time";

/// The rows of a file that has grown: each a time and a value of each channel.
pub(super) struct Rows(csv::Reader<File>, csv::StringRecord);

impl Rows {
    pub(super) fn open(part: &Path) -> Result<Self> {
        let file = File::open(part).with_context(|| format!("cannot read {}", part.display()))?;
        Ok(Self(csv::Reader::from_reader(file), csv::StringRecord::new()))
    }

    /// The names of the channels, as they are.
    #[cfg(feature = "parquet")]
    pub(super) fn names(&mut self) -> Result<Vec<String>> {
        let header = self.0.headers()?;
        Ok(header.iter().skip(1).map(|name| crate::words::foreign::unguarded(name).into_owned()).collect())
    }

    /// The next row's time; its values come into `values`.
    pub(super) fn next(&mut self, values: &mut Vec<f32>) -> Result<Option<f64>> {
        if !self.0.read_record(&mut self.1)? {
            return Ok(None);
        }
        let mut fields = self.1.iter();
        let time = fields.next().unwrap_or_default().parse()?;
        values.clear();
        for field in fields {
            values.push(field.parse()?);
        }
        Ok(Some(time))
    }
}
