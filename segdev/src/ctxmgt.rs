//! `devmap_do_ctxmgt(9F)` and the timeouts of contexts: when a handle waits for its [`Context`], and what the switch leaves.
//!
//! Locking: without a timeout none; else a handle's lock and a context's, each taken alone, never across the routine.

use alloc::sync::Arc;

use crate::context::Context;
use crate::framework::Framework;
use crate::handle::Handle;
use crate::platform::{Access, Platform};
use crate::state::Shape;
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
        F: Fn(&Arc<Handle<P>>, usize, Access) -> i32 + Copy,
    {
        let Some(routine) = routine else { return FaultCode::HWERR };
        let (shape, Some(turns)) = (handle.shape(), handle.turns()) else { return FaultCode::HWERR };
        if shape.intersects(Shape::NOT_SET_UP) {
            return FaultCode::HWERR;
        }
        if shape.contains(Shape::TIMED) && self.platform.ncpus() > 1 {
            // In copies: what is used here only stays in registers elsewhere.
            let (routine, range) = (routine, range);
            return self.do_timed(handle, &turns.ctx, move || routine(handle, pvt, range));
        }
        if routine(handle, pvt, range) != 0 {
            turns.ctx.fail(&self.platform);
            return FaultCode::HWERR;
        }
        FaultCode::OK
    }

    /// The same with a timeout.
    #[cold]
    #[inline(never)]
    fn do_timed(
        &self,
        handle: &Handle<P>,
        ctx: &Arc<Context<P>>,
        routine: impl FnOnce() -> i32,
    ) -> FaultCode {
        if let Err(rc) = self.await_turn(handle, ctx) {
            return rc;
        }
        let ok = routine() == 0;
        let ticks = handle.lock().ticks;
        ctx.finish(&self.platform, ok, ticks);
        if ok { FaultCode::OK } else { FaultCode::HWERR }
    }

    /// Waits until the handle's mapping has the context.
    fn await_turn(&self, handle: &Handle<P>, ctx: &Context<P>) -> Result<(), FaultCode> {
        let mapping = handle.mapping();
        while !ctx.try_enter(mapping) {
            if self.platform.holds(handle.space()) {
                handle.lock().mark(Shape::MUST_WAIT, true);
                return Err(FaultCode::HWERR);
            }
            if ctx.wait_free(&self.platform, mapping) {
                return Err(FaultCode::EINTR);
            }
        }
        if handle.shape().intersects(Shape::NOT_SET_UP) {
            ctx.leave(&self.platform);
            return Err(FaultCode::HWERR);
        }
        Ok(())
    }

    /// `devmap_set_ctx_timeout(9F)`: how many ticks a mapping keeps the context once it has got it; 0 or less for no time.
    pub fn set_ctx_timeout(&self, handle: &Handle<P>, ticks: i64) {
        let mut st = handle.lock();
        st.ticks = ticks;
        st.mark(Shape::TIMED, ticks > 0);
    }

    /// The timer of a context has run out. The platform calls it once for each timer that was not cancelled, without any lock.
    pub fn ctx_timeout(&self, ctx: &Arc<Context<P>>) {
        ctx.timed_out(&self.platform);
    }
}
