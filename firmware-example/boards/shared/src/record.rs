//! The boards' other loop: samples come from the sensor's queue, and are sent as they are, for `vae-train record`.

use core::convert::Infallible;

use embedded_hal_async::{delay::DelayNs, i2c::I2c};

use crate::{
    Accelerometer, Error, Sensor,
    accelerometer::DEPTH,
    frame::{Counts, Head, frame_len, write},
};

/// Bits a second of the serial line: at 115,200, the samples of 1600 Hz would take all of its time.
pub const BAUD: u32 = 460_800;
/// How long the sensor is left alone between two looks at its queue, in milliseconds. With the time that bus and line take, 16 samples of 1600 Hz
/// come meanwhile, of the 32 that it holds.
const POLL_MS: u32 = 5;
const CHANNELS: &str = "x,y,z";
/// A frame holds a queue at most.
const FRAME: usize = frame_len(CHANNELS.len(), 3 * DEPTH, 2);

/// Sends, for ever, what `sensor` on this `bus` measures, frame after frame through `send`, which may wait for the line.
///
/// Where samples were lost, their numbers are left out. How many there were the sensor does not say: they count as a queue of it.
///
/// # Errors
/// If the sensor does not answer.
pub async fn record<B: I2c>(
    bus: B,
    sensor: &'static Sensor,
    mut delay: impl DelayNs,
    mut send: impl AsyncFnMut(&[u8]),
) -> Result<Infallible, Error<B::Error>> {
    let full_scale = f32::from(sensor.largest) * sensor.scale;
    let head = Head { rate: sensor.rate, scale: sensor.scale, full_scale, channels: CHANNELS };
    let mut accelerometer = Accelerometer::start(bus, sensor).await?;
    let (mut frame, mut taken) = ([0; FRAME], 0);
    loop {
        let waiting = accelerometer.waiting().await?;
        if waiting.lost {
            taken += u64::from(sensor.full);
        }
        let mut counts = heapless::Vec::<[i16; 3], DEPTH>::new();
        counts.extend(accelerometer.counts(waiting).await?);
        if !counts.is_empty()
            && let Ok(frame) = write(&head, taken, Counts::Short(counts.as_flattened()), &mut frame)
        {
            send(frame).await;
        }
        taken += counts.len() as u64;
        delay.delay_ms(POLL_MS).await;
    }
}

#[cfg(test)]
mod tests {
    use embedded_hal_async::i2c::ErrorKind;

    use super::*;
    use crate::{
        ADXL345, LIS2DW12, Simulated,
        frame::Frame,
        tests::{NoDelay, now},
    };

    /// Numbers, values and heads of the frames of 64 samples, of which so many come between two looks at the sensor's queue.
    fn sent(sensor: &'static Sensor, pace: u8) -> heapless::Vec<(u64, usize, f32), 16> {
        let samples = (0..64).map(|index| [4.0 * sensor.scale * index as f32, -1.0, 0.5]);
        let mut frames = heapless::Vec::new();
        let ended = now(record(Simulated::new(sensor, samples, pace), sensor, NoDelay, async |sent: &[u8]| {
            let mut bytes = heapless::Vec::<u8, FRAME>::from_slice(&sent[1..sent.len() - 1]).unwrap();
            let frame = Frame::read(&mut bytes).unwrap();
            assert_eq!((frame.head.channels, frame.head.rate), (CHANNELS, sensor.rate));
            let first = frame.values().next().unwrap() / (4.0 * sensor.scale);
            assert_eq!(frame.values().nth(1), Some(-1.0));
            frames.push((frame.first, frame.samples(), first)).unwrap();
        }));
        assert_eq!(ended, Err(Error::Bus(ErrorKind::Other))); // behind the last sample
        frames
    }

    #[test]
    fn every_sample_is_sent_once_and_in_order() {
        for sensor in [&LIS2DW12, &ADXL345] {
            assert_eq!(sent(sensor, 16), [0, 16, 32, 48].map(|first| (first, 16, first as f32)));
        }
    }

    #[test]
    fn where_the_queue_was_full_numbers_are_left_out() {
        assert_eq!(sent(&LIS2DW12, 32), [(32, 32, 0.0), (96, 32, 32.0)]);
    }
}
