//! A line of a device's log.

use vae_core::Verdict;

/// Longest line of text, in bytes: a stream that has no line ends is no log.
pub(crate) const LONGEST_LINE: usize = 4096;

/// A line of a device's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// As it came, without colours, and with other control characters as escapes.
    pub text: String,
    /// The number that it begins with: seconds, by the device's clock.
    pub time: Option<f64>,
    /// What it says.
    pub content: Content,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Content {
    /// A verdict.
    Verdict(Verdict),
    /// The score below which a window votes for an alarm, in nats.
    Threshold(f32),
    /// Something else.
    Remark,
    /// A verdict that cannot be read: it is damaged or breaks off, or the line has another one.
    Malformed,
    /// No line: longer than one, or a frame that cannot be decoded.
    Noise,
}
