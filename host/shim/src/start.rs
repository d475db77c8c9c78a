//! What happens when the library is loaded.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering};

use ddi_wire::{BOARD_LEN, ENV};

use crate::{files, fork, node, signals, state, sys};

#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    once();
}

/// Starts the shim, unless that has been done.
pub fn once() {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if STARTED.swap(true, Ordering::Relaxed) {
        return;
    }
    state::PID.store(sys::getpid(), Ordering::Relaxed);
    let Some(host) = read_environment() else { return };
    state::set_host(host);
    signals::at_start();
    fork::at_start();
    files::look_for_devices();
}

/// Returns a copy of a variable of the environment.
fn variable(name: &CStr) -> Option<Vec<u8>> {
    // SAFETY: the name ends with NUL.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: a non-null result is a string of the environment, which nobody changes while the library is loaded.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
}

fn read_environment() -> Option<state::Host> {
    let value = variable(c"DDI_HOST_SOCKET")?;
    let mut parts = value.split(|&b| b == b':');
    let name = parts.next()?.to_vec();
    let number = |part: Option<&[u8]>| core::str::from_utf8(part?).ok()?.parse::<i32>().ok();
    let pid = number(parts.next())?;
    let board = number(parts.next())?;
    let start = format!("/proc/{pid}/fd/");
    let preload = variable(c"LD_PRELOAD").unwrap_or_default();
    let ours = preload.split(|&b| b == b':' || b == b' ').find(|p| p.starts_with(start.as_bytes()))?;
    let entry = |name: &[u8], value: &[u8]| [name, b"=", value, b"\0"].concat();
    let (preload, socket) = (entry(b"LD_PRELOAD", ours), entry(ENV.as_bytes(), &value));
    let program = format!("/proc/{pid}/exe\0").into_bytes();
    Some(state::Host { name, pid, program, preload, socket, board: map_board(&format!("{start}{board}\0")) })
}

/// Maps the board; 0 if the host is not there, in which case there are no devices.
fn map_board(path: &str) -> u64 {
    let Ok(path) = CStr::from_bytes_with_nul(path.as_bytes()) else { return 0 };
    let Ok(fd) = sys::open(path, libc::O_RDONLY | libc::O_CLOEXEC) else { return 0 };
    // SAFETY: a new mapping that replaces nothing.
    let at = unsafe { sys::mmap(0, BOARD_LEN as u64, libc::PROT_READ, libc::MAP_SHARED, fd, 0) };
    sys::close(fd);
    let at = at.unwrap_or(0);
    if node::plausible(at) { at } else { 0 }
}
