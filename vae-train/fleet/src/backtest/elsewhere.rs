//! A fleet's past, judged by a cluster: machines are dealt to executors, and what was counted comes back.

use std::{fs, sync::Arc};

use anyhow::{Context, Result, bail};
use datafusion::{
    arrow::array::{Array, AsArray, RecordBatch},
    execution::SendableRecordBatchStream,
    physical_plan::ExecutionPlan,
    prelude::SessionContext,
};
use futures::StreamExt;
use tokio::runtime::Runtime;

use crate::{
    backtest::{
        judging::{Judging, Task, Told},
        report::MachineReport,
        run::{Backtest, Bench, LeftOut, Outcome, Settings, conclude, prepared},
        tally::Tally,
    },
    cluster::client::Cluster,
    history::{
        order::{Order, arrange},
        scan::Scan,
        together::{Machines, together},
    },
};

/// Judges a history on a cluster, as [`super::run::run`] does here; `jobs` is how many parts those are dealt to whom a column names.
///
/// The executors read files and model by the paths that they have here.
///
/// # Errors
/// As here; and if the cluster fails, or an executor does not have the files.
pub fn run(
    runtime: &Runtime,
    session: &SessionContext,
    settings: &Settings,
    (cluster, jobs): (&Cluster, usize),
) -> Result<Backtest> {
    let (mut bench, scans, left_out) = prepared(runtime, session, settings, jobs)?;
    let is_in_folders = bench.wanted.by.is_none();
    // The machine is a column in either case.
    bench.wanted.by = Some(settings.by.clone());
    let model = fs::canonicalize(&settings.model)?;
    let fingerprint = bench.model.model()?.fingerprint();
    let wanted = bench.wanted.clone();
    let task = Arc::new(Task { model, fingerprint, alarms: settings.alarms.clone(), wanted });
    let pass = |machines: Machines, order: Order| {
        let plan = runtime.block_on(plan(&bench, &task, machines, order))?;
        runtime.block_on(async { told(cluster.run(session, plan).await?).await })
    };
    let machines = machines(scans, is_in_folders);
    let (mut outcomes, mut again) = (Vec::new(), Vec::new());
    for (name, told) in pass(machines.clone(), Order::AsTheyLie)? {
        match told {
            Told::Disorder => again.push(name),
            told => outcomes.push(outcome(&bench, name, told, false)?),
        }
    }
    if !again.is_empty() {
        let is_again = |name: &Option<String>| name.as_ref().is_none_or(|name| again.contains(name));
        if !is_in_folders {
            outcomes.clear();
        }
        let machines = machines.into_iter().filter(|(name, _)| is_again(name)).collect();
        for (name, told) in pass(machines, Order::Sorted)? {
            outcomes.push(outcome(&bench, name, told, true)?);
        }
    }
    conclude(&bench, settings, outcomes, left_out)
}

/// Each folder's files in their order; all files in theirs, where a column names the machines.
fn machines(scans: Vec<Scan>, is_in_folders: bool) -> Machines {
    let mut machines = Machines::new();
    for scan in scans {
        let name = scan.file.machine.clone().filter(|_| is_in_folders);
        match machines.iter_mut().find(|(other, _)| *other == name) {
            Some((_, scans)) => scans.push(scan),
            None => machines.push((name, vec![scan])),
        }
    }
    for (_, scans) in &mut machines {
        arrange(scans);
    }
    machines
}

async fn plan(bench: &Bench, task: &Arc<Task>, machines: Machines, order: Order) -> Result<Arc<dyn ExecutionPlan>> {
    let rows = together(&bench.state, machines, &bench.wanted, (order, bench.jobs)).await?;
    Ok(Arc::new(Judging::new(Arc::clone(task), rows)))
}

/// What the executors tell of each machine.
async fn told(mut stream: SendableRecordBatchStream) -> Result<Vec<(String, Told)>> {
    let mut all = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch: RecordBatch = batch?;
        let text = |index: usize| batch.columns().get(index).and_then(|column| column.as_string_opt::<i32>());
        let (names, told) =
            text(0).zip(text(1)).context("the executors tell something else: a defect of this program")?;
        for row in 0..names.len() {
            let told = serde_json::from_str(told.value(row)).context("what an executor tells cannot be read")?;
            all.push((names.value(row).to_owned(), told));
        }
    }
    Ok(all)
}

fn outcome(bench: &Bench, name: String, told: Told, was_sorted: bool) -> Result<Outcome> {
    let report = |tally: Tally| MachineReport::new(&name, &tally, &bench.asked, was_sorted);
    match told {
        Told::Judged(tally) => Ok(Ok(report(tally))),
        Told::Failed(reason) => Ok(Err(LeftOut { name, reason })),
        Told::Disorder => bail!("sorted rows are out of order: a defect of this program"),
    }
}
