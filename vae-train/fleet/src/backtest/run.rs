//! Judges a fleet's past: machine by machine, in the order of time, in constant memory.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, Result, bail};
use datafusion::{execution::context::SessionState, prelude::SessionContext};
use futures::{StreamExt, stream};
use serde::Serialize;
use tokio::runtime::Runtime;
use vae_core::Alarms;

use crate::{
    backtest::{
        columns::by_column,
        machine::{Disorder, Machine},
        report::{Asked, FleetReport, MachineReport},
    },
    history::{
        files::{File, find},
        order::{Order, Select, arrange, rows},
        rows::Rows,
        scan::{Scan, Wanted},
    },
    model::{self, LoadedModel},
    words::rates::parse_alarms,
};

/// Files whose columns are looked at at once: object stores answer slowly.
const AT_ONCE: usize = 16;

/// What to judge, and by what.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The model file.
    pub model: PathBuf,
    /// Patterns of files.
    pub history: Vec<String>,
    /// The column, or folder, that names the machine.
    pub by: String,
    /// The column of times.
    pub time: String,
    /// Seconds in a unit of a time that is a number.
    pub unit: f64,
    /// The alarms that are accepted, as in `1/week`; the model's own where none are given.
    pub alarms: Option<String>,
}

/// What could not be judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeftOut {
    /// A machine or a file.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// The outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backtest {
    /// The model file.
    pub model: PathBuf,
    /// Its checksum.
    pub fingerprint: u32,
    /// What it was held to.
    pub asked: Asked,
    /// All machines together.
    pub fleet: FleetReport,
    /// Each machine, by name.
    pub machines: Vec<MachineReport>,
    /// What could not be judged.
    pub left_out: Vec<LeftOut>,
}

/// What all machines are judged by.
#[derive(Clone, Debug)]
pub(super) struct Bench {
    pub(super) model: Arc<LoadedModel>,
    pub(super) asked: Asked,
    pub(super) alarms: Option<Alarms>,
    pub(super) wanted: Wanted,
    pub(super) state: SessionState,
    pub(super) jobs: usize,
}

/// A machine's report, or why there is none.
pub(super) type Outcome = std::result::Result<MachineReport, LeftOut>;

/// Judges a history.
///
/// Rows are judged as they lie, file after file. Where a machine's are out of order, it is begun anew with its rows sorted.
///
/// # Errors
/// If the model cannot judge, or no file can be read. A file or a machine that cannot is a line in the outcome.
pub fn run(runtime: &Runtime, session: &SessionContext, settings: &Settings, jobs: usize) -> Result<Backtest> {
    let (bench, scans, left_out) = prepared(runtime, session, settings, jobs)?;
    let is_in_folders = bench.wanted.by.is_none();
    let outcomes = if is_in_folders { by_folder(runtime, &bench, scans)? } else { by_column(runtime, &bench, scans)? };
    conclude(&bench, settings, outcomes, left_out)
}

/// The model and the files that it can judge, and those that it cannot.
pub(super) fn prepared(
    runtime: &Runtime,
    session: &SessionContext,
    settings: &Settings,
    jobs: usize,
) -> Result<(Bench, Vec<Scan>, Vec<LeftOut>)> {
    let model = model::open(&settings.model)?;
    let alarms = settings.alarms.as_deref().map(parse_alarms).transpose()?;
    // Before much is read.
    Machine::new("", &model, alarms)?;
    let asked = Asked::of(&model, alarms)?;
    let files = runtime.block_on(find(session, &settings.history, &settings.by))?;
    let is_in_folders = files.iter().any(|file| file.machine.is_some());
    let wanted = Wanted {
        by: (!is_in_folders).then(|| settings.by.clone()),
        time: settings.time.clone(),
        unit: settings.unit,
        columns: model.columns().map(str::to_owned).collect(),
    };
    let bench = Bench { model, asked, alarms, wanted, state: session.state(), jobs };
    let (scans, left_out) = runtime.block_on(scans(&bench, files));
    if scans.is_empty() {
        let LeftOut { name, reason } = left_out.first().context("no files")?;
        bail!("none of the {} files can be judged; {name}: {reason}", left_out.len());
    }
    Ok((bench, scans, left_out))
}

/// The outcome of all machines.
pub(super) fn conclude(
    bench: &Bench,
    settings: &Settings,
    outcomes: Vec<Outcome>,
    mut left_out: Vec<LeftOut>,
) -> Result<Backtest> {
    let mut machines = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(report) => machines.push(report),
            Err(reason) => left_out.push(reason),
        }
    }
    machines.sort_by(|a, b| a.machine.cmp(&b.machine));
    left_out.sort_by(|a, b| a.name.cmp(&b.name));
    let fleet = FleetReport::new(&machines, &bench.asked);
    let fingerprint = bench.model.model()?.fingerprint();
    Ok(Backtest { model: settings.model.clone(), fingerprint, asked: bench.asked, fleet, machines, left_out })
}

async fn scans(bench: &Bench, files: Vec<File>) -> (Vec<Scan>, Vec<LeftOut>) {
    let Bench { state, wanted, .. } = bench;
    let scan = |file: File| async move {
        let scan = Scan::of(state, &file, wanted).await;
        scan.map_err(|error| LeftOut { name: file.name(), reason: format!("{error:#}") })
    };
    let found: Vec<_> = stream::iter(files).map(scan).buffered(AT_ONCE).collect().await;
    let (mut scans, mut left_out) = (Vec::new(), Vec::new());
    for scan in found {
        match scan {
            Ok(scan) => scans.push(scan),
            Err(reason) => left_out.push(reason),
        }
    }
    (scans, left_out)
}

/// Machines in folders of their own: as many at once as there are jobs.
fn by_folder(runtime: &Runtime, bench: &Bench, scans: Vec<Scan>) -> Result<Vec<Outcome>> {
    let mut machines = BTreeMap::<String, Vec<Scan>>::new();
    for scan in scans {
        machines.entry(scan.file.machine.clone().unwrap_or_default()).or_default().push(scan);
    }
    let tasks = machines.into_iter().map(|(name, scans)| {
        let bench = bench.clone();
        async move {
            let task = tokio::spawn(async move {
                let report = folder(&bench, &name, scans).await;
                report.map_err(|error| LeftOut { name, reason: format!("{error:#}") })
            });
            task.await.context("a machine could not be judged: a defect of this program")
        }
    });
    let outcomes = stream::iter(tasks).buffer_unordered(bench.jobs).collect::<Vec<_>>();
    runtime.block_on(outcomes).into_iter().collect()
}

async fn folder(bench: &Bench, name: &str, mut scans: Vec<Scan>) -> Result<MachineReport> {
    arrange(&mut scans);
    let (mut machine, mut was_sorted) = (Machine::new(name, &bench.model, bench.alarms)?, false);
    if pass(bench, &scans, Order::AsTheyLie, &mut machine).await?.is_some() {
        (machine, was_sorted) = (Machine::new(name, &bench.model, bench.alarms)?, true);
        if let Some(disorder) = pass(bench, &scans, Order::Sorted, &mut machine).await? {
            bail!("sorted rows are out of order, a defect of this program: {disorder}");
        }
    }
    Ok(MachineReport::new(name, &machine.tally, &bench.asked, was_sorted))
}

async fn pass(bench: &Bench, scans: &[Scan], order: Order, machine: &mut Machine) -> Result<Option<Disorder>> {
    let mut stream = rows(&bench.state, scans, &bench.wanted, Select { order, machine: None }).await?;
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        let rows = Rows::of(&batch, &bench.wanted)?;
        for (_, range) in rows.runs()? {
            if let Some(disorder) = machine.judge(&rows, range)? {
                return Ok(Some(disorder));
            }
        }
    }
    Ok(None)
}
