//! `vae-train verify`: whether a device would take a signed model.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use vae_core::SignedModel;

use crate::{
    cli::context::Context,
    file::{model_file::AlignedFile, signing},
    words::input::{MOST_BINARY, read_file},
};

/// Check a signed model as a device that holds these keys does: its signature, its counter, and that it is a sound model.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  vae-train verify model.signed.vae --key models.pub --least 6")]
pub(super) struct Verify {
    /// Signed model file.
    model: PathBuf,
    /// Public key, as `keygen` writes it; repeat the option if the device holds several.
    #[arg(long, required = true)]
    key: Vec<PathBuf>,
    /// Counter of the model in use: a model with a lower one is refused.
    #[arg(long, default_value_t = 0)]
    least: u32,
}

#[derive(Serialize)]
struct Verified {
    model: PathBuf,
    key: String,
    counter: u32,
}

impl Verify {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let keys = self.key.iter().map(|path| signing::read_public_key(path)).collect::<Result<Vec<_>>>()?;
        let name = || self.model.display().to_string();
        let bytes = read_file(&self.model, MOST_BINARY)?;
        let signed = SignedModel::from_bytes(&bytes).with_context(name)?;
        let file = AlignedFile::new(signed.verify(&keys, self.least).with_context(name)?);
        file.model()?.verify().with_context(name)?;
        let (key, counter) = (format!("{:08x}", signed.key()), signed.counter());
        let text = format!("{}: signed with key {key}…, counter {counter}, and sound", self.model.display());
        context.print(&Verified { model: self.model, key, counter }, &text)
    }
}
