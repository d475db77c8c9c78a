//! Making a process one that devices can be mapped into, and a forked child too.

use core::sync::atomic::Ordering;

use ddi_wire::{FaultMode, FaultPolicy, Reply, Request, uffd};

use crate::link::{self, Got, Who, hello, who};
use crate::{agent, state, sys};

/// A userfaultfd with the features we need, and those of the others that there are.
fn make_uffd(flags: i32) -> Result<i32, i32> {
    let needed = uffd::FEATURE_MINOR_SHMEM | uffd::FEATURE_THREAD_ID;
    let wanted = needed | uffd::FEATURE_EXACT_ADDRESS | uffd::FEATURE_POISON;
    let flags = libc::O_CLOEXEC | libc::O_NONBLOCK | flags;
    let open = |features: u64| {
        let fd = sys::userfaultfd(flags)?;
        let mut api = uffd::Api { api: uffd::API, features, ioctls: 0 };
        // SAFETY: the structure of this request.
        match unsafe { sys::ioctl(fd, uffd::IOCTL_API, &mut api) } {
            Ok(_) => Ok((fd, api.features)),
            Err(e) => {
                sys::close(fd);
                Err(e)
            }
        }
    };
    // UFFDIO_API succeeds once per descriptor: the first one only returns the features.
    let (probe, have) = open(0)?;
    sys::close(probe);
    if have & needed != needed {
        return Err(libc::ENOSYS);
    }
    Ok(state::adopt(open(have & wanted)?.0))
}

/// Chooses how faults are caught: the mode, and the userfaultfd or -1.
fn choose(policy: FaultPolicy) -> Result<(FaultMode, i32), i32> {
    let full = || make_uffd(0).map(|fd| (FaultMode::Userfaultfd, fd));
    let user = || make_uffd(uffd::USER_MODE_ONLY).map(|fd| (FaultMode::UserfaultfdUserOnly, fd));
    let or_user = |e| if is_shortage(e) { Err(e) } else { user() };
    match policy {
        FaultPolicy::Signal => Ok((FaultMode::Signal, -1)),
        FaultPolicy::UserfaultfdUserOnly => user(),
        FaultPolicy::Userfaultfd => full().or_else(or_user),
        FaultPolicy::Auto => full().or_else(or_user).or_else(|e| match is_shortage(e) {
            true => Err(e),
            false => Ok((FaultMode::Signal, -1)),
        }),
    }
}

/// Returns whether it is the process that has no more of something, not the system that lacks it: that passes.
fn is_shortage(e: i32) -> bool {
    matches!(e, libc::EMFILE | libc::ENFILE | libc::ENOMEM)
}

/// Makes it possible to map devices into this process.
pub fn attach() -> Result<(), i32> {
    if state::mode().is_some() {
        return Ok(());
    }
    if who() == Who::Guest {
        return Err(libc::ENOMEM);
    }
    if !state::CONNECTED.load(Ordering::Acquire) {
        hello()?;
    }
    state::SETUP.with(|| {
        if state::mode().is_some() {
            return Ok(());
        }
        let (mode, uffd) = choose(state::policy()).inspect_err(|&e| {
            if !is_shortage(e) {
                sys::complain(
                    b"ddi: no userfaultfd in this process; run ddi-host with --faults signal or auto\n",
                );
            }
        })?;
        state::UFFD.store(uffd, Ordering::Relaxed);
        let forget = |_: &i32| state::drop_own(state::UFFD.swap(-1, Ordering::Relaxed));
        let agent = agent::start().inspect_err(forget)?;
        let fds = [agent, uffd];
        let count = if uffd >= 0 { 2 } else { 1 };
        let done = |got: &Got<'_>| matches!(got.reply, Reply::Done).then_some(());
        let r = link::request(&Request::Attach { mode }, &fds[..count], true, done);
        sys::close(agent);
        r.inspect_err(forget)?;
        state::set_mode(Some(mode));
        Ok(())
    })
}

/// Registers a forked child with the host, on the connection that the host made for it, so that devices can be mapped. An error is a message.
pub fn introduce(leash: i32, mode: FaultMode) -> Result<(), &'static [u8]> {
    let uffd = match mode {
        FaultMode::Userfaultfd => make_uffd(0),
        FaultMode::UserfaultfdUserOnly => make_uffd(uffd::USER_MODE_ONLY),
        FaultMode::Signal => Ok(-1),
    };
    let uffd = uffd.map_err(|_| &b"ddi: no userfaultfd for a forked process"[..])?;
    state::UFFD.store(uffd, Ordering::Relaxed);
    let agent = agent::start().map_err(|_| &b"ddi: no agent for a forked process"[..])?;
    let fds = [agent, uffd];
    let count = if uffd >= 0 { 2 } else { 1 };
    let hello = Request::Child { pid: sys::getpid(), mode };
    let r = link::introduce(leash, &hello, &fds[..count]);
    sys::close(agent);
    r.map_err(|_| &b"ddi: the host does not take a forked process"[..])?;
    state::set_mode(Some(mode));
    state::CONNECTED.store(true, Ordering::Release);
    Ok(())
}
