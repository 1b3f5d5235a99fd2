//! The scheduler: has the executors, and gives each a part of the work. It plans nothing and reads no files.

use std::{future::Future, net::SocketAddr, sync::Arc};

use anyhow::{Context, Result};
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_scheduler::{
    cluster::BallistaCluster,
    config::{SchedulerConfig, TaskDistributionPolicy},
    scheduler_process::create_scheduler,
};
use datafusion::{
    execution::SessionState,
    prelude::{SessionConfig, SessionContext},
};
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    cluster::{Codec, MESSAGE, address::in_url, handshake::admit},
    function::register,
};

/// How a scheduler works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address that it listens at.
    pub address: SocketAddr,
    /// The name or number by which executors reach this machine; that which it listens at, where none is given.
    pub host: Option<String>,
    /// Seconds of silence after which an executor counts as lost and its tasks are given to others; executors tell every
    /// [`super::executor::HEARTBEAT`] seconds that they are there.
    pub patience: u64,
}

/// Runs a scheduler until `end`.
///
/// # Errors
/// If the address cannot be listened at, or is that of all networks and no name is given.
pub async fn serve(settings: Settings, codec: Codec, end: impl Future<Output = ()>) -> Result<()> {
    let Settings { address, host, patience } = settings;
    let is_one = !address.ip().is_unspecified();
    let host = host.or_else(|| is_one.then(|| in_url(address.ip())));
    let host = host.with_context(|| {
        format!("{address} is no address that executors can reach: give --host, the name of this computer, too")
    })?;
    let incoming = TcpIncoming::bind(address).with_context(|| format!("cannot listen at {address}"))?;
    let config = SchedulerConfig {
        bind_host: address.ip().to_string(),
        external_host: host,
        bind_port: address.port(),
        executor_timeout_seconds: patience,
        expire_dead_executor_interval_seconds: (patience / 4).max(1),
        no_executors_grace_period_seconds: patience,
        task_distribution: TaskDistributionPolicy::RoundRobin,
        grpc_server_max_decoding_message_size: MESSAGE,
        grpc_server_max_encoding_message_size: MESSAGE,
        grpc_client_max_message_size: MESSAGE,
        override_session_builder: Some(Arc::new(state)),
        override_physical_codec: Some(codec),
        ..SchedulerConfig::default()
    };
    let cluster = BallistaCluster::new_from_config(&config).await.context("cannot set up the scheduler")?;
    let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, Arc::new(config)).await;
    let service = SchedulerGrpcServer::new(scheduler.context("cannot set up the scheduler")?)
        .max_decoding_message_size(MESSAGE as usize)
        .max_encoding_message_size(MESSAGE as usize);
    let server = Server::builder().tcp_nodelay(true).add_service(InterceptedService::new(service, admit));
    server.serve_with_incoming_shutdown(incoming, end).await.context("the scheduler has failed")
}

/// A session that knows the functions.
fn state(config: SessionConfig) -> datafusion::common::Result<SessionState> {
    let mut context = SessionContext::new_with_config(config);
    register(&mut context)?;
    Ok(context.state())
}
