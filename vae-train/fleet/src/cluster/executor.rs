//! An executor: reads files, and judges and sorts what a scheduler gives it.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::prelude::SessionContext;

use crate::{
    cluster::{
        Codec, MESSAGE,
        address::{Address, in_url},
        handshake::{PROGRAM, greet, introduced},
    },
    engine::Resources,
    function::{of_ours, register},
};

/// Seconds from one sign of life to the next.
pub const HEARTBEAT: u64 = 2;

/// How an executor works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The scheduler's address.
    pub scheduler: Address,
    /// This machine's address, which the scheduler, the other executors and whoever asks reach it by; that which the scheduler is reached from, where
    /// none is given.
    pub host: Option<IpAddr>,
    /// The port that results are fetched from; tasks come in at the one above it.
    pub port: u16,
    /// Partitions that are worked on at once.
    pub jobs: usize,
    /// Bytes that sorts may hold in memory, all together.
    pub memory: usize,
    /// Where results and what is spilled lie: a folder of its own in there, which vanishes with the executor.
    pub spill: Option<PathBuf>,
}

/// Runs an executor until it is interrupted or fails.
///
/// # Errors
/// If there is no scheduler of this version, or a port is taken, or it had to stop.
pub async fn run(settings: Settings, codec: Codec) -> Result<()> {
    let Settings { scheduler, host, port, jobs, memory, spill } = settings;
    greet(&scheduler.url(), &PROGRAM).await?;
    let host = match host {
        Some(host) => host,
        None => scheduler.reached_from()?,
    };
    let above = port.checked_add(1).context("--port 65535 has no port above it, and two are needed")?;
    for port in [port, above] {
        let address = SocketAddr::new(host, port);
        TcpListener::bind(address).with_context(|| format!("cannot listen at {address}: give another --port"))?;
    }
    let mut folder = tempfile::Builder::new();
    folder.prefix("vae-fleet-executor-");
    let folder = match &spill {
        Some(spill) => folder.tempdir_in(spill).with_context(|| format!("cannot use --spill {}", spill.display()))?,
        None => folder.tempdir().context("cannot make a folder for results")?,
    };
    let resources = Resources { memory, jobs, spill: Some(folder.path().to_owned()) };
    let mut context = SessionContext::new();
    register(&mut context)?;
    let config = ExecutorProcessConfig {
        bind_host: in_url(host),
        external_host: Some(in_url(host)),
        port,
        grpc_port: above,
        scheduler_host: scheduler.host.clone(),
        scheduler_port: scheduler.port,
        vcores: jobs,
        work_dir: Some(folder.path().to_string_lossy().into_owned()),
        executor_heartbeat_interval_seconds: HEARTBEAT,
        memory_pool_size: Some(memory as u64),
        grpc_max_decoding_message_size: MESSAGE,
        grpc_max_encoding_message_size: MESSAGE,
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&context.state()))),
        override_runtime_producer: Some(Arc::new(move |_| resources.runtime().map_err(of_ours))),
        override_physical_codec: Some(codec),
        override_create_grpc_client_endpoint: Some(Arc::new(introduced)),
        ..ExecutorProcessConfig::default()
    };
    let asked = tokio::spawn(asked_to_stop());
    start_executor_process(Arc::new(config)).await.context("the executor has failed")?;
    ensure!(asked.is_finished(), "the executor has stopped: the scheduler has sent it away, or a port was taken");
    Ok(())
}

/// Waits for whoever wants this process to end, as the executor does, which then finishes its tasks.
async fn asked_to_stop() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = interrupted => {}
            _ = terminated.recv() => {}
        }
        return;
    }
    drop(interrupted.await);
}
