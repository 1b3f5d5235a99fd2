//! Makes sure that scheduler, executors and clients are of one version, before any of them works: an executor of another one could give other bits.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream, ToSocketAddrs},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::{cluster::Address, function::NAME};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const LONGEST: u64 = 4096;

/// What a program says of itself: all of it must be the same on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// This program and its version.
    pub program: String,
    /// The engine's version.
    pub engine: String,
    /// The functions that it knows beside the engine's.
    pub functions: Vec<String>,
}

impl Greeting {
    /// This program's.
    #[must_use]
    pub fn own() -> Self {
        Self {
            program: concat!("vae-fleet ", env!("CARGO_PKG_VERSION")).to_owned(),
            engine: format!("datafusion {}", datafusion::DATAFUSION_VERSION),
            functions: vec![NAME.to_owned()],
        }
    }
}

/// Answers all who ask on this listener, for as long as the process runs.
///
/// # Errors
/// If the greeting cannot be written down.
pub fn answer(listener: &TcpListener) -> Result<()> {
    let greeting = serde_json::to_vec(&Greeting::own())?;
    for stream in listener.incoming() {
        // Whoever goes away has not asked.
        let _ = stream.and_then(|mut stream| {
            stream.set_write_timeout(Some(PATIENCE))?;
            stream.write_all(&greeting)
        });
    }
    Ok(())
}

/// Asks a scheduler what it is, on the port behind its own.
///
/// # Errors
/// If it cannot be reached, is no scheduler of this program, or is of another version.
pub fn greet(address: &Address) -> Result<()> {
    let Address { host, port } = address;
    let unreachable = || {
        format!(
            "cannot reach a scheduler at {host}:{port}: start one there by vae-fleet scheduler, and let port {} through, too",
            port + 1
        )
    };
    let place = (host.trim_matches(['[', ']']), port + 1)
        .to_socket_addrs()
        .with_context(unreachable)?
        .next()
        .with_context(unreachable)?;
    let mut stream = TcpStream::connect_timeout(&place, PATIENCE).with_context(unreachable)?;
    stream.set_read_timeout(Some(PATIENCE)).with_context(unreachable)?;
    let mut answer = Vec::new();
    Read::by_ref(&mut stream).take(LONGEST).read_to_end(&mut answer).with_context(unreachable)?;
    let Ok(found) = serde_json::from_slice::<Greeting>(&answer) else {
        bail!("what answers at {host}:{} is no scheduler of vae-fleet", port + 1);
    };
    let own = Greeting::own();
    ensure!(
        found == own,
        "the scheduler at {host}:{port} is {} on {} with {}, and this is {} on {} with {}: use one version everywhere",
        found.program,
        found.engine,
        found.functions.join(", "),
        own.program,
        own.engine,
        own.functions.join(", ")
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn met(answer: Vec<u8>) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port() - 1;
        let server = thread::spawn(move || listener.accept().unwrap().0.write_all(&answer).unwrap());
        let result = greet(&Address { host: "127.0.0.1".to_owned(), port });
        server.join().unwrap();
        result
    }

    #[test]
    fn only_the_same_version_is_accepted() {
        met(serde_json::to_vec(&Greeting::own()).unwrap()).unwrap();
        let other = Greeting { program: "vae-fleet 0.0.1".to_owned(), ..Greeting::own() };
        let refused = met(serde_json::to_vec(&other).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("vae-fleet 0.0.1") && refused.contains("one version everywhere"), "{refused}");
        let without = Greeting { functions: Vec::new(), ..Greeting::own() };
        assert!(met(serde_json::to_vec(&without).unwrap()).is_err());
        assert!(met(b"SSH-2.0-OpenSSH".to_vec()).unwrap_err().to_string().contains("no scheduler of vae-fleet"));
    }

    #[test]
    fn nobody_there_is_said() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let refused = greet(&Address { host: "127.0.0.1".to_owned(), port: free - 1 }).unwrap_err().to_string();
        assert!(refused.contains("cannot reach a scheduler"), "{refused}");
    }
}
