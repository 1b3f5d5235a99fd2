//! `vae-fleet query`: SQL over histories.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use datafusion::execution::SendableRecordBatchStream;
#[cfg(feature = "ballista")]
use datafusion::physical_plan::{execute_stream, explain::ExplainExec};

#[cfg(feature = "ballista")]
use crate::cluster::client::Cluster;
use crate::{
    cli::{
        GENERAL,
        context::{Context, Limits, Place, note, print, runtime},
    },
    engine::Resources,
    query,
    results::{Format, write, write_to},
    words::{numbers::count, output::Existing},
};

/// Query files by SQL, in which the device's detector is the window function `vae`.
///
/// `vae('pump.vae', time, x, y, z) OVER (PARTITION BY machine ORDER BY time)` gives a struct per row: score, p_value, verdict, channel, cause, alarm;
/// null for rows that complete no window. `vae('pump.vae', '1/week', time, …)` judges by another rate of alarms than the model's own.
///
/// Files are tables, named in single quotes: Parquet, CSV and JSON lines; folders like `machine=0007` are columns.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  vae-fleet query \"SELECT machine, time, vae('pump.vae', time, x, y, z) OVER (PARTITION BY machine ORDER BY time) AS judged
                   FROM 'history/**/*.parquet' QUALIFY judged IS NOT NULL\" --out judged.parquet")]
pub(super) struct Query {
    /// One statement or several, with `;` between them; the last one's result is written.
    sql: String,
    /// File to write: .csv, .json (an object a line) or .parquet [default: CSV on standard output].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace the file in --out.
    #[arg(long, help_heading = GENERAL)]
    force: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    limits: Limits,
}

impl Query {
    pub(super) fn run(self, context: Context) -> Result<()> {
        let existing = Existing::from_force(self.force);
        if let Some(path) = &self.out {
            Format::of(path)?;
            existing.check(path)?;
        }
        let resources = self.limits.resources();
        let runtime = runtime(resources.jobs)?;
        let stream = runtime.block_on(self.stream(&resources))?;
        let Some(path) = &self.out else {
            let format = if context.json { Format::Json } else { Format::Csv };
            let mut text = Vec::new();
            write_to(&runtime, stream, format, &mut text)?;
            return print(String::from_utf8_lossy(&text).trim_end());
        };
        ensure!(!context.json, "--json is for a result on standard output: give --out a name that ends in .json");
        let rows = write(&runtime, stream, path, existing)?;
        note(&format!("{}: {} rows", path.display(), count(rows)));
        Ok(())
    }

    #[cfg(not(feature = "ballista"))]
    async fn stream(&self, resources: &Resources) -> Result<SendableRecordBatchStream> {
        self.place.is_here()?;
        query::run(&resources.session()?, &self.sql).await
    }

    #[cfg(feature = "ballista")]
    async fn stream(&self, resources: &Resources) -> Result<SendableRecordBatchStream> {
        let Some(cluster) = self.place.cluster().await? else {
            return query::run(&resources.session()?, &self.sql).await;
        };
        let session = resources.session_with(Cluster::config)?;
        let plan = query::plan(&session, &self.sql).await?;
        // How it would be done is known here.
        if plan.is::<ExplainExec>() {
            return Ok(execute_stream(plan, session.task_ctx())?);
        }
        cluster.run(&session, plan).await
    }
}
