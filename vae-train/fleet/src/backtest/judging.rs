//! An operator that judges machines: rows in, an outcome for each machine out. What executors of a cluster run.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt::{self, Formatter},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use ballista_core::serde::BallistaPhysicalExtensionCodec;
use datafusion::{
    arrow::{
        array::{RecordBatch, StringArray},
        datatypes::{DataType, Field, Schema, SchemaRef},
    },
    common::{Result as EngineResult, internal_err, tree_node::TreeNodeRecursion},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use datafusion_proto::physical_plan::{PhysicalExtensionCodec, PhysicalProtoConverterExtension};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use crate::{
    backtest::{machine::Machine, tally::Tally},
    cluster::Codec,
    function::of_ours,
    history::{rows::Rows, scan::Wanted},
    model,
    words::rates::parse_alarms,
};

/// What machines are judged by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Task {
    /// The model's file, which each executor reads.
    pub(super) model: PathBuf,
    /// Its checksum: the file there is to be the same one.
    pub(super) fingerprint: u32,
    /// The alarms that are accepted, as in `1/week`.
    pub(super) alarms: Option<String>,
    /// What the rows are.
    pub(super) wanted: Wanted,
}

/// What has come of a machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Told {
    /// It was judged.
    Judged(Tally),
    /// Its rows are not in the order of time.
    Disorder,
    /// It cannot be judged: why.
    Failed(String),
}

/// Columns of what the operator gives: a machine, and what has come of it as JSON.
pub(super) const COLUMNS: [&str; 2] = ["machine", "told"];

/// The operator.
#[derive(Clone, Debug)]
pub(super) struct Judging {
    task: Arc<Task>,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Judging {
    /// Judges the machines of each of the input's partitions.
    pub(super) fn new(task: Arc<Task>, input: Arc<dyn ExecutionPlan>) -> Self {
        let schema = Arc::new(Schema::new(COLUMNS.map(|name| Field::new(name, DataType::Utf8, false)).to_vec()));
        let partitions = Partitioning::UnknownPartitioning(input.output_partitioning().partition_count());
        let equivalence = EquivalenceProperties::new(schema);
        let properties = PlanProperties::new(equivalence, partitions, EmissionType::Final, Boundedness::Bounded);
        Self { task, input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for Judging {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Judging: model={}", self.task.model.display())
    }
}

impl ExecutionPlan for Judging {
    fn name(&self) -> &'static str {
        "Judging"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> EngineResult<TreeNodeRecursion>,
    ) -> EngineResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(Arc::clone(&self.task), input))),
            _ => internal_err!("judging takes the rows of one plan"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> EngineResult<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (task, schema) = (Arc::clone(&self.task), self.schema());
        let told = Arc::clone(&schema);
        let outcome = async move { judge(&task, input, told).await.map_err(of_ours) };
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::once(outcome))))
    }
}

/// A machine on its way, or what has come of it.
enum State {
    Going(Box<Machine>),
    Over(Told),
}

async fn judge(task: &Task, mut input: SendableRecordBatchStream, schema: SchemaRef) -> Result<RecordBatch> {
    let model = model::open(&task.model)?;
    let found = model.model()?.fingerprint();
    ensure!(
        found == task.fingerprint,
        "the model {} is {found:08x} on this executor, and {:08x} where the backtest was begun: put the same file there",
        task.model.display(),
        task.fingerprint
    );
    let alarms = task.alarms.as_deref().map(parse_alarms).transpose()?;
    let mut machines = BTreeMap::<String, State>::new();
    while let Some(batch) = input.next().await {
        let batch = batch?;
        let rows = Rows::of(&batch, &task.wanted)?;
        for (name, range) in rows.runs()? {
            let name = name.unwrap_or_default();
            let state = match machines.entry(name.to_owned()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(State::Going(Box::new(Machine::new(name, &model, alarms)?))),
            };
            let State::Going(machine) = state else { continue };
            match machine.judge(&rows, range) {
                Ok(None) => {}
                Ok(Some(_)) => *state = State::Over(Told::Disorder),
                Err(error) => *state = State::Over(Told::Failed(format!("{error:#}"))),
            }
        }
    }
    let (mut names, mut outcomes) = (Vec::new(), Vec::new());
    for (name, state) in machines {
        let told = match state {
            State::Going(machine) => Told::Judged(machine.tally),
            State::Over(told) => told,
        };
        names.push(name);
        outcomes.push(serde_json::to_string(&told)?);
    }
    let columns = [names, outcomes].map(|texts| Arc::new(StringArray::from(texts)) as _);
    RecordBatch::try_new(schema, columns.to_vec()).context("outcomes are no table")
}

/// How the operator's bytes begin; the cluster's own operators are messages whose first byte is another one.
const MARK: &[u8] = b"vae-fleet judging ";

/// The operator as bytes; the cluster's own operators as they are.
#[derive(Debug, Default)]
struct Bytes(BallistaPhysicalExtensionCodec);

/// What a cluster needs to know of this program's operators.
#[must_use]
pub fn codec() -> Codec {
    Arc::new(Bytes::default())
}

impl PhysicalExtensionCodec for Bytes {
    fn try_decode(
        &self,
        bytes: &[u8],
        inputs: &[Arc<dyn ExecutionPlan>],
        context: &TaskContext,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> EngineResult<Arc<dyn ExecutionPlan>> {
        let Some(task) = bytes.strip_prefix(MARK) else {
            return self.0.try_decode(bytes, inputs, context, converter);
        };
        let task = serde_json::from_slice::<Task>(task).map_err(|error| of_ours(error.into()))?;
        match inputs {
            [input] => Ok(Arc::new(Judging::new(Arc::new(task), Arc::clone(input)))),
            _ => internal_err!("judging takes the rows of one plan"),
        }
    }

    fn try_encode(
        &self,
        node: Arc<dyn ExecutionPlan>,
        bytes: &mut Vec<u8>,
        converter: &dyn PhysicalProtoConverterExtension,
    ) -> EngineResult<()> {
        let Some(judging) = node.downcast_ref::<Judging>() else {
            return self.0.try_encode(node, bytes, converter);
        };
        bytes.extend_from_slice(MARK);
        serde_json::to_writer(bytes, &*judging.task).map_err(|error| of_ours(error.into()))
    }
}
