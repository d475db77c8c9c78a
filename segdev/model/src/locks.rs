//! The model checker's locks, and the assertion of the lock order.
//!
//! The locks that each task holds are kept in a table of the checker's own, which is no part of what is explored: tasks of a schedule run one
//! at a time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;

use segdev::lock::{LockClass, Mutex, RwLock};
use segdev::sim::Locks;

thread_local! {
    /// Which locks each task holds, in the order of taking. All tasks of a schedule run on one thread.
    static HELD: RefCell<BTreeMap<u64, Vec<LockClass>>> = const { RefCell::new(BTreeMap::new()) };
}

/// Locks that the calling task holds.
fn mine() -> Vec<LockClass> {
    HELD.with_borrow(|held| held.get(&me()).cloned().unwrap_or_default())
}

fn me() -> u64 {
    usize::from(shuttle::current::me()) as u64
}

/// A schedule begins.
pub(crate) fn forget_all() {
    HELD.with_borrow_mut(BTreeMap::clear);
}

/// Fails when the calling task may not take a lock of this class now: two inner locks, or a space's lock under an inner one.
fn assert_order(class: LockClass) {
    let mine = mine();
    let inner = mine.iter().find(|c| c.rank() == 1);
    assert!(inner.is_none(), "lock order: {class:?} wanted with {inner:?} held");
    let spaces = mine.iter().filter(|c| c.rank() == 0).count();
    assert!(class.rank() == 1 || spaces < 2, "lock order: a third address space locked");
}

/// Fails when the calling task holds an inner lock: what must be true in every driver callback.
pub fn assert_no_inner_lock() {
    let mine = mine();
    assert!(mine.iter().all(|c| c.rank() == 0), "a driver callback runs with {mine:?} held");
}

/// The note that a task holds a lock, for as long as it does.
struct Note(LockClass, u64);

impl Note {
    fn new(class: LockClass) -> Self {
        HELD.with_borrow_mut(|held| held.entry(me()).or_default().push(class));
        Self(class, me())
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // A panic ends the schedule while tasks still hold locks; the thread's table may be gone by then.
        let _ = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            if let Some(list) = held.get_mut(&self.1)
                && let Some(i) = list.iter().rposition(|c| *c == self.0)
            {
                list.remove(i);
            }
        });
    }
}

/// A `shuttle` mutex that asserts the order.
pub struct ModelLock<T> {
    inner: shuttle::sync::Mutex<T>,
    class: LockClass,
}

/// The guard of the lock. The note goes after the lock has been let go, so that the order is asserted over all of the time it is held.
pub struct ModelGuard<'a, T> {
    inner: Option<shuttle::sync::MutexGuard<'a, T>>,
    _note: Note,
    class: LockClass,
}

impl<T> Deref for ModelGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.inner.as_ref().expect("the guard has its lock until it is dropped")
    }
}

impl<T> DerefMut for ModelGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("the guard has its lock until it is dropped")
    }
}

impl<T: Send> Mutex<T> for ModelLock<T> {
    type Guard<'a>
        = ModelGuard<'a, T>
    where
        T: 'a;

    fn new(value: T, class: LockClass) -> Self {
        Self { inner: shuttle::sync::Mutex::new(value), class }
    }
    fn lock(&self) -> ModelGuard<'_, T> {
        assert_order(self.class);
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        ModelGuard { inner: Some(inner), _note: Note::new(self.class), class: self.class }
    }
}

/// A `shuttle` readers/writer lock that asserts the order.
pub struct ModelRw<T> {
    inner: shuttle::sync::RwLock<T>,
    class: LockClass,
}

/// A guard of it.
pub struct ModelRwGuard<G> {
    inner: G,
    _note: Note,
}

impl<G: Deref> Deref for ModelRwGuard<G> {
    type Target = G::Target;
    fn deref(&self) -> &G::Target {
        &self.inner
    }
}

impl<G: DerefMut> DerefMut for ModelRwGuard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.inner
    }
}

impl<T: Send + Sync> RwLock<T> for ModelRw<T> {
    type ReadGuard<'a>
        = ModelRwGuard<shuttle::sync::RwLockReadGuard<'a, T>>
    where
        T: 'a;
    type WriteGuard<'a>
        = ModelRwGuard<shuttle::sync::RwLockWriteGuard<'a, T>>
    where
        T: 'a;

    fn new(value: T, class: LockClass) -> Self {
        Self { inner: shuttle::sync::RwLock::new(value), class }
    }
    fn read(&self) -> Self::ReadGuard<'_> {
        assert_order(self.class);
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        ModelRwGuard { inner, _note: Note::new(self.class) }
    }
    fn write(&self) -> Self::WriteGuard<'_> {
        assert_order(self.class);
        let inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        ModelRwGuard { inner, _note: Note::new(self.class) }
    }
}

/// The model checker's lock family.
pub struct Model;

impl Locks for Model {
    type Mutex<T: Send + 'static> = ModelLock<T>;
    type RwLock<T: Send + Sync + 'static> = ModelRw<T>;
    type Condvar = shuttle::sync::Condvar;

    fn wait<'a, T: Send + 'static>(
        cv: &Self::Condvar,
        mut guard: <ModelLock<T> as Mutex<T>>::Guard<'a>,
    ) -> <ModelLock<T> as Mutex<T>>::Guard<'a> {
        let mine = mine();
        assert_eq!(mine, [guard.class], "a task waits with more held than the condition's lock");
        let class = guard.class;
        let inner = guard.inner.take().expect("the guard has its lock until it is dropped");
        drop(guard);
        let inner = cv.wait(inner).unwrap_or_else(PoisonError::into_inner);
        ModelGuard { inner: Some(inner), _note: Note::new(class), class }
    }
    fn notify_all(cv: &Self::Condvar) {
        cv.notify_all();
    }
    fn thread() -> u64 {
        me()
    }
}
