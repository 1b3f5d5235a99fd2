//! Whether all that a body says is sound: structure, sizes, alignment and ranges, by the compiler or by the device.

#[cfg(feature = "mixed")]
use crate::format::kind::FeatureFamily;
#[cfg(any(feature = "mixed", feature = "covariance"))]
use crate::format::kind::LikelihoodKind;
#[cfg(feature = "categorical")]
use crate::format::kind::PosteriorKind;
use crate::{
    arithmetic::activation::Activation,
    format::{
        cursor::Cursor,
        error::LoadError,
        feature::Feature,
        kind::Precision,
        prelude::Prelude,
        record::{GoldenVector, Header, LayerRecord, NamedArray, RELATION_CONSTANTS, RawCard, SecondStage, last},
        size::{CHUNK, MAX_LAYER_SIDE, hidden_len, padded_rows, vector_len},
    },
    kernel::{ROW_BLOCK, ROW_WORDS},
};

/// `?`, which the compiler does not run.
macro_rules! ok {
    ($result:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return Err(error),
        }
    };
}

/// Checks the body behind a prelude that is sound; its texts are not looked at.
///
/// # Errors
/// What cannot be read and sizes that do not fit at once, else the first of the other faults.
#[inline(never)] // its frame must not stay on the stack while a window is scored
pub(crate) const fn check_body(prelude: &Prelude, body: &[u8]) -> Result<(), LoadError> {
    let (features, latent) = (prelude.features as usize, prelude.latent as usize);
    let conditions = prelude.conditions as usize;
    let mut checks = Checks { rest: body, body: body.len(), fault: Ok(()), vector: 0, hidden: 0 };

    let mut cursor = checks.cursor();
    let header = Header::take(&mut cursor);
    ok!(checks.end(&cursor));
    let is_related = ok!(checks.constants(&header, prelude));
    let encoder = Half::new(header.precision, header.encoder_layers, header.posterior.parameters(latent));
    ok!(checks.layers(encoder, features + conditions));
    checks.equal(prelude.decoder_at as usize, checks.place());
    let decoder = Half::new(header.precision, header.decoder_layers, header.likelihood.parameters(features));
    ok!(checks.layers(decoder, latent + conditions));
    if is_related {
        ok!(checks.layers(Half::new(header.precision, 1, features), features));
        // The differences lie behind what a last layer needs.
        checks.hidden = larger(checks.hidden, 2 * CHUNK + features);
    }
    checks.equal(prelude.extras_at as usize, checks.place());

    let calibration = ok!(checks.named_array());
    checks.finite(calibration);
    if header.mixture_components > 0 {
        let mixture = ok!(checks.named_array());
        checks.finite(mixture);
    }
    if header.second_stage_layers > 0 {
        ok!(checks.second_stage(&header, latent, conditions));
    }
    let mut attributes = header.attributes;
    while attributes > 0 {
        let direction = ok!(checks.named_array());
        checks.finite(ok!(last(direction, 4 * latent)));
        attributes -= 1;
    }
    checks.equal(prelude.golden_at as usize, checks.place());
    let mut golden_vectors = header.golden_vectors;
    while golden_vectors > 0 {
        let mut cursor = checks.cursor();
        let golden = GoldenVector::take(&mut cursor);
        ok!(checks.end(&cursor));
        ok!(last(golden.input, 4 * (features + conditions)));
        golden_vectors -= 1;
    }
    let mut cursor = checks.cursor();
    let card = RawCard::take(&mut cursor);
    ok!(checks.end(&cursor));
    checks.equal(prelude.channels as usize, lines(card.channels));
    checks.equal(conditions, lines(card.conditions));
    checks.equal(prelude.vector_len as usize, checks.vector);
    checks.equal(prelude.hidden_len as usize, checks.hidden);
    checks.equal(prelude.posterior_len as usize, header.posterior.parameters(latent));
    checks.equal(0, checks.rest.len());
    checks.fault
}

/// Lines of a text: the last has no end, and an empty text no lines.
const fn lines(mut text: &[u8]) -> usize {
    let mut lines = !text.is_empty() as usize;
    while let Some((byte, rest)) = text.split_first() {
        lines += (*byte == b'\n') as usize;
        text = rest;
    }
    lines
}

const fn larger(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// The values of a whole array behind a number of others of as many `f32`s; none where they do not fit.
const fn constants_of(array: &[u8], index: usize, each: usize) -> &[u8] {
    let (start, len) = (4 * each * index, 4 * each);
    match array.split_at_checked(start) {
        Some((_, rest)) => match rest.split_at_checked(len) {
            Some((values, _)) => values,
            None => &[],
        },
        None => &[],
    }
}

/// The layers of one half of the network, or of the second stage.
struct Half {
    precision: Precision,
    count: u32,
    /// Rows of the last.
    outputs: usize,
}

impl Half {
    const fn new(precision: Precision, count: u32, outputs: usize) -> Self {
        // None where no layer can have as many.
        Self { precision, count: if outputs > MAX_LAYER_SIDE { 0 } else { count }, outputs }
    }
}

/// What is unread, the first fault found, and the scratch that layers need.
struct Checks<'m> {
    rest: &'m [u8],
    body: usize,
    fault: Result<(), LoadError>,
    vector: usize,
    hidden: usize,
}

// Not inlined: each is called many times, and the loader's size counts on a device.
/// Whether this build can compute what the model sees of its samples, for a body that is sound.
pub(crate) const fn check_front_ends(prelude: &Prelude, body: &[u8]) -> Result<(), LoadError> {
    let Some((_, rest)) = body.split_at_checked(prelude.extras_at as usize) else { return Ok(()) };
    let NamedArray { name, .. } = NamedArray::take(&mut Cursor::new(rest, body.len()));
    // More than a byte a channel where any has mel bands, and a code above 2 where it has bands.
    let mut has_bands = name.len() > prelude.channels as usize;
    let mut codes = name;
    while let Some((code, others)) = codes.split_first() {
        has_bands |= *code > 2;
        codes = others;
    }
    if has_bands && !Feature::Spectrum.is_here() {
        return Err(LoadError::NeedsFeature { feature: Feature::Spectrum });
    }
    Ok(())
}

impl<'m> Checks<'m> {
    const fn cursor(&self) -> Cursor<'m> {
        Cursor::new(self.rest, self.body)
    }

    /// Goes on behind the record that this cursor has read.
    #[inline(never)]
    const fn end(&mut self, cursor: &Cursor<'m>) -> Result<(), LoadError> {
        self.rest = ok!(cursor.end(self.rest.len()));
        if cursor.is_misaligned { Err(LoadError::Misaligned) } else { Ok(()) }
    }

    /// How many bytes of the body are before what is unread.
    const fn place(&self) -> usize {
        self.body - self.rest.len()
    }

    #[inline(never)]
    const fn refuse(&mut self, error: LoadError) {
        if self.fault.is_ok() {
            self.fault = Err(error);
        }
    }

    #[inline(never)]
    const fn equal(&mut self, expected: usize, found: usize) {
        if expected != found {
            self.refuse(LoadError::Shape { expected, found });
        }
    }

    const fn sound(&mut self, sound: bool) {
        if !sound {
            self.refuse(LoadError::Value);
        }
    }

    /// Refuses values of an array, which up to three bytes align, that are NaN or infinite.
    #[inline(never)]
    const fn finite(&mut self, array: &[u8]) {
        let (_, mut values) = array.as_rchunks::<4>();
        while let Some((value, rest)) = values.split_first() {
            self.sound(f32::from_bits(u32::from_le_bytes(*value)).is_finite());
            values = rest;
        }
    }

    #[inline(never)]
    const fn positive(&mut self, array: &[u8]) {
        let (_, mut values) = array.as_rchunks::<4>();
        while let Some((value, rest)) = values.split_first() {
            self.sound(f32::from_bits(u32::from_le_bytes(*value)) > 0.0);
            values = rest;
        }
    }

    /// The constants of features, of the condition and of the prior. Whether features are judged together.
    const fn constants(&mut self, header: &Header<'m>, prelude: &Prelude) -> Result<bool, LoadError> {
        let (features, conditions) = (prelude.features as usize, prelude.conditions as usize);
        let arrays = header.likelihood.feature_arrays();
        let found = header.features.len() / 4;
        let own = ok!(last(header.features, 4 * found));
        let misfit = LoadError::Shape { expected: arrays * features, found };
        if found < arrays * features {
            return Err(misfit);
        }
        let beyond = found - arrays * features;
        if beyond > 0 && !Feature::Relations.is_here() {
            return Err(LoadError::NeedsFeature { feature: Feature::Relations });
        }
        if beyond > 0 && (arrays != 4 || beyond < 2 * features + RELATION_CONSTANTS) {
            return Err(misfit);
        }
        #[cfg(feature = "covariance")]
        if let LikelihoodKind::GaussianCovariance(rank) = header.likelihood
            && !matches!(rank, 1 | 2 | 4 | 6 | 10 | 14)
        {
            return Err(LoadError::Value);
        }
        let found = header.conditions_and_prior.len() / 4;
        let others = ok!(last(header.conditions_and_prior, 4 * found));
        if found < 2 * conditions {
            return Err(LoadError::Shape { expected: 2 * conditions, found });
        }
        let has_mixture = found > 2 * conditions;
        if has_mixture && !Feature::LearnedPrior.is_here() {
            return Err(LoadError::NeedsFeature { feature: Feature::LearnedPrior });
        }

        let (low, high) = header.log_variance_bounds;
        self.sound(low.is_finite() && high.is_finite() && header.log_normaliser_sum.is_finite());
        self.sound(low <= high);
        self.finite(own);
        self.finite(others);
        self.positive(constants_of(own, 1, features));
        self.positive(constants_of(others, 1, conditions));
        if arrays > 3 {
            self.positive(constants_of(own, 2, features));
        }
        #[cfg(feature = "mixed")]
        if let LikelihoodKind::Mixed = header.likelihood {
            self.sound(features == prelude.channels as usize * prelude.window as usize);
            ok!(check_families(own, features, prelude.channels as usize));
        }
        self.sound(!has_mixture || !header.posterior.is_discrete());
        #[cfg(feature = "categorical")]
        if let PosteriorKind::Categorical { categories } = header.posterior {
            self.sound(categories > 0 && prelude.latent.is_multiple_of(categories));
        }
        Ok(beyond > 0)
    }

    /// Checks layers that begin with so many inputs.
    #[inline(never)]
    const fn layers(&mut self, half: Half, inputs: usize) -> Result<(), LoadError> {
        let Half { precision, count, outputs } = half;
        let (mut left, mut width, mut hidden) = (count, inputs, hidden_len(0));
        self.sound(count > 0);
        while left > 0 {
            left -= 1;
            let mut cursor = self.cursor();
            let layer = LayerRecord::take(&mut cursor);
            ok!(cursor.end(self.rest.len()));
            ok!(layer.fits(precision, width));
            let rows = layer.rows as usize;
            // As many as no file has where that overflows.
            let words = padded_rows(rows).saturating_mul(vector_len(precision, width));
            let (weights, constants) = match precision {
                Precision::F32 => (words, rows),
                Precision::Int8 => (words / 2, ROW_WORDS * rows.div_ceil(ROW_BLOCK)),
            };
            let weights = ok!(last(layer.weights, weights.saturating_mul(4)));
            let constants = ok!(last(layer.row_constants, constants.saturating_mul(4)));
            ok!(self.end(&cursor));
            if left == 0 && rows != outputs {
                return Err(LoadError::Shape { expected: outputs, found: rows });
            }
            if let Activation::LeakyRelu(slope) = layer.activation {
                self.sound(slope.is_finite());
            }
            if let Precision::F32 = precision {
                self.finite(weights);
                self.finite(constants);
            }
            self.hidden = larger(self.hidden, hidden);
            self.vector = larger(self.vector, vector_len(precision, width));
            width = rows;
            hidden = hidden_len(width);
        }
        Ok(())
    }

    /// The values of the next record, one with a name.
    #[inline(never)]
    const fn named_array(&mut self) -> Result<&'m [u8], LoadError> {
        let mut cursor = self.cursor();
        let NamedArray { array, .. } = NamedArray::take(&mut cursor);
        ok!(self.end(&cursor));
        Ok(array)
    }

    const fn second_stage(&mut self, header: &Header<'m>, latent: usize, conditions: usize) -> Result<(), LoadError> {
        let mut cursor = self.cursor();
        let stage = SecondStage::take(&mut cursor);
        ok!(self.end(&cursor));
        let deviation = ok!(last(stage.deviation, 4 * latent));
        self.finite(deviation);
        self.positive(deviation);
        let inputs = stage.inputs as usize;
        self.sound((inputs > 0 && inputs <= latent) || inputs == latent + conditions);
        self.layers(Half::new(header.precision, header.second_stage_layers, latent), inputs)
    }
}

/// Refuses constants that no file with mixed features has: unknown families, categories without a first one in their row of `channels` features, and
/// zeros and ones that are standardised.
#[cfg(feature = "mixed")]
const fn check_families(constants: &[u8], features: usize, channels: usize) -> Result<(), LoadError> {
    let mut is_category = false;
    let mut feature = 0;
    while feature < features {
        // The mean, the inverse scale, the inverse deviation, the log normaliser, the family.
        let mut values = [0.0; 5];
        let mut array = 0;
        while array < values.len() {
            let (words, _) = constants_of(constants, array, features).as_chunks::<4>();
            values[array] = match words.split_at_checked(feature) {
                Some((_, [value, ..])) => f32::from_bits(u32::from_le_bytes(*value)),
                _ => return Err(LoadError::Value),
            };
            array += 1;
        }
        let [mean, inverse_scale, inverse_deviation, log_normaliser, code] = values;
        let Some(family) = FeatureFamily::of_code(code) else { return Err(LoadError::Value) };
        let is_plain = mean == 0.0 && inverse_scale == 1.0 && inverse_deviation == 1.0 && log_normaliser == 0.0;
        let follows = is_category && channels > 0 && !feature.is_multiple_of(channels);
        is_category = matches!(family, FeatureFamily::FirstCategory { .. } | FeatureFamily::NextCategory);
        let is_next = matches!(family, FeatureFamily::NextCategory);
        if (is_next && !follows) || (family.is_discrete() && !is_plain) {
            return Err(LoadError::Value);
        }
        feature += 1;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(feature = "mixed")]
mod tests {
    use super::*;

    /// The logarithm of the chance that a row has none of a column's categories.
    const OTHER: f32 = -4.0;

    #[test]
    fn families_that_no_file_has_are_refused() {
        let check = |families: [f32; 4], scale: f32| {
            let constants =
                [[0.0; 4], [scale; 4], [scale; 4], [0.0; 4], families].map(|array| array.map(f32::to_le_bytes));
            check_families(constants.as_flattened().as_flattened(), 4, 2)
        };
        assert_eq!(check([OTHER, 2.0, OTHER, 2.0], 1.0), Ok(()));
        assert_eq!(check([0.0, 1.0, OTHER, OTHER], 1.0), Ok(()));
        let faulty = [
            [0.0, 2.0, 1.0, 1.0],
            [1.0, OTHER, 2.0, 1.0],
            [3.0, 0.0, 0.0, 0.0],
            [f32::NAN, 0.0, 0.0, 0.0],
            [f32::NEG_INFINITY, 2.0, 0.0, 0.0],
            [0.5, 0.0, 0.0, 0.0],
            [-1e-7, 2.0, 0.0, 0.0],
        ];
        assert!(faulty.iter().all(|families| check(*families, 1.0) == Err(LoadError::Value)));
        assert_eq!(check([0.0; 4], 2.0), Ok(()));
        assert_eq!(check([1.0; 4], 2.0), Err(LoadError::Value));
    }
}
