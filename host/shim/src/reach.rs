//! Whether the host can be reached from where a process is: another user's process and one in another name space cannot, and without a word their programs would
//! take the host's devices for files that are not there.

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::{state, sys};

/// Set once something has been said: once in a process.
static SAID: AtomicBool = AtomicBool::new(false);

fn say(text: &[u8]) {
    if !SAID.swap(true, Ordering::Relaxed) {
        sys::complain(text);
    }
}

/// Opens the library in the host, as the dynamic linker of a new program will.
fn look(host: &state::Host) -> Result<(), i32> {
    let path = host.preload.strip_prefix(b"LD_PRELOAD=").unwrap_or_default();
    let path = CStr::from_bytes_with_nul(path).map_err(|_| libc::ENOENT)?;
    sys::close(sys::open(path, libc::O_RDONLY | libc::O_CLOEXEC)?);
    Ok(())
}

/// Says why a new program could not use the devices, if it could not. `reaches_host` says whether the host's socket can be connected to.
///
/// # Errors
/// `EPERM`: it is not to be started, as it would find no devices, or make files in their places.
pub fn before_exec(reaches_host: fn() -> bool) -> Result<(), i32> {
    let Some(host) = state::host() else { return Ok(()) };
    match look(host) {
        Err(libc::EACCES | libc::EPERM) => {
            say(b"ddi-host: no program is started: of another user or user name space than the host, it could not use the devices\n");
            Err(libc::EPERM)
        }
        // A host that is gone has no socket, either.
        Err(libc::ENOENT) if reaches_host() => {
            say(b"ddi-host: no program is started: with the /proc of another pid name space than the host's, it could not use the devices\n");
            Err(libc::EPERM)
        }
        _ => Ok(()),
    }
}

/// Says why there was no connection (`ECONNREFUSED`), if the host is there.
pub fn not_connected() {
    if state::host().is_some_and(|host| look(host).is_ok()) {
        say(b"ddi-host: a process in another network name space than the host cannot use the devices\n");
    }
}

/// Says why the host refused to serve this process (`EPERM`).
pub fn refused() {
    say(b"ddi-host: a process of another user than the host cannot use the devices\n");
}
