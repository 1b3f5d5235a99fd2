//! Texts whose fields are separated by blanks.

use std::io::{self, BufRead, Read};

/// A text whose runs of blanks are one tab each, and which has none at the ends of its lines.
pub(crate) struct Blanks<R> {
    input: R,
    /// Whether a field has begun in this line.
    in_line: bool,
    /// Whether blanks were passed since.
    pending: bool,
}

impl<R: BufRead> Blanks<R> {
    pub(crate) fn new(input: R) -> Self {
        Self { input, in_line: false, pending: false }
    }
}

impl<R: BufRead> Read for Blanks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // A tab and a byte may come of one byte.
        if buffer.len() < 2 {
            return Ok(0);
        }
        let mut written = 0;
        while written == 0 {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            let mut taken = 0;
            for byte in bytes {
                if written + 2 > buffer.len() {
                    break;
                }
                taken += 1;
                match byte {
                    b' ' | b'\t' => self.pending = self.in_line,
                    b'\n' | b'\r' => {
                        (self.in_line, self.pending) = (false, false);
                        buffer[written] = *byte;
                        written += 1;
                    }
                    _ => {
                        if std::mem::take(&mut self.pending) {
                            buffer[written] = b'\t';
                            written += 1;
                        }
                        self.in_line = true;
                        buffer[written] = *byte;
                        written += 1;
                    }
                }
            }
            self.input.consume(taken);
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn runs_of_blanks_are_one_tab_whatever_is_read_at_once() {
        let text = "  1  2\t 3 \r\n\n4 5   6\n7";
        for size in [2, 3, 64] {
            let mut blanks = Blanks::new(BufReader::with_capacity(1, text.as_bytes()));
            let (mut read, mut buffer) = (Vec::new(), vec![0; size]);
            while let count @ 1.. = blanks.read(&mut buffer).unwrap() {
                read.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(String::from_utf8(read).unwrap(), "1\t2\t3\r\n\n4\t5\t6\n7", "{size}");
        }
    }
}
