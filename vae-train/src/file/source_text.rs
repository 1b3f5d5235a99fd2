//! A model file as source text: an array for a C compiler, a static for Rust's. Free of other imports, as the packages of the C interface are
//! made with it, too.

use std::fmt::Write as _;

/// A name in C and Rust of what a file's stem says: letters, digits and `_`, in lower case, not a digit first.
#[must_use]
pub fn identifier(stem: &str) -> String {
    let letters =
        stem.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' });
    let name: String = letters.collect();
    if name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_') {
        name
    } else {
        format!("model_{name}")
    }
}

/// A C header of these bytes: `NAME_LEN`, and the constant array `name`, whose address is divisible by four. C99 with gcc's or clang's attribute,
/// C11, and C++11.
#[must_use]
pub fn c_header(name: &str, comment: &str, bytes: &[u8]) -> String {
    let guard = name.to_uppercase();
    format!(
        "/* {} */\n#ifndef {guard}_H\n#define {guard}_H\n\n#include <stdint.h>\n\n{}\n#endif\n",
        comment.replace("*/", "* /"),
        c_array(name, bytes)
    )
}

/// What [`c_header`] has between its guards.
#[must_use]
pub fn c_array(name: &str, bytes: &[u8]) -> String {
    let upper = name.to_uppercase();
    format!(
        "/* Bytes. */\n#define {upper}_LEN {}u\n\n\
         #if defined(__cplusplus)\n#define {upper}_ALIGNED alignas(4)\n\
         #elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L\n#define {upper}_ALIGNED _Alignas(4)\n\
         #else\n#define {upper}_ALIGNED __attribute__((aligned(4)))\n#endif\n\n\
         {upper}_ALIGNED static const uint8_t {name}[{upper}_LEN] = {{\n{}}};\n",
        bytes.len(),
        rows(bytes)
    )
}

/// A Rust module of these bytes: the static `NAME`, whose address is divisible by four, as `vae_core::Model::from_bytes(&NAME.0)` wants it.
#[must_use]
pub fn rust_static(name: &str, comment: &str, bytes: &[u8]) -> String {
    let upper = name.to_uppercase();
    format!(
        "/// {}\n#[rustfmt::skip]\npub static {upper}: vae_core::Aligned<[u8; {}]> = vae_core::Aligned([\n{}]);\n",
        comment.replace('\n', " "),
        bytes.len(),
        rows(bytes)
    )
}

/// Twenty bytes a line.
fn rows(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(5 * bytes.len());
    for row in bytes.chunks(20) {
        text.push_str("   ");
        for byte in row {
            // Writing to a string does not fail.
            let _ = write!(text, " {byte},");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_of_both_languages() {
        for (stem, name) in
            [("motor", "motor"), ("Pump-2 b", "pump_2_b"), ("2024", "model_2024"), ("", "model_"), ("é", "_")]
        {
            assert_eq!(identifier(stem), name, "{stem}");
        }
    }

    #[test]
    fn every_byte_stands_once_in_its_order() {
        let bytes: Vec<u8> = (0..=255).collect();
        for text in [c_header("m", "a */ b", &bytes), rust_static("m", "a\nb", &bytes)] {
            let (_, body) = text.rsplit_once("= ").unwrap();
            let numbers: Vec<u8> =
                body.split(|letter: char| !letter.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
            assert_eq!(numbers, bytes, "{text}");
        }
        assert!(c_header("m", "a */ b", &bytes).starts_with("/* a * / b */\n"));
    }
}
