//! What a model's card says of its use and of how it was judged: lines `name value` among the card's metrics, which a device skips.
//! `vae-core/FORMAT.md` lists them.

use anyhow::{Result, ensure};

use crate::words::foreign::line;

/// Names of the lines.
pub mod name {
    /// What the model is called.
    pub const NAME: &str = "name";
    /// A number of [`TERMS`](super::TERMS).
    pub const TERMS: &str = "terms";
    /// An intended use.
    pub const USE: &str = "use";
    /// A limit of the use.
    pub const LIMIT: &str = "limit";
    /// The unit of a channel or condition, a space, its name.
    pub const UNIT: &str = "unit";
    /// Epoch of the fit that the weights are of.
    pub const EPOCH: &str = "epoch";
    /// ELBO of the held-out windows, in nats of standardised values.
    pub const VALIDATION_ELBO: &str = "validation_elbo";
    /// Windows that were held out of the fit.
    pub const HELD_OUT: &str = "held_out";
    /// Of these, those that int8 judges otherwise than f32.
    pub const INT8_FLIPPED: &str = "int8_flipped";
    /// Mean magnitude of the change of their scores by int8, in nats.
    pub const INT8_SHIFT: &str = "int8_shift";
    /// Fingerprint of the calibration data and their rows, as the card has them of the training data.
    pub const CALIBRATED_ON: &str = "calibrated_on";
    /// False alarms a second on data like the calibration's, between which they are with 90 % confidence.
    pub const FALSE_ALARMS: &str = "false_alarms";
}

/// What a model is for and what it is not for, whoever trained it: the words of the number that its file has. Words of a number never change.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// In the file.
    pub number: u32,
    /// What it is for.
    pub intended_use: &'static str,
    /// What holds it back.
    pub limits: &'static [&'static str],
    /// What it must not do to people, and what keeps it from that.
    pub people: &'static [(&'static str, &'static str)],
}

/// The newest, which `export` writes.
pub const TERMS: Terms = Terms {
    number: 1,
    intended_use: "To tell people, or a maintenance system, that a machine, a process or a body behaves unlike it did while it was \
                   recorded, which channel it shows in, and whether a sensor or slow drift explains it. Somebody then looks.",
    limits: &[
        "It is not a safety function: it must not be the measure, nor a part of the measure, that keeps harm from people. It has no \
         safety integrity level and no classification as a medical device.",
        "What it finds is statistical: a fault may look normal, and what was never recorded is unknown to it.",
        "Its rates of false alarms hold for machines that go on as they were recorded, and for channels in the file's order, units and \
         rate.",
    ],
    people: &[
        (
            "It must not be used to judge people: their work, their identity, their mood.",
            "It is trained on sensors of a machine, a process or a body, and says nothing but how usual their values are.",
        ),
        (
            "Whoever has the file has some windows of its training data, and can generate others like them.",
            "A model whose training data must stay secret is not shipped.",
        ),
    ],
};

/// What the maker of a model says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// What it is called.
    pub name: Option<String>,
    /// Intended uses, beside that of the [`TERMS`].
    pub uses: Vec<String>,
    /// Limits of these, beside those of the [`TERMS`].
    pub limits: Vec<String>,
    /// Units of channels and conditions, by their names.
    pub units: Vec<(String, String)>,
}

/// Most characters of what is said in a line: the device carries it in its flash.
const LONGEST: usize = 200;

impl Statement {
    /// The lines of the card, for a model of these columns.
    ///
    /// # Errors
    /// If a text is empty, long or of several lines, or a unit is of no column, given twice or of several words.
    pub fn lines(&self, columns: &[&str]) -> Result<Vec<String>> {
        let Self { name, uses, limits, units } = self;
        let named = |kind: &'static str| move |text: &String| text_line(kind, text);
        let texts = name.iter().map(named(name::NAME)).chain(uses.iter().map(named(name::USE)));
        let mut lines = texts.chain(limits.iter().map(named(name::LIMIT))).collect::<Result<Vec<_>>>()?;
        for (index, (column, unit)) in units.iter().enumerate() {
            ensure!(columns.contains(&&**column), "the model has no column `{}` to have a unit", line(column));
            ensure!(
                units[..index].iter().all(|(other, _)| other != column),
                "two units of column `{}`: give one",
                line(column)
            );
            ensure!(
                !unit.is_empty() && !unit.contains(char::is_whitespace),
                "the unit `{}` of column `{}` is not one word: give one",
                line(unit),
                line(column)
            );
            lines.push(text_line(name::UNIT, &format!("{unit} {column}"))?);
        }
        Ok(lines)
    }
}

fn text_line(kind: &str, text: &str) -> Result<String> {
    let text = text.trim();
    let length = text.chars().count();
    ensure!(length > 0, "the {kind} is empty");
    ensure!(length <= LONGEST, "the {kind} has {length} characters: a device carries them, give at most {LONGEST}");
    ensure!(line(text) == text, "the {kind} has a line break or control character in it: `{}`", line(text));
    Ok(format!("{kind} {text}"))
}

/// The lines of a card's metrics.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'m>(pub &'m str);

impl<'m> Lines<'m> {
    /// What the lines of this name say, in order.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'m str> {
        self.0.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(' '))
    }

    /// What the first line of this name says.
    #[must_use]
    pub fn first(self, name: &str) -> Option<&'m str> {
        self.all(name).next()
    }

    /// The unit of a channel or condition, where it is known.
    #[must_use]
    pub fn unit(self, column: &str) -> Option<&'m str> {
        self.all(name::UNIT)
            .filter_map(|line| line.split_once(' '))
            .find_map(|(unit, of)| (of == column).then_some(unit))
    }

    /// What all models of the file's terms are for; none where it names no terms.
    ///
    /// # Errors
    /// If they are newer than this program.
    pub fn terms(self) -> Result<Option<Terms>> {
        let Some(number) = self.first(name::TERMS) else { return Ok(None) };
        ensure!(
            number.parse() == Ok(TERMS.number),
            "the model has terms of use {}, and this program knows those of number {}: take a newer one",
            line(number),
            TERMS.number
        );
        Ok(Some(TERMS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(text: &str) -> Statement {
        Statement { uses: vec![text.to_owned()], ..Statement::default() }
    }

    #[test]
    fn what_is_said_is_read_again() {
        let statement = Statement {
            name: Some("pump 7".to_owned()),
            uses: vec!["clogged filters".to_owned()],
            limits: vec![" not while priming ".to_owned(), "not below 5 °C".to_owned()],
            units: vec![("flow rate".to_owned(), "l/min".to_owned())],
        };
        let text = statement.lines(&["flow", "flow rate"]).unwrap().join("\n");
        let lines = Lines(&text);
        assert_eq!((lines.first(name::NAME), lines.first(name::USE)), (Some("pump 7"), Some("clogged filters")));
        assert_eq!(lines.all(name::LIMIT).collect::<Vec<_>>(), ["not while priming", "not below 5 °C"]);
        assert_eq!((lines.unit("flow rate"), lines.unit("flow"), lines.unit("")), (Some("l/min"), None, None));
        assert!(lines.terms().unwrap().is_none());
    }

    #[test]
    fn what_no_line_can_hold_is_refused() {
        for text in ["", " ", "two\nlines", "a\u{1b}[2J", "turned \u{202e} round", &"x".repeat(LONGEST + 1)] {
            assert!(statement(text).lines(&[]).is_err(), "{text:?}");
        }
        assert!(statement(&"°".repeat(LONGEST)).lines(&[]).is_ok());
        let units = |units: &[(&str, &str)]| {
            let units = units.iter().map(|(column, unit)| ((*column).to_owned(), (*unit).to_owned())).collect();
            Statement { units, ..Statement::default() }.lines(&["x", "y"])
        };
        assert!(units(&[("x", "g"), ("y", "g")]).is_ok());
        for refused in [&[("z", "g")][..], &[("x", "g"), ("x", "m")], &[("x", "deg C")], &[("x", "")]] {
            assert!(units(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn terms_of_a_newer_program_are_not_taken_for_those_that_are_known() {
        assert_eq!(Lines("epoch 3\nterms 1").terms().unwrap().map(|terms| terms.number), Some(1));
        assert!(Lines("terms 2").terms().unwrap_err().to_string().contains("newer"));
    }
}
