//! One thing that was found out about a model, and how good it is.

use serde::Serialize;

/// How good something is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Nothing is known, or too little to tell.
    Unknown,
    /// Look at it before it is used.
    Caution,
    /// Not to be used like this.
    Bad,
}

/// Something found out, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How good it is.
    pub grade: Grade,
    /// What it is.
    pub what: String,
    /// What to do; none where there is nothing to do.
    pub next: Option<String>,
}

impl Finding {
    /// A finding; nothing is to be done where `next` is empty.
    #[must_use]
    pub fn new(grade: Grade, what: String, next: &str) -> Self {
        Self { grade, what, next: (!next.is_empty()).then(|| next.to_owned()) }
    }
}
