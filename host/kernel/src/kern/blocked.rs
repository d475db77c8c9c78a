//! Threads blocked in a driver's call, and detection of deadlocks among them.
//!
//! A thread enters the table when it is about to block; a free lock costs nothing. A thread that would wait for itself through other threads is reported as a
//! deadlock, with the stack of each thread. Such a cycle consists only of waits that known threads must end: for a mutex or a readers/writer lock that
//! is held, and for code that runs (a timeout's function that is cancelled, a task, an interrupt handler, a thread). Any thread can signal a condition variable or a semaphore.
//!
//! # Invariants
//! A thread leaves the table before it returns to its driver, so what it holds when it enters it holds as long as it is there. What it waits for is not its own yet: a
//! mutex that it has got has it as the owner, a readers/writer lock is taken with the table locked ([`Blocked::leave_if`]), and of what others run the
//! waiter says that it is [over](Blocked::over) under the lock that protects it. So a circle that is seen with the table locked is one, and stays one.
//!
//! Locking: the table, and below it the leaf mutexes of timers, task queues, interrupts and threads.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::slot::{self, Slot};
use super::{lock, lockplaces, peek, stack, thread, watch};
use crate::board::report::{self, Earlier, Stack};

/// Object that a thread waits for.
#[derive(Clone)]
pub enum For {
    /// A mutex, by its address, as are the others.
    Mutex(usize),
    /// A readers/writer lock; true: as the writer.
    Lock(usize, bool),
    /// A semaphore.
    Semaphore(usize),
    /// A condition variable.
    Condition(usize),
    /// A time.
    Time,
    /// Work that other threads do.
    Others(Others),
}

/// Work that other threads do.
#[derive(Clone)]
pub struct Others {
    /// Name in reports: "the handler of interrupt 1".
    what: String,
    /// The manual page of waiting for it.
    page: &'static str,
    /// Which threads run it now.
    who: Arc<dyn Fn() -> Vec<u32> + Send + Sync>,
    over: Arc<AtomicBool>,
}

impl Others {
    /// `who` tells the numbers of the threads that run it now. It may take leaf mutexes only.
    pub fn new(what: &str, page: &'static str, who: impl Fn() -> Vec<u32> + Send + Sync + 'static) -> Self {
        Others { what: what.to_owned(), page, who: Arc::new(who), over: Arc::default() }
    }
}

impl For {
    fn name(&self) -> String {
        match self {
            For::Mutex(address) => format!("the mutex {}", lockplaces::name(*address)),
            For::Lock(address, writer) => {
                let how = if *writer { "as the writer" } else { "as a reader" };
                format!("the readers/writer lock {} {how}", lockplaces::name(*address))
            }
            For::Semaphore(address) => format!("the semaphore {}", lockplaces::name(*address)),
            For::Condition(address) => format!("the condition variable {}", lockplaces::name(*address)),
            For::Time => "a time".into(),
            For::Others(others) => others.what.clone(),
        }
    }

    /// Returns the part of a thread that others wait for, in words.
    fn role(&self) -> &'static str {
        if matches!(self, For::Others(_)) { "runs" } else { "holds" }
    }

    fn page(&self) -> &'static str {
        match self {
            For::Mutex(_) => "mutex_enter(9F)",
            For::Lock(..) => "rw_enter(9F)",
            For::Semaphore(_) => "semaphore(9F)",
            For::Condition(_) => "condvar(9F)",
            For::Time => "delay(9F)",
            For::Others(others) => others.page,
        }
    }

    /// The threads that have to get on before this wait of `thread` ends.
    fn blockers(&self, thread: u32, table: &Table) -> Vec<u32> {
        let word = |address| AtomicU64::new(peek::read::<usize>(address).unwrap_or(0) as u64);
        match self {
            For::Mutex(address) => {
                let owner = lock::mutex_owner(&word(*address));
                if owner == 0 || owner == thread { Vec::new() } else { vec![owner] }
            }
            For::Lock(address, writer) => {
                let word = word(*address);
                let owner = lock::rw_holders(&word).1;
                if owner != 0 {
                    return vec![owner];
                }
                if lock::rw_free(&word, *writer) || STATE.foreign.lock().contains(address) {
                    return Vec::new();
                }
                let reads = |(id, wait): (&u32, &Wait)| wait.reads.contains(address).then_some(*id);
                table.iter().filter_map(reads).collect()
            }
            For::Others(others) => {
                let who = (others.who)();
                // Checked last: the threads found may be running the next call, which is not waited for.
                if others.over.load(Ordering::SeqCst) { Vec::new() } else { who }
            }
            _ => Vec::new(),
        }
    }
}

/// A thread that waits.
#[derive(Clone)]
struct Wait {
    what: For,
    /// Readers/writer locks that it holds as a reader.
    reads: Vec<usize>,
    slot: Arc<Slot>,
    since: Instant,
    interruptible: bool,
}

/// By the threads' numbers.
type Table = HashMap<u32, Wait>;

/// State of this file.
struct State {
    table: LazyLock<Mutex<Table>>,
    /// Readers/writer locks of which a thread has given up what another one held: who holds them is not known.
    foreign: LazyLock<Mutex<HashSet<usize>>>,
}

static STATE: State = State { table: LazyLock::new(Mutex::default), foreign: LazyLock::new(Mutex::default) };
thread_local! {
    /// The readers/writer locks that this thread holds as a reader.
    static READS: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The calling thread holds a readers/writer lock as a reader.
pub fn reads(address: usize) {
    READS.with_borrow_mut(|reads| reads.push(address));
}

/// The calling thread is about to give it up.
pub fn reads_no_more(address: usize) {
    let own = READS.with_borrow_mut(|reads| {
        let at = reads.iter().rposition(|a| *a == address);
        at.map(|at| reads.swap_remove(at)).is_some()
    });
    if !own {
        STATE.foreign.lock().insert(address);
    }
}

/// While it lives, the calling thread is in the table.
pub struct Blocked {
    thread: u32,
    over: Option<Arc<AtomicBool>>,
}

impl Blocked {
    /// The calling thread is about to wait, and looks again afterwards whether it has to. Reports a deadlock.
    pub fn on(what: For, interruptible: bool) -> Blocked {
        Blocked::enter(what, interruptible, |_| true)
    }

    /// The same for a mutex that another thread owns.
    pub fn on_mutex(word: &AtomicU64) -> Blocked {
        let address = std::ptr::from_ref(word) as usize;
        // Usually the owner is not blocked.
        Blocked::enter(For::Mutex(address), false, |table| table.contains_key(&lock::mutex_owner(word)))
    }

    fn enter(what: For, interruptible: bool, look: impl FnOnce(&Table) -> bool) -> Blocked {
        let thread = thread::id();
        let over = if let For::Others(others) = &what { Some(others.over.clone()) } else { None };
        let reads = READS.with_borrow(Vec::clone);
        let wait = Wait { what, reads, slot: slot::slot(), since: Instant::now(), interruptible };
        let mut table = STATE.table.lock();
        table.insert(thread, wait);
        let circle = if look(&table) { circle(&table, thread) } else { Vec::new() };
        drop(table);
        let blocked = Blocked { thread, over };
        if !circle.is_empty() {
            deadlock(&circle);
        }
        blocked
    }

    /// Marks the work as ended for this waiter. Called with the lock held that protects it.
    pub fn over(&self) {
        if let Some(over) = &self.over {
            over.store(true, Ordering::SeqCst);
        }
    }

    /// Leaves the table if `take` gets what the thread waits for, with the table locked.
    pub fn leave_if(&self, take: impl FnOnce() -> bool) -> bool {
        let mut table = STATE.table.lock();
        let taken = take();
        if taken {
            table.remove(&self.thread);
        }
        taken
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        STATE.table.lock().remove(&self.thread);
    }
}

/// The threads that wait for each other, beginning with `thread`, each for the next and the last for the first; empty if it does not wait for itself.
fn circle(table: &Table, thread: u32) -> Vec<(u32, Wait)> {
    let mut reached_from = HashMap::new();
    let mut todo = vec![thread];
    while let Some(waiter) = todo.pop() {
        let Some(wait) = table.get(&waiter) else { continue };
        for next in wait.what.blockers(waiter, table) {
            if next == thread {
                let before = |at: &u32| reached_from.get(at).copied();
                let mut path: Vec<u32> = std::iter::successors(Some(waiter), before).collect();
                path.reverse();
                return path.into_iter().filter_map(|id| Some((id, table.get(&id)?.clone()))).collect();
            }
            if table.contains_key(&next) && !reached_from.contains_key(&next) {
                reached_from.insert(next, waiter);
                todo.push(next);
            }
        }
    }
    Vec::new()
}

/// Reports a circle of which the calling thread is the first.
fn deadlock(circle: &[(u32, Wait)]) {
    let Some((me, first)) = circle.first() else { return };
    let named = |id: &u32| if id == me { "this thread".to_owned() } else { format!("thread {id}") };
    let next = |i: usize| circle.get(i + 1).map_or(me, |(id, _)| id);
    let link = |(i, (id, wait)): (usize, &(u32, Wait))| {
        let holder = if next(i) == id { "it".to_owned() } else { named(next(i)) };
        format!("{} waits for {}, which {holder} {}", named(id), wait.what.name(), wait.what.role())
    };
    let links: Vec<String> = circle.iter().enumerate().map(link).collect();
    let stacks = circle.iter().skip(1).map(|(id, wait)| {
        let seen = watch::ask(&wait.slot);
        let stack = seen.map(|seen| Stack { frames: seen.frames, call: Some(seen.call) });
        Earlier { what: format!("thread {id} waits"), stack: stack.unwrap_or_default() }
    });
    let entered = circle.iter().filter_map(|(_, wait)| {
        let For::Mutex(address) = &wait.what else { return None };
        let place = lockplaces::ENTERED.get(*address)?;
        Some(Earlier::new(&format!("{} was entered", wait.what.name()), place.frames()))
    });
    let earlier: Vec<Earlier> = stacks.chain(entered).collect();
    let called = stack::here().called.unwrap_or_else(|| "a wait".into());
    let page = match &first.what {
        For::Others(_) if called.starts_with("ddi_") => format!("{called}(9F)"),
        what => what.page().to_owned(),
    };
    report::mistake_after(&called, &format!("deadlock: {}", links.join("; ")), &page, &earlier);
}

/// A call that is inside a driver.
pub struct Inside {
    slot: Arc<Slot>,
    /// Which of the thread's calls.
    call: u64,
    wait: Option<(u32, Wait)>,
}

/// The calls for processes that are inside a driver and that signals do not end.
pub fn inside() -> Vec<Inside> {
    let slots = slot::slots();
    let table = STATE.table.lock();
    let inside = |slot: Arc<Slot>| {
        let call = slot.calls.load(Ordering::Relaxed);
        let wait = table.iter().find(|(_, wait)| Arc::ptr_eq(&wait.slot, &slot));
        let wait = wait.map(|(id, wait)| (*id, wait.clone()));
        let ends = wait.as_ref().is_some_and(|(_, wait)| wait.interruptible);
        let counts = call & 1 == 1 && slot.for_process.load(Ordering::Relaxed) && !ends;
        counts.then_some(Inside { slot, call, wait })
    };
    slots.into_iter().filter_map(inside).collect()
}

impl Inside {
    /// Says for which process the call is, where it is, for what it waits and since when, and who would have to get on; None if it is not inside any more.
    pub fn describe(&self) -> Option<(i32, String)> {
        let seen = watch::ask(&self.slot)?;
        let frames: String = seen.frames.iter().map(|frame| format!("\n    at {frame}")).collect();
        let place = seen.place();
        let Some((id, wait)) = &self.wait else {
            let text = format!("{place}: does not come back{frames}\n    in {}", seen.call);
            return Some((seen.pid, text));
        };
        let time = wait.since.elapsed().max(Duration::from_millis(100)).as_secs_f64();
        let table = STATE.table.lock();
        let blockers = wait.what.blockers(*id, &table);
        drop(table);
        let mut text = format!("{place}: waits for {}, for {time:.1} s", wait.what.name());
        text.push_str(&frames);
        text.push_str(&format!("\n    in {}", seen.call));
        for blocker in blockers {
            let slot = slot::slots().into_iter().find(|slot| slot.number == blocker);
            let Some(seen) = slot.and_then(|slot| watch::ask(&slot)) else { continue };
            let at = seen.frames.first().map_or(String::new(), |frame| format!(", at {frame}"));
            text.push_str(&format!("\n  {} it: {}{at}", wait.what.role(), seen.call));
        }
        Some((seen.pid, text))
    }

    /// A number that no other call has.
    pub fn number(&self) -> u64 {
        u64::from(self.slot.number) << 32 | self.call & u64::from(u32::MAX)
    }
}

/// Returns, for those of the calls with these [numbers](Inside::number) that have not returned: the number, the process, a text.
pub fn describe(calls: &[u64]) -> Vec<(u64, i32, String)> {
    let calls = inside().into_iter().filter(|call| calls.contains(&call.number()));
    let say = |call: Inside| call.describe().map(|(pid, text)| (call.number(), pid, text));
    calls.filter_map(say).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(what: For, reads: &[usize]) -> Wait {
        Wait { what, reads: reads.to_vec(), slot: slot::slot(), since: Instant::now(), interruptible: false }
    }

    fn others(who: &'static [u32]) -> For {
        For::Others(Others::new("a test", "Intro(9F)", || who.to_vec()))
    }

    fn ids(table: &Table, thread: u32) -> Vec<u32> {
        circle(table, thread).into_iter().map(|(id, _)| id).collect()
    }

    #[test]
    fn a_circle_is_found_whatever_it_is_made_of() {
        let owned = |id: u64| Box::leak(Box::new(AtomicU64::new(id)));
        let mutex = |id| For::Mutex(std::ptr::from_ref(owned(id)) as usize);
        let mut table = Table::from([(1, wait(mutex(2), &[])), (2, wait(others(&[7, 3]), &[]))]);
        assert_eq!(ids(&table, 1), [0; 0], "thread 3 waits for nothing");
        table.insert(3, wait(mutex(1), &[]));
        assert_eq!(ids(&table, 1), [1, 2, 3]);
        assert_eq!(ids(&table, 3), [3, 1, 2]);
        // Who is stuck behind a circle is not part of it.
        table.insert(4, wait(mutex(1), &[]));
        assert_eq!(ids(&table, 4), [0; 0]);
        table.insert(5, wait(others(&[5]), &[]));
        assert_eq!(ids(&table, 5), [5]);
        // A mutex that has been got, and is left in a moment.
        table.insert(3, wait(mutex(3), &[]));
        assert_eq!(ids(&table, 1), [0; 0]);
    }

    #[test]
    fn readers_block_writers_and_readers_behind_them() {
        let lock = AtomicU64::new(0);
        let address = std::ptr::from_ref(&lock) as usize;
        lock::rw_enter(&lock, false).unwrap();
        let held = || others(&[1]);
        let mut table =
            Table::from([(1, wait(For::Lock(address, true), &[])), (2, wait(held(), &[address]))]);
        assert_eq!(ids(&table, 1), [1, 2]);
        // A reader can join a reader, until a writer waits.
        table.insert(1, wait(For::Lock(address, false), &[]));
        assert_eq!(ids(&table, 1), [0; 0]);
        // The lock was given up by another thread than its reader: who holds it is not known.
        lock::rw_exit(&lock).unwrap();
        lock::rw_enter(&lock, false).unwrap();
        READS.with_borrow_mut(Vec::clear);
        reads_no_more(address);
        table.insert(1, wait(For::Lock(address, true), &[]));
        assert_eq!(ids(&table, 1), [0; 0]);
    }

    #[test]
    fn what_is_over_blocks_nobody() {
        let who = Others::new("a test", "Intro(9F)", || vec![1]);
        let over = who.over.clone();
        let table = Table::from([(1, wait(For::Others(who), &[]))]);
        assert_eq!(ids(&table, 1), [1]);
        over.store(true, Ordering::SeqCst);
        assert_eq!(ids(&table, 1), [0; 0]);
    }
}
