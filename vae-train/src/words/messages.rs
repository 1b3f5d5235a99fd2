//! Names and words as messages show them.

use std::path::PathBuf;

use crate::words::foreign::excerpt;

/// The first names of a list, for a message.
pub(crate) fn list(names: &[impl AsRef<str>]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", excerpt(name.as_ref()))).collect();
    match names.len() {
        0 => "none".to_owned(),
        n if n > SHOWN => format!("{} and {} more", shown.join(", "), n - SHOWN),
        _ => shown.join(", "),
    }
}

/// What a user would type for a word in a shell: the word, or in quotes where it holds what a shell takes for something else.
pub(crate) fn quoted(word: impl std::fmt::Display) -> String {
    let word = word.to_string();
    // Not `~`, which is a home directory where it comes first.
    let is_plain = |c: char| c.is_alphanumeric() || "_-./:,+=@%".contains(c) || (cfg!(windows) && c == '\\');
    match (word.chars().all(is_plain) && !word.is_empty(), cfg!(windows)) {
        (true, _) => word,
        (false, true) => format!("\"{word}\""),
        (false, false) => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// Files as a user would type them, one behind the other.
pub(crate) fn quoted_paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| quoted(path.display())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn words_are_quoted_where_a_shell_needs_it() {
        for (word, expected) in [
            ("runs/a_1.csv", "runs/a_1.csv"),
            ("Zustände", "Zustände"),
            ("a,b", "a,b"),
            ("machine state", "'machine state'"),
            ("P (bar)", "'P (bar)'"),
            ("~", "'~'"),
            ("", "''"),
            ("operator's $x", r"'operator'\''s $x'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
