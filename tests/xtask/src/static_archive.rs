//! A static library of one object: `ar`'s format with GNU's index, which linkers ask for.

use anyhow::{Context, Result};

const MAGIC: &[u8] = b"!<arch>\n";

/// The library of an object that defines these symbols.
///
/// # Errors
/// If the object is larger than the format can say.
///
/// # Source
/// `ar(5)`; the index as System V's, which GNU's linker reads: symbols' number, members' offsets, names; all big-endian.
pub(crate) fn of(name: &str, object: &[u8], symbols: &[String]) -> Result<Vec<u8>> {
    let names: Vec<u8> = symbols.iter().flat_map(|symbol| symbol.bytes().chain([0])).collect();
    let index_len = 4 + 4 * symbols.len() + names.len();
    let padded = index_len.next_multiple_of(2);
    let offset = u32::try_from(MAGIC.len() + HEADER + padded).context("too many symbols")?;
    let count = u32::try_from(symbols.len()).context("too many symbols")?;

    let mut archive = MAGIC.to_vec();
    archive.extend(header("/", padded));
    archive.extend(count.to_be_bytes());
    archive.extend(symbols.iter().flat_map(|_| offset.to_be_bytes()));
    archive.extend(names);
    archive.resize(MAGIC.len() + HEADER + padded, 0);
    archive.extend(header(&format!("{name}/"), object.len()));
    archive.extend(object);
    if object.len() % 2 == 1 {
        archive.push(b'\n');
    }
    Ok(archive)
}

const HEADER: usize = 60;

/// Name, time, owner, group, mode in octal, bytes: each filled up with spaces.
fn header(name: &str, bytes: usize) -> Vec<u8> {
    format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{bytes:<10}`\n", 0, 0, 0, 644).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_points_to_the_member() {
        let archive = of("vae.o", b"an object", &["vae_one".to_owned(), "vae_two".to_owned()]).unwrap();
        let word = |at: usize| u32::from_be_bytes(archive[at..at + 4].try_into().unwrap());
        let body = MAGIC.len() + HEADER;
        assert_eq!(word(body), 2);
        assert_eq!(word(body + 4), word(body + 8));
        let member = word(body + 4) as usize;
        assert!(archive[member..].starts_with(b"vae.o/          "), "{:?}", &archive[member..member + 16]);
        assert_eq!(&archive[member + HEADER..], b"an object\n");
        assert_eq!(&archive[body + 12..body + 28], b"vae_one\0vae_two\0");
        assert_eq!((member % 2, archive.len() % 2), (0, 0));
    }
}
