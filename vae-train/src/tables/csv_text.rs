//! A text that is read from row to row.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};

use crate::{
    tables::{
        blanks::Blanks,
        dialect::Dialect,
        encoding::Decoded,
        fields::Fields,
        growth::Expected,
        header::header,
        lines::{Guarded, Lines},
        reading::Reading,
        recording::Label,
        rows::Rows,
        source::{Progress, Source},
    },
    words::{foreign::excerpt, messages::list},
};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 16;
/// Bytes between two reports of how much has been read.
const REPORT_BYTES: u64 = 1 << 24;

/// A text that is read from row to row.
pub(crate) struct Text {
    path: PathBuf,
    pub(crate) names: Vec<String>,
    /// The label's place among them.
    label: Option<usize>,
    /// What is to be said of its beginning.
    pub(crate) notes: Vec<String>,
    dialect: Dialect,
    reader: csv::Reader<Guarded>,
    lines: Lines,
    progress: Progress,
    /// The row that was read last, its number and its line, counted from 1.
    record: csv::ByteRecord,
    place: (usize, u64),
    next_report: u64,
}

impl Text {
    /// Reads the header.
    ///
    /// # Errors
    /// If there is none, or it lacks the label.
    pub(crate) fn open(source: Source, label: Label<'_>, reading: &Reading) -> Result<Self> {
        let path = source.name.clone();
        let name = path.display();
        let progress = source.progress();
        let Decoded { input, start, is_whole, encoding } = Decoded::of(source)?;
        let dialect = Dialect::of(&start, is_whole, reading.skip_lines);
        let (mut reader, skipped_lines) =
            reader(input, &dialect, reading.skip_lines).with_context(|| format!("cannot read {name}"))?;
        let (names, mut notes) = header(&mut reader, &dialect, &path)?;
        notes.extend(encoding.map(|encoding| format!("{name}: is written in {encoding}")));
        notes.extend(note_on_preamble(&dialect, skipped_lines, &name));
        notes.extend(
            dialect.has_units.then(|| format!("{name}: the row behind the header holds units, and is skipped")),
        );
        let label = label.position(&names, &path)?;
        let lines = Lines::new(&reader, skipped_lines, &dialect);
        let (record, place) = (csv::ByteRecord::new(), (0, 0));
        Ok(Self {
            path,
            names,
            label,
            notes,
            dialect,
            reader,
            lines,
            progress,
            record,
            place,
            next_report: REPORT_BYTES,
        })
    }

    /// Nothing yet, to take rows into.
    pub(crate) fn rows(&self, reading: &Reading) -> Rows {
        let fields = Fields::new(self.dialect.separator != b',' || self.dialect.blanks, &reading.missing);
        Rows::new(self.path.clone(), self.names.clone(), self.label, fields, reading)
    }

    /// Takes at most so many of the next rows; whether there may be more.
    ///
    /// # Errors
    /// Names the place of a bad row or label.
    pub(crate) fn take(
        &mut self,
        rows: &mut Rows,
        most: usize,
        watch: &mut dyn FnMut(usize, Option<f64>),
    ) -> Result<bool> {
        let name = self.path.display();
        for _ in 0..most {
            let row = self.place.0 + 1;
            let line = match self.lines.next(&mut self.reader, &mut self.record, rows, &self.dialect) {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(false),
                Err((line, error)) => bail!("{name}: row {row} (near line {line}) cannot be read: {error}"),
            };
            self.place = (row, line);
            let expected = || match most {
                usize::MAX => Expected::from_part(self.progress.part()),
                most => Expected::Count((most + 1) * self.names.len()),
            };
            rows.take(&self.record, self.dialect.surplus, self.place, &expected)?;
            if self.reader.position().byte() >= self.next_report {
                watch(row, self.progress.part());
                self.next_report = self.reader.position().byte() + REPORT_BYTES;
            }
        }
        Ok(true)
    }

    /// Takes the row that was read last once more.
    ///
    /// # Errors
    /// As it had when it was taken first.
    pub(crate) fn take_again(&self, rows: &mut Rows) -> Result<()> {
        rows.take(&self.record, self.dialect.surplus, self.place, &|| Expected::Unknown)
    }

    /// How many lines have repeated the header since this was asked.
    pub(crate) fn take_repeated(&mut self) -> usize {
        std::mem::take(&mut self.lines.repeated)
    }

    /// The part of the file that has been read, from 0 to 1; `None` for a pipe.
    pub(crate) fn part(&self) -> Option<f64> {
        self.progress.part()
    }
}

/// A reader of the header's line and those behind it, and how many lines were before it.
fn reader(input: Box<dyn Read>, dialect: &Dialect, skip: Option<usize>) -> io::Result<(csv::Reader<Guarded>, u64)> {
    let mut input = BufReader::with_capacity(BUFFER, input);
    let mut lines = dialect.preamble.len() as u64;
    io::copy(&mut (&mut input).take(dialect.skipped as u64), &mut io::sink())?;
    // More than are in the beginning that the dialect was told by.
    for _ in dialect.preamble.len()..skip.unwrap_or(0) {
        lines += 1;
        if input.skip_until(b'\n')? == 0 {
            break;
        }
    }
    let input: Box<dyn Read> = if dialect.blanks { Box::new(Blanks::new(input)) } else { Box::new(input) };
    let reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(dialect.has_header)
        .delimiter(dialect.separator)
        .comment(dialect.comments.then_some(b'#'))
        .buffer_capacity(BUFFER)
        .from_reader(Guarded { input, bytes: 0 });
    Ok((reader, lines))
}

fn note_on_preamble(dialect: &Dialect, lines: u64, name: &dyn std::fmt::Display) -> Option<String> {
    let said: Vec<&String> =
        dialect.preamble.iter().filter(|line| !line.starts_with("sep=") && !line.is_empty()).collect();
    if said.is_empty() {
        return None;
    }
    Some(format!(
        "{name}: the header is in line {}; the {} line(s) before it are skipped (--skip-lines {lines} says so, another number another header): {}",
        lines + 1,
        lines,
        list(&said.iter().map(|line| excerpt(line)).collect::<Vec<_>>())
    ))
}
