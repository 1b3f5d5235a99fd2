//! A model over the air, on simulated flash: models from the directory `VAE_OTA` are sent to a device that watches with the first of
//! them. Bad ones, and those that are not signed by a key of the device or are older than the model in use, are refused while it watches
//! on, a good one is gone on with, and the power is cut at every erasing and programming of an update and of a snapshot.
#![no_std]
#![no_main]

use core::fmt;

use firmware_example::{
    exit,
    flash::{Cut, FlashError, PAGE, Power},
    slots::SLOTS,
    update::{Board, Models, Room, Sensor, UpdateError, watch},
};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use semihosting::println;
use vae_core::{Aligned, LEAST_BASELINE, Model, Scratch, Verdict, include_model, standard_normal};

/// The file of a model that is sent.
macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!(env!("VAE_OTA"), "/", $name, ".vae"))
    };
}

/// What the factory wrote, read while the program is compiled, for the sizes.
const OLD: Model<'static> = include_model!(concat!(env!("VAE_OTA"), "/old.vae"));
const NEW: Model<'static> = include_model!(concat!(env!("VAE_OTA"), "/new.vae"));
const OLD_FILE: &[u8] = file!("first");
/// What the factory's model was trained for, 100 times a second.
fn sensor() -> Result<Sensor<'static>, UpdateError> {
    Ok(Sensor { channels: OLD.card()?.channels, hz: 100.0 })
}

/// Three updates, each signed with a higher counter.
const UPDATES: [&[u8]; 3] = [file!("second"), file!("third"), file!("fourth")];
/// Whose models are taken.
const KEYS: [[u8; 32]; 2] =
    [*include_bytes!(concat!(env!("VAE_OTA"), "/retired.pub")), *include_bytes!(concat!(env!("VAE_OTA"), "/key.pub"))];

/// What is wrong with a file, and the file.
const BAD: [(&str, &[u8]); 13] = [
    ("not signed", file!("unsigned")),
    ("signed by a stranger", file!("stranger")),
    ("signed by a stranger in another's name", file!("impostor")),
    ("changed after it was signed", file!("altered")),
    ("truncated", file!("truncated")),
    ("one bit flipped", file!("flipped")),
    ("no model", file!("foreign")),
    ("a later format", file!("version")),
    ("scores differently", file!("golden")),
    ("other channels", file!("channels")),
    ("other sample rate", file!("rate")),
    ("not calibrated", file!("uncalibrated")),
    ("too large", file!("large")),
];

const SLOT: usize = longer(UPDATES[0].len(), UPDATES[1].len()).next_multiple_of(PAGE);
const SNAPSHOT: usize = OLD.snapshot_len();
const FLASH: usize = SLOTS * SLOT + Device::RECORDS;
const SCRATCH: usize = longer(OLD.scratch_len(), NEW.scratch_len());
const FEATURES: usize = OLD.features();
const STATE: usize = OLD.state_len();
const CHANNELS: usize = OLD.channels();

const fn longer(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

type Device<'f> = Board<'f, SNAPSHOT>;
type Bytes = Aligned<[u8; FLASH]>;

/// RAM for scores, for a detector, and for another that rehearses.
struct Memory {
    scratch: [f32; SCRATCH],
    windows: [heapless::Vec<f32, FEATURES>; 2],
    states: [[f32; STATE]; 2],
}

/// What went wrong in this demonstration.
enum Fault {
    Update(UpdateError),
    /// What should not have happened.
    Broken(&'static str),
}

impl From<UpdateError> for Fault {
    fn from(error: UpdateError) -> Self {
        Self::Update(error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Update(error) => write!(f, "error: {error}"),
            Self::Broken(what) => write!(f, "BROKEN: {what}"),
        }
    }
}

/// Demonstrates and checks.
#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let result = run();
    if let Err(fault) = &result {
        println!("{fault}");
    }
    exit(result.is_err())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    firmware_example::panic(info)
}

fn run() -> Result<(), Fault> {
    let mut memory = Memory {
        scratch: [0.0; SCRATCH],
        windows: [heapless::Vec::new(), heapless::Vec::new()],
        states: [[0.0; STATE]; 2],
    };
    let power = Power::new(None);
    let mut flash: Bytes = Aligned([0xFF; FLASH]);
    // The factory: in two slots, so that even a new device has one to fall back to.
    for slot in flash.0.chunks_exact_mut(SLOT).take(2) {
        slot.iter_mut().zip(OLD_FILE).for_each(|(byte, file)| *byte = *file);
    }
    let mut board = Device::new(&mut flash.0, &power);
    live(&mut board, &mut memory, 1.0)?;
    let before = boot(&mut board, &mut memory)?;
    ensure(before.restored && before.raised, "a boot does not restore the alarm")?;
    println!("model {:08x} in use, {} bytes; a slot has {SLOT}", before.model, OLD_FILE.len());

    for (name, file) in BAD {
        let (seen, refusal) = send(&mut board, Some(file), &mut memory)?;
        let Some(refusal) = refusal else { return Err(Fault::Broken(name)) };
        println!("{name}: refused, {refusal}");
        ensure(seen == before, "a refused model changes what is watched with")?;
        ensure(boot(&mut board, &mut memory)? == before, "a refused model changes the next boot")?;
    }
    println!("model {:08x} in use, as if nothing had happened", boot(&mut board, &mut memory)?.model);

    everywhere(&flash, &mut memory, "a snapshot", &|board, memory| live(board, memory, 2.0))?;
    // Three updates, so that each page of records is written when it is empty, and again.
    for file in UPDATES {
        let update = |board: &mut Device<'_>, memory: &mut Memory| match send(board, Some(file), memory)? {
            (_, None) => Ok(()),
            (_, Some(refusal)) => Err(refusal),
        };
        everywhere(&flash, &mut memory, "an update", &update)?;
        let mut board = Device::new(&mut flash.0, &power);
        let (seen, refusal) = send(&mut board, Some(file), &mut memory)?;
        ensure(refusal.is_none(), "a good model is refused")?;
        ensure(boot(&mut board, &mut memory)? == seen, "the next boot differs from the replacement at run time")?;
        println!("model {:08x} in use, replaced while the detector ran, and after the next boot", seen.model);
        live(&mut board, &mut memory, 1.0)?;
    }
    everywhere(&flash, &mut memory, "a snapshot", &|board, memory| live(board, memory, 2.0))?;
    let mut board = Device::new(&mut flash.0, &power);
    let before = boot(&mut board, &mut memory)?;
    let (seen, refusal) = send(&mut board, UPDATES.get(1).copied(), &mut memory)?;
    let Some(refusal) = refusal else { return Err(Fault::Broken("an older model is taken")) };
    println!("signed, but older: refused, {refusal}");
    ensure(seen == before && boot(&mut board, &mut memory)? == before, "an older model changes what is watched with")?;

    // A bit of the new model rots.
    let [.., newest] = UPDATES;
    for slot in flash.0.chunks_exact_mut(SLOT).filter(|slot| slot.starts_with(newest)) {
        slot.iter_mut().skip(NEW.flash_len() / 2).take(1).for_each(|byte| *byte ^= 0x10);
    }
    let seen = boot(&mut Device::new(&mut flash.0, &power), &mut memory)?;
    ensure(seen.model == OLD.fingerprint(), "a rotten model is not replaced by the one in the other slot")?;
    println!("model {:08x} in use, from the other slot: a bit of the selected one has rotted", seen.model);
    Ok(())
}

fn ensure(holds: bool, what: &'static str) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(Fault::Broken(what)) }
}

/// What a device is seen to do.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    model: u32,
    /// Whether the detector goes on from a snapshot.
    restored: bool,
    raised: bool,
    verdict: Option<Verdict>,
}

fn boot(board: &mut Device<'_>, memory: &mut Memory) -> Result<Seen, UpdateError> {
    Ok(send(board, None, memory)?.0)
}

/// Boots, goes on from the last snapshot, and receives a model, if one is sent; then watches for a window.
///
/// Returns what is seen in it, and why the model was refused, if it was.
fn send(
    board: &mut Device<'_>,
    file: Option<&[u8]>,
    memory: &mut Memory,
) -> Result<(Seen, Option<UpdateError>), UpdateError> {
    let sensor = sensor()?;
    let ([window, window_2], [state, state_2]) = (&mut memory.windows, &mut memory.states);
    let mut scratch = Scratch::new(&mut memory.scratch);
    let room = Room { window: window_2, state: state_2 };
    let mut models = Models { keys: &KEYS, sensor, room, scratch: &mut scratch };
    let mut booted = board.boot(&mut models)?;
    let mut detector = watch(booted.model, sensor, Room { window, state })?;
    // The last snapshot may be of the model before: then without it.
    let record = booted.snapshots.newest()?;
    let mut restored = record.is_some_and(|record| detector.restore(&record).is_ok());
    let refusal = match file.map(|file| booted.install(file, &mut models)) {
        None => None,
        Some(Ok(())) => {
            detector.replace(booted.installed()?, &mut scratch)?;
            restored = false;
            None
        }
        Some(Err(error @ UpdateError::Flash(_))) => return Err(error),
        Some(Err(error)) => Some(error),
    };
    let mut verdict = None;
    for sample in samples().take(detector.model().window()) {
        verdict = detector.push(&sample, &mut scratch)?;
    }
    let seen = Seen { model: detector.model().fingerprint(), restored, raised: detector.is_raised(), verdict };
    Ok((seen, refusal))
}

/// Gives the detector something to remember: a new baseline and an alarm, which it stores.
fn live(board: &mut Device<'_>, memory: &mut Memory, shift: f32) -> Result<(), UpdateError> {
    let sensor = sensor()?;
    let ([window, window_2], [state, state_2]) = (&mut memory.windows, &mut memory.states);
    let mut scratch = Scratch::new(&mut memory.scratch);
    let room = Room { window: window_2, state: state_2 };
    let booted = board.boot(&mut Models { keys: &KEYS, sensor, room, scratch: &mut scratch })?;
    let mut detector = watch(booted.model, sensor, Room { window, state })?;
    detector.rebaseline(LEAST_BASELINE)?;
    let mut shifted = samples().map(|sample| sample.map(|value| value + shift));
    while detector.is_rebaselining() {
        detector.push(&shifted.next().unwrap_or([0.0; CHANNELS]), &mut scratch)?;
    }
    while !detector.is_raised() {
        let sample = shifted.next().unwrap_or([0.0; CHANNELS]);
        detector.push(&sample.map(|value| 100.0 * value), &mut scratch)?;
    }
    let mut record = [0; SNAPSHOT];
    detector.snapshot(&mut record)?;
    Ok(booted.snapshots.store(&record)?)
}

/// Cuts the power within and after each operation on the flash that `work` consists of. A boot must then find everything as before the
/// work or as after it, and the work, done again, succeed.
fn everywhere(
    flash: &Bytes,
    memory: &mut Memory,
    title: &str,
    work: &dyn Fn(&mut Device<'_>, &mut Memory) -> Result<(), UpdateError>,
) -> Result<(), Fault> {
    let (always, whole) = (Power::new(None), Power::new(None));
    let mut copy = *flash;
    let before = boot(&mut Device::new(&mut copy.0, &always), memory)?;
    work(&mut Device::new(&mut copy.0, &whole), memory)?;
    let after = boot(&mut Device::new(&mut copy.0, &always), memory)?;
    ensure(before != after, "nothing is done")?;
    let (mut as_before, mut as_after) = (0, 0);
    for operation in 0..whole.operations() {
        for cut in [Cut::Midway(operation), Cut::After] {
            let power = Power::new(Some((operation, cut)));
            copy = *flash;
            match work(&mut Device::new(&mut copy.0, &power), memory) {
                Ok(()) | Err(UpdateError::Flash(FlashError::PowerLost)) => {}
                Err(error) => return Err(error.into()),
            }
            let seen = boot(&mut Device::new(&mut copy.0, &always), memory)?;
            ensure(seen == before || seen == after, "a cut leaves something else than before or after")?;
            (as_before, as_after) = if seen == before { (as_before + 1, as_after) } else { (as_before, as_after + 1) };
            // An update checks a signature, which takes long here: each write of the records, and some of the many alike.
            if matches!(cut, Cut::Midway(_)) && (operation % 16 == 0 || operation + 16 > whole.operations()) {
                work(&mut Device::new(&mut copy.0, &always), memory)?;
                let seen = boot(&mut Device::new(&mut copy.0, &always), memory)?;
                ensure(seen == after, "after a cut the work cannot be done again")?;
            }
        }
    }
    let operations = whole.operations();
    println!("{title}, power cut within and after {operations} writes: {as_before} × as before, {as_after} × as after");
    Ok(())
}

/// What the machine's sensor gives.
fn samples() -> impl Iterator<Item = [f32; CHANNELS]> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    core::iter::repeat_with(move || [0.0; CHANNELS].map(|_: f32| 2.0 * standard_normal(&mut rng)))
}
