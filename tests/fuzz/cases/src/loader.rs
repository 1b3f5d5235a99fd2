//! Any bytes, as they are and with a valid checksum, given to everything that reads a model file.

use alloc::vec;

use vae_core::{LoadError, Model, Scratch, SelfTestError};

use crate::{Digest, File, checks::zeros};

/// Loads `data` as they are, sealed, and at an odd address.
pub fn run(data: &[u8], digest: &mut Digest) {
    let sealed = File::sealed(data);
    let is_sealed = data == sealed.bytes();
    if !is_sealed && let Some(model) = load(&File::new(data), digest) {
        read(&model, digest);
    }
    if let Some(model) = load(&sealed, digest) {
        read(&model, digest);
    }
    // The prelude and the checksum can be read at any address, and the rest not.
    let mut shifted = vec![0; data.len() + 1];
    shifted[1..].copy_from_slice(sealed.bytes());
    let shifted = File::new(&shifted);
    if let Ok(model) = Model::from_bytes(&shifted.bytes()[1..]) {
        assert!(model.verify().is_err());
        read(&model, digest);
    }
}

fn load<'f>(file: &'f File, digest: &mut Digest) -> Option<Model<'f>> {
    match Model::from_bytes(file.bytes()) {
        Ok(model) => Some(model),
        Err(error) => {
            digest.fault(&error);
            assert!(!error.reason().is_empty());
            assert!(!matches!(error, LoadError::Misaligned | LoadError::Malformed { .. } | LoadError::Value));
            None
        }
    }
}

/// Every record, whether or not the file is sound.
fn read(model: &Model<'_>, digest: &mut Digest) {
    let sound = model.verify();
    if let Err(error) = &sound {
        digest.fault(error);
    }
    let is_sound = sound.is_ok();
    let found = |failed: bool| assert!(!(is_sound && failed), "verified, yet a record cannot be read");
    found(model.header().is_err());
    found(match model.layers() {
        Ok(mut layers) => layers.any(|layer| layer.is_err()),
        Err(_) => true,
    });
    found(model.standardiser().is_err());
    found(model.prior_components().is_err());
    for channel in [0, 1, model.channels() - 1, model.channels(), usize::MAX] {
        found(model.front_end(channel).is_err());
    }
    // Not the largest `usize`, which is another on a core.
    for feature in [0, model.features() - 1, model.features(), u32::MAX as usize] {
        match model.channel_of(feature) {
            Ok(channel) => digest.word(channel as u32),
            Err(_) => found(true),
        }
    }
    // Their texts and ranges are for their readers to judge, and not for `verify`.
    let _ = model.card();
    if let Ok(calibration) = model.calibration() {
        let p = calibration.p_value(0.0);
        assert!((0.0..=1.0).contains(&p));
        digest.number(p);
    }
    if let Ok(attributes) = model.attributes() {
        attributes.for_each(drop);
    }
    assert!(model.window_len() > 0 && model.state_len() > 0 && model.snapshot_len() > 0);

    let mut memory = zeros(model.scratch_len());
    let outcome = model.self_test(&mut Scratch::new(&mut memory));
    digest.word(outcome.is_ok().into());
    match (sound, outcome) {
        (Err(fault), outcome) => assert_eq!(outcome, Err(SelfTestError::Model(fault))),
        (Ok(()), Err(SelfTestError::Model(fault))) => panic!("verified, yet {fault}"),
        (Ok(()), Ok(())) => {
            let golden = model.header().is_ok_and(|header| header.golden_vectors > 0);
            let refused = model.self_test(&mut Scratch::new(&mut memory[1..]));
            assert!(refused.is_err() || !golden, "with too little memory");
        }
        _ => {}
    }
}
