//! `vae-fleet scheduler`: deals a cluster's work.

use std::net::SocketAddr;

use anyhow::Result;

use crate::{
    backtest::judging::codec,
    cli::context::{note, runtime},
    cluster::scheduler::{Settings, serve},
};

/// Deal the work of a cluster to its executors, until interrupted.
///
/// Nothing is encrypted, and whoever reaches the port may have files read: for a network that you trust.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-fleet scheduler --listen 0.0.0.0:50050 --host hall-3")]
pub(super) struct Scheduler {
    /// The address to listen at.
    #[arg(long, default_value = "127.0.0.1:50050")]
    listen: SocketAddr,
    /// The name or address by which executors reach this computer [default: that which it listens at].
    #[arg(long)]
    host: Option<String>,
    /// Seconds of silence after which an executor is lost, and others do its work.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(6..))]
    patience: u64,
}

/// Threads of a process that waits most of the time.
const THREADS: usize = 2;

impl Scheduler {
    pub(super) fn run(self) -> Result<()> {
        let Self { listen, host, patience } = self;
        runtime(THREADS)?.block_on(async {
            note(&format!("listening at {listen}"));
            let end = async { drop(tokio::signal::ctrl_c().await) };
            serve(Settings { address: listen, host, patience }, codec(), end).await
        })
    }
}
