//! The firmware example prints what the host computes, and that is worth showing.

use vae_core::{Alarms, Detector, Scratch, Verdict};
use vae_tests::{can_emulate, emulate, root};
use vae_train::{
    file::model_file::AlignedFile,
    simulator::motor::{self, Motor},
};

#[path = "../../../firmware-example/src/scenario.rs"]
mod scenario;

use scenario::{AFTER, BEFORE, Event, Log, Part, SEED};

const TARGET: &str = "thumbv7em-none-eabihf";

/// What `firmware-example/src/main.rs` prints of the detector, and all verdicts, part by part.
fn host(restores: bool) -> (String, Vec<(&'static Part, Vec<Verdict>)>) {
    let file = AlignedFile::read(&root().join("firmware-example/model/motor.vae")).unwrap();
    let model = file.model().unwrap();
    let (mut memory, mut state) = (vec![0.0; model.scratch_len()], vec![0.0; model.state_len()]);
    let mut window = heapless::Vec::<f32, 192>::new();
    let mut scratch = Scratch::new(&mut memory);
    let mut record = vec![0; model.snapshot_len()];
    let (mut motor, mut printed, mut verdicts) = (Motor::new(SEED, 0), String::new(), Vec::new());
    let mut log = Log::new(&mut printed);
    static PARTS: [&[Part]; 2] = [&BEFORE, &AFTER];
    for (boot, parts) in PARTS.iter().enumerate() {
        let detector = Detector::new(model, &mut window, &mut state).unwrap();
        let mut detector = detector.alarm_rate(Alarms::per_day(1.0)).unwrap();
        if boot > 0 {
            if restores {
                detector.restore(&record).unwrap();
            }
            let checksum = u32::from_le_bytes(*record.last_chunk().unwrap());
            log.event(format_args!("the power fails; the detector is restored from its snapshot, {checksum:08x}"));
        }
        log.threshold(detector.threshold());
        for part in *parts {
            log.event(format_args!("{}", part.title));
            if part.event == Event::Rebaseline {
                detector.rebaseline(part.windows).unwrap();
            }
            let mut seen = Vec::new();
            for index in 0..part.samples() {
                let sample = part.sense(index, motor.sample(part.condition));
                log.set_time(motor.seconds());
                let verdict = detector.push(&sample, &mut scratch).unwrap();
                seen.extend(verdict);
                if let Some(verdict) = verdict {
                    log.verdict(&verdict);
                }
            }
            verdicts.push((part, seen));
        }
        detector.snapshot(&mut record).unwrap();
    }
    (printed, verdicts)
}

/// The share of verdicts of each kind: normal, anomalous, sensor fault, drifting.
fn shares(verdicts: &[Verdict]) -> [f32; 4] {
    let mut shares = [0.0; 4];
    for verdict in verdicts {
        let kind = match verdict {
            Verdict::Normal(_) => 0,
            Verdict::Anomalous(_) => 1,
            Verdict::SensorFault(_) => 2,
            Verdict::Drifting(_) => 3,
        };
        shares[kind] += 1.0 / verdicts.len() as f32;
    }
    shares
}

#[test]
fn the_example_prints_the_verdicts_that_the_host_computes() {
    if !can_emulate(TARGET) {
        return;
    }
    let printed = emulate(TARGET, "firmware-example", &[], &[]).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    let [first, verdicts @ .., last] = &lines[..] else { panic!("{printed}") };
    assert!(first.starts_with("self-test passed") && last.contains("instructions"), "{printed}");
    let (expected, _) = host(true);
    for (found, expected) in verdicts.iter().zip(expected.lines()) {
        assert_eq!(*found, expected);
    }
    assert_eq!(verdicts.len(), expected.lines().count());
}

#[test]
fn the_documentation_quotes_the_example() {
    let (printed, _) = host(true);
    let page = std::fs::read_to_string(root().join("docs/firmware.md")).unwrap();
    let (_, quoted) = page.split_once("(lines left out):\n\n```text\n").unwrap();
    let (quoted, _) = quoted.split_once("```").unwrap();
    let mut lines = printed.lines();
    for quoted in quoted.lines() {
        assert!(lines.any(|line| line == quoted), "not printed, or not in this order: {quoted}");
    }
}

#[test]
fn each_part_of_the_example_is_seen_as_what_it_is() {
    let (_, verdicts) = host(true);
    let shares: Vec<[f32; 4]> = verdicts.iter().map(|(_, verdicts)| shares(verdicts)).collect();
    let [running, drifting, baseline, after, restored, stuck, recovered, torn, repaired, bearing] = shares[..] else {
        panic!("{shares:?}")
    };
    let normal = [1.0, 0.0, 0.0, 0.0];
    for (part, shares) in [("running", running), ("after", after), ("restored", restored), ("repaired", repaired)] {
        assert!(shares[0] > 0.97 && shares[1] == 0.0, "{part}: {shares:?}, not {normal:?}");
    }
    // It is drift once it is more than the level ordinarily moves by, and no alarm.
    assert!(drifting[3] > 0.15 && drifting[0] + drifting[3] > 0.999, "{drifting:?}");
    assert!(matches!(verdicts[1].1.last(), Some(Verdict::Drifting(_))));
    assert_eq!(baseline, [0.0; 4]);
    assert!(stuck[2] > 0.97 && stuck[1] == 0.0, "{stuck:?}");
    assert!(recovered[0] > 0.97 && recovered[1] == 0.0, "{recovered:?}");
    assert!(torn[2] > 0.97 && torn[1] == 0.0, "{torn:?}");
    // Its severity is drawn anew every second, and may be mild.
    assert!(bearing[1] > 0.9 && bearing[2] == 0.0, "{bearing:?}");

    // It is the snapshot that keeps the baseline, and with it the threshold.
    let thresholds = |restores: bool| -> Vec<String> {
        let printed = host(restores).0;
        let lines = printed.lines().filter_map(|line| Some(line.split_once("threshold")?.1.to_owned()));
        lines.collect()
    };
    let (kept, forgotten) = (thresholds(true), thresholds(false));
    assert_eq!((kept.len(), &forgotten[0]), (2, &forgotten[1]));
    assert!(kept[0] == forgotten[0] && kept[1] != kept[0], "{kept:?}");
}

#[test]
fn other_tasks_have_their_turn_during_a_score_and_a_watchdog_sees_when_they_have_not() {
    if !can_emulate(TARGET) {
        return;
    }
    // It fails if the watchdog bites while it is fed, or does not at the end, where it is not, or if a layer gives no turn.
    let printed = emulate(TARGET, "embassy", &[], &["embassy"]).unwrap();
    let lines: Vec<&str> = printed.lines().collect();

    let model_folder = root().join("firmware-example/model");
    let file = AlignedFile::read(&model_folder.join("motor.vae")).unwrap();
    let model = file.model().unwrap();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut state = vec![0.0; model.state_len()];
    let mut buffer = heapless::Vec::<f32, 192>::new();
    let mut detector = Detector::new(model, &mut buffer, &mut state).unwrap();
    let stream = std::fs::read(model_folder.join("stream.f32")).unwrap();
    let values: Vec<f32> = stream.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let (mut windows, mut anomalies, mut faults) = (0, 0, 0);
    for (index, sample) in values.chunks(3).enumerate() {
        if let Some(verdict) = detector.push(sample, &mut scratch).unwrap() {
            windows += 1;
            faults += usize::from(matches!(verdict, Verdict::SensorFault(_)));
            if let Verdict::Anomalous(_) = verdict {
                anomalies += 1;
                assert!(index >= values.len() / 18, "sample {index}, of the healthy sixth");
            }
        }
    }
    assert!(anomalies > 0 && faults > 0);
    assert_eq!(lines[0], format!("{windows} windows, {anomalies} anomalies, {faults} sensor faults"));
    let layers = model.layers().unwrap().count();
    let heartbeats =
        lines[1].strip_prefix(&format!("heartbeats during a score of {layers} layers: at least ")).unwrap();
    assert!(heartbeats.parse::<usize>().unwrap() >= layers, "{printed}");
    assert_eq!(lines[3..], ["the watchdog bites, as it should"]);
}
