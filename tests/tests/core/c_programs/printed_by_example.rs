//! What `vae-core/c/example/motor.c` prints, computed by the core itself: shared with the tests of the packages (`tests/xtask`).

use vae_core::{Alarms, Anomaly, Assessment, Detector, Drift, DriftKind, Model, Scratch, SensorFault, Verdict};

/// The lines, but for the last, of a timer; `stream` is little-endian floats, three a sample.
pub fn lines(model: Model<'_>, stream: &[u8]) -> Vec<String> {
    let (mut memory, mut state) = (vec![0.0; model.scratch_len()], vec![0.0; model.state_len()]);
    let (mut window, mut other_state) = (vec![0.0; model.window_len()], state.clone());
    let mut other_window = window.clone();
    let mut scratch = Scratch::new(&mut memory);
    let stream: Vec<f32> = stream.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let samples = stream.as_chunks::<3>().0;
    let (first, second) = samples.split_at(samples.len() / 2);

    let mut lines = Vec::new();
    let mut detector =
        Detector::over(model, &mut window, &mut state).unwrap().alarm_rate(Alarms::per_day(1.0)).unwrap();
    lines.extend(first.iter().filter_map(|sample| detector.push(sample, &mut scratch).unwrap()).map(line));
    let mut record = vec![0; model.snapshot_len()];
    detector.snapshot(&mut record).unwrap();
    let restored = Detector::over(model, &mut other_window, &mut other_state).unwrap();
    let mut detector = restored.alarm_rate(Alarms::per_day(1.0)).unwrap();
    detector.restore(&record).unwrap();
    lines.push("restored".to_owned());
    lines.extend(second.iter().filter_map(|sample| detector.push(sample, &mut scratch).unwrap()).map(line));
    let score = model.elbo_at_mean(&stream[..model.features()], &mut scratch).unwrap();
    let [elbo, reconstruction, kl] = [score.elbo, score.reconstruction, score.kl].map(f32::to_bits);
    lines.push(format!("score {elbo:08x}, reconstruction {reconstruction:08x}, kl {kl:08x}"));
    lines
}

/// A verdict as the example prints it.
fn line(verdict: Verdict) -> String {
    let scored = |Assessment { score, p_value, .. }| {
        let [score, p_value] = [score, p_value].map(f32::to_bits);
        format!("score {score:08x}, p {p_value:08x}")
    };
    match verdict {
        Verdict::Normal(assessment) => format!("normal, {}", scored(assessment)),
        Verdict::Anomalous(Anomaly { assessment, channel, channel_nats, feature, feature_nats }) => {
            let [channel_nats, feature_nats] = [channel_nats, feature_nats].map(f32::to_bits);
            let blame = format!(
                "channel {channel:08x} costs {channel_nats:08x}, feature {feature:08x} costs {feature_nats:08x}"
            );
            format!("ANOMALOUS, {}, {blame}", scored(assessment))
        }
        Verdict::SensorFault(SensorFault { channel, kind }) => {
            format!("SENSOR FAULT, channel {channel:08x}, fault {:08x}", kind as u32 + 1)
        }
        Verdict::Drifting(Drift { assessment, kind }) => {
            let (what, channel, by) = match kind {
                DriftKind::Score(shift) => (1, 0, shift),
                DriftKind::Spread(factor) => (4, 0, factor),
                DriftKind::Mean { channel, shift } => (2, channel, shift),
                DriftKind::Power { channel, factor } => (3, channel, factor),
            };
            format!("drifting, {}, what {what:08x}, channel {channel:08x} by {:08x}", scored(assessment), by.to_bits())
        }
    }
}
