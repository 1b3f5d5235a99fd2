//! The samples of WAV files: how one is written.

/// What a sample is, and how many bytes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// An unsigned byte, 128 is silence.
    Byte,
    /// Two to four bytes, the lowest first.
    Integer {
        bytes: usize,
    },
    /// 24 bits in four bytes.
    Padded,
    Float,
    Double,
}

/// Where 24 bits are in four bytes: below, as programs write them, or above, as `WAVEFORMATEXTENSIBLE` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Justification {
    #[default]
    Low,
    High,
}

impl Encoding {
    /// By a format's tag, the bytes of a sample and its bits; for what is not read, what it is.
    pub(crate) fn of(tag: u16, bytes: u16, bits: u16) -> Result<Self, String> {
        match (tag, bytes, bits) {
            (1, 1, 1..=8) => Ok(Self::Byte),
            (1, 4, 24) => Ok(Self::Padded),
            // Fewer bits than the bytes have are the upper ones.
            (1, 2..=4, _) if bits > 8 * (bytes - 1) && bits <= 8 * bytes => Ok(Self::Integer { bytes: bytes.into() }),
            (3, 4, 32) => Ok(Self::Float),
            (3, 8, 64) => Ok(Self::Double),
            (1, ..) => Err(format!("PCM of {bits} bits in {bytes} bytes")),
            (3, ..) => Err(format!("floating-point of {bits} bits in {bytes} bytes")),
            (6, ..) => Err("A-law".to_owned()),
            (7, ..) => Err("µ-law".to_owned()),
            (2 | 0x11, ..) => Err("ADPCM".to_owned()),
            (0x50 | 0x55, ..) => Err("MPEG".to_owned()),
            _ => Err(format!("samples of the format 0x{tag:04X}")),
        }
    }

    /// Bytes of a sample.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Integer { bytes } => bytes,
            Self::Padded | Self::Float => 4,
            Self::Double => 8,
        }
    }

    /// Where the bits are in samples like these, the first of a file.
    pub(crate) fn justification(self, bytes: &[u8]) -> Justification {
        let is_high = bytes.chunks_exact(4).all(|sample| sample[0] == 0) && bytes.iter().any(|byte| *byte != 0);
        if self == Self::Padded && is_high { Justification::High } else { Justification::Low }
    }

    /// Appends the values of whole samples.
    pub(crate) fn decode(self, bytes: &[u8], justification: Justification, values: &mut Vec<f32>) {
        match self {
            Self::Byte => values.extend(bytes.iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0)),
            Self::Integer { bytes: size } => {
                let unit = 0.5f32.powi(8 * size as i32 - 1);
                values.extend(bytes.chunks_exact(size).map(|sample| integer(sample) as f32 * unit));
            }
            Self::Padded => {
                let unit = 0.5f32.powi(23);
                let kept = if justification == Justification::High { 1..4 } else { 0..3 };
                values.extend(bytes.chunks_exact(4).map(|sample| integer(&sample[kept.clone()]) as f32 * unit));
            }
            Self::Float => values.extend(bytes.as_chunks().0.iter().map(|sample| f32::from_le_bytes(*sample))),
            Self::Double => values.extend(bytes.as_chunks().0.iter().map(|sample| f64::from_le_bytes(*sample) as f32)),
        }
    }
}

/// A signed integer of up to four bytes, the lowest first.
fn integer(bytes: &[u8]) -> i32 {
    let mut padded = [0; 4];
    padded[4 - bytes.len()..].copy_from_slice(bytes);
    i32::from_le_bytes(padded) >> (32 - 8 * bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoding: Encoding, bytes: &[u8]) -> Vec<f32> {
        let mut values = Vec::new();
        encoding.decode(bytes, encoding.justification(bytes), &mut values);
        values
    }

    #[test]
    fn samples_of_every_width_are_parts_of_full_scale() {
        let of = |bytes, bits| Encoding::of(1, bytes, bits).unwrap();
        assert_eq!(decoded(of(1, 8), &[0, 128, 255]), [-1.0, 0.0, 127.0 / 128.0]);
        assert_eq!(decoded(of(2, 16), &[0, 0x80, 0xFF, 0x7F]), [-1.0, 32767.0 / 32768.0]);
        assert_eq!(decoded(of(2, 12), &[0, 0x80, 0xF0, 0x7F]), [-1.0, 2047.0 / 2048.0]);
        assert_eq!(decoded(of(3, 24), &[0, 0, 0x80, 1, 0, 0]), [-1.0, 0.5f32.powi(23)]);
        assert_eq!(decoded(of(4, 32), &[0, 0, 0, 0x80, 0, 0, 0, 0x20]), [-1.0, 0.25]);
        assert_eq!(decoded(Encoding::of(3, 8, 64).unwrap(), &(-2.5f64).to_le_bytes()), [-2.5]);
    }

    #[test]
    fn the_24_bits_of_four_bytes_are_below_or_above() {
        let padded = Encoding::of(1, 4, 24).unwrap();
        assert_eq!(decoded(padded, &[0, 0, 0x80, 0xFF, 1, 0, 0x20, 0]), [-1.0, 0.25 + 0.5f32.powi(23)]);
        assert_eq!(decoded(padded, &[0, 0, 0, 0x80, 0, 1, 0, 0x20]), [-1.0, 0.25 + 0.5f32.powi(23)]);
    }

    #[test]
    fn what_is_not_read_has_a_name() {
        for (tag, bytes, bits, name) in [
            (6, 1, 8, "A-law"),
            (7, 1, 8, "µ-law"),
            (2, 0, 4, "ADPCM"),
            (0x11, 0, 4, "ADPCM"),
            (1, 8, 64, "PCM of 64 bits in 8 bytes"),
            (3, 2, 16, "floating-point of 16 bits"),
            (0x161, 0, 0, "the format 0x0161"),
        ] {
            let found = Encoding::of(tag, bytes, bits).unwrap_err();
            assert!(found.contains(name), "{found}");
        }
    }
}
