//! Reading a table takes little more memory than the table.

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
};

use vae_train::tables::{open::open, reading::Reading, recording::Label};

const ROWS: usize = 250_000;
const COLUMNS: usize = 40;
/// Bytes of the table in `f32`.
const TABLE: f64 = (4 * ROWS * COLUMNS) as f64;
/// What the table may cost, as a multiple of itself.
const MOST: f64 = 1.3;
/// Names the file that is read.
const FILE: &str = "VAE_PEAK_OF";

/// A figure of this process, in bytes.
fn figure(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    1024.0 * line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
}

/// The peak of the memory while the file is read, less what there was before, as a multiple of the table.
fn peak(path: &Path) -> f64 {
    // The peak begins anew.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = figure("VmRSS:");
    let read = open(path, Label::None, &Reading::default(), |_, _| {}).unwrap();
    assert_eq!((read.table.rows(), read.table.columns.len()), (ROWS, COLUMNS));
    assert_eq!(read.table.values[COLUMNS + 1], value(1, 1));
    (figure("VmHWM:") - before) / TABLE
}

fn value(row: usize, column: usize) -> f32 {
    ((row * 7919 + column * 104_729) % 10_007) as f32 / 8.0
}

fn write(path: &Path, write: impl FnOnce(&mut dyn Write)) {
    let mut file = BufWriter::new(fs::File::create(path).unwrap());
    write(&mut file);
    file.flush().unwrap();
}

fn values() -> impl Iterator<Item = f32> {
    (0..ROWS).flat_map(|row| (0..COLUMNS).map(move |column| value(row, column)))
}

fn write_csv(out: &mut dyn Write) {
    // A column of times costs as many bytes more as it has digits more.
    let names: Vec<String> = (1..COLUMNS).map(|column| format!("c{column}")).collect();
    writeln!(out, "time,{}", names.join(",")).unwrap();
    for row in 0..ROWS {
        write!(out, "{}", 0.01 * row as f64).unwrap();
        (1..COLUMNS).for_each(|column| write!(out, ",{}", value(row, column)).unwrap());
        writeln!(out).unwrap();
    }
}

/// Reads the file that the variable names, in a process that does nothing else.
#[test]
#[ignore = "a part of the test below"]
fn one_file() {
    println!("peak {}", peak(Path::new(&std::env::var(FILE).unwrap())));
}

/// What [`one_file`] says of a file.
fn peak_of(path: &Path) -> f64 {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", "peak_memory::one_file"]).env(FILE, path);
    let output = command.output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    let figure = words.lines().find_map(|line| line.split_once("peak ")).map(|(_, figure)| figure.parse());
    figure.unwrap_or_else(|| panic!("{words} {}", String::from_utf8_lossy(&output.stderr))).unwrap()
}

#[test]
fn a_table_is_read_in_a_third_more_than_its_own_memory_at_most() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    let mut csv = Vec::new();
    write_csv(&mut csv);
    fs::write(path("a.csv"), &csv).unwrap();
    write(&path("a.csv.gz"), |out| {
        let mut packed = flate2::write::GzEncoder::new(out, flate2::Compression::fast());
        packed.write_all(&csv).unwrap();
        packed.finish().unwrap();
    });
    fs::write(path("a.csv.zst"), zstd::encode_all(&csv[..], 1).unwrap()).unwrap();
    write(&path("a.npy"), |out| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, {COLUMNS}), }}\n");
        out.write_all(b"\x93NUMPY\x01\x00").unwrap();
        out.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
        out.write_all(header.as_bytes()).unwrap();
        values().for_each(|value| out.write_all(&value.to_le_bytes()).unwrap());
    });
    write(&path("a.wav"), |out| {
        let (rate, bytes) = (8000u32, TABLE as u32);
        out.write_all(b"RIFF").unwrap();
        out.write_all(&(36 + bytes).to_le_bytes()).unwrap();
        out.write_all(b"WAVEfmt \x10\0\0\0\x03\0").unwrap();
        out.write_all(&(COLUMNS as u16).to_le_bytes()).unwrap();
        out.write_all(&rate.to_le_bytes()).unwrap();
        out.write_all(&(rate * 4 * COLUMNS as u32).to_le_bytes()).unwrap();
        out.write_all(&(4 * COLUMNS as u16).to_le_bytes()).unwrap();
        out.write_all(b"\x20\0data").unwrap();
        out.write_all(&bytes.to_le_bytes()).unwrap();
        values().for_each(|value| out.write_all(&value.to_le_bytes()).unwrap());
    });
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let mut files = vec!["a.csv", "a.csv.gz", "a.csv.zst", "a.npy", "a.wav"];
    if let Some(python) = vae_tests::python("import pyarrow", "pyarrow") {
        let script =
            "import sys, pyarrow.csv as c, pyarrow.parquet as p; p.write_table(c.read_csv('a.csv'), 'a.parquet')";
        assert!(Command::new(python).args(["-c", script]).current_dir(place.path()).status().unwrap().success());
        let is_read = open(&path("a.parquet"), Label::None, &Reading::default(), |_, _| {}).is_ok();
        files.extend(is_read.then_some("a.parquet"));
    }
    let mut peaks: Vec<(&str, f64)> = files.into_iter().map(|name| (name, peak_of(&path(name)))).collect();
    // Of a pipe nobody knows the length.
    let mut feeder = Command::new("sh").args(["-c", "cat a.csv > pipe"]).current_dir(place.path()).spawn().unwrap();
    peaks.push(("pipe", peak_of(&path("pipe"))));
    feeder.wait().unwrap();
    assert!(peaks.iter().all(|(_, peak)| *peak < MOST), "{peaks:?}");
    let _ = writeln!(std::io::stderr(), "peak memory, as a multiple of the table: {peaks:.2?}");
}
