//! The firmware example prints what the host computes.

use vae_core::{Detector, Scratch, Verdict, Window};
use vae_tests::{can_emulate, emulate, root};
use vae_train::model_file::AlignedFile;

const TARGET: &str = "thumbv7em-none-eabihf";

#[test]
fn the_example_prints_the_scores_that_the_host_computes() {
    if !can_emulate(TARGET) {
        return;
    }
    let printed = emulate(TARGET, "firmware-example", &[], &[]).unwrap();
    let mut lines = printed.lines();
    assert!(lines.next().unwrap().starts_with("self-test passed"), "{printed}");
    lines.next();

    let model_folder = root().join("firmware-example/model");
    let file = AlignedFile::read(&model_folder.join("motor.vae")).unwrap();
    let model = file.model().unwrap();
    let threshold = model.calibration().unwrap().threshold();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    let mut buffer = heapless::Vec::<f32, 192>::new();
    let mut window = Window::new(&model, &mut buffer).unwrap();
    let stream = std::fs::read(model_folder.join("stream.f32")).unwrap();
    let values: Vec<f32> = stream.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let (mut windows, mut anomalies) = (0, 0);
    for (index, sample) in values.chunks(3).enumerate() {
        if let Some(x) = window.push(sample).unwrap() {
            let score = model.elbo_at_mean(x, &mut scratch).unwrap();
            let line: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
            let (elbo, reconstruction) = (format!("{:.3}", score.elbo), format!("{:.3}", score.reconstruction));
            assert_eq!(line[..4], [&index.to_string(), &elbo, &reconstruction, &format!("{:.3}", score.kl)]);
            assert_eq!(line[4], if score.elbo < threshold { "ANOMALY" } else { "normal" });
            // The recording's first sixth is healthy, the rest is not: the example is worth showing only if it sees that.
            anomalies += usize::from(score.elbo < threshold);
            assert_eq!(score.elbo < threshold, index >= values.len() / 18, "sample {index}");
            windows += 1;
        }
    }
    assert_eq!(lines.next(), None);
    assert!(windows == 35 && anomalies == 30, "{anomalies} of {windows}");
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
