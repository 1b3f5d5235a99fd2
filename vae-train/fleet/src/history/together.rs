//! Files of many machines in one plan, a partition for each: what is cut into tasks of a cluster.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use datafusion::{
    arrow::datatypes::{DataType, Field},
    common::ScalarValue,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileGroup, FileScanConfigBuilder},
        table_schema::TableSchema,
    },
    execution::context::SessionState,
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan, Partitioning, repartition::RepartitionExec, sorts::sort::SortExec, union::UnionExec,
    },
};

use crate::history::{
    order::Order,
    scan::{Scan, Wanted, converted},
};

/// The column of names that folders give; no file's own column is called so.
const NAME: &str = "vae_fleet_machine";

/// Machines and the files of each, in their order; the name is none where a column of the files names the machine.
pub type Machines = Vec<(Option<String>, Vec<Scan>)>;

/// What reads machines' rows, those of each in one partition: machine, time, columns. Folders are partitions of their own; those that a column names
/// are dealt to `jobs` partitions.
///
/// # Errors
/// If a machine's files have columns of different types, or the engine cannot make a plan of them.
pub async fn together(
    state: &SessionState,
    machines: Machines,
    wanted: &Wanted,
    (order, jobs): (Order, usize),
) -> Result<Arc<dyn ExecutionPlan>> {
    let by_column = machines.iter().any(|(name, _)| name.is_none());
    let mut plans = Vec::new();
    for machines in alike(machines)? {
        plans.push(read(state, &machines, wanted).await?);
    }
    let mut plan = match plans.len() {
        1 => plans.remove(0),
        _ => UnionExec::try_new(plans)?,
    };
    let column = |index: usize, name: &str| Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>;
    let by = wanted.by.as_deref().unwrap_or_default();
    if by_column {
        plan = Arc::new(RepartitionExec::try_new(plan, Partitioning::Hash(vec![column(0, by)], jobs))?);
    }
    if order == Order::Sorted {
        let keys = [column(0, by), column(1, &wanted.time)].map(PhysicalSortExpr::new_default);
        let keys = LexOrdering::new(keys).context("no columns to sort by")?;
        plan = Arc::new(SortExec::new(keys, plan).with_preserve_partitioning(true));
    }
    Ok(plan)
}

/// Machines whose files can be read by one plan: of one kind, in one store, with the same columns.
fn alike(machines: Machines) -> Result<Vec<Machines>> {
    let mut classes: Vec<Machines> = Vec::new();
    let is_like = |a: &Scan, b: &Scan| {
        a.file.kind == b.file.kind
            && a.file.packing == b.file.packing
            && a.file.store == b.file.store
            && a.schema == b.schema
    };
    for (name, scans) in machines {
        let Some(first) = scans.first() else { continue };
        if let Some(other) = scans.iter().find(|scan| !is_like(first, scan)) {
            bail!(
                "the columns of {} and {} are of different types, which a cluster does not read as one history: judge them without --scheduler",
                first.file.name(),
                other.file.name()
            );
        }
        let class = classes.iter_mut().find(|class| {
            let of_class = class.first().and_then(|(_, scans)| scans.first());
            of_class.is_some_and(|of_class| is_like(first, of_class))
        });
        match class {
            Some(class) => class.push((name, scans)),
            None => classes.push(vec![(name, scans)]),
        }
    }
    Ok(classes)
}

/// Reads machines that are alike, each in a partition.
async fn read(state: &SessionState, machines: &Machines, wanted: &Wanted) -> Result<Arc<dyn ExecutionPlan>> {
    let first = machines.first().and_then(|(_, scans)| scans.first()).context("no files")?;
    let (format, file) = (first.file.format(), &first.file);
    let name = Arc::new(Field::new(NAME, DataType::Utf8, true));
    let table = TableSchema::builder(Arc::clone(&first.schema)).with_table_partition_cols(vec![name]).build();
    let by_column = machines.iter().any(|(name, _)| name.is_none());
    let by = match &wanted.by {
        Some(by) if by_column => first.schema.index_of(by)?,
        _ => first.schema.fields().len(),
    };
    let mut indices = vec![by];
    for name in [&wanted.time].into_iter().chain(&wanted.columns) {
        indices.push(first.schema.index_of(name)?);
    }
    let groups = machines.iter().map(|(name, scans)| {
        let files = scans.iter().map(|scan| {
            let mut file = PartitionedFile::new_from_meta(scan.file.meta.clone());
            file.partition_values = vec![ScalarValue::Utf8(name.clone())];
            file
        });
        FileGroup::new(files.collect())
    });
    let config = FileScanConfigBuilder::new(file.store.clone(), format.file_source(table))
        .with_file_groups(groups.collect())
        .with_file_compression_type(file.packing)
        .with_projection_indices(Some(indices))?
        .build();
    converted(format.create_physical_plan(state, config).await?, wanted)
}
