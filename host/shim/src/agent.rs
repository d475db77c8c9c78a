//! The agent: a task that shares this process's memory and nothing else, and takes translations away when the host says so, whatever the
//! process's own threads are doing (they may be stopped).
//!
//! It runs on a stack of its own with the thread-local storage of whoever started it, so it uses no thread-local storage: raw system calls, no errno, no
//! allocation. All its signals are blocked. It keeps its connection, the memory and the userfaultfd, which therefore outlives
//! the host: when the host vanishes, the agent makes the device mappings inaccessible before anybody can use them unwatched.

use core::sync::atomic::{AtomicU64, Ordering};

use ddi_wire::uffd::{IOCTL_WAKE, Span};
use ddi_wire::{MEMORY_NAME, MapPiece, Message, Op, Range};

use crate::{msg, space, state, sys};

/// The agent's memory: what it is to know, its buffer, and its stack.
const LEN: u64 = 256 * 1024;
/// Where the stack of the intermediate task ends, and where the agent's does.
const FIRST_STACK: u64 = 128 * 1024;

/// Where the agent's memory should be: far from where Linux puts mappings, so that a program that unmaps something and then maps at
/// a fixed address over the hole does not find the agent in it.
const PLACE: u64 = 0x10_0000_0000;

static WHERE: AtomicU64 = AtomicU64::new(0);

/// Start of the agent's memory.
#[repr(C)]
struct Orders {
    conn: i32,
    uffd: i32,
    memory: i32,
}

/// Starts the agent; returns the host's end of its connection.
pub fn start() -> Result<i32, i32> {
    let mut pair = [0i32; 2];
    let kind = (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC) as u64;
    // SAFETY: `pair` has room for two descriptors.
    unsafe {
        sys::call(libc::SYS_socketpair, [libc::AF_UNIX as u64, kind, 0, pair.as_mut_ptr() as u64, 0, 0])
    }?;
    let [ours, theirs] = pair;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping that replaces nothing.
    let area = unsafe { sys::mmap(PLACE, LEN, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    let r = area.and_then(|area| {
        let orders = Orders {
            conn: ours,
            uffd: state::UFFD.load(Ordering::Relaxed),
            memory: state::MEMORY.load(Ordering::Relaxed),
        };
        // SAFETY: the area is new, page-aligned and large enough.
        unsafe { (area as *mut Orders).write(orders) };
        WHERE.store(area, Ordering::Relaxed);
        launch(area)
    });
    sys::close(ours);
    if let Err(e) = r {
        sys::close(theirs);
        return Err(e);
    }
    Ok(theirs)
}

/// In a forked child: the parent's agent is not ours, its memory is but a copy.
pub fn forget() {
    let area = WHERE.swap(0, Ordering::Relaxed);
    if area != 0 {
        // SAFETY: nobody runs there in this process.
        let _ = unsafe { sys::munmap(area, LEN) };
    }
}

/// Makes the agent by way of a task that ends at once, so that the agent is nobody's child here and shows in no wait(2).
fn launch(area: u64) -> Result<(), i32> {
    let before = sys::set_mask(u64::MAX);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    let stack = (area + FIRST_STACK) as *mut libc::c_void;
    // SAFETY: `stack` is the top of memory that only the new task uses; it runs `intermediate` while this thread waits.
    let pid = unsafe { libc::clone(intermediate, stack, flags, area as *mut libc::c_void) };
    let failed = crate::real::errno();
    if pid > 0 {
        let a = [pid as u64, 0, libc::__WALL as u64, 0, 0, 0];
        // SAFETY: no status is asked for.
        while unsafe { sys::call(libc::SYS_wait4, a) } == Err(libc::EINTR) {}
    }
    sys::set_mask(before);
    if pid > 0 { Ok(()) } else { Err(failed) }
}

/// The task in between gives up all descriptors but the agent's before its parent goes on, so that nothing that the program closes
/// (or drops by dying) stays open by the agent's copy.
extern "C" fn intermediate(area: *mut libc::c_void) -> libc::c_int {
    // SAFETY: written by `start`, which waits.
    let orders = unsafe { &mut *area.cast::<Orders>() };
    keep(orders);
    let stack = (area as u64 + LEN) as *mut libc::c_void;
    // SAFETY: `stack` is the top of memory that only the new task uses.
    unsafe { libc::clone(agent, stack, libc::CLONE_VM | libc::CLONE_FILES, area) };
    sys::exit(0)
}

extern "C" fn agent(area: *mut libc::c_void) -> libc::c_int {
    // SAFETY: written by `start`, which nobody does again while this agent lives.
    let orders = unsafe { &*area.cast::<Orders>() };
    // SAFETY: within the area, behind the orders and below the stacks.
    let buf = unsafe { area.cast::<u8>().add(4096) };
    // SAFETY: no memory is involved.
    let _ = unsafe { sys::call(libc::SYS_setsid, [0; 6]) };
    let name = c"ddi-agent".as_ptr() as u64;
    // SAFETY: the name ends with NUL.
    let _ = unsafe { sys::call(libc::SYS_prctl, [libc::PR_SET_NAME as u64, name, 0, 0, 0, 0]) };
    serve(orders.conn, orders.uffd, orders.memory, buf);
    sys::exit(0)
}

/// Closes all descriptors but ours, which get the lowest numbers.
fn keep(orders: &mut Orders) {
    // First out of the way of the numbers they are to have.
    let up = |fd: i32| sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10).map_or(-1, |n| n as i32);
    let (conn, uffd, memory) = (up(orders.conn), up(orders.uffd), up(orders.memory));
    let down = |fd: i32, to: i32| {
        if fd < 0 {
            sys::close(to);
            return -1;
        }
        // SAFETY: no memory is involved.
        unsafe { sys::call(libc::SYS_dup2, [fd as u64, to as u64, 0, 0, 0, 0]) }.map_or(-1, |_| to)
    };
    *orders = Orders { conn: down(conn, 0), uffd: down(uffd, 1), memory: down(memory, 2) };
    // SAFETY: no memory is involved; this task's descriptors are its own copy.
    if unsafe { sys::call(libc::SYS_close_range, [3, u64::from(u32::MAX), 0, 0, 0, 0]) }.is_err() {
        (3..65536).for_each(sys::close);
    }
}

fn serve(conn: i32, uffd: i32, memory: i32, buf: *mut u8) {
    loop {
        // SAFETY: `buf` has the room.
        let got = match unsafe { msg::recv(conn, buf, true, true) } {
            Ok(Some(got)) => got,
            Err(libc::EINTR) => continue,
            Ok(None) | Err(_) => break,
        };
        let r = match got.op() {
            Some(Op::Zap) => {
                // SAFETY: the buffer is aligned and holds the payload; the items are plain words.
                space::zap(unsafe { msg::items::<Range>(buf, got.payload) }, memory, uffd)
            }
            Some(Op::Protect) => {
                // SAFETY: as above.
                space::protect(unsafe { msg::items::<Range>(buf, got.payload) })
            }
            Some(Op::Map) => {
                // SAFETY: as above.
                let pieces = unsafe { msg::items::<MapPiece>(buf, got.payload) };
                pieces.iter().try_for_each(|p| space::map(p, memory, uffd))
            }
            Some(Op::Ping) => Ok(()),
            Some(Op::Exit) => return,
            _ => Err(libc::ENOSYS),
        };
        let reply = Message {
            op: Op::Reply as u32,
            errno: r.err().unwrap_or(0),
            a: [sys::getpid() as u64, 0, 0, 0, 0, 0],
        };
        if msg::send(conn, &reply, &[], &[]).is_err() {
            break;
        }
    }
    // The host is gone without a word.
    seal();
    if uffd >= 0 {
        let mut all = Span { start: 0x10000, len: (1 << 47) - 4096 - 0x10000 };
        // SAFETY: the structure of this request.
        let _ = unsafe { sys::ioctl(uffd, IOCTL_WAKE, &mut all) };
    }
}

/// Makes all device mappings of this memory inaccessible.
pub fn seal() {
    let path = c"/proc/self/maps".as_ptr() as u64;
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC) as u64;
    // SAFETY: the path ends with NUL.
    let Ok(fd) = (unsafe { sys::call(libc::SYS_open, [path, flags, 0, 0, 0, 0]) }) else { return };
    let mut chunk = [0u8; 1024];
    let mut line = MapsLine::new();
    loop {
        let a = [fd, chunk.as_mut_ptr() as u64, chunk.len() as u64, 0, 0, 0];
        // SAFETY: the buffer is as long as said.
        let n = match unsafe { sys::call(libc::SYS_read, a) } {
            Ok(0) | Err(_) => break,
            Ok(n) => n as usize,
        };
        for &b in chunk.iter().take(n) {
            if let Some((start, end)) = line.feed(b) {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
                // SAFETY: a device mapping, which is to go.
                let _ = unsafe { sys::mmap(start, end - start, libc::PROT_NONE, flags, -1, 0) };
            }
        }
    }
    sys::close(fd as i32);
}

/// Reads /proc/self/maps byte by byte.
struct MapsLine {
    bounds: [u64; 2],
    field: usize,
    matched: usize,
    found: bool,
}

impl MapsLine {
    fn new() -> MapsLine {
        MapsLine { bounds: [0; 2], field: 0, matched: 0, found: false }
    }

    /// At the end of a line that is a mapping of the devices' memory: its bounds.
    fn feed(&mut self, b: u8) -> Option<(u64, u64)> {
        let name = MEMORY_NAME.to_bytes();
        if b == b'\n' {
            let line = core::mem::replace(self, MapsLine::new());
            return line.found.then_some((line.bounds[0], line.bounds[1]));
        }
        match self.field {
            0 | 1 => match b {
                b'0'..=b'9' => self.digit(b - b'0'),
                b'a'..=b'f' => self.digit(b - b'a' + 10),
                _ => self.field += 1,
            },
            _ => {
                self.matched = if name.get(self.matched) == Some(&b) {
                    self.matched + 1
                } else {
                    usize::from(b == name[0])
                };
                if self.matched == name.len() {
                    self.found = true;
                    self.matched = 0;
                }
            }
        }
        None
    }

    fn digit(&mut self, d: u8) {
        if let Some(n) = self.bounds.get_mut(self.field) {
            *n = *n << 4 | u64::from(d);
        }
    }
}
