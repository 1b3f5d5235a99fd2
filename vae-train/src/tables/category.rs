//! The categories of a column, each with a name and a number.

use std::collections::HashMap;

use anyhow::{Result, ensure};

use crate::words::foreign::excerpt;

/// Most categories of a column.
pub const MOST_CATEGORIES: usize = 255;
/// Most bytes of a category's name.
const MOST_NAME_BYTES: usize = 200;

/// The categories of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Categories {
    /// The column's name.
    pub column: String,
    /// Theirs, in the order of their numbers.
    pub names: Vec<String>,
}

impl Categories {
    /// The columns of zeros and ones that stand for it, a name each.
    pub fn columns(&self) -> impl Iterator<Item = String> + '_ {
        self.names.iter().map(|name| column_of(&self.column, name))
    }

    /// The categories of these columns, of which `columns` has one of zeros and ones each.
    #[must_use]
    pub fn among(names: &[impl AsRef<str>], columns: &[impl AsRef<str>]) -> Vec<Self> {
        let of_column = |name: &str| {
            let own = columns.iter().filter_map(|column| category_of(column.as_ref(), name));
            Self { column: name.to_owned(), names: own.map(str::to_owned).collect() }
        };
        names.iter().map(|name| of_column(name.as_ref())).collect()
    }

    /// The number of a category, which is a new one where it has not come before.
    pub(crate) fn number(&mut self, known: &mut HashMap<String, usize>, name: &str) -> Result<f32> {
        let number = match known.get(name) {
            Some(number) => *number,
            None => {
                self.check(name)?;
                known.insert(name.to_owned(), self.names.len());
                self.names.push(name.to_owned());
                self.names.len() - 1
            }
        };
        Ok(number as f32)
    }

    /// Refuses one more category of a column that has too many, or a name that no line holds.
    fn check(&self, name: &str) -> Result<()> {
        ensure!(
            self.names.len() < MOST_CATEGORIES,
            "column `{}` has more than {MOST_CATEGORIES} different values, such as `{}`: too many for categories; leave it out, or give it \
             as numbers",
            self.column,
            excerpt(name)
        );
        ensure!(
            name.len() <= MOST_NAME_BYTES && !name.chars().any(char::is_control),
            "column `{}`: `{}` cannot be the name of a category: give one line of at most {MOST_NAME_BYTES} bytes",
            self.column,
            excerpt(name)
        );
        Ok(())
    }
}

/// The name of the column of zeros and ones that stands for a category.
fn column_of(column: &str, category: &str) -> String {
    format!("{column}={category}")
}

/// The category that a column of zeros and ones stands for, if it is one of this column's.
#[must_use]
pub fn category_of<'n>(column: &'n str, of: &str) -> Option<&'n str> {
    column.strip_prefix(of)?.strip_prefix('=')
}

/// Gives each category of a column a number, in the order in which they come.
#[derive(Clone, Debug)]
pub(crate) struct Numbering {
    pub(crate) categories: Categories,
    known: HashMap<String, usize>,
}

impl Numbering {
    pub(crate) fn of(column: &str) -> Self {
        let categories = Categories { column: column.to_owned(), names: Vec::new() };
        Self { categories, known: HashMap::new() }
    }

    /// The number of the category of this name.
    pub(crate) fn text(&mut self, name: &str) -> Result<f32> {
        self.categories.number(&mut self.known, name)
    }

    /// The number of the category that is called by a number: 1, 01 and 1.0 are the same.
    pub(crate) fn value(&mut self, value: f64) -> Result<f32> {
        // Of the two zeros, one.
        self.text(&(value + 0.0).to_string())
    }
}
