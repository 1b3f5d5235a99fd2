//! Any bytes given to what takes a recorder's stream apart: garbage, frames that break off, and frames of a right checksum that say anything.
//!
//! The sources of the trainer's recorder are compiled here by themselves, as `readers` does it with those of its readers.
#![no_main]
#![allow(dead_code, missing_docs, unreachable_pub)]

use std::convert::Infallible;

use libfuzzer_sys::fuzz_target;

#[path = "../../../vae-train/src/recorder/frame.rs"]
mod frame;
#[path = "../../../vae-train/src/recorder/stream.rs"]
mod stream;
#[path = "../../../vae-train/src/recorder/timeline.rs"]
mod timeline;

/// Where the sources look for each other.
mod recorder {
    pub(crate) use crate::frame;
}

use frame::{Counts, Frame, Head, frame_len, write};
use stream::{Dropped, FrameStream};
use timeline::{Gap, Timeline};

/// What has come of a stream: the frames as `kept` has them, and what was dropped.
type Taken = (Vec<Kept>, Dropped);

/// A frame in bits, so that all of it can be compared.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    first: u64,
    channels: String,
    head: [u32; 3],
    values: Vec<u32>,
}

fuzz_target!(|data: &[u8]| {
    let Some(([piece], script)) = data.split_first_chunk() else { return };
    let (bytes, cuts) = sent(script);
    let whole = taken(&bytes, &cuts, usize::MAX);
    // In pieces as a serial line gives them: as they come, and one by one.
    for length in [usize::from(*piece).max(1), 1] {
        assert_eq!(taken(&bytes, &cuts, length), whole, "in pieces of {length}");
    }
    let (frames, dropped) = whole;
    assert!(dropped.bytes <= bytes.len() as u64 && dropped.beginning.len() as u64 <= dropped.bytes);
    on_a_timeline(&frames, &cuts);
});

/// A stream by a script: bytes as they are, frames around a body whose checksum is made right, and places where the line is cut.
fn sent(mut script: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut cuts) = (Vec::new(), Vec::new());
    while let Some(([kind, length], rest)) = script.split_first_chunk() {
        let (part, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        script = rest;
        match kind % 4 {
            0 => bytes.extend(part),
            1 => cuts.push(bytes.len()),
            2 => bytes.extend(sealed(part)),
            // Long ones, too, up to what a reader keeps and beyond it.
            _ => bytes.extend(sealed(&part.repeat(usize::from(*kind / 4)))),
        }
    }
    (bytes, cuts)
}

/// A frame of this body, zeros around it.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut plain = body.to_vec();
    plain.extend(crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(body).to_le_bytes());
    let mut stuffed = vec![0; 2 + cobs::max_encoding_length(plain.len())];
    let length = cobs::encode(&plain, &mut stuffed[1..]);
    stuffed.truncate(length + 2);
    stuffed
}

/// What comes of the stream if at most so many bytes come at once.
fn taken(bytes: &[u8], cuts: &[usize], length: usize) -> Taken {
    let (mut stream, mut frames) = (FrameStream::default(), Vec::new());
    let mut keep = |frame: &Frame<'_>| {
        frames.push(checked(frame));
        Ok::<(), Infallible>(())
    };
    let mut from = 0;
    for (index, to) in cuts.iter().copied().chain([bytes.len()]).enumerate() {
        for piece in bytes[from..to].chunks(length) {
            let Ok(()) = stream.push(piece, &mut keep);
        }
        from = to;
        if index < cuts.len() {
            stream.cut();
        }
    }
    (frames, stream.rejected())
}

/// What all frames keep to, whoever sent them.
fn checked(frame: &Frame<'_>) -> Kept {
    let Head { rate, scale, full_scale, channels } = frame.head;
    let (names, values): (usize, Vec<f32>) = (frame.names().count(), frame.values().collect());
    assert!(rate > 0.0 && scale > 0.0 && full_scale >= 0.0 && rate.is_finite() && full_scale.is_finite());
    assert!(frame.samples() > 0 && values.len() == frame.samples() * names);
    assert!(values.iter().all(|value| value.is_finite()), "scale {scale:e}");
    assert!(!channels.contains(char::is_control));
    Kept {
        first: frame.first,
        channels: channels.to_owned(),
        head: [rate, scale, full_scale].map(f32::to_bits),
        values: values.into_iter().map(f32::to_bits).collect(),
    }
}

/// Times go forwards whatever numbers the frames have, and what is written is read again.
fn on_a_timeline(frames: &[Kept], cuts: &[usize]) {
    let Some(first) = frames.first() else { return };
    let rate = f32::from_bits(first.head[0]);
    let mut timeline = Timeline::new(rate);
    let (mut last, mut clock) = (0.0, 0.0);
    for (index, frame) in frames.iter().enumerate() {
        let samples = frame.values.len() / frame.channels.split(',').count();
        if cuts.contains(&index) {
            timeline.cut();
        }
        let (time, gap) = timeline.take(frame.first, samples, clock);
        assert!(time.is_finite() && time >= last, "{time} behind {last}");
        let is_right =
            |gap: Gap| (gap.at - time).abs() <= 1e-9 * time.max(1.0) && gap.seconds > 0.0 && gap.seconds.is_finite();
        assert!(gap.is_none_or(is_right), "{gap:?} before {time}");
        last = time;
        clock += 0.01;

        let counts: Vec<i32> = frame.values.iter().map(|bits| *bits as i32).collect();
        let head = Head { rate, scale: f32::MIN_POSITIVE, full_scale: 0.0, channels: &frame.channels };
        let mut buffer = vec![0; frame_len(frame.channels.len(), counts.len(), 4)];
        let written = write(&head, frame.first, Counts::Long(&counts), &mut buffer).unwrap().to_vec();
        assert_eq!(written.iter().filter(|byte| **byte == 0).count(), 2);
        let mut inner = written[1..written.len() - 1].to_vec();
        let read = Frame::read(&mut inner).unwrap();
        assert_eq!((read.first, read.head, read.samples()), (frame.first, head, samples));
    }
}
