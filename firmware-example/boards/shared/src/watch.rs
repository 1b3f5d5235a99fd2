//! The boards' loop: samples come from the sensor's queue, and what the detector says of them is told.

use core::{convert::Infallible, fmt};

use embedded_hal_async::{delay::DelayNs, i2c::I2c};
use vae_core::{Detector, Scratch, Verdict};

use crate::{Accelerometer, Error, Sensor, detector::detector};

/// How often the sensor's queue is emptied, in milliseconds: 8 samples at 1600 Hz.
///
/// It holds 32, which come in 20 ms: a verdict may take 15.
const POLL_MS: u32 = 5;

/// What there is to tell; as text or as a message of defmt what `vae-train watch` reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event {
    /// The score below which a window votes for an alarm, in nats.
    Threshold(f32),
    /// The sensor's queue was full: the windows with a gap are not judged.
    SamplesLost,
    /// On a window.
    Verdict(Verdict),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Threshold(nats) => write!(f, "threshold     {nats:.3} nats"),
            Self::SamplesLost => f.write_str("samples lost"),
            Self::Verdict(verdict) => verdict.fmt(f),
        }
    }
}

impl defmt::Format for Event {
    fn format(&self, f: defmt::Formatter<'_>) {
        match self {
            Self::Threshold(nats) => defmt::write!(f, "threshold     {} nats", nats),
            Self::SamplesLost => defmt::write!(f, "samples lost"),
            Self::Verdict(verdict) => defmt::write!(f, "{}", verdict),
        }
    }
}

/// Judges, for ever, what `sensor` on this `bus` measures; whatever there is to tell goes to `tell`. It can be called once.
///
/// # Errors
/// If the sensor does not answer, the model does not compute here what it computed on the desktop, or was not trained at the sensor's rate.
///
/// # Panics
/// The second time.
pub async fn watch<B: I2c>(
    bus: B,
    sensor: &'static Sensor,
    delay: impl DelayNs,
    mut tell: impl FnMut(Event),
) -> Result<Infallible, Error<B::Error>> {
    let (detector, scratch) = detector(sensor)?;
    tell(Event::Threshold(detector.threshold()));
    judge(Accelerometer::start(bus, sensor).await?, delay, detector, scratch, tell).await
}

async fn judge<B: I2c>(
    mut accelerometer: Accelerometer<B>,
    mut delay: impl DelayNs,
    mut detector: Detector<'_, '_>,
    mut scratch: Scratch<'_>,
    mut tell: impl FnMut(Event),
) -> Result<Infallible, Error<B::Error>> {
    loop {
        let waiting = accelerometer.waiting().await?;
        if waiting.lost {
            detector.gap();
            tell(Event::SamplesLost);
        }
        let mut is_late = false;
        // The sensor's queue is empty then, and has room for those that come while a window is judged.
        for sample in accelerometer.read(waiting).await? {
            if let Some(verdict) = detector.push(&sample, &mut scratch)? {
                tell(Event::Verdict(verdict));
                is_late = true;
            }
        }
        if !is_late {
            delay.delay_ms(POLL_MS).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use core::ops::Range;

    use embedded_hal_async::i2c::ErrorKind;

    use super::*;
    use crate::{
        LIS2DW12, Simulated,
        detector::MODEL,
        tests::{NoDelay, now},
    };

    /// What there is to tell of the recording, if so many samples come between two looks at the sensor's queue.
    fn events(pace: u8) -> heapless::Vec<Event, 64> {
        let stream = include_bytes!("../../../model/stream.f32").as_chunks::<4>().0;
        let samples = stream.as_chunks::<3>().0.iter().map(|sample| sample.map(f32::from_le_bytes));
        let (mut memory, mut state) = ([0.0; MODEL.scratch_len()], [0.0; MODEL.state_len()]);
        let mut window = heapless::Vec::<f32, { MODEL.window_len() }>::new();
        let detector = Detector::new(MODEL, &mut window, &mut state).unwrap();
        let scratch = Scratch::new(&mut memory);
        let mut events = heapless::Vec::new();
        let sensor = now(Accelerometer::start(Simulated::new(&LIS2DW12, samples, pace), &LIS2DW12)).unwrap();
        let ended = now(judge(sensor, NoDelay, detector, scratch, |event| events.push(event).unwrap()));
        assert_eq!(ended, Err(Error::Bus(ErrorKind::Other))); // behind the last sample
        events
    }

    #[test]
    fn each_window_of_the_recording_is_judged() {
        let events = events(8);
        // Of 1152 samples, a window of 64 every 32.
        assert_eq!(events.len(), 35, "{events:?}");
        let count = |ends: Range<usize>, is: fn(&Verdict) -> bool| {
            let events = events.iter().enumerate().filter(|(index, _)| ends.contains(&(64 + 32 * index)));
            events.filter(|(_, event)| matches!(event, Event::Verdict(verdict) if is(verdict))).count()
        };
        // Healthy running, four faults of the motor, and a sensor that is stuck, of 192 samples each.
        let is_anomalous = |verdict: &Verdict| matches!(verdict, Verdict::Anomalous(_));
        let is_fault = |verdict: &Verdict| matches!(verdict, Verdict::SensorFault(_));
        assert_eq!((count(0..193, is_anomalous), count(0..961, is_fault)), (0, 0), "{events:?}");
        assert!((1..5).all(|part| count(192 * part + 1..192 * part + 193, is_anomalous) > 0), "{events:?}");
        assert!(count(961..1153, is_fault) > 0, "{events:?}");
    }

    #[test]
    fn windows_with_a_gap_are_not_judged() {
        let events = events(32);
        // 36 times, and once more before the sensor fails.
        assert_eq!(events.len(), 37);
        assert!(events.iter().all(|event| *event == Event::SamplesLost), "{events:?}");
    }

    #[test]
    fn the_memory_suffices_and_the_threshold_comes_first() {
        let none = Simulated::new(&LIS2DW12, core::iter::empty(), 1);
        let mut events = heapless::Vec::<Event, 1>::new();
        let ended = now(watch(none, &LIS2DW12, NoDelay, |event| events.push(event).unwrap()));
        assert_eq!(ended, Err(Error::Bus(ErrorKind::Other)));
        let mut line = heapless::String::<64>::new();
        fmt::write(&mut line, format_args!("{}", events[0])).unwrap();
        assert!(line.starts_with("threshold     ") && line.ends_with(" nats"), "{line}");
    }
}
