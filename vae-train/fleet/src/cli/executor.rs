//! `vae-fleet executor`: works for a cluster.

use std::net::IpAddr;

use anyhow::Result;

use crate::{
    backtest::judging::codec,
    cli::context::{Limits, note, runtime},
    cluster::{
        address::Address,
        executor::{Settings, run},
    },
};

/// Work for a scheduler, until interrupted: read, sort and judge.
///
/// Nothing is encrypted, and whoever reaches the ports may have files read: for a network that you trust.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-fleet executor --scheduler df://hall-3:50050 --memory 8GiB")]
pub(super) struct Executor {
    /// The scheduler.
    #[arg(long, value_name = "df://HOST:PORT")]
    scheduler: Address,
    /// This machine's address, by which others reach it [default: that which the scheduler is reached from].
    #[arg(long)]
    host: Option<IpAddr>,
    /// Port that results are fetched from; tasks come in at the next one.
    #[arg(long, default_value_t = 50051, value_parser = clap::value_parser!(u16).range(1..=65534))]
    port: u16,
    #[command(flatten)]
    limits: Limits,
}

impl Executor {
    pub(super) fn run(self) -> Result<()> {
        let resources = self.limits.resources();
        let settings = Settings {
            scheduler: self.scheduler,
            host: self.host,
            port: self.port,
            jobs: resources.jobs,
            memory: resources.memory,
            spill: resources.spill.clone(),
        };
        note(&format!("working for {}", settings.scheduler));
        runtime(resources.jobs)?.block_on(run(settings, codec()))
    }
}
