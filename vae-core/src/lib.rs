//! Variational autoencoder inference for microcontrollers.
//!
//! A model is trained on the desktop by `vae-train`, exported as a `.vae` file and embedded in (or sent to) a device.
//! This crate reads that file in place and encodes, samples, decodes and scores with it: no heap, no `unsafe` outside the
//! kernel module, no panic, and the same `f32` bits on every target, so that the host's tests speak for the device.
//!
//! ```no_run
//! use vae_core::{Alarms, Detector, DetectorError, Model, Scratch, Verdict, include_model};
//! # macro_rules! include_model { ($p:expr) => {{ static B: [u8; 0] = []; match Model::from_bytes(&B) { Ok(m) => m, Err(_) => loop {} } }} }
//!
//! fn main_task(samples: impl Iterator<Item = [f32; 3]>) -> Result<(), DetectorError> {
//!     let model: Model<'static> = include_model!("../model/motor.vae"); // a damaged file fails the build
//!     let mut memory = [0.0; 512]; // or `static` with `[0.0; MODEL.scratch_len()]`
//!     let mut scratch = Scratch::new(&mut memory);
//!     model.self_test(&mut scratch)?; // the desktop's bits, checked at boot
//!
//!     let mut window = heapless::Vec::<f32, 192>::new(); // MODEL.window_len()
//!     let mut state = [0.0; 42]; // MODEL.state_len()
//!     let mut detector = Detector::new(model, &mut window, &mut state)?.alarm_rate(Alarms::per_week(1.0))?;
//!     for sample in samples {
//!         match detector.push(&sample, &mut scratch)? { // physical units in
//!             None | Some(Verdict::Normal(_)) => {}
//!             Some(Verdict::Anomalous(anomaly)) => { /* anomaly.assessment.p_value, anomaly.channel */ }
//!             Some(Verdict::SensorFault(fault)) => { /* fault.channel, fault.kind */ }
//!             Some(Verdict::Drifting(drift)) => { /* drift.kind */ }
//!         }
//!     }
//!     Ok(())
//! }
//! ```
//!
//! # Features
//! None changes a bit of what is computed without it. A model that needs one that is left out is refused, by [`LoadError::NeedsFeature`] or, if it is
//! built in, by the compiler. By default there are those of what `vae-train fit` makes of numbers; `default-features = false` leaves out, for small
//! parts, what none of their models needs, five to nine kilobytes in all:
//! - `f32`: models whose weights are not int8.
//! - `activations`: hidden layers other than ReLU's.
//! - `families`: posteriors other than a diagonal Gaussian; likelihoods of zeros and ones, and with a variance that the decoder predicts.
//! - `learned-prior`: mixtures as prior.
//! - `relations`: features that are judged together.
//! - `unrolled`: turns of 128 columns in the int8 products of cores with the DSP extension, where they are of 64 without: 0.8 % fewer instructions.
//!
//! Not there by default:
//! - `spectrum`: front-ends that compute the energy in bands of frequencies, [`FrontEnd::Bands`] and [`FrontEnd::Mel`]; some ten kilobytes of tables
//!   and code. Without it a model that asks for them is refused by [`Detector::new`].
//! - `mixed`: likelihoods that are Gaussian, Bernoulli or categorical by column, for tables in which states stand beside numbers.
//! - `covariance`: likelihoods whose decoder says how features vary together, too: a covariance beyond a diagonal.
//! - `categorical`: posteriors of categorical latents.
//! - `signature`: `SignedModel`, a model file with an Ed25519 signature and a counter, for models that come from elsewhere.
//! - `defmt`: `defmt::Format` for errors, scores and verdicts.
//!
//! # What lies below
//! Below the detector lie [`Window`], [`Model::score`], [`Model::elbo_at_mean`] and its kin, [`Model::encode`], [`Posterior::sample`], [`Model::decode`]
//! and [`Calibration`].
//!
//! # Units and names
//! Every probability is a natural logarithm of a density (or mass) in the units of the input: nats. `x` is a window of
//! features, `z` a latent vector, `q(z|x)` the encoder's posterior, `p(z)` the prior (`N(0, I)`, or a mixture of Gaussians
//! that was learned), `p(x|z)` the decoder's likelihood. Formulas name their source in a `# Source` section; the file format is specified in `FORMAT.md`.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_endian = "little"))]
compile_error!("model files are little-endian and read in place: big-endian targets are not supported");

mod arithmetic;
mod calibration;
mod detector;
pub mod format;
mod front_end;
mod inference;
#[doc(hidden)]
pub mod kernel;
mod model;
mod network;
mod probability;

pub use arithmetic::{
    activation::Activation,
    random::{fill_standard_normal, standard_normal},
    vector::{AsVector, AsVectorMut, AsWindow, Samples},
};
pub use calibration::{
    Calibration, MOST_SAMPLES, VOTES_SHARE,
    channel::{ChannelCalibration, Location, REACH},
    score::Scoring,
    tail::Tail,
};
pub use detector::{
    Detector,
    alarm::Alarm,
    alarm_rule::{ALLOWANCE, AlarmRule, LEAST_VOTES},
    alarms::Alarms,
    baseline::LEAST_BASELINE,
    error::DetectorError,
    judging::Judging,
    verdict::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict},
    votes::{MOST_VOTES, Votes},
    window::Window,
};
pub use format::error::LoadError;
#[cfg(feature = "signature")]
pub use format::signature::{SIGNATURE_TRAILER_LEN, SignatureError, SignedModel};
pub use front_end::FrontEnd;
pub use inference::{
    elbo::Score,
    evidence::Evidence,
    importance::{Importance, LogLikelihood, Proposal},
    score_kind::{DECIDED, ScoreKind},
    self_test::SelfTestError,
};
pub use model::{Aligned, Model};
pub use network::{error::InferError, scratch::Scratch, standardise::STANDARDISED_LIMIT};
pub use probability::posterior::{LATENT_LOGIT_LIMIT, LOG_VARIANCE_LIMIT, Posterior};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
