//! How often the stated 90 % interval of the rate of alarms holds the rate that the device's alarm raises: the table of `docs/calibration.md`.

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use crate::processes::{Calibrated, Process, RATE, Watch};

/// (m, n), in the order of a table's cells.
const VOTES: [(u32, u32); 2] = [(2, 3), (1, 1)];

/// Windows of a recording.
const RECORDED: [usize; 2] = [20_000, 100_000];

/// Seeds of recordings and of the fresh windows after them are so far apart.
const FRESH: u64 = 1_000_000;

/// How strong the rhythms are.
const STRENGTH: f32 = 0.3;

/// A rate of alarms that is asked for, and over how many fresh windows those raised are counted: 13 to 140 alarms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// The time that one alarm is asked for.
    pub per: &'static str,
    /// Alarms per window.
    pub rate: f64,
    /// Windows over which they are counted.
    pub fresh: usize,
}

impl Asked {
    /// One an hour.
    pub const HOURLY: Self = Self { per: "hour", rate: 1.0 / (3600.0 * RATE), fresh: 500_000 };
    /// One a day.
    pub const DAILY: Self = Self { per: "day", rate: 1.0 / (86_400.0 * RATE), fresh: 2_000_000 };
    /// One a week.
    pub const WEEKLY: Self = Self { per: "week", rate: 1.0 / (604_800.0 * RATE), fresh: 8_000_000 };

    /// By its name.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn named(name: &str) -> Result<Self> {
        let of_name = |asked: &Self| asked.per == name;
        let known = [Self::HOURLY, Self::DAILY, Self::WEEKLY].into_iter().find(of_name);
        known.with_context(|| format!("no rate is called `{name}`: give hour, day or week"))
    }
}

/// A process of the table, by the windows of the recording: rhythms are given by their cycles in it.
type Row = (&'static str, fn(usize) -> Process);

/// In the order of the table.
const ROWS: [Row; 17] = [
    ("Gaussian", |_| Process::Independent),
    ("χ²₈", |_| Process::ChiSquare(8)),
    ("AR(1) 0.5", |_| Process::Autoregressive(0.5)),
    ("AR(1) 0.9", |_| Process::Autoregressive(0.9)),
    ("Student t₃", |_| Process::Student(3)),
    ("Student t₄", |_| Process::Student(4)),
    ("scale wanders, s 0.3, φ 0.99", |_| Process::WanderingScale { spread: 0.3, phi: 0.99 }),
    ("scale wanders, s 0.3, φ 0.995", |_| Process::WanderingScale { spread: 0.3, phi: 0.995 }),
    ("scale wanders, s 0.5, φ 0.99", |_| Process::WanderingScale { spread: 0.5, phi: 0.99 }),
    ("scale wanders, s 0.5, φ 0.995", |_| Process::WanderingScale { spread: 0.5, phi: 0.995 }),
    ("a part wanders, s 0.3, φ 0.99", |_| Process::WanderingPart { spread: 0.3, phi: 0.99 }),
    ("a part wanders, s 0.5, φ 0.99", |_| Process::WanderingPart { spread: 0.5, phi: 0.99 }),
    ("a part wanders, s 0.5, φ 0.995", |_| Process::WanderingPart { spread: 0.5, phi: 0.995 }),
    ("rhythm, 20 cycles", |windows| rhythm(windows / 20)),
    ("rhythm, 10 cycles", |windows| rhythm(windows / 10)),
    ("rhythm, 3 cycles", |windows| rhythm(windows / 3)),
    ("rhythm, half a cycle", |windows| rhythm(2 * windows)),
];

/// A rhythm of so many windows.
#[must_use]
pub fn rhythm(period: usize) -> Process {
    Process::Rhythm { strength: STRENGTH, period: period as u32 }
}

/// What a recording promises, and what then happens.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// The stated 90 % interval of the alarms raised for each that was asked for.
    pub interval: (f64, f64),
    /// Raised over the fresh windows for each that was asked for.
    pub raised: f64,
}

impl Outcome {
    /// Of the alarm that was calibrated on so many windows of a process, over fresh ones of it; none if it is refused.
    ///
    /// # Errors
    /// If the alarm cannot be run.
    pub fn of(recording: (Process, u64, usize), asked: Asked, votes: (u32, u32)) -> Result<Option<Self>> {
        let (process, seed, windows) = recording;
        // Without a tail, or a level in it, there is nothing to force: an error, and a refusal as any other.
        let Ok(calibrated) = Calibrated::new(process, seed, windows, asked.rate, votes) else { return Ok(None) };
        if calibrated.series.refusal.is_some() {
            return Ok(None);
        }
        let (_, (low, high)) = calibrated.series.alarms.context("alarms were asked for")?;
        let fresh = process.run(FRESH + seed).take(asked.fresh);
        let watch = calibrated.with(|mut alarm, rule, calibration| Watch::of(&mut alarm, rule, calibration, fresh))?;
        let expected = asked.rate * asked.fresh as f64;
        let of_asked = |per_second: f64| per_second / (RATE * asked.rate);
        Ok(Some(Self { interval: (of_asked(low), of_asked(high)), raised: watch.raised.len() as f64 / expected }))
    }

    /// Whether the interval holds the rate.
    #[must_use]
    pub fn is_covered(&self) -> bool {
        (self.interval.0..=self.interval.1).contains(&self.raised)
    }
}

/// What came of the recordings of a process at a rate and by votes.
struct Cell {
    outcomes: Vec<Option<Outcome>>,
}

impl Cell {
    fn of(seeds: u64, outcome: impl Fn(u64) -> Result<Option<Outcome>> + Send + Sync) -> Result<Self> {
        Ok(Self { outcomes: (0..seeds).into_par_iter().map(outcome).collect::<Result<_>>()? })
    }

    /// Per cent that are covered, those refused among them, and in brackets per cent refused.
    fn coverage(&self) -> String {
        let percent = |is: fn(&Option<Outcome>) -> bool| {
            100.0 * self.outcomes.iter().filter(|outcome| is(outcome)).count() as f64 / self.outcomes.len() as f64
        };
        let covered = percent(|outcome| outcome.is_none_or(|outcome| outcome.is_covered()));
        format!("{covered:.0} ({:.0})", percent(Option::is_none))
    }

    /// The median of the alarms raised for each asked for, by those that are not refused.
    fn raised(&self) -> String {
        let mut raised: Vec<f64> = self.outcomes.iter().flatten().map(|outcome| outcome.raised).collect();
        raised.sort_by(f64::total_cmp);
        raised.get(raised.len() / 2).map_or("–".to_owned(), |median| format!("{median:.2}"))
    }
}

/// Prints the table for the rates of these names, by default hour and day, and the medians of what is raised.
///
/// # Errors
/// If a name is unknown, or an alarm cannot be run.
pub fn print(seeds: u64, rates: &[String]) -> Result<()> {
    ensure!(seeds > 0, "coverage needs a recording: give 1 seed or more");
    let rates = match rates {
        [] => vec![Asked::HOURLY, Asked::DAILY],
        names => names.iter().map(|name| Asked::named(name)).collect::<Result<_>>()?,
    };
    print_head("covered (refused) of 100; 2/3 votes; single votes", &rates);
    let mut medians = Vec::new();
    for ((name, process), recorded) in ROWS.iter().flat_map(|row| RECORDED.map(|recorded| (row, recorded))) {
        let process = process(recorded);
        let cells = rates.iter().map(|asked| {
            let of = |votes| Cell::of(seeds, |seed| Outcome::of((process, seed, recorded), *asked, votes));
            Ok([of(VOTES[0])?, of(VOTES[1])?])
        });
        let cells = cells.collect::<Result<Vec<_>>>()?;
        println!("{}", row(name, recorded, &cells, Cell::coverage));
        medians.push(row(name, recorded, &cells, Cell::raised));
    }
    println!();
    print_head("raised for each asked for, median of those not refused; 2/3 votes; single votes", &rates);
    medians.iter().for_each(|row| println!("{row}"));
    Ok(())
}

fn print_head(what: &str, rates: &[Asked]) {
    let names: Vec<String> = rates.iter().map(|asked| format!("1/{}", asked.per)).collect();
    println!("| {what} | windows | {} |\n|---|---:|{}", names.join(" | "), "---|".repeat(rates.len()));
}

fn row(name: &str, recorded: usize, cells: &[[Cell; 2]], text: fn(&Cell) -> String) -> String {
    let cells: Vec<String> = cells.iter().map(|votes| votes.each_ref().map(text).join("; ")).collect();
    format!("| {name} | {},000 | {} |", recorded / 1000, cells.join(" | "))
}
