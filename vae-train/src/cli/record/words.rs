//! What `record` says.

use std::fmt::Write as _;

use crate::{
    recorder::{
        recording::{Recorded, RecordedChannel, Recording},
        stream::Dropped,
        timeline::Gap,
    },
    words::{
        foreign::excerpt,
        messages::{list, quoted},
        numbers::{count, significant},
        rates::{duration, span},
    },
};

/// A device's rate and this machine's clock may differ by this part before it is said.
const RATE_TOLERANCE: f64 = 0.02;

pub(super) fn gap_in_words(gap: &Gap) -> String {
    let Gap { at, seconds, lost } = gap;
    match lost {
        Some(lost) => format!("gap: {} sample(s) lost before {at:.3} s ({})", count(*lost), duration(*seconds)),
        None => format!("gap: the device has started again, at {at:.3} s; {} without samples", duration(*seconds)),
    }
}

/// Why there is nothing to record, since so many seconds or at all; a serial port has a `baud` rate.
pub(super) fn nothing_came(source: &str, seconds: Option<u64>, dropped: &Dropped, baud: Option<u32>) -> String {
    let since = seconds.map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
    let found = match dropped.bytes {
        0 => "nothing has come at all".to_owned(),
        bytes => format!(
            "{} byte(s) have come that are no frames and begin with `{}`",
            count(bytes),
            excerpt(&String::from_utf8_lossy(&dropped.beginning))
        ),
    };
    let right = match baud {
        Some(baud) => format!("it is the right port, that the device sends at --baud {baud},"),
        None => "it is the device's output".to_owned(),
    };
    format!(
        "{source}: no frame of samples{since}: {found}: make sure that {right} and that firmware is flashed that records (docs/record.md)"
    )
}

/// How far it is, in a line.
pub(super) fn progress(recording: &Recording) -> String {
    let mut text = format!("{}, {} samples", span(recording.seconds()), count(recording.samples()));
    for (name, level) in recording.names().iter().zip(recording.levels()) {
        if let Some(now) = level.now() {
            let _ = write!(text, "; {name} {} ± {}", significant(now.mean), significant(now.deviation));
        }
    }
    let clipped: u64 = recording.levels().iter().map(|level| level.clipped()).sum();
    if clipped > 0 {
        let _ = write!(text, "; {} clipped", count(clipped));
    }
    if !recording.gaps().is_empty() {
        let _ = write!(text, "; {} gap(s)", recording.gaps().len());
    }
    text
}

/// What is in the file, and how to go on.
pub(super) fn summary(recorded: &Recorded) -> String {
    let Recorded { files, samples, seconds, rate, measured_rate, channels, gaps, dropped_pieces, dropped_bytes } =
        recorded;
    let files: Vec<String> = files.iter().map(|file| quoted(file.display())).collect();
    let names: Vec<&str> = channels.iter().map(|channel| &*channel.name).collect();
    let mut text = format!(
        "{}: {} of {}, {} samples at {} Hz\n",
        files.join(", "),
        span(*seconds),
        names.join(", "),
        count(*samples),
        significant(f64::from(*rate))
    );
    if let Some(measured) = measured_rate.filter(|measured| (measured / f64::from(*rate) - 1.0).abs() > RATE_TOLERANCE)
    {
        let _ = writeln!(
            text,
            "rate     {} samples come a second by this machine's clock, where the device says {}: its times are wrong by as much",
            significant(measured),
            significant(f64::from(*rate))
        );
    }
    let lost: u64 = gaps.iter().filter_map(|gap| gap.lost).sum();
    let restarts = gaps.iter().filter(|gap| gap.lost.is_none()).count();
    let _ = match gaps.len() {
        0 => writeln!(text, "gaps     none: no sample was lost"),
        some => writeln!(
            text,
            "gaps     {some}, {} in all: {} sample(s) lost, {restarts} restart(s) of the device",
            span(gaps.iter().map(|gap| gap.seconds).sum()),
            count(lost)
        ),
    };
    if *dropped_pieces > 0 {
        let _ = writeln!(
            text,
            "dropped  {} byte(s) in {} piece(s) that are no frames",
            count(*dropped_bytes),
            count(*dropped_pieces)
        );
    }
    table(&mut text, channels);
    let next = match &files[..] {
        [file] => format!("vae-train split {file} --out parts"),
        files => format!("vae-train fit {} --out runs/a", files.join(" ")),
    };
    let _ = writeln!(text, "\nnext: {next}");
    text
}

/// A line for each channel, and what is clipped.
fn table(text: &mut String, channels: &[RecordedChannel]) {
    let _ = writeln!(
        text,
        "\n{:<16} {:>11} {:>11} {:>11} {:>11} {:>9}",
        "channel", "mean", "deviation", "least", "largest", "clipped"
    );
    for channel in channels {
        let strength = &channel.strength;
        let [mean, deviation, least, largest] =
            [strength.mean, strength.deviation, strength.least, strength.largest].map(significant);
        let clipped = if channel.full_scale.is_some() { count(channel.clipped) } else { "?".to_owned() };
        let _ =
            writeln!(text, "{:<16} {mean:>11} {deviation:>11} {least:>11} {largest:>11} {clipped:>9}", channel.name);
    }
    let clipped: Vec<&str> =
        channels.iter().filter(|channel| channel.clipped > 0).map(|channel| &*channel.name).collect();
    if !clipped.is_empty() {
        let _ = writeln!(
            text,
            "\n{} reached the end of the sensor's scale: what lies beyond is lost; give the sensor a wider range and record again",
            list(&clipped)
        );
    }
}
