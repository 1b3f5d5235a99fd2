//! What becomes of a model that needs a Cargo feature: read where it is there, refused by its name where it is not.

use vae_core::{LoadError, Model, format::Feature};

/// It has an activation other than ReLU, and a learned prior.
const TINY: &[u8] = include_bytes!("tiny.vae");

/// Where the body begins, which does so with its precision, its posterior and its likelihood, a byte each.
const BODY: usize = 64;
/// Where the length of the features' constants stands, in two bytes: behind these three, six counts of a byte, and three numbers.
const CONSTANTS: usize = BODY + 3 + 6 + 12;

/// CRC-32 by single bits.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |state, byte| {
        (0..8).fold(state ^ u32::from(*byte), |state, _| (state >> 1) ^ (0xEDB8_8320 & (state & 1).wrapping_neg()))
    })
}

/// Gives bytes their length and checksum.
fn seal(bytes: &mut [u8]) {
    let len = bytes.len() as u32;
    bytes[12..16].copy_from_slice(&len.to_le_bytes());
    let sum = checksum(&bytes[12..]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
}

/// Bytes where words lie.
struct Aligned(Vec<u32>, usize);

impl Aligned {
    fn new(bytes: &[u8]) -> Self {
        let mut room = vec![0u32; bytes.len() / 4 + 1];
        bytemuck::cast_slice_mut(&mut room)[..bytes.len()].copy_from_slice(bytes);
        Self(room, bytes.len())
    }

    fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.0)[..self.1]
    }
}

/// Whether the model in these bytes is sound, once they have their length and checksum.
fn verify(mut bytes: Vec<u8>) -> Result<(), LoadError> {
    seal(&mut bytes);
    Model::from_bytes(Aligned::new(&bytes).bytes())?.verify()
}

/// The tiny model with this byte of its body.
fn patched(place: usize, value: u8) -> Vec<u8> {
    let mut bytes = TINY.to_vec();
    bytes[BODY + place] = value;
    bytes
}

/// The tiny model with constants of relations.
fn related() -> Vec<u8> {
    let mut bytes = TINY.to_vec();
    assert!(bytes[CONSTANTS] >= 0x80 && bytes[CONSTANTS + 1] < 0x80);
    let len = usize::from(bytes[CONSTANTS] & 0x7F) | usize::from(bytes[CONSTANTS + 1]) << 7;
    const MORE: usize = 4 * (2 * 8 + 4);
    bytes[CONSTANTS] = (len + MORE) as u8 | 0x80;
    bytes[CONSTANTS + 1] = ((len + MORE) >> 7) as u8;
    let end = CONSTANTS + 2 + len;
    bytes.splice(end..end, [0; MORE]);
    bytes
}

#[test]
fn models_are_refused_by_the_feature_that_they_need() {
    let first = |features: &[Feature]| features.iter().copied().find(|feature| !feature.is_here());
    let expected = first(&[Feature::LearnedPrior, Feature::Activations]);
    assert_eq!(verify(TINY.to_vec()).err(), expected.map(|feature| LoadError::NeedsFeature { feature }));
    let cases = [
        (patched(0, 0), Feature::F32),
        (patched(1, 1), Feature::Families),
        (patched(1, 2), Feature::Families),
        (patched(1, 3), Feature::Categorical),
        (patched(2, 0), Feature::Families),
        (patched(2, 3), Feature::Families),
        (patched(2, 4), Feature::Mixed),
        (patched(2, 5), Feature::Covariance),
        (related(), Feature::Relations),
    ];
    for (bytes, feature) in cases {
        let error = verify(bytes).unwrap_err();
        // Where it is there, it is another fault of what was made of the file, or a feature that it needs, too.
        let is_named = error == LoadError::NeedsFeature { feature };
        assert_eq!(is_named, !feature.is_here(), "{feature:?}: {error}");
        if is_named {
            assert!(error.to_string().contains(&format!("`{}`", feature.name())), "{error}");
        }
    }
}

#[test]
fn numbers_that_no_kind_has_are_malformed() {
    for (place, value) in [(0, 2), (1, 4), (2, 6)] {
        let error = verify(patched(place, value)).unwrap_err();
        assert!(matches!(error, LoadError::Malformed { .. }), "{place}: {error}");
    }
}

#[test]
fn a_model_whose_bands_cannot_be_computed_is_not_built_in() {
    let whole = Aligned::new(TINY);
    let prelude = *Model::from_bytes(whole.bytes()).unwrap().prelude();
    let [extras, golden] = [prelude.extras_at, prelude.golden_at];
    // Sixteen bands of the first channel, in the place of a record without front-ends.
    let mut bytes = TINY.to_vec();
    let name = BODY + extras as usize;
    assert_eq!(bytes[name], 0, "the tiny model sees samples");
    bytes.splice(name..=name, [4, 16, 0, 0, 0]);
    let places: Vec<usize> = (0..BODY).step_by(4).filter(|at| bytes[*at..at + 4] == golden.to_le_bytes()).collect();
    let [place] = places[..] else { panic!("{places:?}") };
    bytes[place..place + 4].copy_from_slice(&(golden + 4).to_le_bytes());
    seal(&mut bytes);
    let file = Aligned::new(&bytes);
    let found = Model::built_in(file.bytes()).err();
    let needed = [Feature::LearnedPrior, Feature::Activations, Feature::Spectrum];
    let missing = needed.into_iter().find(|feature| !feature.is_here());
    assert_eq!(found, missing.map(|feature| LoadError::NeedsFeature { feature }));
    // Its features may come from elsewhere.
    let verified = Model::from_bytes(file.bytes()).unwrap().verify().err();
    assert_eq!(
        verified,
        missing.filter(|feature| *feature != Feature::Spectrum).map(|feature| LoadError::NeedsFeature { feature })
    );
}
