//! Model files that are signed: who made them, and whether they are older than what is in use.

use core::fmt;

use ed25519_compact::{PublicKey, Signature};

/// Bytes of a signed model behind the model file: magic, counter, the key's beginning, and the signature.
pub const SIGNATURE_TRAILER_LEN: usize = 4 + 4 + 4 + SIGNATURE_LEN;

const MAGIC: [u8; 4] = *b"VES\x01";

const SIGNATURE_LEN: usize = 64;

/// A model file with a signature behind it, as `vae-train sign` writes it and `FORMAT.md` specifies it. Nothing is believed before
/// [`Self::verify`].
#[derive(Clone, Copy, Debug)]
pub struct SignedModel<'f> {
    model: &'f [u8],
    /// The model and the trailer up to the signature.
    message: &'f [u8],
    counter: u32,
    key: [u8; 4],
    signature: &'f [u8; SIGNATURE_LEN],
}

impl<'f> SignedModel<'f> {
    /// Divides a file into what is signed and the signature, and checks neither.
    ///
    /// # Errors
    /// [`SignatureError::Unsigned`] if it does not end as a signed file does.
    pub fn from_bytes(file: &'f [u8]) -> Result<Self, SignatureError> {
        let split = || {
            let (message, signature) = file.split_last_chunk()?;
            let (rest, key) = message.split_last_chunk()?;
            let (rest, counter) = rest.split_last_chunk()?;
            let (model, magic) = rest.split_last_chunk()?;
            let counter = u32::from_le_bytes(*counter);
            (*magic == MAGIC).then_some(Self { model, message, counter, key: *key, signature })
        };
        split().ok_or(SignatureError::Unsigned)
    }

    /// The model file, once it is known that the holder of one of `keys` (Ed25519 public keys, 32 bytes each) has signed it with a counter of
    /// at least `least`: the counter of the model in use, so that a model that was replaced is not accepted again.
    ///
    /// Of the keys, those are tried that begin as the file says, each at most once.
    ///
    /// # Errors
    /// See [`SignatureError`]. The model may still be faulty, or unfit: [`Model::self_test`](crate::Model::self_test) and
    /// [`Detector::replace`](crate::Detector::replace) find out.
    ///
    /// # Source
    /// RFC 8032, section 5.1.7; keys and signatures of small order are refused as well.
    #[inline(never)] // its frame must not stay on the stack while a window is scored
    pub fn verify(&self, keys: &[[u8; 32]], least: u32) -> Result<&'f [u8], SignatureError> {
        // The hint is anybody's, and several keys may begin with it: each is tried, once.
        let mut error = SignatureError::UnknownKey { key: u32::from_be_bytes(self.key) };
        let mut matching = keys.iter().filter(|key| key.starts_with(&self.key));
        if !matching.any(|key| {
            error = SignatureError::Wrong;
            is_signed(key, self.message, self.signature)
        }) {
            return Err(error);
        }
        if self.counter < least {
            return Err(SignatureError::RolledBack { least, found: self.counter });
        }
        Ok(self.model)
    }

    /// The counter that the file claims, to be stored as the next `least` once the model is in use.
    #[must_use]
    pub const fn counter(&self) -> u32 {
        self.counter
    }

    /// The first four bytes of the public key that the file claims, as hexadecimal digits show them.
    #[must_use]
    pub const fn key(&self) -> u32 {
        u32::from_be_bytes(self.key)
    }

    /// The model file, whoever made it: for tools on the desktop.
    #[must_use]
    pub const fn unverified(&self) -> &'f [u8] {
        self.model
    }

    /// What is to be signed with this public key and counter, and then followed by the signature: the model file and the trailer's
    /// beginning, piece by piece.
    pub fn message(model: &[u8], counter: u32, key: &[u8; 32]) -> impl Iterator<Item = u8> {
        let trailer = MAGIC.into_iter().chain(counter.to_le_bytes()).chain(key.iter().copied().take(4));
        model.iter().copied().chain(trailer)
    }
}

/// Whether `signature` is `key`'s on `message`.
fn is_signed(key: &[u8; 32], message: &[u8], signature: &[u8; SIGNATURE_LEN]) -> bool {
    PublicKey::new(*key).verify(message, &Signature::new(*signature)).is_ok()
}

/// Why a signed model was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum SignatureError {
    /// There is no signature.
    Unsigned,
    /// None of the keys begins with these four bytes.
    UnknownKey {
        /// As hexadecimal digits show them.
        key: u32,
    },
    /// The signature is of none of the keys that begin as the file says, or the file was changed after it was signed.
    Wrong,
    /// The model is older than the one in use.
    RolledBack {
        /// Counter of the model in use.
        least: u32,
        /// Counter of the file.
        found: u32,
    },
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unsigned => f.write_str("the file is not signed: sign it with `vae-train sign`"),
            Self::UnknownKey { key } => write!(f, "the file is signed with key {key:08x}…, which is not trusted here"),
            Self::Wrong => f.write_str(
                "the signature is wrong: the file was changed after it was signed, or not signed by this key",
            ),
            Self::RolledBack { least, found } => {
                write!(
                    f,
                    "the file's counter is {found} and that of the model in use {least}: an older model is not taken"
                )
            }
        }
    }
}

impl core::error::Error for SignatureError {}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{vec, vec::Vec};

    use super::*;

    fn bytes<const N: usize>(hexadecimal: &str) -> [u8; N] {
        let mut bytes = [0; N];
        for (byte, digits) in bytes.iter_mut().zip(hexadecimal.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(core::str::from_utf8(digits).unwrap(), 16).unwrap();
        }
        bytes
    }

    /// RFC 8032, section 7.1: public key, message, signature.
    fn vectors() -> [([u8; 32], Vec<u8>, [u8; 64]); 4] {
        [
            (
                bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
                vec![],
                bytes(
                    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
                ),
            ),
            (
                bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
                vec![0x72],
                bytes(
                    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
                ),
            ),
            (
                bytes("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
                vec![0xaf, 0x82],
                bytes(
                    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
                ),
            ),
            (
                bytes("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"),
                bytes::<64>(
                    "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
                )
                .to_vec(),
                bytes(
                    "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
                ),
            ),
        ]
    }

    #[test]
    fn signatures_of_rfc_8032_are_accepted_and_no_others() {
        for (key, message, signature) in vectors() {
            assert!(is_signed(&key, &message, &signature));
            for bit in 0..512 {
                let mut changed = signature;
                changed[bit / 8] ^= 1 << (bit % 8);
                assert!(!is_signed(&key, &message, &changed), "bit {bit}");
            }
            let mut other = message.clone();
            other.push(0);
            assert!(!is_signed(&key, &other, &signature));
            let longer_s = {
                // S + L, the same number modulo the group's order: RFC 8032 demands that it is refused.
                let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
                let (mut sum, mut carry) = (signature, 0u16);
                for (byte, order) in sum[32..].iter_mut().zip(order) {
                    carry += u16::from(*byte) + u16::from(order);
                    (*byte, carry) = (carry as u8, carry >> 8);
                }
                sum
            };
            assert!(!is_signed(&key, &message, &longer_s));
        }
        // The neutral element as key and R, S = 0: "signs" everything where points of small order are not refused.
        let (mut neutral, mut forged) = ([0; 32], [0; 64]);
        (neutral[0], forged[0]) = (1, 1);
        assert!(!is_signed(&neutral, b"anything", &forged));
    }

    /// A key that another one shadows, before it or behind it, is tried as well, and one that only shadows signs nothing.
    #[test]
    fn keys_that_begin_alike_do_not_shadow_each_other() {
        let signer = ed25519_compact::KeyPair::from_seed([7; 32].into());
        let key = *signer.pk;
        let message: Vec<u8> = SignedModel::message(b"a model", 3, &key).collect();
        let file = [&message[..], &*signer.sk.sign(&message, None)].concat();
        let signed = SignedModel::from_bytes(&file).unwrap();
        let hint = signed.key();
        // Not all are points of the curve: whatever is in the list must not hide what is behind it.
        for rest in (0..=u8::MAX).step_by(15) {
            let mut shadow = [rest; 32];
            shadow[..4].copy_from_slice(&key[..4]);
            for keys in [[shadow, key], [key, shadow]] {
                assert_eq!(signed.verify(&keys, 3), Ok(&b"a model"[..]), "{rest}");
                assert_eq!(signed.verify(&keys, 4), Err(SignatureError::RolledBack { least: 4, found: 3 }));
            }
            assert_eq!(signed.verify(&[shadow; 2], 3), Err(SignatureError::Wrong));
        }
        assert_eq!(signed.verify(&[[0; 32]], 3), Err(SignatureError::UnknownKey { key: hint }));
    }
}
