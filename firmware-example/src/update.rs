//! A model over the air: which models a device believes, in the [slots](crate::slots) that say what always holds.

use core::fmt;

use heapless::VecView;
use vae_core::{
    Alarms, Detector, DetectorError, LoadError, Model, SIGNATURE_TRAILER_LEN, Scratch, SelfTestError, SignatureError,
    SignedModel,
};

use super::{
    flash::{Flash, FlashError, PAGE, Power},
    records::Records,
    slots::{Authority, Running, SLOTS, Slots},
};

/// Rate of false alarms that is borne.
const ALARMS: Alarms = Alarms::per_day(1.0);

/// Why a model was not taken, or none could be started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum UpdateError {
    /// The flash failed.
    Flash(FlashError),
    /// The file is larger than a slot.
    TooLarge {
        /// Bytes of a slot.
        room: usize,
        /// Bytes of the file.
        found: usize,
    },
    /// The file is not signed by somebody who is trusted, or is older than the one in use.
    Signature(SignatureError),
    /// The file or the slot holds no sound model, or none for this detector.
    Model(DetectorError),
    /// The model is for channels of other names.
    OtherChannels,
}

impl From<SignatureError> for UpdateError {
    fn from(error: SignatureError) -> Self {
        Self::Signature(error)
    }
}

impl From<FlashError> for UpdateError {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl From<DetectorError> for UpdateError {
    fn from(error: DetectorError) -> Self {
        Self::Model(error)
    }
}

impl From<SelfTestError> for UpdateError {
    fn from(error: SelfTestError) -> Self {
        Self::Model(error.into())
    }
}

impl From<LoadError> for UpdateError {
    fn from(error: LoadError) -> Self {
        SelfTestError::from(error).into()
    }
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => write!(f, "{error}"),
            Self::TooLarge { room, found } => write!(f, "the file has {found} bytes and a slot {room}"),
            Self::Signature(error) => write!(f, "{error}"),
            Self::Model(error) => write!(f, "{error}"),
            Self::OtherChannels => f.write_str("the model's channels are not this device's"),
        }
    }
}

/// What this device measures.
#[derive(Clone, Copy, Debug)]
pub struct Sensor<'s> {
    /// Names of the channels, one a line, as [`Card::channels`](vae_core::format::Card::channels) lists them.
    pub channels: &'s str,
    /// Samples a second.
    pub hz: f32,
}

/// Which models are believed: those that a holder of one of the keys has signed, that score as they did on the desktop, and that a detector
/// of this device can watch with.
#[derive(Debug)]
pub struct Models<'a, 'b> {
    /// Ed25519 public keys.
    pub keys: &'a [[u8; 32]],
    /// What the models are for.
    pub sensor: Sensor<'a>,
    /// Where a detector with the model is tried; not that of the detector in use.
    pub room: Room<'a>,
    /// For the self-test.
    pub scratch: &'a mut Scratch<'b>,
}

impl Authority for Models<'_, '_> {
    type Error = UpdateError;

    fn file_len(&self, slot: &[u8]) -> usize {
        model_in(slot).map_or(0, |model| model.flash_len() + SIGNATURE_TRAILER_LEN)
    }

    fn authenticate(&mut self, file: &[u8], least: u32) -> Result<u32, UpdateError> {
        let signed = SignedModel::from_bytes(file)?;
        // As long as it says, so that it is found again in the slot.
        Model::from_bytes(signed.verify(self.keys, least)?)?;
        Ok(signed.counter())
    }

    fn identify(&mut self, slot: &[u8]) -> Result<u32, UpdateError> {
        let model = model_in(slot)?;
        model.self_test(self.scratch)?;
        if model.card()?.channels != self.sensor.channels {
            return Err(UpdateError::OtherChannels);
        }
        let Room { window, state } = &mut self.room;
        watch(model, self.sensor, Room { window, state })?;
        Ok(model.fingerprint())
    }
}

/// The flash of a device: slots for models, the record of which is used, and snapshots of the detector, of `N` bytes.
#[derive(Debug)]
pub struct Board<'f, const N: usize> {
    slots: Slots<'f>,
    snapshots: Records<'f, N>,
}

impl<'f, const N: usize> Board<'f, N> {
    /// Bytes beside the slots.
    pub const RECORDS: usize = 4 * PAGE;

    /// On flash of [`Self::RECORDS`] bytes and [`SLOTS`] slots of whole pages, with a signed model in the first of them.
    pub fn new(flash: &'f mut [u8], power: &'f Power) -> Self {
        let slot = flash.len().saturating_sub(Self::RECORDS) / SLOTS;
        let (first, rest) = flash.split_at_mut(slot);
        let (second, rest) = rest.split_at_mut(slot);
        let (third, rest) = rest.split_at_mut(slot);
        let (record, snapshots) = rest.split_at_mut(rest.len() / 2);
        let slots = [first, second, third].map(|slot| Flash::new(slot, power));
        Self {
            slots: Slots::new(slots, Flash::new(record, power)),
            snapshots: Records::new(Flash::new(snapshots, power)),
        }
    }

    /// Starts from the model that was accepted last, or from the one before if that is lost.
    ///
    /// # Errors
    /// If no slot holds a model to be believed.
    pub fn boot(&mut self, models: &mut Models<'_, '_>) -> Result<Booted<'_, 'f, N>, UpdateError> {
        let running = self.slots.boot(models)?;
        let model = model_in(running.slot())?;
        Ok(Booted { model, running, snapshots: &mut self.snapshots })
    }
}

/// A model that is used, and the flash that meanwhile may change.
#[derive(Debug)]
pub struct Booted<'b, 'f, const N: usize> {
    /// Checked: its sum, its structure, that it scores as it did on the desktop, and that this device can watch with it.
    pub model: Model<'b>,
    running: Running<'b, 'f>,
    /// What the detector remembers.
    pub snapshots: &'b mut Records<'f, N>,
}

impl<'b, const N: usize> Booted<'b, '_, N> {
    /// Receives a signed model into the slot that no boot needs, and accepts it if it is to be believed: every boot will then start from
    /// it, and the detector can go on with it at once, by [`Detector::replace`] with [`Self::installed`].
    ///
    /// # Errors
    /// If the file is refused, or the power fails; the model in use is not touched.
    pub fn install(&mut self, file: &[u8], models: &mut Models<'_, '_>) -> Result<(), UpdateError> {
        let room = self.running.room();
        if file.len() > room {
            return Err(UpdateError::TooLarge { room, found: file.len() });
        }
        self.running.install(file, models)
    }

    /// The counter of the newest model that was accepted; none with a lower one is.
    #[must_use]
    pub fn counter(&self) -> u32 {
        self.running.counter()
    }

    /// The model that was installed.
    ///
    /// # Errors
    /// If there is none.
    pub fn installed(self) -> Result<Model<'b>, UpdateError> {
        Ok(model_in(self.running.installed())?)
    }
}

/// The model in a slot, which may be larger than the model.
fn model_in(slot: &[u8]) -> Result<Model<'_>, LoadError> {
    match Model::from_bytes(slot) {
        Err(LoadError::TooLong { needed, .. }) => Model::from_bytes(slot.get(..needed).unwrap_or_default()),
        result => result,
    }
}

/// Memory of a detector.
#[derive(Debug)]
pub struct Room<'b> {
    /// For the window.
    pub window: &'b mut VecView<f32>,
    /// For the state.
    pub state: &'b mut [f32],
}

/// A detector as this device wants it.
///
/// # Errors
/// If the model is not calibrated, of another sample rate, or the room too small.
pub fn watch<'m, 'b>(model: Model<'m>, sensor: Sensor<'_>, room: Room<'b>) -> Result<Detector<'m, 'b>, DetectorError> {
    Detector::new(model, room.window, room.state)?.sample_rate(sensor.hz)?.alarm_rate(ALARMS)
}
