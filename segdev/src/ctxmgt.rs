//! `devmap_do_ctxmgt(9F)` and the timeouts of contexts: when a handle waits for its [`Context`], and what the switch leaves.
//!
//! Locking: a handle's lock and a context's, each taken alone, never across the routine.

use alloc::sync::Arc;

use crate::context::Context;
use crate::framework::Framework;
use crate::handle::{Handle, Stage};
use crate::platform::{Access, Platform};
use crate::types::FaultCode;

impl<P: Platform> Framework<P> {
    /// `devmap_do_ctxmgt(9F)`: gets the handle's context and calls `routine` to switch the device to it. Answers 0, or
    /// `FC_HWERR` when there is no routine, it failed, or the handle has no context or is dead; `FC_MAKE_ERR(EINTR)` when a wait was
    /// interrupted. May sleep when the handle has a timeout and its space is not locked by the caller.
    pub fn do_ctxmgt<F>(
        &self,
        handle: &Arc<Handle<P>>,
        pvt: usize,
        range: Access,
        routine: Option<F>,
    ) -> FaultCode
    where
        F: FnOnce(&Arc<Handle<P>>, usize, Access) -> i32,
    {
        let Some(routine) = routine else { return FaultCode::HWERR };
        let (turn, mapping) = {
            let st = handle.lock();
            let turns = st.shared.as_ref().and_then(|shared| shared.turns.as_ref());
            let Some(turns) = turns.filter(|_| st.stage == Stage::SetUp) else { return FaultCode::HWERR };
            let timed = st.ticks > 0 && self.platform.ncpus() > 1;
            (timed.then(|| turns.ctx.clone()), st.mapping)
        };
        if let Some(ctx) = &turn {
            while !ctx.try_enter(mapping) {
                if self.platform.holds(handle.space()) {
                    handle.lock().must_wait = true;
                    return FaultCode::HWERR;
                }
                if ctx.wait_free(&self.platform, mapping) {
                    return FaultCode::EINTR;
                }
            }
            if handle.lock().stage != Stage::SetUp {
                ctx.leave(&self.platform);
                return FaultCode::HWERR;
            }
        }
        let ok = routine(handle, pvt, range) == 0;
        match &turn {
            Some(ctx) => {
                let ticks = handle.lock().ticks;
                ctx.finish(&self.platform, ok, ticks);
            }
            None if ok => {}
            None => {
                let shared = handle.lock().shared.clone();
                if let Some(turns) = shared.as_ref().and_then(|shared| shared.turns.as_ref()) {
                    turns.ctx.fail(&self.platform);
                }
            }
        }
        if ok { FaultCode::OK } else { FaultCode::HWERR }
    }

    /// `devmap_set_ctx_timeout(9F)`: how many ticks a mapping keeps the context once it has got it; 0 or less for no time.
    pub fn set_ctx_timeout(&self, handle: &Handle<P>, ticks: i64) {
        handle.lock().ticks = ticks;
    }

    /// The timer of a context has run out. The platform calls it once for each timer that was not cancelled, without any lock.
    pub fn ctx_timeout(&self, ctx: &Arc<Context<P>>) {
        ctx.timed_out(&self.platform);
    }
}
