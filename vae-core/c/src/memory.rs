//! What C's pointers point to.

use core::mem::MaybeUninit;

use crate::status::{vae_code, vae_status};

/// Marks memory that holds a model.
pub(crate) const MODEL: Tag = Tag { mark: 0x5641_454D, bound: false };
/// Marks memory that holds a detector, which must not be copied.
pub(crate) const WATCH: Tag = Tag { mark: 0x5641_4544, bound: true };

/// What tells memory that holds an object from memory that does not.
#[derive(Clone, Copy)]
pub(crate) struct Tag {
    mark: usize,
    /// Whether the object is bound to its address.
    bound: bool,
}

impl Tag {
    fn at<T>(self, place: *const T) -> usize {
        if self.bound { self.mark ^ place.addr() } else { self.mark }
    }
}

/// An object in C's memory, behind its tag.
#[repr(C)]
pub(crate) struct Held<T> {
    tag: usize,
    value: MaybeUninit<T>,
}

impl<T> Held<T> {
    fn check(place: *mut Self) -> Result<(), vae_status> {
        if place.is_null() || !place.is_aligned() { Err(vae_status::pointer(place)) } else { Ok(()) }
    }

    /// # Safety
    /// `place` is null, or points to memory of this size that nobody else uses meanwhile.
    pub(crate) unsafe fn put(place: *mut Self, tag: Tag, value: T) -> Result<(), vae_status> {
        Self::check(place)?;
        // SAFETY: not null and aligned; large enough and ours by this function's contract.
        unsafe { place.write(Self { tag: tag.at(place), value: MaybeUninit::new(value) }) };
        Ok(())
    }

    /// Makes sure that nothing is held.
    ///
    /// # Safety
    /// `place` is null, or points to memory of this size that nobody else uses meanwhile.
    pub(crate) unsafe fn clear(place: *mut Self) {
        if Self::check(place).is_ok() {
            // SAFETY: not null and aligned; large enough and ours by this function's contract.
            unsafe { (&raw mut (*place).tag).write(0) };
        }
    }

    /// # Safety
    /// `place` is null, or points to memory of this size that nobody changes meanwhile.
    unsafe fn check_made(place: *mut Self, tag: Tag) -> Result<(), vae_status> {
        Self::check(place)?;
        // SAFETY: not null and aligned; large enough by this function's contract.
        if unsafe { (&raw const (*place).tag).read() } == tag.at(place) {
            Ok(())
        } else {
            Err(vae_code::VAE_NOT_MADE.into())
        }
    }

    /// # Safety
    /// `place` is null, or points to memory of this size that nobody changes as long as what is returned is used.
    pub(crate) unsafe fn get<'a>(place: *mut Self, tag: Tag) -> Result<&'a T, vae_status> {
        // SAFETY: this function's contract.
        unsafe { Self::check_made(place, tag) }?;
        // SAFETY: `put` has written the tag, and the value with it.
        Ok(unsafe { (*place).value.assume_init_ref() })
    }

    /// # Safety
    /// `place` is null, or points to memory of this size that nobody else uses as long as what is returned is used.
    pub(crate) unsafe fn get_mut<'a>(place: *mut Self, tag: Tag) -> Result<&'a mut T, vae_status> {
        // SAFETY: this function's contract.
        unsafe { Self::check_made(place, tag) }?;
        // SAFETY: `put` has written the tag, and the value with it.
        Ok(unsafe { (*place).value.assume_init_mut() })
    }
}

fn check<T>(pointer: *const T, len: usize) -> Result<(), vae_status> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(vae_status::pointer(pointer));
    }
    let largest = isize::MAX as usize / size_of::<T>();
    if len > largest { Err(vae_status::lengths(vae_code::VAE_LENGTH, largest, len)) } else { Ok(()) }
}

/// # Safety
/// `pointer` is null, or points to `len` values that nobody changes while what is returned is used.
pub(crate) unsafe fn slice<'a, T>(pointer: *const T, len: usize) -> Result<&'a [T], vae_status> {
    check(pointer, len)?;
    // SAFETY: not null, aligned and not too long; the rest is this function's contract.
    Ok(unsafe { core::slice::from_raw_parts(pointer, len) })
}

/// # Safety
/// `pointer` is null, or points to `len` values that nobody else uses while what is returned is used.
pub(crate) unsafe fn slice_mut<'a, T>(pointer: *mut T, len: usize) -> Result<&'a mut [T], vae_status> {
    check(pointer, len)?;
    // SAFETY: not null, aligned and not too long; the rest is this function's contract.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, len) })
}

/// The floats in so many bytes, of which what does not make a whole one is left alone.
///
/// # Safety
/// `pointer` is null, or points to `bytes` bytes that nobody else uses while what is returned is used.
pub(crate) unsafe fn floats<'a>(pointer: *mut f32, bytes: usize) -> Result<&'a mut [f32], vae_status> {
    // SAFETY: no more than the bytes that there are; the rest is this function's contract.
    unsafe { slice_mut(pointer, bytes / size_of::<f32>()) }
}

/// Bytes of so many floats, where an object can be as large.
pub(crate) fn bytes_of(floats: usize) -> Option<usize> {
    floats.checked_mul(size_of::<f32>()).filter(|bytes| isize::try_from(*bytes).is_ok())
}
