//! The characters of a text: UTF-8, or UTF-16 as some programs export it.

use std::io::{Cursor, Read};

use anyhow::{Context, Result};
use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};
use encoding_rs_io::DecodeReaderBytesBuilder;

use crate::tables::source::{START, Source};

/// A text in UTF-8, or in an encoding of which ASCII is a part.
pub(crate) struct Decoded {
    pub(crate) input: Box<dyn Read>,
    /// Its first bytes.
    pub(crate) start: Vec<u8>,
    /// Whether that is all of it.
    pub(crate) is_whole: bool,
    /// What it was written in, where that is neither.
    pub(crate) encoding: Option<&'static str>,
}

impl Decoded {
    /// The text of a source.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn of(source: Source) -> Result<Self> {
        let start = source.start().to_vec();
        let Some(encoding) = of_pairs(&start) else {
            let is_whole = start.len() < START as usize;
            return Ok(Self { input: Box::new(source), start, is_whole, encoding: None });
        };
        let context = format!("cannot read {}", source.name.display());
        let mut input = DecodeReaderBytesBuilder::new().encoding(Some(encoding)).bom_override(true).build(source);
        let mut start = Vec::new();
        (&mut input).take(START).read_to_end(&mut start).context(context)?;
        let is_whole = start.len() < START as usize;
        let input = Box::new(Cursor::new(start.clone()).chain(input));
        Ok(Self { input, start, is_whole, encoding: Some(encoding.name()) })
    }
}

/// The encoding of two bytes a character of a text that begins so: by its mark, or as every other byte of the first ones is zero.
fn of_pairs(start: &[u8]) -> Option<&'static Encoding> {
    match start {
        [0xff, 0xfe, ..] => return Some(UTF_16LE),
        [0xfe, 0xff, ..] => return Some(UTF_16BE),
        _ => {}
    }
    let pairs: Vec<&[u8]> = start.chunks_exact(2).take(100).collect();
    let zeros = |place: usize| pairs.iter().filter(|pair| pair[place] == 0 && pair[1 - place] != 0).count();
    let mostly = |place: usize| !pairs.is_empty() && 10 * zeros(place) > 9 * pairs.len();
    match (mostly(1), mostly(0)) {
        (true, _) => Some(UTF_16LE),
        (_, true) => Some(UTF_16BE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_told_with_and_without_a_mark() {
        let pairs = |text: &str, to: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(to).collect::<Vec<u8>>();
        for text in ["time,x\n1,2\n", "\u{feff}Größe,x\n"] {
            assert_eq!(of_pairs(&pairs(text, u16::to_le_bytes)), Some(UTF_16LE), "{text}");
            assert_eq!(of_pairs(&pairs(text, u16::to_be_bytes)), Some(UTF_16BE), "{text}");
            assert_eq!(of_pairs(text.as_bytes()), None, "{text}");
        }
        assert_eq!(of_pairs(b""), None);
        assert_eq!(of_pairs(&[0; 200]), None);
    }
}
