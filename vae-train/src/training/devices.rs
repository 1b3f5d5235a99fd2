//! The devices that compute a fit's gradients, and what becomes of one that is lost.

pub(crate) mod member;

use std::{ops::Range, thread};

use anyhow::{Result, anyhow, ensure};
use burn::{module::Module, tensor::Device};

use self::member::Place;
pub use self::member::{Lost, Member};
use crate::{
    model::{network::Vae, objective::Objective},
    training::step::{self, Gradient, HostBatch},
};

/// The devices of one fit, in the order in which they were given. Each computes the gradient of its share of every batch; one of them, or the
/// CPU where all of them are elsewhere, has the weights and does everything else.
///
/// Which windows of a batch are whose depends on their number and the list alone, and gradients are added in the list's order: the same list
/// gives the same file.
#[derive(Clone, Debug)]
pub struct Devices {
    /// Without differentiation.
    main: Device,
    members: Vec<Member>,
}

impl From<&Device> for Devices {
    fn from(device: &Device) -> Self {
        let main = device.clone().inner();
        Self { members: vec![Member::here(&format!("{main:?}"), main.clone())], main }
    }
}

impl From<&Devices> for Devices {
    fn from(devices: &Devices) -> Self {
        devices.clone()
    }
}

impl Devices {
    /// A list of devices.
    ///
    /// # Errors
    /// If there are none.
    pub fn of(members: Vec<Member>) -> Result<Self> {
        ensure!(!members.is_empty(), "no device to fit on: give one, as in --device flex");
        let here = members.iter().find_map(|member| match &member.place {
            Place::Here(device) => Some(device.clone()),
            Place::Elsewhere(_) => None,
        });
        Ok(Self { main: here.unwrap_or_else(Device::flex), members })
    }

    /// The device that has the weights, and computes everything but gradients.
    #[must_use]
    pub fn main(&self) -> &Device {
        &self.main
    }

    /// Their names, as a user would give them.
    #[must_use]
    pub fn list(&self) -> String {
        self.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>().join(",")
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Refuses an objective whose gradient is not the sum of those of a batch's parts.
    ///
    /// # Errors
    /// Says which one, and what to do.
    pub(crate) fn check(&self, objective: &Objective) -> Result<()> {
        ensure!(
            self.members.len() == 1 || objective.free_bits == 0.0,
            "free bits are paid on the mean over a batch, which no device knows of its part: leave out --free-bits, or give one device"
        );
        Ok(())
    }

    /// Takes out the one that was lost.
    pub(crate) fn remove(&mut self, lost: &Lost) {
        self.members.remove(lost.position);
    }

    /// These devices, where those that are elsewhere have the windows of `values`, so that batches are sent as indices.
    pub(crate) fn with_windows(mut self, values: &[f32], inputs: usize) -> Self {
        for member in &mut self.members {
            match &mut member.place {
                Place::Here(_) => {}
                Place::Elsewhere(device) => *device = device.with_windows(values, inputs),
            }
        }
        self
    }

    /// The windows of a batch that are each device's.
    fn shares(&self, windows: usize) -> Vec<Range<usize>> {
        let devices = self.members.len();
        (0..devices).map(|index| index * windows / devices..(index + 1) * windows / devices).collect()
    }

    /// The gradient of the objective's loss for a batch, on the main device. `indices` are the rows of the batch among the windows that
    /// were [given before](Self::with_windows), where they are those.
    ///
    /// # Errors
    /// If a device does not answer; of several, the first in the list.
    pub(crate) fn gradient(
        &self,
        objective: &Objective,
        network: &Vae,
        batch: HostBatch<'_>,
        indices: Option<&[usize]>,
    ) -> Result<Gradient, Lost> {
        let computed = |member: &Member, share: Range<usize>| match &member.place {
            Place::Here(device) if *device == self.main && self.members.len() == 1 => {
                step::gradient(objective, network, batch, share, &self.main.clone().autodiff())
            }
            Place::Here(device) => {
                let device = device.clone().autodiff();
                let found = step::gradient(objective, &network.clone().fork(&device), batch, share, &device)?;
                let gradients = found.gradients.to_device(&self.main, network);
                Ok(Gradient { gradients, ..found })
            }
            Place::Elsewhere(device) => device.gradient(objective, network, batch, indices, share, &self.main),
        };
        let parts = self.at_once(batch.rows.len(), &computed);
        let mut sum: Option<Gradient> = None;
        for (position, part) in parts {
            let lost =
                |error| Lost { name: self.members[position].name.clone(), reason: format!("{error:#}"), position };
            let part = part.map_err(lost)?;
            sum = Some(match sum {
                Some(sum) => step::sum(network, sum, part),
                None => part,
            });
        }
        sum.ok_or_else(|| Lost { name: self.list(), reason: "a batch of no windows".to_owned(), position: 0 })
    }

    /// What each device makes of its share of a batch, all at the same time, in the list's order.
    fn at_once(
        &self,
        windows: usize,
        computed: &(impl Fn(&Member, Range<usize>) -> Result<Gradient> + Sync),
    ) -> Vec<(usize, Result<Gradient>)> {
        if let [member] = &self.members[..] {
            return vec![(0, computed(member, 0..windows))];
        }
        // A read waits for its device: each has a thread of its own.
        thread::scope(|scope| {
            let shares = self.shares(windows).into_iter().enumerate().filter(|(_, share)| !share.is_empty());
            let running: Vec<_> = shares
                .map(|(position, share)| (position, scope.spawn(move || computed(&self.members[position], share))))
                .collect();
            let joined = running.into_iter().map(|(position, part)| {
                (position, part.join().unwrap_or_else(|_| Err(anyhow!("an operation on it failed, as said above"))))
            });
            joined.collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::{member::Elsewhere, *};
    use crate::{
        config::{Config, training::TrainingConfig},
        data::part::Part,
        training::{
            Ending, Training,
            checkpoint::Checkpoint,
            listener::{Listener, Progress},
        },
    };

    const ROWS: usize = 120;
    const TRAINED: usize = 96;
    const STEPS: usize = TRAINED / 16;

    fn config() -> Config {
        let mut config = Config::default();
        config.model.hidden = Some(vec![6]);
        config.model.latent = Some(2);
        config.training = TrainingConfig { epochs: Some(4), batch: 16, patience: Some(4), ..TrainingConfig::default() };
        config
    }

    fn cpu(name: &str) -> Member {
        Member::here(name, Device::flex())
    }

    /// The CPU, for so many steps.
    #[derive(Clone, Debug)]
    struct Dying {
        left: Arc<AtomicUsize>,
        /// Windows that it was given.
        windows: Vec<f32>,
    }

    fn dying(name: &str, steps: usize) -> Member {
        let dying = Dying { left: Arc::new(AtomicUsize::new(steps)), windows: Vec::new() };
        Member::elsewhere(name, Arc::new(dying))
    }

    impl Elsewhere for Dying {
        fn with_windows(&self, values: &[f32], _: usize) -> Arc<dyn Elsewhere> {
            Arc::new(Self { windows: values.to_vec(), ..self.clone() })
        }

        fn gradient(
            &self,
            objective: &Objective,
            network: &Vae,
            batch: HostBatch<'_>,
            indices: Option<&[usize]>,
            share: Range<usize>,
            main: &Device,
        ) -> Result<Gradient> {
            let left = self.left.load(Ordering::Relaxed);
            ensure!(left > 0, "the line is dead");
            self.left.store(left - 1, Ordering::Relaxed);
            // Of the windows that it was given, by their indices alone.
            let inputs = network.architecture().inputs();
            let rows: Vec<&[f32]> =
                indices.unwrap().iter().map(|index| &self.windows[index * inputs..][..inputs]).collect();
            assert_eq!(rows, batch.rows);
            let device = main.clone().autodiff();
            step::gradient(
                objective,
                &network.clone().fork(&device),
                HostBatch { rows: &rows, ..batch },
                share,
                &device,
            )
        }
    }

    /// Counts the devices that are lost.
    #[derive(Default)]
    struct Losses(Vec<String>);

    impl Listener for Losses {
        fn progress(&mut self, progress: Progress<'_>) {
            if let Progress::Lost(lost, left) = progress {
                self.0.push(format!("{lost}, left: {}", left.list()));
            }
        }
    }

    /// What a fit came to, what it saved, and what it said of devices.
    fn fit(
        members: Vec<Member>,
        from: Option<Checkpoint>,
    ) -> (Result<(Checkpoint, Ending)>, Vec<Checkpoint>, Vec<String>) {
        let noise = |i: usize| ((i * 7919) % 1000) as f32 / 500.0 - 1.0;
        let values: Vec<f32> =
            (0..ROWS).flat_map(|i| [noise(i), noise(i + 300), 0.1 * noise(i + 500) - noise(i)]).collect();
        let all: Vec<usize> = (0..ROWS).collect();
        let part = |chosen| Part { values: &values, chosen, last_row: &all };
        let (config, devices) = (config(), Devices::of(members).unwrap());
        let architecture = config.architecture(3);
        let (train, validation) = (part(&all[..TRAINED]), part(&all[TRAINED..]));
        let training = Training::new(&config, &architecture, train, validation, &devices, from).unwrap();
        let (mut losses, mut saved) = (Losses::default(), Vec::new());
        let result = training.run(&mut losses, |checkpoint| {
            saved.push(checkpoint.clone());
            Ok(())
        });
        (result, saved, losses.0)
    }

    fn bytes(checkpoint: &Checkpoint) -> Vec<u8> {
        postcard::to_allocvec(checkpoint).unwrap()
    }

    #[test]
    fn every_window_is_one_devices_and_none_has_much_more_than_another() {
        for devices in 1..8 {
            let list = Devices::of(vec![cpu("flex"); devices]).unwrap();
            for windows in [1, 5, 64, 4096] {
                let shares = list.shares(windows);
                let all: Vec<usize> = shares.iter().cloned().flatten().collect();
                assert_eq!(all, (0..windows).collect::<Vec<_>>());
                let lengths = || shares.iter().map(Range::len);
                assert!(lengths().max().unwrap() - lengths().min().unwrap() <= 1, "{shares:?}");
            }
        }
    }

    #[test]
    fn the_same_list_gives_the_same_file_wherever_its_devices_are() {
        let one = fit(vec![cpu("flex")], None).0.unwrap().0;
        let two = fit(vec![cpu("flex"), cpu("flex")], None).0.unwrap().0;
        assert_eq!(bytes(&two), bytes(&fit(vec![cpu("flex"), cpu("flex")], None).0.unwrap().0));
        for other in
            [vec![dying("there", usize::MAX), cpu("flex")], vec![dying("a", usize::MAX), dying("b", usize::MAX)]]
        {
            assert_eq!(bytes(&two), bytes(&fit(other, None).0.unwrap().0));
        }
        let three = fit(vec![cpu("flex"); 3], None).0.unwrap().0;
        // A batch's gradient is the sum of its parts', but for rounding.
        for (found, expected) in two.metrics.iter().chain(&three.metrics).zip(one.metrics.iter().cycle()) {
            assert!((found.elbo - expected.elbo).abs() < 1e-4, "{found:?} for {expected:?}");
            assert!((found.validation_elbo - expected.validation_elbo).abs() < 1e-4, "{found:?} for {expected:?}");
        }
        assert_ne!(two.metrics, three.metrics);
    }

    /// Fits on three devices that are all lost after so many epochs.
    fn stopped(epochs: usize) -> (anyhow::Error, Option<Checkpoint>) {
        let members = ["a", "b", "c"].map(|name| dying(name, epochs * STEPS)).into();
        let (result, mut saved, losses) = fit(members, None);
        assert_eq!(losses.len(), 2, "{losses:?}");
        (result.unwrap_err(), saved.pop())
    }

    #[test]
    fn where_the_last_device_is_lost_the_last_whole_epoch_is_kept_and_it_is_named() {
        for epochs in [0, 1, 3] {
            let (error, kept) = stopped(epochs);
            assert_eq!(
                error.downcast::<Lost>().unwrap().to_string(),
                "the device c no longer answers: the line is dead"
            );
            assert_eq!(kept.map_or(0, |kept| kept.metrics.len()), epochs);
        }
    }

    #[test]
    fn an_epoch_in_which_a_device_is_lost_is_taken_back_and_goes_on_with_the_others() {
        // In the middle of the second epoch, of the first, and between two.
        for steps in [STEPS + 3, 2, 2 * STEPS] {
            let (found, _, losses) = fit(vec![cpu("flex"), dying("ws://far", steps), cpu("flex")], None);
            let (found, ending) = found.unwrap();
            assert_eq!((ending, found.metrics.len()), (Ending::Done, 4));
            assert_eq!(losses, ["the device ws://far no longer answers: the line is dead, left: flex,flex"]);
            // As a fit on three that was stopped after the last whole epoch, and went on with two.
            let (_, kept) = stopped(steps / STEPS);
            let expected = fit(vec![cpu("flex"), cpu("flex")], kept).0.unwrap().0;
            assert_eq!(bytes(&found), bytes(&expected), "after {steps} steps");
        }
    }

    #[test]
    fn free_bits_are_for_one_device() {
        let mut config = config();
        config.objective.free_bits = 0.5;
        let check = |devices| Devices::of(vec![cpu("flex"); devices]).unwrap().check(&config.objective());
        assert!(check(1).is_ok() && check(2).unwrap_err().to_string().contains("--free-bits"));
        assert!(Devices::of(Vec::new()).is_err());
    }
}
