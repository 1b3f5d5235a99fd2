//! The device: the core's detector, fed sample by sample.

use std::{fs, path::PathBuf};

use vae_core::{Detector, Model, Scratch, Verdict};

use crate::recording::{PERIOD, Recording};

/// The model that the example firmware has.
pub fn motor_model() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../firmware-example/model/motor.vae"))
}

/// Lets a device's detector do something.
fn with_device<T>(act: impl FnOnce(&mut Detector<'_, '_>, &mut Scratch<'_>) -> T) -> T {
    let file = fs::read(motor_model()).unwrap();
    let mut words = vec![0_u32; file.len().div_ceil(4)];
    bytemuck::cast_slice_mut(&mut words)[..file.len()].copy_from_slice(&file);
    let model = Model::from_bytes(&bytemuck::cast_slice(&words)[..file.len()]).unwrap();
    let mut window = vec![0.0; model.window_len()];
    let mut state = vec![0.0; model.state_len()];
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    act(&mut Detector::over(model, &mut window, &mut state).unwrap(), &mut scratch)
}

/// What a device says of a recording: the row, the verdict, whether the alarm is on. It is told of each gap.
pub fn verdicts(recording: &Recording) -> Vec<(usize, Verdict, bool)> {
    with_device(|detector, scratch| {
        let mut verdicts = Vec::new();
        for (row, sample) in recording.samples.iter().enumerate() {
            if row > 0 && 2 * (recording.times[row] - recording.times[row - 1]) > 3 * PERIOD {
                detector.gap();
            }
            if let Some(verdict) = detector.push(sample, scratch).unwrap() {
                verdicts.push((row, verdict, detector.is_raised()));
            }
        }
        verdicts
    })
}

/// What a device stores once it has learnt a baseline of so many windows from these samples, which are more than enough.
pub fn baseline(samples: &[[f32; 3]], windows: u32) -> Vec<u8> {
    with_device(|detector, scratch| {
        detector.rebaseline(windows).unwrap();
        let mut samples = samples.iter();
        while detector.is_rebaselining() {
            detector.push(samples.next().unwrap(), scratch).unwrap();
        }
        let mut record = vec![0; detector.model().snapshot_len()];
        detector.snapshot(&mut record).unwrap();
        // What it starts from another day.
        detector.restore(&record).unwrap();
        record
    })
}
