//! System calls whose buffers are in device memory, where Linux could not ask the driver for an access, or would lose what it has read if the driver refuses.
//!
//! They use a buffer of the shim's. Data whose store a driver refuses is not lost: data of a pipe or a socket is peeked at, delivered, and only then
//! consumed; a file's offset is set back; from everything else (terminals, eventfd and the like, and a pipe when there is no descriptor for another), which cannot be
//! peeked at, only as much is read as the driver has already permitted to be stored. The one exception is another reader of the same pipe, socket or terminal at the same time: then the consumed data is
//! delivered, and lost if the driver refuses the store; as is what cannot be peeked at when the driver changes its mind.

use core::ffi::{c_int, c_void};

use ddi_wire::{Buffer, FaultMode, Reply, Request};

use crate::held::Held;
use crate::real::{errno, fail};
use crate::scratch::Scratch;
use crate::{copy, link, sockets, state, sys};

/// Most bytes that take the detour at once.
const MOST: usize = 1 << 20;

/// Outcome of a call: a count of bytes, or the error.
pub type Outcome = Result<usize, i32>;

/// Returns the outcome of a function of the C library.
pub fn outcome(r: isize) -> Outcome {
    usize::try_from(r).map_err(|_| errno())
}

/// Returns an outcome as a system call's return value and errno.
pub fn answer(r: Outcome) -> isize {
    r.map_or_else(|e| fail(e) as isize, |n| n as isize)
}

/// Returns whether a buffer is perhaps in device memory.
pub fn is_near(buffers: &[Buffer]) -> bool {
    buffers.iter().any(|b| b.len > 0 && state::near(b.base, b.len))
}

/// Returns whether each system call on such a buffer takes the detour. Else only those that would lose what they have read.
fn always() -> bool {
    state::mode() != Some(FaultMode::Userfaultfd)
}

/// Returns whether a call takes the detour in any case.
fn needed(buffers: &[Buffer]) -> bool {
    state::mode().is_some() && always() && is_near(buffers)
}

/// Returns the number of bytes of the buffers, as far as they are used at once.
pub fn room(buffers: &[Buffer]) -> usize {
    buffers.iter().fold(0usize, |sum, b| sum.saturating_add(b.len as usize)).min(MOST)
}

/// The buffers' first `len` bytes, in pieces: where each is, and its length. Ends with the first for which `f` has done less than that; how
/// many bytes have been done.
fn each(buffers: &[Buffer], len: usize, mut f: impl FnMut(u64, usize, usize) -> usize) -> usize {
    let mut done = 0;
    for b in buffers {
        let want = (b.len as usize).min(len - done);
        let got = if want > 0 { f(b.base, want, done) } else { 0 };
        done += got;
        if got < want || done == len {
            break;
        }
    }
    done
}

/// Stores bytes in the buffers: how many, up to the first that cannot be.
pub fn put(buffers: &[Buffer], from: &[u8]) -> usize {
    each(buffers, from.len(), |at, n, done| {
        let bytes = from.get(done..done + n).unwrap_or_default();
        // SAFETY: the program has named the buffers for its result.
        unsafe { copy::write(at, bytes) }
    })
}

/// Asks the driver for stores of bytes to the buffers. Returns how many are allowed, up to the first that is not.
pub fn touch(buffers: &[Buffer], len: usize) -> usize {
    each(buffers, len, |at, n, _| copy::touch(at, n, true))
}

/// The buffers' bytes, gathered, as many as can be loaded; then `f` is called with them.
pub fn write(buffers: &[Buffer], f: impl FnOnce(&[u8]) -> isize) -> Option<isize> {
    if !needed(buffers) {
        return None;
    }
    let all = room(buffers);
    let gathered = || {
        let own = Scratch::new(all)?;
        let bytes = own.take::<u8>(all)?;
        let have = each(buffers, all, |at, n, done| {
            copy::read(bytes.get_mut(done..done + n).unwrap_or_default(), at)
        });
        if have == 0 { Err(copy::why()) } else { outcome(f(bytes.get(..have).unwrap_or_default())) }
    };
    Some(answer(gathered()))
}

/// Reads at an offset, where nothing is taken away.
pub fn read_at(buffers: &[Buffer], f: impl FnOnce(&mut [u8]) -> isize) -> Option<isize> {
    if !needed(buffers) {
        return None;
    }
    let scattered = || {
        let all = room(buffers);
        let own = Scratch::new(all)?;
        let bytes = own.take::<u8>(all)?;
        let n = outcome(f(bytes))?;
        delivered(put(buffers, bytes.get(..n).unwrap_or_default()), n)
    };
    Some(answer(scattered()))
}

/// `done` of `len` bytes have been stored.
fn delivered(done: usize, len: usize) -> Outcome {
    if done == 0 && len > 0 { Err(copy::why()) } else { Ok(done) }
}

/// Source of the bytes of a read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Pipe,
    /// A socket of bytes.
    Stream,
    /// A socket of messages.
    Messages,
    /// It has an offset.
    File,
    Other,
}

impl Source {
    pub fn of(fd: c_int) -> Source {
        let Ok(st) = sys::fstat(fd) else { return Source::Other };
        match st.st_mode & libc::S_IFMT {
            libc::S_IFIFO => Source::Pipe,
            libc::S_IFSOCK if sys::socket_type(fd) == Ok(libc::SOCK_STREAM) => Source::Stream,
            libc::S_IFSOCK => Source::Messages,
            // Other files accept an offset and have none.
            libc::S_IFREG | libc::S_IFBLK if seek(fd, 0) => Source::File,
            _ => Source::Other,
        }
    }

    /// Returns whether Linux loses what it has read from it if it cannot store it.
    fn loses(self) -> bool {
        matches!(self, Source::Messages | Source::Other)
    }
}

/// Returns the source if reads of the descriptor must use the shim's buffer.
pub fn reading(fd: c_int, buffers: &[Buffer]) -> Option<Source> {
    if state::mode().is_none() || !is_near(buffers) {
        return None;
    }
    Some(Source::of(fd)).filter(|source| always() || source.loses())
}

/// Moves a file's offset; false if it has none.
fn seek(fd: c_int, by: i64) -> bool {
    sys::lseek(fd, by, libc::SEEK_CUR).is_ok()
}

/// read(2) as the C library has it, into a buffer of the shim's.
pub fn native_read(fd: c_int, to: &mut [u8]) -> isize {
    let real = real!(read: fn(c_int, *mut c_void, usize) -> isize);
    // SAFETY: room for so many bytes.
    unsafe { real(fd, to.as_mut_ptr().cast(), to.len()) }
}

/// read(2) and readv(2), if they must take the detour.
pub fn read(fd: c_int, buffers: &[Buffer]) -> Option<isize> {
    let source = reading(fd, buffers)?;
    let all = room(buffers);
    let fill = || match source {
        Source::Stream | Source::Messages => {
            sockets::receive(fd, source, 0, &mut sockets::Message::of(buffers))
        }
        Source::Pipe => match from_pipe(fd, buffers, all) {
            Err(libc::EINVAL | libc::EMFILE | libc::ENFILE) => from_other(fd, buffers, all),
            r => r,
        },
        Source::File => from_file(fd, buffers, all),
        Source::Other => from_other(fd, buffers, all),
    };
    Some(answer(fill()))
}

fn is_nonblocking(fd: c_int) -> bool {
    sys::fcntl(fd, libc::F_GETFL, 0).is_ok_and(|flags| flags as c_int & libc::O_NONBLOCK != 0)
}

/// A pipe's bytes are copied to another pipe, from which they are delivered.
fn from_pipe(fd: c_int, buffers: &[Buffer], all: usize) -> Outcome {
    let own = Scratch::new(2 * all)?;
    let (bytes, again) = (own.take::<u8>(all)?, own.take::<u8>(all)?);
    let [out, into] = sys::pipe()?.map(state::adopt);
    let flags = if is_nonblocking(fd) { libc::SPLICE_F_NONBLOCK } else { 0 };
    let seen = sys::tee(fd, into, all, flags)
        .and_then(|n| if n == 0 { Ok(0) } else { sys::read(out, bytes.get_mut(..n).unwrap_or_default()) });
    state::drop_own(out);
    state::drop_own(into);
    let seen = bytes.get(..seen?).unwrap_or_default();
    let done = delivered(put(buffers, seen), seen.len())?;
    if done == 0 {
        return Ok(0);
    }
    let taken = outcome(native_read(fd, again.get_mut(..done).unwrap_or_default()))?;
    settle(buffers, seen, again.get(..taken).unwrap_or_default())
}

/// Delivers `taken`, consumed after `seen` was delivered, unless it is the same; it differs only if another thread or process has read as well.
pub fn settle(buffers: &[Buffer], seen: &[u8], taken: &[u8]) -> Outcome {
    if seen.starts_with(taken) {
        return Ok(taken.len());
    }
    delivered(put(buffers, taken), taken.len())
}

/// A file's offset is set back to what has been delivered.
fn from_file(fd: c_int, buffers: &[Buffer], all: usize) -> Outcome {
    let own = Scratch::new(all)?;
    let bytes = own.take::<u8>(all)?;
    let n = outcome(native_read(fd, bytes))?;
    let done = put(buffers, bytes.get(..n).unwrap_or_default());
    if done < n {
        seek(fd, done as i64 - n as i64);
    }
    delivered(done, n)
}

/// Reads after the driver has been asked for as many bytes of the buffers as there will be.
fn from_other(fd: c_int, buffers: &[Buffer], all: usize) -> Outcome {
    let own = Scratch::new(all)?;
    let bytes = own.take::<u8>(all)?;
    if !is_nonblocking(fd) {
        wait_for_input(fd)?;
    }
    let waiting = sys::readable(fd).ok().and_then(|n| usize::try_from(n).ok());
    let expected = waiting.filter(|&n| n > 0).map_or(all, |n| n.min(all));
    let allowed = touch(buffers, expected);
    if allowed == 0 {
        return Err(copy::why());
    }
    let n = outcome(native_read(fd, bytes.get_mut(..allowed).unwrap_or_default()))?;
    delivered(put(buffers, bytes.get(..n).unwrap_or_default()), n)
}

/// Waits until data can be read. `SA_RESTART` of a signal's handler decides whether the wait is restarted, as for read(2).
fn wait_for_input(fd: c_int) -> Result<(), i32> {
    loop {
        let user = sys::hold_signals();
        let mut held = Held::new(user);
        let signalled = held.wait(fd);
        // Here the handlers run.
        sys::set_mask(user);
        match signalled {
            false => return Ok(()),
            true if held.restarts() => {}
            true => return Err(libc::EINTR),
        }
    }
}

/// The result of a system call that Linux has made on these buffers, in which it stores or (`write` is false) from which it loads. Where it has said `EFAULT`, and
/// a driver has refused it, the error is the driver's, as on illumos.
pub fn told(r: isize, buffers: &[Buffer], write: bool) -> isize {
    if r >= 0 || errno() != libc::EFAULT || state::mode() != Some(FaultMode::Userfaultfd) {
        return r;
    }
    for b in buffers.iter().filter(|b| b.len > 0 && state::near(b.base, b.len)) {
        let request = Request::Refused { addr: b.base, len: b.len };
        let refused = link::request(&request, &[], true, |got| match got.reply {
            Reply::Refusal { errno } => Some(errno),
            _ => None,
        });
        match refused {
            // Without a connection the access itself says it.
            Ok(0) | Err(_) => {}
            Ok(errno) => return fail(errno) as isize,
        }
        // The page is not loaded, and Linux has raised no fault. The access raises one, unless the protection forbids it or nothing is mapped there.
        if copy::touch(b.base, b.len as usize, write) < b.len as usize {
            return fail(copy::why()) as isize;
        }
    }
    // All of it can be accessed. What has failed was an access that was broken off (another thread forked), and whose reason is lost because mappings have changed since:
    // the call can be made again.
    let near = |b: &Buffer| b.len > 0 && state::near(b.base, b.len);
    let again = buffers.iter().any(near)
        && buffers.iter().all(|b| copy::touch(b.base, b.len as usize, write) == b.len as usize);
    fail(if again { libc::EINTR } else { libc::EFAULT }) as isize
}
