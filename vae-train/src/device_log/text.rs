//! What a line says beneath colours, escapes and odd bytes.

use crate::words::foreign::line;

/// What a line may say that is not to be taken for the end of an escape sequence that broke off before it.
const BEGINNINGS: [&str; 5] = ["normal", "drifting", "SENSOR", "ANOMALOUS", "threshold"];

/// Digits of an escaped character's number.
const HEXADECIMAL: u32 = 16;
const OCTAL: u32 = 8;

/// Bytes as text: UTF-8, but for the spaces and quotes of Windows' code pages, which stand around what a device prints. Other bytes are
/// replacement characters.
pub(super) fn decode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|byte| match byte {
            0x91 => '‘',
            0x92 => '’',
            0x93 => '“',
            0x94 => '”',
            0xA0 => '\u{a0}',
            0xAB => '«',
            0xBB => '»',
            _ => char::REPLACEMENT_CHARACTER,
        }));
    }
    text
}

/// A line without its colours, and with other control characters as escapes, so that a device has no say in what a terminal does.
pub(super) fn printable(text: &str) -> String {
    line(&without_sequences(text.trim_end())).into_owned()
}

/// A line as it is read: without colours, with the characters that escapes stand for, and every kind of space or minus the same.
pub(super) fn plain(text: &str) -> String {
    let unescaped = unescaped(text);
    let mut plain = String::with_capacity(unescaped.len());
    let text = without_sequences(&unescaped);
    let mut rest = &*text;
    while let Some(next) = rest.chars().next() {
        // Colours whose escape character is lost.
        let length = if next == '[' { colour(rest) } else { 0 };
        rest = &rest[length.max(next.len_utf8())..];
        match next {
            '[' if length > 0 => {}
            _ if next.is_whitespace() => plain.push(' '),
            _ if next.is_control() || is_invisible(next) => {}
            '−' => plain.push('-'),
            _ => plain.push(next),
        }
    }
    plain
}

fn is_invisible(next: char) -> bool {
    matches!(next, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Bytes of a colour, such as `[0;31m`, that a text begins with.
fn colour(text: &str) -> usize {
    let end = text[1..].find(|next: char| !next.is_ascii_digit() && next != ';').map_or(text.len(), |end| end + 1);
    if text[end..].starts_with(['m', 'K']) { end + 1 } else { 0 }
}

/// A text without escape sequences.
fn without_sequences(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\u{1b}', '\u{9b}', '\u{9d}']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at + sequence(&rest[at..])..];
    }
    plain + rest
}

/// Bytes of the escape sequence that a text begins with or, where it breaks off, of what there is of it.
///
/// # Source
/// ECMA-48, sections 5.4 and 5.6; strings end at BEL, too, as xterm's do.
fn sequence(text: &str) -> usize {
    let mut characters = text.chars();
    let introducer = characters.next();
    let (kind, start) = match introducer {
        Some('\u{1b}') => (characters.next(), 2),
        Some('\u{9b}') => (Some('['), 2),
        _ => (Some(']'), 2),
    };
    let after = |from: usize, class: fn(char) -> bool| text[from..].find(|next| !class(next)).map(|end| from + end);
    let is_final = |at: &usize| {
        let rest = &text[*at..];
        rest.starts_with(|next| ('@'..='~').contains(&next)) && !BEGINNINGS.iter().any(|word| rest.starts_with(word))
    };
    match kind {
        Some('[') => {
            let Some(parameters) = after(start, |next| ('0'..='?').contains(&next)) else { return text.len() };
            after(parameters, |next| (' '..='/').contains(&next)).filter(is_final).map_or(parameters, |end| end + 1)
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let ends = ["\u{7}", "\u{1b}\\", "\u{9c}"].into_iter();
            ends.filter_map(|end| Some(text.find(end)? + end.len())).min().unwrap_or(start)
        }
        // Such as the choice of a character set.
        Some(' '..='/') => {
            let end = after(1, |next| (' '..='/').contains(&next));
            end.filter(|end| is_final(end) || text[*end..].starts_with(|next: char| next.is_ascii_digit()))
                .map_or(1, |end| end + 1)
        }
        Some('0'..='~') if !BEGINNINGS.iter().any(|word| text[1..].starts_with(word)) => 2,
        _ => 1,
    }
}

/// A text with the characters that its escapes stand for, as JSON, C, Python, Rust, `cat -v` and syslog write them; behind any number of
/// backslashes, as each further quotation doubles them.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '#', '^', '←', '␛']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let (character, length) = escape(rest).unwrap_or_else(|| {
            let next = rest.chars().next().unwrap_or_default();
            (next, next.len_utf8())
        });
        plain.push(character);
        rest = &rest[length..];
    }
    plain + rest
}

/// The character that an escape at the beginning of a text stands for, and the escape's bytes.
fn escape(text: &str) -> Option<(char, usize)> {
    for escape in ["^[", "←", "␛"] {
        if text.strip_prefix(escape).is_some_and(|rest| rest.starts_with('[')) {
            return Some(('\u{1b}', escape.len()));
        }
    }
    let numbered = |digits: &str, radix: u32, before: usize| {
        let number =
            u32::from_str_radix(digits, radix).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        // Halves of characters, in pairs.
        Some((char::from_u32(number).unwrap_or(' '), before + digits.len()))
    };
    if let Some(rest) = text.strip_prefix('#') {
        return numbered(rest.get(..3)?, OCTAL, 1).filter(|(character, _)| character.is_control());
    }
    let rest = text.strip_prefix('\\')?.trim_start_matches('\\');
    let slashes = text.len() - rest.len();
    let next = rest.chars().next()?;
    match next {
        'n' | 'r' | 't' | 'b' | 'f' | 'v' | 'a' => Some((' ', slashes + 1)),
        'e' => Some(('\u{1b}', slashes + 1)),
        '"' | '\'' | '/' => Some((next, slashes + 1)),
        'u' if rest[1..].starts_with('{') => {
            let (digits, _) = rest[2..].split_once('}')?;
            numbered(digits, HEXADECIMAL, slashes + 2).map(|(character, length)| (character, length + 1))
        }
        'u' => numbered(rest.get(1..5)?, HEXADECIMAL, slashes + 1),
        'x' => numbered(rest.get(1..3)?, HEXADECIMAL, slashes + 1),
        '0'..='3' => numbered(rest.get(..3)?, OCTAL, slashes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::{super::Line, *};

    #[test]
    fn colours_and_escapes_are_seen_through() {
        for (text, expected) in [
            ("\u{1b}[0;32mI (310) app: on\u{1b}[0m", "I (310) app: on"),
            ("\u{1b}[01;31m\u{1b}[KANOM\u{1b}[m\u{1b}[KALOUS", "ANOMALOUS"),
            ("\u{1b}(B\u{1b}[m on \u{1b}]8;;file:///a\u{1b}\\main.rs\u{1b}]8;;\u{7}\u{1b}7", " on main.rs"),
            ("\u{9b}1mon\u{9b}38:2::255:0:0m", "on"),
            // The escape character is lost, or written otherwise.
            ("[0;32mon[m [1;31m", "on "),
            ("^[[0;32mon^[[0m \\u001b[1mon\\u001b[0m \\x1b[1mon\\033[0m \\e[1mon #033[0mon", "on on on on on"),
            ("←[1mon␛[0m \\u{1b}[1mon", "on on"),
            // It breaks off, which costs nothing of what follows.
            ("\u{1b}[normal \u{1b}[0;3SENSOR \u{1b}ANOMALOUS \u{1b} normal", "normal SENSOR ANOMALOUS  normal"),
            ("on\u{1b}[0;3", "on"),
            ("on \u{1b}]0;title", "on 0;title"),
            ("on\u{1b}", "on"),
            // Quotations within each other.
            (r#"{\"msg\":\"on \u00a0 off\\n\"}"#, r#"{"msg":"on   off "}"#),
            (r#"{\\\"msg\\\":\\\"p \\u003d 1\\\"}"#, r#"{"msg":"p = 1"}"#),
            (r"b'on\r\n' \ud83d\ude00 #012 #12 \d \u00g0", r"b'on  '      #12 \d \u00g0"),
            ("on\u{a0}off\u{202f}on\toff\u{200b}\u{feff}\u{13}", "on off on off"),
            ("[main] a[3] [0;3", "ain] a[3] [0;3"),
        ] {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn nothing_that_is_printed_controls_a_terminal() {
        let shown = printable("\u{1b}[2J\u{1b}]0;t\u{7}a\tb\u{7}\u{1b}\u{85}\u{8}\r\n");
        assert_eq!(shown, "a\tb\\u0007\\u0085\\u0008");
        assert_eq!(printable("12.00 s  -- it is 20 °C\r"), "12.00 s  -- it is 20 °C");
    }

    #[test]
    fn bytes_of_windows_are_spaces_and_quotes() {
        assert_eq!(decode(b"\x93p\xa0= 1\x94 \xc2\xb5 \xff\xb0"), "“p\u{a0}= 1” µ \u{fffd}\u{fffd}");
    }

    #[test]
    fn nothing_is_too_odd() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let pieces = [
            "\u{1b}",
            "\u{9b}",
            "[",
            "]",
            "0;3",
            "m",
            "(",
            "\\",
            "\\u",
            "\\x",
            "{",
            "}",
            "00",
            "1b",
            "#0",
            "^[",
            "é",
            "\u{fffd}",
            " ",
            "\u{a0}",
            "\u{202f}",
            "normal",
            "drifting",
            "SENSOR FAULT",
            "ANOMALOUS",
            "threshold",
            "1.5",
            "-",
            ",",
            ".",
            "e",
            "nats",
            "p =",
            "--",
            "\u{7}",
        ];
        for _ in 0..20_000 {
            let text: String =
                (0..rng.random_range(0..12)).map(|_| pieces[rng.random_range(0..pieces.len())]).collect();
            let line = Line::of(&text);
            assert!(!line.text.contains(|next: char| next.is_control()), "{text:?}");
        }
    }
}
