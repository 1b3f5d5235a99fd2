//! A model, read in place from its file.

use crate::format::{
    check::{check_body, check_front_ends},
    cursor::Cursor,
    error::LoadError,
    prelude::{PRELUDE_LEN, Prelude, check_file},
    record::{Card, GoldenVector, Header, LayerRecord, NamedArray, Records, values},
};

/// A model in flash, RAM or a file's bytes: a view, copied freely and shared between threads.
///
/// ```
/// use vae_core::{Model, include_model};
///
/// const MODEL: Model<'static> = include_model!("../tests/tiny.vae");
/// assert_eq!((MODEL.channels(), MODEL.window(), MODEL.latent()), (2, 4, 2));
/// assert_eq!(MODEL.card()?.channels, "a\nb");
/// # Ok::<(), vae_core::LoadError>(())
/// ```
///
/// It is made by [`include_model!`](crate::include_model) or [`Model::from_bytes`]. Inputs are in physical units: the
/// standardiser is part of the model.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    prelude: Prelude,
    file: &'m [u8],
    body: &'m [u8],
    /// Of a conditional model, in physical units: see [`Model::given`].
    condition: &'m [f32],
    /// Whether the compiler has done what [`Model::verify`] does.
    is_verified: bool,
}

/// Gives the bytes inside it an address divisible by four.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug)]
pub struct Aligned<T: ?Sized>(pub T);

/// Embeds the model file at a path (relative to the source file) in the program as a `Model<'static>`.
///
/// The file is aligned, and all that [`Model::verify`] looks at is verified while the program is compiled: a damaged file, or one that needs a Cargo
/// feature that is left out, fails the build, and what verifies is not linked into it. Usable in `const` and `static` items.
#[macro_export]
macro_rules! include_model {
    ($path:expr $(,)?) => {{
        const FILE: &$crate::Aligned<[u8]> = &$crate::Aligned(*::core::include_bytes!($path));
        #[allow(long_running_const_eval)]
        const MODEL: $crate::Model<'static> = match $crate::Model::built_in(&FILE.0) {
            Ok(model) => model,
            Err(error) => ::core::panic!("{}", error.reason()),
        };
        MODEL
    }};
}

impl<'m> Model<'m> {
    /// Reads a model file in place, checking its prelude, length and checksum.
    ///
    /// The records behind them are checked as they are used, and all at once by [`Self::verify`] and [`Self::self_test`].
    ///
    /// # Errors
    /// See [`LoadError`]; no input makes this function fail in another way.
    pub const fn from_bytes(file: &'m [u8]) -> Result<Self, LoadError> {
        match check_file(file) {
            Ok((head, body)) => match Prelude::read(head) {
                Ok(prelude) => Ok(Self { prelude, file, body, condition: &[], is_verified: false }),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Reads a model file that is built into the program, and does what [`Self::verify`] does; front-ends must be there, too: [`include_model!`](crate::include_model) has the compiler do it.
    ///
    /// # Errors
    /// See [`LoadError`].
    #[doc(hidden)]
    pub const fn built_in(file: &'m [u8]) -> Result<Self, LoadError> {
        match Self::from_bytes(file) {
            Ok(model) => match check_body(&model.prelude, model.body) {
                Ok(()) => match check_front_ends(&model.prelude, model.body) {
                    Ok(()) => Ok(Self { is_verified: true, ..model }),
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether only the flash that it lies in can make it faulty.
    pub(crate) const fn is_verified(&self) -> bool {
        self.is_verified
    }

    /// This file with another condition, which is not looked at.
    pub(crate) fn with_condition<'c>(self, condition: &'c [f32]) -> Model<'c>
    where
        'm: 'c,
    {
        Model { condition, ..self }
    }

    /// Of a conditional model, in physical units.
    pub(crate) fn condition(&self) -> &'m [f32] {
        self.condition
    }

    /// Values of the condition; 0 for a model that is not conditional.
    #[must_use]
    pub const fn conditions(&self) -> usize {
        self.prelude.conditions as usize
    }

    /// Values in an input: `channels · window`, or what front-ends make of them.
    #[must_use]
    pub const fn features(&self) -> usize {
        self.prelude.features as usize
    }

    /// Samples' values in a window, `channels · window`: the capacity of a [`Detector`](crate::Detector)'s window.
    #[must_use]
    pub const fn window_len(&self) -> usize {
        self.channels().saturating_mul(self.window())
    }

    /// Dimensions of the latent vector.
    #[must_use]
    pub const fn latent(&self) -> usize {
        self.prelude.latent as usize
    }

    /// Values in one sample.
    #[must_use]
    pub const fn channels(&self) -> usize {
        self.prelude.channels as usize
    }

    /// Samples in a window; 1 for a model of rows.
    #[must_use]
    pub const fn window(&self) -> usize {
        self.prelude.window as usize
    }

    /// Samples between the starts of successive windows.
    #[must_use]
    pub const fn hop(&self) -> usize {
        self.prelude.hop as usize
    }

    /// Whether the model sees features of the samples rather than the samples.
    #[must_use]
    pub const fn has_front_end(&self) -> bool {
        self.features() != self.window_len()
    }

    /// Values (`f32`) that [`Scratch`](crate::Scratch) needs for this model: multiply by four for bytes.
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        let Prelude { latent, vector_len, hidden_len, posterior_len, .. } = self.prelude;
        latent as usize + posterior_len as usize + vector_len as usize + hidden_len as usize
    }

    /// Bytes of flash that the model takes.
    #[must_use]
    pub const fn flash_len(&self) -> usize {
        self.file.len()
    }

    /// The file's checksum: what tells this model from others.
    #[must_use]
    pub const fn fingerprint(&self) -> u32 {
        match self.file.split_first_chunk::<12>() {
            Some(([.., a, b, c, d], _)) => u32::from_le_bytes([*a, *b, *c, *d]),
            None => 0,
        }
    }

    /// The sizes at the start of the file.
    #[must_use]
    pub const fn prelude(&self) -> &Prelude {
        &self.prelude
    }

    /// All of the file.
    pub(crate) const fn file(&self) -> &'m [u8] {
        self.file
    }

    /// Where the model comes from.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn card(&self) -> Result<Card<'m>, LoadError> {
        let mut records = self.records_at(self.prelude.golden_at)?;
        for _ in 0..self.header()?.golden_vectors {
            records.read(GoldenVector::take)?;
        }
        records.card()
    }

    pub(crate) fn calibration_record(&self) -> Result<NamedArray<'m>, LoadError> {
        self.records_at(self.prelude.extras_at)?.read(NamedArray::take)
    }

    /// The codes of the channels' front-ends; none for a model that sees samples.
    pub(crate) fn front_ends(&self) -> Result<&'m [u8], LoadError> {
        Ok(self.calibration_record()?.name)
    }

    /// The file's first record: kinds, sizes and constants.
    ///
    /// # Errors
    /// If the file is faulty.
    pub fn header(&self) -> Result<Header<'m>, LoadError> {
        Ok(self.records()?.0)
    }

    /// The layers' records, first the encoder's, then the decoder's.
    ///
    /// # Errors
    /// If the file is faulty; the iterator's items likewise, of which the first error is the last.
    pub fn layers(&self) -> Result<impl Iterator<Item = Result<LayerRecord<'m>, LoadError>> + use<'m>, LoadError> {
        let (header, records) = self.records()?;
        Ok(records.first(header.encoder_layers.saturating_add(header.decoder_layers), LayerRecord::take))
    }

    /// The records from this place in the body on.
    pub(crate) fn records_at(&self, at: u32) -> Result<Records<'m>, LoadError> {
        let error = LoadError::Shape { expected: self.body.len(), found: at as usize };
        self.body.get(at as usize..).map(Records).ok_or(error)
    }

    /// The golden vectors: inputs in physical units and the scores that the exporting machine computed.
    pub(crate) fn golden_vectors(
        &self,
    ) -> Result<impl Iterator<Item = Result<(&'m [f32], GoldenVector<'m>), LoadError>> + use<'m>, LoadError> {
        let mut records = self.records_at(self.prelude.golden_at)?;
        let values_each = self.features() + self.conditions();
        Ok((0..self.header()?.golden_vectors).map(move |_| {
            let golden = records.read(GoldenVector::take)?;
            Ok((values(golden.input, values_each)?, golden))
        }))
    }

    pub(crate) fn records(&self) -> Result<(Header<'m>, Records<'m>), LoadError> {
        // The body starts behind the prelude, so that offsets in it keep their alignment in the file.
        const { assert!(PRELUDE_LEN.is_multiple_of(4)) };
        let mut records = Records(self.body);
        let header = records.read(Header::take)?;
        Ok((header, records))
    }

    /// A cursor at the body's first record.
    pub(crate) const fn cursor(&self) -> Cursor<'m> {
        Cursor::new(self.body, self.body.len())
    }

    /// All behind the prelude.
    pub(crate) const fn body(&self) -> &'m [u8] {
        self.body
    }
}
