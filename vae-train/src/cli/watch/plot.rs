//! The plot of what a device says.

use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph},
};
use vae_core::Verdict;

use super::{history::MOST_SAID, seen::Seen};
use crate::{scoring::detection::Verdicts, words::foreign::line};

/// A kind of verdict: its name, its colour, and its mark, which tells it without colours.
const KINDS: [(&str, Color, Marker); 4] = [
    ("normal", Color::Green, Marker::Braille),
    ("drifting", Color::Yellow, Marker::Dot),
    ("sensor fault", Color::Magenta, Marker::Bar),
    ("anomalous", Color::Red, Marker::Block),
];

fn kind(verdict: &Verdict) -> usize {
    match verdict {
        Verdict::Normal(_) => 0,
        Verdict::Drifting(_) => 1,
        Verdict::SensorFault(_) => 2,
        Verdict::Anomalous(_) => 3,
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, seen: &Seen) {
    let rows = [Constraint::Length(1), Constraint::Min(4), Constraint::Length(MOST_SAID as u16), Constraint::Length(1)];
    let [head, middle, said, foot] = Layout::vertical(rows).areas(frame.area());
    let last = seen.last.as_ref().map_or(Span::raw("waiting for a verdict"), |verdict| {
        let (_, colour, _) = KINDS[kind(verdict)];
        Span::styled(line(&seen.in_words(verdict)).into_owned(), Style::new().fg(colour).add_modifier(Modifier::BOLD))
    });
    frame.render_widget(Line::from(vec![Span::raw(format!("{}  ", line(&seen.source))), last]), head);
    chart(frame, middle, seen);
    let lines: Vec<Line<'_>> = seen.history.said.iter().map(|said| Line::raw(line(said))).collect();
    frame.render_widget(Paragraph::new(lines), said);
    let Verdicts { normal, anomalous, sensor_fault, drifting, alarms } = seen.verdicts;
    frame.render_widget(
        Line::raw(format!(
            "{alarms} alarm(s); {normal} normal, {drifting} drifting, {sensor_fault} sensor fault, {anomalous} anomalous; {} malformed; q quits",
            seen.malformed
        )),
        foot,
    );
}

fn chart(frame: &mut Frame<'_>, area: ratatui::layout::Rect, seen: &Seen) {
    let points = &seen.history.points;
    let (Some((first, _)), Some((last, _))) = (points.front(), points.back()) else { return };
    let scores = || points.iter().filter_map(|(_, verdict)| Some(f64::from(verdict.assessment()?.score)));
    let threshold = seen.threshold.map(f64::from).filter(|nats| nats.is_finite());
    let (low, high) = scale(scores(), threshold);
    let mut plotted = [const { Vec::new() }; KINDS.len()];
    for (time, verdict) in points {
        // A sensor's fault has no score, and scores far below are drawn at the edge.
        let score = verdict.assessment().map_or(low, |assessment| f64::from(assessment.score));
        plotted[kind(verdict)].push((*time, score.clamp(low, high)));
    }
    let right = if last > first { *last } else { first + 1.0 };
    let threshold = threshold.map(|threshold| [(*first, threshold), (right, threshold)]);
    let mut sets: Vec<Dataset<'_>> = threshold
        .iter()
        .map(|line| Dataset::default().name("threshold").graph_type(GraphType::Line).marker(Marker::Braille).data(line))
        .collect();
    for ((name, colour, marker), points) in KINDS.iter().zip(&plotted).filter(|(_, points)| !points.is_empty()) {
        sets.push(Dataset::default().name(*name).marker(*marker).style(Style::new().fg(*colour)).data(points));
    }
    let axis = |low: f64, high: f64, digits: usize| {
        let labels = [low, 0.5 * (low + high), high].map(|value| format!("{value:.digits$}"));
        Axis::default().bounds([low, high]).labels(labels)
    };
    let digits = if high - low < 10.0 { 2 } else { 0 };
    let chart = Chart::new(sets)
        .block(Block::bordered().title(" score, nats "))
        .legend_position(Some(ratatui::widgets::LegendPosition::BottomLeft))
        .hidden_legend_constraints((Constraint::Ratio(1, 2), Constraint::Ratio(1, 1)))
        .x_axis(axis(*first, right, 1).title("s"))
        .y_axis(axis(low, high, digits));
    frame.render_widget(chart, area);
}

/// What the plot shows of the scores: all of the good ones, and of the bad ones as much again below the threshold.
fn scale(scores: impl Iterator<Item = f64>, threshold: Option<f64>) -> (f64, f64) {
    let finite = scores.filter(|score| score.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| (low.min(score), high.max(score)));
    let (low, high) = match threshold {
        Some(threshold) => {
            let high = high.max(threshold);
            let room = (high - threshold).max(1.0);
            (low.clamp(threshold - room, threshold), high)
        }
        None if low > high => (0.0, 0.0),
        None => (low, high),
    };
    let margin = (0.05 * (high - low)).max(0.5);
    (low - margin, high + margin)
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

    use super::super::history::History;
    use super::*;
    use crate::device_log::Line;

    fn rendered(seen: &Seen, width: u16, height: u16) -> Buffer {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, seen)).unwrap();
        terminal.backend().buffer().clone()
    }

    fn seen(lines: &[String]) -> Seen {
        let mut seen = Seen { source: "/dev/ttyACM0".into(), ..Seen::default() };
        seen.names = ["x", "y", "z"].map(str::to_owned).to_vec();
        lines.iter().for_each(|line| seen.push(&Line::of(line), 0.0));
        seen
    }

    /// Columns and rows of the plotted cells of this colour: not those of head and legend, which are letters.
    fn cells(buffer: &Buffer, colour: Color) -> Vec<(u16, u16)> {
        let area = buffer.area;
        let all = (1..area.height).flat_map(|row| (0..area.width).map(move |column| (column, row)));
        let is_mark = |text: &str| !text.chars().any(|c| c.is_ascii());
        all.filter(|at| buffer[*at].fg == colour && is_mark(buffer[*at].symbol())).collect()
    }

    fn text(buffer: &Buffer) -> String {
        let rows = buffer.content().chunks(buffer.area.width.into());
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
    }

    #[test]
    fn scores_threshold_and_alarms_are_where_they_belong() {
        let mut lines = vec!["threshold 300 nats".to_owned()];
        // From 0 to 30 s: normal, then drifting lower, then alarms far below, and a sensor that fails.
        lines.extend((0..10).map(|i| format!("{i}.0 s  normal  {}.0 nats, p = 0.5", 390 + i % 3)));
        lines.extend((10..20).map(|i| format!("{i}.0 s  drifting  340.0 nats, p = 0.1, scores lower by 9.100 nats")));
        lines.extend(
            (20..25).map(|i| format!("{i}.0 s  ANOMALOUS  -9e9 nats, p = 0, channel 1 costs 9.0, feature 4 costs 3.0")),
        );
        lines.extend((25..31).map(|i| format!("{i}.0 s  SENSOR FAULT  the sensor of channel 2 repeats one value")));
        let seen = seen(&lines);
        let buffer = rendered(&seen, 100, 30);
        let text = text(&buffer);
        let at = |colour| cells(&buffer, colour);
        let (normal, drifting, fault, anomalous) =
            (at(Color::Green), at(Color::Yellow), at(Color::Magenta), at(Color::Red));
        let columns = |cells: &[(u16, u16)]| {
            let columns = cells.iter().map(|(column, _)| *column);
            (columns.clone().min().unwrap(), columns.max().unwrap())
        };
        assert!(columns(&normal).1 < columns(&drifting).0, "time runs to the right:\n{text}");
        assert!(columns(&drifting).1 < columns(&anomalous).0 && columns(&anomalous).1 < columns(&fault).0, "{text}");
        // The threshold is a line of marks from the left to the right, between drift and alarms.
        let marks = |row: u16| {
            (0..100)
                .filter(|column| {
                    ('\u{2801}'..='\u{28ff}').contains(&buffer[(*column, row)].symbol().chars().next().unwrap())
                })
                .count()
        };
        let threshold = (0..30).find(|row| marks(*row) > 50).unwrap_or_else(|| panic!("no threshold:\n{text}"));
        let rows = |cells: &[(u16, u16)]| {
            (cells.iter().map(|(_, row)| *row).min().unwrap(), cells.iter().map(|(_, row)| *row).max().unwrap())
        };
        assert!(rows(&normal).1 < rows(&drifting).0 && rows(&drifting).1 < threshold, "{text}");
        assert!(threshold < rows(&anomalous).0, "{text}");
        for part in [
            "/dev/ttyACM0  stuck: z",
            "threshold",
            "sensor fault",
            "1 alarm(s); 10 normal, 10 drifting, 6 sensor fault, 5 anomalous; 0 malformed; q quits",
            "20.0 s  ANOMALOUS",
            "score, nats",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
    }

    #[test]
    fn a_device_that_starts_again_goes_on_at_the_right() {
        let mut history = History::default();
        for (time, expected) in [(1.0, 1.0), (9.0, 9.0), (0.5, 9.0), (2.0, 10.5), (0.0, 10.5), (1.0, 11.5)] {
            history.push(
                time,
                Verdict::SensorFault(vae_core::SensorFault { channel: 0, kind: vae_core::SensorFaultKind::Stuck }),
            );
            assert_eq!(history.points.back().map(|(time, _)| *time), Some(expected));
        }
    }

    #[test]
    fn nothing_can_make_it_panic() {
        let numbers = ["1.0", "-1e38", "1e38", "inf", "-inf", "NaN"];
        let verdicts = numbers.iter().map(|score| format!("{score} s  normal  {score} nats, p = 0.5"));
        let thresholds = numbers.iter().map(|nats| format!("threshold {nats} nats"));
        let lines: Vec<String> = verdicts.chain(thresholds).collect();
        for count in 0..=lines.len() {
            for (width, height) in [(0, 0), (1, 1), (10, 3), (80, 24)] {
                rendered(&seen(&lines[..count]), width, height);
            }
        }
    }
}
