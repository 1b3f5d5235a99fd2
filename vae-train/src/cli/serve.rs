//! `vae-train serve`: lend a device of this machine to fits elsewhere, through burn's own remote backend.

use std::{
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use burn::server::{
    IrohIdentity, IrohRelays, IrohTransport, RemoteServer, TokenAuthorizer, Transport, WebSocketTransport,
};
use rand::Rng as _;

use super::{
    device::{device, token},
    terminal::tell,
};
use crate::{
    training::remote::server::with_operations,
    words::output::{is_there, write_secret},
};

/// Lend a device to `vae-train fit --device ADDRESS` in another process or on another machine, until Ctrl-C.
///
/// On an address of another kind than this machine's own (127.0.0.1), the way is QUIC: encrypted, by an identity of the server that is part
/// of its address, and for clients that have the token. It goes straight to that machine, through no relay. On this machine's own address it is
/// a WebSocket, which any program here may use that has the token, if one is asked for.
///
/// A client may use memory and time of this machine as it likes: give the token to nobody who may not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-train serve --listen 127.0.0.1:3000
  vae-train serve --listen 192.168.1.20:3000 --token fits.token --identity server.key")]
pub(super) struct Serve {
    /// Device to lend: flex (CPU), or another of burn's backends that this program was built with.
    #[arg(long, default_value = "flex")]
    device: String,
    /// Address to listen on: of this machine in the network, on whose port all its interfaces then listen (UDP), or 127.0.0.1 (TCP; port 0
    /// takes a free one).
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// File with the token that clients must have; it is made if there is none. Copy it to them.
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
    /// File with the secret key of this server, so that its address stays the same; it is made if there is none. Without it, each start has
    /// another address.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Listen by an unencrypted WebSocket on an address in the network, too: whoever sees the traffic has token and data.
    #[arg(long)]
    unencrypted: bool,
}

impl Serve {
    pub(super) fn run(self) -> Result<()> {
        let device = device(&self.device)?;
        let mut server = with_operations(RemoteServer::new([device.clone()]), &device)?;
        let is_local = self.listen.ip().is_loopback();
        ensure!(
            is_local || self.token.is_some(),
            "{} can be reached from other machines: give --token FILE, which is made if there is none, and copy it to them",
            self.listen
        );
        let (transport, address) = if is_local || self.unencrypted { self.websocket()? } else { self.quic()? };
        if let Some(path) = &self.token {
            server = server.with_authorizer(TokenAuthorizer::new(token_of(path)?)?);
        }
        tell(&format!("serving {} at {address}", self.device));
        server.serve(transport).context("the server stopped")
    }

    fn websocket(&self) -> Result<(Transport, String)> {
        ensure!(self.identity.is_none(), "a WebSocket has no identity: leave out --identity");
        let listener = TcpListener::bind(self.listen).with_context(|| format!("cannot listen on {}", self.listen))?;
        let address = format!("ws://{}", listener.local_addr()?);
        Ok((WebSocketTransport::from_listener(listener).into(), address))
    }

    fn quic(&self) -> Result<(Transport, String)> {
        ensure!(self.listen.port() != 0, "give a port in --listen: clients have to know it");
        let identity = match &self.identity {
            Some(path) => IrohIdentity::load_or_create(path)
                .with_context(|| format!("the identity {} can be neither read nor made", path.display()))?,
            None => IrohIdentity::random(),
        };
        // burn binds when it serves, and says then that it could not.
        UdpSocket::bind(self.listen).with_context(|| format!("cannot listen on {} (UDP)", self.listen))?;
        let transport = IrohTransport::new(identity).with_relays(IrohRelays::Disabled).with_port(self.listen.port());
        let address = format!("iroh://{}@{}", transport.id(), self.listen);
        Ok((transport.into(), address))
    }
}

/// The token in a file, which is made if there is none: 32 random bytes, for its owner's eyes.
fn token_of(path: &Path) -> Result<String> {
    if !is_there(path) {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        let text = bytes.map(|byte| format!("{byte:02x}")).concat();
        write_secret(path, |out| Ok(out.write_all(text.as_bytes())?))?;
    }
    token(path)
}
