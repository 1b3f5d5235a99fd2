//! Where what a device sends comes from.

use std::{
    io::{self, IsTerminal, Read as _},
    sync::mpsc::SyncSender,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Error, Result, bail};
use serialport::SerialPort;

/// A serial port is asked for bytes, and looked for when it is gone, at least this often.
const PATIENCE: Duration = Duration::from_millis(200);

/// What comes of a source.
pub(super) enum News {
    Bytes(Vec<u8>),
    /// The device is gone, or back: what the user should know.
    Gone(String),
    Back(String),
    /// Nothing more will come.
    Failed(Error),
}

pub(super) enum Source {
    StandardInput,
    Serial { path: String, baud: u32, port: Box<dyn SerialPort> },
}

impl Source {
    pub(super) fn open(name: &str, baud: u32) -> Result<Self> {
        if name == "-" {
            if io::stdin().is_terminal() {
                bail!(
                    "standard input is this terminal: pipe the device's output into it, or give a serial port{}",
                    ports()
                );
            }
            return Ok(Self::StandardInput);
        }
        let port = open(name, baud)
            .with_context(|| format!("{name} cannot be opened as a serial port at {baud} bits a second{}", ports()))?;
        Ok(Self::Serial { path: name.to_owned(), baud, port })
    }

    /// Passes on what comes until nobody listens, or the standard input ends. A serial port that is gone is waited for.
    pub(super) fn read(self, listener: &SyncSender<News>) {
        let mut buffer = [0; 4096];
        match self {
            Self::StandardInput => loop {
                let news = match io::stdin().lock().read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => News::Bytes(buffer[..length].to_vec()),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => News::Failed(Error::new(error).context("the standard input cannot be read")),
                };
                if listener.send(news).is_err() {
                    return;
                }
            },
            Self::Serial { path, baud, mut port } => loop {
                let lost = match port.read(&mut buffer) {
                    Ok(0) => "its line is closed".to_owned(),
                    Ok(length) => match listener.send(News::Bytes(buffer[..length].to_vec())) {
                        Ok(()) => continue,
                        Err(_) => return,
                    },
                    Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {
                        continue;
                    }
                    Err(error) => error.to_string(),
                };
                if listener
                    .send(News::Gone(format!("{path} is gone ({lost}): waiting until it is plugged in again")))
                    .is_err()
                {
                    return;
                }
                port = loop {
                    sleep(PATIENCE);
                    if let Ok(port) = open(&path, baud) {
                        break port;
                    }
                };
                if listener.send(News::Back(format!("{path} is back"))).is_err() {
                    return;
                }
            },
        }
    }
}

fn open(path: &str, baud: u32) -> serialport::Result<Box<dyn SerialPort>> {
    serialport::new(path, baud).timeout(PATIENCE).open()
}

/// The ports that there are, as the end of a message.
fn ports() -> String {
    let ports = serialport::available_ports().unwrap_or_default();
    match &ports.iter().map(|port| port.port_name.as_str()).collect::<Vec<_>>()[..] {
        [] => " (this machine has none)".to_owned(),
        names => format!(" (this machine has {})", names.join(", ")),
    }
}
