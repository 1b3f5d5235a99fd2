//! The small models that the fuzzer begins with, each of another kind: `tests/fuzz/models`.

use anyhow::{Result, anyhow};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use vae_core::{
    Activation, ChannelCalibration, FrontEnd, Location, ScoreKind, Tail,
    format::{LikelihoodKind, PosteriorKind, Precision},
};
use vae_train::file::{calibration::CalibrationRecord, model_file::ModelFile};

use crate::{Family, family_model, mixed::mixed_model, plain_model, random_layer, related_model};

/// A calibration with all that there is in one, by which some windows of these models are out of the ordinary and most are not.
fn calibration(channels: usize, score_kind: ScoreKind) -> CalibrationRecord {
    let channel = ChannelCalibration {
        range: (-1e4, 1e4),
        longest_run: 3.0,
        longest_gap: 2.0,
        nats: 3.0,
        mean: 0.1,
        power: 2.0,
        level: Location { centre: 0.02, spread: 0.8, limit: 0.5 },
        strength: Location { centre: 0.9, spread: 0.6, limit: 0.7 },
    };
    CalibrationRecord {
        quantiles: vec![-40.0, -25.0, -20.0, -15.0, -5.0],
        scores: 200,
        threshold: -60.0,
        sample_rate: 100.0,
        votes: (2, 3),
        tail: Tail { start: 25.0, rate: 0.2, scale: 6.0, shape: 0.7, base: 1.0 },
        alarms: Tail { start: 30.0, rate: 0.01, scale: 5.0, shape: 0.5, base: 4.0 },
        location_and_scale: (20.0, 6.0),
        score_kind,
        dependence: 1.5,
        changes: Tail { start: 6.0, rate: 0.02, scale: 12.0, shape: 1.0, base: 1.0 },
        drift_memory: 4.0,
        drift_step: 1.5,
        drift_limits: (2.0, 0.4),
        channels: vec![channel; channels],
    }
}

/// A window of two channels, features of `front_ends` or none, through one hidden layer each way.
fn of_windows(precision: Precision, window: usize, hop: usize, front_ends: &[FrontEnd]) -> ModelFile {
    let channels = 2;
    let features = match front_ends {
        [] => channels * window,
        _ => front_ends.iter().map(|front_end| front_end.features(window)).sum(),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(features as u64);
    let mut layer = |rows, columns, activation| random_layer(&mut rng, rows, columns, activation, 1.5);
    use Activation::{Identity, Relu, Silu};
    let encoder = vec![layer(5, features, Relu), layer(4, 5, Identity)];
    let decoder = vec![layer(6, 2, Silu), layer(features, 6, Identity)];
    ModelFile {
        precision,
        channels: ["a", "b"].map(str::to_owned).to_vec(),
        window,
        hop,
        front_ends: front_ends.to_vec(),
        calibration: calibration(channels, ScoreKind::AtMean),
        golden_inputs: vec![(0..features).map(|index| (index as f32).sin()).collect()],
        ..plain_model(encoder, decoder, LikelihoodKind::GaussianPerFeature, 0.5)
    }
}

/// Names and bytes.
///
/// # Errors
/// If a model cannot be written.
pub fn fuzz_models() -> Result<Vec<(String, Vec<u8>)>> {
    let posteriors = [
        ("diagonal", PosteriorKind::DiagonalGaussian),
        ("full", PosteriorKind::FullGaussian),
        ("bernoulli", PosteriorKind::Bernoulli),
    ];
    let likelihoods = [
        ("bernoulli", LikelihoodKind::Bernoulli),
        ("fixed", LikelihoodKind::GaussianFixed),
        ("per-feature", LikelihoodKind::GaussianPerFeature),
        ("predicted", LikelihoodKind::GaussianPredicted),
    ];
    let precisions = [Precision::F32, Precision::Int8];
    let kinds = [ScoreKind::AtMean, ScoreKind::Samples(2), ScoreKind::Importance(10)];
    let mut models: Vec<(String, ModelFile)> = Vec::new();
    for (first, (posterior_name, posterior)) in posteriors.into_iter().enumerate() {
        for (second, (likelihood_name, likelihood)) in likelihoods.into_iter().enumerate() {
            let family = Family { posterior, likelihood, conditions: 2 * (second / 2) };
            let mut file = family_model(family, precisions[(first + second) % 2], second as u64);
            file.calibration = calibration(file.channels.len(), kinds[(first + second) % 3]);
            models.push((format!("{posterior_name}-{likelihood_name}"), file));
        }
    }
    use PosteriorKind::{Categorical, FullGaussian};
    let of_features = [
        ("full-covariance", FullGaussian, LikelihoodKind::GaussianCovariance(2), Precision::Int8),
        ("categorical-per-feature", Categorical { categories: 3 }, LikelihoodKind::GaussianPerFeature, Precision::F32),
    ];
    for (name, posterior, likelihood, precision) in of_features {
        let family = Family { posterior, likelihood, conditions: 2 };
        let mut file = family_model(family, precision, 4);
        file.calibration = calibration(file.channels.len(), ScoreKind::Samples(2));
        models.push((name.into(), file));
    }
    let mixed = mixed_model(2, Precision::Int8);
    let judged = calibration(mixed.channels.len(), ScoreKind::AtMean);
    models.push(("mixed".into(), ModelFile { calibration: judged, ..mixed }));
    let features = [FrontEnd::Statistics, FrontEnd::Mean];
    models.push(("stream".into(), of_windows(Precision::Int8, 4, 2, &[])));
    models.push(("statistics".into(), of_windows(Precision::F32, 8, 11, &features)));
    models.push(("bands".into(), of_windows(Precision::Int8, 16, 4, &[FrontEnd::Raw, FrontEnd::Bands(4)])));
    let mel = FrontEnd::Mel { bands: 3, frames: 2, rate: 8000 };
    models.push(("mel".into(), of_windows(Precision::F32, 24, 8, &[FrontEnd::Mean, mel])));
    models.push(("related".into(), related_model(false, Precision::Int8, 2)));
    models.push(("related-inputs".into(), related_model(true, Precision::F32, 3)));
    // Not calibrated, and nothing behind the layers but the card.
    let plain = of_windows(Precision::F32, 1, 1, &[]);
    models.push((
        "plain".into(),
        ModelFile { calibration: CalibrationRecord::default(), golden_inputs: Vec::new(), ..plain },
    ));
    models.sort_by(|a, b| a.0.cmp(&b.0));
    let bytes = |(name, file): (String, ModelFile)| {
        let bytes = file.to_bytes().map_err(|error| anyhow!("{name}: {error:#}"))?;
        Ok((name, bytes))
    };
    models.into_iter().map(bytes).collect()
}
