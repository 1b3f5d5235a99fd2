//! `vae-fleet scheduler` and `vae-fleet executor`: queries on several machines.

use std::{net::IpAddr, path::PathBuf};

use anyhow::{Context as _, Result};

use crate::{
    cli::context::{Limits, note, runtime},
    cluster::{Address, PORT, executor, scheduler},
};

/// Signs of life that an executor gives before it is taken for dead.
const SIGNS: u64 = 3;

/// Plan queries and give their tasks to executors.
///
/// All in a network of their own: there are neither passwords nor encryption, and whoever reaches the port reads what the executors can read.
#[derive(Debug, clap::Args)]
pub(super) struct Scheduler {
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Port to listen on; the next one answers the handshake.
    #[arg(long, default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..65_535))]
    port: u16,
    /// Seconds after which an executor without a sign of life is taken for dead, and others do its tasks.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..))]
    timeout: u64,
}

impl Scheduler {
    pub(super) fn run(self) -> Result<()> {
        let Self { bind, port, timeout } = self;
        note(&format!("a scheduler listens on {bind}:{port}; end it by Ctrl-C"));
        runtime(2)?.block_on(scheduler::run(&scheduler::Settings { bind, port, timeout }))
    }
}

/// Do tasks of a scheduler, with files that lie in the same places as for whoever asks.
#[derive(Debug, clap::Args)]
pub(super) struct Executor {
    /// The scheduler, as in df://host:50050.
    #[arg(long, value_parser = Address::parse)]
    scheduler: Address,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Name or address by which the others reach this machine [default: as it connects].
    #[arg(long)]
    host: Option<String>,
    /// Port for results; the next one is for the scheduler.
    #[arg(long, default_value_t = PORT + 2, value_parser = clap::value_parser!(u16).range(1..65_535))]
    port: u16,
    /// The scheduler's --timeout, in seconds: a third of it lies between signs of life.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(3..))]
    timeout: u64,
    #[command(flatten)]
    limits: Limits,
}

impl Executor {
    pub(super) fn run(self) -> Result<()> {
        let Self { scheduler, bind, host, port, timeout, limits } = self;
        let resources = limits.resources();
        let work = match &resources.spill {
            Some(directory) => tempfile::tempdir_in(directory),
            None => tempfile::tempdir(),
        };
        let work = work.context("cannot make a directory for results")?;
        let settings = executor::Settings {
            scheduler,
            bind,
            host,
            port,
            jobs: resources.jobs,
            memory: resources.memory,
            work: PathBuf::from(work.path()),
            heartbeat: timeout / SIGNS,
        };
        runtime(resources.jobs + 1)?.block_on(executor::run(settings))
    }
}
