//! The way to change a process's translations from outside: its userfaultfd, and its agent, a task with the same memory that does what it is asked whatever the process's
//! threads are doing.
//!
//! Locking: one mutex round the agent's connection, held for a round trip: questions and answers are not mixed. It is taken inside the hat's.

use ddi_wire::{Answer, HEAD_MAX, Message, Upcall};
use parking_lot::Mutex;
use rustix::net::RecvFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::failpoint::fails;
use super::sock::Conn;
use super::uffd::Uffd;
use super::{Errno, FaultMode};

/// A process that can be mapped into.
///
/// # Invariants
/// There is a userfaultfd unless faults are caught by signals. Only the host asks on the agent's connection, so that what comes is the answer.
#[derive(Debug)]
pub(super) struct Link {
    mode: FaultMode,
    uffd: Option<Uffd>,
    agent: Mutex<Option<Agent>>,
}

#[derive(Debug)]
struct Agent {
    conn: Conn,
    pid: i32,
}

impl Link {
    /// Makes the acquaintance of an agent.
    pub fn new(mode: FaultMode, conn: Conn, uffd: Option<Uffd>) -> Result<Link, Errno> {
        if uffd.is_none() && mode != FaultMode::Signal {
            return Err(Errno(libc::EINVAL));
        }
        let Answer::Agent { pid } = ask(&conn, &Upcall::Ping, &mut [0; HEAD_MAX])? else {
            return Err(Errno(libc::EINVAL));
        };
        Ok(Link { mode, uffd, agent: Mutex::new(Some(Agent { conn, pid })) })
    }

    pub fn mode(&self) -> FaultMode {
        self.mode
    }

    pub fn uffd(&self) -> Option<&Uffd> {
        self.uffd.as_ref()
    }

    /// Carries out a command by the agent. `ESRCH`: it is gone; `lost` is called then, before anybody else can ask.
    pub fn ask(&self, upcall: &Upcall<'_>, lost: impl FnOnce()) -> Result<(), Errno> {
        let agent = self.agent.lock();
        let Some(agent) = &*agent else { return Err(Errno(libc::ESRCH)) };
        if fails("agent killed")
            && let Some(pid) = Pid::from_raw(agent.pid)
        {
            let _ = kill_process(pid, Signal::KILL);
        }
        let r = ask(&agent.conn, upcall, &mut [0; HEAD_MAX]).map(drop);
        if let Err(Errno(libc::ESRCH)) = r {
            lost();
        }
        r
    }

    /// Returns whether the agent still has the memory of a process.
    pub fn shares_memory_of(&self, pid: i32) -> bool {
        /// `KCMP_VM` of kcmp(2).
        const VM: i32 = 1;
        let Some(agent) = self.agent.lock().as_ref().map(|agent| agent.pid) else { return false };
        // SAFETY: a system call without pointers.
        unsafe { libc::syscall(libc::SYS_kcmp, pid, agent, VM, 0, 0) == 0 }
    }

    /// Ends the agent.
    pub fn end(&self) {
        let Some(agent) = self.agent.lock().take() else { return };
        let _ = agent.conn.send(&Upcall::Exit, &[]);
        drop(agent.conn);
        reap(agent.pid);
    }
}

/// Asks the other end of a connection that only we ask. `ESRCH`: it is gone, or does not speak our language.
fn ask<'a>(conn: &Conn, upcall: &Upcall<'_>, buf: &'a mut [u8]) -> Result<Answer<'a>, Errno> {
    let gone = Errno(libc::ESRCH);
    conn.send(upcall, &[]).map_err(|_| gone)?;
    let got = conn.recv(buf, RecvFlags::empty()).map_err(|_| gone)?.ok_or(gone)?;
    match Answer::decode(&buf[..got.len]).map_err(|_| gone)? {
        Answer::Failed { errno } => Err(Errno(errno)),
        answer => Ok(answer),
    }
}

/// Ends and reaps a process if it is this one's child.
fn reap(pid: i32) {
    let Some(pid) = Pid::from_raw(pid) else { return };
    // Clones that send no SIGCHLD, too.
    let flags = WaitIdOptions::EXITED | WaitIdOptions::from_bits_retain(libc::__WALL.cast_unsigned());
    if waitid(WaitId::Pid(pid), flags | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT).is_err() {
        return;
    }
    // It is our child and not yet reaped, so the number is still its own.
    let _ = kill_process(pid, Signal::KILL);
    let _ = waitid(WaitId::Pid(pid), flags);
}
