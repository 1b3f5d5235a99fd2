//! `vae-train watch`, as its users run it: beside an emulated device, on a serial line, on a screen.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use vae_core::{Detector, Scratch, Verdict};
use vae_tests::{can_emulate, firmware_command, root};
use vae_train::{
    device_log::{Content, Lines, formats},
    file::model_file::AlignedFile,
    scoring::detection::{Verdicts, detect, verdict_in_words},
    tables::table::Table,
};

const BINARY: &str = env!("CARGO_BIN_EXE_vae-train-under-test");
const TARGET: &str = "thumbv7em-none-eabihf";

fn watch(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("watch").args(arguments).current_dir(directory);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What `watch` makes of a text on its standard input: exit code, standard output, standard error.
fn on_input(directory: &Path, arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut child = watch(directory, arguments).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input); // a refused command does not read it
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The CSV file's lines without the time of their arrival: time, score, p-value, verdict.
fn kept(path: &Path) -> Vec<[String; 4]> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("received,time,score,p_value,verdict"));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            assert!(fields[0].len() == 24 && fields[0].ends_with('Z'), "{line}");
            [fields[1], fields[2], fields[3], fields[4]].map(str::to_owned)
        })
        .collect()
}

const LOG: &str = "boot\r
threshold     300.0 nats\r
  0.50 s  normal        361.201 nats, p = 0.019\r
  1.00 s  -- it is 20 °C\r
  1.50 s  drifting      387.692 nats, p = 0.568, 2 missing, mean of channel 1 off by -5.82e-4\r
[WARN ] SENSOR FAULT  the sensor of channel 0 repeats one value (main.rs:7)\r
  2.50 s  ANOMALOUS     114.554 nats, p = 7.1e-17, channel 2 costs 159.7, feature 70 costs 25.5\r
  3.00 s  the li";

#[test]
fn lines_from_standard_input_are_printed_counted_and_kept() {
    let place = tempfile::tempdir().unwrap();
    let csv = place.path().join("new/scores.csv");
    let (code, printed, said) = on_input(place.path(), &["-", "--out", "new/scores.csv"], LOG.as_bytes());
    assert_eq!(code, Some(0), "{said}");
    let lines = LOG.lines().map(str::trim_end).collect::<Vec<_>>();
    assert_eq!(printed.lines().collect::<Vec<_>>(), lines, "lines in a pipe are those of the device");
    let expected = "standard input: 8 lines, 0 malformed; 1 alarm(s); windows by verdict: 1 normal, 1 anomalous, 1 with a sensor's fault, 1 drifting";
    assert!(said.contains(expected) && said.contains("written to new/scores.csv"), "{said}");
    let row = |fields: [&str; 4]| fields.map(str::to_owned);
    assert_eq!(
        kept(&csv),
        [
            row(["0.5", "361.201", "0.019", "normal"]),
            row(["1.5", "387.692", "0.568", "drifting: mean of 1"]),
            row(["", "", "", "stuck: 0"]),
            row(["2.5", "114.554", "7.1e-17", "anomalous: 2"]),
        ]
    );

    // An existing file is kept, unless asked otherwise; the model names channels.
    let before = fs::read(&csv).unwrap();
    let (code, _, said) = on_input(place.path(), &["-", "--out", "new/scores.csv"], LOG.as_bytes());
    assert!(code == Some(1) && said.contains("new/scores.csv exists") && said.contains("--force"), "{said}");
    assert_eq!(fs::read(&csv).unwrap(), before);
    let model = root().join("firmware-example/model/motor.vae");
    let arguments = ["-", "--out", "new/scores.csv", "--force", "--json", "--model", model.to_str().unwrap()];
    let (code, printed, said) = on_input(place.path(), &arguments, LOG.as_bytes());
    assert_eq!(code, Some(0), "{said}");
    let summary: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((summary["malformed"].as_u64(), summary["threshold"].as_f64()), (Some(0), Some(300.0)), "{summary}");
    let verdicts: Vec<String> = kept(&csv).into_iter().map(|[.., verdict]| verdict).collect();
    assert_eq!(verdicts, ["normal", "drifting: mean of y", "stuck: x", "anomalous: z"]);
}

/// What the programs and tools that our users have make of a device's lines.
const LOGS: [(&str, &[u8]); 6] = [
    (
        "replay",
        b"self-test passed: 61800 bytes of model, 2240 of RAM\nthreshold     -20.000 nats\nrow     63  normal        88.0 nats, p = 0.963\n\
          row   2431  SENSOR FAULT  the sensor of channel 1 repeats one value: pressure_bar\n\
          row   4991  ANOMALOUS     -1215.168 nats, p = 2.8e-4, channel 0 costs 795.9, feature 252 costs 22.7: flow_l_min\n7200 rows played\n",
    ),
    (
        "colours",
        b"\x1b[0;32mI (310) app: threshold     -20.000 nats\x1b[0m\r\n\x1b[0;32mI (1000) app: normal        88.0 nats, p = 0.963\x1b[0m\r\n\
          \x1b[0;33mW (1640) app: SENSOR FAULT  the sensor of channel 1 repeats one value\x1b[0m\r\n\
          \x1b[0;31mE (2280) app: ANOMALOUS     -1215.168 nats, p = 2.8e-4, channel 0 costs 795.9, feature 252 costs 22.7\x1b[0m\r\n",
    ),
    (
        "JSON",
        b"{\"msg\":\"threshold     -20.000 nats\"}\n{\"msg\":\"normal        88.0 nats, p = 0.963\"}\n\
          {\"msg\":\"SENSOR FAULT  the sensor of channel 1 repeats one value\"}\n\
          {\"msg\":\"ANOMALOUS     -1215.168 nats, p = 2.8e-4, channel 0 costs 795.9, feature 252 costs 22.7\"}",
    ),
    (
        "decimal commas and carriage returns",
        b"threshold     -20,000 nats\rnormal        88,0 nats, p = 0,963\rSENSOR FAULT  the sensor of channel 1 repeats one value\r\
          ANOMALOUS     -1215,168 nats, p = 2,8e-4, channel 0 costs 795,9, feature 252 costs 22,7\r",
    ),
    (
        "loggers",
        b"[00:00:10.123,000] <inf> app: threshold     -20.000 nats\n14:03:22.123 -> normal        88.0 nats, p = 0.963\n\
          May 01 12:00:00 press app[12]: SENSOR FAULT  the sensor of channel 1 repeats one value\n\
          level=warn msg=\"ANOMALOUS     -1215.168 nats, p = 2.8e-4, channel 0 costs 795.9, feature 252 costs 22.7\" unit=3\n",
    ),
    (
        "code pages and noise",
        b"\xff\xfe\x00mal  3.2\r\nthreshold\xa0-20.000\xa0nats\r\n\x93normal\xa0\xa088.0\xa0nats, p = 0.963\x94\r\n\
          \xf0\x80SENSOR FAULT  the sensor of channel 1 repeats one value\xb0\r\n\
          \x1b[31ANOMALOUS     -1215.168 nats, p = 2.8e-4, channel 0 costs 795.9, feature 252 costs 22.7 \xff\r\n",
    ),
];

#[test]
fn lines_are_read_whatever_stands_before_and_behind() {
    let place = tempfile::tempdir().unwrap();
    for (name, log) in LOGS {
        let (code, printed, said) = on_input(place.path(), &["-", "--out", "scores.csv", "--force", "--json"], log);
        assert_eq!(code, Some(0), "{name}: {said}");
        let summary: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!((summary["malformed"].as_u64(), summary["threshold"].as_f64()), (Some(0), Some(-20.0)), "{name}");
        let rows: Vec<[String; 3]> =
            kept(&place.path().join("scores.csv")).into_iter().map(|[_, a, b, c]| [a, b, c]).collect();
        let expected = [["88.0", "0.963", "normal"], ["", "", "stuck: 1"], ["-1215.168", "0.00028", "anomalous: 0"]];
        assert_eq!(rows, expected.map(|row| row.map(str::to_owned)), "{name}");
    }
}

#[test]
fn a_verdict_that_cannot_be_read_is_counted_shown_and_fails_a_file() {
    let place = tempfile::tempdir().unwrap();
    let bad = "  1.00 s  ANOMALOUS     11\u{fffd}.554 nats, p = 7.1e-17, channel 2 costs 159.7, feature 70 costs 25.5";
    let log =
        format!("boot\n  0.50 s  normal        361.201 nats, p = 0.019\n{bad}\n  1.50 s  \u{1b}[1mANOMALOUS     114.5");
    let (code, printed, said) = on_input(place.path(), &["-"], log.as_bytes());
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(printed.lines().nth(2), Some(bad));
    assert!(!printed.contains('\u{1b}') && !said.contains('\u{1b}'), "{said}");
    for part in [
        &format!("note: line 3: its verdict cannot be read: {bad}") as &str,
        "note: line 4: its verdict cannot be read:   1.50 s  ANOMALOUS     114.5",
        "4 lines, 2 malformed; 0 alarm(s); windows by verdict: 1 normal",
        "error: standard input: 2 of 4 line(s) have a verdict that cannot be read",
        &format!("first line 3: `{bad}`"),
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, printed, said) = on_input(place.path(), &["-", "--json", "--out", "kept.csv"], log.as_bytes());
    let summary: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (code, summary["unreadable"].as_u64(), kept(&place.path().join("kept.csv")).len()),
        (Some(1), Some(2), 1),
        "{said}"
    );
    // As from a line at a wrong rate: messages are about a few of them, and short.
    let noise = format!("ANOMALOUS {}\n", "x".repeat(1000)).repeat(1000) + "normal 1.0 nats, p = 0.5\n";
    let (code, _, said) = on_input(place.path(), &["-"], noise.as_bytes());
    assert!(code == Some(1) && said.contains("1000 of 1001 line(s)") && said.len() < 5000, "{}", said.len());
}

#[test]
fn what_cannot_be_watched_is_refused_with_advice_and_leaves_no_file() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("text.elf"), "no ELF file").unwrap();
    for (arguments, input, parts) in [
        (&["-"][..], "hello\nworld\n", &["no verdict in 2 line(s)", "12.00 s  normal", "--elf"][..]),
        (&["-"], "", &["no verdict in 0 line(s)"]),
        (
            &["missing-port", "--out", "a.csv"],
            "",
            &["missing-port cannot be opened as a serial port at 115200 bits", "this machine has"],
        ),
        (&["-", "--elf", "text.elf", "--out", "a.csv"], "", &["text.elf", "ELF"]),
        (&["-", "--elf", "none.elf", "--out", "a.csv"], "", &["cannot read none.elf", "No such file"]),
        (&["-", "--model", "none.vae", "--out", "a.csv"], "", &["none.vae"]),
    ] {
        let (code, _, said) = on_input(place.path(), arguments, input.as_bytes());
        assert_eq!(code, Some(1), "{arguments:?}: {said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{arguments:?}: {said}");
    }
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    // Of a log without verdicts, the header is kept.
    let (code, ..) = on_input(place.path(), &["-", "--out", "a.csv"], b"boot\n");
    assert!(code == Some(1) && kept(&place.path().join("a.csv")).is_empty());
    let (code, _, said) = on_input(place.path(), &["-", "--force"], b"");
    assert!(code == Some(2) && said.contains("--out"), "{said}");
}

#[test]
fn an_alarm_that_lasts_over_a_sensor_fault_is_one_as_score_counts() {
    let place = tempfile::tempdir().unwrap();
    let file = AlignedFile::read(&root().join("firmware-example/model/motor.vae")).unwrap();
    // The sensor of x is lost for a while of the fault.
    let mut values = stream();
    values[3 * 500..3 * 540].iter_mut().step_by(3).for_each(|value| *value = f32::NAN);
    let columns = ["x", "y", "z"].map(str::to_owned).to_vec();
    let table =
        Table { path: "stream.csv".into(), columns, values, labels: None, starts: Vec::new(), origins: Vec::new() };
    let judged = detect(file.model().unwrap(), &table).unwrap();
    let kinds: Vec<String> = judged.iter().map(|judged| verdict_in_words(&judged.verdict, &[])).collect();
    let lost = kinds.iter().position(|kind| kind == "missing: 0").unwrap();
    let found = kinds[lost..].iter().find(|kind| *kind != "missing: 0").unwrap();
    assert!(kinds[lost - 1].starts_with("anomalous") && found.starts_with("anomalous"), "{kinds:?}");
    let log: String = judged.iter().map(|judged| format!("{}\n", judged.verdict)).collect();
    let (_, _, said) = on_input(place.path(), &["-"], log.as_bytes());
    let alarms = Verdicts::of(&judged).alarms;
    assert!(alarms == 1 && said.contains("; 1 alarm(s)"), "{alarms}: {said}");
}

/// An ELF file of 32 bits, as far as defmt's decoder looks: its message 16 is a verdict, in this encoding.
fn elf(encoding: &str) -> Vec<u8> {
    let message = r#"{"package":"p","tag":"defmt_info","data":"normal  300.0 nats, p = 0.5","disambiguator":"1","crate_name":"c"}"#;
    let symbols = [("_defmt_version_ = 4", 0), (&*format!("_defmt_encoding_ = {encoding}"), 0), (message, 16)];
    let mut names = b"\0.defmt\0.symtab\0.strtab\0".to_vec();
    let mut table = vec![0; 16];
    for (name, address) in symbols {
        table.extend([names.len() as u32, address, 1].iter().flat_map(|word| word.to_le_bytes()));
        table.extend([0x11, 0, 1, 0]); // a global object, in section 1
        names.extend_from_slice(name.as_bytes());
        names.push(0);
    }
    names.resize(names.len().next_multiple_of(4), 0);
    let mut file = b"\x7fELF\x01\x01\x01".to_vec();
    file.resize(16, 0);
    let (defmt, symtab) = (52, 52 + 32);
    let strtab = symtab + table.len();
    let sections = strtab + names.len();
    file.extend([2, 0, 40, 0, 1, 0, 0, 0]); // an executable for Arm
    file.extend([0, 0, sections as u32, 0].iter().flat_map(|word| word.to_le_bytes()));
    file.extend([52, 0, 0, 40, 4, 3].iter().flat_map(|half: &u16| half.to_le_bytes()));
    file.extend([0; 32]);
    file.extend(&table);
    file.extend(&names);
    let section = |name: usize, kind: usize, place: usize, bytes: usize, link: usize, entry: usize| {
        [name, kind, 0, 0, place, bytes, link, 4, 1, entry].map(|word| word as u32)
    };
    for words in [
        [0; 10],
        section(1, 1, defmt, 32, 0, 0),
        section(8, 2, symtab, table.len(), 3, 16),
        section(16, 3, strtab, names.len(), 0, 0),
    ] {
        file.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }
    file
}

#[test]
fn frames_that_cannot_be_told_apart_end_the_stream_and_others_cost_a_line() {
    let place = tempfile::tempdir().unwrap();
    for encoding in ["raw", "rzcobs"] {
        fs::write(place.path().join(format!("{encoding}.elf")), elf(encoding)).unwrap();
    }
    let raw = b"\x10\0\xff\xff\x10\0";
    let (code, printed, said) = on_input(place.path(), &["-", "--elf", "raw.elf"], raw);
    assert_eq!((code, &*printed), (Some(1), "normal  300.0 nats, p = 0.5\n(no defmt frame)\n"), "{said}");
    assert!(said.contains("standard input: ") && said.contains("rzcobs") && said.contains("encoding-raw"), "{said}");
    let (code, printed, said) = on_input(place.path(), &["-", "--elf", "raw.elf"], &raw[..2]);
    assert_eq!((code, &*printed), (Some(0), "normal  300.0 nats, p = 0.5\n"), "{said}");

    // Behind 0x10, which of seven bytes are 0: all but the first.
    let frame = b"\x10\x7e\0";
    let arguments = ["-", "--elf", "rzcobs.elf"];
    let (code, printed, said) = on_input(place.path(), &arguments, &[&frame[..], &[0xA5], frame, frame].concat());
    let expected = ["normal  300.0 nats, p = 0.5", "(no defmt frame)", "normal  300.0 nats, p = 0.5"];
    assert_eq!((code, printed.lines().collect::<Vec<_>>()), (Some(0), expected.to_vec()), "{said}");
    let text = LOG.repeat(1000);
    let (code, _, said) = on_input(place.path(), &arguments, text.as_bytes());
    let frames = text.len() / (1 << 16);
    assert!(code == Some(1) && said.contains("if it prints text, leave out --elf"), "{said}");
    assert!(said.contains(&format!("{frames} of them malformed")), "{said}");
    let (code, printed, said) = on_input(place.path(), &arguments, &[text.as_bytes(), b"\0", frame].concat());
    assert!(code == Some(0) && printed.ends_with("\nnormal  300.0 nats, p = 0.5\n"), "{printed}{said}");
}

/// The recording that the firmware has, sample after sample.
fn stream() -> Vec<f32> {
    let stream = fs::read(root().join("firmware-example/model/stream.f32")).unwrap();
    stream.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

/// All verdicts of the model on the recording that the firmware has as well, with the samples taken before each.
fn host() -> Vec<(usize, Verdict)> {
    let folder = root().join("firmware-example/model");
    let file = AlignedFile::read(&folder.join("motor.vae")).unwrap();
    let model = file.model().unwrap();
    let (mut memory, mut state) = (vec![0.0; model.scratch_len()], vec![0.0; model.state_len()]);
    let mut scratch = Scratch::new(&mut memory);
    let mut window = heapless::Vec::<f32, 192>::new();
    let mut detector = Detector::new(model, &mut window, &mut state).unwrap();
    let values = stream();
    let samples = values.chunks(3).enumerate();
    samples.filter_map(|(index, sample)| Some((index + 1, detector.push(sample, &mut scratch).unwrap()?))).collect()
}

/// Runs a binary of the firmware in the emulator with its output piped into `watch`; returns what `watch` has printed.
fn emulated_into_watch(binary: &str, features: &[&str], directory: &Path, arguments: &[&str]) -> String {
    assert!(firmware_command("build", TARGET, binary, features).status().unwrap().success());
    let mut device = firmware_command("run", TARGET, binary, features).stdout(Stdio::piped()).spawn().unwrap();
    let output = watch(directory, arguments).stdin(device.stdout.take().unwrap()).output().unwrap();
    assert!(device.wait().unwrap().success());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_emulated_firmware_is_watched() {
    if !can_emulate(TARGET) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let printed = emulated_into_watch("firmware-example", &[], place.path(), &["-", "--out", "scores.csv"]);
    // Which are the host's: see firmware.rs.
    let mut lines = Lines::new(None);
    let expected: Vec<[String; 4]> = lines
        .push(printed.as_bytes())
        .iter()
        .filter_map(|line| {
            let Content::Verdict(verdict) = line.content else { return None };
            // By their words, not by the parser.
            let words: Vec<&str> = line.text.split_whitespace().collect();
            let (score, p_value) = match words[2] {
                "SENSOR" => ("", ""),
                _ => (words[3], words[7].trim_end_matches(',')),
            };
            assert!(verdict.to_string().starts_with(words[2]));
            let number = |text: &str| text.parse::<f32>().map(|value| value.to_string()).unwrap_or_default();
            let time = words[0].parse::<f64>().unwrap().to_string();
            Some([time, number(score), number(p_value), verdict_in_words(&verdict, &[])])
        })
        .collect();
    let found = kept(&place.path().join("scores.csv"));
    let number = |text: &str| text.parse::<f32>().map(|value| value.to_string()).unwrap_or_default();
    let found: Vec<[String; 4]> =
        found.into_iter().map(|[time, score, p, verdict]| [time, number(&score), number(&p), verdict]).collect();
    assert_eq!(found, expected);
    for kind in ["normal", "drifting: mean of 1", "stuck: 0", "missing: 2", "anomalous: 1"] {
        assert!(found.iter().any(|[.., verdict]| verdict == kind), "{kind}: {found:?}");
    }
}

#[test]
fn frames_of_defmt_are_the_verdicts_that_the_host_computes() {
    if !can_emulate(TARGET) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let elf = root().join("firmware-example/target").join(TARGET).join("release/verdicts");
    let elf = elf.to_str().unwrap();
    let printed =
        emulated_into_watch("verdicts", &["defmt"], place.path(), &["-", "--elf", elf, "--out", "scores.csv"]);
    let expected = host();
    let found = kept(&place.path().join("scores.csv"));
    assert_eq!(found.len(), expected.len());
    for ([time, score, p_value, verdict], (samples, judged)) in found.iter().zip(&expected) {
        assert!(
            (time.parse::<f64>().unwrap() - *samples as f64 / 1600.0).abs() < 2e-3,
            "{time} s for {samples} samples"
        );
        // Every bit: defmt sends the numbers themselves.
        let assessment = judged.assessment();
        assert_eq!(score.parse().ok(), assessment.map(|assessment| assessment.score), "{verdict}");
        assert_eq!(p_value.parse().ok(), assessment.map(|assessment| assessment.p_value), "{verdict}");
        assert_eq!(verdict, &verdict_in_words(judged, &[]));
    }
    let anomalies = expected.iter().filter(|(_, verdict)| matches!(verdict, Verdict::Anomalous(_))).count();
    assert!(anomalies > 0 && printed.contains("threshold"), "{printed}");

    // Nothing of a verdict is lost, and bytes that are lost or foreign cost no more than the frames that they hit.
    let output = firmware_command("run", TARGET, "verdicts", &["defmt"]).output().unwrap();
    let table = formats(&fs::read(elf).unwrap()).unwrap();
    let verdicts = |bytes: &[u8]| {
        let mut lines = Lines::new(Some(&table));
        let lines: Vec<Content> =
            bytes.chunks(7).flat_map(|piece| lines.push(piece)).map(|line| line.content).collect();
        let malformed = lines.iter().filter(|content| matches!(content, Content::Malformed | Content::Noise)).count();
        let verdicts = lines.iter().filter_map(|c| if let Content::Verdict(v) = c { Some(*v) } else { None });
        (verdicts.collect::<Vec<Verdict>>(), malformed)
    };
    let all: Vec<Verdict> = expected.into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(verdicts(&output.stdout), (all.clone(), 0));
    let mut damaged = output.stdout.clone();
    let half = damaged.len() / 2;
    damaged.drain(half..half + 5);
    damaged.splice(100..100, *b"\xA5noise\xFF\x00");
    let (found, malformed) = verdicts(&damaged);
    assert!(malformed > 0 && found.len() + 6 > all.len() && found.len() < all.len(), "{malformed}, {}", found.len());
}

#[cfg(target_os = "linux")]
mod pseudo_terminals {
    use std::{fs::File, os::unix::fs::symlink, time::Duration};

    use super::*;
    use crate::terminals::{Running, Terminal, line, lines_of, signal, until};

    fn count(csv: &Path) -> usize {
        fs::read_to_string(csv).map(|text| text.lines().count()).unwrap_or_default()
    }

    #[test]
    fn a_serial_line_is_read_waited_for_and_nothing_is_lost_by_a_kill() {
        let place = tempfile::tempdir().unwrap();
        // As udev names a device: the same name, whatever it is plugged into.
        let port = place.path().join("device");
        let csv = place.path().join("scores.csv");
        let (mut device, name, slave) = line();
        symlink(name, &port).unwrap();
        let mut child =
            Running(watch(place.path(), &["device", "--baud", "57600", "--out", "scores.csv"]).spawn().unwrap());
        until("the port is open", || csv.exists());
        let say =
            |device: &mut File, number: usize| writeln!(device, "{number}.0 s  normal  300.0 nats, p = 0.5").unwrap();
        for number in 1..=3 {
            say(&mut device, number);
            until("the line is kept", || count(&csv) == 1 + number);
        }
        let said = lines_of(child.0.stderr.take().unwrap());
        drop((device, slave)); // unplugged
        let message = said.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(
            message.contains("device is gone (") && message.contains("waiting until it is plugged in again"),
            "{message}"
        );
        let (mut device, name, _slave) = line();
        fs::remove_file(&port).unwrap();
        symlink(name, &port).unwrap();
        let message = said.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(message.contains("device is back"), "{message}");
        say(&mut device, 4);
        write!(device, "5.0 s  normal  300.0 na").unwrap();
        until("the line is kept", || count(&csv) == 5);
        signal(&child.0, "-KILL");
        child.0.wait().unwrap();
        let times: Vec<String> = kept(&csv).into_iter().map(|[time, ..]| time).collect();
        assert_eq!(times, ["1.0", "2.0", "3.0", "4.0"]);
    }

    #[test]
    fn an_interrupted_watch_ends_with_its_summary() {
        let place = tempfile::tempdir().unwrap();
        let (mut device, port, _slave) = line();
        let child = watch(place.path(), &[&port, "--out", "scores.csv", "--json"]).spawn().unwrap();
        let csv = place.path().join("scores.csv");
        until("the port is open", || csv.exists());
        writeln!(device, "normal  300.0 nats, p = 0.5").unwrap();
        until("the line is kept", || count(&csv) == 2);
        signal(&child, "-INT");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["normal"], 1);
    }

    #[test]
    fn on_a_terminal_it_plots_until_q() {
        let place = tempfile::tempdir().unwrap();
        let (mut device, port, _slave) = line();
        let mut command = watch(place.path(), &[&port, "--out", "scores.csv"]);
        let mut terminal = Terminal::of(&mut command);
        let mut child = Running(command.spawn().unwrap());
        terminal.shows(true, "waiting for a verdict");
        writeln!(device, "threshold 200 nats").unwrap();
        for second in 0..20 {
            writeln!(device, "{second}.0 s  normal  300.0 nats, p = 0.5").unwrap();
        }
        terminal.shows(true, "0 alarm(s); 20 normal, 0 drifting, 0 sensor fault, 0 anomalous; 0 malformed; q quits");
        terminal.shows(true, "threshold");
        terminal.shows(true, "score, nats");
        terminal.keyboard.write_all(b"q").unwrap();
        // The terminal is as it was, with the summary on it.
        terminal.shows(false, "windows by verdict: 20 normal");
        until("it ends", || child.0.try_wait().unwrap().is_some());
        assert!(child.0.wait().unwrap().success());
        assert_eq!(count(&place.path().join("scores.csv")), 21);
    }
}
