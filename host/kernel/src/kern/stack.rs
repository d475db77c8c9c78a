//! The driver's part of a thread's stack, by name.
//!
//! A module's frames are found by its frame pointers ([`crate::kern::calls`]) and named from its symbol table. Those of a driver that is linked in are
//! found as Rust's own backtraces are and named from the host's debugging information. They lie between the host's call into the driver
//! ([`super::entry`]) and the driver's call of a DDI function. Locking: none while addresses are collected.

use std::ffi::c_void;
use std::sync::LazyLock;

use super::slot;
use crate::board::report::Stack;

/// Return addresses that are collected of a driver that is linked in, the host's among them.
const FRAMES: usize = 64;

/// The beginnings of names of functions that are not the driver's.
const NOT_DRIVER: &[&str] = &[
    "ddi_host::",
    "ddi_kernel::",
    "ddi_extra::",
    "ddi_process::",
    "ddi_krtld::",
    "std::",
    "core::",
    "alloc::",
    "backtrace::",
    "segdev::",
    "parking_lot",
    "hashbrown::",
];

/// Parts of names of source files that are not the driver's: the host's, the framework's, Rust's library and crates. What the compiler has inlined has
/// no path in its name.
static NOT_DRIVER_FILES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let workspace = env!("CARGO_MANIFEST_DIR").trim_end_matches("/host/kernel");
    let rooms = ["host", "host/kernel", "host/extra", "host/process", "host/krtld", "segdev"];
    let rooms = rooms.map(|room| format!("{workspace}/{room}/src/"));
    rooms.into_iter().chain(["/rustc/".into(), "/registry/src/".into()]).collect()
});

/// The source file of the host's calls into drivers.
const ENTRY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kern/entry.rs");

/// The names of frames.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The DDI function that the driver has called; None if the thread is in the driver's own code.
    pub called: Option<String>,
    /// The driver's functions, innermost first.
    pub frames: Vec<String>,
}

/// Returns the driver's functions on the calling thread's stack, and the call that it is in, for reports.
pub fn report() -> Stack {
    Stack { frames: driver_frames(), call: slot::current() }
}

/// Collects the calling thread's return addresses, innermost first, for a driver that is linked in; nothing if modules are loaded. May be called in a signal
/// handler.
pub fn collect(into: &mut [usize]) {
    // A module has no tables for this, and what is on the stack after a mistake of its may lead anywhere.
    if ddi_krtld::last_loaded().is_some() {
        return;
    }
    let mut places = into.iter_mut();
    // SAFETY: only one thing is unsafe about it: what symbolizes addresses at the same time. Nothing is symbolized here.
    unsafe {
        backtrace::trace_unsynchronized(|frame| match places.next() {
            Some(place) => {
                *place = frame.ip() as usize;
                true
            }
            None => false,
        });
    }
}

/// Reads what [`name`] needs for a driver that is linked in, so that names are found without delay.
pub fn prepare() {
    if ddi_krtld::last_loaded().is_none() {
        name(&[prepare as *const () as usize]);
    }
}

/// Names the frames of a driver that is linked in among those that [`collect`] found.
pub fn name(addresses: &[usize]) -> Named {
    let mut named = Named::default();
    let mut entered = false;
    let program = object(name as *const () as usize);
    for &address in addresses.iter().take_while(|&&address| address != 0) {
        // A driver that is linked in is no shared library, as the C library is.
        if object(address) != program {
            continue;
        }
        backtrace::resolve(address as *mut c_void, |symbol| {
            let Some(name) = symbol.name() else { return };
            let name = format!("{name:#}");
            let file = symbol.filename().map(|file| file.to_string_lossy().into_owned());
            entered |= name.contains("kern::entry::") || file.as_ref().is_some_and(|file| file == ENTRY);
            if entered {
                return;
            }
            if is_driver(&name, file.as_deref()) {
                named.frames.push(match (file, symbol.lineno()) {
                    (Some(file), Some(line)) => format!("{name} ({file}:{line})"),
                    _ => name,
                });
            } else if named.frames.is_empty() && super::symbols::find(&name).is_some() {
                // DDI functions have C names; the outermost is the one that the driver called.
                named.called = Some(name);
            }
        });
        if entered {
            break;
        }
    }
    named
}

/// Returns the base address of the program or shared library that has code at this address.
fn object(address: usize) -> Option<usize> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: room for the answer; any address may be asked about.
    let found = unsafe { libc::dladdr(address as *const c_void, info.as_mut_ptr()) } != 0;
    // SAFETY: all-zero is a value, too.
    let info = unsafe { info.assume_init() };
    found.then_some(info.dli_fbase as usize)
}

/// The calling thread's frames in a driver; none when no driver code runs on it.
pub fn here() -> Named {
    let frames = super::calls::driver_frames();
    if !frames.is_empty() {
        return Named { called: super::calls::called(), frames };
    }
    if !slot::inside() {
        return Named::default();
    }
    let mut addresses = [0; FRAMES];
    collect(&mut addresses);
    name(&addresses)
}

/// The driver's frames, innermost first; empty when no driver code runs on this thread.
pub fn driver_frames() -> Vec<String> {
    here().frames
}

fn is_driver(name: &str, file: Option<&str>) -> bool {
    let plain = name.trim_start_matches(['<', '&']);
    let foreign = file.is_some_and(|file| NOT_DRIVER_FILES.iter().any(|part| file.contains(part.as_str())));
    // Paths in type arguments are not the function's.
    let path = plain.split('<').next().unwrap_or(plain);
    let named = path.contains("::") && !NOT_DRIVER.iter().any(|prefix| plain.starts_with(prefix));
    !foreign && (named || !path.contains("::") && file.is_some())
}
