//! What judges the samples: the model, its memory and its verdicts.

use static_cell::ConstStaticCell;
use vae_core::{Calibration, InferError, Model, Score, Scratch, SelfTestError, Window, include_model};

static MODEL: Model<'static> = include_model!("../../../model/motor.vae"); // a damaged file fails the build
static SCRATCH: ConstStaticCell<[f32; MODEL.scratch_len()]> = ConstStaticCell::new([0.0; MODEL.scratch_len()]);
static WINDOW: ConstStaticCell<heapless::Vec<f32, { MODEL.features() }>> = ConstStaticCell::new(heapless::Vec::new());

/// What a window looks like.
#[derive(Clone, Copy, Debug, PartialEq, defmt::Format)]
pub enum Verdict {
    /// The motor runs as it did when it was recorded.
    Normal(Score),
    /// It does not.
    Anomalous(Score),
}

/// The model with the memory it works in; there is one.
#[derive(Debug)]
pub struct Monitor {
    window: Window<'static>,
    scratch: Scratch<'static>,
    calibration: Calibration<'static>,
    /// Samples until the window holds none from before a gap.
    spoilt: usize,
}

impl Monitor {
    /// Checks that the model computes here what it computed on the desktop.
    ///
    /// # Errors
    /// See [`SelfTestError`].
    ///
    /// # Panics
    /// The second time.
    pub fn new() -> Result<Self, SelfTestError> {
        let mut scratch = Scratch::new(SCRATCH.take());
        MODEL.self_test(&mut scratch)?;
        let (window, calibration) = (Window::new(&MODEL, WINDOW.take())?, MODEL.calibration()?);
        Ok(Self { window, scratch, calibration, spoilt: 0 })
    }

    /// Takes a sample (x, y and z in g), and judges the window that it completes, if it does.
    ///
    /// # Errors
    /// See [`InferError`].
    pub fn push(&mut self, sample: &[f32; 3]) -> Result<Option<Verdict>, InferError> {
        let spoilt = self.spoilt > 0;
        self.spoilt = self.spoilt.saturating_sub(1);
        let Some(x) = self.window.push(sample)?.filter(|_| !spoilt) else {
            return Ok(None);
        };
        let score = MODEL.elbo_at_mean(x, &mut self.scratch)?;
        let anomalous = self.calibration.is_anomalous(score.elbo);
        Ok(Some(if anomalous { Verdict::Anomalous(score) } else { Verdict::Normal(score) }))
    }

    /// Says that samples are missing between the last one and the next one: no window is judged that holds both.
    pub fn gap(&mut self) {
        self.spoilt = MODEL.window() - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recording_is_judged_but_for_windows_with_a_gap() {
        let stream = include_bytes!("../../../model/stream.f32").as_chunks::<4>().0;
        let samples = stream.as_chunks::<3>().0.iter().map(|sample| sample.map(f32::from_le_bytes));
        let sixth = samples.len() / 6; // the healthy part
        let mut monitor = Monitor::new().unwrap();
        let mut judged = [0, 0];
        for (index, sample) in samples.enumerate() {
            if index == 2 * sixth + 1 {
                monitor.gap();
            }
            if let Some(verdict) = monitor.push(&sample).unwrap() {
                let anomalous = matches!(verdict, Verdict::Anomalous(_));
                assert_eq!(anomalous, index >= sixth, "sample {index}: {verdict:?}");
                judged[usize::from(anomalous)] += 1;
            }
        }
        // Of 5 and 30 windows, the two that begin in the 64 samples before the gap are not judged.
        assert_eq!(judged, [5, 28]);
    }
}
