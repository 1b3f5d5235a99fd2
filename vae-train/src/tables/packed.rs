//! Compressed files: gzip and Zstandard, told by their first bytes, and how much may come out of them.

use std::{
    cell::Cell,
    io::{self, BufReader, Read},
    path::Path,
    rc::Rc,
};

use anyhow::{Error, Result, anyhow};

/// What compressed files may unpack to: so many times the bytes of the file, or this much where that is more. Of noise, sensors' data
/// shrink by less than ten; a file that was made to fill the memory grows by a thousand.
const MOST_UNPACKED: (u64, u64) = (100, 1 << 28);

/// Bytes of a compressed file that are read at once.
const BUFFER: usize = 1 << 16;

/// Refuses a file of so many bytes that unpacks to more than recordings do.
///
/// # Errors
/// Says how much, and what is taken.
pub(crate) fn check_unpacked(unpacked: u64, file: u64) -> Result<()> {
    if unpacked <= most_unpacked(file) { Ok(()) } else { Err(unpacks_to_too_much(unpacked, file)) }
}

/// Bytes that a compressed file of so many may unpack to.
fn most_unpacked(file: u64) -> u64 {
    file.saturating_mul(MOST_UNPACKED.0).max(MOST_UNPACKED.1)
}

fn unpacks_to_too_much(unpacked: u64, file: u64) -> Error {
    let (most, (times, least)) = (most_unpacked(file), MOST_UNPACKED);
    anyhow!(
        "it unpacks to {unpacked} bytes or more, and of a file of {file} bytes at most {most} are taken ({times} times the file, at least \
         {least}): save it without compression"
    )
}

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// As by gzip, several members one after the other among them.
    Gzip,
    /// As by zstd.
    Zstandard,
}

impl Packing {
    /// The one that a file's first bytes promise.
    pub(crate) fn of_bytes(start: &[u8]) -> Option<Self> {
        match start {
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstandard),
            _ => None,
        }
    }

    /// The one that a file's name promises.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        match &*path.extension()?.to_str()?.to_ascii_lowercase() {
            "gz" | "gzip" => Some(Self::Gzip),
            "zst" | "zstd" => Some(Self::Zstandard),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstandard => "Zstandard",
        }
    }
}

/// What comes out of a compressed input: ends with an error where that is damaged, or more than [`check_unpacked`] takes.
pub(crate) struct Unpacked {
    decoder: Box<dyn Read>,
    packing: Packing,
    /// Bytes that have come out.
    bytes: u64,
    /// Bytes of the file that have gone in.
    read: Rc<Cell<u64>>,
    /// Bytes of the file; of a pipe those that have gone in count in their place.
    length: Option<u64>,
}

impl Unpacked {
    /// Unpacks `input`, which counts in `read` what is taken from it.
    ///
    /// # Errors
    /// If there is no memory for the decoder.
    pub(crate) fn new(
        packing: Packing,
        input: impl Read + 'static,
        read: Rc<Cell<u64>>,
        length: Option<u64>,
    ) -> io::Result<Self> {
        let input = BufReader::with_capacity(BUFFER, input);
        let decoder: Box<dyn Read> = match packing {
            Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Packing::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        };
        Ok(Self { decoder, packing, bytes: 0, read, length })
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unpacked = self.decoder.read(buffer).map_err(|error| {
            let packing = self.packing.name();
            io::Error::other(format!("{packing} cannot unpack it: it is damaged or cut off ({error})"))
        })?;
        self.bytes += unpacked as u64;
        check_unpacked(self.bytes, self.length.unwrap_or_else(|| self.read.get())).map_err(io::Error::other)?;
        Ok(unpacked)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_unpacks_to_a_hundred_times_its_size_or_256_mib() {
        for (unpacked, file, is_taken) in [
            (1 << 28, 1, true),
            (1 + (1 << 28), 1, false),
            (580_000_000, 5_800_000, true),
            (6_000_000_000, 5_800_000, false),
        ] {
            assert_eq!(check_unpacked(unpacked, file).is_ok(), is_taken, "{unpacked}, {file}");
        }
        let message = check_unpacked(6_000_000_000, 5_800_000).unwrap_err().to_string();
        for part in ["unpacks to 6000000000 bytes", "of 5800000 bytes at most 580000000 are", "without compression"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(check_unpacked(u64::MAX - 1, u64::MAX).is_ok());
    }

    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Zstandard => zstd::encode_all(bytes, 3).unwrap(),
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    fn unpacked(packing: Packing, bytes: Vec<u8>, length: Option<u64>) -> io::Result<Vec<u8>> {
        let read = Rc::new(Cell::new(bytes.len() as u64));
        let mut plain = Vec::new();
        Unpacked::new(packing, io::Cursor::new(bytes), read, length)?.read_to_end(&mut plain).map(|_| plain)
    }

    #[test]
    fn members_follow_each_other_and_what_is_cut_off_is_no_end() {
        for packing in [Packing::Gzip, Packing::Zstandard] {
            let [one, two] = [b"one,".as_slice(), b"two"].map(|part| packed(packing, part));
            assert_eq!(Packing::of_bytes(&one), Some(packing));
            assert_eq!(unpacked(packing, [one.clone(), two].concat(), None).unwrap(), b"one,two");
            for kept in 1..one.len() {
                let message = unpacked(packing, one[..kept].to_vec(), None).unwrap_err().to_string();
                assert!(
                    message.contains("damaged or cut off") && message.contains(packing.name()),
                    "{kept}: {message}"
                );
            }
        }
    }

    #[test]
    fn what_swells_is_refused_whether_its_length_is_known_or_not() {
        let zeros = vec![b'0'; (1 << 28) + 1];
        for packing in [Packing::Gzip, Packing::Zstandard] {
            let bomb = packed(packing, &zeros);
            for length in [None, Some(bomb.len() as u64)] {
                let message = unpacked(packing, bomb.clone(), length).unwrap_err().to_string();
                assert!(
                    message.contains(&format!("of a file of {} bytes at most 268435456 are", bomb.len())),
                    "{message}"
                );
            }
        }
    }
}
