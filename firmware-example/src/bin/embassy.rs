//! The detector as one of several tasks: one takes samples, one judges their windows layer by layer, and one, which gets its
//! turn between two layers, feeds a watchdog.
//!
//! The watchdog is a counter of the system timer's exceptions. It ends the program when it is not fed in time, which takes less
//! than a score, and is shown to do so at the end: a window is then scored without a pause.
#![no_std]
#![no_main]

use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    task::Poll,
};

use cortex_m::{Peripherals, peripheral::syst::SystClkSource};
use cortex_m_rt::exception;
use cortex_m_semihosting::{debug, hprintln};
use embassy_executor::{SpawnError, Spawner};
use embassy_futures::yield_now;
use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, channel::Channel};
use panic_semihosting as _;
use static_cell::ConstStaticCell;
use vae_core::{Detector, DetectorError, InferError, Model, Scratch, Verdict, include_model};

static MODEL: Model<'static> = include_model!("../../model/motor.vae");
static SCRATCH: ConstStaticCell<[f32; MODEL.scratch_len()]> = ConstStaticCell::new([0.0; MODEL.scratch_len()]);
static STATE: ConstStaticCell<[f32; MODEL.state_len()]> = ConstStaticCell::new([0.0; MODEL.state_len()]);
static WINDOW: ConstStaticCell<heapless::Vec<f32, { MODEL.window_len() }>> = ConstStaticCell::new(heapless::Vec::new());

/// x, y and z in g; `None` behind the last.
static SAMPLES: Channel<CriticalSectionRawMutex, Option<[f32; 3]>, 16> = Channel::new();

/// Clock cycles between two ticks of the watchdog: 10 µs at 25 MHz, in which QEMU executes 10,000 instructions.
const TICK: u32 = 250;
/// Ticks after which it bites. Two scores take 10 or more, and the largest step of one, with what other tasks do behind it, 6.
const PATIENCE: u32 = 8;
/// Ticks since it was fed.
static HUNGER: AtomicU32 = AtomicU32::new(0);
/// The most of them.
static WORST_HUNGER: AtomicU32 = AtomicU32::new(0);
/// Whether the watchdog is to bite now.
static STARVING: AtomicBool = AtomicBool::new(false);

/// Turns that the other task had.
static HEARTBEATS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    if HUNGER.fetch_add(1, Relaxed) >= PATIENCE {
        let starving = STARVING.load(Relaxed);
        hprintln!("the watchdog bites{}", if starving { ", as it should" } else { ": nobody feeds it" });
        exit(starving);
    }
}

#[embassy_executor::main]
async fn main(spawner: Spawner) {
    match run(spawner).await {
        Ok(()) => hprintln!("error: the watchdog does not bite"),
        Err(error) => hprintln!("error: {}", error),
    }
    exit(false);
}

async fn run(spawner: Spawner) -> Result<(), Error> {
    let mut scratch = Scratch::new(SCRATCH.take());
    MODEL.self_test(&mut scratch).map_err(DetectorError::from)?;
    let mut detector = Detector::new(MODEL, WINDOW.take(), STATE.take())?;
    spawner.spawn(sensor()?);
    spawner.spawn(heartbeat()?);
    start_watchdog();

    let (mut windows, mut anomalies, mut faults, mut least) = (0, 0, 0, u32::MAX);
    while let Some(sample) = SAMPLES.receive().await {
        detector.feed(&sample)?;
        let before = HEARTBEATS.load(Relaxed);
        let Some(verdict) = judge(&mut detector, &mut scratch).await? else { continue };
        windows += 1;
        if let Verdict::SensorFault(_) = verdict {
            faults += 1; // without a score
        } else {
            anomalies += u32::from(matches!(verdict, Verdict::Anomalous(_)));
            least = least.min(HEARTBEATS.load(Relaxed) - before);
        }
    }
    hprintln!("{} windows, {} anomalies, {} sensor faults", windows, anomalies, faults);
    let layers = MODEL.layers().map_err(InferError::from)?.count() as u32;
    hprintln!("heartbeats during a score of {} layers: at least {}", layers, least);
    hprintln!("watchdog: fed after at most {} of {} ticks", WORST_HUNGER.load(Relaxed), PATIENCE);
    if least < layers {
        return Err(Error::NoTurn);
    }

    STARVING.store(true, Relaxed);
    for _ in 0..2 {
        MODEL.elbo_at_mean(&[0.0; MODEL.features()], &mut scratch)?;
    }
    Ok(())
}

/// The verdict on the window, if it is complete. The other tasks have their turn behind each step, which
/// is a layer at most.
async fn judge(detector: &mut Detector<'_, '_>, scratch: &mut Scratch<'_>) -> Result<Option<Verdict>, DetectorError> {
    let mut judging = detector.judge(scratch);
    loop {
        let outcome = judging.step()?;
        yield_now().await;
        if let Poll::Ready(verdict) = outcome {
            return Ok(verdict);
        }
    }
}

/// The recording, as fast as it is taken.
#[embassy_executor::task]
async fn sensor() {
    let values = include_bytes!("../../model/stream.f32").as_chunks::<4>().0;
    for sample in values.as_chunks::<3>().0 {
        SAMPLES.send(Some(sample.map(f32::from_le_bytes))).await;
    }
    SAMPLES.send(None).await;
}

/// All that else is to be done meanwhile.
#[embassy_executor::task]
async fn heartbeat() {
    loop {
        HEARTBEATS.fetch_add(1, Relaxed);
        WORST_HUNGER.fetch_max(HUNGER.swap(0, Relaxed), Relaxed);
        yield_now().await;
    }
}

fn start_watchdog() {
    if let Some(peripherals) = Peripherals::take() {
        let mut timer = peripherals.SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(TICK - 1);
        timer.clear_current();
        timer.enable_counter();
        timer.enable_interrupt();
    }
}

fn exit(success: bool) -> ! {
    loop {
        debug::exit(if success { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    }
}

/// What can go wrong.
enum Error {
    Detector(DetectorError),
    Spawn(SpawnError),
    /// A window was scored, and the other task did not have its turns meanwhile.
    NoTurn,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Detector(error) => write!(f, "{error}"),
            Self::Spawn(error) => write!(f, "{error:?}"),
            Self::NoTurn => f.write_str("the other task did not have its turns"),
        }
    }
}

impl From<DetectorError> for Error {
    fn from(error: DetectorError) -> Self {
        Self::Detector(error)
    }
}

impl From<InferError> for Error {
    fn from(error: InferError) -> Self {
        Self::Detector(error.into())
    }
}

impl From<SpawnError> for Error {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}
