//! The private data of opens.
//!
//! The kernel does not tell one open of a device number from another: it calls open(9E) for each, and close(9E) once, after the last. So an open that
//! has private data ([`Device::Open`]) gets a minor number of its own, as a clone open, and with it a close of its own:
//! after the last descriptor of that open, and the last mapping made through one, is gone. Descriptors that were duplicated or inherited are the same open. What the process
//! sees of it is the device number that fstat(2) gives. Such a number cannot be opened by itself (`ENXIO`).
//!
//! A device whose opens have no data (`type Open = ()`) keeps the one number of its node, nothing is allocated, and close comes after the last open of all.
//!
//! Locks: a mutex for each module over which numbers are taken, held for a few instructions in open and close. The other entry points find their
//! open without one.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::Relaxed;

use ddi_sys as sys;

use crate::atomic::{AtomicI32, AtomicPtr, AtomicU32};
use crate::device::Device;
use crate::errno::Errno;
use crate::instance::Instance;
use crate::numbers::{END, OPENS, have_data};
use crate::sync::Mutex;

/// The private data that an open of a device without any has.
pub(crate) fn no_data<'a, D: Device>() -> &'a D::Open {
    debug_assert!(!have_data::<D>());
    // SAFETY: a value without bytes is anywhere that is aligned; `Device::open` has returned one, which was not dropped.
    unsafe { NonNull::<D::Open>::dangling().as_ref() }
}

/// An open's place in soft state; zero at first. It stays there to the module's end, so that it can be looked at any time.
///
/// # Invariants
/// While `instance` is not null, it is attached, and `data` is from `Box::into_raw`.
struct Seat<D: Device> {
    /// 1 + the instance's number.
    number: AtomicI32,
    /// Index of the minor node that was opened.
    minor: AtomicU32,
    /// 1 + the number of the next free place, if this one is free and not the last.
    next: AtomicU32,
    instance: AtomicPtr<Instance<D>>,
    data: AtomicPtr<D::Open>,
}

/// Places that nobody has.
#[derive(Default)]
struct Free {
    /// 1 + the first of a chain; 0 when there is none.
    first: u32,
    /// Number of places.
    places: u32,
}

/// All opens of a module that have private data.
pub(crate) struct Opens<D: Device> {
    /// Soft state of [`Seat`]s.
    anchor: UnsafeCell<*mut c_void>,
    free: UnsafeCell<Option<Mutex<Free>>>,
    of: PhantomData<fn() -> D>,
}

/// Subject of an entry point's call.
pub(crate) struct Entered<'a, D: Device> {
    pub instance: &'a Instance<D>,
    pub open: &'a D::Open,
    pub minor: u32,
}

impl<D: Device> Opens<D> {
    pub(crate) const fn new() -> Opens<D> {
        let anchor = UnsafeCell::new(ptr::null_mut());
        Opens { anchor, free: UnsafeCell::new(None), of: PhantomData }
    }

    /// In `_init(9E)`: 0, or an error number.
    pub(crate) fn init(&self) -> c_int {
        if !have_data::<D>() {
            return 0;
        }
        // SAFETY: in `_init`, before anything else.
        let failed = unsafe { sys::ddi_soft_state_init(self.anchor.get(), size_of::<Seat<D>>(), 8) };
        if failed == 0 {
            // SAFETY: likewise.
            unsafe { *self.free.get() = Some(Mutex::new(Free::default())) };
        }
        failed
    }

    /// In `_fini(9E)` after mod_remove(9F), or in an `_init` that fails: no entry point runs.
    pub(crate) fn fini(&self) {
        if have_data::<D>() && !self.anchor().is_null() {
            // SAFETY: no entry point runs, and every open is closed: the places have nothing.
            unsafe { sys::ddi_soft_state_fini(self.anchor.get()) };
            // SAFETY: nobody has a reference.
            unsafe { *self.free.get() = None };
        }
    }

    fn anchor(&self) -> *mut c_void {
        // SAFETY: not written while entry points run.
        unsafe { *self.anchor.get() }
    }

    fn free(&self) -> Option<&Mutex<Free>> {
        // SAFETY: not written while entry points run.
        unsafe { (*self.free.get()).as_ref() }
    }

    /// The place of an open, whoever has it.
    fn seat(&self, number: i32) -> Option<&Seat<D>> {
        if !have_data::<D>() {
            return None;
        }
        // SAFETY: the anchor is initialised; a number without a place gives null.
        let seat = unsafe { sys::ddi_get_soft_state(self.anchor(), number) }.cast::<Seat<D>>();
        // SAFETY: null, or a place, which was zeroed, which is a value of a structure of atomics, and which stays.
        unsafe { seat.as_ref() }
    }

    /// The instance of an open, if there is one of this number now.
    pub(crate) fn instance_number(&self, number: i32) -> Option<i32> {
        let instance = self.seat(number)?.number.load(Relaxed);
        instance.checked_sub(1).filter(|&instance| instance >= 0)
    }

    /// Returns the subject of a call for this open.
    ///
    /// # Safety
    /// In an entry point that the framework calls for an open of this number, so that it is not closed meanwhile.
    pub(crate) unsafe fn entered<'a>(&self, number: i32) -> Option<Entered<'a, D>> {
        let seat = self.seat(number)?;
        let instance = seat.instance.load(Relaxed);
        // SAFETY: null, or by the invariant an instance that is attached until the open is closed.
        let instance = unsafe { instance.as_ref() }?;
        // SAFETY: the invariant; the open is not closed before the entry point has returned.
        let open = unsafe { &*seat.data.load(Relaxed) };
        Some(Entered { instance, open, minor: seat.minor.load(Relaxed) })
    }

    /// Takes a place. `EAGAIN` when all are taken. User context: sleeps for memory.
    pub(crate) fn reserve(&self) -> Result<Reserved<'_, D>, Errno> {
        let mut free = self.free().ok_or(Errno::ENXIO)?.lock();
        if let Some(number) = free.first.checked_sub(1).and_then(|number| i32::try_from(number).ok()) {
            free.first = self.seat(number).map_or(0, |seat| seat.next.swap(0, Relaxed));
            return Ok(Reserved { opens: self, number });
        }
        let number = i32::try_from(free.places).map_err(|_| Errno::EAGAIN)?;
        if free.places >= END - OPENS {
            return Err(Errno::EAGAIN);
        }
        // SAFETY: the anchor is initialised.
        let result = unsafe { sys::ddi_soft_state_zalloc(self.anchor(), number) };
        if result != sys::DDI_SUCCESS {
            return Err(Errno::ENOMEM);
        }
        free.places += 1;
        Ok(Reserved { opens: self, number })
    }

    /// Takes an open's private data away; the place is free when the result is dropped, data first.
    ///
    /// # Safety
    /// In the close(9E) of this open.
    pub(crate) unsafe fn close(&self, number: i32) -> Option<(Box<D::Open>, Reserved<'_, D>)> {
        let seat = self.seat(number)?;
        seat.instance.store(ptr::null_mut(), Relaxed);
        let data = NonNull::new(seat.data.swap(ptr::null_mut(), Relaxed))?;
        // SAFETY: from `Box::into_raw`, and not in the place any more.
        let data = unsafe { Box::from_raw(data.as_ptr()) };
        Some((data, Reserved { opens: self, number }))
    }
}

/// A place that nobody else has, free again when dropped.
pub(crate) struct Reserved<'a, D: Device> {
    opens: &'a Opens<D>,
    number: i32,
}

impl<D: Device> Reserved<'_, D> {
    /// The place is an open's now: its minor number.
    pub(crate) fn fill(self, (instance, number): (&Instance<D>, i32), minor: u32, data: D::Open) -> u32 {
        if let Some(seat) = self.opens.seat(self.number) {
            seat.data.store(Box::into_raw(Box::new(data)), Relaxed);
            seat.minor.store(minor, Relaxed);
            seat.number.store(number.saturating_add(1), Relaxed);
            seat.instance.store(ptr::from_ref(instance).cast_mut(), Relaxed);
        }
        let minor = OPENS.saturating_add(u32::try_from(self.number).unwrap_or(END));
        core::mem::forget(self);
        minor
    }
}

impl<D: Device> Drop for Reserved<'_, D> {
    fn drop(&mut self) {
        let Some((seat, free)) = self.opens.seat(self.number).zip(self.opens.free()) else { return };
        let mut free = free.lock();
        seat.number.store(0, Relaxed);
        seat.next.store(free.first, Relaxed);
        free.first = u32::try_from(self.number).map_or(0, |number| number.saturating_add(1));
    }
}
