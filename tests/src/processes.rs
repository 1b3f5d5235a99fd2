//! Made-up −scores of machines in the order of time, and the device's alarm over them.

use anyhow::{Context, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vae_core::{Alarm, AlarmRule, Calibration, Votes, standard_normal};
use vae_train::{
    calibration::{OfSeries, Series, Settings, of_series},
    file::calibration::CalibrationRecord,
};

/// Windows a second of every process here.
pub const RATE: f64 = 1.0;

/// Where −scores come from. The first three have mean 0 and standard deviation 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Process {
    /// Independent normal numbers.
    Independent,
    /// `x ← φ x + √(1 − φ²) g`.
    Autoregressive(f32),
    /// Half a χ² of so many degrees of freedom, standardised.
    ChiSquare(u32),
    /// Student's t with so many degrees of freedom.
    Student(u32),
    /// Half a χ² of 8 degrees of freedom times `exp(spread · w)`, `w` an autoregression with this `phi`: calm stretches and rough ones.
    WanderingScale {
        /// Standard deviation of the scale's logarithm.
        spread: f32,
        /// How much of `w` each window shares with the one before.
        phi: f32,
    },
    /// The same of 4 degrees of freedom, and half a χ² of 16 that is steady: only some features wander.
    WanderingPart {
        /// Standard deviation of the logarithm of the part's scale.
        spread: f32,
        /// How much of `w` each window shares with the one before.
        phi: f32,
    },
    /// Half a χ² of 8 degrees of freedom times `exp(strength · sin(2π window / period))`, from anywhere in the cycle on.
    Rhythm {
        /// Amplitude of the scale's logarithm.
        strength: f32,
        /// Windows of a cycle.
        period: u32,
    },
}

impl Process {
    /// How tables call it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Independent => "independent".to_owned(),
            Self::Autoregressive(phi) => format!("AR(1) {phi}"),
            Self::ChiSquare(freedom) => format!("half a χ² of {freedom}"),
            Self::Student(freedom) => format!("Student's t, {freedom}"),
            Self::WanderingScale { spread, phi } => format!("scale wanders, s {spread}, φ {phi}"),
            Self::WanderingPart { spread, phi } => format!("a part wanders, s {spread}, φ {phi}"),
            Self::Rhythm { strength, period } => format!("rhythm of {strength} over {period} windows"),
        }
    }

    /// One realisation of it, from its stationary distribution on.
    #[must_use]
    pub fn run(self, seed: u64) -> Run {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let state = match self {
            Self::Rhythm { period, .. } => rng.random_range(0..period) as f32,
            _ => standard_normal(&mut rng),
        };
        Run { process: self, state, rng }
    }
}

/// A realisation.
#[derive(Clone, Debug)]
pub struct Run {
    process: Process,
    rng: ChaCha8Rng,
    /// The last of the autoregression, or windows since a cycle began.
    state: f32,
}

/// The sum of so many squared normal numbers.
fn chi_square(rng: &mut ChaCha8Rng, freedom: u32) -> f32 {
    (0..freedom).map(|_| standard_normal(rng).powi(2)).sum()
}

impl Iterator for Run {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        let Self { process, rng, state } = self;
        let autoregression =
            |last: f32, phi: f32, rng: &mut ChaCha8Rng| phi * last + (1.0 - phi * phi).sqrt() * standard_normal(rng);
        Some(match *process {
            Process::Independent => standard_normal(rng),
            Process::Autoregressive(phi) => {
                *state = autoregression(*state, phi, rng);
                *state
            }
            Process::ChiSquare(freedom) => (chi_square(rng, freedom) - freedom as f32) / (2.0 * freedom as f32).sqrt(),
            Process::Student(freedom) => {
                let normal = standard_normal(rng);
                normal / (chi_square(rng, freedom) / freedom as f32).sqrt()
            }
            Process::WanderingScale { spread, phi } => {
                *state = autoregression(*state, phi, rng);
                0.5 * (spread * *state).exp() * chi_square(rng, 8)
            }
            Process::WanderingPart { spread, phi } => {
                *state = autoregression(*state, phi, rng);
                0.5 * ((spread * *state).exp() * chi_square(rng, 4) + chi_square(rng, 16))
            }
            Process::Rhythm { strength, period } => {
                *state = (*state + 1.0) % period as f32;
                let phase = std::f32::consts::TAU * *state / period as f32;
                0.5 * (strength * phase.sin()).exp() * chi_square(rng, 8)
            }
        })
    }
}

/// An alarm that was calibrated on a recording of a process.
#[derive(Clone, Debug)]
pub struct Calibrated {
    /// All that the calibration found.
    pub series: OfSeries,
    array: Vec<f32>,
    votes: Votes,
    per_window: f32,
}

impl Calibrated {
    /// Calibrated on so many windows, for so many false alarms per window.
    ///
    /// # Errors
    /// If these do not support it.
    pub fn new(process: Process, seed: u64, windows: usize, per_window: f64, votes: (u32, u32)) -> Result<Self> {
        let scores: Vec<f32> = process.run(seed).take(windows).map(|nats| -nats).collect();
        let settings =
            Settings { alarms: Some(per_window * RATE), votes, sample_rate: Some(RATE), ..Settings::default() };
        let series =
            of_series(Series { name: &process.name(), scores: &scores, starts: &[] }, &settings, Some(RATE), 0.01)?;
        let array = CalibrationRecord { channels: Vec::new(), ..series.calibration.clone() }.array(0)?;
        let votes = Votes::new(votes.0, votes.1).context("impossible votes")?;
        Ok(Self { series, array, votes, per_window: per_window as f32 })
    }

    /// Runs `use_it` with the alarm, its rule and what it was calibrated on.
    pub fn with<T>(&self, use_it: impl FnOnce(Alarm, &AlarmRule, &Calibration<'_>) -> T) -> Result<T> {
        let calibration = Calibration::new(&self.array, 0).map_err(|error| anyhow::anyhow!("{error}"))?;
        let rule = AlarmRule::new(&calibration, -calibration.threshold(), self.per_window);
        Ok(use_it(Alarm::new(self.votes), &rule, &calibration))
    }

    /// The same without the sequential test: votes have the whole budget.
    #[must_use]
    pub fn by_votes_alone(&self) -> Self {
        let mut calibration = self.series.calibration.clone();
        calibration.changes = vae_core::Tail::default();
        calibration.drift_memory = 0.0;
        calibration.threshold = -calibration.alarms.level(self.per_window);
        let array = CalibrationRecord { channels: Vec::new(), ..calibration }.array(0).unwrap_or_default();
        Self { array, ..self.clone() }
    }
}

/// What an alarm did over some windows.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Windows.
    pub windows: usize,
    /// Of them with the alarm on.
    pub on: usize,
    /// Of them without alarm, and with scores said to drift.
    pub drifting: usize,
    /// Windows at which it was raised.
    pub raised: Vec<usize>,
    /// Windows at which it was cleared.
    pub cleared: Vec<usize>,
}

impl Watch {
    /// Watches −scores go by.
    pub fn of(
        alarm: &mut Alarm,
        rule: &AlarmRule,
        calibration: &Calibration<'_>,
        nats: impl Iterator<Item = f32>,
    ) -> Self {
        let mut watch = Self::default();
        for nats in nats {
            let was = alarm.is_raised();
            let is = alarm.push(nats, rule, calibration);
            if is && !was {
                watch.raised.push(watch.windows);
            } else if was && !is {
                watch.cleared.push(watch.windows);
            }
            watch.on += usize::from(is);
            watch.drifting += usize::from(!is && alarm.is_drifting());
            watch.windows += 1;
        }
        watch
    }
}
