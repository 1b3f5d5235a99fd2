//! The outcome as a table on a terminal.

use std::fmt::{self, Write};

use crate::{
    backtest::{
        report::{AlarmCount, MachineReport},
        run::Backtest,
    },
    words::{
        numbers::{count, number, percent},
        rates::{rate_nearest, span},
    },
};

/// Most machines that a terminal is given; all are in the JSON and on the page.
const SHOWN: usize = 50;

/// The outcome in lines: the fleet, then the machines that something is to be said of, then what was left out.
///
/// # Errors
/// Never: a text takes all lines.
pub fn summary(backtest: &Backtest) -> Result<String, fmt::Error> {
    let Backtest { fleet, asked, machines, left_out, .. } = backtest;
    let mut text = String::new();
    let watched = fleet.seconds.map_or(String::new(), |seconds| format!(", {} watched", span(seconds)));
    writeln!(
        text,
        "fleet      {} machines, {} rows, {} windows{watched}",
        count(fleet.machines as u64),
        count(fleet.rows),
        count(fleet.windows)
    )?;
    let rate =
        asked.alarms_per_second.map_or("no rate".to_owned(), |asked| format!("{} a machine", rate_nearest(asked)));
    writeln!(text, "alarms     {rate} asked for; {}", alarms(&fleet.alarms))?;
    writeln!(
        text,
        "machines   {} with too many alarms, {} need a baseline of their own, {} drift, {} with a faulty sensor, {} with gaps",
        fleet.too_many_alarms, fleet.need_baseline, fleet.drifting, fleet.sensor_faults, fleet.gaps
    )?;
    let remarkable = || machines.iter().filter(|machine| !is_well(machine));
    for machine in remarkable().take(SHOWN) {
        write!(text, "{:<10} {}", machine.machine, line(machine))?;
    }
    let more = remarkable().count().saturating_sub(SHOWN);
    if more > 0 {
        writeln!(text, "and {more} more machines: --json and --out have all of them")?;
    }
    for left_out in left_out.iter().take(SHOWN) {
        writeln!(text, "left out   {}: {}", left_out.name, left_out.reason)?;
    }
    if left_out.len() > SHOWN {
        writeln!(text, "and {} more left out", left_out.len() - SHOWN)?;
    }
    Ok(text)
}

/// Whether there is nothing to say of a machine.
pub(super) fn is_well(machine: &MachineReport) -> bool {
    machine.needs_baseline.is_none() && machine.remarks.is_empty()
}

/// Alarms in words, with the interval of their rate: a fleet's seconds are those of all its machines, so that its rate is one machine's.
pub(super) fn alarms(alarms: &AlarmCount) -> String {
    let expected =
        alarms.expected.map_or(String::new(), |expected| format!(" where {} were expected", number(expected)));
    let interval = alarms.per_second.map_or(String::new(), |(low, high)| {
        let low = if low > 0.0 { rate_nearest(low) } else { "0".to_owned() };
        format!(", between {low} and {} with 90 % confidence", rate_nearest(high))
    });
    format!("{} raised{expected}{interval}", count(alarms.raised as u64))
}

fn line(machine: &MachineReport) -> String {
    let mut remarks: Vec<String> =
        machine.needs_baseline.iter().map(|why| format!("needs a baseline of its own: {why}")).collect();
    remarks.extend(machine.remarks.iter().cloned());
    if machine.in_alarm > 0.0 {
        remarks.push(format!("alarm on in {}", percent(machine.in_alarm)));
    }
    remarks.join("; ") + "\n"
}
