//! Models as the default recipe makes them, without and with relations.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation::{self, Identity},
    format::{LikelihoodKind, Precision, input_mixture_len},
    standard_normal,
};
use vae_train::{
    file::model_file::ModelFile,
    run::relations::most_components,
    weights::{dense::Dense, mixture::Mixture, relations::Relations},
};

use crate::{plain_model, random_layer};

/// Features of the pairs that [`recipe_models`] makes.
pub const RECIPE_FEATURES: [usize; 7] = [3, 5, 10, 16, 24, 36, 64];

/// Models of rows as the default recipe makes them, int8 and with random weights: for each number of features one without relations, and the
/// same with them and as many components of a mixture of the input as a fit takes at most.
#[must_use]
pub fn recipe_models() -> Vec<ModelFile> {
    RECIPE_FEATURES.iter().flat_map(|features| recipe_pair(*features)).collect()
}

fn recipe_pair(features: usize) -> [ModelFile; 2] {
    let (latent, mut rng) = ((features / 2 + 1).min(8), ChaCha8Rng::seed_from_u64(features as u64));
    let mut half = |widths: [usize; 4]| -> Vec<Dense> {
        let activations = [Activation::Silu, Activation::Silu, Identity];
        let pairs = widths.windows(2).zip(activations);
        pairs.map(|(pair, activation)| random_layer(&mut rng, pair[1], pair[0], activation, 2.0)).collect()
    };
    let (encoder, decoder) = (half([features, 128, 64, 2 * latent]), half([latent, 64, 128, features]));
    let prior = Mixture {
        weight: vec![1.0 / 16.0; 16],
        mean: (0..16 * latent).map(|_| standard_normal(&mut rng)).collect(),
        deviation: vec![0.7; 16 * latent],
    };
    let plain = ModelFile {
        precision: Precision::Int8,
        prior: Some(prior),
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 0.5)
    };
    let mut given_others = random_layer(&mut rng, features, features, Identity, 0.5);
    (0..features).for_each(|feature| given_others.weights[(features + 1) * feature] = 1.0);
    let values = input_mixture_len(features);
    let mut mixture: Vec<f32> = (0..most_components(features) * values).map(|_| rng.random_range(-0.3..0.3)).collect();
    // Each component is likelier than those before it, and none as likely as the rest makes a window: none is left early.
    mixture.chunks_exact_mut(values).zip(1u8..).for_each(|(values, index)| values[0] = 1e3 * f32::from(index) - 1e6);
    let relations = Relations {
        of_inputs: false,
        offset: 0.0,
        ceiling: 0.0,
        given_others,
        range: vec![(-9.0, 9.0); features],
        outside: f32::MIN,
        mixture,
    };
    [plain.clone(), ModelFile { relations: Some(relations), ..plain }]
}
