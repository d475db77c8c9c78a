//! Table of the entries that handles share, behind one inner lock: callbacks, contexts (one per device instance and access callback) and softlocks (one per device
//! number and access callback).
//!
//! A driver gives the same callbacks with each mapping, so they are kept once, together with the context and softlock that they mean. An entry
//! goes with the last handle that uses it, unless it is the one that was asked for last: that stays for the next mapping, where the platform
//! wants it so.

use alloc::sync::Arc;
use core::sync::atomic::Ordering::Relaxed;

use crate::context::Context;
use crate::keyed::Table;
use crate::platform::{Callbacks as _, Platform};
use crate::shared::{Shared, Turns};
use crate::softlock::Softlock;

/// The tables.
pub struct Registry<P: Platform> {
    contexts: Table<Context<P>>,
    /// By device number and access callback: what has the same softlock has the same name.
    shared: Table<Shared<P>>,
    softlocks: usize,
    /// The entry of `shared` that was asked for last.
    pub(crate) last: Option<Arc<Shared<P>>>,
}

/// Entries removed from the tables, to be dropped after the registry's lock is released.
pub(crate) struct Removed<P: Platform> {
    _shared: Arc<Shared<P>>,
    /// A context that no handle has any more.
    pub(crate) context: Option<Arc<Context<P>>>,
}

impl<P: Platform> Default for Registry<P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform> Registry<P> {
    /// Empty tables.
    pub const fn new() -> Self {
        Self { contexts: Table::new(), shared: Table::new(), softlocks: 0, last: None }
    }

    /// Number of contexts and softlocks that handles use.
    pub(crate) fn live(&self) -> (usize, usize) {
        let idle = self.last.as_ref().filter(|last| last.is_idle()).and_then(|last| last.turns.as_ref());
        let only = |users: usize| usize::from(users == 1);
        let (context, softlock) =
            idle.map_or((0, 0), |turns| (only(turns.ctx.users()), only(turns.softlock.users())));
        (self.contexts.len() - context, self.softlocks - softlock)
    }

    /// Number of handles that have the context, and the softlock, of these turns.
    pub(crate) fn handles(&self, turns: &Turns<P>) -> (usize, usize) {
        let sum = |same: &dyn Fn(&Turns<P>) -> bool| {
            let users = self.shared.iter().filter(|shared| shared.turns.as_ref().is_some_and(same));
            users.map(|shared| shared.handles.load(Relaxed)).sum()
        };
        let contexts = sum(&|other| Arc::ptr_eq(&other.ctx, &turns.ctx));
        (contexts, sum(&|other| Arc::ptr_eq(&other.softlock, &turns.softlock)))
    }

    /// An entry that was not asked for last, made if there is none, for one more handle; and what goes in its place. No entry when there is
    /// no memory for it.
    #[cold]
    #[inline(never)]
    pub(crate) fn share(
        &mut self,
        instance: u64,
        dev: u64,
        callbacks: &P::Callbacks,
    ) -> (Option<Arc<Shared<P>>>, Option<Removed<P>>) {
        let key = Shared::<P>::name(dev, callbacks);
        let found = self.shared.find(key, &|shared| shared.is(instance, dev, callbacks)).cloned();
        let shared = found.or_else(|| self.make(instance, dev, callbacks));
        if let Some(shared) = &shared {
            shared.handles.fetch_add(1, Relaxed);
        }
        let before = core::mem::replace(&mut self.last, shared.clone());
        (shared, before.filter(|before| before.is_idle()).and_then(|before| self.remove(&before)))
    }

    fn make(&mut self, instance: u64, dev: u64, callbacks: &P::Callbacks) -> Option<Arc<Shared<P>>> {
        let turns = if callbacks.entries().access {
            let (ctx, name) = ((instance, callbacks.access_id()), Shared::<P>::name(dev, callbacks));
            let same = |shared: &Shared<P>| shared.turns.is_some() && shared.is_access(dev, callbacks);
            let softlock = self.shared.find(name, &same).and_then(|shared| shared.turns.as_ref());
            let softlock = softlock.map(|turns| turns.softlock.clone());
            let softlock = softlock.unwrap_or_else(|| {
                self.softlocks += 1;
                Arc::new(Softlock::new())
            });
            softlock.change_users(1);
            let found = self.contexts.find(ctx, &|_| true).cloned();
            let Some(ctx) = found.or_else(|| self.contexts.insert(Context::new(ctx))) else {
                self.leave_softlock(&softlock);
                return None;
            };
            ctx.change_users(1);
            Some(Turns { ctx, softlock })
        } else {
            None
        };
        let shared = Shared::new(instance, dev, callbacks.clone(), turns.clone());
        let shared = self.shared.insert(shared);
        if let (None, Some(turns)) = (&shared, turns) {
            self.give_up(&turns);
        }
        shared
    }

    /// The last handle has given an entry up. Returns what goes.
    pub(crate) fn idle(&mut self, shared: &Shared<P>) -> [Option<Removed<P>>; 2] {
        // Another may have asked for it meanwhile.
        if !shared.is_idle() {
            return [None, None];
        }
        let is_last = self.last.as_ref().is_some_and(|last| core::ptr::eq(Arc::as_ptr(last), shared));
        // One that nobody has waited for is as good as new.
        if P::KEEPS_CALLBACKS && is_last && shared.turns.as_ref().is_none_or(|turns| !turns.ctx.was_owned()) {
            return [None, None];
        }
        // A context goes with its last handle: an idle entry does not keep it.
        [self.forget_last(), self.remove(shared)]
    }

    /// Removes an entry that is kept for the next mapping. Returns it, to be dropped without the registry's lock.
    pub(crate) fn forget_last(&mut self) -> Option<Removed<P>> {
        let last = self.last.take_if(|last| last.is_idle())?;
        self.remove(&last)
    }

    /// Removes an entry that no handle uses.
    fn remove(&mut self, shared: &Shared<P>) -> Option<Removed<P>> {
        let shared = self.shared.remove(shared)?;
        let context = shared.turns.as_ref().and_then(|turns| self.give_up(turns));
        Some(Removed { _shared: shared, context })
    }

    /// Returns the context if nobody uses it any more.
    fn give_up(&mut self, turns: &Turns<P>) -> Option<Arc<Context<P>>> {
        self.leave_softlock(&turns.softlock);
        if turns.ctx.change_users(-1) > 0 {
            return None;
        }
        self.contexts.remove(&turns.ctx)
    }

    fn leave_softlock(&mut self, softlock: &Softlock<P>) {
        if softlock.change_users(-1) == 0 {
            self.softlocks -= 1;
        }
    }

    /// Frees the memory of empty tables.
    pub(crate) fn trim(&mut self) {
        self.contexts.trim();
        self.shared.trim();
    }
}
