//! What judges the samples: the model and its memory.

use static_cell::ConstStaticCell;
use vae_core::{Alarms, Detector, DetectorError, Model, Scratch, include_model};

use crate::Sensor;

/// Read while the program is compiled: a damaged file fails the build.
pub(crate) const MODEL: Model<'static> = include_model!("../../../model/motor.vae");
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
pub(crate) fn detector(sensor: &Sensor) -> Result<(Detector<'static, 'static>, Scratch<'static>), DetectorError> {
    let mut scratch = Scratch::new(SCRATCH.take());
    let model = model()?;
    model.self_test(&mut scratch)?;
    let detector = Detector::new(model, WINDOW.take(), STATE.take())?;
    Ok((detector.sample_rate(sensor.rate)?.alarm_rate(ALARMS)?, scratch))
}

/// The model where the program is, for a core that reads its flash as fast as its RAM, or nearly so.
#[cfg(not(feature = "model-in-ram"))]
fn model() -> Result<Model<'static>, DetectorError> {
    Ok(MODEL)
}

/// The model in RAM, to which the start-up code copies it.
///
/// A chip whose flash is another one sees it through a cache, smaller than a model: each score would fetch the whole model anew.
#[cfg(feature = "model-in-ram")]
fn model() -> Result<Model<'static>, DetectorError> {
    use vae_core::{Aligned, InferError};
    const FILE: &[u8; include_bytes!("../../../model/motor.vae").len()] = include_bytes!("../../../model/motor.vae");
    static COPY: ConstStaticCell<Aligned<[u8; FILE.len()]>> = ConstStaticCell::new(Aligned(*FILE));
    Ok(Model::from_bytes(&COPY.take().0).map_err(InferError::Model)?)
}
