//! Streams of any samples and any operations on a detector, over models whose calibration and front-ends are hostile.
#![no_main]

use std::task::Poll;

use libfuzzer_sys::{
    arbitrary::{Result, Unstructured},
    fuzz_target,
};
use vae_core::{Alarms, Detector, DetectorError, Model, ScoreKind, Scratch, Verdict};
use vae_fuzz::{EXTREMES, File, MODELS, calibration_at, check_snapshot, check_verdict, is_faulty, with_window};

/// Samples of the latent vector for a score up to which windows are judged to their end.
const FEW: u32 = 16;
/// Operations of a run.
const MOST: usize = 2000;

fuzz_target!(|data: &[u8]| {
    // What ends early has been tried as far as it goes.
    let _ = run(&mut Unstructured::new(data));
});

fn run(u: &mut Unstructured<'_>) -> Result<()> {
    let [file, other] = [hostile(u)?, hostile(u)?];
    let (Ok(model), Ok(other)) = (Model::from_bytes(file.bytes()), Model::from_bytes(other.bytes())) else {
        return Ok(());
    };
    let mut state = vec![0.0; model.state_len()];
    let small = with_window(model.window_len(), true, |room| Detector::new(model, room, &mut state).is_err());
    assert!(small.unwrap_or(true), "with too small a window");
    let less = model.state_len() - 1;
    let small = with_window(model.window_len(), false, |room| Detector::new(model, room, &mut state[..less]).is_err());
    assert!(small.unwrap_or(true), "with too small a state");
    with_window(model.window_len(), false, |room| {
        let Ok(detector) = Detector::new(model, room, &mut state) else { return Ok(()) };
        operate(u, detector, other)
    })
    .unwrap_or(Ok(()))
}

/// One of the models, with some constants of its calibration and codes of its front-ends changed.
fn hostile(u: &mut Unstructured<'_>) -> Result<File> {
    let mut file = File::new(MODELS[usize::from(u.arbitrary::<u8>()?) % MODELS.len()]);
    let Some((at, count)) = calibration_at(file.bytes()) else { return Ok(file) };
    for _ in 0..u.arbitrary::<u8>()? % 8 {
        let index = usize::from(u.arbitrary::<u8>()?) % count;
        let value = number(u)?;
        file.bytes_mut()[at + 4 * index..][..4].copy_from_slice(&value.to_le_bytes());
    }
    file.seal();
    Ok(file)
}

fn number(u: &mut Unstructured<'_>) -> Result<f32> {
    Ok(match u.arbitrary::<u8>()? {
        code @ 0..16 => EXTREMES[usize::from(code)],
        16..24 => f32::from_bits(u.arbitrary()?),
        code => (f32::from(code) - 140.0) / 16.0,
    })
}

fn sample(u: &mut Unstructured<'_>, model: &Model<'_>) -> Result<Vec<f32>> {
    (0..model.channels()).map(|_| number(u)).collect()
}

/// Steps that a window takes at most: its beginning, one each layer and sample, and the attribution; and those after which it is
/// given up.
#[derive(Clone, Copy)]
struct Steps {
    most: usize,
    enough: usize,
}

impl Steps {
    fn of(model: &Model<'_>) -> Self {
        let header = model.header().unwrap();
        let samples = match model.calibration().unwrap().score_kind() {
            ScoreKind::AtMean => 1,
            ScoreKind::Samples(samples) | ScoreKind::Importance(samples) => samples,
        };
        let steps =
            |samples: u32| 2 + header.encoder_layers as usize + (samples as usize + 1) * header.decoder_layers as usize;
        Self { most: steps(samples), enough: steps(FEW) }
    }

    /// Pushes a sample, a step at a time.
    fn push(self, detector: &mut Detector<'_, '_>, sample: &[f32], scratch: &mut Scratch<'_>) -> Said {
        detector.feed(sample)?;
        for step in 0..self.enough {
            assert!(step <= self.most, "a window takes more than {} steps", self.most);
            if let Poll::Ready(verdict) = detector.step(scratch)? {
                return Ok(verdict);
            }
        }
        assert!(self.enough < self.most, "a window takes more than {} steps", self.most);
        detector.gap();
        Ok(None)
    }
}

type Said = std::result::Result<Option<Verdict>, DetectorError>;

fn judge(model: &Model<'_>, outcome: Said) {
    match outcome {
        Ok(Some(verdict)) => check_verdict(model, &verdict),
        Ok(None) => {}
        // The seed models are sound but for their calibration, which `Detector::new` has judged.
        Err(error) => assert!(!is_faulty(&error), "{error}"),
    }
}

fn operate<'m>(u: &mut Unstructured<'_>, mut detector: Detector<'m, '_>, other: Model<'m>) -> Result<()> {
    let mut memory = vec![0.0; detector.model().scratch_len().max(other.scratch_len())];
    let mut scratch = Scratch::new(&mut memory);
    let mut record = vec![0; detector.model().snapshot_len()];
    let mut is_recorded = false;
    let mut steps = Steps::of(detector.model());
    let mut asked = None;
    if u.arbitrary::<bool>()? {
        let condition = vec![0.5; detector.model().conditions()];
        detector.given(&condition).unwrap();
    }
    for _ in 0..MOST {
        if u.is_empty() {
            break;
        }
        let model = *detector.model();
        match u.arbitrary::<u8>()? {
            0..120 => {
                let sample = sample(u, &model)?;
                judge(&model, steps.push(&mut detector, &sample, &mut scratch));
            }
            // Many alike.
            120..150 => {
                let (sample, step) = (sample(u, &model)?, number(u)?);
                for index in 0..u.arbitrary::<u8>()? % 100 {
                    let moved: Vec<f32> = sample.iter().map(|value| value + step * f32::from(index % 5)).collect();
                    judge(&model, steps.push(&mut detector, &moved, &mut scratch));
                }
            }
            // Not judged to the end, and then refused.
            150..160 => {
                let sample = sample(u, &model)?;
                if detector.feed(&sample) == Ok(true) {
                    judge(&model, detector.step(&mut scratch).map(|_| None));
                    if let Ok(Poll::Pending) = detector.step(&mut scratch) {
                        assert_eq!(detector.feed(&sample), Err(DetectorError::Busy));
                    }
                    detector.gap();
                }
            }
            160..165 => assert!(detector.feed(&vec![0.0; model.channels() + 1]).is_err()),
            165..175 => {
                let condition = (0..model.conditions()).map(|_| number(u)).collect::<Result<Vec<f32>>>()?;
                let _ = detector.given(&condition);
            }
            175..180 => detector.gap(),
            180..190 => {
                let windows = u32::from(u.arbitrary::<u8>()?);
                if detector.rebaseline(windows).is_ok() {
                    assert!(detector.is_rebaselining() && !detector.is_raised());
                }
            }
            190..196 => {
                detector.acknowledge();
                assert!(!detector.is_raised());
            }
            196..200 => detector.forget().unwrap(),
            200..205 => {
                let (needed, of) = (u.arbitrary::<u8>()? % 40, u.arbitrary::<u8>()? % 40);
                let Ok(changed) = detector.votes(needed.into(), of.into()) else { return Ok(()) };
                detector = changed;
            }
            205..210 => {
                let alarms = Alarms::per_hour(number(u)?);
                let Ok(changed) = detector.alarm_rate(alarms) else { return Ok(()) };
                (detector, asked) = (changed, Some(alarms));
            }
            210..215 => {
                let Ok(changed) = detector.sample_rate(number(u)?) else { return Ok(()) };
                detector = changed;
            }
            215..225 => {
                assert!(detector.snapshot(&mut record[1..]).is_err());
                detector.snapshot(&mut record).unwrap();
                check_snapshot(&model, &record);
                is_recorded = true;
            }
            225..235 if is_recorded => {
                detector.restore(&record).unwrap();
                check_snapshot(detector.model(), detector.snapshot(&mut record).unwrap());
            }
            235..245 => twin(u, (steps, asked), &mut detector, &mut scratch)?,
            _ => {
                if detector.replace(other, &mut scratch).is_ok() {
                    steps = Steps::of(&other);
                    record = vec![0; detector.model().snapshot_len()];
                    is_recorded = false;
                }
            }
        }
        assert!(!detector.threshold().is_nan());
    }
    let mut record = vec![0; detector.model().snapshot_len()];
    check_snapshot(detector.model(), detector.snapshot(&mut record).unwrap());
    Ok(())
}

/// A detector restored from a snapshot says what the one that it was taken of says, bit for bit.
fn twin(
    u: &mut Unstructured<'_>,
    (steps, asked): (Steps, Option<Alarms>),
    detector: &mut Detector<'_, '_>,
    scratch: &mut Scratch<'_>,
) -> Result<()> {
    let model = *detector.model();
    let mut record = vec![0; model.snapshot_len()];
    detector.snapshot(&mut record).unwrap();
    let condition = vec![0.25; model.conditions()];
    detector.given(&condition).unwrap();
    let samples = (0..u.arbitrary::<u8>()? % 32).map(|_| sample(u, &model)).collect::<Result<Vec<_>>>()?;
    let mut said = |detector: &mut Detector<'_, '_>| -> Vec<String> {
        detector.restore(&record).unwrap();
        let verdicts = samples.iter().map(|sample| steps.push(detector, sample, scratch));
        verdicts.map(|verdict| format!("{verdict:?}")).collect()
    };
    let first = said(detector);
    assert_eq!(said(detector), first, "restored once more");
    // Another one has the calibration's votes and rate of alarms, and so may another one's windows.
    let mut state = vec![0.0; model.state_len()];
    with_window(model.window_len(), false, |room| {
        let mut fresh = Detector::new(model, room, &mut state).unwrap();
        fresh.given(&condition).unwrap();
        let (needed, of) = model.calibration().unwrap().votes();
        if asked.is_none() && detector.restore(&record).is_ok() {
            let same_rule = word(&record, 2) == needed && word(&record, 3) == of;
            if same_rule {
                assert_eq!(said(&mut fresh), first, "in another detector");
            }
        }
    });
    Ok(())
}

fn word(record: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(record.as_chunks::<4>().0[index])
}
