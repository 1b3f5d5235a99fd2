//! `vae-train record`: a device's samples, into a file.

mod panel;
mod words;

use std::{
    collections::VecDeque,
    io::{self, IsTerminal},
    path::PathBuf,
    sync::{
        atomic::Ordering,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, bail};

use self::{
    panel::{MOST_SAID, draw},
    words::{gap_in_words, nothing_came, progress, summary},
};
use super::{
    progress::interrupted,
    screen::Screen,
    source::{News, Source},
    terminal,
};
use crate::{
    cli::context::{Context, note},
    recorder::{Recorder, recording::Recorded, timeline::Gap},
    words::{output::Existing, rates::parse_span},
};

/// Record a device's samples into a file, with their times: rate, levels, clipping and spectrum live; q or Ctrl-C ends.
///
/// It reads the frames that the firmware examples send (docs/record.md) from a serial port or standard input. Time is counted by the device:
/// samples that are lost are named and leave a gap. If a device is unplugged, it waits until the device is back, and goes on in the same file.
/// What has come is in a file with `.part` behind its name at once, as CSV, and gets its name, or format, at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train record /dev/ttyACM0 --baud 460800 --out day1.csv --for 10m
  vae-train record COM3 --out day1.parquet
  cargo run --release --bin record | vae-train record - --out day1.wav --for 90s")]
pub(super) struct Record {
    /// Serial port, such as /dev/ttyACM0 or COM3; `-` for standard input.
    source: String,
    /// Bits per second of the serial port.
    #[arg(long, help_heading = "Device", default_value_t = 115_200)]
    baud: u32,
    /// File to write; its ending says the format: .csv, .wav or .parquet.
    ///
    /// CSV and Parquet have a column `time`, in seconds, in which a gap is seen. WAV has none: behind a gap another file begins, with a number
    /// behind its name.
    #[arg(long, help_heading = "Output")]
    out: PathBuf,
    /// End when so much is recorded, as in 90s, 10m, 1.5h or 2d [default: until q, Ctrl-C, or the end of standard input].
    #[arg(long = "for", value_name = "TIME", value_parser = parse_span)]
    duration: Option<f64>,
    /// Replace an existing file.
    #[arg(long, help_heading = "Output")]
    force: bool,
}

/// At most this long between looks at the keyboard, and at least this long between two drawings.
const TICK: Duration = Duration::from_millis(50);
/// Pieces of the stream that may wait.
const QUEUE: usize = 1024;
/// Without a frame for so long, something is said.
const SILENCE: Duration = Duration::from_secs(5);
/// A port from which no frame has ever come is given up after this.
const PATIENCE: Duration = Duration::from_secs(10);
/// At least this long between two lines of progress.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// A recording that is under way, and who is told of it.
struct Session {
    recorder: Recorder,
    /// Its name, for messages.
    source: String,
    /// Of a serial port.
    baud: Option<u32>,
    until: Option<f64>,
    screen: Option<Screen>,
    /// Whether progress is printed.
    prints: bool,
    said: VecDeque<String>,
    started: Instant,
    /// When samples came last, and how many there were.
    heard: (Instant, u64),
    /// When the first samples came.
    began: Option<Instant>,
    is_silent: bool,
    printed: Instant,
}

impl Record {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let recorder = Recorder::new(&self.out, Existing::from_force(self.force), self.duration)?;
        let is_port = self.source != "-";
        let source = Source::open(&self.source, self.baud)?;
        #[expect(clippy::disallowed_methods, reason = "nothing is printed")]
        let screen = match io::stdout().is_terminal() && !context.json {
            true => Screen::open().map_err(|error| note(&format!("no screen: {error}"))).ok(),
            false => None,
        };
        let now = Instant::now();
        let mut session = Session {
            recorder,
            source: if is_port { self.source } else { "standard input".to_owned() },
            baud: is_port.then_some(self.baud),
            until: self.duration,
            prints: screen.is_none() && !context.json,
            screen,
            said: VecDeque::new(),
            started: now,
            heard: (now, 0),
            began: None,
            is_silent: false,
            printed: now,
        };
        let (sender, receiver) = mpsc::sync_channel(QUEUE);
        std::thread::spawn(move || source.read(&sender));
        let ended = session.follow(&receiver);
        session.finish(ended, context)
    }
}

impl Session {
    /// Takes what a source sends until it ends, the user does, or all is recorded.
    fn follow(&mut self, receiver: &Receiver<News>) -> Result<()> {
        let interrupted = interrupted();
        let mut drawn = None::<Instant>;
        while !interrupted.load(Ordering::Relaxed) {
            match receiver.recv_timeout(TICK) {
                Ok(News::Bytes(bytes)) => self.take(&bytes)?,
                Ok(News::Gone(message)) => {
                    self.recorder.cut();
                    self.say(&message);
                }
                Ok(News::Back(message)) => self.say(&message),
                Ok(News::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Disconnected) => {
                    self.recorder.cut();
                    break;
                }
                Err(RecvTimeoutError::Timeout) if self.is_over() => break,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.recorder.recording().is_some_and(|recording| recording.is_complete()) {
                break;
            }
            self.listen()?;
            if drawn.is_none_or(|drawn| drawn.elapsed() >= TICK) {
                drawn = Some(Instant::now());
                if !self.show()? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        let gaps: Vec<Gap> = self.recorder.push(bytes, self.started.elapsed().as_secs_f64())?;
        gaps.iter().for_each(|gap| self.say(&gap_in_words(gap)));
        Ok(())
    }

    /// Whether the time is over on a port that does not send any more.
    fn is_over(&self) -> bool {
        let passed = self.began.map(|began| began.elapsed().as_secs_f64());
        self.baud.is_some() && passed.zip(self.until).is_some_and(|(passed, until)| passed > until)
    }

    /// Says when nothing that is a frame has come for long, and when it comes again.
    fn listen(&mut self) -> Result<()> {
        let samples = self.recorder.recording().map_or(0, |recording| recording.samples());
        let (heard, before) = self.heard;
        if samples > before {
            self.heard = (Instant::now(), samples);
            self.began.get_or_insert_with(Instant::now);
            if std::mem::take(&mut self.is_silent) {
                self.say(&format!("{}: samples come", self.source));
            }
            return Ok(());
        }
        if samples == 0 && self.baud.is_some() && heard.elapsed() >= PATIENCE {
            bail!("{}", self.nothing(PATIENCE));
        }
        if heard.elapsed() >= SILENCE && !std::mem::replace(&mut self.is_silent, true) {
            self.say(&self.nothing(SILENCE));
        }
        Ok(())
    }

    fn nothing(&self, time: Duration) -> String {
        nothing_came(&self.source, Some(time.as_secs()), &self.recorder.rejected(), self.baud)
    }

    /// Shows how it goes; returns whether the user wants to go on.
    fn show(&mut self) -> Result<bool> {
        if let Some(screen) = &mut self.screen {
            let (recorder, source, said) = (&self.recorder, &self.source, &self.said);
            return Ok(screen.draw(|frame| draw(frame, recorder, source, said))?);
        }
        if let Some(recording) = self.recorder.recording()
            && self.prints
            && self.printed.elapsed() >= BETWEEN_LINES
        {
            terminal::tell(&progress(recording));
            self.printed = Instant::now();
        }
        Ok(true)
    }

    fn say(&mut self, message: &str) {
        if self.screen.is_none() {
            return note(message);
        }
        self.said.push_back(message.to_owned());
        self.said.drain(..self.said.len().saturating_sub(MOST_SAID));
    }

    /// Makes the file, whatever ended the recording, and says what is in it.
    fn finish(mut self, ended: Result<()>, context: Context) -> Result<()> {
        drop(self.screen.take()); // gives the terminal back before anything is printed
        let Self { recorder, source, baud, .. } = self;
        let (rejected, part) = (recorder.rejected(), recorder.part().to_owned());
        let recorded: Option<Recorded> = match recorder.finish() {
            Ok(recorded) => recorded,
            // What stood in the way while it was recorded is what is to be told.
            Err(error) => {
                let kept = |first: Error| first.context(format!("{} holds what was recorded", part.display()));
                return Err(ended.err().map_or(error, kept));
            }
        };
        let Some(mut recorded) = recorded else {
            ended?;
            bail!("{}", nothing_came(&source, None, &rejected, baud));
        };
        // A pipe brings samples as fast as they are read.
        recorded.measured_rate = recorded.measured_rate.filter(|_| baud.is_some());
        context.print(&recorded, &summary(&recorded))?;
        ended.with_context(|| format!("{source}: the recording was broken off"))
    }
}
