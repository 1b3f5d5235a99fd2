//! Models whose features have families of their own.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation,
    format::{FeatureFamily, LikelihoodKind, Precision},
    standard_normal,
};
use vae_train::file::model_file::ModelFile;

use crate::{plain_model, random_layer};

/// `ln p` of a state that training has not seen.
pub const LOG_OTHER: f32 = -6.0;

/// A sample: two measurements, a mode of five, a valve, and a kind of two.
pub const SAMPLE: [FeatureFamily; 10] = {
    use FeatureFamily::{Bernoulli, FirstCategory, Gaussian, NextCategory};
    let first = FirstCategory { log_other: LOG_OTHER };
    [Gaussian, first, NextCategory, NextCategory, NextCategory, NextCategory, Bernoulli, Gaussian, first, NextCategory]
};
/// Values of a sample.
pub const CHANNELS: usize = SAMPLE.len();

/// A model of windows of so many samples; of 10 and more, modes lie across the ends of the core's chunks of 48 features.
pub fn mixed_model(window: usize, precision: Precision) -> ModelFile {
    let (features, latent) = (CHANNELS * window, 3);
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut layers = |widths: [usize; 3]| {
        let hidden = random_layer(&mut rng, widths[1], widths[0], Activation::Tanh, 2.0);
        vec![hidden, random_layer(&mut rng, widths[2], widths[1], Activation::Identity, 4.0)]
    };
    let (encoder, decoder) = (layers([features, 9, 2 * latent]), layers([latent, 8, features]));
    let by_family = |number: f32, other: f32| -> Vec<f32> {
        let of = |family: &FeatureFamily| if family.is_discrete() { other } else { number };
        SAMPLE.repeat(window).iter().map(of).collect()
    };
    ModelFile {
        precision,
        channels: ["power", "m=a", "m=b", "m=c", "m=d", "m=e", "valve", "flow", "k=1", "k=2"]
            .map(str::to_owned)
            .to_vec(),
        window,
        hop: window,
        mean: by_family(2.0, 0.0),
        scale: by_family(0.5, 1.0),
        variance: by_family(0.3, 1.0),
        families: SAMPLE.repeat(window),
        golden_inputs: vec![sample_window(window, 1), sample_window(window, 2)],
        ..plain_model(encoder, decoder, LikelihoodKind::Mixed, 1.0)
    }
}

/// A window of values that the model takes.
pub fn sample_window(window: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut sample = || {
        let mut x = [0.0f32; CHANNELS];
        (x[0], x[7]) = (2.0 + standard_normal(&mut rng), 2.0 + standard_normal(&mut rng));
        x[1 + rng.random_range(0..5)] = 1.0;
        x[6] = f32::from(u8::from(rng.random_bool(0.5)));
        x[8 + rng.random_range(0..2)] = 1.0;
        x
    };
    (0..window).flat_map(|_| sample()).collect()
}
