//! The one way out to standard output and standard error: what comes from outside passes as [`escaped`], whoever forgot to do it.
#![expect(clippy::disallowed_methods, reason = "this is the place")]

use std::{
    borrow::Cow,
    ffi::OsStr,
    io::{self, Write as _},
    panic,
};

use crate::words::foreign::{escaped, line, short};

/// Most characters of a message: a library may quote all of a file.
const LONGEST: usize = 10_000;

/// Prints lines on standard output.
pub(super) fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{}", escaped(text))
}

/// Prints lines on standard error; where that is closed, nobody wants them.
pub(super) fn tell(text: &str) {
    let _ = writeln!(io::stderr(), "{}", escaped(&short(text, LONGEST)));
}

/// Prints a message of this kind on standard error. Its further lines are moved in: text from outside may have some, and none of them is to
/// be taken for a message of its own.
pub(super) fn tell_of(kind: &str, message: &str) {
    tell(&format!("{kind}: {}", short(message, LONGEST).trim_end().replace('\n', "\n  ")));
}

/// What stands in a message of a library that prints by itself.
pub(super) fn guard_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |panic| match escaped(&panic.to_string()) {
        Cow::Borrowed(_) => default(panic),
        Cow::Owned(text) => tell(&text),
    }));
}

/// Whether an argument holds what may not be printed as it is.
pub(super) fn is_odd(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    line(&text) != text
}
