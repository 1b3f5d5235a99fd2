//! Verdicts in plain text, as `vae_core::Verdict` prints them.

use std::str::FromStr;

use vae_core::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict};

use super::Content;

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// As lines do.
    Whole,
    /// It breaks off, maybe within its last number.
    Broken,
}

/// What a line begins that is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Normal,
    Drifting,
    SensorFault,
    Anomalous,
    Threshold,
}

const WORDS: [(&str, Word); 5] = [
    ("normal", Word::Normal),
    ("drifting", Word::Drifting),
    ("SENSOR", Word::SensorFault),
    ("ANOMALOUS", Word::Anomalous),
    ("threshold", Word::Threshold),
];

/// What a line says, of which this is the plain text. Several different verdicts are as good as none: no part of the line tells which one
/// is the device's.
pub(super) fn content(text: &str, end: End) -> Content {
    let (mut verdict, mut threshold) = (None, None);
    for Place { word, before, behind } in places(text) {
        if is_event(before) || (verdict.is_some() && mark(before).is_some()) {
            break;
        }
        match read(word, behind, end) {
            // What is damaged there may have been an `ab`.
            Some(_) if goes_on_from(before) && matches!(word, Word::Normal | Word::Drifting) => {
                return Content::Malformed;
            }
            Some(Content::Verdict(found)) if verdict.is_none_or(|verdict| verdict == found) => verdict = Some(found),
            Some(Content::Threshold(nats)) => threshold = Some(nats),
            Some(_) => return Content::Malformed,
            None if !goes_on_from(before) && is_meant(word, before, behind) => return Content::Malformed,
            None => {}
        }
    }
    verdict.map(Content::Verdict).or(threshold.map(Content::Threshold)).unwrap_or(Content::Remark)
}

/// A verdict's word in a line.
struct Place<'a> {
    word: Word,
    before: &'a str,
    behind: &'a str,
}

fn places(text: &str) -> Vec<Place<'_>> {
    let of_word = |(name, word): (&'static str, Word)| {
        text.match_indices(name).filter_map(move |(at, _)| {
            let (before, behind) = (&text[..at], &text[at + name.len()..]);
            let behind = match word {
                Word::SensorFault => behind.strip_prefix(' ')?.trim_start().strip_prefix("FAULT")?,
                _ => behind,
            };
            (!behind.starts_with(is_of_a_word)).then_some(Place { word, before, behind })
        })
    };
    let mut places: Vec<Place<'_>> = WORDS.into_iter().flat_map(of_word).collect();
    places.sort_by_key(|place| place.before.len());
    places
}

fn is_of_a_word(next: char) -> bool {
    next.is_ascii_alphabetic() || next == '_'
}

/// Whether a word is the rest of a longer one, as in `abnormal`; not behind what is left of a colour.
fn goes_on_from(before: &str) -> bool {
    let colour = before.strip_suffix('m').is_some_and(|rest| rest.is_empty() || rest.ends_with(is_of_a_number));
    !colour && before.ends_with(is_of_a_word)
}

fn is_of_a_number(next: char) -> bool {
    next.is_ascii_digit() || next == ';'
}

/// Where `--` stands, by which a device marks what happens.
fn mark(text: &str) -> Option<usize> {
    text.match_indices("--").map(|(at, _)| at).find(|at| {
        let (left, right) = (&text[..*at], &text[at + 2..]);
        (left.is_empty() || left.ends_with(' ')) && right.starts_with(' ')
    })
}

/// Whether a line's words follow `--` and so tell of an event; not of a logger that puts it between level and name, as Ruby's does
/// (`WARN -- app: …`).
fn is_event(before: &str) -> bool {
    mark(before).is_some_and(|at| {
        let name = before[at + 2..].split_whitespace().next().unwrap_or_default();
        !(name.ends_with(':') && before[..at].contains(char::is_alphabetic))
    })
}

/// Whether a word that nothing readable follows was to begin a verdict, rather than being one of a sentence: the words in capitals always
/// were, and others where what a verdict goes on with is there, or may have been before the line was cut or damaged.
fn is_meant(word: Word, before: &str, behind: &str) -> bool {
    if matches!(word, Word::SensorFault | Word::Anomalous) {
        return true;
    }
    // Up to the next one, which is judged by itself.
    let end = places(behind).first().map_or(behind.len(), |place| place.before.len());
    let behind = &behind[..end];
    let next = behind.trim_start();
    // As the verdicts' columns are.
    let is_apart = behind.len() >= next.len() + 2;
    let mut fields = Fields(next.trim_end_matches(['.', ',']));
    let is_cut_behind_a_number = fields.number().is_some() && "nats".starts_with(fields.0.trim());
    if word == Word::Threshold {
        return is_apart && is_cut_behind_a_number;
    }
    let is_a_time = |word: &str| word == "s" || Fields(word).number().is_some();
    match next.chars().next() {
        None => before.split_whitespace().all(is_a_time),
        _ if next.starts_with("--") => false,
        Some(first) => {
            is_cut_behind_a_number
                || next.contains("nats")
                || next.contains("p =")
                || (is_apart && (!first.is_alphabetic() || Fields(next).number().is_some()))
        }
    }
}

/// The verdict or threshold that this word and what is behind it are.
fn read(word: Word, behind: &str, end: End) -> Option<Content> {
    let mut fields = Fields(behind);
    let content = match word {
        Word::Normal => Content::Verdict(Verdict::Normal(fields.assessment()?)),
        Word::Drifting => Content::Verdict(Verdict::Drifting(fields.drift()?)),
        Word::SensorFault => Content::Verdict(Verdict::SensorFault(fields.sensor_fault()?)),
        Word::Anomalous => Content::Verdict(Verdict::Anomalous(fields.anomaly()?)),
        Word::Threshold => {
            let nats = fields.number()?;
            fields.skip("nats")?;
            Content::Threshold(nats)
        }
    };
    let goes_on = !fields.0.is_empty() && !fields.0.starts_with([',', '.']);
    (end == End::Whole || goes_on).then_some(content)
}

/// What is left of a line's text.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a str);

impl Fields<'_> {
    /// Takes these words, whatever space is between them.
    fn skip(&mut self, words: &str) -> Option<()> {
        let mut rest = self.0;
        for word in words.split(' ') {
            rest = rest.trim_start().strip_prefix(word)?;
        }
        self.0 = rest;
        Some(())
    }

    /// Takes a number, with a decimal point or comma, that ends where numbers do: one that a letter or a damaged character follows is not
    /// what was printed.
    fn number(&mut self) -> Option<f32> {
        let text = self.0.trim_start();
        let bare = text.trim_start_matches(['+', '-']);
        let sign = text.len() - bare.len();
        let special = ["infinity", "inf", "nan"]
            .into_iter()
            .find(|name| bare.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
        let (length, has_fraction) = match special {
            Some(name) => (name.len(), true),
            None => decimal(bare)?,
        };
        let (number, rest) = text.split_at(sign + length);
        let mut following = rest.chars();
        let is_whole = match following.next() {
            None => true,
            Some(next @ ('.' | ',')) => match following.next() {
                None => has_fraction,
                Some(digit) if digit.is_ascii_digit() => next == ',',
                Some(other) => other != char::REPLACEMENT_CHARACTER,
            },
            Some(next) => !next.is_ascii_alphanumeric() && next != '_' && next != char::REPLACEMENT_CHARACTER,
        };
        let number = number.replace(',', ".").parse().ok().filter(|_| is_whole)?;
        self.0 = rest;
        Some(number)
    }

    /// Takes a channel, a feature or how many of them.
    fn count(&mut self) -> Option<u32> {
        let text = self.0.trim_start();
        let length = digits(text);
        let (number, rest) = text.split_at(length);
        let number = u32::from_str(number).ok().filter(|_| !rest.starts_with(char::is_alphanumeric))?;
        self.0 = rest;
        Some(number)
    }

    fn assessment(&mut self) -> Option<Assessment> {
        let score = self.number()?;
        self.skip("nats , p =")?;
        let p_value = self.number()?;
        let mut rest = *self;
        let mut missing = || {
            rest.skip(",")?;
            let missing = rest.count()?;
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
        let channel = self.count()?;
        self.skip("costs")?;
        let channel_nats = self.number()?;
        self.skip(", feature")?;
        let feature = self.count()?;
        self.skip("costs")?;
        Some(Anomaly { assessment, channel, channel_nats, feature, feature_nats: self.number()? })
    }

    fn sensor_fault(&mut self) -> Option<SensorFault> {
        use SensorFaultKind::{Missing, OutOfRange, Saturated, Stuck};
        self.skip("the sensor of channel")?;
        let channel = self.count()?;
        let kinds = [Missing, Stuck, Saturated, OutOfRange];
        let kind = kinds.into_iter().find(|kind| self.skip(&kind.to_string()).is_some())?;
        (!self.0.starts_with(char::is_alphanumeric)).then_some(SensorFault { channel, kind })
    }

    fn drift(&mut self) -> Option<Drift> {
        let assessment = self.assessment()?;
        self.skip(",")?;
        Some(Drift { assessment, kind: self.drift_kind()? })
    }

    fn drift_kind(&mut self) -> Option<DriftKind> {
        if self.skip("scores lower by").is_some() {
            let shift = self.number()?;
            return self.skip("nats").map(|()| DriftKind::Score(shift));
        }
        if self.skip("spread of scores times").is_some() {
            return self.number().map(DriftKind::Spread);
        }
        if self.skip("mean of channel").is_some() {
            let channel = self.count()?;
            self.skip("off by")?;
            return Some(DriftKind::Mean { channel, shift: self.number()? });
        }
        self.skip("power of channel")?;
        let channel = self.count()?;
        self.skip("times")?;
        Some(DriftKind::Power { channel, factor: self.number()? })
    }
}

fn digits(text: &str) -> usize {
    text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len())
}

/// Bytes of a number without its sign, as `12`, `1.5`, `1,5` or `7.1e-17`, and whether it has a fraction.
fn decimal(text: &str) -> Option<(usize, bool)> {
    let whole = digits(text);
    let mut length = whole;
    if text[length..].starts_with(['.', ',']) {
        match digits(&text[length + 1..]) {
            0 => {}
            fraction => length += 1 + fraction,
        }
    }
    if length == 0 {
        return None;
    }
    let has_fraction = length > whole;
    if text[length..].starts_with(['e', 'E']) {
        let exponent = &text[length + 1..];
        let sign = usize::from(exponent.starts_with(['+', '-']));
        match digits(&exponent[sign..]) {
            0 => return None,
            count => length += 1 + sign + count,
        }
    }
    Some((length, has_fraction))
}

/// The number of seconds that a line begins with.
pub(super) fn time(text: &str) -> Option<f64> {
    let word = text.trim_start_matches(char::REPLACEMENT_CHARACTER).split_whitespace().next()?;
    let word = word.strip_suffix('s').unwrap_or(word);
    let number = word.parse().or_else(|_| word.replacen(',', ".", 1).parse());
    number.ok().filter(|time: &f64| time.is_finite())
}
