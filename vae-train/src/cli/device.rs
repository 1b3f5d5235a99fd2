//! Where a fit computes.

use std::collections::HashSet;
#[cfg(feature = "remote")]
use std::{
    fs,
    net::{SocketAddr, ToSocketAddrs as _},
    path::{Path, PathBuf},
};

#[cfg(feature = "remote")]
use anyhow::Context as _;
use anyhow::{Result, bail, ensure};
#[cfg(feature = "remote")]
use burn::remote::{EndpointId, IrohHost, IrohRelays, RemoteHost};
use burn::tensor::Device;

use crate::training::devices::{Devices, Member};
#[cfg(feature = "remote")]
use crate::training::remote::client::Remote;

/// A list of devices.
#[derive(Debug, clap::Args)]
pub(super) struct DeviceList {
    /// Where to train, one or more of: flex (the CPU), cuda:0, wgpu, and the addresses that `vae-train serve` prints.
    ///
    /// Each computes the gradients of an equal part of every batch: the same list gives the same file. cuda and wgpu are there if this program
    /// was built with those features, addresses (iroh://… and, on this machine, ws://…) with --features remote on both sides. If one is lost,
    /// the epoch is repeated on the others.
    #[arg(long, default_value = "flex", value_delimiter = ',', help_heading = "Run", hide_short_help = true)]
    device: Vec<String>,
    /// File with the token that `vae-train serve` was started with.
    #[cfg(feature = "remote")]
    #[arg(long, value_name = "FILE", help_heading = "Run", hide_short_help = true)]
    token: Option<PathBuf>,
    /// Take ws:// addresses of other machines, too: nothing is encrypted, the training data neither.
    #[cfg(feature = "remote")]
    #[arg(long, help_heading = "Run", hide_short_help = true)]
    unencrypted: bool,
}

impl DeviceList {
    /// Opens all of them.
    pub(super) fn open(&self) -> Result<Devices> {
        // What can be told from the names first: a server may take half a minute to be missed.
        let places: Vec<Place> = self.device.iter().map(|name| self.place(name)).collect::<Result<_>>()?;
        let mut seen = HashSet::new();
        for (name, place) in self.device.iter().zip(&places) {
            // The CPU may stand for any device, to try a list on.
            ensure!(
                place.is_cpu() || seen.insert(place.identity()),
                "--device has {name} twice, and it would only take turns with itself: give each device once"
            );
        }
        let members = self.device.iter().zip(places).map(|(name, place)| match place {
            Place::Here(device) => Ok(Member::here(name, device)),
            #[cfg(feature = "remote")]
            Place::There { host, .. } => {
                let remote = Remote::connect(&host).with_context(|| format!("the device {name} cannot be used"))?;
                Ok(remote.member(name))
            }
        });
        Devices::of(members.collect::<Result<_>>()?)
    }

    fn place(&self, name: &str) -> Result<Place> {
        if !name.contains("://") {
            return device(name).map(Place::Here);
        }
        #[cfg(feature = "remote")]
        return self.host(name);
        #[cfg(not(feature = "remote"))]
        bail!(
            "this program has no remote devices: build it with `cargo build --release -p vae-train --features remote`"
        )
    }

    /// The server at an address.
    #[cfg(feature = "remote")]
    fn host(&self, address: &str) -> Result<Place> {
        let (host, identity) = match address.split_once("://") {
            Some(("ws", at)) => {
                let all = resolved(at)?;
                ensure!(
                    self.unencrypted || all.iter().all(|address| address.ip().is_loopback()),
                    "{address} is another machine, and nothing is encrypted on the way: give the iroh:// address that `vae-train serve` \
                     prints there, or --unencrypted where the network is trusted"
                );
                (RemoteHost::websocket(address), format!("{all:?}"))
            }
            Some(("iroh", rest)) => {
                let (id, at) = rest.split_once('@').with_context(|| {
                    format!(
                        "{address} is no address of a server: give iroh://ID@HOST:PORT, as `vae-train serve` prints it"
                    )
                })?;
                let id: EndpointId = id
                    .parse()
                    .with_context(|| format!("`{id}` is no server's ID: give what `vae-train serve` prints"))?;
                ensure!(
                    self.token.is_some(),
                    "{address} asks for a token: give the file that `vae-train serve` was started with as --token"
                );
                // No relay: the data go to that machine and to no other.
                let host = IrohHost::new(id).with_relays(IrohRelays::Disabled);
                (RemoteHost::iroh(resolved(at)?.into_iter().fold(host, IrohHost::with_address)), id.to_string())
            }
            _ => bail!("there is no device `{address}`: addresses begin with iroh:// or ws://"),
        };
        let host = match &self.token {
            Some(path) => host.with_credential(token(path)?),
            None => host,
        };
        Ok(Place::There { host, identity })
    }
}

enum Place {
    Here(Device),
    /// A server, and what it is known by.
    #[cfg(feature = "remote")]
    There {
        host: RemoteHost,
        identity: String,
    },
}

impl Place {
    fn is_cpu(&self) -> bool {
        matches!(self, Self::Here(device) if *device == Device::flex())
    }

    fn identity(&self) -> String {
        match self {
            Self::Here(device) => format!("{device:?}"),
            #[cfg(feature = "remote")]
            Self::There { identity, .. } => identity.clone(),
        }
    }
}

/// All addresses of `host:port`.
#[cfg(feature = "remote")]
fn resolved(at: &str) -> Result<Vec<SocketAddr>> {
    let found = at.to_socket_addrs().with_context(|| format!("`{at}` is no address: give HOST:PORT"))?;
    Ok(found.collect())
}

/// The token in a file.
#[cfg(feature = "remote")]
pub(super) fn token(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the token {}", path.display()))?;
    let token = text.trim();
    ensure!(
        !token.is_empty(),
        "{} holds no token: take the file that `vae-train serve --token` writes",
        path.display()
    );
    Ok(token.to_owned())
}

/// A device of this machine.
pub(super) fn device(name: &str) -> Result<Device> {
    let (backend, index) = match name.split_once(':') {
        Some((backend, index)) => (backend, index.parse().ok()),
        None => (name, Some(0)),
    };
    match (backend, index) {
        ("flex", Some(0)) => Ok(Device::flex()),
        #[cfg(feature = "wgpu")]
        ("wgpu", Some(0)) => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(feature = "cuda")]
        ("cuda", Some(index)) => Ok(Device::cuda::<usize>(index)),
        ("wgpu" | "cuda", Some(_)) => bail!(
            "this program has no device `{name}`: give flex, or build it with `cargo build --release -p vae-train --features {backend}`"
        ),
        _ => bail!(
            "there is no device `{name}`: give some of flex, wgpu, cuda:0, cuda:1 …, and addresses that `vae-train serve` prints"
        ),
    }
}
