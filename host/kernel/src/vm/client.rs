//! Clients: processes as the kernel keeps them, and which one the calling thread works for.
//!
//! Locking: the table of clients is behind one lock, held for look-ups only.

use std::cell::RefCell;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Weak};

use ddi_process::physmem::PAGE_SIZE;
use ddi_process::{self, Process, Sleeper};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap as HashMap;
use segdev::UmemKind;
use segdev::space::AddressSpace;

use super::host::Host;
use super::segments::Segments;
use super::umem::Memory;
use crate::kern::cred::Cred;
use crate::kern::image::ProcessImage;
use crate::kern::thread::{self, Context, Owner, Signals};

/// A process, its images, and (as segdev's `Space`) its address space's name.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    process: Arc<Process>,
    image: ProcessImage,
    cred: Box<Cred>,
    /// Bytes of its address space, as far as the host has seen it change.
    size: AtomicUsize,
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Client {
    /// Notes how large its address space is now.
    pub fn measure(&self) {
        self.measure_as(self.process().pid());
    }

    /// Notes that its address space is as large as that of process `pid`.
    fn measure_as(&self, pid: i32) {
        if let Some(pages) = ddi_process::proc::pages(pid) {
            self.0.size.store(pages * PAGE_SIZE as usize, Ordering::Relaxed);
            self.resized(0);
        }
    }

    /// Records that the address space has grown (or shrunk) by a mapping, in bytes.
    pub fn resized(&self, by: i64) {
        let before = self.0.size.fetch_add(by as usize, Ordering::Relaxed);
        self.image().set_size(before.wrapping_add(by as usize));
    }

    fn new(process: Arc<Process>, cred: Cred) -> Self {
        let cred = Box::new(cred);
        let image = ProcessImage::new(process.pid().cast_unsigned(), std::ptr::from_ref(&*cred) as usize);
        Client(Arc::new(Inner { process, image, cred, size: AtomicUsize::new(0) }))
    }

    /// The process.
    pub fn process(&self) -> &Arc<Process> {
        &self.0.process
    }

    /// Returns the image that drivers see.
    pub fn image(&self) -> &ProcessImage {
        &self.0.image
    }

    /// Returns its credential.
    pub fn cred(&self) -> &Cred {
        &self.0.cred
    }
}

/// A client with its address space.
pub struct Entry {
    /// The client.
    pub client: Client,
    /// Mappings of devices.
    pub space: AddressSpace<Host>,
    /// Mappings of modules' own segment drivers.
    pub segments: Segments,
    /// Memory of the process that drivers have pinned: address, length, and the memory that stands for it.
    pinned: Mutex<Vec<(u64, u64, Arc<Memory>)>>,
    /// Memory among that which the process shares with its children (`MAP_SHARED`): by its first page frame.
    shared: Mutex<Vec<u64>>,
}

impl Entry {
    /// Notes that a range has become `memory`.
    pub fn pin(&self, addr: u64, len: u64, memory: Arc<Memory>, shared: bool) {
        if shared {
            self.shared.lock().push(memory.pfn());
        }
        self.pinned.lock().push((addr, len, memory));
    }

    /// The memory that all of a range has become, and the offset in it.
    pub fn pinned(&self, addr: u64, len: u64) -> Option<(Arc<Memory>, u64)> {
        let all = self.pinned.lock();
        let (at, _, memory) = all.iter().find(|(at, n, _)| *at <= addr && addr + len <= at + n)?;
        Some((memory.clone(), addr - at))
    }

    /// The parts of a range that are pinned memory, in order.
    pub fn pinned_parts(&self, addr: u64, len: u64) -> Vec<(u64, u64)> {
        let end = addr.saturating_add(len);
        let all = self.pinned.lock();
        let mut parts: Vec<_> = all
            .iter()
            .map(|(at, n, _)| ((*at).max(addr), (at + n).min(end)))
            .filter(|(from, to)| from < to)
            .map(|(from, to)| (from, to - from))
            .collect();
        parts.sort_unstable();
        parts
    }

    /// A range is unmapped: what is left of pinned memory in it is forgotten.
    pub fn unpin(&self, addr: u64, len: u64) {
        let end = addr.saturating_add(len);
        let mut all = self.pinned.lock();
        let mut kept = Vec::new();
        for (at, n, memory) in all.drain(..) {
            if at + n <= addr || at >= end {
                kept.push((at, n, memory));
                continue;
            }
            if at < addr {
                kept.push((at, addr - at, Memory::part(memory.clone(), 0, addr - at)));
            }
            if at + n > end {
                kept.push((end, at + n - end, Memory::part(memory, end - at, at + n - end)));
            }
        }
        *all = kept;
    }
}

#[derive(Default)]
struct Table {
    by_process: HashMap<u64, Arc<Entry>>,
    by_image: HashMap<usize, Arc<Entry>>,
}

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(RwLock::default);

thread_local! {
    static CURRENT: RefCell<Option<Client>> = const { RefCell::new(None) };
}

/// Returns the credential of a process, from /proc.
fn credential(pid: i32) -> Cred {
    let user = ddi_process::proc::user(pid);
    let ids = |ids: [Option<u32>; 3]| ids.map(|id| id.unwrap_or(u32::MAX));
    Cred { uids: ids(user.uids), gids: ids(user.gids), groups: user.groups }
}

/// The entry of a process; made at its first use.
pub fn of(process: &Arc<Process>) -> Arc<Entry> {
    if let Some(found) = TABLE.read().by_process.get(&process.id()) {
        return found.clone();
    }
    let entry = insert(process, credential(process.pid()));
    entry.client.measure();
    entry
}

/// The entry of a process, if it has one.
pub fn known(process: &Process) -> Option<Arc<Entry>> {
    TABLE.read().by_process.get(&process.id()).cloned()
}

/// A forked child, with its parent's credential.
pub fn child(parent: &Entry, process: &Arc<Process>) -> Arc<Entry> {
    let entry = insert(process, parent.client.cred().clone());
    entry.client.measure_as(parent.client.process().pid());
    let shared = parent.shared.lock().clone();
    let inherit = |(addr, len, memory): &(u64, u64, Arc<Memory>)| {
        if shared.contains(&memory.pfn()) {
            return (*addr, *len, memory.clone());
        }
        // The child gets a copy, as of memory that is not pinned. If no memory is left, it shares its parent's.
        let copy = Memory::new(UmemKind::User, *len).inspect(|copy| {
            let (from, to) = (memory.address() as *const u8, copy.address() as *mut u8);
            // SAFETY: both have `len` bytes of physical memory; the second is new. The process may write the first meanwhile, as it may during any fork.
            unsafe { std::ptr::copy_nonoverlapping(from, to, *len as usize) };
            process.reframe(*addr, *len / PAGE_SIZE, copy.pfn());
        });
        (*addr, *len, copy.unwrap_or_else(|| memory.clone()))
    };
    *entry.pinned.lock() = parent.pinned.lock().iter().map(inherit).collect();
    *entry.shared.lock() = shared;
    entry
}

fn insert(process: &Arc<Process>, cred: Cred) -> Arc<Entry> {
    let client = Client::new(process.clone(), cred);
    let space = AddressSpace::new(client.clone());
    let entry = Arc::new(Entry {
        client,
        space,
        segments: Segments::default(),
        pinned: Mutex::default(),
        shared: Mutex::default(),
    });
    let mut table = TABLE.write();
    let entry = table.by_process.entry(process.id()).or_insert(entry).clone();
    table.by_image.insert(entry.client.image().space(), entry.clone());
    entry
}

/// The entry whose `as` a driver means.
pub fn of_as(address: usize) -> Option<Arc<Entry>> {
    TABLE.read().by_image.get(&address).cloned()
}

/// Those of all clients.
pub fn all() -> Vec<Arc<Entry>> {
    TABLE.read().by_process.values().cloned().collect()
}

/// Removes a process that has ended; its address space is empty.
pub fn remove(process: &Process) -> Option<Arc<Entry>> {
    let mut table = TABLE.write();
    let entry = table.by_process.remove(&process.id())?;
    table.by_image.remove(&entry.client.image().space());
    Some(entry)
}

/// The client that the calling thread works for.
pub fn current() -> Option<Client> {
    CURRENT.with_borrow(Clone::clone)
}

thread_local! {
    static HELD: RefCell<Vec<Client>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether the calling thread holds the lock of an address space: whether it is in a fault, a map or an unmap.
pub fn in_fault() -> bool {
    HELD.with_borrow(|held| !held.is_empty())
}

/// The calling thread takes the lock of an address space.
pub(super) fn lock(space: &Client) {
    HELD.with_borrow_mut(|held| held.push(space.clone()));
}

/// It gives up the one that it took last.
pub(super) fn unlock() {
    HELD.with_borrow_mut(|held| drop(held.pop()));
}

/// Returns whether the calling thread holds the lock of this address space.
pub(super) fn locked(space: &Client) -> bool {
    HELD.with_borrow(|held| held.contains(space))
}

/// Returns a number of the calling thread that no other living thread has.
pub(super) fn thread() -> usize {
    HELD.with(|held| std::ptr::from_ref(held).addr())
}

/// Runs `f` in the context of a client's thread.
pub fn run<R>(entry: &Entry, f: impl FnOnce() -> R) -> R {
    struct Back(Option<Client>);
    impl Drop for Back {
        fn drop(&mut self) {
            thread::set_process(self.0.as_ref().map(Client::image));
            CURRENT.set(self.0.take());
        }
    }
    let client = entry.client.clone();
    let pid = client.process().pid();
    if pid > 0 {
        client.image().set_pid(pid.cast_unsigned());
    }
    thread::set_process(Some(client.image()));
    let _back = Back(CURRENT.replace(Some(client)));
    thread::in_context(Context::User, f)
}

/// The owner of a wait of the current client's.
struct Sleeping {
    client: Client,
    sleeper: Option<Sleeper>,
    wake: ddi_process::Wake,
}

impl Owner for Sleeping {
    fn gone(&self) -> bool {
        self.client.process().is_gone()
    }

    fn rest(&self) {
        if let Some(sleeper) = &self.sleeper {
            sleeper.rest(self.wake.clone());
        }
    }

    fn go_on(&self) {
        if let Some(sleeper) = &self.sleeper {
            sleeper.go_on();
        }
    }
}

/// Runs a wait that signals of the current call's thread, or the process's death, interrupt: `f` gets what tells.
pub fn interruptibly<R>(f: impl FnOnce() -> R) -> R {
    let Some(client) = current() else { return f() };
    // What holds the address space's lock stands in a fork's way: it is not held asleep.
    let sleeper = Sleeper::current().filter(|_| !in_fault());
    let signals = Arc::new_cyclic(|signals: &Weak<Signals>| {
        let signals = signals.clone();
        let wake: ddi_process::Wake = Arc::new(move || _ = signals.upgrade().map(|signals| signals.nudge()));
        Signals::new(Sleeping { client, sleeper, wake })
    });
    let before = thread::set_signals(Some(signals.clone()));
    let wake: ddi_process::Wake = Arc::new(move || signals.raise());
    let result = ddi_process::interruptibly(&wake, |_| f());
    thread::set_signals(before);
    result
}
