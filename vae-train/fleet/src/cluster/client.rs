//! Gives a cluster work, and reads what comes of it.

use std::{
    fmt::{self, Debug, Formatter},
    sync::Arc,
};

use anyhow::{Context, Result};
use ballista_core::{execution_plans::execute_physical_plan, extension::SessionConfigExt};
use datafusion::{
    execution::SendableRecordBatchStream,
    physical_plan::ExecutionPlan,
    prelude::{SessionConfig, SessionContext},
};
use datafusion_proto::protobuf::PhysicalPlanNode;

use crate::cluster::{
    Codec, MESSAGE,
    address::Address,
    handshake::{PROGRAM, greet, introduced},
};

/// A cluster that has answered.
pub struct Cluster {
    address: Address,
    codec: Codec,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster, once its scheduler has answered and is of this version.
    ///
    /// # Errors
    /// Those of [`greet`].
    pub async fn at(address: Address, codec: Codec) -> Result<Self> {
        greet(&address.url(), &PROGRAM).await?;
        Ok(Self { address, codec })
    }

    /// How plans for a cluster are made.
    #[must_use]
    pub fn config(config: SessionConfig) -> SessionConfig {
        config.upgrade_for_ballista()
    }

    /// Runs a plan on the executors; its rows come once all of them have been computed.
    ///
    /// # Errors
    /// If the plan cannot be sent, or fails.
    pub async fn run(
        &self,
        session: &SessionContext,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<SendableRecordBatchStream> {
        let config = Self::config(session.copied_config())
            .with_ballista_grpc_client_max_message_size(MESSAGE as usize)
            .with_ballista_override_create_grpc_client_endpoint(Arc::new(introduced));
        let (url, id) = (self.address.url(), session.session_id());
        let settings = config.ballista_config();
        let ran = execute_physical_plan::<PhysicalPlanNode>(url, &settings, plan, self.codec.as_ref(), id, config);
        ran.await.with_context(|| format!("the cluster at {} cannot do this", self.address))
    }
}
