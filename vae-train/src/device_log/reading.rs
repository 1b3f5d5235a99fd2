//! What a line says.

use super::{
    line::{Content, Line},
    text,
    verdict::{self, End},
};

impl Line {
    /// The line with this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self::ending(text, End::Whole)
    }

    /// What there is of a line that breaks off.
    pub(crate) fn broken(text: &str) -> Self {
        Self::ending(text, End::Broken)
    }

    fn ending(text: &str, end: End) -> Self {
        let plain = text::plain(text);
        Self { text: text::printable(text), time: verdict::time(&plain), content: verdict::content(&plain, end) }
    }

    pub(crate) fn noise(text: &str) -> Self {
        Self { text: text::printable(text), time: None, content: Content::Noise }
    }
}
