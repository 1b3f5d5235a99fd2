//! vae-core for firmware in C: `include/vae.h`, which is generated from this file.
//!
//! What C gives is checked as far as it can be: null and misaligned pointers, sizes, and objects that were never made, are answered by
//! codes. What cannot be checked, that memory is as large as is said and is left alone while it is used, is each function's contract.
#![no_std]
// The names are C's.
#![allow(non_camel_case_types)]

mod memory;
mod status;
mod verdict;

use core::{ffi::CStr, mem::MaybeUninit, task::Poll};

use vae_core::{Alarms, Detector, InferError, LoadError, Model, Score, Scratch, format};

use memory::{Held, MODEL, WATCH, bytes_of, floats, slice, slice_mut};
pub use status::{vae_code, vae_status};
pub use verdict::{vae_drift, vae_kind, vae_sensor_fault, vae_verdict};

/// Never linked where the library is optimised, for nothing in it panics: a test looks for it in an image.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// A model that was opened. The file stays where it is, and is read there: it must outlive the model and must not change. May be
/// copied, and used from several threads at once.
#[repr(C)]
pub struct vae_model {
    opaque: [usize; VAE_MODEL_WORDS],
}

/// Words of a vae_model.
pub const VAE_MODEL_WORDS: usize = 20;

/// A detector: all that it needs beside the buffers of its settings. Must not be copied or moved once it is made, nor used by two
/// threads at once. One that is all zeros is known not to be made yet.
#[repr(C)]
pub struct vae_detector {
    opaque: [u64; VAE_DETECTOR_WORDS],
}

/// Words of 64 bits of a vae_detector.
#[cfg(target_pointer_width = "32")]
pub const VAE_DETECTOR_WORDS: usize = 72;
/// Words of 64 bits of a vae_detector.
#[cfg(not(target_pointer_width = "32"))]
pub const VAE_DETECTOR_WORDS: usize = 88;

/// What a model is, and how much memory it needs.
#[repr(C)]
pub struct vae_sizes {
    /// Values that the model sees of a window.
    features: u32,
    /// Values in a sample.
    channels: u32,
    /// Samples in a window.
    window: u32,
    /// Samples between the starts of successive windows.
    hop: u32,
    /// Values of the condition of a conditional model; 0 for others.
    conditions: u32,
    /// Bytes of scratch.
    scratch_bytes: usize,
    /// Bytes for a detector's window.
    window_bytes: usize,
    /// Bytes for a detector's state.
    state_bytes: usize,
    /// Bytes of a snapshot.
    snapshot_bytes: usize,
    /// What tells this model from others: the file's checksum.
    fingerprint: u32,
}

/// How a detector works, and in which memory. Zeros stand for what the model's calibration says.
///
/// The three buffers must outlive the detector, must not overlap, and belong to it alone, but for the scratch, which detectors and
/// scores may share that never work at the same time (a window that is judged by vae_detector_step is work until it is done).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vae_settings {
    /// At least the scratch_bytes of the sizes.
    scratch: *mut f32,
    /// Bytes that there are, as sizeof says.
    scratch_bytes: usize,
    /// At least the window_bytes of the sizes.
    window: *mut f32,
    /// Bytes that there are.
    window_bytes: usize,
    /// At least the state_bytes of the sizes.
    state: *mut f32,
    /// Bytes that there are.
    state_bytes: usize,
    /// False alarms a day that are borne; 0 for the threshold of the calibration.
    alarms_per_day: f32,
    /// Samples a second; 0 for what the model says.
    sample_rate: f32,
    /// Votes that raise an alarm; 0 for what the model says.
    votes_needed: u32,
    /// Of so many windows, at most 32.
    votes_of: u32,
}

/// A window's score, in nats of densities in the units of the input.
#[repr(C)]
pub struct vae_score {
    /// The evidence lower bound, reconstruction - kl: the lower, the less the window is like the training data.
    elbo: f32,
    /// The log-likelihood at the posterior's mean.
    reconstruction: f32,
    /// The divergence of the posterior from the prior.
    kl: f32,
    /// Features that were not observed (NaN) and are left out.
    missing: u32,
}

/// What a vae_detector holds.
struct Watch {
    detector: Detector<'static, 'static>,
    scratch: *mut f32,
    scratch_bytes: usize,
}

const _: () = assert!(size_of::<Held<Model<'static>>>() <= size_of::<vae_model>());
const _: () = assert!(align_of::<Held<Model<'static>>>() <= align_of::<vae_model>());
const _: () = assert!(size_of::<Held<Watch>>() <= size_of::<vae_detector>());
const _: () = assert!(align_of::<Held<Watch>>() <= align_of::<vae_detector>());

impl vae_model {
    /// # Safety
    /// `model` is null, or points to a vae_model that nobody changes while what is returned is used.
    unsafe fn get<'a>(model: *const Self) -> Result<&'a Model<'static>, vae_status> {
        // SAFETY: size and alignment of what is held are asserted above; the rest is this function's contract.
        unsafe { Held::get(model.cast_mut().cast(), MODEL) }
    }
}

impl Watch {
    /// # Safety
    /// `detector` is null, or points to a vae_detector that nobody else uses while what is returned is used.
    unsafe fn get<'a>(detector: *mut vae_detector) -> Result<&'a mut Self, vae_status> {
        // SAFETY: size and alignment of what is held are asserted above; the rest is this function's contract.
        unsafe { Held::get_mut(detector.cast(), WATCH) }
    }

    /// The detector, and its scratch.
    fn parts(&mut self) -> Result<(&mut Detector<'static, 'static>, Scratch<'_>), vae_status> {
        // SAFETY: vae_detector_init's caller has promised this memory to the detector for as long as it is used, and nothing else of
        // this borrow refers to it.
        let scratch = unsafe { floats(self.scratch, self.scratch_bytes) }?;
        Ok((&mut self.detector, Scratch::new(scratch)))
    }
}

/// Where a result goes.
///
/// # Safety
/// `out` is null, or points to memory that may be written and that nobody else uses while what is returned is used.
unsafe fn place<'a, T>(out: *mut T) -> Result<&'a mut MaybeUninit<T>, vae_status> {
    if out.is_null() || !out.is_aligned() {
        return Err(vae_status::pointer(out));
    }
    // SAFETY: it is not null and aligned, and may be written by this function's contract.
    Ok(unsafe { &mut *out.cast() })
}

/// The release of this library, as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn vae_version() -> *const core::ffi::c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// The newest version of the model file that this library reads.
#[unsafe(no_mangle)]
pub extern "C" fn vae_format_version() -> u32 {
    format::VERSION.into()
}

/// What a code means and what to do, in English.
#[unsafe(no_mangle)]
pub extern "C" fn vae_message(code: u32) -> *const core::ffi::c_char {
    status::message(code).as_ptr()
}

/// Opens a model file that lies in memory, in flash for example, at an address divisible by four; checks its prelude, its length and its
/// checksum. vae_model_self_test checks the rest.
///
/// # Safety
/// `model` is null or points to a vae_model; `file` is null or points to `len` bytes, which do not change for as long as the model, or a
/// detector with it, is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_model_open(model: *mut vae_model, file: *const u8, len: usize) -> vae_status {
    let open = || {
        // SAFETY: this function's contract.
        let file = unsafe { slice(file, len) }?;
        if !file.as_ptr().cast::<u32>().is_aligned() {
            return Err(vae_status::from(LoadError::Misaligned));
        }
        let opened = Model::from_bytes(file)?;
        // SAFETY: size and alignment are asserted above; the rest is this function's contract.
        unsafe { Held::put(model.cast(), MODEL, opened) }
    };
    // SAFETY: as above.
    unsafe { Held::<Model<'static>>::clear(model.cast()) };
    open().into()
}

/// What the model needs; VAE_TOO_LARGE where the machine cannot address so many bytes.
///
/// # Safety
/// `model` is null or points to a vae_model, `sizes` is null or points to memory for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_model_sizes(model: *const vae_model, sizes: *mut vae_sizes) -> vae_status {
    let measure = || {
        // SAFETY: this function's contract.
        let (model, sizes) = unsafe { (vae_model::get(model)?, place(sizes)?) };
        let prelude = model.prelude();
        let bytes = |floats| {
            bytes_of(floats).ok_or(vae_status::lengths(vae_code::VAE_TOO_LARGE, isize::MAX as usize, usize::MAX))
        };
        sizes.write(vae_sizes {
            features: prelude.features,
            channels: prelude.channels,
            window: prelude.window,
            hop: prelude.hop,
            conditions: prelude.conditions,
            scratch_bytes: bytes(model.scratch_len())?,
            window_bytes: bytes(model.window_len())?,
            state_bytes: bytes(model.state_len())?,
            snapshot_bytes: model.snapshot_len(),
            fingerprint: model.fingerprint(),
        });
        Ok(())
    };
    measure().into()
}

/// Checks how the processor rounds and the whole file, then scores its golden vectors and compares with the desktop's bits. To be called at
/// boot, by the task or interrupt that scores: each has a floating-point mode of its own.
///
/// # Safety
/// `model` is null or points to a vae_model; `scratch` is null or points to `scratch_bytes` bytes that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_model_self_test(
    model: *const vae_model,
    scratch: *mut f32,
    scratch_bytes: usize,
) -> vae_status {
    let test = || {
        // SAFETY: this function's contract.
        let (model, scratch) = unsafe { (vae_model::get(model)?, floats(scratch, scratch_bytes)?) };
        Ok(model.self_test(&mut Scratch::new(scratch))?)
    };
    test().into()
}

/// Scores a window (`len` features in physical units, sample after sample; NaN: not observed) at the posterior's mean. Needs no detector
/// and no calibration.
///
/// # Safety
/// `model` is null or points to a vae_model; `window` is null or points to `len` floats; `scratch` is null or points to `scratch_bytes`
/// bytes that nobody else uses meanwhile; `score` is null or points to memory for it. None of these overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_elbo_at_mean(
    model: *const vae_model,
    window: *const f32,
    len: usize,
    scratch: *mut f32,
    scratch_bytes: usize,
    score: *mut vae_score,
) -> vae_status {
    let judge = || {
        // SAFETY: this function's contract.
        let (model, window) = unsafe { (vae_model::get(model)?, slice(window, len)?) };
        // SAFETY: likewise.
        let (scratch, score) = unsafe { (floats(scratch, scratch_bytes)?, place(score)?) };
        let Score { elbo, reconstruction, kl, missing, .. } = model.elbo_at_mean(window, &mut Scratch::new(scratch))?;
        score.write(vae_score { elbo, reconstruction, kl, missing });
        Ok(())
    };
    judge().into()
}

/// Makes a detector that has seen nothing yet. If it fails there is no detector: every other function then answers VAE_NOT_MADE.
///
/// # Safety
/// `detector` is null or points to memory for it; `model` is null or points to a vae_model (which is copied; its file is not); `settings`
/// is null or points to settings whose pointers are null or point to as many bytes as is said, which nobody else uses for as long as the
/// detector is used.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_init(
    detector: *mut vae_detector,
    model: *const vae_model,
    settings: *const vae_settings,
) -> vae_status {
    let make = || {
        // SAFETY: this function's contract.
        let (model, settings) = unsafe { (*vae_model::get(model)?, slice(settings, 1)?) };
        let [settings] = settings else { return Err(vae_status::from(vae_code::VAE_NULL)) };
        let vae_settings { scratch, scratch_bytes, votes_needed, votes_of, sample_rate, alarms_per_day, .. } =
            *settings;
        // SAFETY: this function's contract. The scratch is only looked at, for its pointer and length.
        let (window, state, scratch_found) = unsafe {
            (
                floats(settings.window, settings.window_bytes)?,
                floats(settings.state, settings.state_bytes)?,
                slice(scratch.cast_const(), scratch_bytes / size_of::<f32>())?.len(),
            )
        };
        if scratch_found < model.scratch_len() {
            let (needed, found) = (model.scratch_len(), scratch_found);
            return Err(InferError::ScratchTooSmall { needed, found }.into());
        }
        let (needed, found) = (model.window_len(), window.len());
        if found < needed {
            return Err(vae_status::bytes(vae_code::VAE_WINDOW_TOO_SMALL, needed, found));
        }
        let mut made = Detector::over(model, window, state)?;
        if sample_rate != 0.0 {
            made = made.sample_rate(sample_rate)?;
        }
        if (votes_needed, votes_of) != (0, 0) {
            made = made.votes(votes_needed, votes_of)?;
        }
        if alarms_per_day != 0.0 {
            made = made.alarm_rate(Alarms::per_day(alarms_per_day))?;
        }
        // SAFETY: size and alignment are asserted above; the rest is this function's contract.
        unsafe { Held::put(detector.cast(), WATCH, Watch { detector: made, scratch, scratch_bytes }) }
    };
    // SAFETY: as above.
    unsafe { Held::<Watch>::clear(detector.cast()) };
    make().into()
}

/// Gives the condition of a conditional model for the windows from now on, in physical units; until then no window is judged.
///
/// # Safety
/// `detector` is null or points to a vae_detector; `condition` is null or points to `len` floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_given(
    detector: *mut vae_detector,
    condition: *const f32,
    len: usize,
) -> vae_status {
    let give = || {
        // SAFETY: this function's contract.
        let (watch, condition) = unsafe { (Watch::get(detector)?, slice(condition, len)?) };
        Ok(watch.detector.given(condition)?)
    };
    give().into()
}

/// Takes a sample, its channels in the model's order and in physical units, NaN for what was not observed; gives the verdict on the
/// window that it completes, VAE_NONE if it completes none.
///
/// # Safety
/// `detector` is null or points to a vae_detector; `sample` is null or points to `channels` floats; `verdict` is null or points to memory
/// for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_push(
    detector: *mut vae_detector,
    sample: *const f32,
    channels: usize,
    verdict: *mut vae_verdict,
) -> vae_status {
    let push = || {
        // SAFETY: this function's contract.
        let (watch, sample, verdict) = unsafe { (Watch::get(detector)?, slice(sample, channels)?, place(verdict)?) };
        let (detector, mut scratch) = watch.parts()?;
        verdict.write(detector.push(sample, &mut scratch)?.into());
        Ok(())
    };
    push().into()
}

/// Takes a sample as vae_detector_push does, without judging: `complete` says whether vae_detector_step is to be called now.
///
/// # Safety
/// As vae_detector_push; `complete` is null or points to memory for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_feed(
    detector: *mut vae_detector,
    sample: *const f32,
    channels: usize,
    complete: *mut bool,
) -> vae_status {
    let feed = || {
        // SAFETY: this function's contract.
        let (watch, sample, complete) = unsafe { (Watch::get(detector)?, slice(sample, channels)?, place(complete)?) };
        complete.write(watch.detector.feed(sample)?);
        Ok(())
    };
    feed().into()
}

/// Does a part of what is left to do for a window, at most one layer of the network, so that others get their turn: VAE_PENDING until
/// it is done.
///
/// # Safety
/// `detector` is null or points to a vae_detector; `verdict` is null or points to memory for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_step(detector: *mut vae_detector, verdict: *mut vae_verdict) -> vae_status {
    let step = || {
        // SAFETY: this function's contract.
        let (watch, verdict) = unsafe { (Watch::get(detector)?, place(verdict)?) };
        let (detector, mut scratch) = watch.parts()?;
        verdict.write(match detector.step(&mut scratch)? {
            Poll::Pending => vae_verdict::pending(),
            Poll::Ready(verdict) => verdict.into(),
        });
        Ok(())
    };
    step().into()
}

/// Says that samples are missing between the last one and the next: the window starts anew.
///
/// # Safety
/// `detector` is null or points to a vae_detector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_gap(detector: *mut vae_detector) -> vae_status {
    // SAFETY: this function's contract.
    let watch = unsafe { Watch::get(detector) };
    watch.map(|watch| watch.detector.gap()).into()
}

/// Clears the alarm: somebody has seen it, and the fault is mended. If the machine goes on as it was, the alarm is raised again.
///
/// # Safety
/// `detector` is null or points to a vae_detector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_acknowledge(detector: *mut vae_detector) -> vae_status {
    // SAFETY: this function's contract.
    let watch = unsafe { Watch::get(detector) };
    watch.map(|watch| watch.detector.acknowledge()).into()
}

/// Locks what has been learned of the machine, for as long as the detector lives: vae_detector_rebaseline, vae_detector_forget and
/// vae_detector_restore answer VAE_LOCKED from now on, and scores are no longer compensated for drift, which is still reported.
///
/// # Safety
/// `detector` is null or points to a vae_detector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_lock(detector: *mut vae_detector) -> vae_status {
    // SAFETY: this function's contract.
    let watch = unsafe { Watch::get(detector) };
    watch.map(|watch| watch.detector.lock()).into()
}

/// Goes back to the model's own calibration, as if nothing had been seen: no baseline, no drift, no alarm.
///
/// # Safety
/// `detector` is null or points to a vae_detector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_forget(detector: *mut vae_detector) -> vae_status {
    // SAFETY: this function's contract.
    let forget = || Ok(unsafe { Watch::get(detector) }?.detector.forget()?);
    forget().into()
}

/// Makes the next `windows` windows the new normal, when the machine is known to be healthy, as after a repair or for a model that was
/// trained on another machine of the kind; there are no verdicts meanwhile but VAE_SENSOR_FAULT. VAE_ALARMED while an alarm is raised.
///
/// # Safety
/// `detector` is null or points to a vae_detector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_rebaseline(detector: *mut vae_detector, windows: u32) -> vae_status {
    // SAFETY: this function's contract.
    let rebase = || Ok(unsafe { Watch::get(detector) }?.detector.rebaseline(windows)?);
    rebase().into()
}

/// Writes what the detector remembers to the first snapshot_bytes bytes of `record`, to be kept over a loss of power.
///
/// # Safety
/// `detector` is null or points to a vae_detector; `record` is null or points to `len` bytes that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_snapshot(detector: *mut vae_detector, record: *mut u8, len: usize) -> vae_status {
    let write = || {
        // SAFETY: this function's contract.
        let (watch, record) = unsafe { (Watch::get(detector)?, slice_mut(record, len)?) };
        watch.detector.snapshot(record)?;
        Ok(())
    };
    write().into()
}

/// Goes on from a snapshot of `len` bytes, snapshot_bytes; if it fails the detector is as it was.
///
/// # Safety
/// `detector` is null or points to a vae_detector; `record` is null or points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vae_detector_restore(
    detector: *mut vae_detector,
    record: *const u8,
    len: usize,
) -> vae_status {
    let restore = || {
        // SAFETY: this function's contract.
        let (watch, record) = unsafe { (Watch::get(detector)?, slice(record, len)?) };
        Ok(watch.detector.restore(record)?)
    };
    restore().into()
}
