//! Fields of a text as numbers, and as values that are missing.

use std::borrow::Cow;

/// What stands for a missing value in files of many programs, in lower case.
const MISSING: [&str; 22] = [
    "na",
    "n/a",
    "#n/a",
    "n.a.",
    "<na>",
    "null",
    "none",
    "nil",
    "nat",
    "missing",
    "unavailable",
    "unknown",
    "undefined",
    "-",
    "--",
    "---",
    "?",
    "nan(ind)",
    "-nan(ind)",
    "-nan",
    "-1.#ind",
    "1.#qnan",
];

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field {
    /// A finite number.
    Number(f32),
    /// Nothing, as files say it everywhere: empty, `NaN`, `NA`.
    Empty,
    /// A word that stands for a missing value.
    Missing,
    /// Anything else.
    Text,
}

/// How the fields of a text are written, and which of them stand for missing values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// Whether numbers may have a decimal comma.
    pub(crate) decimal_comma: bool,
    /// What stands for a missing value, besides the usual words.
    missing: Vec<String>,
    missing_numbers: Vec<f32>,
}

impl Fields {
    /// `missing` are words and numbers, several with commas between them or one by one.
    pub(crate) fn new(decimal_comma: bool, missing: &[String]) -> Self {
        let missing: Vec<String> = words(missing).map(str::to_owned).collect();
        let missing_numbers = missing.iter().filter_map(|word| word.parse().ok()).collect();
        Self { decimal_comma, missing, missing_numbers }
    }

    /// What a field holds.
    pub(crate) fn parse(&self, field: &[u8]) -> Field {
        let field = field.trim_ascii();
        if field.is_empty() || field.eq_ignore_ascii_case(b"nan") || field.eq_ignore_ascii_case(b"na") {
            return Field::Empty;
        }
        let Ok(text) = std::str::from_utf8(field) else { return Field::Text };
        if !self.missing.is_empty() && self.missing.iter().any(|word| word == text) {
            return Field::Missing;
        }
        match self.number(text) {
            Some(value) if self.missing_numbers.contains(&value) => Field::Missing,
            Some(value) if value.is_finite() => Field::Number(value),
            Some(_) => Field::Text,
            None if text.eq_ignore_ascii_case("true") => Field::Number(1.0),
            None if text.eq_ignore_ascii_case("false") => Field::Number(0.0),
            None if MISSING.iter().any(|word| word.eq_ignore_ascii_case(text)) => Field::Missing,
            None => Field::Text,
        }
    }

    fn number(&self, text: &str) -> Option<f32> {
        text.parse().ok().or_else(|| self.pointed(text)?.parse().ok())
    }

    /// A number in all of its digits; `None` for anything else.
    pub(crate) fn number_in_full(&self, field: &str) -> Option<f64> {
        let number = field.parse().ok().or_else(|| self.pointed(field)?.parse().ok());
        number.filter(|number: &f64| number.is_finite())
    }

    /// With a point for a decimal comma, where there may be one.
    pub(crate) fn pointed(&self, text: &str) -> Option<String> {
        if self.decimal_comma { with_point(text) } else { None }
    }
}

/// A number's decimal comma as a point; `None` for no comma, and for thousands, whose points would be read as decimal ones.
fn with_point(number: &str) -> Option<String> {
    let (whole, fraction) = number.split_once(',')?;
    (!number.contains('.')).then(|| format!("{whole}.{fraction}"))
}

/// What stands for missing, of words with commas between them.
pub(crate) fn words(missing: &[String]) -> impl Iterator<Item = &str> {
    missing.iter().flat_map(|words| words.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// A field as text, whatever its bytes are.
pub(crate) fn text(field: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(field.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_missing_are_told_from_other_words() {
        let fields = Fields::new(false, &["-999".to_owned(), "offline".to_owned()]);
        for word in ["N/A", "#N/A", "null", "NULL", "None", "-", "unavailable", "<NA>", "?", "nan(ind)", "-1.#IND"] {
            assert_eq!(fields.parse(word.as_bytes()), Field::Missing, "{word}");
        }
        for word in ["-999", "-999.0", "offline"] {
            assert_eq!(fields.parse(word.as_bytes()), Field::Missing, "{word}");
            assert_ne!(Fields::new(false, &[]).parse(word.as_bytes()), Field::Missing, "{word}");
        }
        assert!([" ", "", "NaN", "na"].iter().all(|word| fields.parse(word.as_bytes()) == Field::Empty));
        assert!(["on", "inf", "1e99", "1,5", "x-1"].iter().all(|word| fields.parse(word.as_bytes()) == Field::Text));
        assert_eq!(fields.parse(b" 1.5 "), Field::Number(1.5));
        assert_eq!(fields.parse(b"True"), Field::Number(1.0));
        assert_eq!(fields.parse(b"\xff"), Field::Text);
        assert_eq!(Fields::new(true, &[]).parse(b"-0,25"), Field::Number(-0.25));
    }
}
