//! segdev's platform in an illumos kernel, and the framework itself.

use alloc::sync::Arc;
use core::ffi::c_void;

use ddi_sys as sys;
use segdev::{Context, Framework, MutexGuard, Platform, Prot, Registry, Run};

use crate::device::{Callbacks, Device, SegmentData};
use crate::held;
use crate::lock::{Condvar, Mutex, Once};
use crate::memory::Umem;
use crate::space::Space;

/// The platform.
pub struct Kernel;

/// A pending timeout, and the reference to the context that it holds.
#[derive(Clone, Copy)]
pub struct Timer {
    id: sys::timeout_id_t,
    ctx: *const Context<Kernel>,
}

// SAFETY: a name of a timeout, and a reference to a context, which is shared between threads.
unsafe impl Send for Timer {}

/// A timeout has run out.
unsafe extern "C-unwind" fn run_out(arg: *mut c_void) {
    let _last = held::Last::begin();
    // SAFETY: the reference that `timeout` has given away; a timeout runs once, and one that was cancelled does not run.
    let ctx = unsafe { Arc::from_raw(arg.cast_const().cast::<Context<Kernel>>()) };
    framework().ctx_timeout(&ctx);
}

impl Platform for Kernel {
    type Mutex<T: Send + 'static> = Mutex<T>;
    type RwLock<T: Send + Sync + 'static> = Mutex<T>;
    type Once<T: Send + Sync + 'static> = Once<T>;
    type Condvar = Condvar;
    type Space = Space;
    type Device = Device;
    type Callbacks = Callbacks;
    type Umem = Umem;
    type HandleData = ();
    type SegmentData = SegmentData;
    type Timer = Timer;

    const WATCHES_SEGMENTS: bool = false;

    fn wait_sig<'a, T: Send + 'static>(
        &self,
        cv: &Condvar,
        mut guard: MutexGuard<'a, Self, T>,
    ) -> (MutexGuard<'a, Self, T>, bool) {
        let interrupted = cv.wait_tick(&mut guard);
        (guard, interrupted)
    }

    fn notify_all(&self, cv: &Condvar) {
        cv.notify_all();
    }

    #[inline]
    fn thread(&self) -> usize {
        held::thread() as usize
    }

    fn timeout(&self, ctx: Arc<Context<Self>>, ticks: i64) -> Timer {
        let ctx = Arc::into_raw(ctx);
        // SAFETY: the function takes the reference over.
        let id = unsafe { sys::timeout(Some(run_out), ctx.cast_mut().cast(), ticks) };
        Timer { id, ctx }
    }

    fn untimeout(&self, timer: Timer) {
        // SAFETY: the id of a timeout of ours; no lock is held that its function takes.
        let left = unsafe { sys::untimeout(timer.id) };
        if left >= 0 {
            // SAFETY: the timeout was cancelled, so its reference is ours again.
            drop(unsafe { Arc::from_raw(timer.ctx) });
        }
    }

    #[inline]
    fn ncpus(&self) -> u32 {
        let online = &raw const sys::ncpus_online;
        // SAFETY: a counter of the kernel's, which one load reads.
        let online = unsafe { online.read_volatile() };
        online.cast_unsigned()
    }

    #[inline(always)]
    fn load(&self, space: &Space, va: u64, run: Run) {
        space.load(va, run);
    }

    #[inline(always)]
    fn unload(&self, space: &Space, va: u64, len: u64, locked: bool) {
        space.unload(va, len, locked);
    }

    fn unlock(&self, space: &Space, va: u64, len: u64) {
        space.unlock(va, len);
    }

    fn protect(&self, space: &Space, va: u64, len: u64, prot: Prot, device: Option<u32>) {
        space.protect(va, len, prot, device);
    }

    #[inline(always)]
    fn holds(&self, space: &Space) -> bool {
        held::holds(space.as_ptr())
    }

    fn space_locked(&self, _space: &Space) {}

    fn space_unlocking(&self, _space: &Space) {}
}

static FRAMEWORK: Framework<Kernel> = Framework::with(Kernel, Mutex::new(Registry::new()));

/// The framework of this module. It keeps little memory while nothing is mapped; [`Framework::trim`] gives that back.
#[inline]
pub fn framework() -> &'static Framework<Kernel> {
    &FRAMEWORK
}
