//! Input files that are read whole: of a length that such files have.

use std::{fs::File, io::Read as _, path::Path};

use anyhow::{Context, Result, ensure};

/// Most bytes of a file that people write: a configuration, a mapping, a key.
pub const MOST_TEXT: u64 = 1 << 20;
/// Most bytes of a model or of a firmware's ELF file.
pub const MOST_BINARY: u64 = 1 << 30;

/// Reads a file of at most so many bytes.
///
/// # Errors
/// If it cannot be read, or is longer.
pub fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    File::open(path).with_context(context)?.take(most + 1).read_to_end(&mut bytes).with_context(context)?;
    ensure!(
        bytes.len() as u64 <= most,
        "{} has more than {most} bytes, the most that is read of such a file: give a smaller one",
        path.display()
    );
    Ok(bytes)
}

/// Reads a text of at most [`MOST_TEXT`] bytes.
///
/// # Errors
/// If it cannot be read, is longer, or is not in UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read_file(path, MOST_TEXT)?).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_length_at_most() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1234").unwrap();
        assert_eq!(read_file(file.path(), 4).unwrap(), b"1234");
        assert!(
            read_file(file.path(), 3)
                .unwrap_err()
                .to_string()
                .ends_with("has more than 3 bytes, the most that is read of such a file: give a smaller one")
        );
    }
}
