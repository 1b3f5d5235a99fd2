//! Watches a motor: checks the embedded model at boot, then judges its vibration window after window.
//!
//! Motor and accelerometer are simulated here, by `vae-train`'s simulator: the machine drifts and is given a new baseline, the power is
//! lost, a sensor sticks, a cable is torn, and at last a bearing spalls. On a board, read the sensor where this program simulates it.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use cortex_m_semihosting::{debug, hio, hprintln};
use firmware_example::{
    motor::Motor,
    scenario::{AFTER, BEFORE, Event, Log, SEED},
    start_timer, ticks, ticks_since,
};
use panic_semihosting as _;
use static_cell::ConstStaticCell;
use vae_core::{Alarms, Detector, DetectorError, Model, Scratch, include_model};

static MODEL: Model<'static> = include_model!("../model/motor.vae"); // a damaged file fails the build
static SCRATCH: ConstStaticCell<[f32; MODEL.scratch_len()]> = ConstStaticCell::new([0.0; MODEL.scratch_len()]);
static WINDOW: ConstStaticCell<heapless::Vec<f32, { MODEL.window_len() }>> = ConstStaticCell::new(heapless::Vec::new());
static STATE: ConstStaticCell<[f32; MODEL.state_len()]> = ConstStaticCell::new([0.0; MODEL.state_len()]);

/// Instructions that QEMU executes in a tick of the timer: one a nanosecond, at 25 MHz.
const INSTRUCTIONS_PER_TICK: u32 = 40;

#[entry]
fn main() -> ! {
    let status = match run() {
        Ok(()) => debug::EXIT_SUCCESS,
        Err(error) => {
            hprintln!("error: {}", error);
            debug::EXIT_FAILURE
        }
    };
    loop {
        debug::exit(status);
    }
}

fn run() -> Result<(), DetectorError> {
    start_timer();
    let mut scratch = Scratch::new(SCRATCH.take());
    MODEL.self_test(&mut scratch)?; // the desktop's bits, checked at boot
    let (window, state) = (WINDOW.take(), STATE.take());
    hprintln!(
        "self-test passed; model {} bytes; RAM: scratch {}, window {}, state {}, detector {} bytes; snapshot {} bytes",
        MODEL.flash_len(),
        4 * MODEL.scratch_len(),
        4 * window.capacity(),
        4 * state.len(),
        size_of::<Detector<'_, '_>>(),
        MODEL.snapshot_len()
    );

    let mut record = [0; MODEL.snapshot_len()]; // in flash on a board: see src/bin/ota.rs
    let (mut motor, mut most_ticks) = (Motor::new(SEED, 0), 0);
    let Ok(out) = hio::hstdout() else { return Ok(()) };
    let mut log = Log::new(out);
    for (boot, parts) in [&BEFORE[..], &AFTER].into_iter().enumerate() {
        let mut detector = Detector::new(MODEL, window, state)?.alarm_rate(Alarms::per_day(1.0))?;
        if boot > 0 {
            detector.restore(&record)?;
            let checksum = record.last_chunk::<4>().copied().map_or(0, u32::from_le_bytes);
            log.event(format_args!("the power fails; the detector is restored from its snapshot, {checksum:08x}"));
        }
        log.threshold(detector.threshold());
        for part in parts {
            log.event(format_args!("{}", part.title));
            if part.event == Event::Rebaseline {
                detector.rebaseline(part.windows)?;
            }
            for index in 0..part.samples() {
                let [x, y, z] = part.sense(index, motor.sample(part.condition));
                log.set_time(motor.seconds());
                let start = ticks();
                let verdict = detector.push(&[x, y, z], &mut scratch)?; // in g; NaN for what the sensor did not give
                most_ticks = most_ticks.max(ticks_since(start));
                if let Some(verdict) = verdict {
                    log.verdict(&verdict); // none before a window is complete, or while a new baseline is made
                }
            }
        }
        detector.snapshot(&mut record)?; // now and then on a board, whose power fails unannounced
    }
    hprintln!("a sample took at most {} instructions", INSTRUCTIONS_PER_TICK * most_ticks);
    Ok(())
}
