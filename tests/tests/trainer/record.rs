//! `vae-train record`, as its users run it: beside an emulated device, on a serial line, on a screen.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use vae_tests::{can_emulate, firmware_command};
use vae_train::{
    recorder::frame::{Counts, Head, write},
    simulator::motor::{Condition, Motor},
};

use crate::workplace::{BINARY, Workplace, files};

const TARGET: &str = "thumbv7em-none-eabihf";
const HEAD: Head<'static> = Head { rate: 100.0, scale: 0.5, full_scale: 100.0, channels: "a,b" };

/// What the sample with this number is.
fn sample(number: u64) -> [i16; 2] {
    let value = (number % 250) as i16;
    [value, -value / 2]
}

/// A frame of ten samples.
fn frame(head: &Head<'_>, first: u64) -> Vec<u8> {
    let counts: Vec<i16> = (first..first + 10).flat_map(sample).collect();
    let mut buffer = [0; 256];
    write(head, first, Counts::Short(&counts), &mut buffer).unwrap().to_vec()
}

/// The frames that begin with these samples.
fn frames(first: impl IntoIterator<Item = u64>) -> Vec<u8> {
    first.into_iter().flat_map(|first| frame(&HEAD, first)).collect()
}

fn record(place: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("record").args(arguments).current_dir(place);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What `record` makes of bytes on its standard input: exit code, standard output, standard error.
fn on_input(place: &Path, arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut child = record(place, arguments).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input); // a refused command does not read it
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The rows of a recording of `a` and `b`: times, and numbers of samples by their values.
fn rows(path: &Path) -> Vec<(f64, i16)> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("time,a,b"));
    lines
        .map(|line| {
            let fields: Vec<f64> = line.split(',').map(|field| field.parse().unwrap()).collect();
            let [time, a, b] = fields[..] else { panic!("{line}") };
            let count = (a / 0.5) as i16;
            assert_eq!(f64::from(-count / 2) * 0.5, b, "{line}");
            (time, count)
        })
        .collect()
}

#[test]
fn samples_have_their_times_and_gaps_and_garbage_are_named() {
    let place = Workplace::new();
    // The device's start-up text, a frame that is lost, one that breaks off, and another start.
    let tens = |range: std::ops::Range<u64>| frames(range.step_by(10));
    let mut bytes = b"boot v1.2\r\n".to_vec();
    bytes.extend([tens(40..540), tens(550..1000)].concat());
    bytes.extend(&frame(&HEAD, 1000)[..20]);
    bytes.extend([tens(1010..1500), tens(0..500)].concat());
    let (code, printed, said) = on_input(place.0.path(), &["-", "--out", "new/day.csv"], &bytes);
    assert_eq!(code, Some(0), "{said}");
    for part in [
        "note: gap: 10 sample(s) lost before 5.100 s (100 ms)",
        "note: gap: 10 sample(s) lost before 9.700 s (100 ms)",
        "note: gap: the device has started again",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for part in [
        " of a, b, 1,940 samples at 100 Hz",
        "gaps     3, ",
        ": 20 sample(s) lost, 1 restart(s) of the device",
        "dropped  30 byte(s) in 2 piece(s) that are no frames",
        "next: vae-train split new/day.csv --out parts",
    ] {
        assert!(printed.contains(part), "{part}: {printed}");
    }
    let kept = rows(&place.path("new/day.csv"));
    assert_eq!(kept.len(), 1940);
    let numbers = (40..540).chain(550..1000).chain(1010..1500);
    for (row, number) in kept.iter().zip(numbers) {
        let time = f64::from(number - 40) / 100.0;
        assert!((row.0 - time).abs() < 1e-9 && row.1 == (number % 250) as i16, "{row:?}");
    }
    let (last, restarted) = (kept[1439], kept[1440]);
    assert!(restarted.1 == 0 && restarted.0 > last.0 + 0.015, "{last:?} {restarted:?}");
    // The project's readers see the gaps.
    let found = place.json("inspect new/day.csv");
    assert_eq!((found["clock"]["rate"].as_f64(), found["clock"]["gaps"].as_u64()), (Some(100.0), Some(3)), "{found}");
}

#[test]
fn every_format_holds_the_same_samples() {
    let place = Workplace::new();
    let bytes = frames((0..50).map(|frame| 10 * frame).filter(|first| *first != 100));
    for (name, expected) in [("a.csv", &["a.csv"][..]), ("a.wav", &["a.wav", "a-2.wav"]), ("a.parquet", &["a.parquet"])]
    {
        let (code, printed, said) = on_input(place.0.path(), &["-", "--out", name, "--json"], &bytes);
        assert_eq!(code, Some(0), "{said}");
        let recorded: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(recorded["files"], serde_json::json!(expected));
        assert_eq!((recorded["samples"].as_u64(), recorded["rate"].as_f64()), (Some(490), Some(100.0)));
        let channel = &recorded["channels"][0];
        // Of 250 values in steps of 0.5, those from 200 on are at the end of the scale.
        let clipped = (0..500u64).filter(|number| !(100..110).contains(number) && sample(*number)[0] >= 200).count();
        assert_eq!((channel["name"].as_str(), channel["clipped"].as_u64()), (Some("a"), Some(clipped as u64)));
        assert_eq!(
            (channel["largest"].as_f64(), recorded["channels"][1]["least"].as_f64()),
            (Some(124.5), Some(-62.0))
        );
        assert_eq!(recorded["gaps"][0]["lost"], 10);
        let rows: u64 =
            expected.iter().map(|file| place.json(&format!("inspect {file}"))["rows"].as_u64().unwrap()).sum();
        assert_eq!(rows, 490, "{name}");
    }
    assert_eq!(place.json("inspect a.parquet")["clock"]["gaps"], 1);
    assert_eq!(files(place.0.path()).len(), 4, "nothing else is left");
}

#[test]
fn it_ends_when_all_is_recorded_and_not_before() {
    let place = Workplace::new();
    let endless: Vec<u8> = frames((0..1000).map(|frame| 10 * frame));
    let (code, printed, said) = on_input(place.0.path(), &["-", "--out", "a.csv", "--for", "12.34s"], &endless);
    assert!(code == Some(0) && printed.contains("12.3 s of a, b, 1,234 samples"), "{printed}{said}");
    assert_eq!(rows(&place.path("a.csv")).last().unwrap().1, (1233 % 250) as i16);
    let (code, _, said) = on_input(place.0.path(), &["-", "--out", "b.csv", "--for", "ten"], b"");
    assert!(code == Some(2) && said.contains("90s, 10m, 1.5h or 2d"), "{said}");
}

#[test]
fn what_cannot_be_recorded_is_refused_with_advice_and_leaves_no_file() {
    let place = Workplace::new();
    let text = "threshold     300.0 nats\r\n  0.50 s  normal        361.201 nats, p = 0.019\r\n";
    let absurd = frame(&Head { channels: "a,time", ..HEAD }, 0);
    let slow = frame(&Head { rate: 12.5, ..HEAD }, 0);
    for (arguments, input, parts) in [
        (
            &["-", "--out", "a.csv"][..],
            text.as_bytes(),
            &["no frame of samples", "begin with `threshold", "docs/record.md"][..],
        ),
        (&["-", "--out", "a.csv"], b"", &["nothing has come at all"]),
        (&["missing-port", "--out", "a.csv"], b"", &["missing-port cannot be opened as a serial port at 115200 bits"]),
        (&["-", "--out", "a.txt"], b"", &["a.txt", ".parquet"]),
        (&["-", "--out", "a.csv"], &absurd, &["a, time", "a name of its own"]),
        (&["-", "--out", "a.wav"], &slow, &["12.5 samples a second", ".csv"]),
    ] {
        let (code, _, said) = on_input(place.0.path(), arguments, input);
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{arguments:?}: {said}");
    }
    assert_eq!(files(place.0.path()), []);
    // A recording is not overwritten, and what an earlier one has left not by anything.
    place.write("a.csv", "time,a\n0,1\n");
    place.write("b.csv.part", "time,a\n0,1\n");
    for (arguments, part) in [
        (&["-", "--out", "a.csv"][..], "--force to replace it"),
        (&["-", "--out", "b.csv", "--force"], "mv b.csv.part earlier.csv"),
    ] {
        let (code, _, said) = on_input(place.0.path(), arguments, &frames([0]));
        assert!(code == Some(1) && said.contains(part), "{said}");
    }
    assert_eq!(files(place.0.path()).len(), 2);
}

#[test]
fn another_stream_ends_the_recording_and_what_came_before_is_kept() {
    let place = Workplace::new();
    let bytes = [frames([0, 10]), frame(&Head { channels: "x", ..HEAD }, 20)].concat();
    let (code, printed, said) = on_input(place.0.path(), &["-", "--out", "a.csv"], &bytes);
    assert!(code == Some(1) && said.contains("sends x at 100 Hz now, and a,b at 100 Hz before"), "{said}");
    assert!(printed.contains("20 samples at 100 Hz"), "{printed}");
    assert_eq!(rows(&place.path("a.csv")).len(), 20);
}

#[test]
fn the_emulated_firmware_is_recorded() {
    if !can_emulate(TARGET) {
        return;
    }
    let place = Workplace::new();
    assert!(firmware_command("build", TARGET, "record", &[]).status().unwrap().success());
    let mut device = firmware_command("run", TARGET, "record", &[]).stdout(Stdio::piped()).spawn().unwrap();
    let arguments = ["-", "--out", "motor.csv", "--for", "2s", "--json"];
    let output = record(place.0.path(), &arguments).stdin(device.stdout.take().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(device.wait().unwrap().success(), "the device goes on until nobody reads");
    let recorded: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((recorded["dropped_bytes"].as_u64(), recorded["gaps"].as_array().unwrap().len()), (Some(0), 0));
    // The host's motor, by the sensor's 14 bits.
    let text = fs::read_to_string(place.path("motor.csv")).unwrap();
    let mut motor = Motor::new(1, 0);
    assert_eq!(text.lines().count(), 3201);
    for (number, line) in text.lines().skip(1).enumerate() {
        let fields: Vec<f32> = line.split(',').map(|field| field.parse().unwrap()).collect();
        assert!((f64::from(fields[0]) - number as f64 / 1600.0).abs() < 1e-6, "{line}");
        for (found, g) in fields[1..].iter().zip(motor.sample(Condition::Normal)) {
            assert!((found - g).abs() < 8.0 / 8192.0 && (found * 1024.0).fract() == 0.0, "{line}: {g}");
        }
    }
}

#[cfg(target_os = "linux")]
mod pseudo_terminals {
    use std::{os::unix::fs::symlink, time::Duration};

    use super::*;
    use crate::terminals::{Running, Terminal, line, lines_of, signal, until};

    fn count(path: &Path) -> usize {
        fs::read_to_string(path).map(|text| text.lines().count()).unwrap_or_default()
    }

    #[test]
    fn a_serial_line_is_waited_for_and_nothing_is_lost_by_a_kill() {
        let place = Workplace::new();
        // As udev names a device: the same name, whatever it is plugged into.
        let port = place.path("device");
        let (mut device, name, slave) = line();
        symlink(name, &port).unwrap();
        let part = place.path("day.wav.part");
        let mut child =
            Running(record(place.0.path(), &["device", "--baud", "57600", "--out", "day.wav"]).spawn().unwrap());
        let said = lines_of(child.0.stderr.take().unwrap());
        let heard = |what: &str| {
            let message = said.recv_timeout(Duration::from_secs(30)).unwrap();
            assert!(message.contains(what), "{message}");
        };
        for number in 0..3 {
            device.write_all(&frame(&HEAD, 10 * number)).unwrap();
            until("the frame is kept", || count(&part) == 11 + 10 * number as usize);
        }
        // It is unplugged in a frame, and starts again.
        device.write_all(&frame(&HEAD, 30)[..17]).unwrap();
        drop((device, slave));
        heard("device is gone (");
        let (mut device, name, _slave) = line();
        fs::remove_file(&port).unwrap();
        symlink(name, &port).unwrap();
        heard("device is back");
        device.write_all(&frames([0, 10])).unwrap();
        heard("gap: the device has started again");
        until("the frames are kept", || count(&part) == 51);
        signal(&child.0, "-KILL");
        child.0.wait().unwrap();
        let kept = rows(&part);
        assert_eq!(
            kept.iter().map(|(_, number)| *number).collect::<Vec<i16>>(),
            (0..30).chain(0..20).collect::<Vec<i16>>()
        );
        assert!(kept[30].0 > kept[29].0 + 0.015, "a gap of two samples at least");
        // It is a table like any other, and no later recording takes its place.
        assert_eq!(place.json("inspect day.wav.part")["rows"], 50);
        assert!(place.fail("record device --out day.wav").contains("day.wav.part is a recording that was broken off"));
    }

    #[test]
    fn an_interrupted_recording_ends_with_its_file_and_summary() {
        let place = Workplace::new();
        let (mut device, port, _slave) = line();
        let child = record(place.0.path(), &[&port, "--out", "day.csv", "--json"]).spawn().unwrap();
        // Until the port is open, nobody takes what is sent.
        until("the frame is kept", || {
            device.write_all(&frame(&HEAD, 0)).unwrap();
            count(&place.path("day.csv.part")) > 10
        });
        signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let recorded: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(recorded["samples"].as_u64(), Some(count(&place.path("day.csv")) as u64 - 1));
        assert!(!place.path("day.csv.part").exists());
    }

    #[test]
    fn a_port_without_frames_is_given_up_and_a_device_that_stops_in_one_is_waited_for() {
        let place = Workplace::new();
        let (mut device, port, _slave) = line();
        let mut child = record(place.0.path(), &[&port, "--out", "day.csv"]).spawn().unwrap();
        until("it gives up", || {
            device.write_all(b"  0.50 s  normal  361.201 nats, p = 0.019\n").unwrap();
            child.try_wait().unwrap().is_some()
        });
        let output = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{message}");
        for part in [
            "no frame of samples for 5 s",
            "error: ",
            "no frame of samples for 10 s",
            "begin with `  0.50 s  normal",
            "--baud 115200",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert_eq!(files(place.0.path()), []);

        let (mut device, port, _slave) = line();
        let mut child = Running(record(place.0.path(), &[&port, "--out", "day.csv"]).spawn().unwrap());
        let said = lines_of(child.0.stderr.take().unwrap());
        let part = place.path("day.csv.part");
        until("the frame is kept", || {
            device.write_all(&frame(&HEAD, 0)).unwrap();
            count(&part) > 10
        });
        device.write_all(&frame(&HEAD, 10)[..17]).unwrap();
        let heard = |what: &str| until(what, || said.try_iter().any(|line| line.contains(what)));
        heard("no frame of samples for 5 s");
        device.write_all(&frame(&HEAD, 500)).unwrap();
        heard("samples come");
        signal(&child.0, "-INT");
        assert!(child.0.wait().unwrap().success());
        assert_eq!(rows(&place.path("day.csv")).last().unwrap().1, 9);
    }

    #[test]
    fn on_a_terminal_it_shows_levels_and_spectrum_until_q() {
        let place = Workplace::new();
        let (mut device, port, _slave) = line();
        let mut command = record(place.0.path(), &[&port, "--out", "day.csv"]);
        let mut terminal = Terminal::of(&mut command);
        let mut child = Running(command.spawn().unwrap());
        terminal.shows(true, "waiting for samples");
        device.write_all(&frames((0..30).map(|frame| 10 * frame).filter(|first| *first != 20))).unwrap();
        terminal.shows(true, "3.0 s, 290 samples at 100 Hz");
        for part in
            ["mean", "clipped", "spectrum, dB", "Hz", "10 sample(s) lost before 0.300 s", "1 gap(s), 10 sample(s) lost"]
        {
            terminal.shows(true, part);
        }
        terminal.keyboard.write_all(b"q").unwrap();
        // The terminal is as it was, with the summary on it.
        terminal.shows(false, "day.csv: 3.0 s of a, b, 290 samples at 100 Hz");
        until("it ends", || child.0.try_wait().unwrap().is_some());
        assert!(child.0.wait().unwrap().success());
        assert_eq!(count(&place.path("day.csv")), 291);
    }
}
