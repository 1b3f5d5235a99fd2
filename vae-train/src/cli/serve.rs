//! `vae-train serve`: lend a device of this machine to fits elsewhere, through burn's own remote backend.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use burn::server::{RemoteServer, WebSocketTransport};

use super::{fit::device, terminal::tell};

/// Lend a device to `vae-train fit --device ws://ADDRESS` in another process or on another machine, until Ctrl-C.
///
/// Nothing is encrypted or authenticated: listen on an address other than this machine's own only in a trusted network.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train serve --listen 127.0.0.1:3000")]
pub(super) struct Serve {
    /// Device to lend: flex (CPU), or another of burn's backends that this program was built with.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
}

impl Serve {
    pub(super) fn run(self) -> Result<()> {
        let device = device(&self.device)?;
        let listener = TcpListener::bind(self.listen).with_context(|| format!("cannot listen on {}", self.listen))?;
        tell(&format!("serving {} at ws://{}", self.device, listener.local_addr()?));
        RemoteServer::new([device]).serve(WebSocketTransport::from_listener(listener)).context("the server stopped")
    }
}
