//! A model over the air: two slots for models, the records that say which is used, and the steps from one model to the next. Whenever
//! the power fails, the next boot finds a sound model. Models are taken from those who hold a key, and none that is older than the one in
//! use.

use core::fmt;

use crc::{CRC_32_ISO_HDLC, Crc, NoTable};
use embedded_storage::nor_flash::{NorFlash, ReadNorFlash};
use heapless::VecView;
use vae_core::{
    Alarms, Detector, DetectorError, LoadError, Model, Scratch, SelfTestError, SignatureError, SignedModel,
};

use crate::flash::{Flash, FlashError, PAGE, Power, WORD};

/// Rate of false alarms that is borne.
const ALARMS: Alarms = Alarms::per_day(1.0);

static CRC: Crc<u32, NoTable> = Crc::<u32, NoTable>::new(&CRC_32_ISO_HDLC);

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
        }
    }
}

/// The newest of the records that were stored in two pages in turn: while one is written, the one before is still there.
///
/// A record is its number, its payload of `N` bytes (whole words), and a checksum of both, which is written last.
#[derive(Debug)]
pub struct Records<'f, const N: usize> {
    flash: Flash<'f>,
}

impl<'f, const N: usize> Records<'f, N> {
    /// In the first two pages of `flash`.
    pub fn new(flash: Flash<'f>) -> Self {
        Self { flash }
    }

    /// The newest payload, if any was stored.
    ///
    /// # Errors
    /// If the flash cannot be read.
    pub fn newest(&mut self) -> Result<Option<[u8; N]>, FlashError> {
        Ok(self.find()?.map(|(_, _, payload)| payload))
    }

    /// Page, number and payload of the newest record.
    fn find(&mut self) -> Result<Option<(u32, u32, [u8; N])>, FlashError> {
        let mut newest = None;
        for page in 0..2 {
            let (mut number, mut payload, mut sum) = ([0; WORD], [0; N], [0; WORD]);
            let [at, payload_at, sum_at] = Self::addresses(page);
            self.flash.read(at, &mut number)?;
            self.flash.read(payload_at, &mut payload)?;
            self.flash.read(sum_at, &mut sum)?;
            let is_whole = checksum(number, &payload) == sum;
            let number = u32::from_le_bytes(number);
            // Numbers that wrap around, compared as is done with times.
            let is_newer = |other: u32| (number.wrapping_sub(other) as i32) > 0;
            if is_whole && newest.is_none_or(|(_, other, _)| is_newer(other)) {
                newest = Some((page, number, payload));
            }
        }
        Ok(newest)
    }

    /// Stores a record in the place of the older one.
    ///
    /// # Errors
    /// If the power fails; the newest record is then this one or the one before.
    pub fn store(&mut self, payload: &[u8; N]) -> Result<(), FlashError> {
        let (page, number) = self.find()?.map_or((0, 0), |(page, number, _)| (1 - page, number.wrapping_add(1)));
        let number = number.to_le_bytes();
        let [at, payload_at, sum_at] = Self::addresses(page);
        self.flash.erase(at, at + PAGE as u32)?;
        self.flash.write(at, &number)?;
        self.flash.write(payload_at, payload)?;
        self.flash.write(sum_at, &checksum(number, payload))
    }

    /// Of a page's number, payload and checksum.
    fn addresses(page: u32) -> [u32; 3] {
        let at = page * PAGE as u32;
        [at, at + WORD as u32, at + (WORD + N) as u32]
    }
}

fn checksum(number: [u8; WORD], payload: &[u8]) -> [u8; 4] {
    let mut digest = CRC.digest();
    digest.update(&number);
    digest.update(payload);
    digest.finalize().to_le_bytes()
}

/// Bytes of the selector's record: the slot that is used, three that are not, and the counter that the model in it was signed with.
const SELECTION: usize = 2 * WORD;

/// The flash of a device: a slot for each of two models, which of them is used, and snapshots of the detector, of `N` bytes.
#[derive(Debug)]
pub struct Board<'f, const N: usize> {
    slots: [Flash<'f>; 2],
    /// Without a record the first slot is used, and its counter is 0, as the factory leaves it.
    selector: Records<'f, SELECTION>,
    snapshots: Records<'f, N>,
}

impl<'f, const N: usize> Board<'f, N> {
    /// Bytes beside the slots.
    pub const RECORDS: usize = 4 * PAGE;

    /// On flash of [`Self::RECORDS`] bytes and two slots of whole pages.
    pub fn new(flash: &'f mut [u8], power: &'f Power) -> Self {
        let slot = flash.len().saturating_sub(Self::RECORDS) / 2;
        let (first, rest) = flash.split_at_mut(slot);
        let (second, rest) = rest.split_at_mut(slot);
        let (selector, snapshots) = rest.split_at_mut(rest.len() / 2);
        Self {
            slots: [Flash::new(first, power), Flash::new(second, power)],
            selector: Records::new(Flash::new(selector, power)),
            snapshots: Records::new(Flash::new(snapshots, power)),
        }
    }

    /// Starts from the selected slot, or from the other if that has lost its model.
    ///
    /// # Errors
    /// If neither holds a model that passes its self-test.
    pub fn boot(&mut self, scratch: &mut Scratch<'_>) -> Result<Booted<'_, 'f, N>, UpdateError> {
        let (selected, least) = match self.selector.newest()? {
            Some([slot, _, _, _, counter @ ..]) => (slot == 1, u32::from_le_bytes(counter)),
            None => (false, 0),
        };
        let [first, second] = &mut self.slots;
        let (mut used, mut spare) = if selected { (second, first) } else { (first, second) };
        let mut spare_index = u8::from(!selected);
        if verify(used, scratch).is_err() {
            core::mem::swap(&mut used, &mut spare);
            spare_index = 1 - spare_index;
            verify(used, scratch)?;
        }
        let model = model_in(used)?;
        Ok(Booted { model, least, spare_index, spare, selector: &mut self.selector, snapshots: &mut self.snapshots })
    }
}

/// A model that is used, and the flash that meanwhile may change.
#[derive(Debug)]
pub struct Booted<'b, 'f, const N: usize> {
    /// Checked: its sum, its structure, and that it scores as it did on the desktop.
    pub model: Model<'b>,
    /// The counter of the model that was installed last.
    least: u32,
    spare_index: u8,
    spare: &'b mut Flash<'f>,
    selector: &'b mut Records<'f, SELECTION>,
    /// What the detector remembers.
    pub snapshots: &'b mut Records<'f, N>,
}

impl<'b, const N: usize> Booted<'b, '_, N> {
    /// Receives a signed model into the slot that is not used, and selects it once it is known to be from the holder of one of `keys`, not
    /// older than the one in use, sound, and fit for the detector in use: every boot will then start from it, and the detector can go on with it at once, by [`Detector::replace`] with
    /// [`Self::installed`]. Until the last word of the selector's record is written, the model in use stays selected.
    ///
    /// # Errors
    /// If the file is refused, or the power fails; the model in use is not touched.
    pub fn install(
        &mut self,
        file: &[u8],
        keys: &[[u8; 32]],
        room: Room<'_>,
        scratch: &mut Scratch<'_>,
    ) -> Result<(), UpdateError> {
        let capacity = self.spare.capacity();
        if file.len() > capacity {
            return Err(UpdateError::TooLarge { room: capacity, found: file.len() });
        }
        self.spare.erase(0, capacity as u32)?;
        let (words, rest) = file.as_chunks::<WORD>();
        let words = words.as_flattened();
        self.spare.write(0, words)?;
        if !rest.is_empty() {
            // The file's last bytes, filled up to a word.
            let mut last = [0xFF; WORD];
            last.iter_mut().zip(rest).for_each(|(byte, rest)| *byte = *rest);
            self.spare.write(words.len() as u32, &last)?;
        }

        // What was written, not what was received.
        let signed = SignedModel::from_bytes(self.spare.bytes().get(..file.len()).unwrap_or_default())?;
        let candidate = Model::from_bytes(signed.verify(keys, self.least)?)?;
        // A rehearsal: the detector in use would hold on to the slot even if it refused the model.
        watch(self.model, room)?.replace(candidate, scratch)?;
        // The counter is raised with the same write that selects the model.
        let [a, b, c, d] = signed.counter().to_le_bytes();
        self.selector.store(&[self.spare_index, 0xFF, 0xFF, 0xFF, a, b, c, d])?;
        self.least = signed.counter();
        Ok(())
    }

    /// The model that was installed.
    ///
    /// # Errors
    /// If there is none.
    pub fn installed(self) -> Result<Model<'b>, UpdateError> {
        Ok(model_in(self.spare)?)
    }
}

/// The model in a slot, which may be larger than the model.
fn model_in<'s>(slot: &'s Flash<'_>) -> Result<Model<'s>, LoadError> {
    match Model::from_bytes(slot.bytes()) {
        Err(LoadError::TooLong { needed, .. }) => Model::from_bytes(slot.bytes().get(..needed).unwrap_or_default()),
        result => result,
    }
}

/// Checks the model in a slot: its sum, its structure, and that it scores as it did on the desktop.
fn verify(slot: &Flash<'_>, scratch: &mut Scratch<'_>) -> Result<(), SelfTestError> {
    model_in(slot)?.self_test(scratch)
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
/// If the model is not calibrated, or the room too small.
pub fn watch<'m, 'b>(model: Model<'m>, room: Room<'b>) -> Result<Detector<'m, 'b>, DetectorError> {
    Detector::new(model, room.window, room.state)?.alarm_rate(ALARMS)
}
