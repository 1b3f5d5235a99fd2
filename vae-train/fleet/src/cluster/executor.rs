//! An executor: does tasks of a scheduler.

use std::{net::IpAddr, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};

use crate::{
    cluster::{Address, handshake::greet},
    function::{
        NAME, vae,
        verdicts::{UNPACK, unpack},
    },
};

/// How an executor is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scheduler.
    pub scheduler: Address,
    /// Address that it listens on.
    pub bind: IpAddr,
    /// Name or address by which scheduler and other executors reach it.
    pub host: Option<String>,
    /// Port for results; the next one is for the scheduler.
    pub port: u16,
    /// Tasks at once.
    pub jobs: usize,
    /// Bytes that all tasks' sorts may hold together.
    pub memory: usize,
    /// Directory for results on the way and what is spilled.
    pub work: PathBuf,
    /// Seconds between its signs of life.
    pub heartbeat: u64,
}

/// Runs an executor until it is told to end.
///
/// # Errors
/// If the scheduler cannot be reached or is of another version, or it cannot listen.
pub async fn run(settings: Settings) -> Result<()> {
    let Settings { scheduler, bind, host, port, jobs, memory, work, heartbeat } = settings;
    greet(&scheduler)?;
    let mut functions = BallistaFunctionRegistry::default();
    functions.window_functions.insert(NAME.to_owned(), Arc::new(vae()));
    functions.scalar_functions.insert(UNPACK.to_owned(), Arc::new(unpack()));
    let config = ExecutorProcessConfig {
        bind_host: bind.to_string(),
        external_host: host,
        port,
        grpc_port: port + 1,
        scheduler_host: scheduler.host.clone(),
        scheduler_port: scheduler.port,
        vcores: jobs,
        work_dir: Some(work.display().to_string()),
        memory_pool_size: Some(memory as u64),
        executor_heartbeat_interval_seconds: heartbeat,
        override_function_registry: Some(Arc::new(functions)),
        ..ExecutorProcessConfig::default()
    };
    start_executor_process(Arc::new(config)).await.context("the executor has failed")
}
