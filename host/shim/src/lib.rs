//! The library preloaded into client processes. It turns system calls on devices and device mappings into requests to the host.
//!
//! Each interposed function wraps the C library's function of that name, and calls it unless a device is concerned. The state is in
//! `state`, requests to the host in `link`, requests of the host to a waiting thread in `upcall`, and the address space in `space`; the `agent` executes requests that
//! cannot wait for a thread.
//!
//! Safety, once for all wrappers: "the caller's arguments" are what the program passed, which is what the C library's function of that name asks
//! for, and goes to it (or is only compared with the address ranges of devices).
//!
//! House rules: nothing panics, nothing allocates after start, everything may run in a signal handler or a vfork child.
#![allow(missing_docs, reason = "a C library's interface; its functions are documented where they come from")]

#[macro_use]
mod real;
mod agent;
mod attach;
mod born;
mod copy;
mod detour;
mod dirs;
mod epoll;
mod exec;
mod files;
mod fork;
mod handlers;
mod held;
mod io;
mod line;
mod link;
mod memory;
mod msg;
mod node;
mod open;
mod poll;
mod reach;
mod scratch;
mod signals;
mod sockets;
mod space;
mod start;
mod stat;
mod state;
mod sys;
mod tree;
mod upcall;
