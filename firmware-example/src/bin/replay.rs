//! Plays a recording to the detector on an emulated core: a model of your own, before there is a board.
//!
//! `VAE_MODEL=/home/me/model.vae VAE_RECORDING=/home/me/new.csv cargo run --release --bin replay --features replay`, with whole paths. The
//! model is compiled in, as it would be flashed; the recording, a CSV file with the model's columns between commas or semicolons, is read from the host
//! in the place of a sensor. A line, as `vae-train watch` reads it, is printed whenever the verdict changes.
#![no_std]
#![no_main]

use core::{ffi::CStr, fmt, mem, panic::PanicInfo, str};

use firmware_example::exit;
use semihosting::{fs::File, io::Read, println};
use static_cell::ConstStaticCell;
use vae_core::{Detector, DetectorError, InferError, Model, Scratch, Verdict, include_model};

static MODEL: Model<'static> = include_model!(env!("VAE_MODEL", "set VAE_MODEL to the whole path of a model file")); // a damaged file fails the build
static SCRATCH: ConstStaticCell<[f32; MODEL.scratch_len()]> = ConstStaticCell::new([0.0; MODEL.scratch_len()]);
static WINDOW: ConstStaticCell<heapless::Vec<f32, { MODEL.window_len() }>> = ConstStaticCell::new(heapless::Vec::new());
static STATE: ConstStaticCell<[f32; MODEL.state_len()]> = ConstStaticCell::new([0.0; MODEL.state_len()]);

const CHANNELS: usize = MODEL.channels();
const PATH: Option<&CStr> = match CStr::from_bytes_with_nul(
    concat!(env!("VAE_RECORDING", "set VAE_RECORDING to the whole path of a CSV file"), "\0").as_bytes(),
) {
    Ok(path) => Some(path),
    Err(_) => None,
};

/// Why a recording cannot be played.
enum Fault {
    Detector(DetectorError),
    /// The file cannot be read.
    Unreadable,
    /// A line is longer than the buffer.
    LongLine(u32),
    /// The model's channel of this name has no column.
    NoColumn(&'static str),
}

impl<E: Into<DetectorError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::Detector(error.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detector(error) => error.fmt(f),
            Self::Unreadable => {
                write!(f, "cannot read {}: give its whole path in VAE_RECORDING", env!("VAE_RECORDING"))
            }
            Self::LongLine(line) => write!(f, "line {line} is longer than {} bytes", Lines::LONGEST),
            Self::NoColumn(name) => write!(f, "the recording has no column `{name}`"),
        }
    }
}

/// The lines of a file.
struct Lines {
    file: File,
    buffer: [u8; Self::LONGEST],
    start: usize,
    end: usize,
    count: u32,
}

impl Lines {
    const LONGEST: usize = 2048;

    fn open() -> Result<Self, Fault> {
        let file = PATH.and_then(|path| File::open(path).ok()).ok_or(Fault::Unreadable)?;
        Ok(Self { file, buffer: [0; Self::LONGEST], start: 0, end: 0, count: 0 })
    }

    fn next(&mut self) -> Result<Option<&str>, Fault> {
        self.count += 1;
        loop {
            let rest = self.buffer.get(self.start..self.end).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let start = self.start;
                self.start += length + 1;
                let line = self.buffer.get(start..start + length).unwrap_or_default();
                return Ok(Some(str::from_utf8(line).unwrap_or_default().trim_end()));
            }
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            let free = self.buffer.get_mut(self.end..).filter(|free| !free.is_empty());
            match self.file.read(free.ok_or(Fault::LongLine(self.count))?) {
                Ok(0) => return Ok(None), // a last line without an end has not been written wholly
                Ok(read) => self.end += read,
                Err(_) => return Err(Fault::Unreadable),
            }
        }
    }
}

/// Plays.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let result = run();
    if let Err(fault) = &result {
        println!("error: {fault}");
    }
    exit(result.is_err())
}

fn run() -> Result<(), Fault> {
    let mut scratch = Scratch::new(SCRATCH.take());
    MODEL.self_test(&mut scratch)?; // the desktop's bits, checked at boot
    println!("self-test passed: {} bytes of model, {} of RAM", MODEL.flash_len(), memory());
    let channels = MODEL.card().map_err(InferError::Model)?.channels;
    let mut lines = Lines::open()?;
    let header = lines.next()?.unwrap_or_default().trim_start_matches('\u{feff}');
    let separator = if header.contains(';') { ';' } else { ',' };
    // Which column each channel stands in.
    let mut columns = [0; CHANNELS];
    for (column, name) in columns.iter_mut().zip(channels.lines()) {
        *column = header
            .split(separator)
            .position(|field| field.trim_matches(['"', ' ']) == name)
            .ok_or(Fault::NoColumn(name))?;
    }

    let mut detector = Detector::new(MODEL, WINDOW.take(), STATE.take())?;
    println!("threshold     {:.3} nats", detector.threshold());
    let mut last = None;
    for row in 0u32.. {
        let Some(line) = lines.next()? else { break };
        let mut sample = [f32::NAN; CHANNELS]; // a field without a number is a value that was not observed
        for (value, column) in sample.iter_mut().zip(columns) {
            *value = line.split(separator).nth(column).map_or(f32::NAN, number);
        }
        let Some(verdict) = detector.push(&sample, &mut scratch)? else { continue };
        if last.replace(mem::discriminant(&verdict)) == Some(mem::discriminant(&verdict)) {
            continue;
        }
        let blamed = match verdict {
            Verdict::Anomalous(anomaly) => Some(anomaly.channel),
            Verdict::SensorFault(fault) => Some(fault.channel),
            Verdict::Normal(_) | Verdict::Drifting(_) => None,
        };
        match blamed.and_then(|channel| channels.lines().nth(channel as usize)) {
            Some(name) => println!("row {row:6}  {verdict}: {name}"),
            None => println!("row {row:6}  {verdict}"),
        }
    }
    println!("{} rows played", lines.count.saturating_sub(2));
    Ok(())
}

/// A field's number, which may have a decimal comma; NaN for anything else.
fn number(field: &str) -> f32 {
    let field = field.trim();
    let (whole, fraction) = field.split_once(',').unwrap_or((field, ""));
    let mut digits = heapless::String::<32>::new();
    let point = if fraction.is_empty() { "" } else { "." };
    match [whole, point, fraction].iter().try_for_each(|part| digits.push_str(part)) {
        Ok(()) => digits.parse().unwrap_or(f32::NAN),
        Err(_) => f32::NAN,
    }
}

/// Bytes that the model asks for: scratch, window and state.
const fn memory() -> usize {
    4 * (MODEL.scratch_len() + MODEL.window_len() + MODEL.state_len())
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}
