//! The detector as one of several tasks: one takes samples, one scores their windows piece by piece, and one, which gets its
//! turn between two pieces, feeds a watchdog.
//!
//! The watchdog is a counter of the system timer's exceptions. It ends the program when it is not fed in time, and is shown
//! to do so at the end: windows are then scored without a pause, until it bites.
#![no_std]
#![no_main]

use core::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use cortex_m::{Peripherals, peripheral::syst::SystClkSource};
use cortex_m_rt::exception;
use cortex_m_semihosting::{debug, hprintln};
use embassy_executor::{SpawnError, Spawner};
use embassy_futures::yield_now;
use embassy_sync::{blocking_mutex::raw::CriticalSectionRawMutex, channel::Channel};
use panic_semihosting as _;
use static_cell::ConstStaticCell;
use vae_core::{InferError, Model, Score, Scratch, SelfTestError, Window, include_model};

static MODEL: Model<'static> = include_model!("../../model/motor.vae");
static SCRATCH: ConstStaticCell<[f32; MODEL.scratch_len()]> = ConstStaticCell::new([0.0; MODEL.scratch_len()]);
static WINDOW: ConstStaticCell<heapless::Vec<f32, { MODEL.features() }>> = ConstStaticCell::new(heapless::Vec::new());

/// x, y and z in g; `None` behind the last.
static SAMPLES: Channel<CriticalSectionRawMutex, Option<[f32; 3]>, 16> = Channel::new();

/// Clock cycles between two ticks of the watchdog: 10 µs at 25 MHz, in which QEMU executes 10,000 instructions.
const TICK: u32 = 250;
/// Ticks after which it bites. A score, which is one piece as yet, takes 8.
const PATIENCE: u32 = 12;
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
    MODEL.self_test(&mut scratch)?;
    let calibration = MODEL.calibration().map_err(SelfTestError::from)?;
    let mut window = Window::new(&MODEL, WINDOW.take())?;
    spawner.spawn(sensor()?);
    spawner.spawn(heartbeat()?);
    start_watchdog();

    let (mut windows, mut anomalies, mut least) = (0, 0, u32::MAX);
    while let Some(sample) = SAMPLES.receive().await {
        if let Some(x) = window.push(&sample)? {
            let before = HEARTBEATS.load(Relaxed);
            let score = score(x, &mut scratch).await?;
            least = least.min(HEARTBEATS.load(Relaxed) - before);
            windows += 1;
            anomalies += u32::from(calibration.is_anomalous(score.elbo));
        }
    }
    hprintln!("{} windows, {} anomalies", windows, anomalies);
    hprintln!("heartbeats during a score: at least {}", least);
    hprintln!("watchdog: fed after at most {} of {} ticks", WORST_HUNGER.load(Relaxed), PATIENCE);
    if least == 0 {
        return Err(Error::NoTurn);
    }

    STARVING.store(true, Relaxed);
    for _ in 0..PATIENCE {
        MODEL.elbo_at_mean(&[0.0; MODEL.features()], &mut scratch)?;
    }
    Ok(())
}

/// A window's score. The other tasks have their turn behind each piece of it.
async fn score(x: &[f32], scratch: &mut Scratch<'_>) -> Result<Score, InferError> {
    let score = MODEL.elbo_at_mean(x, scratch);
    yield_now().await;
    score
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
    SelfTest(SelfTestError),
    Infer(InferError),
    Spawn(SpawnError),
    /// A window was scored, and no other task had its turn meanwhile.
    NoTurn,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SelfTest(error) => write!(f, "{error}"),
            Self::Infer(error) => write!(f, "{error}"),
            Self::Spawn(error) => write!(f, "{error:?}"),
            Self::NoTurn => f.write_str("no other task had its turn"),
        }
    }
}

impl From<SelfTestError> for Error {
    fn from(error: SelfTestError) -> Self {
        Self::SelfTest(error)
    }
}

impl From<InferError> for Error {
    fn from(error: InferError) -> Self {
        Self::Infer(error)
    }
}

impl From<SpawnError> for Error {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error)
    }
}
