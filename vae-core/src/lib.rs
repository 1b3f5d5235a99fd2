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

mod activation;
mod adaptation;
mod alarm;
mod alarms;
mod calibration;
mod channel;
mod detector;
mod elbo;
mod error;
mod fixed;
pub mod format;
mod front_end;
mod generate;
mod importance;
mod judge;
#[doc(hidden)]
pub mod kernel;
mod layer;
mod likelihood;
mod mixture;
mod model;
mod normal;
mod posterior;
mod prior;
mod scratch;
mod self_test;
#[cfg(feature = "signature")]
mod signature;
mod snapshot;
mod standardise;
mod vector;
mod verdict;
mod votes;
mod window;

pub use activation::Activation;
pub use alarm::{ALLOWANCE, Alarm, AlarmRule, LEAST_VOTES, REACH, VOTES_SHARE};
pub use alarms::Alarms;
pub use calibration::{Calibration, ChannelCalibration, Location, MOST_SAMPLES, ScoreKind, Tail};
pub use detector::{DECIDED, Detector, LEAST_BASELINE};
pub use elbo::Score;
pub use error::{DetectorError, InferError, LoadError, SelfTestError};
pub use front_end::FrontEnd;
pub use importance::{Importance, LogLikelihood, Proposal};
pub use judge::Scoring;
pub use model::{Aligned, Model};
pub use normal::standard_normal;
pub use posterior::{LATENT_LOGIT_LIMIT, LOG_VARIANCE_LIMIT, Posterior};
pub use scratch::Scratch;
#[cfg(feature = "signature")]
pub use signature::{SIGNATURE_TRAILER_LEN, SignatureError, SignedModel};
pub use standardise::STANDARDISED_LIMIT;
pub use vector::{AsVector, AsWindow, Samples};
pub use verdict::{Anomaly, Assessment, Drift, DriftKind, SensorFault, SensorFaultKind, Verdict};
pub use votes::{MOST_VOTES, Votes};
pub use window::Window;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
