//! The column that says which rows are anomalies, in the words of whoever labelled them.

use std::path::Path;

use anyhow::{Result, bail, ensure};

use crate::words::{
    foreign::{excerpt, short},
    messages::quoted,
};

/// Most different words of a column of labels.
const MOST_WORDS: usize = 32;
/// Most characters of one.
const MOST_KEPT: usize = 80;

/// What a column of labels has said so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct LabelColumn {
    words: Vec<Word>,
    /// Of each row, which word.
    rows: Vec<u8>,
}

/// A word of the column.
#[derive(Clone, Debug)]
struct Word {
    text: String,
    rows: usize,
    /// Where it came first, for messages.
    place: String,
}

impl Word {
    /// As it is compared: `1.0` is `1`, and `True` is `true`.
    fn plain(&self) -> String {
        plain(&self.text)
    }
}

fn plain(text: &str) -> String {
    match text.trim().parse::<f64>() {
        Ok(number) => (number + 0.0).to_string(),
        Err(_) => text.trim().to_lowercase(),
    }
}

impl LabelColumn {
    /// Takes the next row's field.
    ///
    /// # Errors
    /// If there are too many different ones for labels.
    pub(crate) fn take(&mut self, field: &str, place: impl Fn() -> String) -> Result<()> {
        let index = match self.words.iter().position(|word| word.text == field) {
            Some(index) => index,
            None => {
                let text = short(field, MOST_KEPT).into_owned();
                self.words.push(Word { text, rows: 0, place: place() });
                self.words.len() - 1
            }
        };
        ensure!(self.words.len() <= MOST_WORDS, "{}", wrong(&self.words[index]));
        self.words[index].rows += 1;
        self.rows.push(index as u8);
        Ok(())
    }

    /// Labels that are numbers, of an array or of a column of numbers.
    ///
    /// # Errors
    /// If there are too many different ones for labels.
    pub(crate) fn of_numbers(values: impl Iterator<Item = f32>, column: &str, path: &Path) -> Result<Self> {
        let mut labels = Self::default();
        for (row, value) in values.enumerate() {
            labels.take(&value.to_string(), || format!("{}: row {}, column `{column}`", path.display(), row + 1))?;
        }
        Ok(labels)
    }

    /// Its words, of no row.
    pub(crate) fn words(&self) -> Self {
        Self { words: self.words.clone(), rows: Vec::new() }
    }

    /// Takes over the words of the rows before its own, so that all rows are judged alike.
    pub(crate) fn know(&mut self, before: &Self) {
        let unknown = |word: &&Word| !self.words.iter().any(|own| own.text == word.text);
        let more: Vec<Word> = before.words.iter().filter(unknown).cloned().collect();
        self.words.extend(more);
    }

    /// The word that marks an anomaly where it is -1, as scikit-learn has it, and nobody named another.
    pub(crate) fn minus_one(&self) -> Option<&str> {
        let word = self.words.iter().find(|word| word.plain() == "-1")?;
        self.words.iter().all(|word| matches!(&*word.plain(), "-1" | "1")).then_some(&*word.text)
    }

    /// Which rows are anomalies, and what the user should know of how that was told; `anomaly` is the word that marks them.
    ///
    /// # Errors
    /// If the column does not hold that word, or without one says neither 0 and 1, false and true, no and yes, nor 1 and −1.
    pub(crate) fn anomalies(
        &self,
        anomaly: Option<&str>,
        column: &str,
        path: &Path,
    ) -> Result<(Vec<bool>, Option<String>)> {
        let plain_words: Vec<String> = self.words.iter().map(Word::plain).collect();
        let all_in = |known: &[&str]| plain_words.iter().all(|word| known.contains(&&**word));
        let name = path.display();
        let (marks, note): (Vec<bool>, _) = match anomaly {
            Some(word) => {
                let wanted = plain(word);
                ensure!(
                    plain_words.contains(&wanted),
                    "{name}: column `{column}` does not hold `{}`: it holds {}",
                    excerpt(word),
                    self.listed()
                );
                (plain_words.iter().map(|word| *word == wanted).collect(), None)
            }
            None if all_in(&["0", "1", "false", "true", "no", "yes"]) => {
                (plain_words.iter().map(|word| matches!(&**word, "1" | "true" | "yes")).collect(), None)
            }
            // As scikit-learn has it.
            None if all_in(&["-1", "1"]) => (
                plain_words.iter().map(|word| word == "-1").collect(),
                Some(format!(
                    "{name}: column `{column}` holds {}: -1 is taken for an anomaly; --anomaly-label 1 says otherwise",
                    self.listed()
                )),
            ),
            None => bail!(self.refusal(&plain_words)),
        };
        Ok((self.rows.iter().map(|word| marks[usize::from(*word)]).collect(), note))
    }

    fn refusal(&self, plain_words: &[String]) -> String {
        let known = ["0", "1", "false", "true", "no", "yes"];
        let Some(first) = self.words.iter().zip(plain_words).find(|(_, plain)| !known.contains(&&***plain)) else {
            return String::new();
        };
        let message = wrong(first.0);
        // The rarest word, of those that say something.
        let rarest = self.words.iter().filter(|word| !word.text.trim().is_empty()).min_by_key(|word| word.rows);
        match rarest.map(|rarest| excerpt(&rarest.text)) {
            Some(rarest) if self.words.len() > 1 => format!(
                "{message}; the column holds {}: if `{rarest}` marks the anomalies, give --anomaly-label {}",
                self.listed(),
                quoted(&rarest)
            ),
            _ => message,
        }
    }

    /// Its words and how often each of them comes.
    fn listed(&self) -> String {
        const SHOWN: usize = 6;
        let shown: Vec<String> = self
            .words
            .iter()
            .take(SHOWN)
            .map(|word| format!("`{}` in {} row(s)", excerpt(&word.text), word.rows))
            .collect();
        let more = self.words.len().saturating_sub(SHOWN);
        format!("{}{}", shown.join(", "), if more > 0 { format!(" and {more} more words") } else { String::new() })
    }
}

fn wrong(word: &Word) -> String {
    format!("{}: the label is `{}` where 0 (normal) or 1 (anomaly) belongs", word.place, excerpt(&word.text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anomalies(fields: &[&str], anomaly: Option<&str>) -> Result<(Vec<bool>, Option<String>)> {
        let mut labels = LabelColumn::default();
        for (row, field) in fields.iter().enumerate() {
            labels.take(field, || format!("x.csv: row {}", row + 1))?;
        }
        labels.anomalies(anomaly, "y", Path::new("x.csv"))
    }

    #[test]
    fn zeros_and_ones_have_many_names() {
        for fields in [["0", "1"], ["0.0", "1.0"], ["False", "True"], ["no", "YES"], ["1", "-1"], ["1.0", "-1.0"]] {
            let (found, note) = anomalies(&[fields[0], fields[1], fields[0]], None).unwrap();
            assert_eq!((found, note.is_some()), (vec![false, true, false], fields[1].starts_with('-')), "{fields:?}");
        }
        let words = ["ok", "bearing", "ok", "Bearing", "rotor"];
        assert_eq!(anomalies(&words, Some("bearing")).unwrap().0, [false, true, false, true, false]);
        assert_eq!(anomalies(&["1", "-1"], Some("1")).unwrap().0, [true, false]);
        assert_eq!(anomalies(&["0", "1"], Some("0")).unwrap().0, [true, false]);
    }

    #[test]
    fn words_that_nobody_knows_are_asked_about() {
        let message = |fields: &[&str], anomaly| anomalies(fields, anomaly).unwrap_err().to_string();
        let words = message(&["normal", "normal", "fault"], None);
        assert!(words.contains("x.csv: row 1: the label is `normal` where 0") && words.contains("`fault` in 1 row(s)"));
        assert!(words.contains("give --anomaly-label fault"), "{words}");
        assert!(message(&["0", "2"], None).contains("row 2: the label is `2` where 0"));
        assert!(message(&["0", ""], None).contains("the label is ``"));
        assert!(message(&["a", "b"], Some("c")).contains("does not hold `c`: it holds `a` in 1 row(s), `b`"));
        let many: Vec<String> = (0..40).map(|index| index.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(message(&many, None).contains("row 33: the label is `32`"));
    }
}
