//! Statements of SQL over files.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use datafusion::{
    dataframe::DataFrame,
    execution::SendableRecordBatchStream,
    physical_plan::{ExecutionPlan, execute_stream},
    prelude::SessionContext,
    sql::parser::DFParser,
};

/// Runs statements one after the other and returns what the last of them gives, as a stream that is computed while it is read.
///
/// # Errors
/// Those of [`plan`].
pub async fn run(context: &SessionContext, sql: &str) -> Result<SendableRecordBatchStream> {
    Ok(execute_stream(plan(context, sql).await?, context.task_ctx())?)
}

/// Runs all statements but the last, one after the other, and returns how that one would be run.
///
/// Those before it set options or declare tables: `CREATE EXTERNAL TABLE … WITH ORDER (machine, time)`.
///
/// # Errors
/// If a statement is wrong or fails, or there is none.
pub async fn plan(context: &SessionContext, sql: &str) -> Result<Arc<dyn ExecutionPlan>> {
    let statements = DFParser::parse_sql(sql).context("the query cannot be read")?;
    let mut last: Option<DataFrame> = None;
    for statement in statements {
        if let Some(frame) = last.take() {
            frame.collect().await?;
        }
        let plan = context.state().statement_to_plan(statement).await.map_err(hint)?;
        last = Some(context.execute_logical_plan(plan).await?);
    }
    match last {
        Some(frame) => Ok(frame.create_physical_plan().await?),
        None => bail!("the query is empty"),
    }
}

/// What a table that is not found may mean.
fn hint(error: datafusion::error::DataFusionError) -> anyhow::Error {
    let text = error.to_string();
    let error = anyhow::Error::new(error);
    if text.contains("not found") && text.contains("table '") {
        return error.context(
            "files are named in single quotes, and have to be there: FROM 'history/**/*.parquet'; their names end in .parquet, .csv or .json",
        );
    }
    error
}
