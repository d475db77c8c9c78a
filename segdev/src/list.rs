//! Lists that grow without a panic, and tell when they cannot.
//!
//! In a kernel memory is waited for, so growth fails only beyond what an allocator gives at once.

use alloc::vec::Vec;

/// Appends a value; returns it if there is no memory for it.
#[inline(never)]
pub(crate) fn push<T>(list: &mut Vec<T>, value: T) -> Result<(), T> {
    if list.len() == list.capacity() && !reserve(list, 1) || list.len() == list.capacity() {
        return Err(value);
    }
    list.push(value);
    Ok(())
}

/// The same where there is mostly room.
#[inline(always)]
pub(crate) fn push_within<T>(list: &mut Vec<T>, value: T) -> Result<(), T> {
    if list.len() < list.capacity() {
        list.push(value);
        return Ok(());
    }
    push(list, value)
}

/// Puts a value at a place, before what is there and behind it; returns it if there is no memory for it.
pub(crate) fn insert<T>(list: &mut Vec<T>, at: usize, mut value: T) -> Result<(), T> {
    if !reserve(list, 1) {
        return Err(value);
    }
    for behind in list.iter_mut().skip(at) {
        core::mem::swap(behind, &mut value);
    }
    push(list, value)
}

/// Takes the value at a place away; what is behind it moves up.
pub(crate) fn take<T>(list: &mut Vec<T>, at: usize) -> Option<T> {
    if at >= list.len() {
        return None;
    }
    let mut value = list.pop()?;
    for behind in list.iter_mut().skip(at).rev() {
        core::mem::swap(behind, &mut value);
    }
    Some(value)
}

/// Makes room for so many more values; false if there is no memory for them.
#[inline(never)]
pub(crate) fn reserve<T>(list: &mut Vec<T>, more: usize) -> bool {
    list.try_reserve(more).is_ok()
}

/// Makes room for just so many more values; false if there is no memory for them.
#[inline(never)]
pub(crate) fn reserve_exact<T>(list: &mut Vec<T>, more: usize) -> bool {
    list.try_reserve_exact(more).is_ok()
}

/// A list of `count` times the same value, or `None` when there is no memory for them.
pub(crate) fn filled<T: Copy>(value: T, count: usize) -> Option<Vec<T>> {
    copied(core::iter::repeat_n(value, count))
}

/// A list of these values, or `None` when there is no memory for them.
pub(crate) fn copied<T>(values: impl ExactSizeIterator<Item = T>) -> Option<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(values.len()).ok()?;
    for value in values {
        push(&mut list, value).ok()?;
    }
    Some(list)
}
