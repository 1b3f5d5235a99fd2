//! Sizes of memory, as people say them.

use anyhow::{Context, Result};

/// Reads a number of bytes: a number with `B`, `kB`, `MB`, `GB`, `KiB`, `MiB`, `GiB` or `TiB` behind it.
///
/// # Errors
/// If the text is anything else, or less than a byte.
pub fn parse_bytes(text: &str) -> Result<usize> {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let unit = match unit {
        "B" => Some(1.0),
        "kB" => Some(1e3),
        "MB" => Some(1e6),
        "GB" => Some(1e9),
        "KiB" => Some(1024.0),
        "MiB" => Some(1024.0 * 1024.0),
        "GiB" => Some(1024.0 * 1024.0 * 1024.0),
        "TiB" => Some(1024.0 * 1024.0 * 1024.0 * 1024.0),
        _ => None,
    };
    let bytes = number.trim().parse::<f64>().ok().zip(unit).map(|(number, unit)| number * unit);
    // More than 2⁵³ bytes are not there to be given.
    let bytes = bytes.filter(|bytes| *bytes >= 1.0 && *bytes <= 9e15);
    bytes.map(|bytes| bytes as usize).with_context(|| format!("{text:?} is no size: give one as in 512MiB or 4GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("1GiB", 1 << 30), ("1.5 KiB", 1536), ("300MB", 300_000_000), ("7B", 7)] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "1", "GiB", "-1GiB", "1gib", "0B", "nanGiB", "infGiB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
