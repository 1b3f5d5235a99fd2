//! A session whose queries a scheduler's executors do.

use anyhow::Result;
use ballista::prelude::SessionContextExt;
use datafusion::prelude::SessionContext;

use crate::{
    cluster::{Address, handshake::greet},
    engine::Resources,
};

/// A session as [`Resources::session`] makes it, on a cluster: its `jobs` are the partitions that a query is divided into.
///
/// # Errors
/// If the scheduler cannot be reached or is of another version.
pub async fn session(resources: &Resources, scheduler: &Address) -> Result<SessionContext> {
    greet(scheduler)?;
    let local = resources.session()?;
    let Address { host, port } = scheduler;
    Ok(SessionContext::remote_with_state(&format!("df://{host}:{port}"), local.state()).await?)
}
