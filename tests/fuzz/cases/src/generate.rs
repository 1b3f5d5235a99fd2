//! Cases whose bytes mean something: sizes, records, constants, codes and samples are changed, and checksums made right again.

use alloc::{vec, vec::Vec};

use vae_core::{Model, Scratch};

use crate::{
    EXTREMES, Numbers, Parts, Seeds,
    change::{change_some, count_instead_of},
    checks::{RUNNING, SNAPSHOT_NUMBERS, zeros},
    snapshot::FIXED,
};

/// A model of which some records, and then some bytes, were changed.
#[must_use]
pub fn loader(seeds: &Seeds, numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = changed(seeds, numbers).file().bytes().to_vec();
    match numbers.below(4) {
        0 => bytes.truncate(numbers.below(bytes.len())),
        1 => {
            for _ in 0..=numbers.below(4) {
                let at = numbers.below(bytes.len());
                bytes[at] = numbers.bits() as u8;
            }
        }
        2 => {
            let at = 4 * (4 + numbers.below(12));
            let word = u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            bytes[at..at + 4].copy_from_slice(&count_instead_of(numbers, word).to_le_bytes());
        }
        _ => {}
    }
    bytes
}

/// A model of which some records were changed; half of them have the golden scores that they give now, and pass their self-test.
#[must_use]
pub fn model(seeds: &Seeds, numbers: &mut Numbers) -> Vec<u8> {
    let mut parts = changed(seeds, numbers);
    if numbers.once_in(16) {
        return loader(seeds, numbers);
    }
    let file = parts.file();
    if numbers.once_in(2) && !parts.golden.is_empty() {
        let Ok(model) = Model::from_bytes(file.bytes()) else { return file.bytes().to_vec() };
        if model.verify().is_ok() && regild(&model, &mut parts) {
            return parts.file().bytes().to_vec();
        }
    }
    file.bytes().to_vec()
}

/// Makes the golden scores what the model gives.
fn regild(model: &Model<'_>, parts: &mut Parts) -> bool {
    let mut memory = zeros(model.scratch_len());
    let mut scratch = Scratch::new(&mut memory);
    parts.golden.iter_mut().all(|(input, scores)| {
        let input: Vec<f32> = input.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect();
        let Some((x, condition)) = input.split_at_checked(model.features()) else { return false };
        let outcome = model.given(condition).and_then(|model| model.elbo_at_mean(x, &mut scratch));
        outcome.is_ok_and(|score| {
            *scores = [score.elbo, score.reconstruction, score.kl];
            true
        })
    })
}

/// One of the models with up to six changes.
fn changed(seeds: &Seeds, numbers: &mut Numbers) -> Parts {
    let mut parts = seeds.parts[numbers.below(seeds.parts.len())].clone();
    let changes = numbers.below(7);
    change_some(&mut parts, changes, numbers);
    parts
}

/// A file with one to three changes; none where its records cannot be read.
#[must_use]
pub fn changed_again(file: &[u8], numbers: &mut Numbers) -> Option<Vec<u8>> {
    let mut parts = Parts::of(file)?;
    let changes = 1 + numbers.below(3);
    change_some(&mut parts, changes, numbers);
    Some(parts.file().bytes().to_vec())
}

/// What is done to a detector: mostly samples as they are expected, in episodes.
#[must_use]
pub fn detector(seeds: &Seeds, numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..2 {
        bytes.push(numbers.bits() as u8);
        let changes = numbers.below(16).saturating_sub(8);
        bytes.push(changes as u8);
        for _ in 0..changes {
            bytes.push(numbers.bits() as u8);
            number(&mut bytes, numbers, 2);
        }
    }
    let channels = seeds.model(bytes[0]).channels();
    bytes.push(numbers.once_in(8).into());
    for _ in 0..1 + numbers.below(12) {
        // How often a value of this episode is an extreme one.
        let seldom = numbers.one_of(&[2, 20, 1000, 1000, 1000]);
        match numbers.below(8) {
            0..3 => {
                bytes.push(120 + numbers.below(30) as u8);
                (0..channels).for_each(|_| number(&mut bytes, numbers, seldom));
                // Mostly ± a sixteenth or none from one to the next.
                bytes.push(if numbers.once_in(4) { numbers.bits() as u8 } else { 139 + numbers.below(3) as u8 });
                bytes.push(numbers.bits() as u8);
            }
            3..6 => {
                for _ in 0..1 + numbers.below(20) {
                    bytes.push(numbers.below(120) as u8);
                    (0..channels).for_each(|_| number(&mut bytes, numbers, seldom));
                }
            }
            _ => {
                bytes.push(150 + numbers.below(106) as u8);
                bytes.push(numbers.bits() as u8);
            }
        }
    }
    bytes
}

/// The code of a sample's value, one of so many extreme.
fn number(bytes: &mut Vec<u8>, numbers: &mut Numbers, seldom: usize) {
    if !numbers.once_in(seldom) {
        bytes.push(140 + numbers.below(16) as u8);
        return;
    }
    let code = numbers.below(32) as u8;
    bytes.push(code);
    if (16..24).contains(&code) {
        bytes.extend(numbers.bits().to_le_bytes());
    }
}

/// What a detector left behind, with some words changed, and samples to go on with.
#[must_use]
pub fn snapshot(seeds: &Seeds, numbers: &mut Numbers) -> Vec<u8> {
    let which = numbers.bits() as u8;
    let records = seeds.snapshots(which);
    let mut bytes = vec![which, numbers.bits() as u8];
    if records.is_empty() {
        return bytes;
    }
    let record = &records[numbers.below(records.len())];
    bytes.extend_from_slice(&record[FIXED..]);
    let words = bytes[2..].as_chunks_mut::<4>().0;
    // Less the beginning, and the checksum.
    let (integers, count) = (SNAPSHOT_NUMBERS - FIXED / 4, words.len() - 1);
    for _ in 0..numbers.below(6) {
        // Half of them in what is not the channels'.
        let most = if numbers.once_in(2) { count } else { integers + RUNNING };
        let at = numbers.below(most);
        let old = words[at];
        words[at] = if at < integers {
            count_instead_of(numbers, u32::from_le_bytes(old)).to_le_bytes()
        } else {
            numbers.instead_of(f32::from_le_bytes(old)).to_le_bytes()
        };
    }
    bytes.resize(bytes.len() + FIXED, 0);
    for _ in 0..numbers.below(24) {
        bytes.push(if numbers.once_in(16) { numbers.below(16) } else { 130 + numbers.below(20) } as u8);
    }
    bytes
}

/// A model's calibration, or none's, with some constants and lengths changed.
#[must_use]
pub fn calibration(seeds: &Seeds, numbers: &mut Numbers) -> Vec<u8> {
    /// Of two channels.
    const STREAM: usize = 15;
    /// Where a calibration says how many quantiles it has.
    const QUANTILES: usize = 28;
    let mut array = seeds.parts[STREAM].calibration.array.clone();
    for _ in 0..numbers.below(6) {
        let words = array.as_chunks_mut::<4>().0;
        let at = numbers.below(words.len());
        words[at] = numbers.instead_of(f32::from_le_bytes(words[at])).to_le_bytes();
    }
    match numbers.below(8) {
        0 => {
            let extra = numbers.below(12);
            (0..extra).for_each(|_| array.extend(numbers.one_of(&EXTREMES).to_le_bytes()));
            let count = (5 + extra) as f32;
            array.as_chunks_mut::<4>().0[QUANTILES] = count.to_le_bytes();
        }
        1 => array.truncate(4 * numbers.below(array.len() / 4)),
        // Tails of any kind: start, rate, scale, shape and base.
        2..5 => {
            let tail = 4 * numbers.one_of(&[5, 10, 19]);
            let values = [
                numbers.next(true) * 20.0,
                numbers.one_of(&[0.0, 1e-30, 1e-6, 0.01, 0.5, 1.0]),
                numbers.next(true).abs() * numbers.one_of(&[1e-30, 1e-3, 1.0, 10.0, 1e30]),
                numbers.next(true),
                numbers.one_of(&[0.0, 1.0, 1.0, 4.0, 0.02, 1e30]),
            ];
            array[tail..tail + 20].copy_from_slice(bytemuck::cast_slice(&values));
        }
        // Quantiles that ascend, or not.
        5 => {
            let words = array.as_chunks_mut::<4>().0;
            let mut values = [(); 5].map(|()| numbers.instead_of(-20.0));
            if !numbers.once_in(4) {
                values.sort_unstable_by(f32::total_cmp);
            }
            let at = words.len() - values.len();
            words[at..].iter_mut().zip(values).for_each(|(word, value)| *word = value.to_le_bytes());
        }
        _ => {}
    }
    array
}
