//! The file's first bytes: what it is, its checksum, and the sizes that a caller needs while the program is compiled.

use crate::format::{
    checksum::{Checksum, checksum_of},
    error::LoadError,
    size::MAX_LAYER_SIDE,
};

/// The first four bytes of every model file.
pub const MAGIC: [u8; 4] = *b"VAE\0";

/// The version that this release writes, and the newest that it reads.
pub const VERSION: u16 = 1;

/// Bytes before the body.
pub const PRELUDE_LEN: usize = 64;

/// Bytes before the part of the file that the checksum covers; each of them is checked for itself.
const UNSUMMED_LEN: usize = 12;

/// The sizes that a caller needs at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prelude {
    /// Values in a window: `channels · window`, or what front-ends make of them.
    pub features: u32,
    /// Latent dimensions.
    pub latent: u32,
    /// Values in one sample.
    pub channels: u32,
    /// Samples in a window; 1 for a model of rows.
    pub window: u32,
    /// Samples between the starts of successive windows.
    pub hop: u32,
    /// Scratch for a layer's input, in `f32`s.
    pub vector_len: u32,
    /// Scratch for a hidden layer's output, in `f32`s.
    pub hidden_len: u32,
    /// Scratch for the posterior's parameters, in `f32`s: [`PosteriorKind::parameters`](crate::format::PosteriorKind::parameters).
    pub posterior_len: u32,
    /// Values of the condition `c` of a conditional model `p(x|c)`; 0 for a model without.
    pub conditions: u32,
    /// Where the decoder's layers begin, in bytes from the start of the body.
    pub decoder_at: u32,
    /// Where the records behind the layers begin, in bytes from the start of the body.
    pub extras_at: u32,
    /// Where the golden vectors begin, in bytes from the start of the body.
    pub golden_at: u32,
}

impl Prelude {
    /// The first [`PRELUDE_LEN`] bytes of a file with this `body`.
    ///
    /// # Errors
    /// [`LoadError::TooLong`] if the file would not fit into 4 GiB.
    pub fn to_bytes(&self, body: &[u8]) -> Result<[u8; PRELUDE_LEN], LoadError> {
        let found = PRELUDE_LEN + body.len();
        let len = u32::try_from(found).map_err(|_| LoadError::TooLong { needed: u32::MAX as usize, found })?;
        let mut bytes = [0; PRELUDE_LEN];
        let words = [
            u32::from_le_bytes(MAGIC),
            u32::from(VERSION),
            0, // the checksum, below
            len,
            self.features,
            self.latent,
            self.channels,
            self.window,
            self.hop,
            self.vector_len,
            self.hidden_len,
            self.posterior_len,
            self.conditions,
            self.decoder_at,
            self.extras_at,
            self.golden_at,
        ];
        for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        let checksum = Checksum::new().with(&bytes[UNSUMMED_LEN..]).with(body);
        bytes[UNSUMMED_LEN - 4..UNSUMMED_LEN].copy_from_slice(&checksum.value().to_le_bytes());
        Ok(bytes)
    }

    /// Reads the sizes of a file that [`check_file`] has passed, and refuses such as no file has.
    pub(crate) const fn read(head: &[u8; PRELUDE_LEN]) -> Result<Self, LoadError> {
        let prelude = Self {
            features: word(head, 4),
            latent: word(head, 5),
            channels: word(head, 6),
            window: word(head, 7),
            hop: word(head, 8),
            vector_len: word(head, 9),
            hidden_len: word(head, 10),
            posterior_len: word(head, 11),
            conditions: word(head, 12),
            decoder_at: word(head, 13),
            extras_at: word(head, 14),
            golden_at: word(head, 15),
        };
        match prelude.check() {
            Ok(()) => Ok(prelude),
            Err(error) => Err(error),
        }
    }

    /// Refuses sizes that contradict each other or that would overflow sums of them.
    const fn check(&self) -> Result<(), LoadError> {
        let sizes = [
            self.features,
            self.latent,
            self.channels,
            self.window,
            self.hop,
            self.vector_len,
            self.posterior_len,
            self.hidden_len,
            self.conditions,
        ];
        let mut index = 0;
        while index < sizes.len() {
            // Only the last two may be zero: a model of one layer each way has no hidden layer, most have no condition.
            if sizes[index] > MAX_LAYER_SIDE as u32 || (sizes[index] == 0 && index + 2 < sizes.len()) {
                return Err(LoadError::Shape { expected: MAX_LAYER_SIDE, found: sizes[index] as usize });
            }
            index += 1;
        }
        // Front-ends make less of the samples; `verify` knows how much.
        let most = self.channels as u64 * self.window as u64;
        if self.features as u64 > most {
            return Err(LoadError::Shape { expected: most as usize, found: self.features as usize });
        }
        Ok(())
    }
}

/// Checks magic, version, length and checksum of a file and splits it into prelude and body.
#[inline(never)] // by what loads and by what verifies
pub(crate) const fn check_file(file: &[u8]) -> Result<(&[u8; PRELUDE_LEN], &[u8]), LoadError> {
    let Some((head, body)) = file.split_first_chunk::<PRELUDE_LEN>() else {
        // Whatever is there is judged, so that a foreign short file is not called a truncated model.
        return Err(match file.first_chunk::<4>() {
            Some(magic) if u32::from_le_bytes(*magic) != u32::from_le_bytes(MAGIC) => LoadError::NotAModel,
            _ => LoadError::TooShort { needed: PRELUDE_LEN, found: file.len() },
        });
    };
    if word(head, 0) != u32::from_le_bytes(MAGIC) {
        return Err(LoadError::NotAModel);
    }
    // Two bytes of version and two that are zero in every version so far.
    let version = word(head, 1);
    if version != VERSION as u32 {
        return Err(LoadError::UnsupportedVersion { found: version as u16 as usize, supported: VERSION as usize });
    }
    let needed = word(head, 3) as usize;
    if file.len() < needed {
        return Err(LoadError::TooShort { needed, found: file.len() });
    }
    if file.len() > needed {
        return Err(LoadError::TooLong { needed, found: file.len() });
    }
    match check_sum(file) {
        Ok(()) => Ok((head, body)),
        Err(error) => Err(error),
    }
}

/// Compares the file's checksum with the CRC-32 (ISO-HDLC, as in zip and PNG) of everything behind it.
pub(crate) const fn check_sum(file: &[u8]) -> Result<(), LoadError> {
    let Some((head, summed)) = file.split_first_chunk::<UNSUMMED_LEN>() else {
        return Err(LoadError::TooShort { needed: UNSUMMED_LEN, found: file.len() });
    };
    let [.., a, b, c, d] = *head;
    let (stored, computed) = (u32::from_le_bytes([a, b, c, d]), checksum_of(summed));
    if stored == computed { Ok(()) } else { Err(LoadError::Checksum { stored, computed }) }
}

/// The little-endian word at `4 · index`.
const fn word(head: &[u8; PRELUDE_LEN], index: usize) -> u32 {
    let Some((_, rest)) = head.split_at_checked(4 * index) else { return 0 };
    match rest.first_chunk() {
        Some(bytes) => u32::from_le_bytes(*bytes),
        None => 0,
    }
}
