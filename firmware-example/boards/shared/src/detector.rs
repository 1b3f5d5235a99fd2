//! What judges the samples: the model and its memory.

use static_cell::ConstStaticCell;
use vae_core::{Alarms, Detector, DetectorError, Model, Scratch, include_model};

use crate::Sensor;

static MODEL: Model<'static> = include_model!("../../../model/motor.vae"); // a damaged file fails the build
static SCRATCH: ConstStaticCell<[f32; MODEL.scratch_len()]> = ConstStaticCell::new([0.0; MODEL.scratch_len()]);
static STATE: ConstStaticCell<[f32; MODEL.state_len()]> = ConstStaticCell::new([0.0; MODEL.state_len()]);
static WINDOW: ConstStaticCell<heapless::Vec<f32, { MODEL.window_len() }>> = ConstStaticCell::new(heapless::Vec::new());

/// How many false alarms are bearable.
const ALARMS: Alarms = Alarms::per_week(1.0);

/// The detector for x, y and z in g, as often as `sensor` takes them, and the memory that it scores in; there is one.
///
/// # Errors
/// If the model does not compute here what it computed on the desktop, or was not trained at the sensor's rate.
///
/// # Panics
/// The second time.
pub fn detector(sensor: &Sensor) -> Result<(Detector<'static, 'static>, Scratch<'static>), DetectorError> {
    let mut scratch = Scratch::new(SCRATCH.take());
    MODEL.self_test(&mut scratch)?;
    let detector = Detector::new(MODEL, WINDOW.take(), STATE.take())?;
    Ok((detector.sample_rate(sensor.rate)?.alarm_rate(ALARMS)?, scratch))
}

#[cfg(test)]
mod tests {
    use vae_core::Verdict;

    use super::*;
    use crate::LIS2DW12;

    #[test]
    fn the_recording_is_judged_but_for_windows_with_a_gap() {
        let stream = include_bytes!("../../../model/stream.f32").as_chunks::<4>().0;
        let samples = stream.as_chunks::<3>().0.iter().map(|sample| sample.map(f32::from_le_bytes));
        let (part, gap) = (samples.len() / 6, samples.len() / 3 + 1);
        let (first, hop) = (MODEL.window() - 1, MODEL.hop());
        // A window begins behind the gap, none before it ends behind it.
        let mut judged = (first..gap).step_by(hop).chain((gap + first..samples.len()).step_by(hop));
        let (mut detector, mut scratch) = detector(&LIS2DW12).unwrap();
        let (mut anomalies, mut faults) = ([0; 6], [0; 6]);
        for (index, sample) in samples.enumerate() {
            if index == gap {
                detector.gap();
            }
            if let Some(verdict) = detector.push(&sample, &mut scratch).unwrap() {
                assert_eq!(judged.next(), Some(index));
                match verdict {
                    Verdict::Anomalous(_) => anomalies[index / part] += 1,
                    Verdict::SensorFault(_) => faults[index / part] += 1,
                    Verdict::Normal(_) | Verdict::Drifting(_) => {}
                }
            }
        }
        assert_eq!(judged.next(), None);
        // Healthy running, four faults of the motor, and a sensor that is stuck.
        assert!(anomalies[0] == 0 && anomalies[1..5].iter().all(|count| *count > 0), "{anomalies:?}");
        assert!(faults[..5] == [0; 5] && faults[5] > 0, "{faults:?}");
    }
}
