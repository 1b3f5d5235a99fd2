//! A hostile body behind a valid checksum, and then all that can be asked of a model.

use alloc::{vec, vec::Vec};

use vae_core::{Detector, Importance, Model, Proposal, Scratch, Window};

use crate::{
    Digest, File, Numbers,
    checks::{check_snapshot, judge, with_window, zeros},
    detector::Steps,
};

/// Latent dimensions up to which work that grows with them is done.
const FEW: usize = 64;
/// Values of a window up to which features are extracted from it, and those up to which streams are judged.
const MOST_EXTRACTED: usize = 8192;
const MOST_WATCHED: usize = 256;

/// Seals `data`, loads them, and asks the model for everything; false where they are no model.
pub fn run(data: &[u8], digest: &mut Digest) -> bool {
    let file = File::sealed(data);
    let Ok(model) = Model::from_bytes(file.bytes()) else { return false };
    let mut numbers = Numbers::of(file.bytes());
    let sound = model.verify().is_ok();
    let mut memory = zeros(model.scratch_len());
    let mut scratch = Scratch::new(&mut memory);
    let tested = model.self_test(&mut scratch).is_ok();
    assert!(sound || !tested);
    digest.word(u32::from(sound) + 2 * u32::from(tested));

    let condition = numbers.vector(model.conditions());
    assert!(model.given(&zeros(model.conditions() + 1)).is_err());
    let Ok(given) = model.given(&condition) else { return true };
    if !condition.is_empty() {
        let x = numbers.vector(model.features());
        assert!(!sound || model.elbo_at_mean(&x[..], &mut scratch).is_err(), "without a condition");
    }
    let x = numbers.vector(model.features());
    let mut case = Case { model: given, sound, numbers, digest };
    case.score(&x, &mut scratch);
    case.generate(&mut scratch);
    case.too_little(&x);
    case.extract();
    case.watch(&model, &condition, &mut scratch);
    true
}

/// A model, whether [`Model::verify`] passed it, and numbers to ask it about.
struct Case<'m, 'd> {
    model: Model<'m>,
    sound: bool,
    numbers: Numbers,
    digest: &'d mut Digest,
}

impl Case<'_, '_> {
    /// Everything that is computed from a window is finite, or refused.
    fn score(&mut self, x: &[f32], scratch: &mut Scratch<'_>) {
        let Self { model, sound, numbers, digest } = self;
        let first = model.elbo_at_mean(x, scratch);
        let mut outcomes = vec![first, model.elbo(x, 3, numbers.generator(), scratch)];
        outcomes.push(model.evidence(x, 3, numbers.generator(), scratch).map(|evidence| evidence.elbo));
        if model.latent() <= FEW {
            outcomes.push(model.elbo_sigma_points(x, scratch));
        }
        for outcome in outcomes {
            digest.score(&outcome);
            let Some(score) = judge(*sound, outcome) else { continue };
            assert!(score.elbo.is_finite() && score.reconstruction.is_finite() && score.kl.is_finite(), "{score:?}");
            assert!(!score.standard_error.is_nan() && score.missing as usize <= x.len(), "{score:?}");
        }
        let again = model.elbo_at_mean(x, scratch).ok();
        assert_eq!(again.map(|score| score.elbo.to_bits()), first.ok().map(|score| score.elbo.to_bits()));
        for (proposal, decide) in [(Proposal::Posterior, Some((0.0, 3.0))), (Proposal::Prior, None)] {
            let importance = Importance { samples: 9, proposal, decide };
            let outcome = model.log_likelihood_by(x, &importance, numbers.generator(), scratch);
            digest.outcome(&outcome.map(|found| found.value));
            if let Some(found) = judge(*sound, outcome) {
                assert!(found.value.is_finite() && found.samples <= 9, "{found:?}");
                digest.numbers(&[found.standard_error, found.effective_samples]);
            }
        }
        let outcome = model.log_likelihood(x, 2, numbers.generator(), scratch);
        digest.outcome(&outcome.map(|found| found.value));
        judge(*sound, outcome);
        let mut is_given = vec![false; x.len()];
        let outcome = model.attribute(x, scratch, &mut |feature, nats| {
            let is_given_again = core::mem::replace(&mut is_given[feature], true);
            assert!(!(*sound && is_given_again), "{feature} is given twice");
            assert!(!nats.is_nan(), "{feature}: {nats}");
            digest.number(nats);
        });
        judge(*sound, outcome);

        // Samples of a converter score as the same numbers do.
        let counts: Vec<i16> = x.iter().map(|x| *x as i16).collect();
        let same: Vec<f32> = counts.iter().map(|count| f32::from(*count)).collect();
        let [by_counts, by_numbers] =
            [model.elbo_at_mean(&counts[..], scratch), model.elbo_at_mean(&same[..], scratch)]
                .map(|outcome| outcome.map(|score| score.elbo.to_bits()));
        assert_eq!(by_counts, by_numbers);
        digest.word(by_counts.unwrap_or_default());

        let mut z = zeros(model.latent());
        let mut work = z.clone();
        if let Some(posterior) = judge(*sound, model.encode(x, scratch)) {
            assert!(posterior.kl().is_finite());
            digest.number(posterior.kl());
            assert!(posterior.mean(&mut z[1..]).is_err());
            posterior.mean(&mut z[..]).unwrap();
            digest.numbers(&z);
            digest.number(posterior.log_density(&z[..], &mut work[..]).unwrap());
            digest.number(posterior.kl_by_samples(2, numbers.generator(), &mut work[..]).unwrap());
            posterior.sample(numbers.generator(), &mut z[..]).unwrap();
            digest.numbers(&z);
            let outcome = model.log_joint(x, &z[..], scratch);
            digest.outcome(&outcome);
            judge(*sound, outcome);
            self.reconstruct(&z, scratch);
        }
    }

    /// Latent vectors from wherever they come, decoded.
    fn generate(&mut self, scratch: &mut Scratch<'_>) {
        let (model, sound) = (self.model, self.sound);
        let mut z = self.numbers.vector(model.latent());
        let outcome = model.log_prior(&z[..]);
        self.digest.outcome(&outcome);
        if let Some(nats) = judge(sound, outcome) {
            assert!(nats.is_finite());
        }
        self.reconstruct(&z, scratch);
        judge(sound, model.sample_prior(self.numbers.generator(), &mut z[..]));
        self.reconstruct(&z, scratch);
        judge(sound, model.sample_aggregate(self.numbers.generator(), &mut z[..]));
        judge(sound, model.sample_second_stage(self.numbers.generator(), &mut z[..], scratch));
        self.reconstruct(&z, scratch);
        let names: Vec<&str> = match model.attributes() {
            Ok(attributes) => attributes.map_while(Result::ok).map(|(name, _)| name).take(4).collect(),
            Err(_) => Vec::new(),
        };
        for name in names {
            let moved = model.move_along(name, self.numbers.next(true), &mut z[..]);
            self.digest.word(moved.is_ok().into());
            self.digest.numbers(&z);
        }
    }

    fn reconstruct(&mut self, z: &[f32], scratch: &mut Scratch<'_>) {
        let Self { model, sound, numbers, digest } = self;
        let mut mean = zeros(model.features());
        let outcome = model.decode(z, &mut mean[..], scratch);
        digest.outcome(&outcome.map(|()| 0.0));
        if judge(*sound, outcome).is_some() {
            digest.numbers(&mean);
            assert!(!*sound || mean.iter().all(|value| value.is_finite()), "{mean:?}");
        }
        if judge(*sound, model.decode_sample(z, numbers.generator(), &mut mean[..], scratch)).is_some() {
            digest.numbers(&mean);
        }
    }

    /// One value less than the model says is refused.
    fn too_little(&mut self, x: &[f32]) {
        let Self { model, numbers, .. } = self;
        let mut memory = zeros(model.scratch_len());
        let mut scratch = Scratch::new(&mut memory[1..]);
        let (mut z, mut mean) = (zeros(model.latent()), zeros(model.features()));
        assert!(model.elbo_at_mean(x, &mut scratch).is_err());
        assert!(model.elbo(x, 1, numbers.generator(), &mut scratch).is_err());
        assert!(model.elbo_sigma_points(x, &mut scratch).is_err());
        assert!(model.log_likelihood(x, 1, numbers.generator(), &mut scratch).is_err());
        assert!(model.encode(x, &mut scratch).is_err());
        assert!(model.attribute(x, &mut scratch, &mut |_, _| {}).is_err());
        assert!(model.log_joint(x, &z[..], &mut scratch).is_err());
        assert!(model.decode(&z[..], &mut mean[..], &mut scratch).is_err());
        assert!(model.sample_second_stage(numbers.generator(), &mut z[..], &mut scratch).is_err());
        let mut scratch = Scratch::new(&mut memory);
        assert!(model.elbo_at_mean(&x[1..], &mut scratch).is_err());
        assert!(model.elbo(x, 0, numbers.generator(), &mut scratch).is_err());
        assert!(model.decode(&z[1..], &mut mean[..], &mut scratch).is_err());
        assert!(model.decode(&z[..], &mut mean[1..], &mut scratch).is_err());
        assert!(model.sample_prior(numbers.generator(), &mut z[1..]).is_err());
    }

    /// Windows over a stream, and their features.
    fn extract(&mut self) {
        let Self { model, sound, numbers, digest } = self;
        let len = model.window_len();
        assert!(with_window(len, true, |room| Window::new(model, room).is_err()).unwrap_or(true));
        if len > MOST_EXTRACTED {
            return;
        }
        let (mut work, mut features) = (zeros(model.window()), zeros(model.features()));
        // What `verify` leaves to those who extract.
        let made = |channel| model.front_end(channel).map_or(0, |front_end| front_end.features(model.window()));
        let is_made = (0..model.channels()).map(made).fold(0, usize::saturating_add) == model.features();
        with_window(len, false, |room| {
            let mut window = Window::new(model, room).unwrap();
            for _ in 0..model.window() + model.hop().min(64) {
                let sample = numbers.vector(model.channels());
                assert!(window.push(&sample[1..]).is_err());
                let Some(samples) = window.push(&sample).unwrap() else { continue };
                assert_eq!(samples.len(), len);
                let short = model.has_front_end() && model.extract(samples, &mut work[1..], &mut features).is_ok();
                assert!(!short, "with too little memory");
                if judge(*sound && is_made, model.extract(samples, &mut work, &mut features)).is_some() {
                    digest.numbers(&features);
                }
            }
        });
    }

    /// A stream, judged by a detector with this model.
    fn watch(&mut self, model: &Model<'_>, condition: &[f32], scratch: &mut Scratch<'_>) {
        let Self { sound, numbers, digest, .. } = self;
        if model.window_len() > MOST_WATCHED {
            return;
        }
        let (mut window, mut state) = (zeros(model.window_len()), zeros(model.state_len()));
        assert!(Detector::over(*model, &mut window[1..], &mut state).is_err());
        assert!(Detector::over(*model, &mut window, &mut state[1..]).is_err());
        let Ok(mut detector) = Detector::over(*model, &mut window, &mut state) else { return };
        detector.given(condition).unwrap();
        let Some(steps) = Steps::of(model) else { return };
        for _ in 0..model.window() + 3 * model.hop().min(8) {
            let sample = numbers.vector(model.channels());
            steps.push(&mut detector, &sample, scratch, *sound, digest);
        }
        let mut record = vec![0; model.snapshot_len()];
        let record = detector.snapshot(&mut record).unwrap();
        // The scores of a model that is not sound may be anything.
        if *sound {
            check_snapshot(model, record);
        }
        digest.bytes(record);
    }
}
