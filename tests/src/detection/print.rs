//! Measurements as text.

use std::fmt::Write;

use vae_core::ALLOWANCE;

use crate::detection::{
    figures::{Figures, Flips, Report, Seed, mean},
    standings::{Standing, Standings},
    stream::{Aurocs, Streamed},
};

/// Width of a table's name.
const NAME: usize = 28;

fn three([a, b, c]: [f64; 3]) -> String {
    format!("{a:.3}/{b:.3}/{c:.3}")
}

fn figures(of: Figures) -> String {
    three([of.auroc, of.average_precision, of.pauc])
}

/// What the columns of [`line()`] are.
#[must_use]
pub fn head() -> String {
    format!(
        "{:<NAME$}{:>19}{:>19}{:>15}{:>19}{:>19}{:>19}{:>8}{:>8}{:>7}",
        "table", "f32", "int8", "range", "Mahalanobis", "mixture", "5th neighbour", "gap", "bytes", "fit, s"
    )
}

/// A table's figures: means over the seeds, the range of their AUROC in int8, classical detectors, the gap to the best of these.
#[must_use]
pub fn line(report: &Report) -> String {
    let [f32, int8, rest @ ..] = report.columns().map(figures);
    let (low, high) = report.range();
    let mut text = format!("{:<NAME$}{f32:>19}{int8:>19}{:>15}", report.table, format!("{low:.3}–{high:.3}"));
    rest.iter().for_each(|figures| text += &format!("{figures:>19}"));
    let (bytes, seconds) = (report.mean(|seed| seed.bytes as f64), report.mean(|seed| seed.fit_seconds));
    text + &format!("{:>+8.3}{bytes:>8.0}{seconds:>7.1}", report.gap())
}

/// The means over the tables, the gaps, and the longest fit.
#[must_use]
pub fn means(reports: &[Report]) -> String {
    let mut text = format!("{:<NAME$}", "mean");
    for column in 0..5 {
        let of: Vec<Figures> = reports.iter().map(|report| report.columns()[column]).collect();
        text += &format!("{:>19}", figures(Figures::mean(&of)));
        if column == 1 {
            text += &format!("{:>15}", "");
        }
    }
    text += &format!("{:>+8.3}\n\n", mean(reports.iter().map(Report::gap)));
    text += &format!(
        "gap to the best of Mahalanobis, mixture and neighbour: {}\ngap to the 5th neighbour:                              {}\n",
        gaps(reports, Report::gap),
        gaps(reports, Report::gap_to_neighbour)
    );
    let fits = reports.iter().flat_map(|report| report.seeds.iter().map(move |seed| (report, seed)));
    if let Some((report, seed)) = fits.max_by(|a, b| a.1.fit_seconds.total_cmp(&b.1.fit_seconds)) {
        text += &format!("longest fit: {:.1} s ({}, seed {})\n", seed.fit_seconds, report.table, seed.seed);
    }
    let drops: Vec<f64> = reports.iter().map(|report| report.int8().auroc - report.f32().auroc).collect();
    let least = drops.iter().copied().fold(f64::INFINITY, f64::min);
    text + &format!("int8 less f32: mean {:+.4}, worst {least:+.4}\n", mean(drops.into_iter()))
}

/// The least AUROC, by the mean over the seeds and by seed, in f32 and in int8.
#[must_use]
pub fn least(reports: &[Report]) -> String {
    let of = |name: &str, mean: fn(&Report) -> Figures, each: fn(&Seed) -> Figures| {
        let least = reports.iter().min_by(|a, b| mean(a).auroc.total_cmp(&mean(b).auroc));
        let seeds = reports.iter().flat_map(|report| report.seeds.iter().map(each));
        let worst = seeds.map(|figures| figures.auroc).fold(f64::INFINITY, f64::min);
        least.map_or(String::new(), |report| {
            format!("least AUROC, {name}: {:.4} ({}); of a seed {worst:.4}\n", mean(report).auroc, report.table)
        })
    };
    of("f32", Report::f32, |seed| seed.f32.figures) + &of("int8", Report::int8, |seed| seed.int8.figures)
}

fn gaps(reports: &[Report], of: fn(&Report) -> f64) -> String {
    let worst = reports.iter().min_by(|a, b| of(a).total_cmp(&of(b)));
    let worst = worst.map_or(String::new(), |report| format!(", worst {:+.3} ({})", of(report), report.table));
    format!("mean {:+.3}{worst}", mean(reports.iter().map(of)))
}

/// Where our models stand on each table, then all methods.
#[must_use]
pub fn standings(of: &Standings) -> String {
    let mut text = format!(
        "{:<NAME$}{:>7}{:>14}  {:<24}{:>7}{:>14}  best\n",
        "in per cent", "AUROC", "rank", "best", "AP", "rank"
    );
    let cells = |of: &Standing| {
        let rank = format!("{} of {}", of.rank, of.among);
        (format!("{:>7.2}{rank:>14}", of.ours), format!("{} {:.2}", of.best_method, of.best))
    };
    for table in &of.tables {
        let ((auroc, best), (precision, best_precision)) = (cells(&table.auroc), cells(&table.average_precision));
        let _ = writeln!(text, "{:<NAME$}{auroc}  {best:<24}{precision}  {best_precision}", table.table);
    }
    let count = of.tables.len();
    let _ = writeln!(
        text,
        "\n{:<NAME$}{:>7}{:>14}{:>7}{:>14}",
        format!("means over {count} tables"),
        "AUROC",
        "rank",
        "AP",
        "rank"
    );
    for method in &of.methods {
        let rank = |rank: Option<f64>| rank.map_or(String::new(), |rank| format!("{rank:.2}"));
        let fewer = if method.tables == count { String::new() } else { format!("  (of {} tables)", method.tables) };
        let _ = writeln!(
            text,
            "{:<NAME$}{:>7.2}{:>14}{:>7.2}{:>14}{fewer}",
            method.name,
            method.auroc,
            rank(method.auroc_rank),
            method.average_precision,
            rank(method.average_precision_rank)
        );
    }
    text + &format!("{:<NAME$}{:>7.2}\n", "best chosen by table", of.best_chosen_by_table)
}

/// A table as a stream: each piece with anomalies, and all.
#[must_use]
pub fn stream(report: &Report) -> String {
    let ours: Vec<&Streamed> = report.seeds.iter().filter_map(|seed| seed.stream.as_ref()).collect();
    let Some(first) = ours.first() else { return String::new() };
    let others: Vec<(&str, &Streamed)> =
        report.classical.iter().filter_map(|of| Some((of.name, of.stream.as_ref()?))).collect();
    let mut text = format!(
        "{} as a stream: AUROC against the normal rows of all pieces, by row / cumulative sum of ranks / moving average\n{:<NAME$}{:>10}{:>19}",
        report.table, "piece, from row", "anomalies", "int8"
    );
    others.iter().for_each(|(name, _)| text += &format!("{name:>19}"));
    let cells = |of: &dyn Fn(&Streamed) -> Option<Aurocs>| {
        let ours: Vec<Aurocs> = ours.iter().filter_map(|streamed| of(streamed)).collect();
        let others = others.iter().filter_map(|(_, streamed)| of(streamed));
        let all = [Aurocs::mean(&ours)].into_iter().chain(others);
        all.map(|aurocs| format!("{:>19}", three([aurocs.row, aurocs.sum, aurocs.average]))).collect::<String>()
    };
    for (index, piece) in first.pieces.iter().enumerate() {
        let name = format!("{}, from {}", index + 1, piece.first_row);
        let cells = cells(&|streamed| Some(streamed.pieces.get(index)?.aurocs));
        let _ = write!(text, "\n{name:<NAME$}{:>10}{cells}", piece.anomalies);
    }
    let of_pieces =
        cells(&|streamed| Some(Aurocs::mean(&streamed.pieces.iter().map(|of| of.aurocs).collect::<Vec<_>>())));
    let _ = write!(text, "\n{:<NAME$}{:>10}{of_pieces}", "mean of the pieces", "");
    let _ = writeln!(text, "\n{:<NAME$}{:>10}{}", "pooled", report.anomalies, cells(&|of| Some(of.pooled)));
    let ranks =
        [mean(ours.iter().map(|of| of.normal_rank))].into_iter().chain(others.iter().map(|(_, of)| of.normal_rank));
    let _ = write!(text, "{:<38}", "mean rank of the normal rows");
    ranks.for_each(|rank| text += &format!("{rank:>+19.2}"));
    text += &format!("\n(0: they are as held-out rows; from +{ALLOWANCE} on, the sum rises without a fault)\n");
    match ours.iter().map(|streamed| streamed.sensor_faults).max() {
        None | Some(0) => text,
        Some(faults) => {
            text + &format!("up to {faults} windows are called a sensor's fault: the sum passes over them\n")
        }
    }
}

/// What int8 flips, as `export` says and on new rows, and what each precision detects at its own threshold: sums and means over the seeds.
#[must_use]
pub fn flips(reports: &[Report]) -> String {
    let mut text = format!(
        "{:<NAME$}{:>22}{:>13}{:>8}{:>18}{:>9}{:>20}{:>18}\n",
        "int8 against f32",
        "flips held-out rows",
        "shift, nats",
        "spread",
        "flips new rows",
        "refused",
        "detected, f32/int8",
        "false, f32/int8"
    );
    for report in reports {
        let sum = |of: fn(&Flips) -> usize| -> usize { report.seeds.iter().map(|seed| of(&seed.flips)).sum() };
        let share = |flipped: usize, of: usize| format!("{flipped}/{of} {:.2} %", 100.0 * flipped as f64 / of as f64);
        let refused = report.seeds.iter().filter(|seed| seed.flips.is_refused()).count();
        let pair = |a: f64, b: f64| format!("{a:.3}/{b:.3}");
        let _ = writeln!(
            text,
            "{:<NAME$}{:>22}{:>13.3}{:>8.3}{:>18}{:>9}{:>20}{:>18}",
            report.table,
            share(sum(|of| of.flipped), sum(|of| of.held_out)),
            report.mean(|seed| seed.flips.shift),
            report.mean(|seed| seed.flips.spread),
            share(sum(|of| of.fresh_flipped), sum(|of| of.fresh)),
            format!("{refused} of {}", report.seeds.len()),
            pair(report.mean(|seed| seed.f32.detection_rate), report.mean(|seed| seed.int8.detection_rate)),
            pair(report.mean(|seed| seed.f32.false_alarm_rate), report.mean(|seed| seed.int8.false_alarm_rate))
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::{figures::tests::report, stream::Piece};

    #[test]
    fn means_name_the_worst_gap_and_the_longest_fit() {
        let reports = [
            report("first", [0.8, 0.9], [Some(0.7), None, Some(0.8)]),
            report("second", [0.6, 0.6], [Some(0.7), Some(0.5), Some(0.6)]),
        ];
        let text = means(&reports);
        for part in [
            "best of Mahalanobis, mixture and neighbour: mean -0.025, worst -0.100 (second)",
            "mean +0.025, worst +0.000 (second)",
            "longest fit: 2.0 s (second, seed 1)",
            "int8 less f32: mean -0.2750, worst -0.4000",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        let text = least(&reports);
        assert!(text.contains("int8: 0.6000 (second); of a seed 0.6000"), "{text}");
        assert_eq!(line(&reports[0]).chars().count(), head().chars().count());
    }

    #[test]
    fn a_stream_has_a_line_for_each_piece_as_wide_as_the_head() {
        let aurocs = |row| Aurocs { row, sum: 0.5, average: 0.75 };
        let piece = |first_row, row| Piece { first_row, windows: 9, anomalies: 8, aurocs: aurocs(row) };
        let streamed = |first, second| Streamed {
            pooled: aurocs(0.5),
            pieces: vec![piece(11, first), piece(20, second)],
            normal_rank: 0.125,
            sensor_faults: 0,
        };
        let mut report = report("made up", [0.8, 0.9], [Some(0.7), None, Some(0.8)]);
        assert_eq!(stream(&report), "");
        report.seeds[0].stream = Some(streamed(0.6, 0.8));
        report.seeds[1].stream = Some(streamed(0.8, 1.0));
        report.classical[0].stream = Some(streamed(0.25, 0.5));
        let text = stream(&report);
        let lines: Vec<&str> = text.lines().collect();
        // Two seeds' mean, then the Gaussian's; the mean of both pieces.
        for (line, parts) in [
            (2, ["1, from 11", "0.700/0.500/0.750", "0.250/0.500/0.750"]),
            (3, ["2, from 20", "0.900/0.500/0.750", "0.500/0.500/0.750"]),
            (4, ["mean of the pieces", "0.800/0.500/0.750", "0.375/0.500/0.750"]),
            (6, ["mean rank of the normal rows", "+0.12", "+0.12"]),
        ] {
            assert!(parts.iter().all(|part| lines[line].contains(part)), "{text}");
            assert_eq!(lines[line].chars().count(), lines[1].chars().count(), "{text}");
        }
    }
}
