//! `vae-train sign`: a model file with a signature behind it.

use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;
use vae_core::SIGNATURE_TRAILER_LEN;

use crate::{
    cli::context::Context,
    file::{model_file::AlignedFile, signing},
    words::output::{Existing, write_file},
};

/// Sign a model file: a device that holds the public key takes signed models only.
///
/// The counter is signed with the model: a device takes no model whose counter is lower than that of the model in use. Give each release a
/// higher one. A model that is signed already is signed anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vae-train sign model.vae --key models.pem --counter 7 --out model.signed.vae")]
pub(super) struct Sign {
    /// Model file (.vae).
    model: PathBuf,
    /// Private key, as `keygen` writes it.
    #[arg(long)]
    key: PathBuf,
    /// Number of the release, higher than that of every model before.
    #[arg(long)]
    counter: u32,
    /// File to write.
    #[arg(long)]
    out: PathBuf,
    /// Replace an existing file.
    #[arg(long)]
    force: bool,
}

#[derive(Serialize)]
struct Signed {
    out: PathBuf,
    bytes: usize,
    counter: u32,
}

impl Sign {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        existing.check(&self.out)?;
        let file = AlignedFile::read(&self.model)?;
        let signed = signing::sign(file.bytes(), self.counter, &signing::read_private_key(&self.key)?)?;
        write_file(&self.out, existing, |out| Ok(out.write_all(&signed)?))?;
        let (bytes, counter) = (signed.len(), self.counter);
        let text = format!(
            "{}: {bytes} bytes, {SIGNATURE_TRAILER_LEN} more than the model, signed with counter {counter}",
            self.out.display()
        );
        context.print(&Signed { out: self.out, bytes, counter }, &text)
    }
}
