//! What tells one table of training data from another.

use std::{borrow::Cow, collections::HashSet};

use anyhow::Result;

use crate::{
    config::Config,
    tables::{long_table::LongTable, recording::Recording, roles::is_named_like_label, table::Table},
};

/// Values that are added to the checksum at once.
const CHUNK: usize = 1024;

/// CRC-32 of names and values, and of where recordings begin if there are several; and the number of rows.
#[must_use]
pub fn fingerprint(table: &Table) -> String {
    let mut print = Print::of(table.columns.iter().map(String::as_str));
    print.add(&table.values);
    print.end(&table.starts, table.rows())
}

/// The [`fingerprint`] of a table of any size.
///
/// # Errors
/// If the table cannot be read.
pub(crate) fn fingerprint_in_portions(table: &LongTable<'_>) -> Result<String> {
    let mut print = Print::of(table.columns().iter().map(String::as_str));
    for (rows, _) in table.portions(0) {
        print.add(&table.read(rows)?.values);
    }
    Ok(print.end(table.starts(), table.rows()))
}

/// The fingerprint of the table that a fit of this configuration would train on, given this recording, with whichever label it was read:
/// without the label, what is ignored, and the clocks. `None` where a field of it is no number, so that it cannot have been trained on.
#[must_use]
pub fn training_fingerprint(recording: &Recording, config: &Config) -> Option<String> {
    let mut print = TrainingPrint::of(recording, config);
    print.add(recording);
    print.end(&recording.table.starts, recording.table.rows())
}

/// A [`training_fingerprint`] that is taken while the rows of a recording go by.
pub struct TrainingPrint {
    print: Print,
    kept: Vec<String>,
    origins: Vec<f64>,
    /// Whether all fields so far are numbers.
    is_of_numbers: bool,
}

impl TrainingPrint {
    /// Of a recording with these columns, none of whose rows have been taken yet.
    #[must_use]
    pub fn of(recording: &Recording, config: &Config) -> Self {
        let kept = config.reading.kept(&recording.names);
        let is_left_out = |name: &&String| !config.data.condition.contains(name) && !kept.contains(name);
        let mut left_out: HashSet<String> = recording.left_out().filter(is_left_out).cloned().collect();
        // Another column may be the label now than was then.
        let label = recording.label.iter().filter(|label| is_named_like_label(label) && is_left_out(label));
        left_out.extend(label.cloned());
        left_out.extend(config.data.ignore.iter().chain(&config.data.label).cloned());
        let kept: Vec<String> = recording.names.iter().filter(|name| !left_out.contains(*name)).cloned().collect();
        let print = Print::of(kept.iter().map(String::as_str));
        Self { print, kept, origins: recording.table.origins.clone(), is_of_numbers: true }
    }

    /// Takes the next rows.
    pub fn add(&mut self, recording: &Recording) {
        let Self { print, kept, origins, is_of_numbers } = self;
        let Recording { table, label, not_numbers, .. } = recording;
        *is_of_numbers &= !not_numbers.iter().any(|found| kept.contains(&found.column));
        if !*is_of_numbers {
            return;
        }
        let table = if table.origins == *origins { Cow::Borrowed(table) } else { Cow::Owned(table.rebased(origins)) };
        // The label is kept apart from the values.
        let place = |name: &String| table.columns.iter().position(|column| column == name);
        let places: Vec<Option<usize>> = kept.iter().map(place).collect();
        debug_assert!(kept.iter().zip(&places).all(|(name, place)| place.is_some() || label.as_ref() == Some(name)));
        let label = |row: usize| f32::from(u8::from(table.labels.as_ref().is_some_and(|labels| labels[row])));
        let mut some = Vec::with_capacity(CHUNK + places.len());
        for (row, values) in table.values.chunks_exact(table.columns.len()).enumerate() {
            some.extend(places.iter().map(|place| place.map_or_else(|| label(row), |place| values[place])));
            if some.len() >= CHUNK {
                print.add(&some);
                some.clear();
            }
        }
        print.add(&some);
    }

    /// What it comes to, of so many rows and these places at which recordings begin.
    #[must_use]
    pub fn end(self, starts: &[usize], rows: usize) -> Option<String> {
        self.is_of_numbers.then(|| self.print.end(starts, rows))
    }
}

/// A fingerprint that is taken while the values go by.
pub(crate) struct Print(crc::Digest<'static, u32>);

impl Print {
    /// Of a table whose columns have these names.
    pub(crate) fn of<'n>(names: impl Iterator<Item = &'n str>) -> Self {
        static CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);
        let mut digest = CRC.digest();
        for name in names {
            digest.update(name.as_bytes());
            digest.update(b"\n");
        }
        Self(digest)
    }

    /// Takes the next values, row after row.
    pub(crate) fn add(&mut self, values: &[f32]) {
        let mut bytes = [0; 4 * CHUNK];
        for some in values.chunks(CHUNK) {
            let own = bytes.as_chunks_mut().0.iter_mut().zip(some);
            own.for_each(|(bytes, value)| *bytes = value.to_le_bytes());
            self.0.update(&bytes[..4 * some.len()]);
        }
    }

    /// What [`fingerprint`] says of so many rows, and of where recordings begin.
    pub(crate) fn end(mut self, starts: &[usize], rows: usize) -> String {
        for start in starts {
            self.0.update(&(*start as u64).to_le_bytes());
        }
        format!("crc32 {:08x}, {rows} rows", self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{open::open, reading::Reading, recording::Label};

    #[test]
    fn a_recording_is_known_again_whatever_its_label_is_now() {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        let rows = (0..3000).map(|row| format!("{row},{},x,{},{}\n", row * row % 1013, row % 2, row / 1500));
        std::fs::write(file.path(), format!("time,a,name,label,b\n{}", rows.collect::<String>())).unwrap();
        let read = |label: Label<'_>| open(file.path(), label, &Reading::default(), |_, _| {}).unwrap();
        let trained_on = |label: Option<&str>, kept: &[&str], columns: &[&str]| {
            let mut config = Config::default();
            config.data.label = label.map(str::to_owned);
            config.reading.keep = kept.iter().map(|name| (*name).to_owned()).collect();
            config.data.ignore = vec!["name".to_owned()];
            let expected = fingerprint(&read(label.into()).select(columns).unwrap().0);
            for now in [Label::None, Label::Usual, Label::Column("b")] {
                assert_eq!(training_fingerprint(&read(now), &config).as_ref(), Some(&expected), "{label:?}, {now:?}");
            }
        };
        trained_on(Some("label"), &[], &["a", "b"]);
        trained_on(Some("b"), &[], &["a"]);
        trained_on(Some("b"), &["label"], &["a", "label"]);
        trained_on(None, &["label"], &["a", "label", "b"]);
        assert_eq!(training_fingerprint(&read(Label::Usual), &Config::default()), None, "a column of names");
    }

    #[test]
    fn where_recordings_begin_is_a_part_of_what_is_known_again() {
        let table = |starts: &[usize]| Table {
            path: "t.csv".into(),
            columns: vec!["a".to_owned()],
            values: vec![1.0, 2.0, 3.0],
            labels: None,
            starts: starts.to_owned(),
            origins: Vec::new(),
        };
        // Of one recording what it has always been: zlib.crc32(b"a\n" + struct.pack("<3f", 1, 2, 3)).
        assert_eq!(fingerprint(&table(&[])), "crc32 33ed2160, 3 rows");
        assert_eq!(fingerprint_in_portions(&table(&[1]).into()).unwrap(), fingerprint(&table(&[1])));
        assert_ne!(fingerprint(&table(&[1])), fingerprint(&table(&[])));
        assert_ne!(fingerprint(&table(&[1])), fingerprint(&table(&[2])));
    }
}
