//! Whether those who work together are the same program. Plans mean other things in other versions of the engine, and an executor that lacks a
//! function would be dropped late and without a word: so each connection to a scheduler says what it comes from, and others are refused.

use std::{error::Error, sync::LazyLock, time::Duration};

use anyhow::{Context, Result, bail};
use ballista_core::serde::protobuf::{GetJobStatusParams, scheduler_grpc_client::SchedulerGrpcClient};
use datafusion::DATAFUSION_VERSION;
use tonic::{
    Code, Request, Status,
    metadata::{AsciiMetadataValue, MetadataMap},
    transport::Endpoint,
};

use crate::function::{NAME, verdicts::UNPACK};

/// This program, its engine, and its functions: `vae-fleet/0.1.0 datafusion/55.2.0 vae+vae_verdict`.
pub static PROGRAM: LazyLock<String> = LazyLock::new(|| {
    let version = env!("CARGO_PKG_VERSION");
    format!("{FAMILY}{version} datafusion/{DATAFUSION_VERSION} {NAME}+{UNPACK}")
});

/// How each version's name begins.
const FAMILY: &str = "vae-fleet/";
/// The header by which a caller asks a scheduler for its name.
const ASKS: &str = "vae-fleet-handshake";
/// How long a scheduler may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a connection say that it comes from this program.
///
/// # Errors
/// Never: the name is a header.
pub fn introduced(endpoint: Endpoint) -> Result<Endpoint, Box<dyn Error + Send + Sync>> {
    Ok(endpoint.user_agent(PROGRAM.as_str())?)
}

/// Asks the scheduler at an address, `http://host:50050`, whether it is of `program`, which is [`PROGRAM`] but in tests.
///
/// # Errors
/// If none answers, or it is of another version, or another program's.
pub async fn greet(url: &str, program: &str) -> Result<()> {
    let endpoint = Endpoint::from_shared(url.to_owned()).with_context(|| format!("{url} is no address"))?;
    let endpoint = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE);
    let channel = endpoint.connect().await.with_context(|| {
        format!("no scheduler answers at {url}: start one there with `vae-fleet scheduler`, or give another address")
    })?;
    let mut request = Request::new(GetJobStatusParams { job_id: String::new() });
    request.metadata_mut().insert(ASKS, AsciiMetadataValue::from_static("1"));
    match SchedulerGrpcClient::new(channel).get_job_status(request).await {
        Err(status) if status.code() == Code::FailedPrecondition && status.message() == program => Ok(()),
        Err(status) if status.message().starts_with(FAMILY) => bail!(
            "the scheduler at {url} is {}, and this is {program}: install the same version on all machines",
            status.message()
        ),
        _ => bail!("what answers at {url} is no scheduler of vae-fleet: start one with `vae-fleet scheduler`"),
    }
}

/// Lets in whoever is this program, and tells who asks what this program is.
///
/// # Errors
/// As an answer to who asks; and to callers of another version.
pub(super) fn admit(request: Request<()>) -> Result<Request<()>, Status> {
    let program = PROGRAM.as_str();
    if said(request.metadata(), ASKS).is_some() {
        return Err(Status::failed_precondition(program));
    }
    let caller = said(request.metadata(), "user-agent").unwrap_or("a program without a name");
    // The transport adds its own name.
    let is_ours = caller.strip_prefix(program).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    if is_ours {
        return Ok(request);
    }
    Err(Status::failed_precondition(format!(
        "this scheduler is {program}, and {caller} asks: install the same version on all machines"
    )))
}

fn said<'m>(metadata: &'m MetadataMap, key: &str) -> Option<&'m str> {
    metadata.get(key)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_version_is_let_in() {
        let from = |agent: &'static str| {
            let mut request = Request::new(());
            request.metadata_mut().insert("user-agent", AsciiMetadataValue::from_static(agent));
            admit(request).is_ok()
        };
        let ours = PROGRAM.as_str();
        assert!(from(ours.to_owned().leak()));
        assert!(from(format!("{ours} tonic/0.14.9").leak()));
        assert!(!from(format!("{ours}+more tonic/0.14.9").leak()));
        assert!(!from("vae-fleet/0.0.9 datafusion/54.0.0 vae tonic/0.14.9"));
        assert!(!from("tonic/0.14.9"));
        assert!(admit(Request::new(())).is_err());
    }
}
