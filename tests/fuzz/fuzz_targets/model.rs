//! A hostile body behind a valid checksum, and then all that can be asked of a model.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use vae_core::{Importance, Model, Proposal, Scratch, Window};
use vae_fuzz::{File, Numbers, judge, with_window};

/// Latent dimensions up to which work that grows with them is done.
const FEW: usize = 64;

fuzz_target!(|data: &[u8]| -> Corpus {
    let file = File::sealed(data);
    let Ok(model) = Model::from_bytes(file.bytes()) else { return Corpus::Reject };
    let mut numbers = Numbers::of(file.bytes());
    let sound = model.verify().is_ok();
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    if model.self_test(&mut scratch).is_ok() {
        assert!(sound);
    }

    let condition = numbers.vector(model.conditions());
    assert!(model.given(&vec![0.0; model.conditions() + 1]).is_err());
    let Ok(given) = model.given(&condition) else { return Corpus::Keep };
    if !condition.is_empty() {
        let x = numbers.vector(model.features());
        assert!(!sound || model.elbo_at_mean(&x[..], &mut scratch).is_err(), "without a condition");
    }
    let x = numbers.vector(model.features());
    score(&given, &x, sound, &mut numbers, &mut scratch);
    generate(&given, sound, &mut numbers, &mut scratch);
    too_little(&given, &x, &mut numbers);
    extract(&given, sound, &mut numbers);
    Corpus::Keep
});

/// Everything that is computed from a window is finite, or refused.
fn score(model: &Model<'_>, x: &[f32], sound: bool, numbers: &mut Numbers, scratch: &mut Scratch<'_>) {
    let mut scores = vec![judge(sound, model.elbo_at_mean(x, scratch))];
    scores.push(judge(sound, model.elbo(x, 3, numbers.generator(), scratch)));
    if model.latent() <= FEW {
        scores.push(judge(sound, model.elbo_sigma_points(x, scratch)));
    }
    for score in scores.iter().flatten() {
        assert!(score.elbo.is_finite() && score.reconstruction.is_finite() && score.kl.is_finite(), "{score:?}");
        assert!(!score.standard_error.is_nan() && score.missing as usize <= x.len(), "{score:?}");
    }
    let again = model.elbo_at_mean(x, scratch).ok();
    assert_eq!(again.map(|score| score.elbo.to_bits()), scores[0].map(|score| score.elbo.to_bits()));
    for (proposal, decide) in [(Proposal::Posterior, Some((0.0, 3.0))), (Proposal::Prior, None)] {
        let importance = Importance { samples: 9, proposal, decide };
        if let Some(found) = judge(sound, model.log_likelihood_by(x, &importance, numbers.generator(), scratch)) {
            assert!(found.value.is_finite() && found.samples <= 9, "{found:?}");
        }
    }
    judge(sound, model.log_likelihood(x, 2, numbers.generator(), scratch));
    let mut next = 0;
    let outcome = model.attribute(x, scratch, &mut |feature, nats| {
        assert!(feature >= next && feature < x.len() && !nats.is_nan());
        next = feature + 1;
    });
    judge(sound, outcome);

    // Samples of a converter score as the same numbers do.
    let counts: Vec<i16> = x.iter().map(|x| *x as i16).collect();
    let same: Vec<f32> = counts.iter().map(|count| f32::from(*count)).collect();
    let [by_counts, by_numbers] = [
        model.elbo_at_mean(&counts[..], scratch).map(|score| score.elbo.to_bits()),
        model.elbo_at_mean(&same[..], scratch).map(|score| score.elbo.to_bits()),
    ];
    assert_eq!(by_counts, by_numbers);

    let mut z = vec![0.0; model.latent()];
    let mut work = z.clone();
    if let Some(posterior) = judge(sound, model.encode(x, scratch)) {
        assert!(posterior.kl().is_finite());
        assert!(posterior.mean(&mut z[1..]).is_err());
        posterior.mean(&mut z).unwrap();
        posterior.log_density(&z[..], &mut work).unwrap();
        posterior.kl_by_samples(2, numbers.generator(), &mut work).unwrap();
        posterior.sample(numbers.generator(), &mut z).unwrap();
        judge(sound, model.log_joint(x, &z[..], scratch));
        reconstruct(model, &z, sound, numbers, scratch);
    }
}

/// Latent vectors from wherever they come, decoded.
fn generate(model: &Model<'_>, sound: bool, numbers: &mut Numbers, scratch: &mut Scratch<'_>) {
    let mut z = numbers.vector(model.latent());
    if let Some(nats) = judge(sound, model.log_prior(&z[..])) {
        assert!(nats.is_finite());
    }
    reconstruct(model, &z, sound, numbers, scratch);
    judge(sound, model.sample_prior(numbers.generator(), &mut z));
    reconstruct(model, &z, sound, numbers, scratch);
    judge(sound, model.sample_aggregate(numbers.generator(), &mut z));
    judge(sound, model.sample_second_stage(numbers.generator(), &mut z, scratch));
    reconstruct(model, &z, sound, numbers, scratch);
    let names: Vec<&str> = match model.attributes() {
        Ok(attributes) => attributes.map_while(Result::ok).map(|(name, _)| name).take(4).collect(),
        Err(_) => Vec::new(),
    };
    for name in names {
        let _ = model.move_along(name, numbers.next(true), &mut z);
    }
}

fn reconstruct(model: &Model<'_>, z: &[f32], sound: bool, numbers: &mut Numbers, scratch: &mut Scratch<'_>) {
    let mut mean = vec![0.0; model.features()];
    if judge(sound, model.decode(z, &mut mean, scratch)).is_some() && sound {
        assert!(mean.iter().all(|value| value.is_finite()), "{mean:?}");
    }
    judge(sound, model.decode_sample(z, numbers.generator(), &mut mean, scratch));
}

/// One value less than the model says is refused.
fn too_little(model: &Model<'_>, x: &[f32], numbers: &mut Numbers) {
    let mut memory = vec![0.0; model.scratch_len() - 1];
    let mut scratch = Scratch::new(&mut memory);
    let (mut z, mut mean) = (vec![0.0; model.latent()], vec![0.0; model.features()]);
    assert!(model.elbo_at_mean(x, &mut scratch).is_err());
    assert!(model.elbo(x, 1, numbers.generator(), &mut scratch).is_err());
    assert!(model.elbo_sigma_points(x, &mut scratch).is_err());
    assert!(model.log_likelihood(x, 1, numbers.generator(), &mut scratch).is_err());
    assert!(model.encode(x, &mut scratch).is_err());
    assert!(model.attribute(x, &mut scratch, &mut |_, _| {}).is_err());
    assert!(model.log_joint(x, &z[..], &mut scratch).is_err());
    assert!(model.decode(&z[..], &mut mean, &mut scratch).is_err());
    assert!(model.sample_second_stage(numbers.generator(), &mut z, &mut scratch).is_err());
    let mut memory = vec![0.0; model.scratch_len()];
    let mut scratch = Scratch::new(&mut memory);
    assert!(model.elbo_at_mean(&x[1..], &mut scratch).is_err());
    assert!(model.elbo(x, 0, numbers.generator(), &mut scratch).is_err());
    assert!(model.decode(&z[1..], &mut mean, &mut scratch).is_err());
    assert!(model.decode(&z[..], &mut mean[1..], &mut scratch).is_err());
    assert!(model.sample_prior(numbers.generator(), &mut z[1..]).is_err());
}

/// Windows over a stream, and their features.
fn extract(model: &Model<'_>, sound: bool, numbers: &mut Numbers) {
    let len = model.window_len();
    assert!(with_window(len, true, |room| Window::new(model, room).is_err()).unwrap_or(true));
    let (mut work, mut features) = (vec![0.0; model.window()], vec![0.0; model.features()]);
    with_window(len, false, |room| {
        let mut window = Window::new(model, room).unwrap();
        for _ in 0..model.window() + model.hop().min(64) {
            let sample = numbers.vector(model.channels());
            assert!(window.push(&sample[1..]).is_err());
            let Some(samples) = window.push(&sample).unwrap() else { continue };
            assert_eq!(samples.len(), len);
            let short = model.has_front_end() && model.extract(samples, &mut work[1..], &mut features).is_ok();
            assert!(!short, "with too little memory");
            judge(sound, model.extract(samples, &mut work, &mut features));
        }
    });
}
