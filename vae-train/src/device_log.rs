//! What a device prints: its log taken apart into lines, and the verdicts in them as `vae_core::Verdict` prints them.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use defmt_decoder::{DecodeError, StreamDecoder, Table};
use vae_core::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict};

/// Longest line of text, in bytes: a stream that has no line ends is no log.
const LONGEST_LINE: usize = 4096;
/// Longest of defmt's frames, likewise; larger, since arrays may be in it.
const LONGEST_FRAME: usize = 16 * LONGEST_LINE;

/// A line of a device's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// As it came.
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
    /// Something that begins like a verdict and is none, is longer than a line, or breaks off; or a frame that cannot be decoded.
    Malformed,
}

impl Line {
    /// The line with this text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let time =
            text.split_whitespace().next().and_then(|word| word.parse().ok()).filter(|time: &f64| time.is_finite());
        Self { text: text.trim_end().to_owned(), time, content: Content::of(text) }
    }

    fn malformed(text: &str) -> Self {
        Self { content: Content::Malformed, ..Self::of(text) }
    }
}

impl Content {
    fn of(text: &str) -> Self {
        let words = [("normal", 0), ("drifting", 1), ("SENSOR FAULT", 2), ("ANOMALOUS", 3), ("threshold", 4)];
        let found = words.iter().filter_map(|(word, kind)| {
            // Whole words, in the line's columns, with a number behind: neither "the motor runs normally" nor "back to normal
            // operation" is a verdict.
            let mut places = text.match_indices(word).filter(|(at, _)| {
                let behind = &text[at + word.len()..];
                (*at == 0 || text[..*at].ends_with(char::is_whitespace))
                    && behind.starts_with(char::is_whitespace)
                    && (*kind == 2 || begins_a_number(behind.trim_start()))
            });
            places.next().map(|(at, _)| (at, *kind, Fields(&text[at + word.len()..])))
        });
        let Some((at, kind, mut fields)) = found.min_by_key(|(at, ..)| *at) else { return Self::Remark };
        if text[..at].split_whitespace().any(|word| word == "--") {
            return Self::Remark;
        }
        let content = match kind {
            0 => fields.assessment().map(|assessment| Self::Verdict(Verdict::Normal(assessment))),
            1 => fields.drift().map(|drift| Self::Verdict(Verdict::Drifting(drift))),
            2 => fields.sensor_fault().map(|fault| Self::Verdict(Verdict::SensorFault(fault))),
            3 => fields.anomaly().map(|anomaly| Self::Verdict(Verdict::Anomalous(anomaly))),
            _ => fields.number().and_then(|nats| fields.skip("nats").map(|()| Self::Threshold(nats))),
        };
        content.unwrap_or(Self::Malformed)
    }
}

/// Whether a text begins as a number does that may be cut off.
fn begins_a_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let is_cut = digits.is_empty() && !text.is_empty();
    is_cut || digits.starts_with(|next: char| next.is_ascii_digit()) || Fields(text).number::<f32>().is_some()
}

/// What is left of a line's text.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a str);

impl Fields<'_> {
    /// Takes these words, whatever space is between them.
    fn skip(&mut self, words: &str) -> Option<()> {
        for word in words.split(' ') {
            self.0 = self.0.trim_start().strip_prefix(word)?;
        }
        Some(())
    }

    fn number<T: FromStr>(&mut self) -> Option<T> {
        let text = self.0.trim_start();
        let end = text.find(|next: char| next == ',' || next.is_whitespace()).unwrap_or(text.len());
        let number = text[..end].parse().ok()?;
        self.0 = &text[end..];
        Some(number)
    }

    fn assessment(&mut self) -> Option<Assessment> {
        let score = self.number()?;
        self.skip("nats , p =")?;
        let p_value = self.number()?;
        let mut rest = *self;
        let mut missing = || {
            rest.skip(",")?;
            let missing = rest.number()?;
            rest.skip("missing").map(|()| missing)
        };
        let missing = missing();
        if missing.is_some() {
            *self = rest;
        }
        (0.0..=1.0).contains(&p_value).then_some(Assessment { score, p_value, missing: missing.unwrap_or(0) })
    }

    fn anomaly(&mut self) -> Option<Anomaly> {
        let assessment = self.assessment()?;
        self.skip(", channel")?;
        let channel = self.number()?;
        self.skip("costs")?;
        let channel_nats = self.number()?;
        self.skip(", feature")?;
        let feature = self.number()?;
        self.skip("costs")?;
        Some(Anomaly { assessment, channel, channel_nats, feature, feature_nats: self.number()? })
    }

    fn sensor_fault(&mut self) -> Option<SensorFault> {
        use SensorFaultKind::{Missing, OutOfRange, Saturated, Stuck};
        self.skip("the sensor of channel")?;
        let channel = self.number()?;
        let kind = [Missing, Stuck, Saturated, OutOfRange]
            .into_iter()
            .find(|kind| self.0.trim_start().starts_with(&kind.to_string()))?;
        Some(SensorFault { channel, kind })
    }

    fn drift(&mut self) -> Option<Drift> {
        let assessment = self.assessment()?;
        self.skip(",")?;
        let mut fields = *self;
        let kind = if fields.skip("scores lower by").is_some() {
            DriftKind::Score(fields.number()?)
        } else if fields.skip("spread of scores times").is_some() {
            DriftKind::Spread(fields.number()?)
        } else if self.skip("mean of channel").is_some() {
            let channel = self.number()?;
            self.skip("off by")?;
            DriftKind::Mean { channel, shift: self.number()? }
        } else {
            self.skip("power of channel")?;
            let channel = self.number()?;
            self.skip("times")?;
            DriftKind::Power { channel, factor: self.number()? }
        };
        Some(Drift { assessment, kind })
    }
}

/// The formats of a firmware's defmt messages, from its ELF file.
///
/// # Errors
/// If the file is no ELF file, or holds no messages or those of another version of defmt.
pub fn formats(elf: &[u8]) -> Result<Table> {
    let formats = Table::parse(elf).context("it is no ELF file with messages of defmt that can be read")?;
    formats.context("it holds no messages of defmt: give the ELF file that the device was flashed with")
}

/// Takes a stream of bytes apart into lines.
pub enum Lines<'t> {
    /// Text, and what has come of the line that is not complete.
    Text(Vec<u8>),
    /// defmt's frames, each of which is a line.
    Defmt(Frames<'t>),
}

/// defmt's frames.
pub struct Frames<'t> {
    formats: &'t Table,
    decoder: Box<dyn StreamDecoder + Send + Sync + 't>,
    /// Bytes since the last frame, or up to [`LONGEST_LINE`] more.
    waiting: usize,
    /// Where the next frame begins is not known, and never will be.
    is_lost: bool,
}

impl<'t> Frames<'t> {
    fn new(formats: &'t Table) -> Self {
        Self { formats, decoder: formats.new_stream_decoder(), waiting: 0, is_lost: false }
    }

    /// Takes no more than [`LONGEST_LINE`] bytes.
    fn push(&mut self, bytes: &[u8], lines: &mut Vec<Line>) {
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
                    lines.push(Line::malformed("(no defmt frame)"));
                    self.is_lost = !can_recover;
                }
            }
            self.waiting = bytes.len();
        }
        // The decoder keeps what is no frame yet, and looks through all of it each time.
        if self.waiting > LONGEST_FRAME {
            lines.push(Line::malformed("(no end of a defmt frame)"));
            *self = Self { is_lost: !can_recover, ..Self::new(self.formats) };
        }
    }
}

impl<'t> Lines<'t> {
    /// Of text, or of defmt's frames with these formats.
    #[must_use]
    pub fn new(formats: Option<&'t Table>) -> Self {
        formats.map_or(Self::Text(Vec::new()), |formats| Self::Defmt(Frames::new(formats)))
    }

    /// Takes what has come; returns the lines that it completes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        match self {
            Self::Text(rest) => {
                for byte in bytes {
                    match byte {
                        b'\n' | b'\r' if rest.is_empty() => {}
                        b'\n' => lines.push(Line::of(&String::from_utf8_lossy(&std::mem::take(rest)))),
                        _ if rest.len() == LONGEST_LINE => {
                            lines.push(Line::malformed(&String::from_utf8_lossy(&std::mem::take(rest))));
                        }
                        _ => rest.push(*byte),
                    }
                }
            }
            Self::Defmt(frames) => {
                bytes.chunks(LONGEST_LINE).for_each(|piece| frames.push(piece, &mut lines));
            }
        }
        lines
    }

    /// Whether anything more can come of the stream.
    ///
    /// # Errors
    /// If bytes were no frame, in an encoding that does not tell where the next one begins.
    pub fn check(&self) -> Result<()> {
        ensure!(
            !matches!(self, Self::Defmt(Frames { is_lost: true, .. })),
            "bytes that are no frame of defmt, and its raw encoding does not tell where the next frame begins: build the firmware with \
             defmt's default encoding, rzcobs (without its feature `encoding-raw`), give the ELF file of what is flashed, and watch from \
             the device's start"
        );
        Ok(())
    }

    /// What is left at the end: a line that broke off.
    pub fn finish(&mut self) -> Vec<Line> {
        match self {
            Self::Text(rest) if !rest.is_empty() => {
                vec![Line::malformed(&String::from_utf8_lossy(&std::mem::take(rest)))]
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn verdicts() -> Vec<Verdict> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut verdicts = Vec::new();
        for index in 0..1000 {
            let mut float = |spread: f32| rng.random_range(-spread..spread);
            let p_value = 10f32.powf(-40.0 * float(1.0).abs());
            let assessment = Assessment { score: float(1e4), p_value, missing: if index % 3 == 0 { index } else { 0 } };
            let channel = index % 7;
            verdicts.push(match index % 6 {
                0 => Verdict::Normal(assessment),
                1 => {
                    let (channel_nats, feature_nats) = (float(1e3), float(1e2));
                    Verdict::Anomalous(Anomaly { assessment, channel, channel_nats, feature: index, feature_nats })
                }
                2 => {
                    use SensorFaultKind::{Missing, OutOfRange, Saturated, Stuck};
                    let kind = [Missing, Stuck, Saturated, OutOfRange][index as usize / 6 % 4];
                    Verdict::SensorFault(SensorFault { channel, kind })
                }
                3 => Verdict::Drifting(Drift { assessment, kind: DriftKind::Score(float(1.0).abs()) }),
                4 => Verdict::Drifting(Drift { assessment, kind: DriftKind::Mean { channel, shift: float(1e-3) } }),
                _ => Verdict::Drifting(Drift { assessment, kind: DriftKind::Power { channel, factor: float(2.0) } }),
            });
        }
        verdicts
    }

    #[test]
    fn a_printed_verdict_is_read_back() {
        for verdict in verdicts() {
            let text = verdict.to_string();
            let Line { time, content: Content::Verdict(read), .. } = Line::of(&format!("  1.50 s  {text}\r")) else {
                panic!("{text}")
            };
            // To the digits that are printed, and the same kind and channels.
            assert_eq!((time, read.to_string()), (Some(1.5), text));
            assert_eq!(std::mem::discriminant(&read), std::mem::discriminant(&verdict));
            // What a logger puts around it does not matter.
            let logged = Line::of(&format!("[INFO ] {verdict} (firmware src/main.rs:70)"));
            assert_eq!((logged.time, logged.content), (None, Content::Verdict(read)));
        }
    }

    #[test]
    fn a_verdict_that_is_cut_anywhere_is_malformed() {
        for verdict in verdicts().iter().take(60) {
            let text = verdict.to_string();
            for end in 15..text.len() {
                let line = &text[..end];
                let complete = Line::of(&text);
                // Cut in its last number it may still be one, which is why a line without an end does not count.
                let content = Line::of(line).content;
                assert!(
                    content == Content::Malformed
                        || std::mem::discriminant(&content) == std::mem::discriminant(&complete.content),
                    "{line}: {content:?}"
                );
                let mut lines = Lines::new(None);
                assert!(lines.push(line.as_bytes()).is_empty());
                assert_eq!(lines.finish()[0].content, Content::Malformed);
            }
        }
        for (text, content) in [
            ("  9.00 s  normal        1.0 nats, p = 0.2normal  3.0 nats, p = 0.5", Content::Malformed),
            ("normal        1.0 nats, p = 1.2", Content::Malformed),
            ("SENSOR FAULT  the sensor of channel 0 repeats", Content::Malformed),
            ("  0.00 s  -- the motor runs normal so far", Content::Remark),
            ("the motor runs normally", Content::Remark),
            ("back to normal operation", Content::Remark),
            ("vibration threshold exceeded", Content::Remark),
            ("normal -- so far", Content::Remark),
            ("normal operation, threshold     -12.5 nats", Content::Threshold(-12.5)),
            ("normal -inf nats", Content::Malformed),
            ("normal        3", Content::Malformed),
            ("threshold     -12.5 nats", Content::Threshold(-12.5)),
            ("threshold     -12.", Content::Malformed),
        ] {
            assert_eq!(Line::of(text).content, content, "{text}");
        }
    }

    #[test]
    fn text_comes_in_any_pieces_and_noise_ends() {
        let text = "\r\nboot\r\nnormal 1.0 nats, p = 0.5\n\n\u{fffd}\u{fffd}\nthreshold 3 nats\n";
        let mut whole = Lines::new(None);
        let expected = whole.push(text.as_bytes());
        let contents: Vec<Content> = expected.iter().map(|line| line.content).collect();
        let normal = Verdict::Normal(Assessment { score: 1.0, p_value: 0.5, missing: 0 });
        assert_eq!(contents, [Content::Remark, Content::Verdict(normal), Content::Remark, Content::Threshold(3.0)]);
        let mut pieces = Lines::new(None);
        let found: Vec<Line> = text.as_bytes().chunks(3).flat_map(|bytes| pieces.push(bytes)).collect();
        assert_eq!(found, expected);
        assert!(pieces.finish().is_empty() && whole.finish().is_empty());
        // Noise without line ends does not fill the memory.
        let mut noise = Lines::new(None);
        let lines = noise.push(&vec![0xA5; 10 * LONGEST_LINE]);
        assert!(lines.len() >= 9 && lines.iter().all(|line| line.content == Content::Malformed));
    }
}
