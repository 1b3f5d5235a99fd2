//! The outcome as a page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    backtest::{
        report::{FleetReport, MachineReport},
        run::{Backtest, LeftOut},
        summary::{alarms, is_well},
    },
    words::{
        foreign::escaped,
        numbers::{count, number, percent},
        rates::{rate_nearest, span},
    },
};

/// The trainer's reports look the same.
const STYLE: &str = include_str!("../../../src/report/style.css");
const OF_TABLES: &str = ".machines { width: 100%; border-collapse: collapse; } .machines th, .machines td { text-align: left; vertical-align: top; \
                         padding: .3rem .6rem; border-block-end: 1px solid var(--edge); } .machines td.number { text-align: right; \
                         font-variant-numeric: tabular-nums; } .scroll { overflow-x: auto; margin-top: 1rem; }";

/// A page that is complete in itself and loads nothing.
#[must_use]
pub fn page(backtest: &Backtest) -> String {
    let Backtest { model, fingerprint, asked, fleet, machines, left_out } = backtest;
    let (remarkable, well): (Vec<_>, Vec<_>) = machines.iter().partition(|machine| !is_well(machine));
    let asked = asked
        .alarms_per_second
        .map_or("no rate of alarms".to_owned(), |asked| format!("{} a machine", rate_nearest(asked)));
    let title = "Backtest";
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(concat!("vae-fleet ", env!("CARGO_PKG_VERSION")));
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(OF_TABLES)) }
            }
            body {
                header { h1 { (title) } p { (model.display()) " (" (format!("{fingerprint:08x}")) "), " (asked) " asked for" } }
                main {
                    section { h2 { "The fleet" } (tiles(fleet)) p { (alarms(&fleet.alarms)) "." } }
                    section { h2 { "Machines that something is to be said of" } (table(&remarkable)) }
                    section { h2 { "The others" } (table(&well)) }
                    @if !left_out.is_empty() { section { h2 { "Left out" } (reasons(left_out)) } }
                }
                footer { p { "Written by vae-fleet " (env!("CARGO_PKG_VERSION")) ". This file is complete in itself and loads nothing." } }
            }
        }
    };
    escaped(&page.into_string()).into_owned()
}

fn tiles(fleet: &FleetReport) -> Markup {
    let watched = fleet.seconds.map_or("unknown".to_owned(), span);
    let tiles = [
        ("machines", count(fleet.machines as u64)),
        ("rows", count(fleet.rows)),
        ("windows", count(fleet.windows)),
        ("watched", watched),
        ("too many alarms", count(fleet.too_many_alarms as u64)),
        ("need a baseline of their own", count(fleet.need_baseline as u64)),
        ("drift", count(fleet.drifting as u64)),
        ("faulty sensors", count(fleet.sensor_faults as u64)),
        ("gaps", count(fleet.gaps as u64)),
    ];
    html! { div class="tiles" { @for (name, value) in tiles { div { p class="meta" { (name) } p { strong { (value) } } } } } }
}

fn table(machines: &[&MachineReport]) -> Markup {
    const HEAD: [&str; 9] =
        ["Machine", "Rows", "Watched", "Alarms", "Expected", "In alarm", "Drifting", "Sensor faults", "Gaps"];
    html! {
        @if machines.is_empty() { p { "None." } } @else {
            div class="scroll" {
                table class="machines" {
                    thead { tr { @for name in HEAD { th scope="col" { (name) } } th scope="col" { "Remarks" } } }
                    tbody { @for machine in machines { (row(machine)) } }
                }
            }
        }
    }
}

fn row(machine: &MachineReport) -> Markup {
    let numbers = [
        count(machine.rows),
        machine.seconds.map_or(String::new(), span),
        count(machine.alarms.raised as u64),
        machine.alarms.expected.map_or(String::new(), number),
        percent(machine.in_alarm),
        percent(machine.drifting),
        percent(machine.sensor_faults),
        count(machine.gaps),
    ];
    html! {
        tr {
            th scope="row" { (machine.machine) }
            @for value in numbers { td class="number" { (value) } }
            td {
                @if let Some(why) = &machine.needs_baseline { p { strong { "Needs a baseline of its own: " } (why) } }
                @for remark in &machine.remarks { p { (remark) } }
            }
        }
    }
}

fn reasons(left_out: &[LeftOut]) -> Markup {
    html! { ul { @for LeftOut { name, reason } in left_out { li { strong { (name) } ": " (reason) } } } }
}
