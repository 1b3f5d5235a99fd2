//! `vae-train watch`: what a device says, live.

mod history;
mod plot;
mod seen;

use self::seen::{Seen, shortened};
use std::{
    fs::File,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::{
        atomic::Ordering,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use self::plot::draw;
use super::{
    progress::interrupted,
    screen::Screen,
    source::{News, Source},
    terminal,
};
use crate::{
    cli::context::{Context, note},
    device_log::{Content, Line, Lines, formats},
    file::model_file::AlignedFile,
    words::{
        foreign::Cell,
        input::{MOST_BINARY, read_file},
        output::{Csv, Existing, begin_file},
    },
};

/// Show a device's verdicts live: scores over time with the threshold, alarms, sensors' faults and drift; q or Ctrl-C ends.
///
/// It reads the lines that `vae_core::Verdict` prints (docs/watch.md) from a serial port or standard input, as text or, with --elf, as
/// frames of defmt. If standard output is no terminal, it prints the lines instead of a plot. If a device is unplugged, it waits until the
/// device is back. At the end of a file it fails if the verdict of a line could not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train watch /dev/ttyACM0 --baud 115200 --out scores.csv
  vae-train watch COM3 --elf firmware.elf --model model.vae
  cargo run --release | vae-train watch -")]
pub(super) struct Watch {
    /// Serial port, such as /dev/ttyACM0 or COM3; `-` for standard input.
    source: String,
    /// Bits per second of the serial port.
    #[arg(long, help_heading = "Device", default_value_t = 115_200)]
    baud: u32,
    /// ELF file of the firmware, if it logs by defmt.
    #[arg(long, help_heading = "Device")]
    elf: Option<PathBuf>,
    /// Model file of the device, for the names of its channels, and for its threshold until the device prints one.
    #[arg(long, help_heading = "Device")]
    model: Option<PathBuf>,
    /// CSV file to write each verdict to as it comes.
    ///
    /// Its columns are received (UTC, by this machine), time (in seconds, by the device), score, p_value and verdict.
    #[arg(long, help_heading = "Output")]
    out: Option<PathBuf>,
    /// Replace an existing file.
    #[arg(long, help_heading = "Output", requires = "out")]
    force: bool,
}

/// What a [`Row`] holds.
const HEADER: [&str; 5] = ["received", "time", "score", "p_value", "verdict"];

/// A line of the CSV file.
#[derive(Serialize)]
struct Row {
    received: String,
    time: Option<f64>,
    score: Option<f32>,
    p_value: Option<f32>,
    verdict: Cell,
}

/// Where lines go: into the CSV file, and onto the screen or standard output.
struct Session {
    seen: Seen,
    csv: Option<Csv<File>>,
    /// Whether lines are printed as they come.
    prints: bool,
    /// Whether all is shown on a screen.
    plots: bool,
    started: Instant,
}

impl Session {
    /// Takes lines; returns whether anybody still reads what is printed.
    fn take(&mut self, lines: &[Line]) -> Result<bool> {
        for line in lines {
            self.seen.push(line, self.started.elapsed().as_secs_f64());
            if line.content == Content::Malformed && !self.plots && self.seen.unreadable <= MOST_NOTED {
                note(&format!("line {}: its verdict cannot be read: {}", self.seen.lines, shortened(&line.text)));
            }
            if let (Some(csv), Content::Verdict(verdict)) = (&mut self.csv, line.content) {
                let assessment = verdict.assessment();
                let row = Row {
                    received: format!("{:.3}", jiff::Timestamp::now()),
                    time: line.time,
                    score: assessment.map(|assessment| assessment.score),
                    p_value: assessment.map(|assessment| assessment.p_value),
                    verdict: Cell(self.seen.in_words(&verdict)),
                };
                // At once, so that whatever ends this program costs no line.
                csv.serialize(row).and_then(|()| csv.flush()).context("the CSV file cannot be written")?;
            }
            if self.prints {
                match terminal::print(&line.text) {
                    Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
                    result => result.context("the lines cannot be printed")?,
                }
            }
        }
        Ok(true)
    }
}

/// At most this long between looks at the keyboard, and at least this long between two plots.
const TICK: Duration = Duration::from_millis(50);

impl Watch {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        self.out.as_deref().map_or(Ok(()), |out| existing.check(out))?;
        let name = if self.source == "-" { "standard input" } else { &self.source };
        let mut seen = Seen { source: name.to_owned(), out: self.out.clone(), ..Seen::default() };
        if let Some(path) = &self.model {
            let file = AlignedFile::read(path)?;
            let model = file.model()?;
            seen.names = model.card()?.channels.lines().map(str::to_owned).collect();
            seen.threshold = Some(model.calibration()?.threshold());
        }
        let formats = self.elf.as_deref().map(read_formats).transpose()?;
        let source = Source::open(&self.source, self.baud)?;
        let csv = self.out.as_deref().map(|out| create(out, existing)).transpose()?;
        #[expect(clippy::disallowed_methods, reason = "nothing is printed")]
        let mut screen = match io::stdout().is_terminal() && !context.json {
            true => Screen::open().map_err(|error| note(&format!("no plot: {error}"))).ok(),
            false => None,
        };
        let prints = screen.is_none() && !context.json;
        let mut session = Session { seen, csv, prints, plots: screen.is_some(), started: Instant::now() };
        let has_ended = follow(source, Lines::new(formats.as_ref()), &mut session, screen.as_mut())?;
        drop(screen); // gives the terminal back before anything is printed
        let seen = session.seen;
        let checked = if has_ended { seen.check(self.elf.as_deref()) } else { Ok(()) };
        // Where there is no verdict at all there is nothing to sum up.
        if checked.is_err() && !seen.history.has_verdicts() {
            return checked;
        }
        let summary = seen.summary();
        if prints {
            terminal::tell(&summary); // beside the lines
        } else {
            context.print(&seen, &summary)?;
        }
        checked
    }
}

/// Takes what a source sends until it ends, the user does, or nobody reads what is printed; returns whether the source ended.
fn follow(
    source: Source,
    mut lines: Lines<'_>,
    session: &mut Session,
    mut screen: Option<&mut Screen>,
) -> Result<bool> {
    let interrupted = interrupted();
    let (sender, receiver) = mpsc::sync_channel(QUEUE);
    std::thread::spawn(move || source.read(&sender));
    let (mut drawn, mut has_ended) = (None::<Instant>, false);
    while !interrupted.load(Ordering::Relaxed) {
        match receiver.recv_timeout(TICK) {
            Ok(News::Bytes(bytes)) => {
                if !session.take(&lines.push(&bytes))? {
                    break;
                }
                lines.check().with_context(|| session.seen.source.clone())?;
            }
            Ok(News::Gone(message) | News::Back(message)) if screen.is_some() => session.seen.history.say(&message),
            Ok(News::Gone(message) | News::Back(message)) => note(&message),
            Ok(News::Failed(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                if !std::mem::replace(&mut has_ended, true) {
                    session.take(&lines.finish())?;
                    session.seen.history.say("-- the stream has ended: q quits");
                }
                if screen.is_none() {
                    break;
                }
                std::thread::sleep(TICK);
            }
        }
        if let Some(screen) = &mut screen
            && drawn.is_none_or(|drawn| drawn.elapsed() >= TICK)
        {
            drawn = Some(Instant::now());
            if !screen.draw(|frame| draw(frame, &session.seen))? {
                break;
            }
        }
    }
    Ok(has_ended)
}

/// Pieces of the stream that may wait.
const QUEUE: usize = 1024;

const MOST_NOTED: usize = 10;

fn read_formats(path: &Path) -> Result<defmt_decoder::Table> {
    let elf = read_file(path, MOST_BINARY)?;
    formats(&elf).with_context(|| path.display().to_string())
}

/// A new CSV file, in place: it grows for as long as the device is watched, and half of it is worth having. With its header, even if no
/// verdict comes.
fn create(path: &Path, existing: Existing) -> Result<Csv<File>> {
    let file = begin_file(path, existing, |out| Csv::under(HEADER, out)?.flush())?;
    Ok(Csv::headless(file))
}
