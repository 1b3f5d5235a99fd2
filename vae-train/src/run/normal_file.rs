//! The file of a run's normal data: written and read some rows at a time.
//!
//! It is one postcard message: the number of the layout, the settings, the table's path, its columns, values, labels, starts and origins.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};

use crate::{
    calibration::{Normal, Settings},
    tables::{long_table::LongTable, spool::Spool, table::Table},
};

/// Bytes of the file's beginning that hold most headers.
const START: u64 = 1 << 16;
/// Bytes of a length at most.
const LENGTH: u64 = 10;

/// Writes normal data behind the number of their layout.
pub(super) fn write(normal: &Normal, layout: u32, out: &mut dyn Write) -> Result<()> {
    let Normal { table, settings } = normal;
    let context = "cannot serialise the normal data";
    let mut put =
        |bytes: Result<Vec<u8>, postcard::Error>| Ok::<_, anyhow::Error>(out.write_all(&bytes.context(context)?)?);
    put(postcard::to_allocvec(&(layout, settings, table.path(), table.columns())))?;
    put(postcard::to_allocvec(&(table.rows() * table.columns().len())))?;
    for (rows, _) in table.portions(0) {
        put(Ok(table.read(rows)?.values.iter().flat_map(|value| value.to_le_bytes()).collect()))?;
    }
    put(postcard::to_allocvec(&u8::from(table.has_labels())))?;
    if table.has_labels() {
        put(postcard::to_allocvec(&table.rows()))?;
        for (rows, _) in table.portions(0) {
            put(Ok(table.read(rows)?.labels.iter().flatten().map(|label| u8::from(*label)).collect()))?;
        }
    }
    put(postcard::to_allocvec(&(table.starts(), table.origins())))
}

/// The beginning of a file, in which its header is.
pub(super) fn start(path: &Path) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    file.take(START).read_to_end(&mut start).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(start)
}

/// Normal data of which this is the beginning, and of which rows are read when they are asked for.
pub(super) fn open(path: &Path, mut start: Vec<u8>) -> Result<Normal> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    // Of so many columns that their names are longer.
    while header(&start).is_err() && (start.len() as u64) < size {
        start = read(&mut file, 0, 4 * start.len().max(1) as u64)?;
    }
    let (Header { settings, path: name, columns, values }, begin) = header(&start)?;
    ensure!(
        !columns.is_empty() && values.is_multiple_of(columns.len()),
        "{values} values of {} columns",
        columns.len()
    );
    let rows = values / columns.len();
    let bytes = (values as u64).checked_mul(size_of::<f32>() as u64);
    let mut at = bytes.and_then(|bytes| bytes.checked_add(begin)).context("more values than any file has")?;
    let has_labels = read(&mut file, at, 1)?.first() == Some(&1);
    at += 1;
    let mut labels = None;
    if has_labels {
        let bytes = read(&mut file, at, LENGTH)?;
        let (count, rest) = postcard::take_from_bytes::<usize>(&bytes)?;
        ensure!(count == rows, "{count} labels of {rows} rows");
        at += (bytes.len() - rest.len()) as u64;
        labels = Some(Spool::within(file.try_clone()?, path, at, 1, rows));
        at += rows as u64;
    }
    ensure!(at <= size, "{at} bytes of {size}");
    let (starts, origins): (Vec<usize>, Vec<f64>) = postcard::from_bytes(&read(&mut file, at, size - at)?)?;
    ensure!(
        starts.is_sorted() && starts.iter().all(|start| (1..rows).contains(start)),
        "recordings begin where no rows are"
    );
    let values = Spool::within(file, path, begin, columns.len(), rows);
    let head = Table { path: name, columns, starts, origins, ..Table::default() };
    Ok(Normal { table: LongTable::within(head, values, labels), settings })
}

struct Header {
    settings: Settings,
    path: PathBuf,
    columns: Vec<String>,
    /// How many there are.
    values: usize,
}

/// What stands before the values, and how many bytes that are.
fn header(start: &[u8]) -> Result<(Header, u64)> {
    type Parts = (u32, Settings, PathBuf, Vec<String>, usize);
    let ((_, settings, path, columns, values), rest) = postcard::take_from_bytes::<Parts>(start)?;
    Ok((Header { settings, path, columns, values }, (start.len() - rest.len()) as u64))
}

/// At most so many bytes.
fn read(file: &mut File, at: u64, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at))?;
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_one_message_and_is_read_again() {
        for (labels, columns) in [(None, 1), (Some(vec![false, true, false, false]), 2), (None, 9000)] {
            let table = Table {
                path: "t.csv".into(),
                columns: (0..columns).map(|column| format!("column {column}")).collect(),
                values: (0..4 * columns).map(|value| value as f32 - 0.5).collect(),
                labels,
                starts: vec![1, 3],
                origins: vec![2.5; columns],
            };
            let settings = Settings { alarms: Some(0.5), ..Settings::default() };
            let Table { path, columns, values, labels, starts, origins } = &table;
            let message = postcard::to_allocvec(&(11u32, &settings, path, columns, values, labels, starts, origins));
            let mut written = Vec::new();
            write(&Normal { table: table.clone().into(), settings: settings.clone() }, 11, &mut written).unwrap();
            assert!(written == message.unwrap(), "{} columns", columns.len());

            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &written).unwrap();
            let read = open(file.path(), start(file.path()).unwrap()).unwrap();
            let again = read.table.read(0..4).unwrap();
            assert_eq!((&again.values, &again.labels, &again.columns), (values, labels, columns));
            assert_eq!(
                (read.table.starts(), read.table.origins(), read.settings),
                (&starts[..], &origins[..], settings)
            );
            for length in [written.len() - 1, written.len() / 2, 3, 0] {
                std::fs::write(file.path(), &written[..length]).unwrap();
                assert!(open(file.path(), start(file.path()).unwrap()).is_err(), "{length}");
            }
        }
    }
}
