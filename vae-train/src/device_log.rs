//! What a device prints: its log taken apart into lines, and the verdicts in them as `vae_core::Verdict` prints them.

mod frames;
mod line;
mod reading;
mod text;
mod verdict;

use self::line::LONGEST_LINE;
use anyhow::{Result, ensure};
use defmt_decoder::Table;

pub use self::frames::{Frames, formats};
pub use self::line::{Content, Line};

/// Takes a stream of bytes apart into lines.
pub enum Lines<'t> {
    /// Text, and what has come of the line that is not complete.
    Text(Vec<u8>),
    /// defmt's frames, each of which is a line.
    Defmt(Frames<'t>),
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
                        b'\n' | b'\r' => lines.push(Line::of(&text::decode(&std::mem::take(rest)))),
                        // Lines that Windows has written in 16 bits a character are full of zeros.
                        0 => {}
                        _ if rest.len() == LONGEST_LINE => {
                            let line = Line::broken(&text::decode(&std::mem::take(rest)));
                            let is_remark = line.content == Content::Remark;
                            lines.push(if is_remark { Line { content: Content::Noise, ..line } } else { line });
                            rest.push(*byte);
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
            !matches!(self, Self::Defmt(frames) if frames.is_lost),
            "some bytes are no frame of defmt, and in its raw encoding the next frame cannot be found: build the firmware with defmt's \
             default encoding, rzcobs (without its feature `encoding-raw`), give the ELF file of what is flashed, and watch from the \
             device's start"
        );
        Ok(())
    }

    /// What is left at the end: a line that broke off.
    pub fn finish(&mut self) -> Vec<Line> {
        match self {
            Self::Text(rest) if !rest.is_empty() => vec![Line::broken(&text::decode(&std::mem::take(rest)))],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use vae_core::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict};

    use super::*;

    fn verdicts() -> Vec<Verdict> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut verdicts = Vec::new();
        for index in 0..1000 {
            let mut float = |spread: f32| rng.random_range(-spread..spread);
            let p_value = 10f32.powf(-40.0 * float(1.0).abs());
            let assessment = Assessment { score: float(1e4), p_value, missing: if index % 3 == 0 { index } else { 0 } };
            let channel = index % 7;
            verdicts.push(match index % 4 {
                0 => Verdict::Normal(assessment),
                1 => {
                    let (channel_nats, feature_nats) = (float(1e3), float(1e2));
                    Verdict::Anomalous(Anomaly { assessment, channel, channel_nats, feature: index, feature_nats })
                }
                2 => {
                    use SensorFaultKind::{Missing, OutOfRange, Saturated, Stuck};
                    let kind = [Missing, Stuck, Saturated, OutOfRange][index as usize / 4 % 4];
                    Verdict::SensorFault(SensorFault { channel, kind })
                }
                _ => {
                    let kind = match index / 4 % 4 {
                        0 => DriftKind::Score(float(1e3).abs()),
                        1 => DriftKind::Spread(float(2.0).abs()),
                        2 => DriftKind::Mean { channel, shift: float(1e-3) },
                        _ => DriftKind::Power { channel, factor: float(2.0) },
                    };
                    Verdict::Drifting(Drift { assessment, kind })
                }
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
        }
    }

    #[test]
    fn a_drift_without_its_unit_is_broken_off() {
        assert_eq!(Line::of("drifting  409.1 nats, p = 0.412, scores lower by 12.3").content, Content::Malformed);
    }

    /// What loggers, terminals and files put around a line.
    const AROUND: [(&str, &str); 44] = [
        ("[INFO ] ", " (firmware src/main.rs:70)"),
        ("row   4991  ", ": flow_l_min"),
        // Brackets, quotes and other marks, with and without space.
        ("> ", "."),
        ("(", ")"),
        ("'", "';"),
        ("|", "|"),
        ("<p>", "</p>"),
        ("“", "”"),
        ("\"2024-05-01\",\"", "\",3"),
        ("&quot;", "&quot;"),
        ("7;", ";8"),
        // Loggers.
        ("[00:00:10.123,000] <wrn> app: ", "\r"),
        ("\u{1b}[0;32mI (4200) app: ", "\u{1b}[0m"),
        ("14:03:22.123 -> ", "\r"),
        ("May 01 12:00:00 press systemd[1]: app[123]: ", ""),
        ("<14>1 2024-05-01T12:00:00Z press app 123 - - ", ""),
        ("2024-05-01 12:00:00,123 - app - WARNING - ", ""),
        ("W, [2024-05-01T12:00:00.123 #12]  WARN -- app: ", ""),
        ("05-01 12:00:00.123  1234  1234 W app     : ", ""),
        ("level=warn msg=\"", "\" unit=3"),
        ("WARN  ", "\n└─ firmware::watch @ src/main.rs:70"),
        // JSON, and JSON in JSON; other languages' strings.
        ("{\"msg\":\"", "\"}"),
        ("{\"log\":\"", "\\r\\n\",\"stream\":\"stdout\"}"),
        ("{\"log\":\"boot\\n", "\"}"),
        ("{\"log\":\"{\\\"msg\\\":\\\"\\\\t", "\\\"}\\n\"}"),
        ("{\"msg\":\"\\u001b[31m", "\\u001b[0m\"}"),
        ("b'\\x1b[31m", "\\x1b[0m\\r\\n'"),
        ("Some(\"\\u{1b}[31m", "\\u{1b}[0m\")"),
        // Colours as programs spell them that pass no control characters.
        ("^[[0;31m", "^[[0m^M"),
        ("#033[0;31m", "#033[0m#015"),
        ("␛[31m", "␛[0m␍"),
        // What is left of them.
        ("[0;31m", "[0m"),
        ("0;31m", "\u{1b}"),
        ("m", "\u{1b}["),
        ("\u{1b}[0;3", "\u{1b}[0"),
        ("\u{1b}[", " \u{1b}[0;"),
        ("\u{1b}", "\u{1b}[0m\u{1b}[K"),
        ("\u{9b}1;31m", "\u{9b}m"),
        ("\u{1b}]0;press\u{7}\u{1b}(B", "\u{1b}(B\u{1b}[m"),
        // Damage beside it.
        ("\u{fffd}\u{fffd}\u{1}", " \u{fffd}"),
        ("mal  3.2é", "\t"),
        ("\u{feff}", "\u{13}"),
        ("12.00 s  ", " -- the first of the day"),
        ("", "\u{a0}"),
    ];

    #[test]
    fn whatever_stands_around_a_verdict_it_is_read() {
        let threshold = ("threshold     -20.500 nats".to_owned(), Content::Threshold(-20.5));
        let spread = "drifting      88.000 nats, p = 0.300, spread of scores times 1.412".to_owned();
        let spread = (spread.clone(), Line::of(&spread).content);
        let verdicts = verdicts().into_iter().take(40).map(|verdict| verdict.to_string());
        let verdicts = verdicts.map(|text| (text.clone(), Line::of(&text).content));
        for (text, content) in verdicts.chain([threshold, spread]) {
            assert!(matches!(content, Content::Verdict(_) | Content::Threshold(_)), "{text}");
            for (before, behind) in AROUND {
                let line = format!("{before}{text}{behind}");
                assert_eq!(Line::of(&line).content, content, "{line:?}");
            }
            // Within it, too, where the meaning stays.
            for (from, to) in [
                (" ", "\u{a0}"),
                (" ", "\u{202f}"),
                (" ", "\t"),
                (" ", "\\u00a0"),
                ("  ", " "),
                ("=", "\\u003d"),
                ("nats", "\u{1b}[1mnats\u{1b}[0m"),
                ("ANOM", "\u{1b}[01;31m\u{1b}[KANOM\u{1b}[m\u{1b}[K"),
                ("-", "−"),
            ] {
                let line = text.replace(from, to);
                assert_eq!(Line::of(&line).content, content, "{line:?}");
            }
            let places: Vec<char> = text.chars().collect();
            let comma = |index: usize| places[index] == '.' && places[index + 1].is_ascii_digit();
            let with_commas: String =
                (0..places.len()).map(|index| if comma(index) { ',' } else { places[index] }).collect();
            for (before, behind) in [("", ""), ("12,50 s  ", ";"), ("{\"msg\":\"", "\"}")] {
                let line = Line::of(&format!("{before}{with_commas}{behind}"));
                assert_eq!(line.content, content, "{line:?}");
                assert_eq!(line.time, before.starts_with('1').then_some(12.5));
            }
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
                assert_eq!(lines.finish()[0].content, Content::Malformed, "{line}");
            }
        }
        // What follows it shows that it is complete.
        let finished = |text: &[u8]| {
            let mut lines = Lines::new(None);
            let mut all = lines.push(text);
            all.extend(lines.finish());
            all.into_iter().map(|line| line.content).collect::<Vec<_>>()
        };
        let normal = Content::Verdict(Verdict::Normal(Assessment { score: 1.0, p_value: 0.5, missing: 0 }));
        assert_eq!(finished(b"{\"msg\":\"normal 1.0 nats, p = 0.5\"}"), [normal]);
        assert_eq!(finished(b"boot"), [Content::Remark]);
    }

    #[test]
    fn a_verdict_that_cannot_be_read_is_no_remark() {
        let anomaly = "ANOMALOUS     -115.200 nats, p = 2.8e-4, channel 0 costs 95.9, feature 2 costs 22.7";
        let content = Line::of(anomaly).content;
        assert!(matches!(content, Content::Verdict(Verdict::Anomalous(_))));
        for (text, expected) in [
            ("  9.00 s  normal        1.0 nats, p = 0.2normal  3.0 nats, p = 0.5", Content::Malformed),
            ("normal        1.0 nats, p = 1.2", Content::Malformed),
            ("normal        1.0 nats, p = 0.\u{fffd}26", Content::Malformed),
            ("normal        1.0 nats, p = 0,\u{fffd}26", Content::Malformed),
            ("normal        1.0 nats, p = 7.1e-1\u{fffd}", Content::Malformed),
            ("normal        1.0 nats, p = 0.", Content::Malformed),
            ("normal        \u{fffd}8.0 nats, p = 0.3", Content::Malformed),
            ("normal x8.0 nats, p = 0.3", Content::Malformed),
            ("drifting 409.1 nats, p = 0.412, mean p = 0.102", Content::Malformed),
            ("SENSOR FAULT  the sensor of channel 0 repeats", Content::Malformed),
            ("SENSOR FAULT", Content::Malformed),
            ("{\"verdict\":\"ANOMALOUS\",\"score\":-115.2}", Content::Malformed),
            ("  3.00 s  normal", Content::Malformed),
            ("normal -inf nats", Content::Malformed),
            ("normal        3", Content::Malformed),
            ("threshold     -12.", Content::Malformed),
            // Two that differ; copies are one.
            (&format!("normal 1.0 nats, p = 0.5; {anomaly}"), Content::Malformed),
            (&format!("{{\"message\":\"{anomaly}\",\"raw\":\"{anomaly}\"}}"), content),
            (&format!("{anomaly}, threshold -20.0 nats"), content),
            // Sentences.
            ("  0.00 s  -- the motor runs normal so far", Content::Remark),
            ("-- ANOMALOUS lines are shown in red", Content::Remark),
            (&format!("[INFO ] -- the last alarm: {anomaly}"), Content::Remark),
            ("the motor runs normally", Content::Remark),
            ("abnormal 3 nats", Content::Remark),
            ("abnormal 3.0 nats, p = 0.5", Content::Malformed),
            (&format!("UUU{anomaly}"), content),
            (&format!("{anomaly} -- before: normal 1.0 nats, p = 0.5"), content),
            ("back to normal operation", Content::Remark),
            ("power mode: normal", Content::Remark),
            ("normal 3 phases", Content::Remark),
            ("{\"normal\": 3, \"is_ANOMALOUS\": false}", Content::Remark),
            ("vibration threshold exceeded", Content::Remark),
            ("threshold 12 g", Content::Remark),
            ("normal -- so far", Content::Remark),
            ("normal operation, threshold     -12.5 nats", Content::Threshold(-12.5)),
        ] {
            assert_eq!(Line::of(text).content, expected, "{text}");
        }
    }

    #[test]
    fn text_comes_in_any_pieces_and_noise_ends() {
        let text = "\r\nboot\r\nnormal 1.0 nats, p = 0.5\n\n\u{fffd}\u{fffd}\nthreshold 3 nats\n";
        let mut whole = Lines::new(None);
        let expected = whole.push(text.as_bytes());
        let contents: Vec<Content> = expected.iter().map(|line| line.content).collect();
        let normal = Content::Verdict(Verdict::Normal(Assessment { score: 1.0, p_value: 0.5, missing: 0 }));
        assert_eq!(contents, [Content::Remark, normal, Content::Remark, Content::Threshold(3.0)]);
        let mut pieces = Lines::new(None);
        let found: Vec<Line> = text.as_bytes().chunks(3).flat_map(|bytes| pieces.push(bytes)).collect();
        assert_eq!(found, expected);
        assert!(pieces.finish().is_empty() && whole.finish().is_empty());
        // Noise without line ends does not fill the memory.
        let mut noise = Lines::new(None);
        let lines = noise.push(&vec![0xA5; 10 * LONGEST_LINE]);
        assert!(lines.len() >= 9 && lines.iter().all(|line| line.content == Content::Noise));
    }

    #[test]
    fn lines_end_as_any_system_ends_them_and_bytes_are_of_any_code_page() {
        let normal = Content::Verdict(Verdict::Normal(Assessment { score: 88.0, p_value: 0.3, missing: 0 }));
        let line = "normal        88.0 nats, p = 0.300";
        for end in ["\n", "\r\n", "\r", "\n\r", "\r\r\n"] {
            let lines = Lines::new(None).push(format!("boot{end}{line}{end}{line}{end}").as_bytes());
            let contents: Vec<Content> = lines.iter().map(|line| line.content).collect();
            assert_eq!(contents, [Content::Remark, normal, normal], "{end:?}");
        }
        let content = |bytes: &[u8]| Lines::new(None).push(bytes).iter().map(|line| line.content).collect::<Vec<_>>();
        assert_eq!(content(b"\x93normal\xa0\xa088.0\xa0nats, p = 0.300\x94 20 \xb0C\n"), [normal]);
        let wide: Vec<u8> = format!("\u{feff}{line}\r\n{line}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(content(&wide), [normal, normal]);
    }
}
