//! Addresses of schedulers, and this machine's own.

use std::{
    fmt::{self, Display, Formatter},
    net::{IpAddr, UdpSocket},
    str::FromStr,
};

use anyhow::{Context, Result, bail};

/// A scheduler's address, `df://host:50050`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A name, or a number.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// The port of a scheduler where none is said.
pub const PORT: u16 = 50050;

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let whole = || format!("{text:?} is no scheduler's address: give one as in df://hall-3:{PORT}");
        let Some(rest) = text.strip_prefix("df://") else { bail!("{}", whole()) };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            // The colons of a bare [::1].
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok().with_context(whole)?),
            _ => (rest, PORT),
        };
        let is_name = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
        if !is_name {
            bail!("{}", whole());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

impl Address {
    pub(super) fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }

    /// The address of this machine that the scheduler is reached from. Nothing is sent.
    pub(super) fn reached_from(&self) -> Result<IpAddr> {
        let cannot = || format!("no way to {self} is known: give --host");
        let host = self.host.trim_matches(['[', ']']);
        let socket = UdpSocket::bind(if host.contains(':') { "[::]:0" } else { "0.0.0.0:0" }).with_context(cannot)?;
        socket.connect((host, self.port)).with_context(cannot)?;
        Ok(socket.local_addr().with_context(cannot)?.ip())
    }
}

/// An address of this machine as it stands in front of a port.
pub(super) fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let read = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(read("df://hall-3").unwrap(), "df://hall-3:50050");
        assert_eq!(read("df://10.0.0.7:50099/").unwrap(), "df://10.0.0.7:50099");
        assert_eq!(read("df://[::1]:7").unwrap(), "df://[::1]:7");
        assert_eq!(read("df://[::1]").unwrap(), "df://[::1]:50050");
        for text in ["hall-3:50050", "http://hall-3:50050", "df://", "df://hall-3:port", "df://a/b:1"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
