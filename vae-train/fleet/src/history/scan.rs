//! One file's rows, as a judge takes them: machine, time in seconds, the model's columns as 32-bit numbers.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use datafusion::{
    arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    common::ScalarValue,
    datasource::{
        listing::PartitionedFile,
        physical_plan::{FileScanConfigBuilder, FileSource},
        table_schema::TableSchema,
    },
    execution::context::SessionState,
    logical_expr::Operator,
    physical_expr::{
        PhysicalExpr,
        expressions::{BinaryExpr, CastExpr, Column, Literal},
    },
    physical_plan::{ExecutionPlan, projection::ProjectionExec},
};
use serde::{Deserialize, Serialize};

use crate::history::files::{File, Kind};

/// Which columns are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// The column of machines' names; none where folders name them.
    pub by: Option<String>,
    /// The column of times.
    pub time: String,
    /// Seconds in a unit of a time that is a number.
    pub unit: f64,
    /// The model's columns.
    pub columns: Vec<String>,
}

impl Wanted {
    /// What a scan gives: the machine where a column names it, the time in seconds, the columns.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let by = self.by.iter().map(|by| Field::new(by, DataType::Utf8, true));
        let numbers = self.columns.iter().map(|name| Field::new(name, DataType::Float32, true));
        Arc::new(Schema::new(
            by.chain([Field::new(&self.time, DataType::Float64, true)]).chain(numbers).collect::<Vec<_>>(),
        ))
    }
}

/// A file whose columns are known to be there.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The file.
    pub file: File,
    /// Its columns, as they are read.
    pub(super) schema: SchemaRef,
    /// The least of its times, in the file's own unit, where its metadata say.
    pub(super) first: Option<f64>,
}

impl Scan {
    /// Looks at a file's columns, and at the least of its times where the format says it without being read.
    ///
    /// # Errors
    /// If it cannot be read, or lacks a column, or has one of another kind: names them.
    pub async fn of(state: &SessionState, file: &File, wanted: &Wanted) -> Result<Self> {
        let name = file.name();
        let cannot = || format!("{name} cannot be read");
        let format = file.format();
        let store = state.runtime_env().object_store(&file.store).with_context(cannot)?;
        let metas = std::slice::from_ref(&file.meta);
        let found = format.infer_schema(state, &store, metas).await.with_context(cannot)?;
        let schema = Arc::new(as_read(&found, file.kind, wanted));
        check(&schema, wanted).with_context(|| name.clone())?;
        let statistics =
            format.infer_stats(state, &store, Arc::clone(&schema), &file.meta).await.with_context(cannot)?;
        let first = schema.index_of(&wanted.time).ok().and_then(|index| {
            let least = statistics.column_statistics.get(index)?.min_value.get_value()?;
            match least.cast_to(&DataType::Float64) {
                Ok(ScalarValue::Float64(least)) => least,
                _ => instant(least),
            }
        });
        Ok(Self { file: file.clone(), schema, first })
    }

    /// What reads the file's rows in their order.
    ///
    /// # Errors
    /// If the engine cannot make a plan of it.
    pub async fn plan(&self, state: &SessionState, wanted: &Wanted) -> Result<Arc<dyn ExecutionPlan>> {
        let format = self.file.format();
        let names = wanted.by.iter().chain([&wanted.time]).chain(&wanted.columns);
        let indices = names.map(|name| self.schema.index_of(name)).collect::<Result<Vec<_>, _>>()?;
        let source: Arc<dyn FileSource> = format.file_source(TableSchema::from(&self.schema));
        let file = PartitionedFile::new_from_meta(self.file.meta.clone());
        let config = FileScanConfigBuilder::new(self.file.store.clone(), source)
            .with_file(file)
            .with_file_compression_type(self.file.packing)
            .with_projection_indices(Some(indices))?
            .build();
        converted(format.create_physical_plan(state, config).await?, wanted)
    }
}

/// The wanted columns, which `read` has in their order, as a judge takes them.
pub(super) fn converted(read: Arc<dyn ExecutionPlan>, wanted: &Wanted) -> Result<Arc<dyn ExecutionPlan>> {
    let time = usize::from(wanted.by.is_some());
    let mut columns: Vec<(Arc<dyn PhysicalExpr>, String)> = Vec::new();
    for (index, (field, target)) in read.schema().fields().iter().zip(wanted.schema().fields()).enumerate() {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), index));
        let value = if index == time {
            seconds(column, field.data_type(), wanted.unit)
        } else {
            cast(column, target.data_type())
        };
        columns.push((value, target.name().clone()));
    }
    Ok(Arc::new(ProjectionExec::try_new(columns, read)?))
}

/// A timestamp as a number, to compare it with others of its file's kind.
fn instant(value: &ScalarValue) -> Option<f64> {
    let nanoseconds = value.cast_to(&DataType::Timestamp(TimeUnit::Nanosecond, None)).ok()?;
    match nanoseconds {
        ScalarValue::TimestampNanosecond(Some(value), _) => Some(value as f64),
        _ => None,
    }
}

/// The columns with the types that text is read as: what looks like a number in the first rows need not be one, or a whole one, in the last.
fn as_read(found: &Schema, kind: Kind, wanted: &Wanted) -> Schema {
    if kind == Kind::Parquet {
        return found.clone();
    }
    let read = |field: &Arc<Field>| {
        let is_number = field.data_type().is_numeric() || *field.data_type() == DataType::Null;
        let read = match field.name() {
            // A machine may be called 0007.
            name if wanted.by.as_ref() == Some(name) && kind == Kind::Csv => DataType::Utf8,
            name if *name == wanted.time && is_number => DataType::Float64,
            name if wanted.columns.contains(name) && is_number => DataType::Float32,
            _ => field.data_type().clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(read).with_nullable(true))
    };
    Schema::new(found.fields().iter().map(read).collect::<Vec<_>>())
}

/// Refuses files that lack a column, or have one of another kind.
fn check(schema: &Schema, wanted: &Wanted) -> Result<()> {
    let names = wanted.by.iter().chain([&wanted.time]).chain(&wanted.columns);
    let missing: Vec<&str> = names.filter(|name| schema.index_of(name).is_err()).map(String::as_str).collect();
    if !missing.is_empty() {
        let there: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        bail!("it has no column {}; it has {}", missing.join(", "), there.join(", "));
    }
    for name in &wanted.columns {
        let found = schema.field_with_name(name)?.data_type();
        if !(found.is_numeric() || matches!(found, DataType::Boolean | DataType::Null)) {
            bail!("its column {name} is of type {found}, and a model takes numbers");
        }
    }
    let found = schema.field_with_name(&wanted.time)?.data_type();
    let is_time = found.is_numeric()
        || found.is_string()
        || matches!(found, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
    if !is_time {
        bail!("its column {} is of type {found}, and a time is a timestamp or a number", wanted.time);
    }
    Ok(())
}

fn cast(column: Arc<dyn PhysicalExpr>, to: &DataType) -> Arc<dyn PhysicalExpr> {
    Arc::new(CastExpr::new(column, to.clone(), None))
}

/// A time as seconds.
fn seconds(column: Arc<dyn PhysicalExpr>, found: &DataType, unit: f64) -> Arc<dyn PhysicalExpr> {
    let (number, operator, factor) = if found.is_numeric() {
        if unit == 1.0 {
            return cast(column, &DataType::Float64);
        }
        (column, Operator::Multiply, unit)
    } else {
        let instant = cast(column, &DataType::Timestamp(TimeUnit::Nanosecond, None));
        (cast(instant, &DataType::Int64), Operator::Divide, 1e9)
    };
    let factor = Arc::new(Literal::new(ScalarValue::Float64(Some(factor))));
    Arc::new(BinaryExpr::new(cast(number, &DataType::Float64), operator, factor))
}

/// The columns of a file that hold numbers, but for these.
///
/// # Errors
/// If it cannot be read, or has none.
pub async fn numeric_columns(state: &SessionState, file: &File, but: &[&str]) -> Result<Vec<String>> {
    let cannot = || format!("{} cannot be read", file.name());
    let store = state.runtime_env().object_store(&file.store).with_context(cannot)?;
    let metas = std::slice::from_ref(&file.meta);
    let schema = file.format().infer_schema(state, &store, metas).await.with_context(cannot)?;
    let numeric =
        schema.fields().iter().filter(|field| field.data_type().is_numeric() && !but.contains(&field.name().as_str()));
    let names: Vec<String> = numeric.map(|field| field.name().clone()).collect();
    if names.is_empty() {
        bail!("{} has no column of numbers beside {}: name them with --columns", file.name(), but.join(" and "));
    }
    Ok(names)
}
