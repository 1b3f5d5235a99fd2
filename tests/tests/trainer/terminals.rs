//! Pairs of pseudo-terminals: serial lines, and screens.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Read},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    process::{Child, ChildStderr, Command},
    sync::mpsc,
    time::{Duration, Instant},
};

use nix::{
    fcntl::OFlag,
    pty::{grantpt, posix_openpt, ptsname_r, unlockpt},
    sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr},
};

/// Waits for what another process does.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "waiting in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A pair that passes bytes as they are, as a serial line does: the device's end, and the name and the file of the other.
pub(crate) fn line() -> (File, String, File) {
    // Not inherited by the processes that other tests start: the line is down when we close it.
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname_r(&master).unwrap();
    let mut options = OpenOptions::new();
    let slave = options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(&name).unwrap();
    let mut settings = tcgetattr(&slave).unwrap();
    cfmakeraw(&mut settings);
    tcsetattr(&slave, SetArg::TCSANOW, &settings).unwrap();
    (File::from(OwnedFd::from(master)), name, slave)
}

/// What a process says, line by line, while it lives.
pub(crate) fn lines_of(stderr: ChildStderr) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
    });
    receiver
}

/// A process that does not outlive its test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended
        let _ = self.0.wait();
    }
}

pub(crate) fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// A terminal of 30 rows and 100 columns, and what a process shows on it.
pub(crate) struct Terminal {
    /// The user's end: what is written there is typed.
    pub(crate) keyboard: File,
    shown: mpsc::Receiver<Vec<u8>>,
    screen: vt100::Parser,
}

impl Terminal {
    /// With a command whose standard input and output it is.
    pub(crate) fn of(command: &mut Command) -> Self {
        let (keyboard, _, slave) = line();
        let size = Command::new("stty").args(["rows", "30", "cols", "100"]).stdin(slave.try_clone().unwrap()).status();
        assert!(size.unwrap().success());
        command.env("TERM", "xterm").stdin(slave.try_clone().unwrap()).stdout(slave);
        let mut output = keyboard.try_clone().unwrap();
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { keyboard, shown, screen: vt100::Parser::new(30, 100, 0) }
    }

    /// Waits until it shows this, on its alternate screen or not.
    pub(crate) fn shows(&mut self, is_alternate: bool, what: &str) {
        until(what, || {
            self.shown.try_iter().for_each(|bytes| self.screen.process(&bytes));
            self.screen.screen().alternate_screen() == is_alternate && self.screen.screen().contents().contains(what)
        });
    }
}
