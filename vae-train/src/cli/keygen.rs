//! `vae-train keygen`: a key to sign models with.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::{
    cli::context::Context,
    file::signing,
    words::output::{Existing, is_there, write_file, write_secret},
};

/// Make a pair of keys to sign models with: a private key for `sign`, and beside it the public key for firmware and `verify`.
///
/// The private key (PKCS#8 in PEM, Ed25519) is made of the operating system's randomness; only its owner can read the file, and it is never
/// overwritten. The public key is 32 bytes in a file whose name ends in .pub.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vae-train keygen --out keys/models.pem")]
pub(super) struct Keygen {
    /// File for the private key; the public one goes beside it.
    #[arg(long)]
    out: PathBuf,
}

#[derive(Serialize)]
struct Generated {
    private: PathBuf,
    public: PathBuf,
    key: String,
}

impl Keygen {
    pub(super) fn run(self, context: Context) -> Result<()> {
        ensure!(context.seed.is_none(), "--seed would make the key predictable: leave it out");
        let public_path = self.out.with_extension("pub");
        ensure!(public_path != self.out, "{}: the public key's name ends in .pub: give another", self.out.display());
        let keep = Existing::Keep;
        ensure!(
            !is_there(&public_path),
            "{} exists, and a key is never overwritten: give another name",
            public_path.display()
        );
        let key = signing::generate()?;
        let (pem, public) = (key.sk.to_pem(), *key.pk);
        write_secret(&self.out, |out| Ok(out.write_all(pem.as_bytes())?))?;
        write_file(&public_path, keep, |out| Ok(out.write_all(&public)?))?;
        let name: String = public.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let text = format!(
            "{}: private key {name}…, for `vae-train sign`: keep it secret, and a copy of it safe\n{}: public key, for firmware and \
             `vae-train verify`",
            self.out.display(),
            public_path.display()
        );
        context.print(&Generated { private: self.out, public: public_path, key: name }, &text)
    }
}
