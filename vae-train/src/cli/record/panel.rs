//! What `record` shows: rate, levels, clipping and spectrum.

use std::collections::VecDeque;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph},
};

use crate::{
    recorder::{Recorder, levels::Level, recording::Recording},
    words::{
        foreign::line,
        numbers::{count, significant},
        rates::span,
    },
};

/// Messages that are shown.
pub(super) const MOST_SAID: usize = 5;
/// Channels that are shown, each in a colour of its own.
const COLOURS: [Color; 6] = [Color::Cyan, Color::Yellow, Color::Green, Color::Magenta, Color::Blue, Color::White];
/// Cells of a level's bar.
const BAR: usize = 20;
/// The spectrum shows this much below its highest line, in dB.
const DEPTH: f64 = 80.0;
/// Characters of a channel's name that there is room for.
const NAME: usize = 12;

pub(super) fn draw(frame: &mut Frame<'_>, recorder: &Recorder, source: &str, said: &VecDeque<String>) {
    let channels = recorder.recording().map_or(0, |recording| recording.names().len().min(COLOURS.len()));
    let rows = [
        Constraint::Length(1),
        Constraint::Length(1 + channels as u16),
        Constraint::Min(4),
        Constraint::Length(MOST_SAID as u16),
        Constraint::Length(1),
    ];
    let [head, levels, spectrum, notes, foot] = Layout::vertical(rows).areas(frame.area());
    frame.render_widget(Line::from(heading(recorder, source)), head);
    if let Some(recording) = recorder.recording() {
        frame.render_widget(Paragraph::new(level_lines(recording)), levels);
        draw_spectrum(frame, spectrum, recording);
    }
    let lines: Vec<Line<'_>> = said.iter().map(|said| Line::raw(line(said))).collect();
    frame.render_widget(Paragraph::new(lines), notes);
    let dropped = recorder.dropped();
    let (lost, gaps) = recorder
        .recording()
        .map_or((0, 0), |recording| (recording.gaps().iter().filter_map(|gap| gap.lost).sum(), recording.gaps().len()));
    frame.render_widget(
        Line::raw(format!(
            "{gaps} gap(s), {} sample(s) lost; {} byte(s) that are no frames; q ends",
            count(lost),
            count(dropped.bytes)
        )),
        foot,
    );
}

fn heading(recorder: &Recorder, source: &str) -> Vec<Span<'static>> {
    let source = Span::raw(format!("{}  ", line(source)));
    let Some(recording) = recorder.recording() else { return vec![source, Span::raw("waiting for samples")] };
    let measured = recording.measured_rate().map(|rate| format!(" ({} measured)", significant(rate)));
    let text = format!(
        "{}, {} samples at {} Hz{}",
        span(recording.seconds()),
        count(recording.samples()),
        significant(recording.rate().into()),
        measured.unwrap_or_default()
    );
    vec![source, Span::styled(text, Style::new().add_modifier(Modifier::BOLD))]
}

fn level_lines(recording: &Recording) -> Vec<Line<'static>> {
    let head =
        format!("{:<NAME$} {:>11} {:>11} {:>11}  {:<BAR$}  clipped", "", "mean", "deviation", "peak", "of the scale");
    let full_scale = f64::from(recording.full_scale());
    let channels = recording.names().iter().zip(recording.levels()).zip(COLOURS);
    let lines = channels.map(|((name, level), colour)| level_line(name, level, full_scale, colour));
    std::iter::once(Line::raw(head)).chain(lines).collect()
}

fn level_line(name: &str, level: &Level, full_scale: f64, colour: Color) -> Line<'static> {
    let name: String = line(name).chars().take(NAME).collect();
    let name = Span::styled(format!("{name:<NAME$} "), Style::new().fg(colour));
    let Some(now) = level.now() else { return Line::from(name) };
    let numbers = [now.mean, now.deviation, now.peak()].map(significant);
    let [mean, deviation, peak] = numbers.map(|text| format!("{text:>11} "));
    let filled = if full_scale > 0.0 { (BAR as f64 * now.peak() / full_scale).min(BAR as f64) } else { 0.0 };
    let bar = format!(" {:<BAR$}  ", "█".repeat(filled.round() as usize));
    let clipped = match level.clipped() {
        0 => Span::raw("0"),
        clipped => Span::styled(count(clipped), Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)),
    };
    Line::from(vec![name, Span::raw(mean + &deviation + &peak), Span::styled(bar, Style::new().fg(colour)), clipped])
}

fn draw_spectrum(frame: &mut Frame<'_>, area: Rect, recording: &Recording) {
    let rate = f64::from(recording.rate());
    let decibels = |amplitude: f64| 20.0 * libm::log10(amplitude.max(1e-12));
    let spectra: Vec<Vec<(f64, f64)>> = recording
        .levels()
        .iter()
        .take(COLOURS.len())
        .map(|level| level.spectrum().into_iter().map(|(part, amplitude)| (part * rate, decibels(amplitude))).collect())
        .collect();
    let highest = spectra.iter().flatten().map(|(_, level)| *level).fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return;
    }
    let (low, high) = (highest - DEPTH, highest + 5.0);
    let shown: Vec<Vec<(f64, f64)>> =
        spectra.into_iter().map(|lines| lines.into_iter().map(|(at, level)| (at, level.max(low))).collect()).collect();
    let sets = recording.names().iter().zip(&shown).zip(COLOURS).map(|((name, points), colour)| {
        let name: String = line(name).chars().take(NAME).collect();
        Dataset::default()
            .name(name)
            .graph_type(GraphType::Line)
            .marker(Marker::Braille)
            .style(Style::new().fg(colour))
            .data(points)
    });
    let axis = |low: f64, high: f64| {
        Axis::default().bounds([low, high]).labels([low, 0.5 * (low + high), high].map(|value| format!("{value:.0}")))
    };
    let chart = Chart::new(sets.collect())
        .block(Block::bordered().title(" spectrum, dB of the channel's unit "))
        .x_axis(axis(0.0, 0.5 * rate).title("Hz"))
        .y_axis(axis(low, high));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;
    use crate::{
        recorder::frame::{Counts, Head, write},
        words::output::Existing,
    };

    fn shown(recorder: &Recorder, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let said = VecDeque::from(["device is back".to_owned()]);
        terminal.draw(|frame| draw(frame, recorder, "/dev/ttyACM0", &said)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let rows = buffer.content().chunks(width.max(1).into());
        rows.map(|row| row.iter().map(|cell| cell.symbol()).collect()).collect()
    }

    /// 1 s of a sine of 200 Hz in `a`, and silence in `b`, with 32 samples lost.
    fn recorder(place: &std::path::Path) -> Recorder {
        let mut recorder = Recorder::new(&place.join("a.csv"), Existing::Keep, None).unwrap();
        let head = Head { rate: 1600.0, scale: 0.001, full_scale: 8.0, channels: "a,b" };
        let mut buffer = [0; 512];
        for number in (0..57u16).filter(|number| *number != 4) {
            let counts: Vec<i16> = (0..32)
                .flat_map(|index| {
                    let phase = std::f64::consts::TAU * f64::from(32 * number + index) / 8.0;
                    [(8000.0 * phase.sin()) as i16, 0]
                })
                .collect();
            let bytes = write(&head, 32 * u64::from(number), Counts::Short(&counts), &mut buffer).unwrap();
            recorder.push(bytes, f64::from(number) / 50.0).unwrap();
        }
        recorder
    }

    #[test]
    fn rate_levels_clipping_and_spectrum_are_shown() {
        let place = tempfile::tempdir().unwrap();
        let recorder = recorder(place.path());
        let rows = shown(&recorder, 100, 30);
        let text = rows.join("\n");
        for part in [
            "/dev/ttyACM0  1.1 s, 1,792 samples at 1600 Hz",
            "1 gap(s), 32 sample(s) lost",
            "device is back",
            "800",
            "spectrum, dB",
        ] {
            assert!(text.contains(part), "{part}:\n{text}");
        }
        let row = |name: &str| rows.iter().find(|row| row.starts_with(name)).unwrap();
        // An eighth of the samples at each end of the scale, and a root mean square of 8 / √2.
        assert!(row("a ").contains("5.65") && row("a ").contains(&"█".repeat(20)), "{text}");
        assert!(row("a ").trim_end().ends_with("448") && row("b ").trim_end().ends_with(" 0"), "{text}");
        // The line of 200 Hz is a quarter of the way to 800, and nothing else is as high.
        let top = rows.iter().position(|row| row.contains("spectrum")).unwrap() + 1;
        let is_mark = |c: char| ('\u{2801}'..='\u{28ff}').contains(&c);
        let highest = rows[top..].iter().find(|row| row.chars().any(is_mark)).unwrap();
        let at = highest.chars().position(is_mark).unwrap();
        assert!((24..34).contains(&at), "{at}:\n{text}");
    }

    #[test]
    fn nothing_can_make_it_panic() {
        let place = tempfile::tempdir().unwrap();
        let empty = Recorder::new(&place.path().join("b.csv"), Existing::Keep, None).unwrap();
        for recorder in [empty, recorder(place.path())] {
            for (width, height) in [(1, 1), (10, 3), (40, 8), (300, 100)] {
                shown(&recorder, width, height);
            }
        }
    }
}
