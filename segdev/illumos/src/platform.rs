//! segdev's platform in an illumos kernel, and the framework itself.

use alloc::sync::Arc;
use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};

use ddi_sys as sys;
use segdev::{Context, Framework, Handle, MutexGuard, Platform, Prot, Run};

use crate::device::{Callbacks, Device, HandleData};
use crate::held;
use crate::lock::{Condvar, Mutex};
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
    type Condvar = Condvar;
    type Space = Space;
    type Device = Device;
    type Callbacks = Callbacks;
    type Umem = Umem;
    type HandleData = HandleData;
    type SegmentData = ();
    type Timer = Timer;

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

    fn ncpus(&self) -> u32 {
        let online = &raw const sys::ncpus_online;
        // SAFETY: a counter of the kernel's, which one load reads.
        let online = unsafe { online.read_volatile() };
        online.cast_unsigned()
    }

    fn load(&self, space: &Space, va: u64, run: Run) {
        space.load(va, run);
    }

    fn unload(&self, space: &Space, va: u64, len: u64) {
        space.unload(va, len);
    }

    fn unlock(&self, space: &Space, va: u64, len: u64) {
        space.unlock(va, len);
    }

    fn protect(&self, space: &Space, va: u64, len: u64, prot: Prot, device: Option<u32>) {
        space.protect(va, len, prot, device);
    }

    fn holds(&self, space: &Space) -> bool {
        held::holds(space.as_ptr())
    }

    fn space_locked(&self, _space: &Space) {}

    fn space_unlocking(&self, _space: &Space) {}

    fn handle_copied(&self, old: &Arc<Handle<Self>>, new: &Arc<Handle<Self>>) {
        new.data().set(old.data().get());
    }
}

/// The framework of this module, made when it is first asked for.
struct Once {
    made: AtomicBool,
    making: Mutex<()>,
    framework: UnsafeCell<MaybeUninit<Framework<Kernel>>>,
}

// SAFETY: written once, under the mutex, before `made` is set; only read from then on.
unsafe impl Sync for Once {}

static FRAMEWORK: Once = Once {
    made: AtomicBool::new(false),
    making: Mutex::new(()),
    framework: UnsafeCell::new(MaybeUninit::uninit()),
};

/// The framework of this module. It keeps no memory while nothing is mapped.
pub fn framework() -> &'static Framework<Kernel> {
    if !FRAMEWORK.made.load(Acquire) {
        let _making = FRAMEWORK.making.lock();
        if !FRAMEWORK.made.load(Acquire) {
            // SAFETY: nobody reads it before `made` is set, and nobody else is here.
            unsafe { (*FRAMEWORK.framework.get()).write(Framework::new(Kernel)) };
            FRAMEWORK.made.store(true, Release);
        }
    }
    // SAFETY: never written again.
    let framework = unsafe { &*FRAMEWORK.framework.get() };
    // SAFETY: it was made.
    unsafe { framework.assume_init_ref() }
}
