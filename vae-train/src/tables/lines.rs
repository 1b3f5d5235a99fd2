//! The lines of a text, from row to row.

use std::io::{self, Read};

use crate::tables::{dialect::Dialect, rows::Rows};

/// Most bytes of a row: 256 for each of the columns that a model may have. A quotation mark that is not closed makes one row of a file.
const MOST_ROW_BYTES: u64 = 1 << 24;

/// A source that ends with an error in a row that is too long to be one.
pub(crate) struct Guarded {
    pub(crate) input: Box<dyn Read>,
    /// Bytes that were read since the row began, but for what the CSV reader had read ahead.
    pub(crate) bytes: u64,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes > MOST_ROW_BYTES {
            return Err(io::Error::other(format!(
                "it has more than {MOST_ROW_BYTES} bytes, the most of a row: close the quotation mark that is open, or leave the column out \
                 of the file"
            )));
        }
        let read = self.input.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Goes from row to row, over what is none: units, and what a logger writes again when it begins anew.
pub(crate) struct Lines {
    /// Lines before the header.
    before: u64,
    /// The reader is on the next line after LF, but not after the CR of a CRLF.
    ahead: u64,
    header: csv::ByteRecord,
    has_units: bool,
    /// Lines like the header.
    pub(crate) repeated: usize,
}

impl Lines {
    pub(crate) fn new(reader: &csv::Reader<Guarded>, before: u64, dialect: &Dialect) -> Self {
        Self {
            before,
            ahead: u64::from(reader.position().line() > 1),
            header: csv::ByteRecord::new(),
            has_units: dialect.has_units,
            repeated: 0,
        }
    }

    /// The next row, and its line; `None` behind the last.
    pub(crate) fn next(
        &mut self,
        reader: &mut csv::Reader<Guarded>,
        record: &mut csv::ByteRecord,
        rows: &mut Rows,
        dialect: &Dialect,
    ) -> Result<Option<u64>, (u64, csv::Error)> {
        if self.header.is_empty() && dialect.has_header {
            self.header = reader.byte_headers().cloned().map_err(|error| (self.before + 1, error))?;
        }
        loop {
            let line = reader.position().line();
            reader.get_mut().bytes = 0;
            if !reader.read_byte_record(record).map_err(|error| (self.before + line, error))? {
                return Ok(None);
            }
            if std::mem::take(&mut self.has_units) {
                continue;
            }
            if dialect.has_header && *record == self.header {
                self.repeated += 1;
                rows.begin_anew();
                continue;
            }
            let is_preamble = record.len() < rows.names.len()
                && dialect.preamble.iter().any(|line| record.iter().eq([line.as_bytes()]));
            if is_preamble {
                rows.begin_anew();
                continue;
            }
            // The record's own position is before the blank lines above it.
            return Ok(Some(self.before + line.max(reader.position().line() - self.ahead)));
        }
    }
}
