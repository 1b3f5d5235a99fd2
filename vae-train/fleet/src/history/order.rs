//! Files in the order of time, and their rows: as they lie, or sorted.

use std::sync::Arc;

use anyhow::Result;
use datafusion::{
    common::ScalarValue,
    execution::{SendableRecordBatchStream, context::SessionState},
    logical_expr::Operator,
    physical_expr::{
        LexOrdering, PhysicalSortExpr,
        expressions::{BinaryExpr, Column, Literal},
    },
    physical_plan::{
        ExecutionPlan, coalesce_partitions::CoalescePartitionsExec, execute_stream, filter::FilterExec,
        sorts::sort::SortExec, stream::RecordBatchStreamAdapter, union::UnionExec,
    },
};
use futures::{StreamExt, TryStreamExt, stream};

use crate::history::scan::{Scan, Wanted};

/// In which order rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// File after file, row after row: nothing is held in memory.
    AsTheyLie,
    /// By machine and time, in the engine's memory and on its disk.
    Sorted,
}

/// Which rows are read, and how.
#[derive(Clone, Copy, Debug)]
pub struct Select<'s> {
    /// Their order.
    pub order: Order,
    /// The only machine whose rows are read, where a column names it; all where none is given.
    pub machine: Option<&'s str>,
}

/// Puts files in the order of their first times where all say them, else in that of their names, in which numbers count as numbers.
pub fn arrange(scans: &mut [Scan]) {
    if scans.iter().all(|scan| scan.first.is_some()) {
        let first = |scan: &Scan| scan.first.unwrap_or(f64::NAN);
        scans.sort_by(|a, b| first(a).total_cmp(&first(b)));
    } else {
        scans.sort_by_key(|scan| natural(scan.file.meta.location.as_ref()));
    }
}

/// Files' rows, one batch after the other: the machine where a column names it, the time in seconds, the columns.
///
/// # Errors
/// If the engine cannot read them.
pub async fn rows(
    state: &SessionState,
    scans: &[Scan],
    wanted: &Wanted,
    select: Select<'_>,
) -> Result<SendableRecordBatchStream> {
    let mut plans = Vec::with_capacity(scans.len());
    for scan in scans {
        let plan = scan.plan(state, wanted).await?;
        plans.push(match select.machine {
            Some(machine) => only(machine, plan, wanted)?,
            None => plan,
        });
    }
    let context = state.task_ctx();
    if select.order == Order::Sorted {
        return Ok(execute_stream(sorted(plans, wanted)?, context)?);
    }
    let schema = wanted.schema();
    let each = stream::iter(plans).map(move |plan| execute_stream(plan, Arc::clone(&context)));
    let all = each.try_flatten();
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, all)))
}

/// A plan's rows of this machine.
fn only(machine: &str, plan: Arc<dyn ExecutionPlan>, wanted: &Wanted) -> Result<Arc<dyn ExecutionPlan>> {
    let Some(by) = &wanted.by else { return Ok(plan) };
    let name = Arc::new(Literal::new(ScalarValue::Utf8(Some(machine.to_owned()))));
    let is_its = Arc::new(BinaryExpr::new(Arc::new(Column::new(by, 0)), Operator::Eq, name));
    Ok(Arc::new(FilterExec::try_new(is_its, plan)?))
}

fn sorted(mut plans: Vec<Arc<dyn ExecutionPlan>>, wanted: &Wanted) -> Result<Arc<dyn ExecutionPlan>> {
    let all: Arc<dyn ExecutionPlan> = match plans.len() {
        1 => plans.remove(0),
        _ => Arc::new(CoalescePartitionsExec::new(UnionExec::try_new(plans)?)),
    };
    let keys = wanted.by.iter().chain([&wanted.time]);
    let keys = keys.enumerate().map(|(index, name)| PhysicalSortExpr::new_default(Arc::new(Column::new(name, index))));
    match LexOrdering::new(keys) {
        Some(keys) => Ok(Arc::new(SortExec::new(keys, all))),
        None => Ok(all),
    }
}

/// A name's texts and numbers: day-10 comes behind day-9.
fn natural(name: &str) -> Vec<(String, u64)> {
    let mut parts = vec![(String::new(), 0_u64)];
    let mut was_digit = false;
    for c in name.chars() {
        let digit = c.to_digit(10);
        if was_digit && digit.is_none() {
            parts.push((String::new(), 0));
        }
        if let Some((text, number)) = parts.last_mut() {
            match digit {
                Some(digit) => *number = number.saturating_mul(10).saturating_add(digit.into()),
                None => text.push(c),
            }
        }
        was_digit = digit.is_some();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count() {
        let mut names = ["day-10.csv", "day-9.csv", "2026/day-1.csv", "day.csv"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["2026/day-1.csv", "day-9.csv", "day-10.csv", "day.csv"]);
    }
}
