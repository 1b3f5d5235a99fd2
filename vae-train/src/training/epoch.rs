//! One pass over the training windows.

use anyhow::Result;
use burn::optim::ModuleOptimizer;
use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use vae_core::fill_standard_normal;

use crate::{
    config::{Config, data::Binarise},
    data::{
        part::{Part, binarise},
        supply::Supply,
    },
    model::{architecture::Architecture, network::Vae, objective::Objective},
    training::{
        LARGEST_EPOCH, Training,
        checkpoint::EpochMetrics,
        culprits::culprits,
        listener::{Listener, Progress},
        pass::Pass,
        step::HostBatch,
    },
    weights::family::Likelihood,
};

/// An epoch in progress.
struct Going {
    objective: Objective,
    learning_rate: f64,
    rng: ChaCha8Rng,
    network: Vae,
    optimizer: ModuleOptimizer,
    /// Means over the epoch, as far as it has gone, of bound, reconstruction and KL.
    means: [f64; 3],
    steps: usize,
    /// Windows so far, of so many.
    windows: usize,
    of: usize,
}

impl Training<'_> {
    /// One pass over the training windows (at most [`LARGEST_EPOCH`]), in an order and with noise that depend on the seed and
    /// the epoch alone, so that a resumed fit sees what an uninterrupted one would have seen. Unless the pass is whole,
    /// nothing changes.
    pub(super) fn epoch(&mut self, listener: &mut dyn Listener) -> Result<Pass> {
        let epoch = self.checkpoint.metrics.len() + 1;
        let mut rng = ChaCha8Rng::seed_from_u64(self.config.seed);
        rng.set_stream(epoch as u64);
        let mut course = self.train.epoch(epoch, LARGEST_EPOCH);
        let mut going = Going {
            objective: self.objective_of(epoch),
            learning_rate: self.learning_rate(),
            rng,
            network: self.network.clone(),
            optimizer: self.optimizer.clone(),
            means: [0.0; 3],
            steps: 0,
            windows: 0,
            of: course.windows(),
        };
        while let Some(now) = course.next()? {
            let part = now.part();
            let mut order = part.chosen.to_vec();
            let (order, _) = order.partial_shuffle(&mut going.rng, going.of - going.windows);
            for indices in order.chunks(self.config.training.batch) {
                if listener.is_stopped() {
                    return Ok(Pass::Interrupted);
                }
                going = match self.step(going, part, indices)? {
                    Ok(going) => going,
                    Err(ended) => return Ok(ended),
                };
                let Going { means, windows, of, .. } = going;
                listener.progress(Progress::Step { epoch, windows, of, elbo: means[0] * of as f64 / windows as f64 });
            }
        }
        let Going { network, optimizer, means: [elbo, reconstruction, kl], .. } = going;
        let validation_elbo = match self.validate(&self.judged(&network)?)? {
            Ok(bound) => bound,
            Err(divergence) => return Ok(Pass::Diverged(divergence)),
        };
        self.keep(network, optimizer, EpochMetrics { epoch, elbo, reconstruction, kl, validation_elbo })?;
        Ok(Pass::Whole)
    }

    /// One step by these windows of a part; or how the epoch has ended.
    fn step(&self, mut going: Going, part: Part<'_>, indices: &[usize]) -> Result<Result<Going, Pass>> {
        let Going { objective, network, rng, .. } = &mut going;
        let objective = *objective;
        let inputs = network.architecture().inputs();
        let computing = self.judged(network)?;
        let binary = self.drawn_binary(part, indices, rng);
        let rows: Vec<&[f32]> = match &binary {
            Some(binary) => binary.chunks_exact(inputs).collect(),
            None => part.windows(indices, inputs).collect(),
        };
        let noise = objective.noise(network.architecture(), indices.len(), rng);
        let blur = self.drawn_blur(indices.len(), rng);
        let batch = HostBatch { rows: &rows, noise: &noise, blur: &blur, of: rows.len() };
        // What is drawn anew, or read from a scratch file, no other device has.
        let known = (binary.is_none() && matches!(self.train, Supply::Memory(_))).then_some(indices);
        let found = match self.devices.gradient(&objective, &computing, batch, known) {
            Ok(found) => found,
            Err(lost) => return Ok(Err(Pass::Lost(lost))),
        };
        let sums = found.sums;
        let share = indices.len() as f64 / going.of as f64;
        for (mean, part) in going.means.iter_mut().zip([sums.bound, sums.reconstruction, sums.kl]) {
            *mean += share * part;
        }
        going.steps += 1;
        // Before the update: a gradient whose square is finite leaves weights and moments finite.
        let finite =
            [("loss", going.means.iter().sum::<f64>().is_finite()), ("gradient", sums.squared_norm.is_finite())];
        if let Some((quantity, _)) = finite.iter().find(|(_, finite)| !finite) {
            let rows = culprits(objective, &computing, &rows.concat(), &noise, &self.device)?;
            let rows = rows.iter().map(|window| part.last_row[indices[*window]] + 1);
            let divergence = self.divergence(Some(going.steps), quantity, rows, indices.len());
            return Ok(Err(Pass::Diverged(divergence)));
        }
        // Its parameters are the network's, which are changed in place where nobody else has them.
        drop(computing);
        going.network = going.optimizer.step(going.learning_rate, going.network, found.gradients);
        going.windows += indices.len();
        Ok(Ok(going))
    }

    /// Zeros and ones for these windows, where each epoch draws its own.
    fn drawn_binary(&self, part: Part<'_>, indices: &[usize], rng: &mut ChaCha8Rng) -> Option<Vec<f32>> {
        let is_drawn = self.config.data.binarise == Some(Binarise::Dynamic);
        let grey = part.windows(indices, self.network.architecture().inputs());
        is_drawn.then(|| binarise(grey.flatten().copied(), rng))
    }

    /// What is added to the encoder's inputs, of so many windows: a value for each feature, 0 for those of zeros and ones; or none.
    fn drawn_blur(&self, windows: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
        let Config { objective, model, .. } = &self.config;
        let deviation = objective.input_noise.unwrap_or(0.0);
        if deviation <= 0.0 || model.likelihood == Likelihood::Bernoulli {
            return Vec::new();
        }
        let Architecture { features, families, .. } = self.network.architecture();
        let is_discrete = |feature: &usize| families.get(*feature).is_some_and(|family| family.is_discrete());
        let discrete = (0..*features).filter(is_discrete).count();
        let mut draws = vec![0.0; windows * (features - discrete)];
        fill_standard_normal(&mut draws, rng);
        let mut draws = draws.into_iter().map(|draw| deviation * draw);
        let blur = |place| if is_discrete(&(place % features)) { None } else { draws.next() }.unwrap_or(0.0);
        (0..windows * features).map(blur).collect()
    }
}
