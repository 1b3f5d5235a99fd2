//! Several machines at one history, by Apache Ballista: a scheduler, executors that know this program's functions, and who gives them work.

pub mod address;
pub mod client;
pub mod executor;
pub mod handshake;
pub mod scheduler;

use std::sync::Arc;

use datafusion_proto::physical_plan::PhysicalExtensionCodec;

/// What turns this program's own operators into bytes and back: the same on all machines.
pub type Codec = Arc<dyn PhysicalExtensionCodec>;

/// Most bytes of a message: a plan names each of its files.
const MESSAGE: u32 = 64 << 20;
