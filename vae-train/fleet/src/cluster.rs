//! Queries on several machines: a scheduler, executors, and clients, of the same version of this program.

pub mod client;
pub mod executor;
pub mod handshake;
pub mod scheduler;

use anyhow::{Context, Result};

/// Port of the scheduler, where none is given: Ballista's.
pub const PORT: u16 = 50_050;

/// A scheduler's address: a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    /// The scheduler's port; the handshake's is the next one.
    pub port: u16,
}

impl Address {
    /// Reads `host`, `host:port` or `df://host:port`.
    ///
    /// # Errors
    /// If the text is anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let address = text.strip_prefix("df://").unwrap_or(text).trim_end_matches('/');
        let parsed = match address.rsplit_once(':') {
            Some((host, port)) => port.parse().ok().map(|port| (host, port)),
            None => Some((address, PORT)),
        };
        let usable = parsed
            .filter(|(host, port)| !host.is_empty() && !host.contains(['/', ' ']) && (1..u16::MAX).contains(port));
        let (host, port) =
            usable.with_context(|| format!("{text:?} is no address of a scheduler: give one as in df://host:50050"))?;
        Ok(Self { host: host.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let address = |host: &str, port| Address { host: host.to_owned(), port };
        for (text, expected) in [
            ("df://plant:50051", address("plant", 50_051)),
            ("df://plant/", address("plant", PORT)),
            ("10.0.0.7:1", address("10.0.0.7", 1)),
            ("[::1]:50050", address("[::1]", 50_050)),
        ] {
            assert_eq!(Address::parse(text).unwrap(), expected, "{text}");
        }
        for text in ["", "df://", "http://plant:1", "plant:x", "plant:65535", "plant:0", ":5"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
