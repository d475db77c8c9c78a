//! The agent: a task that shares only this process's memory, and unloads translations at the host's request, whatever the
//! process's own threads are doing (they may be stopped).
//!
//! It runs on its own stack with the thread-local storage of the thread that started it, so it uses no thread-local storage: raw system calls, no errno, no
//! allocation. All its signals are blocked. It keeps its connection, the memory and the userfaultfd, which therefore outlives
//! the host: when the host exits, the agent makes the device mappings inaccessible before the userfaultfd is closed.

use core::sync::atomic::{AtomicU64, Ordering};

use ddi_wire::uffd::{IOCTL_WAKE, Span};
use ddi_wire::{Answer, FromHost, MEMORY_NAME, MESSAGE_MAX, PAGE_SIZE, Upcall};

use crate::{msg, space, state, sys};

/// Bytes of the agent's memory: its parameters, its buffer and its stack.
const LEN: u64 = 256 * 1024;
/// End of the stack of the intermediate task; the agent's ends with the memory.
const FIRST_STACK: u64 = 128 * 1024;

/// Address that the agent's memory should have: far from where Linux puts mappings, so that a program that unmaps something and then maps at
/// a fixed address over the hole does not find the agent in it.
const PLACE: u64 = 0x10_0000_0000;

static WHERE: AtomicU64 = AtomicU64::new(0);

/// Start of the agent's memory.
#[repr(C)]
struct Orders {
    conn: i32,
    uffd: i32,
    memory: i32,
    /// Why there is no agent; 0 if there is one.
    error: i32,
}

/// Starts the agent; returns the host's end of its connection.
pub fn start() -> Result<i32, i32> {
    let [ours, theirs] = sys::socketpair()?;
    let area = sys::map_new(PLACE, LEN, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_NORESERVE);
    let r = area.and_then(|area| {
        let orders = Orders {
            conn: ours,
            uffd: state::UFFD.load(Ordering::Relaxed),
            memory: state::MEMORY.load(Ordering::Relaxed),
            error: 0,
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

/// Starts the agent from a task that exits at once, so that the agent is no child of this process and no wait(2) returns it.
fn launch(area: u64) -> Result<(), i32> {
    let before = sys::set_mask(u64::MAX);
    let flags = libc::CLONE_VM | libc::CLONE_VFORK;
    let stack = (area + FIRST_STACK) as *mut libc::c_void;
    // SAFETY: `stack` is the top of memory that only the new task uses; it runs `intermediate` while this thread waits.
    let pid = unsafe { libc::clone(intermediate, stack, flags, area as *mut libc::c_void) };
    let failed = crate::real::errno();
    if pid > 0 {
        while sys::wait_for(pid, libc::__WALL) == Err(libc::EINTR) {}
    }
    sys::set_mask(before);
    // SAFETY: written by `start`; the intermediate task has ended, and an agent changes none of it.
    let error = unsafe { (*(area as *const Orders)).error };
    match (pid > 0, error) {
        (true, 0) => Ok(()),
        (true, error) => Err(error),
        (false, _) => Err(failed),
    }
}

/// The intermediate task. It closes all descriptors but the agent's before its parent resumes, so that the agent's copies keep open nothing that the
/// program closes.
extern "C" fn intermediate(area: *mut libc::c_void) -> libc::c_int {
    // SAFETY: written by `start`, which waits.
    let orders = unsafe { &mut *area.cast::<Orders>() };
    if !keep(orders) {
        orders.error = libc::EMFILE;
        sys::exit(0);
    }
    let stack = (area as u64 + LEN) as *mut libc::c_void;
    // SAFETY: `stack` is the top of memory that only the new task uses.
    if unsafe { libc::clone(agent, stack, libc::CLONE_VM | libc::CLONE_FILES, area) } < 0 {
        orders.error = libc::EAGAIN;
    }
    sys::exit(0)
}

extern "C" fn agent(area: *mut libc::c_void) -> libc::c_int {
    // SAFETY: written by `start`, which nobody does again while this agent lives.
    let orders = unsafe { &*area.cast::<Orders>() };
    // SAFETY: within the area, behind the orders and below the stacks.
    let buf = unsafe { area.cast::<u8>().add(PAGE_SIZE as usize) };
    // SAFETY: as above; nobody else uses it, and bytes have any value.
    let buf = unsafe { core::slice::from_raw_parts_mut(buf, MESSAGE_MAX) };
    sys::setsid();
    let name = c"ddi-agent".as_ptr() as u64;
    // SAFETY: the name ends with NUL.
    let _ = unsafe { sys::call(libc::SYS_prctl, [libc::PR_SET_NAME as u64, name, 0, 0, 0, 0]) };
    serve(orders.conn, orders.uffd, orders.memory, buf);
    sys::exit(0)
}

/// Closes all descriptors but ours, which get the lowest numbers. Returns false if one of ours could not be duplicated.
fn keep(orders: &mut Orders) -> bool {
    // First out of the way of the numbers they are to have.
    let up = |fd: i32| sys::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10).map_or(-1, |n| n as i32);
    let (conn, uffd, memory) = (up(orders.conn), up(orders.uffd), up(orders.memory));
    let down = |fd: i32, to: i32| {
        if fd < 0 {
            sys::close(to);
            return -1;
        }
        sys::dup2(fd, to).map_or(-1, |_| to)
    };
    let wanted = [orders.conn, orders.uffd, orders.memory].map(|fd| fd >= 0);
    let kept = [down(conn, 0), down(uffd, 1), down(memory, 2)];
    [orders.conn, orders.uffd, orders.memory] = kept;
    let room = kept.map(|fd| fd >= 0) == wanted;
    // This task's descriptors are its own copy.
    if sys::close_range(3, u32::MAX, 0).is_err() {
        (3..65536).for_each(sys::close);
    }
    room
}

fn serve(conn: i32, uffd: i32, memory: i32, buf: &mut [u8]) {
    loop {
        let len = match msg::recv(conn, buf, true, true) {
            Ok(Some(got)) => got.len,
            Err(libc::EINTR) => continue,
            Ok(None) | Err(_) => break,
        };
        let done = match FromHost::decode(buf.get(..len).unwrap_or_default()) {
            Ok(FromHost::Upcall(Upcall::Zap { ranges })) => space::zap(ranges, memory, uffd),
            Ok(FromHost::Upcall(Upcall::Protect { ranges })) => space::protect(ranges),
            Ok(FromHost::Upcall(Upcall::Map { pieces })) => {
                pieces.iter().try_for_each(|p| space::map(&p, memory, uffd))
            }
            Ok(FromHost::Upcall(Upcall::Ping)) => {
                if msg::send(conn, &Answer::Agent { pid: sys::getpid() }).is_err() {
                    break;
                }
                continue;
            }
            Ok(FromHost::Upcall(Upcall::Exit)) => return,
            _ => Err(libc::ENOSYS),
        };
        let answer = done.map_or_else(|errno| Answer::Failed { errno }, |()| Answer::Done);
        if msg::send(conn, &answer).is_err() {
            break;
        }
    }
    // The host has exited.
    seal();
    if uffd >= 0 {
        let mut all = Span { start: 0x10000, len: (1 << 47) - PAGE_SIZE - 0x10000 };
        // SAFETY: the structure of this request.
        let _ = unsafe { sys::ioctl(uffd, IOCTL_WAKE, &mut all) };
    }
}

/// Makes all device mappings of this memory inaccessible.
pub fn seal() {
    let Ok(fd) = sys::open(c"/proc/self/maps", libc::O_RDONLY | libc::O_CLOEXEC) else { return };
    let mut chunk = [0u8; 1024];
    let mut line = MapsLine::new();
    loop {
        let n = match sys::read(fd, &mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(n) => n,
        };
        for &b in chunk.iter().take(n) {
            if let Some((start, end)) = line.feed(b) {
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
                // SAFETY: a device mapping, which is to go.
                let _ = unsafe { sys::mmap(start, end - start, libc::PROT_NONE, flags, -1, 0) };
            }
        }
    }
    sys::close(fd);
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
