//! Keys, and model files that are signed with them.

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use ed25519_compact::{KeyPair, Seed};
use rand::{TryRng, rngs::SysRng};
use vae_core::{Model, SignedModel};

use crate::words::input::{MOST_TEXT, read_file};

/// A key from the operating system's randomness. Its private half is written as PKCS#8 in PEM (RFC 8410), which OpenSSL reads, by
/// `key.sk.to_pem()`.
///
/// # Errors
/// If that gives none.
pub fn generate() -> Result<KeyPair> {
    let mut seed = [0; Seed::BYTES];
    SysRng.try_fill_bytes(&mut seed).context("the operating system gives no randomness")?;
    Ok(KeyPair::from_seed(Seed::new(seed)))
}

/// Reads a private key: PKCS#8 in PEM.
///
/// # Errors
/// If there is none in the file.
pub fn read_private_key(path: &Path) -> Result<KeyPair> {
    let text = read_file(path, MOST_TEXT)?;
    KeyPair::from_pem(&String::from_utf8_lossy(&text)).map_err(|_| {
        anyhow!(
            "{} holds no private Ed25519 key in PEM, as `vae-train keygen` or `openssl genpkey -algorithm ed25519` writes it",
            path.display()
        )
    })
}

/// Reads a public key: 32 bytes, as firmware holds them.
///
/// # Errors
/// If the file has another length.
pub fn read_public_key(path: &Path) -> Result<[u8; 32]> {
    let bytes = read_file(path, MOST_TEXT)?;
    let found = bytes.len();
    let key = bytes.try_into().ok();
    key.with_context(|| {
        format!("{} has {found} bytes: a public key has 32, as `vae-train keygen` writes it", path.display())
    })
}

/// The model file in a file that may be signed, and what it is signed with, which is not verified.
#[must_use]
pub fn divided(file: &[u8]) -> (&[u8], Option<SignedModel<'_>>) {
    match SignedModel::from_bytes(file) {
        Ok(signed) if Model::from_bytes(signed.unverified()).is_ok() => (signed.unverified(), Some(signed)),
        _ => (file, None),
    }
}

/// The model file, signed with a counter.
///
/// # Errors
/// If the signature that was made is not accepted.
pub fn sign(model: &[u8], counter: u32, key: &KeyPair) -> Result<Vec<u8>> {
    let mut file: Vec<u8> = SignedModel::message(model, counter, &key.pk).collect();
    let signature = key.sk.sign(&file, None);
    file.extend(signature.iter());
    let accepted = SignedModel::from_bytes(&file)?.verify(&[*key.pk], counter)?;
    ensure!(accepted == model, "the signed file does not hold the model");
    Ok(file)
}
