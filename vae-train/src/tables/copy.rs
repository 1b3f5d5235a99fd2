//! Rows of a table, copied as they stand in their file.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, Read, Write},
    ops::Range,
    path::Path,
    rc::Rc,
};

use anyhow::{Context, Result, ensure};

use crate::tables::{dialect::Dialect, encoding::Decoded, format::TableFormat, source::Source, table::Table};

/// Whether a file is text, whose lines can be copied.
///
/// # Errors
/// If it cannot be read.
pub fn is_text(path: &Path) -> Result<bool> {
    Ok(Source::open(path)?.format == TableFormat::Csv)
}

/// Copies the header and these of a text's rows, byte by byte; lines before the header, `skip` of them if that is given, are left out. `rows`
/// are counted as `table` has them, which was read from it.
///
/// # Errors
/// If the file cannot be read, has other rows than the table, or is in UTF-16 or separated by blanks.
pub fn copy_rows(
    path: &Path,
    skip: Option<usize>,
    table: &Table,
    rows: &Range<usize>,
    out: &mut dyn Write,
) -> Result<()> {
    let name = table.path.display();
    let Decoded { mut input, start, is_whole, encoding } = Decoded::of(Source::open(path)?)?;
    let dialect = Dialect::of(&start, is_whole, skip);
    ensure!(
        encoding.is_none() && !dialect.blanks && dialect.has_header,
        "{name} is in UTF-16, separated by blanks or without a header, and its rows cannot be copied as they stand: convert it to CSV in UTF-8 \
         (iconv -f UTF-16 -t UTF-8)"
    );
    io::copy(&mut (&mut input).take(dialect.skipped as u64), &mut io::sink())?;
    let kept = Rc::new(RefCell::new(VecDeque::new()));
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .delimiter(dialect.separator)
        .comment(dialect.comments.then_some(b'#'))
        .from_reader(Kept { input, kept: kept.clone() });
    let mut has_units = dialect.has_units;
    let (mut record, mut header) = (csv::ByteRecord::new(), csv::ByteRecord::new());
    let (mut taken, mut row) = (0, 0);
    let end = if start.windows(2).any(|pair| pair == b"\r\n") { &b"\r\n"[..] } else { b"\n" };
    while reader.read_byte_record(&mut record).with_context(|| format!("cannot read {name}"))? {
        let next = reader.position().byte();
        let bytes: Vec<u8> = kept.borrow_mut().drain(..(next - taken) as usize).collect();
        taken = next;
        let is_header = header.is_empty();
        // A logger that begins anew writes its header again.
        if !is_header && record == header {
            continue;
        }
        if is_header {
            header = record.clone();
        }
        let is_units = !is_header && std::mem::take(&mut has_units);
        if is_header || is_units || rows.contains(&row) {
            out.write_all(without_breaks(&bytes))?;
            out.write_all(end)?;
        }
        row += usize::from(!is_header && !is_units);
    }
    ensure!(
        row == table.rows(),
        "{name} has {row} lines behind its header where {} rows were read: lines that are no rows cannot be copied; leave them out (--skip-lines \
         for those before the header), or cut the file by hand",
        table.rows()
    );
    Ok(())
}

/// A record without what is left of line breaks about it.
fn without_breaks(record: &[u8]) -> &[u8] {
    let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    let first = record.iter().position(|byte| !is_break(byte)).unwrap_or(record.len());
    let last = record.iter().rposition(|byte| !is_break(byte)).map_or(first, |last| last + 1);
    &record[first..last]
}

/// A source that keeps what is read of it.
struct Kept<R> {
    input: R,
    kept: Rc<RefCell<VecDeque<u8>>>,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.kept.borrow_mut().extend(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{open::open, reading::Reading, recording::Label};

    fn copied(text: &str, rows: Range<usize>) -> Result<String> {
        let file = tempfile::NamedTempFile::with_suffix(".csv").unwrap();
        std::fs::write(file.path(), text).unwrap();
        let table = open(file.path(), Label::None, &Reading::default(), |_, _| {}).unwrap().table;
        let mut out = Vec::new();
        copy_rows(file.path(), None, &table, &rows, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn rows_are_copied_as_they_stand() {
        let text = "time;\"a \"\"b\"\"\";state\n2024-05-01 12:00:00;1,50;\"on; off\"\n;2,0;x\n2024-05-01 12:00:02;3;y";
        assert_eq!(copied(text, 0..1).unwrap(), format!("{}\n", &text[..text.find("\n;2").unwrap()]));
        assert_eq!(
            copied(text, 1..3).unwrap(),
            "time;\"a \"\"b\"\"\";state\n;2,0;x\n2024-05-01 12:00:02;3;y\n",
            "and a line that is not ended is"
        );
        assert_eq!(copied("a,b\r\n1,2\r\n3,4\r\n", 1..2).unwrap(), "a,b\r\n3,4\r\n");
    }
}
