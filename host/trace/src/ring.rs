//! The rings: blocks of a file that is mapped into memory. A thread writes to a block of its own; a full one is given up, and when all are in use the
//! oldest that no thread writes to is taken and overwritten.
//!
//! The file has at every moment what was written until then, however the process ends. Its room on the disk is reserved block by block: a full disk
//! costs records, not the process.
//!
//! Locking: none to write a record. A leaf mutex each round the blocks that ended threads have left, and round texts; both are taken at a thread's first
//! record and its end, and for texts. A record of a signal handler that interrupts the writing of another one, or of a thread at its very end, is refused.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use rustix::mm::{MapFlags, ProtFlags};

use crate::event::ARGUMENTS;
use crate::form::{
    About, BLOCK, BLOCK_HEADER, HEADER, MAGIC, SLOT, SLOTS, Stamp, VERSION, at, block, encode, head,
    put_text, slots, state,
};

/// Share of the blocks that texts may take.
const TEXTS: u64 = 4;
/// Bytes of the longest text; the rest of a longer one is left out.
pub const LONGEST: usize = 4096;

static REGION: OnceLock<Region> = OnceLock::new();
static ON: AtomicBool = AtomicBool::new(false);

/// Returns whether events are recorded: one relaxed load.
#[inline]
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Nanoseconds of CLOCK_MONOTONIC.
#[inline]
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// Begins a trace, in `file`, which is replaced, and which never has more than `bytes` bytes.
///
/// # Errors
/// The error of the file; `EEXIST` if the process has begun a trace before.
pub fn start(file: &Path, bytes: u64) -> io::Result<()> {
    let region = Region::make(file, bytes)?;
    REGION.set(region).map_err(|_| io::ErrorKind::AlreadyExists)?;
    resume();
    Ok(())
}

/// Records no events until [`resume`].
pub fn pause() {
    ON.store(false, Ordering::Relaxed);
}

/// Records events again, if a trace was begun.
pub fn resume() {
    ON.store(REGION.get().is_some(), Ordering::Relaxed);
}

/// Ends the trace: no event is recorded any more. Other threads may still finish writing one.
pub fn stop() {
    pause();
    if let Some(region) = REGION.get() {
        region.words[at::ENDED].store(1, Ordering::Release);
    }
}

/// The file in memory.
///
/// # Invariants
/// `words` are `HEADER + blocks * BLOCK` bytes. A block in state `CURRENT` or `TEXTS` has one writer.
struct Region {
    words: &'static [AtomicU64],
    file: File,
    blocks: u64,
    /// The block that is looked at next, modulo `blocks`.
    next: AtomicU64,
    /// The file cannot grow any more.
    full: AtomicBool,
    /// Blocks with room that threads have left at their end, with the slots in use.
    left: Mutex<Vec<Place>>,
    texts: Mutex<Texts>,
}

#[derive(Clone, Copy)]
struct Place {
    block: u64,
    used: usize,
}

#[derive(Default)]
struct Texts {
    place: Option<Place>,
    blocks: u64,
}

impl Region {
    fn make(path: &Path, bytes: u64) -> io::Result<Region> {
        if path.metadata().is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("not a regular file"));
        }
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let blocks = (bytes.saturating_sub(HEADER) / BLOCK).max(TEXTS * 2);
        let size = HEADER + blocks * BLOCK;
        file.set_len(size)?;
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, HEADER).or_else(|_| {
            // Not every file system can reserve.
            std::os::unix::fs::FileExt::write_all_at(&file, &[0; HEADER as usize], 0)
        })?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the system's choice touches no memory that anybody has.
        let base =
            unsafe { rustix::mm::mmap(null, size as usize, protection, MapFlags::SHARED, file.as_fd(), 0) }?;
        // SAFETY: `size` bytes are mapped there, page aligned, and stay so until the process ends. They are only used as atomic words; what other
        // processes may write to the file are words, too.
        let words = unsafe { std::slice::from_raw_parts(base.cast::<AtomicU64>(), size as usize / 8) };
        let date = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let header = [(at::VERSION, VERSION), (at::BLOCKS, blocks), (at::STARTED, now()), (at::DATE, date)];
        for (word, value) in header {
            words[word].store(value, Ordering::Relaxed);
        }
        words[at::MAGIC].store(MAGIC, Ordering::Release);
        Ok(Region {
            words,
            file,
            blocks,
            next: AtomicU64::new(0),
            full: AtomicBool::new(false),
            left: Mutex::default(),
            texts: Mutex::default(),
        })
    }

    fn count(&self, word: usize, by: u64) {
        self.words[word].fetch_add(by, Ordering::Relaxed);
    }

    fn block_word(&self, number: u64, word: usize) -> &AtomicU64 {
        &self.words[((HEADER + number * BLOCK) / 8) as usize + word]
    }

    /// Reserves a block's room on the disk; false if there is none.
    fn reserve(&self, number: u64) -> bool {
        let from = HEADER + number * BLOCK;
        let reserved = rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), from, BLOCK)
            .is_ok()
            || std::os::unix::fs::FileExt::write_all_at(&self.file, &[0; BLOCK as usize], from).is_ok();
        if !reserved {
            self.full.store(true, Ordering::Relaxed);
        }
        reserved
    }

    /// Maps all pages of a block at once: one call instead of a fault for each. Without that, they come one by one.
    fn populate(&self, number: u64) {
        let first = self.block_word(number, 0).as_ptr().cast();
        // SAFETY: the block's part of the mapping, whose contents the call leaves as they are.
        let _ = unsafe { rustix::mm::madvise(first, BLOCK as usize, rustix::mm::Advice::LinuxPopulateWrite) };
    }

    /// Takes a block that no thread writes to, and makes it empty.
    fn take(&self, new: u64) -> Option<u64> {
        for _ in 0..self.blocks {
            let number = self.next.fetch_add(1, Ordering::Relaxed) % self.blocks;
            let place = self.block_word(number, block::STATE);
            let was = match place.load(Ordering::Acquire) {
                state::FREE if !self.full.load(Ordering::Relaxed) => state::FREE,
                state::FULL => state::FULL,
                _ => continue,
            };
            if place.compare_exchange(was, new, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                continue;
            }
            // The block is this thread's: nobody writes to it meanwhile.
            if was == state::FREE && !self.reserve(number) {
                place.store(state::FREE, Ordering::Release);
                continue;
            }
            let count = self.block_word(number, block::COUNT);
            self.count(at::OVERWRITTEN, count.load(Ordering::Relaxed));
            // A reader that sees the new number sees no slot of what was in the block before.
            count.store(0, Ordering::Release);
            self.block_word(number, block::TAKEN).fetch_add(1, Ordering::Release);
            self.populate(number);
            return Some(number);
        }
        None
    }

    /// Writes a slot. The caller is the block's writer.
    #[inline]
    fn put(&self, place: Place, slot: &[u64; SLOT]) {
        let first = BLOCK_HEADER + place.used * SLOT;
        let base = ((HEADER + place.block * BLOCK) / 8) as usize + first;
        let (words, _) = self.words[base..].as_chunks::<SLOT>();
        for (word, value) in words[0].iter().zip(slot) {
            word.store(*value, Ordering::Relaxed);
        }
    }

    /// Makes the slots before this one known.
    #[inline]
    fn publish(&self, place: Place) {
        self.block_word(place.block, block::COUNT).store(place.used as u64, Ordering::Release);
    }

    /// Returns the block where a thread writes first.
    fn first(&self) -> Option<Place> {
        let left = self.left.lock().pop();
        left.or_else(|| Some(Place { block: self.take(state::CURRENT)?, used: 0 }))
    }

    fn give_up(&self, place: Place) {
        if place.used < SLOTS {
            self.left.lock().push(place);
        } else {
            self.block_word(place.block, block::STATE).store(state::FULL, Ordering::Release);
        }
    }

    fn text(&self, about: About, id: u64, words: [u64; 3], text: &str) {
        let bytes = &text.as_bytes()[..text.floor_char_boundary(LONGEST)];
        let needed = slots(bytes.len());
        let mut texts = self.texts.lock();
        let mut place = texts.place.take().filter(|place| place.used + needed <= SLOTS);
        if place.is_none() && texts.blocks < self.blocks / TEXTS {
            place = self.take(state::TEXTS).map(|block| Place { block, used: 0 });
            texts.blocks += u64::from(place.is_some());
        }
        let Some(mut place) = place else { return self.count(at::REFUSED, 1) };
        self.put(place, &head(about, id, words, bytes.len()));
        place.used += 1;
        put_text(bytes, |slot| {
            self.put(place, slot);
            place.used += 1;
        });
        self.publish(place);
        texts.place = Some(place);
    }
}

/// On whose behalf a thread works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// The process.
    pub pid: u32,
    /// Number of its address space.
    pub process: u32,
    /// The thread; 0 if not known.
    pub thread: u32,
}

/// State of a thread's ring.
struct Local {
    place: Cell<Option<Place>>,
    busy: Cell<bool>,
    actor: Cell<Actor>,
    cause: Cell<u64>,
    next_cause: Cell<u64>,
    /// Device and device offset that the call or fault has come to.
    noted: Cell<Option<(u64, u64)>>,
    /// Numbers whose texts the thread has written.
    named: RefCell<Vec<u64>>,
}

thread_local! {
    static LOCAL: Local = const {
        Local {
            place: Cell::new(None),
            busy: Cell::new(false),
            actor: Cell::new(Actor { pid: 0, process: 0, thread: 0 }),
            cause: Cell::new(0),
            next_cause: Cell::new(0),
            noted: Cell::new(None),
            named: RefCell::new(Vec::new()),
        }
    };
}

impl Local {
    fn push(&self, region: &Region, slot: &[u64; SLOT]) {
        if self.busy.replace(true) {
            return region.count(at::REFUSED, 1);
        }
        let full = |place: &Place| place.used == SLOTS;
        let mut place = self.place.get();
        if let Some(old) = place.filter(full) {
            region.give_up(old);
            place = region.take(state::CURRENT).map(|block| Place { block, used: 0 });
        }
        if let Some(now) = place.or_else(|| region.first()) {
            region.put(now, slot);
            let after = Place { used: now.used + 1, ..now };
            region.publish(after);
            self.place.set(Some(after));
        } else {
            self.place.set(None);
            region.count(at::REFUSED, 1);
        }
        self.busy.set(false);
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        if let (Some(place), Some(region)) = (self.place.take(), REGION.get()) {
            region.give_up(place);
        }
    }
}

/// Writes a record of the calling thread's ring: an event of the call or fault that it is in.
pub(crate) fn push(time: u64, duration: u64, device: u64, event: (u16, [u64; ARGUMENTS])) {
    let Some(region) = REGION.get() else { return };
    let written = LOCAL.try_with(|local| {
        let Actor { pid, process, thread } = local.actor.get();
        let stamp = Stamp { time, duration, pid, process, thread, cause: local.cause.get(), device };
        local.push(region, &encode(stamp, event));
    });
    if written.is_err() {
        region.count(at::REFUSED, 1);
    }
}

/// Writes a text.
pub(crate) fn text(about: About, id: u64, words: [u64; 3], text: &str) {
    if let Some(region) = REGION.get() {
        region.text(about, id, words, text);
    }
}

/// Returns on whose behalf the calling thread works, and the number of the call or fault that it is in.
pub(crate) fn here() -> (Actor, u64) {
    LOCAL.try_with(|local| (local.actor.get(), local.cause.get())).unwrap_or_default()
}

/// Returns on whose behalf the calling thread works.
pub fn actor() -> Actor {
    here().0
}

/// Returns the number of the call or fault that the calling thread is in; 0: in none.
pub fn cause() -> u64 {
    here().1
}

/// Notes to which device and device offset the calling thread's call or fault has come.
pub fn note(device: u64, offset: u64) {
    if on() {
        let _ = LOCAL.try_with(|local| local.noted.set(Some((device, offset))));
    }
}

/// Returns what was noted last in the calling thread's call or fault.
pub fn noted() -> Option<(u64, u64)> {
    LOCAL.try_with(|local| local.noted.get()).ok().flatten()
}

/// Returns whether the calling thread sees this number for the first time.
pub(crate) fn is_new(id: u64) -> bool {
    let new = |local: &Local| {
        let mut named = local.named.try_borrow_mut().ok()?;
        let new = !named.contains(&id);
        if new {
            named.push(id);
        }
        Some(new)
    };
    LOCAL.try_with(new).ok().flatten().unwrap_or(false)
}

/// Number of the threads that have had causes.
static CAUSES: AtomicU64 = AtomicU64::new(1);

/// A call or fault that the calling thread is in, until this is dropped.
#[derive(Debug)]
pub struct Acting {
    before: Option<(Actor, u64)>,
}

/// The calling thread begins to work on behalf of `actor`: a call or a fault with a number of its own.
pub fn acting(actor: Actor) -> Acting {
    let begin = |local: &Local| {
        let mut cause = local.next_cause.get();
        if cause as u32 == 0 {
            cause = CAUSES.fetch_add(1, Ordering::Relaxed) << 32 | 1;
        }
        local.next_cause.set(cause.wrapping_add(1));
        local.noted.set(None);
        (local.actor.replace(actor), local.cause.replace(cause))
    };
    Acting { before: LOCAL.try_with(begin).ok() }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some((actor, cause)) = self.before.take() {
            let _ = LOCAL.try_with(|local| {
                local.actor.set(actor);
                local.cause.set(cause);
            });
        }
    }
}
