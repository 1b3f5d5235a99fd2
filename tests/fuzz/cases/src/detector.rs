//! Streams of any samples and any operations on a detector, over models whose calibration and front-ends are hostile.

use alloc::{vec, vec::Vec};
use core::task::Poll;

use vae_core::{Alarms, Detector, DetectorError, Model, ScoreKind, Scratch};

use crate::{
    Digest, Draws, File, Seeds,
    checks::{check_snapshot, check_verdict, is_faulty, with_window, zeros},
    subject::Places,
};

/// Samples of the latent vector for a score up to which windows are judged to their end.
const FEW: u32 = 16;
/// Operations of a run: what more of them reach, they reach in other runs.
const MOST: usize = 64;
/// Scratch that is enough for each of the models.
const LARGEST: usize = 256;
/// Samples that one of them pushes at most.
const MOST_ALIKE: u8 = 64;

/// Does to a detector what `data` say, as far as they go.
pub fn run(seeds: &Seeds, data: &[u8], digest: &mut Digest) {
    let draws = &mut Draws::of(data);
    let [file, other] = [hostile(seeds, draws), hostile(seeds, draws)];
    let Ok(model) = Model::from_bytes(file.bytes()) else { return };
    let mut state = zeros(model.state_len());
    let small = with_window(model.window_len(), true, |room| Detector::new(model, room, &mut state).is_err());
    assert!(small.unwrap_or(true), "with too small a window");
    let less = model.state_len() - 1;
    let small = with_window(model.window_len(), false, |room| Detector::new(model, room, &mut state[..less]).is_err());
    assert!(small.unwrap_or(true), "with too small a state");
    with_window(model.window_len(), false, |room| match Detector::new(model, room, &mut state) {
        Ok(detector) => operate(draws, detector, &other, digest),
        Err(error) => refuse(&error, digest),
    });
}

/// One of the models, with some constants of its calibration and codes of its front-ends changed.
fn hostile(seeds: &Seeds, draws: &mut Draws<'_>) -> File {
    let which = draws.byte();
    let mut file = seeds.file(which);
    let Places { codes, constants } = seeds.places(which);
    for _ in 0..draws.byte() % 8 {
        let index = usize::from(draws.byte()) % (constants.len() / 4 + codes.len());
        let bytes = file.bytes_mut();
        match codes.clone().nth(index.wrapping_sub(constants.len() / 4)) {
            Some(at) => bytes[at] = draws.byte(),
            None => bytes[constants.start + 4 * index..][..4].copy_from_slice(&draws.number().to_le_bytes()),
        }
    }
    file.seal();
    file
}

fn sample(draws: &mut Draws<'_>, model: &Model<'_>) -> Vec<f32> {
    (0..model.channels()).map(|_| draws.number()).collect()
}

/// Steps that a window takes at most: its beginning, one each layer and sample, and the attribution; and those after which it is
/// given up.
#[derive(Clone, Copy)]
pub(crate) struct Steps {
    most: usize,
    enough: usize,
}

impl Steps {
    /// Of a model; none where it cannot be read.
    pub(crate) fn of(model: &Model<'_>) -> Option<Self> {
        let header = model.header().ok()?;
        let samples = match model.calibration().ok()?.score_kind() {
            ScoreKind::AtMean => 1,
            ScoreKind::Samples(samples) | ScoreKind::Importance(samples) => samples,
        };
        let steps =
            |samples: u32| 2 + header.encoder_layers as usize + (samples as usize + 1) * header.decoder_layers as usize;
        Some(Self { most: steps(samples), enough: steps(FEW) })
    }

    /// Pushes a sample, a step at a time, and judges what is said of it; the model is sound or not.
    pub(crate) fn push(
        self,
        detector: &mut Detector<'_, '_>,
        sample: &[f32],
        scratch: &mut Scratch<'_>,
        sound: bool,
        digest: &mut Digest,
    ) {
        match self.say(detector, sample, scratch) {
            Ok(Some(verdict)) => {
                check_verdict(detector.model(), &verdict);
                digest.verdict(&verdict);
            }
            Ok(None) => {}
            Err(error) => {
                assert!(!sound || !is_faulty(&error), "{error}");
                refuse(&error, digest);
            }
        }
    }

    fn say(self, detector: &mut Detector<'_, '_>, sample: &[f32], scratch: &mut Scratch<'_>) -> Said {
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

type Said = Result<Option<vae_core::Verdict>, DetectorError>;

/// Adds why a detector refused.
fn refuse(error: &DetectorError, digest: &mut Digest) {
    match error {
        DetectorError::Infer(error) => digest.error(error),
        // The number in it may have a fraction.
        DetectorError::SampleRate { .. } | DetectorError::SelfTest(_) => digest.word(1),
        error => digest.written(error),
    }
}

/// A detector, and what was done to it.
struct Operated<'m, 'b, 's, 'd> {
    detector: Detector<'m, 'b>,
    steps: Steps,
    scratch: Scratch<'s>,
    /// The last snapshot, if there is one of this model.
    record: Option<Vec<u8>>,
    /// Whether a rate of alarms was asked for.
    is_asked: bool,
    digest: &'d mut Digest,
}

fn operate<'m>(draws: &mut Draws<'_>, detector: Detector<'m, '_>, other: &'m File, digest: &mut Digest) {
    let mut memory = zeros(LARGEST.max(detector.model().scratch_len()));
    // The seeds are sound but for their calibration, which `Detector::new` has judged.
    let steps = Steps::of(detector.model()).unwrap();
    let scratch = Scratch::new(&mut memory);
    let mut operated = Operated { detector, steps, scratch, record: None, is_asked: false, digest };
    if draws.byte() & 1 == 1 {
        let condition = vec![0.5; operated.detector.model().conditions()];
        operated.detector.given(&condition).unwrap();
    }
    for _ in 0..MOST {
        if draws.is_empty() {
            break;
        }
        let code = draws.byte();
        let going_on = match code {
            0..165 => {
                operated.stream(code, draws);
                Some(operated)
            }
            200..215 => operated.set(code, draws),
            _ => {
                operated.change(code, draws, other);
                Some(operated)
            }
        };
        let Some(next) = going_on else { return };
        operated = next;
        assert!(!operated.detector.threshold().is_nan());
        operated.digest.number(operated.detector.threshold());
    }
    let record = operated.snapshot();
    operated.digest.bytes(&record);
}

impl<'m> Operated<'m, '_, '_, '_> {
    fn push(&mut self, sample: &[f32]) {
        self.steps.push(&mut self.detector, sample, &mut self.scratch, true, self.digest);
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut record = vec![0; self.detector.model().snapshot_len()];
        assert!(self.detector.snapshot(&mut record[1..]).is_err());
        self.detector.snapshot(&mut record).unwrap();
        check_snapshot(self.detector.model(), &record);
        record
    }

    /// Samples, in numbers and lengths that are asked for.
    fn stream(&mut self, code: u8, draws: &mut Draws<'_>) {
        let model = *self.detector.model();
        match code {
            0..120 => {
                let sample = sample(draws, &model);
                self.push(&sample);
            }
            // Many alike.
            120..150 => {
                let (sample, step) = (sample(draws, &model), draws.number());
                for index in 0..draws.byte() % MOST_ALIKE {
                    let moved = |value: &f32| value + step * f32::from(index % 5);
                    // Builds choose the bits of a NaN that is computed, and a snapshot keeps those of the last sample.
                    let one_nan = |value: f32| if value.is_nan() { f32::NAN } else { value };
                    let moved: Vec<f32> = sample.iter().map(moved).map(one_nan).collect();
                    self.push(&moved);
                }
            }
            // Not judged to the end, and then refused.
            150..160 => {
                let sample = sample(draws, &model);
                if self.detector.feed(&sample) == Ok(true) {
                    if let Err(error) = self.detector.step(&mut self.scratch) {
                        assert!(!is_faulty(&error), "{error}");
                    }
                    if let Ok(Poll::Pending) = self.detector.step(&mut self.scratch) {
                        assert_eq!(self.detector.feed(&sample), Err(DetectorError::Busy));
                    }
                    self.detector.gap();
                }
            }
            _ => assert!(self.detector.feed(&zeros(model.channels() + 1)).is_err()),
        }
    }

    /// What is set once, before the stream; none where it is refused, and the detector lost.
    fn set(mut self, code: u8, draws: &mut Draws<'_>) -> Option<Self> {
        self.detector = match code {
            200..205 => {
                let (needed, of) = (draws.byte() % 40, draws.byte() % 40);
                self.detector.votes(needed.into(), of.into())
            }
            205..210 => {
                self.is_asked = true;
                self.detector.alarm_rate(Alarms::per_hour(draws.number()))
            }
            _ => self.detector.sample_rate(draws.number()),
        }
        .ok()?;
        Some(self)
    }

    /// What a program does to its detector now and then.
    fn change(&mut self, code: u8, draws: &mut Draws<'_>, other: &'m File) {
        let is_locked = self.detector.is_locked();
        match code {
            165..175 => {
                let condition: Vec<f32> = (0..self.detector.model().conditions()).map(|_| draws.number()).collect();
                let _ = self.detector.given(&condition);
            }
            175..180 => self.detector.gap(),
            180..190 => {
                let is_begun = self.detector.rebaseline(u32::from(draws.byte())).is_ok();
                let is_right = self.detector.is_rebaselining() && !self.detector.is_raised() && !is_locked;
                assert!(is_right || !is_begun);
            }
            190..196 => {
                self.detector.acknowledge();
                assert!(!self.detector.is_raised());
            }
            196..200 => assert_eq!(self.detector.forget().is_err(), is_locked),
            215..225 => self.record = Some(self.snapshot()),
            225..235 => {
                let Some(record) = &self.record else { return };
                assert_eq!(self.detector.restore(record).is_err(), is_locked);
                self.record = Some(self.snapshot());
            }
            235..245 if !is_locked => self.twin(draws),
            245 => self.detector.lock(),
            246.. => {
                let Ok(other) = Model::from_bytes(other.bytes()) else { return };
                if self.detector.replace(other, &mut self.scratch).is_ok() {
                    self.steps = Steps::of(&other).unwrap();
                    self.record = None;
                    self.digest.word(1);
                }
            }
            _ => {}
        }
    }

    /// A detector restored from a snapshot says what the one that it was taken of says, bit for bit.
    fn twin(&mut self, draws: &mut Draws<'_>) {
        let Self { detector, steps, scratch, .. } = self;
        let model = *detector.model();
        let mut record = vec![0; model.snapshot_len()];
        detector.snapshot(&mut record).unwrap();
        let condition = vec![0.25; model.conditions()];
        detector.given(&condition).unwrap();
        let samples: Vec<Vec<f32>> = (0..draws.byte() % 16).map(|_| sample(draws, &model)).collect();
        let mut said = |detector: &mut Detector<'_, '_>| -> Vec<u64> {
            detector.restore(&record).unwrap();
            let said = |sample: &Vec<f32>| {
                let mut digest = Digest::default();
                steps.push(detector, sample, scratch, true, &mut digest);
                digest.value()
            };
            samples.iter().map(said).collect()
        };
        let first = said(detector);
        assert_eq!(said(detector), first, "restored once more");
        first.iter().for_each(|said| self.digest.word(*said as u32));
        // Another one has the calibration's votes and rate of alarms, and so may another one's windows.
        let mut state = zeros(model.state_len());
        with_window(model.window_len(), false, |room| {
            let mut fresh = Detector::new(model, room, &mut state).unwrap();
            fresh.given(&condition).unwrap();
            let (needed, of) = model.calibration().unwrap().votes();
            if !self.is_asked && detector.restore(&record).is_ok() {
                let same_rule = word(&record, 2) == needed && word(&record, 3) == of;
                if same_rule {
                    assert_eq!(said(&mut fresh), first, "in another detector");
                }
            }
        });
    }
}

fn word(record: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(record.as_chunks::<4>().0[index])
}
