//! defmt's frames, as lines.

use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, StreamDecoder, Table};

use super::Line;
use crate::device_log::line::LONGEST_LINE;

/// Longest of defmt's frames; longer than a line, since arrays may be in it.
const LONGEST_FRAME: usize = 16 * LONGEST_LINE;

/// The formats of a firmware's defmt messages, from its ELF file.
///
/// # Errors
/// If the file is no ELF file, or holds no messages or those of another version of defmt.
pub fn formats(elf: &[u8]) -> Result<Table> {
    let formats = Table::parse(elf).context("it is not an ELF file with messages of defmt that can be read")?;
    formats.context("it holds no messages of defmt: give the ELF file that the device was flashed with")
}

/// defmt's frames.
pub struct Frames<'t> {
    formats: &'t Table,
    decoder: Box<dyn StreamDecoder + Send + Sync + 't>,
    /// Bytes since the last frame, or up to [`LONGEST_LINE`] more.
    waiting: usize,
    /// Where the next frame begins is not known, and never will be.
    pub(super) is_lost: bool,
}

impl<'t> Frames<'t> {
    pub(super) fn new(formats: &'t Table) -> Self {
        Self { formats, decoder: formats.new_stream_decoder(), waiting: 0, is_lost: false }
    }

    /// Takes no more than [`LONGEST_LINE`] bytes.
    pub(super) fn push(&mut self, bytes: &[u8], lines: &mut Vec<Line>) {
        if self.is_lost {
            return;
        }
        let can_recover = self.formats.encoding().can_recover();
        self.decoder.received(bytes);
        self.waiting += bytes.len();
        while !self.is_lost {
            match self.decoder.decode() {
                Ok(frame) => {
                    let time = frame.display_timestamp().map(|time| format!("{time} ")).unwrap_or_default();
                    lines.push(Line::of(&format!("{time}{}", frame.display_message())));
                }
                Err(DecodeError::UnexpectedEof) => break,
                // A decoder that can recover goes on behind the next frame's end; another would say the same for ever.
                Err(DecodeError::Malformed) => {
                    lines.push(Line::noise("(no defmt frame)"));
                    self.is_lost = !can_recover;
                }
            }
            self.waiting = bytes.len();
        }
        // The decoder keeps what is no frame yet, and looks through all of it each time.
        if self.waiting > LONGEST_FRAME {
            lines.push(Line::noise("(no end of a defmt frame)"));
            *self = Self { is_lost: !can_recover, ..Self::new(self.formats) };
        }
    }
}
