//! What alarms do over made-up scores whose truth is known: `cargo run --release -p vae-tests --bin alarms [PART [SEEDS [RATE…]]]`, the
//! figures of `docs/calibration.md`. Parts: health, fault, change, drift; all of them in a quarter of an hour on two cores. And coverage,
//! by its name only, in a quarter of a minute for each seed; RATE of it is any of hour, day and week, by default hour and day.

use anyhow::{Result, bail};
use rayon::prelude::*;
use vae_tests::{
    coverage,
    processes::{Calibrated, Process, Watch},
};

const DAY: f64 = 1.0 / 86_400.0;
const WEEK: f64 = DAY / 7.0;
const HOUR: f64 = 1.0 / 3600.0;
const VOTES: (u32, u32) = (2, 3);
/// Seeds of recordings and of what comes after them are so far apart.
const AFTER: u64 = 1000;

const INDEPENDENT: Process = Process::Independent;
const HALF: Process = Process::Autoregressive(0.5);
const MOST: Process = Process::Autoregressive(0.9);

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seeds = arguments.get(1).map_or(Ok(16), |seeds| seeds.parse())?;
    match arguments.first().map(String::as_str) {
        None => [health, fault, change, drift].into_iter().try_for_each(|part| part(seeds)),
        Some("health") => health(seeds),
        Some("fault") => fault(seeds),
        Some("change") => change(seeds),
        Some("drift") => drift(seeds),
        Some("coverage") => coverage::print(seeds, arguments.get(2..).unwrap_or_default()),
        Some(other) => bail!("there is no part `{other}`: give health, fault, change, drift or coverage"),
    }
}

/// Of each seed whose recording can be calibrated on.
fn of_seeds<T: Send>(seeds: u64, of: impl Fn(u64) -> Result<T> + Sync) -> Vec<T> {
    (0..seeds).into_par_iter().filter_map(|seed| of(seed).ok()).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

fn percent(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

fn quantile(sorted: &[usize], p: f64) -> usize {
    sorted.get(((sorted.len() as f64 * p) as usize).min(sorted.len().saturating_sub(1))).copied().unwrap_or(0)
}

/// Stationary scores: how much of the time is called drift, and how much of it an alarm is on.
fn health(seeds: u64) -> Result<()> {
    println!(
        "\n| scores | recorded | alarms | τ | memory | drifting, % (worst) | alarm on, % (worst) | raised for each asked for |"
    );
    println!("|---|---:|---|---:|---:|---:|---:|---:|");
    let processes = [INDEPENDENT, Process::ChiSquare(8), HALF, MOST];
    for (process, recorded) in processes.into_iter().flat_map(|p| [20_000, 100_000, 1_000_000].map(|n| (p, n))) {
        for (rate, name) in [(HOUR, "1/hour"), (DAY, "1/day")] {
            let found = of_seeds(seeds, |seed| {
                let calibrated = Calibrated::new(process, seed, recorded, rate, VOTES)?;
                let watch = calibrated.with(|mut alarm, rule, calibration| {
                    Watch::of(&mut alarm, rule, calibration, process.run(AFTER + seed).take(1_000_000))
                })?;
                Ok((calibrated.series.sequential, watch))
            });
            let of = |of: &dyn Fn(&Watch) -> f64| {
                let values: Vec<f64> = found.iter().map(|(_, watch)| of(watch)).collect();
                (mean(values.iter().copied()), values.iter().copied().fold(0.0, f64::max))
            };
            let (drifting, worst_drifting) = of(&|watch| percent(watch.drifting, watch.windows));
            let (on, worst_on) = of(&|watch| percent(watch.on, watch.windows));
            let (raised, _) = of(&|watch| watch.raised.len() as f64 / (watch.windows as f64 * rate));
            let tau = mean(found.iter().map(|(sequential, _)| sequential.dependence));
            let memories: Vec<f64> = found.iter().filter_map(|(sequential, _)| sequential.memory).collect();
            let memory =
                if memories.is_empty() { "none".to_owned() } else { format!("{:.0}", mean(memories.iter().copied())) };
            println!(
                "| {} | {recorded} | {name} | {tau:.1} | {memory} | {drifting:.3} ({worst_drifting:.2}) | {on:.2} ({worst_on:.2}) | {raised:.2} |",
                process.name()
            );
        }
    }
    Ok(())
}

/// Faults whose windows vote with a chance: how much of each the alarm is on for, how often it is raised, and when it is cleared.
fn fault(seeds: u64) -> Result<()> {
    println!(
        "\n| scores | windows that vote | windows of the event | found | on from the first alarm, % (worst) | raised, mean (most) | cleared after, median (95 %) | 90 (1 + τ) |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for process in [INDEPENDENT, HALF, MOST] {
        let mut sorted: Vec<f32> = process.run(77).take(1_000_000).collect();
        sorted.sort_by(f32::total_cmp);
        for (chance, length) in
            [0.3, 0.5, 0.8].into_iter().flat_map(|chance| [50, 500, 5000, 100_000].map(|length| (chance, length)))
        {
            let found = of_seeds(seeds, |seed| {
                let calibrated = Calibrated::new(process, seed, 100_000, DAY, VOTES)?;
                let threshold = -calibrated.series.calibration.threshold;
                let shift = threshold - sorted[((1.0 - chance) * sorted.len() as f64) as usize];
                let quiet = (1000.0 * (1.0 + calibrated.series.sequential.dependence)) as usize;
                calibrated
                    .with(|mut alarm, rule, calibration| {
                        let mut run = process.run(AFTER + seed);
                        let events = (50_000 / length).clamp(1, 20);
                        let event = |_| {
                            Watch::of(&mut alarm, rule, calibration, run.by_ref().take(quiet));
                            let before = alarm.is_raised();
                            let during = Watch::of(
                                &mut alarm,
                                rule,
                                calibration,
                                run.by_ref().take(length).map(|nats| nats + shift),
                            );
                            let after = Watch::of(&mut alarm, rule, calibration, run.by_ref().take(quiet));
                            (!before).then_some((during, after))
                        };
                        (0..events).filter_map(event).collect::<Vec<_>>()
                    })
                    .map(|events| (events, calibrated.series.sequential.dependence))
            });
            let tau = mean(found.iter().map(|(_, tau)| *tau));
            let events: Vec<&(Watch, Watch)> = found.iter().flat_map(|(events, _)| events).collect();
            let on: Vec<f64> = events
                .iter()
                .filter_map(|(during, _)| Some(percent(during.on, length - during.raised.first()?)))
                .collect();
            let mut cleared: Vec<usize> = events
                .iter()
                .filter(|(during, _)| !during.raised.is_empty())
                .filter_map(|(_, after)| after.cleared.first().copied())
                .collect();
            cleared.sort_unstable();
            println!(
                "| {} | {:.0} % | {length} | {} of {} | {:.2} ({:.1}) | {:.2} ({}) | {} ({}) | {:.0} |",
                process.name(),
                100.0 * chance,
                on.len(),
                events.len(),
                mean(on.iter().copied()),
                on.iter().copied().fold(100.0, f64::min),
                mean(events.iter().map(|(during, _)| during.raised.len() as f64)),
                events.iter().map(|(during, _)| during.raised.len()).max().unwrap_or(0),
                quantile(&cleared, 0.5),
                quantile(&cleared, 0.95),
                90.0 * (1.0 + tau)
            );
        }
    }
    Ok(())
}

/// Windows until a lasting change is found: by votes alone, by the detector, and by the test that knows the process and the change.
fn change(seeds: u64) -> Result<()> {
    println!(
        "\n| scores | alarms | shift, standard deviations | votes alone | votes and sum (found within 5 memories) | optimum | ratio |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    for process in [INDEPENDENT, MOST] {
        for (rate, name) in [(DAY, "1/day"), (WEEK, "1/week")] {
            for shift in [0.25f32, 0.5, 1.0, 2.0] {
                let both = of_seeds(seeds, |seed| {
                    let calibrated = Calibrated::new(process, seed, 100_000, rate, VOTES)?;
                    let most = 5.0 * calibrated.series.sequential.memory.unwrap_or(10_000.0);
                    let own = delays(&calibrated, process, seed, shift, most as usize)?;
                    let votes = delays(&calibrated.by_votes_alone(), process, seed, shift, 200_000)?;
                    Ok((own, votes))
                });
                let (own, votes): (Vec<_>, Vec<_>) = both.into_iter().unzip();
                let of = |all: Vec<Vec<Option<usize>>>| {
                    let all = all.concat();
                    let found: Vec<usize> = all.iter().copied().flatten().collect();
                    (mean(found.iter().map(|delay| *delay as f64)), percent(found.len(), all.len()))
                };
                let ((own, share), (votes, of_votes)) = (of(own), of(votes));
                let optimum = optimum(process, rate, shift);
                let all = |share: f64| if share > 99.9 { String::new() } else { format!(", of {share:.0} %") };
                println!(
                    "| {} | {name} | {shift} | {votes:.0}{} | {own:.0} ({share:.0} %) | {optimum:.0} | {:.2} |",
                    process.name(),
                    all(of_votes),
                    own / optimum
                );
            }
        }
    }
    Ok(())
}

/// Windows from a change until an alarm; none after so many.
fn delays(calibrated: &Calibrated, process: Process, seed: u64, shift: f32, most: usize) -> Result<Vec<Option<usize>>> {
    calibrated.with(|alarm, rule, calibration| {
        let mut run = process.run(AFTER + seed);
        let trial = |_| {
            let mut alarm = alarm;
            Watch::of(&mut alarm, rule, calibration, run.by_ref().take(1000));
            if alarm.is_raised() {
                return None;
            }
            Some((1..=most).find(|_| run.next().is_some_and(|nats| alarm.push(nats + shift, rule, calibration))))
        };
        (0..40).filter_map(trial).collect()
    })
}

/// The mean delay of the cumulative sum of log-likelihood ratios, which is the quickest test (Moustakides 1986), from its stationary state:
/// of the innovations of an autoregression, of which a lasting shift moves each by as much.
fn optimum(process: Process, rate: f64, shift: f32) -> f64 {
    const WINDOWS: usize = 100_000_000;
    const TRIALS: usize = 4000;
    let phi = if let Process::Autoregressive(phi) = process { phi } else { 0.0 };
    let (mean, variance) = (shift * (1.0 - phi), 1.0 - phi * phi);
    let ratio = |last: f32, next: f32| mean / variance * (next - phi * last - mean / 2.0);
    let parts = 16;
    let peaks: Vec<Vec<f32>> = (0..parts)
        .into_par_iter()
        .map(|part| {
            let (mut last, mut sum, mut peak, mut peaks) = (0.0, 0.0f32, 0.0f32, Vec::new());
            for next in process.run(5000 + part).take(WINDOWS / parts as usize) {
                sum = (sum + ratio(last, next)).max(0.0);
                last = next;
                if sum > 0.0 {
                    peak = peak.max(sum);
                } else if peak > 0.0 {
                    peaks.push(peak);
                    peak = 0.0;
                }
            }
            peaks
        })
        .collect();
    let mut peaks = peaks.concat();
    peaks.sort_by(f32::total_cmp);
    let limit = peaks[peaks.len() - (WINDOWS as f64 * rate) as usize];
    let mut run = process.run(9000);
    let delay = |_| {
        let (mut last, mut sum) = (run.next().unwrap_or(0.0), 0.0f32);
        for next in run.by_ref().take(200) {
            sum = (sum + ratio(last, next)).clamp(0.0, limit);
            last = next;
        }
        let mut windows = 0;
        while sum < limit {
            let next = run.next().unwrap_or(0.0) + shift;
            sum = (sum + ratio(last, next)).max(0.0);
            last = next;
            windows += 1;
        }
        windows as f64
    };
    (0..TRIALS).map(delay).sum::<f64>() / TRIALS as f64
}

/// Ramps and rhythms of the scores' level, by their length in memories: how much of the time an alarm is on, or drift is reported.
fn drift(seeds: u64) -> Result<()> {
    println!("\n| scores | recorded | what moves | memories | alarm on, % | raised | drifting, % |");
    println!("|---|---:|---|---:|---:|---:|---:|");
    for (process, recorded) in [(INDEPENDENT, 100_000), (HALF, 100_000), (MOST, 1_000_000)] {
        for (what, memories) in [1.0, 2.0, 5.0, 10.0, 20.0, 40.0]
            .into_iter()
            .map(|m| ("ramp of 1.2", m))
            .chain([10.0, 20.0, 50.0, 100.0].into_iter().map(|m| ("rhythm of ± 0.5", m)))
        {
            let found = of_seeds(seeds, |seed| {
                let calibrated = Calibrated::new(process, seed, recorded, DAY, VOTES)?;
                let Some(memory) = calibrated.series.sequential.memory else { bail!("no memory") };
                calibrated.with(|mut alarm, rule, calibration| {
                    let mut run = process.run(AFTER + seed);
                    Watch::of(&mut alarm, rule, calibration, run.by_ref().take(2 * memory as usize));
                    let length = (memories * memory) as usize;
                    let moved = run.enumerate().map(|(window, nats)| {
                        let way = window as f32 / length as f32;
                        if what.starts_with("ramp") {
                            nats + 1.2 * way.min(1.0)
                        } else {
                            nats + 0.5 * (way * std::f32::consts::TAU).sin()
                        }
                    });
                    let total = if what.starts_with("ramp") { length + (10.0 * memory) as usize } else { 3 * length };
                    Watch::of(&mut alarm, rule, calibration, moved.take(total))
                })
            });
            println!(
                "| {} | {recorded} | {what} | {memories} | {:.2} | {:.1} | {:.0} |",
                process.name(),
                mean(found.iter().map(|watch| percent(watch.on, watch.windows))),
                mean(found.iter().map(|watch| watch.raised.len() as f64)),
                mean(found.iter().map(|watch| percent(watch.drifting, watch.windows)))
            );
        }
    }
    Ok(())
}
