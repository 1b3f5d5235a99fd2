//! Which machines a history has, how many rows each, and whether they are in order.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result};
use datafusion::execution::context::SessionState;
use futures::StreamExt;
use serde::Serialize;

use crate::history::{
    order::{Order, Select, arrange, rows},
    rows::Rows,
    scan::{Scan, Wanted},
};

/// A machine of a fleet.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Rows.
    pub rows: u64,
    /// How its rows have to be read to come in the order of time.
    pub order: Order,
    /// The files that have them.
    pub scans: Vec<Scan>,
}

/// What cannot be fitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unread {
    /// A machine or a file.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Counts a history's rows by machine, by name; what cannot be read is told.
///
/// # Errors
/// If rows in which a column names the machine cannot be read.
pub async fn census(state: &SessionState, wanted: &Wanted, scans: Vec<Scan>) -> Result<(Vec<Member>, Vec<Unread>)> {
    let times = Wanted { columns: Vec::new(), ..wanted.clone() };
    let (mut members, mut unread) = (Vec::new(), Vec::new());
    if wanted.by.is_some() {
        members = count(state, &times, "", scans).await?;
    } else {
        let mut folders = BTreeMap::<String, Vec<Scan>>::new();
        for scan in scans {
            folders.entry(scan.file.machine.clone().unwrap_or_default()).or_default().push(scan);
        }
        for (name, scans) in folders {
            match count(state, &times, &name, scans).await {
                Ok(counted) => members.extend(counted),
                Err(error) => unread.push(Unread { name, reason: format!("{error:#}") }),
            }
        }
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((members, unread))
}

/// Rows and the last time of a machine, and whether they went forwards.
struct Count {
    rows: u64,
    last: f64,
    order: Order,
}

/// Counts the rows of some files by the machine that they name, or of one machine.
async fn count(state: &SessionState, wanted: &Wanted, name: &str, mut scans: Vec<Scan>) -> Result<Vec<Member>> {
    arrange(&mut scans);
    let mut counts = HashMap::<String, Count>::new();
    let mut stream = rows(state, &scans, wanted, Select { order: Order::AsTheyLie, machine: None }).await?;
    while let Some(batch) = stream.next().await {
        let batch = batch
            .with_context(|| format!("rows of {}", scans.first().map_or(String::new(), |scan| scan.file.name())))?;
        let rows = Rows::of(&batch, wanted)?;
        for (machine, range) in rows.runs()? {
            let machine = machine.unwrap_or(name);
            if !counts.contains_key(machine) {
                counts.insert(machine.to_owned(), Count { rows: 0, last: f64::NEG_INFINITY, order: Order::AsTheyLie });
            }
            let Some(count) = counts.get_mut(machine) else { continue };
            count.rows += range.len() as u64;
            for time in range.map(|row| rows.time(row)).filter(|time| !time.is_nan()) {
                if time < count.last {
                    count.order = Order::Sorted;
                }
                count.last = time;
            }
        }
    }
    let member = |(name, Count { rows, order, .. })| Member { name, rows, order, scans: scans.clone() };
    Ok(counts.into_iter().map(member).collect())
}
