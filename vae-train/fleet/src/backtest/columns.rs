//! Machines that a column names: one reader, and threads that have the machines among them.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use anyhow::{Result, anyhow, bail};
use datafusion::arrow::array::RecordBatch;
use futures::StreamExt;
use tokio::runtime::Runtime;

use crate::{
    backtest::{
        machine::Machine,
        report::MachineReport,
        run::{Bench, LeftOut, Outcome},
    },
    history::{
        order::{Order, Select, arrange, rows},
        rows::Rows,
        scan::Scan,
    },
};

/// Batches that wait for a thread: what bounds the memory.
const WAITING: usize = 4;

/// Rows that follow each other and are of one machine.
struct Run {
    machine: usize,
    name: Arc<str>,
    rows: Range<usize>,
}

struct Chunk {
    batch: RecordBatch,
    runs: Vec<Run>,
}

/// What a thread has made of its machines; none where rows are out of order.
type Judged = Option<Vec<std::result::Result<Machine, LeftOut>>>;

/// Judges all machines of some files, their rows as they lie; where those of one are out of order, all sorted.
pub(super) fn by_column(runtime: &Runtime, bench: &Bench, mut scans: Vec<Scan>) -> Result<Vec<Outcome>> {
    arrange(&mut scans);
    for (order, was_sorted) in [(Order::AsTheyLie, false), (Order::Sorted, true)] {
        if let Some(machines) = pass(runtime, bench, &scans, order)? {
            let report = |machine: Machine| MachineReport::new(&machine.name, &machine.tally, &bench.asked, was_sorted);
            return Ok(machines.into_iter().map(|machine| machine.map(report)).collect());
        }
    }
    bail!("sorted rows are out of order: a defect of this program")
}

fn pass(runtime: &Runtime, bench: &Bench, scans: &[Scan], order: Order) -> Result<Judged> {
    thread::scope(|scope| {
        let mut senders = Vec::new();
        let mut threads = Vec::new();
        for share in 0..bench.jobs {
            let (sender, receiver) = sync_channel(WAITING);
            senders.push(sender);
            threads.push(scope.spawn(move || judge(bench, share, &receiver)));
        }
        let read = read(runtime, bench, scans, order, &senders);
        drop(senders);
        let mut machines = Some(Vec::new());
        for thread in threads {
            let judged =
                thread.join().map_err(|_| anyhow!("a thread that judges has failed: a defect of this program"))??;
            machines = machines.zip(judged).map(|(mut all, some)| {
                all.extend(some);
                all
            });
        }
        read.map(|()| machines)
    })
}

/// Reads all rows and gives them to the threads, until one of them has had enough.
fn read(
    runtime: &Runtime,
    bench: &Bench,
    scans: &[Scan],
    order: Order,
    senders: &[SyncSender<Arc<Chunk>>],
) -> Result<()> {
    let mut known = HashMap::<Arc<str>, usize>::new();
    let mut stream = runtime.block_on(rows(&bench.state, scans, &bench.wanted, Select { order, machine: None }))?;
    while let Some(batch) = runtime.block_on(stream.next()) {
        let batch = batch?;
        let mut runs = Vec::new();
        for (name, rows) in Rows::of(&batch, &bench.wanted)?.runs()? {
            let name = name.unwrap_or_default();
            let (name, machine) = match known.get_key_value(name) {
                Some((name, machine)) => (Arc::clone(name), *machine),
                None => {
                    let (name, machine) = (Arc::<str>::from(name), known.len());
                    known.insert(Arc::clone(&name), machine);
                    (name, machine)
                }
            };
            runs.push(Run { machine, name, rows });
        }
        let chunk = Arc::new(Chunk { batch, runs });
        if senders.iter().any(|sender| sender.send(Arc::clone(&chunk)).is_err()) {
            return Ok(());
        }
    }
    Ok(())
}

/// Judges the machines that are this share's.
fn judge(bench: &Bench, share: usize, chunks: &Receiver<Arc<Chunk>>) -> Result<Judged> {
    let mut machines = HashMap::<usize, std::result::Result<Machine, LeftOut>>::new();
    for chunk in chunks {
        let rows = Rows::of(&chunk.batch, &bench.wanted)?;
        for run in chunk.runs.iter().filter(|run| run.machine % bench.jobs == share) {
            let machine = match machines.entry(run.machine) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    new.insert(Ok(Machine::new(&run.name, &bench.model, bench.alarms)?))
                }
            };
            let Ok(judged) = machine.as_mut().map(|machine| machine.judge(&rows, run.rows.clone())) else { continue };
            match judged {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(None),
                Err(error) => *machine = Err(LeftOut { name: run.name.to_string(), reason: format!("{error:#}") }),
            }
        }
    }
    Ok(Some(machines.into_values().collect()))
}
