//! Columns of words: which machine a row is of, which state.

/// Most different words that are kept of a column: of more it is a column of names or of notes.
const MOST_WORDS: usize = 255;
/// Most bytes of a word that are compared.
const MOST_BYTES: usize = 200;

/// What a column of words has said so far, in few bytes a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Texts {
    /// Different words, in the order in which they came.
    pub(crate) words: Vec<Vec<u8>>,
    /// Of each row, which word; empty once there are too many.
    pub(crate) rows: Vec<u8>,
    overflows: bool,
}

impl Texts {
    /// A column whose first so many rows held nothing that is a word.
    pub(crate) fn beginning_at(row: usize) -> Self {
        Self { words: vec![Vec::new()], rows: vec![0; row], overflows: false }
    }

    /// Takes the next row's field.
    pub(crate) fn push(&mut self, field: &[u8]) {
        if self.overflows {
            return;
        }
        let field = &field[..field.len().min(MOST_BYTES)];
        // Most rows repeat a word, often the last one's.
        let last = self.rows.last().map(|last| usize::from(*last)).filter(|last| self.words[*last] == field);
        let index = last.or_else(|| self.words.iter().position(|word| word == field)).unwrap_or_else(|| {
            self.words.push(field.to_vec());
            self.words.len() - 1
        });
        if index > MOST_WORDS {
            (self.overflows, self.rows, self.words) = (true, Vec::new(), Vec::new());
        } else {
            self.rows.push(index as u8);
        }
    }

    /// Whether it has a word for each row.
    pub(crate) fn is_complete(&self) -> bool {
        !self.overflows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_numbers_in_the_order_in_which_they_come() {
        let mut texts = Texts::beginning_at(2);
        for word in ["a", "b", "b", "a", ""] {
            texts.push(word.as_bytes());
        }
        assert_eq!((texts.rows.clone(), texts.words.len()), (vec![0, 0, 1, 2, 2, 1, 0], 3));
        for row in 0..300 {
            texts.push(row.to_string().as_bytes());
        }
        assert!(!texts.is_complete() && texts.rows.is_empty());
    }
}
