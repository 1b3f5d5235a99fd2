//! The scheduler: plans queries, gives their tasks to executors, and gives those of an executor that has died to the others.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::Arc,
    thread,
};

use anyhow::{Context, Result};
use ballista_core::extension::SessionConfigExt;
use ballista_scheduler::{
    cluster::BallistaCluster,
    config::SchedulerConfig,
    scheduler_process::{create_scheduler, start_grpc_service_with_listener},
};
use datafusion::{execution::SessionStateBuilder, prelude::SessionConfig};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};

use crate::{
    cluster::handshake::answer,
    function::{vae, verdicts::unpack},
};

/// Seconds between looks for executors that have died.
const LOOK: u64 = 1;

/// How a scheduler is run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Address that it listens on.
    pub bind: IpAddr,
    /// Port that it listens on; the next one answers the handshake.
    pub port: u16,
    /// Seconds without a sign of life after which an executor is taken for dead.
    pub timeout: u64,
}

/// Runs a scheduler until the process ends.
///
/// # Errors
/// If it cannot listen.
pub async fn run(settings: &Settings) -> Result<()> {
    let Settings { bind, port, timeout } = *settings;
    let address = SocketAddr::new(bind, port);
    let behind = SocketAddr::new(bind, port + 1);
    let listener =
        tokio::net::TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let greeter = TcpListener::bind(behind).with_context(|| format!("cannot listen on {behind}"))?;
    let config = SchedulerConfig {
        bind_host: bind.to_string(),
        bind_port: port,
        executor_timeout_seconds: timeout,
        no_executors_grace_period_seconds: timeout,
        expire_dead_executor_interval_seconds: LOOK,
        override_config_producer: Some(Arc::new(SessionConfig::new_with_ballista)),
        override_session_builder: Some(Arc::new(|config| {
            let state = SessionStateBuilder::new().with_config(config).with_default_features().build();
            let mut builder = SessionStateBuilder::new_from_existing(state);
            builder.window_functions().get_or_insert_default().push(Arc::new(vae()));
            builder.scalar_functions().get_or_insert_default().push(Arc::new(unpack()));
            Ok(builder.build())
        })),
        ..SchedulerConfig::default()
    };
    let cluster = BallistaCluster::new_from_config(&config).await?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config)).await?;
    thread::spawn(move || answer(&greeter));
    start_grpc_service_with_listener(listener, scheduler).await.context("the scheduler has failed")
}
